//! Where everything goes: a host and a port, with or without TLS.

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long the target may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Both ways of a connection.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Reads an address.
type Read = dyn Fn(&str) -> Result<Target, String> + Send + Sync;

/// Reads addresses as the program's command line does; without a reader none can be read.
#[derive(Clone, Default)]
pub struct ReadTarget(Option<Arc<Read>>);

impl fmt::Debug for ReadTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadTarget").field("reads", &self.0.is_some()).finish()
    }
}

impl ReadTarget {
    /// Addresses as `read` reads them; its errors are one sentence.
    pub fn new(read: impl Fn(&str) -> Result<Target, String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(read)))
    }

    pub(crate) fn read(&self, text: &str) -> Result<Target, String> {
        match &self.0 {
            Some(read) => read(text),
            None => Err(format!("`{text}` cannot be read: this inspector knows no other servers")),
        }
    }
}

/// A server to pass traffic on to.
#[derive(Clone, Debug)]
pub struct Target {
    host: String,
    port: u16,
    tls: bool,
    config: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.is_empty() {
            return f.write_str("programs over pipes");
        }
        let scheme = if self.tls { "https://" } else { "" };
        write!(f, "{scheme}{}", self.authority())
    }
}

impl Target {
    /// A target whose port was read and found to be one.
    #[must_use]
    pub fn new(host: &str, port: u16, tls: bool) -> Self {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { host, port, tls, config: Arc::default() }
    }

    /// No server: nothing can be passed on.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new("", 0, false)
    }

    /// Trusts what `config` trusts, instead of the machine's certificates.
    #[must_use]
    pub fn trusting(self, config: ClientConfig) -> Self {
        let _was_empty = self.config.set(Ok(Arc::new(config)));
        self
    }

    /// Host and port, as in a `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Whether TLS is spoken with it.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.tls
    }

    /// Connects to speak HTTP/1, or whatever a bare connection speaks.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Duplex>, String> {
        Ok(self.connect_as(&[b"http/1.1"]).await?.0)
    }

    /// Connects; every address of the name is tried. With TLS one of the `protocols` is asked
    /// for, and the one that was chosen is given back.
    pub(crate) async fn connect_as(
        &self,
        protocols: &[&[u8]],
    ) -> Result<(Box<dyn Duplex>, Option<Vec<u8>>), String> {
        if self.host.is_empty() {
            return Err("have no address: start the inspector with `--to ADDRESS`".to_owned());
        }
        let place = (self.host.as_str(), self.port);
        let connected = tokio::time::timeout(CONNECT, TcpStream::connect(place)).await;
        let stream = match connected {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(said(&error)),
            Err(_) => return Err(format!("did not accept a connection within {CONNECT:?}")),
        };
        let _slower = stream.set_nodelay(true);
        if !self.tls {
            return Ok((Box::new(stream), None));
        }
        let config = match self.config.get_or_init(load) {
            Ok(config) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
                Arc::new(config)
            }
            Err(text) => return Err(text.clone()),
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|cause| cause.to_string())?;
        let shaken =
            tokio::time::timeout(CONNECT, TlsConnector::from(config).connect(name, stream));
        match shaken.await {
            Ok(Ok(stream)) => {
                let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                Ok((Box::new(stream), chosen))
            }
            Ok(Err(error)) => Err(format!("refused TLS: {error}")),
            Err(_) => Err(format!("did not finish the TLS handshake within {CONNECT:?}")),
        }
    }
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "refused the connection: nothing listens there".to_owned()
        }
        _ => format!("cannot be reached: {error}"),
    }
}

fn load() -> Result<Arc<ClientConfig>, String> {
    let unreadable = |cause: rustls::Error| format!("has no certificates to trust: {cause}");
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto);
    let builder = builder.with_safe_default_protocol_versions().map_err(unreadable)?;
    let builder = builder.with_platform_verifier().map_err(unreadable)?;
    Ok(Arc::new(builder.with_no_client_auth()))
}
