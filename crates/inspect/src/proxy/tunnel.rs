//! Both ways of a connection at once, without a look at what is in them.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Shared;
use super::connection::{Caller, READ_BYTES};
use super::target::Duplex;
use crate::capture::{Ending, Entry, Kind, Way};
use crate::http2::Streams;

/// How often a connection that has to end is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Who ended a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The one who speaks had said all.
    Said,
    /// The one who listens went away.
    Unheard,
}

/// Passes on a connection that is no HTTP/1.
pub(super) async fn bare(shared: &Shared, caller: Caller, kind: Kind) {
    let Caller { mut stream, peer, ahead, target } = caller;
    let entry = shared.book.open(kind, peer.to_string(), shared.target.to_string());
    entry.push(Way::Asked, &ahead);
    entry.change(|_| {});
    let streams = (kind == Kind::Http2)
        .then(|| Streams::new(&shared.book, &peer.to_string(), &shared.target.to_string()));
    let mut target = match reached(shared, kind, target).await {
        Ok(target) => target,
        Err(why) => {
            // A bare connection has no words for it: closing is what the target would do.
            entry.end(Ending::Unreached(why));
            return;
        }
    };
    let connected = entry.elapsed();
    entry.change(|page| page.times.connected = Some(connected));
    if target.write_all(&ahead).await.is_err() {
        entry.end(Ending::CutByTarget);
        return;
    }
    let mut seen = Seen { entry: &entry, streams: streams.map(Mutex::new) };
    seen.streams(Way::Asked, &ahead);
    let ending = tokio::select! {
        ending = pass(&seen, &mut stream, &mut target) => ending,
        // Rules act on connections that begin under them: the caller opens one when it next asks.
        () = seen.rested(shared) => Ending::ByRule("closed, as rules were set".to_owned()),
    };
    if let Some(streams) = &mut seen.streams {
        streams.get_mut().end(&ending);
    }
    entry.end(ending);
}

/// The connection to the target: the open one, or a new one that speaks the same.
///
/// # Errors
/// Why there is none, after the target's name.
pub(super) async fn reached(
    shared: &Shared,
    kind: Kind,
    open: Option<Box<dyn Duplex>>,
) -> Result<Box<dyn Duplex>, String> {
    if let Some(open) = open {
        return Ok(open);
    }
    if kind != Kind::Http2 {
        return shared.target.connect().await;
    }
    let (target, chosen) = shared.target.connect_as(&[b"h2"]).await?;
    if shared.target.has_tls() && chosen.as_deref() != Some(b"h2") {
        return Err("speaks no HTTP/2, and the caller nothing else".to_owned());
    }
    Ok(target)
}

/// Where what goes by is written down.
struct Seen<'a> {
    entry: &'a Entry,
    /// The streams of HTTP/2.
    streams: Option<Mutex<Streams>>,
}

impl Seen<'_> {
    /// Waits until rules were set, and then until no stream is open; for ever where no rule acts.
    async fn rested(&self, shared: &Shared) {
        let Some(streams) = &self.streams else { return std::future::pending().await };
        loop {
            let ruled = shared.ruled.notified();
            if !shared.rules.lock().is_empty() {
                break;
            }
            ruled.await;
        }
        let mut look = tokio::time::interval(LOOK);
        while !streams.lock().is_idle() {
            look.tick().await;
        }
    }

    fn streams(&self, way: Way, piece: &[u8]) {
        if let Some(streams) = &self.streams {
            streams.lock().push(way, piece);
        }
    }
}

/// Passes on both ways until both are over, and ends the exchange.
pub(super) async fn both<A, B>(entry: &Entry, caller: &mut A, target: &mut B)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let ending = pass(&Seen { entry, streams: None }, caller, target).await;
    entry.end(ending);
}

async fn pass<A, B>(seen: &Seen<'_>, caller: &mut A, target: &mut B) -> Ending
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut caller_read, mut caller_write) = tokio::io::split(caller);
    let (mut target_read, mut target_write) = tokio::io::split(target);
    let ask = one(seen, Way::Asked, &mut caller_read, &mut target_write);
    let answer = one(seen, Way::Answered, &mut target_read, &mut caller_write);
    let (ask, answer) = tokio::join!(ask, answer);
    match (ask, answer) {
        (_, End::Unheard) => Ending::CutByCaller,
        (End::Unheard, _) => Ending::CutByTarget,
        _ => Ending::Whole,
    }
}

async fn one<R, W>(seen: &Seen<'_>, way: Way, from: &mut R, to: &mut W) -> End
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let length = from.read(&mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..length).unwrap_or_default();
        if piece.is_empty() {
            // The other way may go on: a caller that has said all still waits for its answer.
            let _gone = to.shutdown().await;
            return End::Said;
        }
        let written = to.write_all(piece).await;
        seen.entry.push(way, piece);
        first(seen.entry, way);
        seen.streams(way, piece);
        if written.is_err() {
            return End::Unheard;
        }
    }
}

fn first(entry: &Entry, way: Way) {
    let now = entry.elapsed();
    entry.change(|page| {
        if way == Way::Answered && page.times.first.is_none() {
            page.times.first = Some(now);
        }
    });
}
