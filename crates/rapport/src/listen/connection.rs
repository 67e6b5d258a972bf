//! One connection: what it speaks is found out from its first bytes, then it is served.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use gateway::Peer;
use gateway::lane::Terms;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::door::{Door, Place, Site};
use super::http;
use super::pace::KEEP_ALIVE;
use super::refuse::{Reason, answer, say};
use super::replay::Replay;
use super::sniff::{Protocol, sniff};
use crate::config::TlsMode;

/// Room for the first read: most requests fit.
const FIRST_BYTES: usize = 1024;

/// Limit: how long a refused connection may take to say what it speaks.
const REFUSED_PATIENCE: Duration = Duration::from_secs(1);

/// Serves a connection to its end.
pub(super) async fn serve(door: Arc<Door>, mut stream: TcpStream, peer: Peer, place: Place) {
    let Some((first, protocol)) = listen_first(&mut stream, &door).await else { return };
    let required = door.tls_mode == TlsMode::Required;
    match (protocol, door.tls()) {
        (Protocol::Tls, Some(config)) => {
            Box::pin(encrypted(door, config, Replay::new(first, stream), peer, place)).await;
        }
        (Protocol::Tls, None) => {
            door.complain(
                "a TLS handshake arrived and `tls.mode` is off: use http://, or set `tls.mode`",
            );
            say(&mut stream, &answer(Reason::NoTls, Protocol::Tls)).await;
        }
        (Protocol::Http | Protocol::Lines, _) if required => {
            let reason = Reason::TlsRequired(door.port);
            say(&mut stream, &answer(reason, protocol)).await;
        }
        (Protocol::Http | Protocol::Lines, _) => {
            let caller = Caller { stream, first, protocol, peer, place };
            // Boxed, so that a connection that waits for its first byte stays small.
            Box::pin(speak(door, caller)).await;
        }
    }
}

/// Tells a connection that it is not let in, in its own protocol if it says which.
pub(super) async fn refuse(mut stream: TcpStream, door: &Door, reason: Reason) {
    let mut first = BytesMut::with_capacity(64);
    let found = read_first(&mut stream, &mut first, Instant::now() + REFUSED_PATIENCE, door);
    let protocol = found.await.unwrap_or(Protocol::Lines);
    say(&mut stream, &answer(reason, protocol)).await;
}

/// A connection whose protocol is known.
struct Caller<S> {
    stream: S,
    first: BytesMut,
    protocol: Protocol,
    peer: Peer,
    place: Place,
}

/// Reads the first bytes. A connection that sends none is closed without a word, as port scans and
/// health probes expect.
async fn listen_first<S: AsyncRead + Unpin>(
    stream: &mut S,
    door: &Door,
) -> Option<(BytesMut, Protocol)> {
    let limits = door.limits();
    let mut first = BytesMut::with_capacity(FIRST_BYTES);
    let silence = Instant::now() + limits.line_idle;
    let read = timeout_at(silence, stream.read_buf(&mut first));
    let length = tokio::select! {
        () = door.stop.cancelled() => return None,
        read = read => read.ok()?.ok()?,
    };
    if length == 0 {
        return None;
    }
    let deadline = Instant::now() + limits.header_read;
    let protocol = read_first(stream, &mut first, deadline, door).await?;
    Some((first, protocol))
}

/// Reads until the bytes say what is spoken; who stops in between is a line that never ended.
async fn read_first<S: AsyncRead + Unpin>(
    stream: &mut S,
    first: &mut BytesMut,
    deadline: Instant,
    door: &Door,
) -> Option<Protocol> {
    loop {
        if let Some(protocol) = sniff(first) {
            return Some(protocol);
        }
        let read = timeout_at(deadline, stream.read_buf(first));
        let length = tokio::select! {
            () = door.stop.cancelled() => return None,
            read = read => read.ok().and_then(Result::ok),
        };
        match length {
            Some(0) | None if first.is_empty() => return None,
            Some(0) | None => return Some(Protocol::Lines),
            Some(_) => {}
        }
    }
}

async fn encrypted(
    door: Arc<Door>,
    config: Arc<rustls::ServerConfig>,
    stream: Replay<TcpStream>,
    peer: Peer,
    place: Place,
) {
    let deadline = Instant::now() + door.limits().header_read;
    let shaken = timeout_at(deadline, TlsAcceptor::from(config).accept(stream)).await;
    let mut stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // The usual reason is a caller that does not trust the certificate, and it says so.
            tracing::debug!(peer = %peer.addr, %error, "TLS handshake failed");
            return;
        }
        Err(_) => return,
    };
    let Some((first, protocol)) = listen_first(&mut stream, &door).await else { return };
    if protocol == Protocol::Tls {
        say(&mut stream, &answer(Reason::NoTls, Protocol::Lines)).await;
        return;
    }
    let peer = Peer { tls: true, ..peer };
    Box::pin(speak(door, Caller { stream, first, protocol, peer, place })).await;
}

async fn speak<S>(door: Arc<Door>, mut caller: Caller<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Some(site) = door.site().await else {
        let bytes = answer(Reason::Starting, caller.protocol);
        say(&mut caller.stream, &bytes).await;
        return;
    };
    let mut place = caller.place;
    place.count(&site.gateway);
    if caller.protocol == Protocol::Lines {
        site.gateway.lines(caller.stream, caller.peer, caller.first).await;
        drop(place);
        return;
    }
    // Requests are waited for at shutdown; this task may be closed before.
    let caller = Caller { place, ..caller };
    door.request(requests(Arc::clone(&door), site, caller));
}

/// Serves the requests of an HTTP connection: model calls at its front by the gateway's own lane,
/// everything from the first other request on by the general server.
async fn requests<S>(door: Arc<Door>, site: Site, caller: Caller<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Caller { stream, first, peer, place, .. } = caller;
    let header_read = door.limits().header_read;
    let terms = Terms { peer, header_read, keep_alive: KEEP_ALIVE, stop: door.stop.clone() };
    let rest = {
        let calls = Box::pin(site.gateway.lane(stream, first, &terms));
        tokio::select! {
            rest = calls => rest,
            () = door.close.cancelled() => None,
        }
    };
    let Some((first, stream)) = rest else { return };
    let stream = Replay::keeping(first, stream, place);
    Box::pin(http::serve(door, site.routes, stream, peer)).await;
}
