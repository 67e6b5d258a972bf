//! TLS towards upstreams: the machine's own trust, one crypto provider, loaded on first use.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What upstreams have to prove, and what protocols are offered to them.
///
/// Reading the machine's certificates takes milliseconds, so it waits for the first call by TLS:
/// a start without any upstream costs nothing, and one without certificates works.
#[derive(Clone, Default)]
pub struct Tls {
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("loaded", &self.config.get().is_some()).finish()
    }
}

impl Tls {
    /// Trusts what `config` trusts, instead of the machine's certificates.
    #[must_use]
    pub fn trusting(mut config: ClientConfig) -> Self {
        config.alpn_protocols = protocols();
        let tls = Self::default();
        // The cell is new, so it is empty.
        tls.config.set(Ok(Arc::new(config))).ok();
        tls
    }

    /// Speaks TLS on a connection; the name is what the certificate must be for.
    pub(super) async fn handshake(
        &self,
        tcp: TcpStream,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config().await?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|cause| io::Error::new(io::ErrorKind::InvalidInput, cause))?;
        TlsConnector::from(config).connect(name, tcp).await
    }

    /// As [`Tls::handshake`], for a connection that speaks HTTP/1.1 only.
    pub(crate) async fn handshake_http1(
        &self,
        tcp: TcpStream,
        host: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(&*self.config().await?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned())
            .map_err(|cause| io::Error::new(io::ErrorKind::InvalidInput, cause))?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }

    async fn config(&self) -> io::Result<Arc<ClientConfig>> {
        if self.config.get().is_none() {
            let cell = Arc::clone(&self.config);
            let load = move || {
                cell.get_or_init(load);
            };
            tokio::task::spawn_blocking(load).await.map_err(io::Error::other)?;
        }
        match self.config.get() {
            Some(Ok(config)) => Ok(Arc::clone(config)),
            Some(Err(text)) => Err(io::Error::other(text.clone())),
            None => Err(io::Error::other("the certificates were not loaded")),
        }
    }
}

fn load() -> Result<Arc<ClientConfig>, String> {
    let unreadable = |cause: rustls::Error| {
        format!("this machine's trusted certificates cannot be read: {cause}")
    };
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto);
    let builder = builder.with_safe_default_protocol_versions().map_err(unreadable)?;
    let builder = builder.with_platform_verifier().map_err(unreadable)?;
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = protocols();
    Ok(Arc::new(config))
}

fn protocols() -> Vec<Vec<u8>> {
    vec![b"h2".to_vec(), b"http/1.1".to_vec()]
}
