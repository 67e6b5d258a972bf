//! Both ways of a connection at once, without a look at what is in them.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Shared;
use super::connection::{Caller, READ_BYTES};
use crate::capture::{Ending, Entry, Kind, Way};

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
    let Caller { mut stream, peer, ahead, .. } = caller;
    let entry = shared.book.open(kind, peer.to_string(), shared.target.to_string());
    entry.push(Way::Asked, &ahead);
    entry.change(|_| {});
    let mut target = match shared.target.connect().await {
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
    both(&entry, &mut stream, &mut target).await;
}

/// Passes on both ways until both are over, and ends the exchange.
pub(super) async fn both<A, B>(entry: &Entry, caller: &mut A, target: &mut B)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let (mut caller_read, mut caller_write) = tokio::io::split(caller);
    let (mut target_read, mut target_write) = tokio::io::split(target);
    let ask = one(entry, Way::Asked, &mut caller_read, &mut target_write);
    let answer = one(entry, Way::Answered, &mut target_read, &mut caller_write);
    let (ask, answer) = tokio::join!(ask, answer);
    entry.end(match (ask, answer) {
        (_, End::Unheard) => Ending::CutByCaller,
        (End::Unheard, _) => Ending::CutByTarget,
        _ => Ending::Whole,
    });
}

async fn one<R, W>(entry: &Entry, way: Way, from: &mut R, to: &mut W) -> End
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
        entry.push(way, piece);
        first(entry, way);
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
