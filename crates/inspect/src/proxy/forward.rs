//! One request to the target and its answer to the caller, piece by piece as they come.

use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::connection::{Caller, READ_BYTES};
use super::exchange::Request;
use super::target::Duplex;
use crate::capture::{Ending, Entry, Way};
use crate::http::{Head, Meter, Side};
use crate::rule::Deed;

/// Limit: bytes of a caller's next requests that are read ahead.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// How long an answer stands still for a rule that says so.
pub(super) const STALL: Duration = Duration::from_secs(600);

/// How it went.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The answer is complete; both connections can be used again, or not.
    Whole {
        /// They can.
        keep: bool,
    },
    /// The answer was `101`: from here on the connection speaks something else.
    Upgraded,
    /// It broke off.
    Ended(Ending),
}

/// How the caller's side went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The caller hung up before it had said all.
    Cut,
    /// The target takes no more.
    Unheard,
    /// The caller said all, and closed its side.
    Closed,
}

/// Passes on a request and its answer.
pub(super) async fn both(
    entry: &Entry,
    caller: &mut Caller,
    target: &mut Box<dyn Duplex>,
    (request, deed): (Request, &Deed),
) -> Outcome {
    let method = request.head.method().to_owned();
    let alive = request.head.keeps_alive();
    let (mut target_read, mut target_write) = tokio::io::split(target);
    let (mut caller_read, mut caller_write) = tokio::io::split(&mut caller.stream);
    let mut whole = false;
    let outcome = {
        let said = Said { entry, request, ahead: &mut caller.ahead, whole: &mut whole };
        let ask = ask(said, &mut caller_read, &mut target_write);
        let answer = answer((entry, deed), &method, &mut target_read, &mut caller_write);
        tokio::pin!(ask, answer);
        let mut is_asking = true;
        loop {
            tokio::select! {
                biased;
                outcome = &mut answer => break outcome,
                end = &mut ask, if is_asking => match end {
                    Asked::Cut => break Outcome::Ended(Ending::CutByCaller),
                    // It may still say why it takes no more, or answer whoever closed one side.
                    Asked::Unheard | Asked::Closed => is_asking = false,
                },
            }
        }
    };
    match outcome {
        Outcome::Whole { keep } => Outcome::Whole { keep: keep && alive && whole },
        other => other,
    }
}

struct Said<'a> {
    entry: &'a Entry,
    request: Request,
    /// Read from the caller, and not yet passed on.
    ahead: &'a mut BytesMut,
    /// The request has gone out whole.
    whole: &'a mut bool,
}

/// The caller's side: the head, the body, and then whether it is still there.
async fn ask<R, W>(said: Said<'_>, from: &mut R, to: &mut W) -> Asked
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let Said { entry, request, ahead, whole } = said;
    let mut meter = Meter::new(request.framing);
    let mut first = request.raw;
    match &request.body {
        Some(body) => first.extend_from_slice(body),
        None => {
            // What came with the head goes out with it.
            let length = meter.take(ahead, &mut |_, _| {});
            let piece = ahead.split_to(length.min(ahead.len()));
            first.extend_from_slice(&piece);
            entry.push(Way::Asked, &piece);
        }
    }
    if to.write_all(&first).await.is_err() {
        return Asked::Unheard;
    }
    while request.body.is_none() && !meter.is_over() {
        ahead.reserve(READ_BYTES);
        if from.read_buf(ahead).await.unwrap_or(0) == 0 {
            return Asked::Cut;
        }
        let length = meter.take(ahead, &mut |_, _| {});
        let piece = ahead.split_to(length.min(ahead.len()));
        let written = to.write_all(&piece).await;
        entry.push(Way::Asked, &piece);
        if written.is_err() {
            return Asked::Unheard;
        }
    }
    *whole = true;
    let sent = entry.elapsed();
    entry.change(|page| page.times.sent = page.times.sent.or(Some(sent)));
    // A caller that leaves has to be noticed while the target thinks.
    loop {
        if ahead.len() >= AHEAD_BYTES_MAX {
            std::future::pending::<()>().await;
        }
        ahead.reserve(READ_BYTES);
        match from.read_buf(ahead).await {
            // It closed its side behind requests that are still to be answered, one by one.
            Ok(0) if !ahead.is_empty() => return Asked::Closed,
            Ok(0) => {
                *whole = false;
                let _gone = to.shutdown().await;
                return Asked::Closed;
            }
            Ok(_) => {}
            Err(_) => return Asked::Cut,
        }
    }
}

/// The target's side: heads, then the body.
async fn answer<R, W>(
    (entry, deed): (&Entry, &Deed),
    method: &str,
    from: &mut R,
    to: &mut W,
) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut back = BytesMut::with_capacity(READ_BYTES);
    let head = loop {
        match read_head(entry, from, &mut back).await {
            Ok(Some(head)) if (100..200).contains(&head.status()) && head.status() != 101 => {
                // An interim answer; the real one follows.
                let interim = back.split_to(head.length.min(back.len()));
                if to.write_all(&interim).await.is_err() {
                    return Outcome::Ended(Ending::CutByCaller);
                }
            }
            Ok(Some(head)) => break head,
            Ok(None) => {
                // No head, or half of one: the caller sees what there is.
                let _gone = to.write_all(&back).await;
                entry.push(Way::Answered, &back);
                return Outcome::Ended(Ending::CutByTarget);
            }
            Err(()) => return strange(entry, from, to, back).await,
        }
    };
    let raw = back.split_to(head.length.min(back.len()));
    entry.push(Way::Answered, &raw);
    let framing = head.answer_framing(method);
    let (upgraded, keep) = (head.status() == 101, head.keeps_alive());
    let shown = edited(&head, deed);
    entry.change(|page| {
        page.answer_framing = framing;
        page.answer = Some(head);
    });
    let mut meter = Meter::new(framing);
    let mut first = shown.map_or(raw, |bytes| BytesMut::from(bytes.as_slice()));
    if upgraded {
        first.extend_from_slice(&back);
        entry.push(Way::Answered, &back);
        let written = to.write_all(&first).await;
        return if written.is_ok() {
            Outcome::Upgraded
        } else {
            Outcome::Ended(Ending::CutByCaller)
        };
    }
    if to.write_all(&first).await.is_err() {
        return Outcome::Ended(Ending::CutByCaller);
    }
    let body = Body { entry, deed, meter: &mut meter, passed: 0 };
    match body.pass(from, to, back).await {
        Some(ending) => Outcome::Ended(ending),
        None => Outcome::Whole { keep: keep && !meter.is_endless() && !meter.is_broken() },
    }
}

/// Reads to the end of a head; nothing when the target closes before, an error for what is none.
async fn read_head<R: AsyncRead + Unpin>(
    entry: &Entry,
    from: &mut R,
    back: &mut BytesMut,
) -> Result<Option<Head>, ()> {
    loop {
        if !back.is_empty()
            && let Some(head) = Head::read(back, Side::Answer).map_err(drop)?
        {
            return Ok(Some(head));
        }
        back.reserve(READ_BYTES);
        if from.read_buf(back).await.unwrap_or(0) == 0 {
            return Ok(None);
        }
        let first = entry.elapsed();
        entry.change(|page| page.times.first = page.times.first.or(Some(first)));
    }
}

fn edited(head: &Head, deed: &Deed) -> Option<Vec<u8>> {
    if deed.reply_set.is_empty() {
        return None;
    }
    let mut head = head.clone();
    for (name, value) in &deed.reply_set {
        head.set(name, value);
    }
    Some(head.write())
}

/// An answer that is no HTTP/1: it goes on as it is, to its end.
async fn strange<R, W>(entry: &Entry, from: &mut R, to: &mut W, mut back: BytesMut) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    loop {
        let written = to.write_all(&back).await;
        entry.push(Way::Answered, &back);
        if written.is_err() {
            return Outcome::Ended(Ending::CutByCaller);
        }
        back.clear();
        if from.read_buf(&mut back).await.unwrap_or(0) == 0 {
            return Outcome::Whole { keep: false };
        }
    }
}

struct Body<'a> {
    entry: &'a Entry,
    deed: &'a Deed,
    meter: &'a mut Meter,
    passed: u64,
}

impl Body<'_> {
    /// Passes the body on to its end; how it ended when that was before.
    async fn pass<R, W>(mut self, from: &mut R, to: &mut W, mut back: BytesMut) -> Option<Ending>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            if !back.is_empty() {
                let length = self.meter.take(&back, &mut |_, _| {});
                // What comes after the end belongs to nobody; the caller sees it all the same.
                let piece = back.split_to(if length == 0 { back.len() } else { length });
                if let Some(ending) = self.piece(&piece, to).await {
                    return Some(ending);
                }
                continue;
            }
            if self.meter.is_over() {
                return None;
            }
            back.reserve(READ_BYTES);
            match from.read_buf(&mut back).await {
                Ok(0) if self.meter.is_endless() => return None,
                Ok(0) | Err(_) => return Some(Ending::CutByTarget),
                Ok(_) => {}
            }
        }
    }

    async fn piece<W: AsyncWrite + Unpin>(&mut self, piece: &[u8], to: &mut W) -> Option<Ending> {
        let end = self.deed.cut.or(self.deed.stall);
        let room = end.map_or(u64::MAX, |end| end.saturating_sub(self.passed));
        let length = usize::try_from(room).unwrap_or(usize::MAX).min(piece.len());
        let written = to.write_all(piece.get(..length).unwrap_or_default()).await;
        self.passed = self.passed.saturating_add(length as u64);
        self.entry.push(Way::Answered, piece);
        let now = self.entry.elapsed();
        self.entry.change(|page| page.times.first_body = page.times.first_body.or(Some(now)));
        if written.is_err() {
            return Some(Ending::CutByCaller);
        }
        if end.is_some_and(|end| self.passed >= end) {
            if self.deed.cut.is_none() {
                tokio::time::sleep(STALL).await;
            }
            return Some(Ending::ByRule(format!("cut after {} bytes", self.passed)));
        }
        None
    }
}
