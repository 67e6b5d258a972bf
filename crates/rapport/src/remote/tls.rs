//! TLS towards a server: what its certificate is measured against.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::failure::{Class, Failure};

/// Whose certificates are trusted.
#[derive(Clone, Debug, Default)]
pub(crate) enum Trust {
    /// Those of this machine.
    #[default]
    Machine,
    /// Those in this PEM file, and no others.
    File(PathBuf),
}

/// Speaks TLS on a connection to `host`.
///
/// # Errors
/// [`Class::Tls`] when the handshake fails, [`Class::Unchecked`] when the file cannot be read.
pub(super) async fn handshake(
    tcp: TcpStream,
    host: &str,
    trust: &Trust,
) -> Result<TlsStream<TcpStream>, Failure> {
    let config = Arc::new(config(trust)?);
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| {
        Failure::new(Class::Tls, format!("no certificate can be for `{host}`: {cause}"))
    })?;
    TlsConnector::from(config).connect(name, tcp).await.map_err(|cause| {
        let hint = match trust {
            Trust::Machine => "trust its certificate with `--ca FILE`, or use http:// instead",
            Trust::File(_) => "name the file that holds the server's certificate or its issuer's",
        };
        Failure::new(Class::Tls, format!("SSL handshake failed: {cause}")).hint(hint)
    })
}

fn config(trust: &Trust) -> Result<ClientConfig, Failure> {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |cause: rustls::Error| Failure::new(Class::Tls, format!("no TLS here: {cause}"));
    let builder = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?;
    let mut config = match trust {
        Trust::Machine => builder.with_platform_verifier().map_err(unusable)?.with_no_client_auth(),
        Trust::File(path) => {
            builder.with_root_certificates(certificates(path)?).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(path: &Path) -> Result<RootCertStore, Failure> {
    let shown = path.display();
    let unreadable = |cause: String| {
        Failure::new(Class::Unchecked, format!("cannot read certificates from `{shown}`: {cause}"))
            .hint("`--ca` takes a PEM file with BEGIN CERTIFICATE in it")
    };
    let found =
        CertificateDer::pem_file_iter(path).map_err(|cause| unreadable(cause.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        let certificate = certificate.map_err(|cause| unreadable(cause.to_string()))?;
        roots.add(certificate).map_err(|cause| unreadable(cause.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unreadable("it holds none".to_owned()));
    }
    Ok(roots)
}
