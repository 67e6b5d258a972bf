//! Which certificates this machine trusts, and what it thinks of the one a server shows.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// What was decided about a chain of certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// A client of this machine accepts it.
    Yes,
    /// No root that is trusted here signed it.
    UnknownIssuer,
    /// It is refused for another reason, in these words.
    No(String),
}

/// What a server showed.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    /// The certificates as they came, the server's own first.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) trusted: Trusted,
    /// Seconds since 1970 on this machine's clock, at the handshake.
    pub(crate) now: i64,
    /// How many roots this machine trusts.
    pub(crate) roots: usize,
}

/// Judges as a client would, remembers the judgement, and lets the handshake go on: the probe
/// sends nothing worth protecting, and the answer behind the certificate is worth seeing.
#[derive(Debug)]
pub(crate) struct Witness {
    roots: Vec<CertificateDer<'static>>,
    inner: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    shown: Mutex<Option<Shown>>,
}

impl Witness {
    /// Reads the roots of the system (or of `SSL_CERT_FILE`) and those in `file`; this blocks.
    pub(crate) fn new(provider: &Arc<CryptoProvider>, file: Option<&Path>) -> Self {
        let mut roots = rustls_native_certs::load_native_certs().certs;
        if let Some(more) = file.and_then(|file| CertificateDer::pem_file_iter(file).ok()) {
            roots.extend(more.filter_map(Result::ok));
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let inner =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
                .build()
                .ok();
        let algorithms = provider.signature_verification_algorithms;
        Self { roots, inner, algorithms, shown: Mutex::new(None) }
    }

    /// What the server showed, when the handshake came that far.
    pub(crate) fn shown(&self) -> Option<Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn judge(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Trusted {
        let Some(inner) = &self.inner else { return Trusted::UnknownIssuer };
        match inner.verify_server_cert(own, others, name, &[], now) {
            Ok(_) => Trusted::Yes,
            // Only this library refuses a root that a server shows as its own.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if self.roots.iter().any(|root| root.as_ref() == own.as_ref()) =>
            {
                Trusted::Yes
            }
            Err(Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            )) => Trusted::UnknownIssuer,
            Err(other) => Trusted::No(other.to_string()),
        }
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trusted = self.judge(end_entity, intermediates, server_name, now);
        let chain = std::iter::once(end_entity).chain(intermediates);
        let shown = Shown {
            chain: chain.map(|one| one.as_ref().to_vec()).collect(),
            trusted,
            now: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
            roots: self.roots.len(),
        };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
