//! Speaks TLS to a port; the certificate is judged and remembered, and the handshake goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, Error, SignatureScheme};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::trust::{Shown, Witness};

/// Whom to ask, and whom to trust besides the system's roots.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The server's name for the certificate.
    pub(crate) name: String,
    /// A file of further roots.
    pub(crate) roots: Option<PathBuf>,
}

/// A handshake that was completed.
#[derive(Debug, Clone)]
pub(crate) struct Secured {
    /// "TLS 1.3".
    pub(crate) version: String,
    pub(crate) shown: Option<Shown>,
    /// Whether the server asked for a certificate of the client, and none was sent.
    pub(crate) wanted_client: bool,
    /// How long the handshake took.
    pub(crate) elapsed: Duration,
}

/// A handshake that a TLS server refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The alert, or what the two have not in common.
    pub(crate) alert: String,
    pub(crate) is_version: bool,
    pub(crate) wanted_client: bool,
}

/// How a handshake ended.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// The port speaks TLS.
    Done(Box<TlsStream<TcpStream>>, Box<Secured>),
    /// It answered with a TLS alert: it speaks TLS and refuses ours.
    Refused(Refusal),
    /// It answered with something else.
    NotTls(String),
    /// It said nothing.
    Silent,
}

/// Makes a TLS handshake.
pub(crate) async fn handshake(stream: TcpStream, peer: &Peer, limit: Duration) -> Handshake {
    let Ok(name) = ServerName::try_from(peer.name.clone()) else {
        return Handshake::NotTls(format!("`{}` cannot be a TLS server name", peer.name));
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = peer.roots.clone();
    let reading = Arc::clone(&provider);
    let reader = move || Arc::new(Witness::new(&reading, roots.as_deref()));
    let Ok(witness) = tokio::task::spawn_blocking(reader).await else {
        return Handshake::NotTls("the trusted certificates could not be read".to_owned());
    };
    let asked = Arc::new(NoCertificate::default());
    let config = match config(provider, Arc::clone(&witness), Arc::clone(&asked)) {
        Ok(config) => config,
        Err(error) => return Handshake::NotTls(error.to_string()),
    };
    let started = tokio::time::Instant::now();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match tokio::time::timeout(limit, Box::pin(connecting)).await {
        Err(_elapsed) => Handshake::Silent,
        Ok(Ok(stream)) => {
            let (_, connection) = stream.get_ref();
            let version = connection
                .protocol_version()
                .and_then(|version| version.as_str())
                .unwrap_or("TLS")
                .replace("TLSv1_", "TLS 1.");
            let (shown, wanted_client) = (witness.shown(), asked.was_asked());
            let secured = Secured { version, shown, wanted_client, elapsed: started.elapsed() };
            Handshake::Done(Box::new(stream), Box::new(secured))
        }
        Ok(Err(error)) => failed(&error, asked.was_asked()),
    }
}

fn failed(error: &std::io::Error, wanted_client: bool) -> Handshake {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::AlertReceived(alert)) => Handshake::Refused(Refusal {
            alert: format!("{alert:?}"),
            is_version: *alert == AlertDescription::ProtocolVersion,
            wanted_client: wanted_client || *alert == AlertDescription::CertificateRequired,
        }),
        Some(Error::PeerIncompatible(reason)) => {
            let alert = format!("{reason:?}");
            let is_version = alert.contains("Version") || alert.contains("Tls12");
            Handshake::Refused(Refusal { alert, is_version, wanted_client })
        }
        Some(_) | None => Handshake::NotTls(error.to_string()),
    }
}

fn config(
    provider: Arc<CryptoProvider>,
    witness: Arc<Witness>,
    asked: Arc<NoCertificate>,
) -> Result<ClientConfig, Box<Error>> {
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Box::new)?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_client_cert_resolver(asked))
}

/// Has no certificate for the client, and remembers that one was wanted.
#[derive(Debug, Default)]
struct NoCertificate {
    asked: AtomicBool,
}

impl NoCertificate {
    fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
