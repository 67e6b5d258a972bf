//! The requests of one HTTP/1 connection, one after the other.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

use super::connection::{Caller, READ_BYTES};
use super::forward::{self, Outcome};
use super::held::Verdict;
use super::target::Duplex;
use super::{Shared, local, tunnel};
use crate::capture::{Ending, Entry, Kind, Way};
use crate::http::{Broken, Framing, Head, Meter, Side};
use crate::rule::Deed;

/// Limit: bytes of a request's body that is held because a rule has to see it.
pub(super) const HELD_BYTES_MAX: usize = 32 << 20;

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another request may come.
    Again,
    /// It is over.
    Close,
}

/// Serves requests until one of the sides closes.
pub(super) async fn all(shared: &Shared, mut caller: Caller) {
    loop {
        let head = match read_head(&mut caller).await {
            Ok(Some(head)) => head,
            Ok(None) => return,
            // What it is the target will say, in its own words.
            Err(_) => return tunnel::bare(shared, caller, Kind::Lines).await,
        };
        let next = if local::is_ours(&head) {
            Box::pin(local::answer(shared, &mut caller, head)).await
        } else {
            Box::pin(one(shared, &mut caller, head)).await
        };
        if next == Next::Close {
            let _gone = caller.stream.shutdown().await;
            return;
        }
    }
}

async fn read_head(caller: &mut Caller) -> Result<Option<Head>, Broken> {
    loop {
        if !caller.ahead.is_empty()
            && let Some(head) = Head::read(&caller.ahead, Side::Ask)?
        {
            return Ok(Some(head));
        }
        caller.ahead.reserve(READ_BYTES);
        match caller.stream.read_buf(&mut caller.ahead).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

async fn one(shared: &Shared, caller: &mut Caller, head: Head) -> Next {
    let entry = shared.book.open(Kind::Http, caller.peer.to_string(), shared.target.to_string());
    let raw = caller.ahead.split_to(head.length.min(caller.ahead.len()));
    entry.push(Way::Asked, &raw);
    let framing = head.ask_framing();
    entry.change(|page| {
        page.ask_framing = framing;
        page.ask = Some(head.clone());
    });
    let mut request = Request { head, raw, framing, body: None };
    let deed = match judged(shared, caller, &entry, &mut request).await {
        Ok(deed) => deed,
        Err(next) => return next,
    };
    if let Err(next) = reached(shared, caller, &entry).await {
        return next;
    }
    let Some(mut target) = caller.target.take() else { return Next::Close };
    match forward::both(&entry, caller, &mut target, (request, &deed)).await {
        Outcome::Whole { keep } => {
            entry.end(Ending::Whole);
            if !keep {
                return Next::Close;
            }
            caller.target = Some(target);
            Next::Again
        }
        Outcome::Upgraded => {
            entry.change(|page| page.kind = Kind::WebSocket);
            tunnel::both(&entry, &mut caller.stream, &mut target).await;
            Next::Close
        }
        Outcome::Ended(ending) => {
            entry.end(ending);
            Next::Close
        }
    }
}

/// A request on its way.
pub(super) struct Request {
    pub(super) head: Head,
    /// The head as it goes out.
    pub(super) raw: BytesMut,
    pub(super) framing: Framing,
    /// The body as it goes out, when it was held.
    pub(super) body: Option<Vec<u8>>,
}

/// What the rules do with a request, and the doing of what comes before it goes on.
async fn judged(
    shared: &Shared,
    caller: &mut Caller,
    entry: &Entry,
    request: &mut Request,
) -> Result<Deed, Next> {
    let rules = shared.rules.lock().clone();
    let mut payload = None;
    if rules.iter().any(|rule| rule.wants_body() || rule.deed.status.is_some()) {
        let raw = held_body(caller, entry, request).await.ok_or(Next::Close)?;
        payload = Some(request.framing.payload(&raw));
        request.body = Some(raw);
    }
    let (stream, ahead) = (&mut caller.stream, &mut caller.ahead);
    let judged = judge(shared, (entry, &request.head), payload.as_deref(), left(stream, ahead));
    match judged.await {
        Judged::Go(deed, edited) => {
            edit(shared, request, &deed, edited.or(payload));
            Ok(deed)
        }
        Judged::Drop => Err(Next::Close),
        Judged::Answer(answer) => {
            let next = said(caller, entry, &answer).await;
            Err(if request.head.keeps_alive() { next } else { Next::Close })
        }
    }
}

/// What the rules say about a request.
pub(super) enum Judged {
    /// It goes on, with a body that somebody wrote while it was held.
    Go(Deed, Option<Vec<u8>>),
    /// It is broken off; the book knows.
    Drop,
    /// It is answered with these bytes, head and body of HTTP/1.
    Answer(Vec<u8>),
}

/// Reads ahead until the caller hangs up; one that only closes its side cannot be told from one
/// that left.
async fn left(stream: &mut Box<dyn Duplex>, ahead: &mut BytesMut) {
    while ahead.len() < HELD_BYTES_MAX {
        ahead.reserve(READ_BYTES);
        if stream.read_buf(ahead).await.unwrap_or(0) == 0 {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Asks the rules, and waits where they say so; a request that is held while its caller `left` is
/// over.
pub(super) async fn judge(
    shared: &Shared,
    (entry, head): (&Entry, &Head),
    payload: Option<&[u8]>,
    left: impl Future<Output = ()>,
) -> Judged {
    let rules = shared.rules.lock().clone();
    let (mut deed, mut edited) = (Deed::default(), None);
    for rule in rules.iter().filter(|rule| rule.acts(head, payload)) {
        entry.change(|page| page.rules.push(rule.text().to_owned()));
        merge(&mut deed, &rule.deed);
    }
    if let Some(delay) = deed.delay {
        tokio::time::sleep(delay).await;
    }
    if deed.pause {
        entry.change(|_| {});
        let verdict = tokio::select! {
            biased;
            verdict = shared.held.hold(entry.number()) => verdict,
            () = left => {
                entry.end(Ending::CutByCaller);
                return Judged::Drop;
            }
        };
        match verdict {
            Verdict::Go => {}
            Verdict::GoWith(body) => edited = Some(body),
            Verdict::Drop => deed.drop = true,
        }
    }
    if deed.drop {
        entry.end(Ending::ByRule("the connection was closed".to_owned()));
        return Judged::Drop;
    }
    match deed.status {
        Some(status) => Judged::Answer(local::refusal(head, status, deed.retry_after)),
        None => Judged::Go(deed, edited),
    }
}

/// The body as a rule wants it.
pub(super) fn replaced(payload: &[u8], deed: &Deed) -> Vec<u8> {
    match &deed.replace {
        Some((from, to)) => {
            String::from_utf8_lossy(payload).replace(from.as_str(), to).into_bytes()
        }
        None => payload.to_vec(),
    }
}

/// An answer of our own, as far as the book is concerned the target's.
async fn said(caller: &mut Caller, entry: &Entry, answer: &[u8]) -> Next {
    let written = caller.stream.write_all(answer).await;
    entry.push(Way::Answered, answer);
    if let Ok(Some(head)) = Head::read(answer, Side::Answer) {
        entry.change(|page| {
            page.answer_framing = head.answer_framing("GET");
            page.answer = Some(head);
        });
    }
    entry.end(Ending::ByRule("answered by the inspector".to_owned()));
    if written.is_ok() { Next::Again } else { Next::Close }
}

fn merge(all: &mut Deed, one: &Deed) {
    all.delay = all.delay.max(one.delay);
    all.pause |= one.pause;
    all.drop |= one.drop;
    all.status = one.status.or(all.status);
    all.retry_after = one.retry_after.or(all.retry_after);
    all.cut = one.cut.or(all.cut);
    all.stall = one.stall.or(all.stall);
    all.set.extend(one.set.iter().cloned());
    all.reply_set.extend(one.reply_set.iter().cloned());
    all.replace = one.replace.clone().or(all.replace.take());
}

/// Writes the head and the body anew where a rule or the target's name asks for it.
fn edit(shared: &Shared, request: &mut Request, deed: &Deed, payload: Option<Vec<u8>>) {
    let before = request.head.clone();
    if let Some(host) = &shared.host {
        request.head.set("Host", host);
    }
    for (name, value) in &deed.set {
        request.head.set(name, value);
    }
    if let Some(payload) = payload {
        let as_it_came = request.framing.payload(request.body.as_deref().unwrap_or_default());
        let new = replaced(&payload, deed);
        if new != as_it_came {
            // What was written by hand is not packed.
            request.head.set("Content-Encoding", "");
            request.head.set("Transfer-Encoding", "");
            request.head.set("Content-Length", &new.len().to_string());
            request.body = Some(new);
        }
    }
    if request.head != before {
        request.raw = BytesMut::from(request.head.write().as_slice());
    }
}

/// The whole body of a request, as it came; nothing when the caller left or said too much.
async fn held_body(caller: &mut Caller, entry: &Entry, request: &Request) -> Option<Vec<u8>> {
    let mut meter = Meter::new(request.framing);
    let mut held = Vec::new();
    if request.head.says("expect", "100-continue") && !meter.is_over() {
        caller.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    loop {
        let length = meter.take(&caller.ahead, &mut |_, _| {});
        let piece = caller.ahead.split_to(length.min(caller.ahead.len()));
        entry.push(Way::Asked, &piece);
        held.extend_from_slice(&piece);
        if meter.is_over() {
            let sent = entry.elapsed();
            entry.change(|page| page.times.sent = Some(sent));
            return Some(held);
        }
        if held.len() > HELD_BYTES_MAX || meter.is_broken() {
            return None;
        }
        caller.ahead.reserve(READ_BYTES);
        if caller.stream.read_buf(&mut caller.ahead).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Makes sure that the target is connected; says so when it cannot be.
async fn reached(shared: &Shared, caller: &mut Caller, entry: &Entry) -> Result<(), Next> {
    if let Some(target) = &mut caller.target
        && is_stale(target).await
    {
        caller.target = None;
    }
    if caller.target.is_some() {
        return Ok(());
    }
    match shared.target.connect().await {
        Ok(target) => {
            let connected = entry.elapsed();
            entry.change(|page| page.times.connected = Some(connected));
            caller.target = Some(target);
            Ok(())
        }
        Err(why) => {
            let answer = local::unreached(&shared.target, &why);
            let _gone = caller.stream.write_all(&answer).await;
            entry.end(Ending::Unreached(why));
            caller.ahead.advance(caller.ahead.len());
            Err(Next::Close)
        }
    }
}

/// Whether an idle connection was closed, or says what nobody asked for.
async fn is_stale(target: &mut Box<dyn Duplex>) -> bool {
    let mut byte = [0];
    poll_fn(|cx| {
        let mut into = ReadBuf::new(&mut byte);
        Poll::Ready(Pin::new(&mut *target).poll_read(cx, &mut into).is_ready())
    })
    .await
}
