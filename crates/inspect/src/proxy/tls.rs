//! TLS of callers, ended here with a certificate of ours, so that what is inside can be seen.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::Shared;
use super::target::Duplex;
use crate::capture::{Ending, Kind};

/// How long a caller may take for its part of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What can be read here.
const KNOWN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Both ends of a connection: the caller's, and the target's where it is open already.
type Ends = (Box<dyn Duplex>, Option<Box<dyn Duplex>>);

/// Shakes hands with a caller. It is offered what the target speaks: bytes can go on unchanged only
/// where both speak the same.
pub(super) async fn accept(
    shared: &Shared,
    config: &Arc<ServerConfig>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<Ends> {
    let fail = |why: String| {
        let entry = shared.book.open(Kind::Tls, peer.to_string(), shared.target.to_string());
        entry.end(Ending::Unreached(why));
    };
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let start = match tokio::time::timeout(HANDSHAKE, hello).await {
        Ok(Ok(start)) => start,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a caller's TLS could not be read");
            return None;
        }
        Err(_) => return None,
    };
    let offered: Vec<Vec<u8>> = start
        .client_hello()
        .alpn()
        .map(|names| names.map(<[u8]>::to_vec).collect())
        .unwrap_or_default();
    let wanted: Vec<&[u8]> =
        KNOWN.iter().copied().filter(|name| offered.iter().any(|one| one == name)).collect();
    let (target, chosen) = if shared.target.has_tls() {
        let asked = if wanted.is_empty() { vec![&b"http/1.1"[..]] } else { wanted };
        match shared.target.connect_as(&asked).await {
            Ok((target, chosen)) => (Some(target), chosen),
            Err(why) => {
                fail(why);
                return None;
            }
        }
    } else {
        // Nothing tells whether a server without TLS knows HTTP/2: only who speaks nothing else
        // gets it.
        let chosen = match wanted.as_slice() {
            [only] => Some(only.to_vec()),
            [] => None,
            _ => Some(b"http/1.1".to_vec()),
        };
        (None, chosen)
    };
    let mut config = ServerConfig::clone(config);
    config.alpn_protocols = chosen.into_iter().collect();
    match tokio::time::timeout(HANDSHAKE, start.into_stream(Arc::new(config))).await {
        Ok(Ok(stream)) => Some((Box::new(stream), target)),
        Ok(Err(error)) => {
            fail(format!(
                "was not asked: the caller refused the inspector's certificate ({error})"
            ));
            None
        }
        Err(_) => None,
    }
}
