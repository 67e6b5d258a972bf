//! One connection to an upstream: name, TCP, TLS, within one deadline.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::base::is_localhost;
use super::tls::Tls;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconnected {
    /// The name has no address.
    #[error("the host name cannot be resolved")]
    Unresolved(#[source] Box<dyn Error + Send + Sync>),
    /// TCP failed.
    #[error("{}", tcp_text(&**.0))]
    Tcp(#[source] Box<dyn Error + Send + Sync>),
    /// The TLS handshake failed.
    #[error("TLS failed: {0}")]
    Tls(#[source] io::Error),
    /// It took longer than it may.
    #[error("no connection within {0:?}")]
    Late(Duration),
}

/// Names the frequent causes in a few words.
fn tcp_text(cause: &(dyn Error + 'static)) -> &'static str {
    let mut next = Some(cause);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return match io.kind() {
                io::ErrorKind::ConnectionRefused => "the connection was refused",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    "there is no route to the host"
                }
                io::ErrorKind::TimedOut => "the host did not answer",
                _ => "the connection failed",
            };
        }
        next = error.source();
    }
    "the connection failed"
}

/// Makes connections for the pool.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    http: HttpConnector<Resolver>,
    tls: Tls,
    within: Duration,
}

impl Connector {
    /// A connector whose every connection is there `within` this time.
    pub(super) fn new(tls: Tls, within: Duration) -> Self {
        let mut http = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        http.set_nodelay(true);
        http.enforce_http(false);
        http.set_keepalive(Some(Duration::from_secs(60)));
        Self { http, tls, within }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Unconnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { http, tls, within } = self.clone();
        Box::pin(async move {
            let stream = tokio::time::timeout(within, open(http, tls, uri)).await;
            stream.unwrap_or(Err(Unconnected::Late(within)))
        })
    }
}

async fn open(
    mut http: HttpConnector<Resolver>,
    tls: Tls,
    uri: Uri,
) -> Result<Stream, Unconnected> {
    let host = uri.host().unwrap_or("").trim_start_matches('[').trim_end_matches(']').to_owned();
    let https = uri.scheme_str() == Some("https");
    let tcp = http.call(uri).await.map_err(|cause| {
        let cause: Box<dyn Error + Send + Sync> = Box::new(cause);
        if is_unresolved(&*cause) {
            Unconnected::Unresolved(cause)
        } else {
            Unconnected::Tcp(cause)
        }
    })?;
    if !https {
        return Ok(Stream::Plain(tcp));
    }
    let tls = tls.handshake(tcp.into_inner(), &host).await.map_err(Unconnected::Tls)?;
    Ok(Stream::Tls(Box::new(TokioIo::new(tls))))
}

fn is_unresolved(cause: &(dyn Error + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(error) = next {
        if error.is::<NoAddress>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The name service had no answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoAddress(io::Error);

/// Looks names up, except those that are this machine by definition.
#[derive(Clone, Debug)]
struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = NoAddress;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, NoAddress>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NoAddress>> {
        self.0.poll_ready(cx).map_err(NoAddress)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if is_localhost(name.as_str()) {
            // IPv4 first: local model servers listen there, the other family is tried after it.
            let both = vec![
                SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
            ];
            return Box::pin(std::future::ready(Ok(both.into_iter())));
        }
        let lookup = self.0.call(name);
        Box::pin(async move {
            let found: Vec<SocketAddr> = lookup.await.map_err(NoAddress)?.collect();
            Ok(found.into_iter())
        })
    }
}

/// A connection, in the clear or not.
pub(super) enum Stream {
    /// Bytes as they are.
    Plain(TokioIo<TcpStream>),
    /// Inside TLS.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(tcp) => tcp.connected(),
            Self::Tls(tls) => {
                let (tcp, session) = tls.inner().get_ref();
                let connected = tcp.connected();
                if session.alpn_protocol() == Some(b"h2") {
                    connected.negotiated_h2()
                } else {
                    connected
                }
            }
        }
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(tcp) => tcp.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }
}
