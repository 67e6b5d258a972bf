//! Speaks TLS to a port to see whether it answers, without judging the certificate.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a handshake ended.
#[derive(Debug)]
pub(crate) enum Handshake {
    /// The port speaks TLS.
    Done(Box<TlsStream<TcpStream>>, String),
    /// It answered with a TLS alert: it speaks TLS and refuses ours.
    Refused(String),
    /// It answered with something else.
    NotTls(String),
    /// It said nothing.
    Silent,
}

/// Makes a TLS handshake with `name` as the server's name.
pub(crate) async fn handshake(stream: TcpStream, name: &str, limit: Duration) -> Handshake {
    let config = match config() {
        Ok(config) => config,
        Err(error) => return Handshake::NotTls(error.to_string()),
    };
    let Ok(name) = ServerName::try_from(name.to_owned()) else {
        return Handshake::NotTls(format!("`{name}` cannot be a TLS server name"));
    };
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
            Handshake::Done(Box::new(stream), version)
        }
        Ok(Err(error)) => {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            match inner {
                Some(Error::AlertReceived(alert)) => Handshake::Refused(format!("{alert:?}")),
                Some(Error::PeerIncompatible(reason)) => Handshake::Refused(format!("{reason:?}")),
                Some(_) | None => Handshake::NotTls(error.to_string()),
            }
        }
    }
}

fn config() -> Result<ClientConfig, Box<Error>> {
    let provider: CryptoProvider = rustls::crypto::aws_lc_rs::default_provider();
    let witness = Arc::new(Witness { algorithms: provider.signature_verification_algorithms });
    Ok(ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .map_err(Box::new)?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth())
}

/// Accepts every certificate: the probe sends nothing worth protecting.
#[derive(Debug)]
struct Witness {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
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
