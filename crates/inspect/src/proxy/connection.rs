//! One connection: what it speaks is seen from its first bytes.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::target::Duplex;
use super::{Shared, exchange, tls, tunnel, two};
use crate::capture::Kind;
use crate::http2::PREFACE;

/// The first byte of TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// Room for a read.
pub(super) const READ_BYTES: usize = 32 * 1024;

/// A connection of a caller, with the one to the target once there is one.
pub(super) struct Caller {
    pub(super) stream: Box<dyn Duplex>,
    pub(super) peer: SocketAddr,
    /// Read from the caller, and not yet passed on.
    pub(super) ahead: BytesMut,
    /// The open connection to the target.
    pub(super) target: Option<Box<dyn Duplex>>,
}

/// Serves a connection to its end.
pub(super) async fn serve(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let (stream, target) = match &shared.tls {
        Some(config) if is_tls(&stream).await => {
            match tls::accept(shared, config, stream, peer).await {
                Some(ends) => ends,
                None => return,
            }
        }
        _ => (Box::new(stream) as Box<dyn Duplex>, None),
    };
    let mut caller = Caller { stream, peer, ahead: BytesMut::with_capacity(READ_BYTES), target };
    let kind = loop {
        if let Some(kind) = kind_of(&caller.ahead) {
            break kind;
        }
        match caller.stream.read_buf(&mut caller.ahead).await {
            // Whoever says nothing may wait for the target to speak first.
            Ok(0) | Err(_) if caller.ahead.is_empty() => return,
            Ok(0) | Err(_) => break Kind::Lines,
            Ok(_) => {}
        }
    };
    let has_rules = !shared.rules.lock().is_empty();
    match kind {
        Kind::Http => exchange::all(shared, caller).await,
        Kind::Http2 if has_rules => Box::pin(two::all(shared, caller)).await,
        _ => tunnel::bare(shared, caller, kind).await,
    }
}

/// Whether the caller begins with TLS; its bytes stay where they are.
async fn is_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1)) && first == [TLS_HANDSHAKE]
}

/// What is spoken; nothing when more bytes have to be seen.
fn kind_of(bytes: &[u8]) -> Option<Kind> {
    const METHODS: &[&str] =
        &["GET ", "POST ", "PUT ", "PATCH ", "DELETE ", "HEAD ", "OPTIONS ", "TRACE ", "CONNECT "];
    let (first, _) = bytes.split_first()?;
    if *first == TLS_HANDSHAKE {
        return Some(Kind::Tls);
    }
    if bytes.starts_with(PREFACE) {
        return Some(Kind::Http2);
    }
    let begins = |word: &[u8]| word.starts_with(bytes) || bytes.starts_with(word);
    if METHODS.iter().any(|method| bytes.starts_with(method.as_bytes())) {
        return Some(Kind::Http);
    }
    if begins(PREFACE) || METHODS.iter().any(|method| begins(method.as_bytes())) {
        return None;
    }
    Some(Kind::Lines)
}

#[cfg(test)]
mod tests {
    use super::kind_of;
    use crate::capture::Kind;

    #[test]
    fn the_first_bytes_say_what_is_spoken() {
        assert_eq!(kind_of(b""), None);
        assert_eq!(kind_of(b"PO"), None);
        assert_eq!(kind_of(b"POST /"), Some(Kind::Http));
        assert_eq!(kind_of(b"PRI * HT"), None);
        assert_eq!(kind_of(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0"), Some(Kind::Http2));
        assert_eq!(kind_of(b"\x16\x03\x01"), Some(Kind::Tls));
        assert_eq!(kind_of(b"{\"a\""), Some(Kind::Lines));
        assert_eq!(kind_of(b"hello"), Some(Kind::Lines));
    }
}
