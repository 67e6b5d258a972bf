//! Certificates: the operator's own, or a pair made for localhost on first use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Tls, TlsMode};
use crate::{clock, data};

/// How long a generated certificate is valid: browsers refuse more than 825 days.
const VALID_DAYS: i64 = 820;

/// A generated certificate older than this is made anew at start.
const RENEW_AFTER: Duration = Duration::from_secs(700 * 24 * 3600);

/// The loaded certificates.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What the sockets need.
    pub(crate) config: Arc<ServerConfig>,
    /// The generated certificate, which callers have to be told to trust.
    pub(crate) generated: Option<PathBuf>,
}

/// Loads the certificates of `tls`, making a pair in `data` when none is configured.
///
/// # Errors
/// When a file cannot be read or the pair does not fit together.
pub(crate) fn load(tls: &Tls, data: &Path) -> anyhow::Result<Option<Loaded>> {
    if tls.mode == TlsMode::Off {
        return Ok(None);
    }
    let (certificate, key, generated) = match &tls.files {
        Some((certificate, key)) => (certificate.clone(), key.clone(), None),
        None => {
            let (certificate, key) = own(data)?;
            (certificate.clone(), key, Some(certificate))
        }
    };
    let config = Arc::new(config(&certificate, &key)?);
    Ok(Some(Loaded { config, generated }))
}

fn config(certificate: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("`{}` is no PEM certificate", certificate.display()))?;
    anyhow::ensure!(!chain.is_empty(), "`{}` holds no certificate", certificate.display());
    let private = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("`{}` is no PEM private key", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .with_context(|| {
            let (certificate, key) = (certificate.display(), key.display());
            format!("`{certificate}` and `{key}` do not belong together")
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The pair in the data folder, made when it is missing or old.
fn own(data: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = data.join("tls");
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    if is_fresh(&certificate) && key.is_file() {
        return Ok((certificate, key));
    }
    data::private_folder(&folder)?;
    let (chain, private) = generate()?;
    data::write_private(&key, private.as_bytes())?;
    data::write_private(&certificate, chain.as_bytes())?;
    tracing::info!(certificate = %certificate.display(), "made a certificate for localhost");
    Ok((certificate, key))
}

fn is_fresh(certificate: &Path) -> bool {
    let Ok(modified) = std::fs::metadata(certificate).and_then(|file| file.modified()) else {
        return false;
    };
    let Ok(made) = jiff::Timestamp::try_from(modified) else { return false };
    let age = clock::now().duration_since(made);
    Duration::try_from(age).is_ok_and(|age| age < RENEW_AFTER)
}

/// A self-signed certificate for this machine, and its key, as PEM.
fn generate() -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate().context("a key for TLS could not be made")?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    for address in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.distinguished_name.push(DnType::CommonName, "Rapport on localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let today = clock::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let span = jiff::Span::new().days(VALID_DAYS);
    let (from, until) =
        (today.saturating_sub(jiff::Span::new().days(1)), today.saturating_add(span));
    let (year, month, day) = parts(from);
    params.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = parts(until);
    params.not_after = rcgen::date_time_ymd(year, month, day);
    let certificate = params.self_signed(&key).context("a certificate could not be made")?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn parts(date: jiff::civil::Date) -> (i32, u8, u8) {
    let month = u8::try_from(date.month()).unwrap_or(1);
    let day = u8::try_from(date.day()).unwrap_or(1);
    (i32::from(date.year()), month, day)
}

/// How callers come to trust a generated certificate, one line each.
pub(crate) fn trust(certificate: &Path, port: u16) -> Vec<String> {
    let path = certificate.display();
    vec![
        format!("curl --cacert '{path}' https://localhost:{port}/health"),
        format!("Python: REQUESTS_CA_BUNDLE='{path}' (or SSL_CERT_FILE)"),
        format!("Node: NODE_EXTRA_CA_CERTS='{path}'"),
        "browsers: import the file as a trusted certificate".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Tls, TlsMode, load};

    #[test]
    fn a_pair_is_made_once_and_its_key_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls { mode: TlsMode::Optional, files: None };
        let path = load(&tls, dir.path()).unwrap().unwrap().generated.unwrap();
        let first = std::fs::read(&path).unwrap();
        load(&tls, dir.path()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode =
                |name| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode("tls/key.pem") & 0o777, 0o600);
            assert_eq!(mode("tls") & 0o777, 0o700);
        }
        assert!(load(&Tls { mode: TlsMode::Off, files: None }, dir.path()).unwrap().is_none());
    }

    #[test]
    fn files_that_are_no_pair_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let tls = Tls { mode: TlsMode::Required, files: None };
        load(&tls, dir.path()).unwrap();
        let certificate = dir.path().join("tls/certificate.pem");
        let files = Some((certificate.clone(), certificate));
        let error = load(&Tls { mode: TlsMode::Required, files }, dir.path()).unwrap_err();
        assert!(format!("{error:#}").contains("no PEM private key"), "{error:#}");
    }
}
