//! Sends again what was recorded, to the same target or another.

mod talk;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::capture::{Book, Ending, Entry, Exchange, Kind, Way};
use crate::http::{Head, Meter, Side, Version};
use crate::proxy::{Duplex, Target};

/// Limit: how long it may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends to `target` what the caller of an exchange said, and writes what comes into `book`: a
/// request, all messages of a WebSocket, or all lines of a bare connection.
///
/// The number of the new exchange is given back; how it went is in the book.
///
/// # Errors
/// When nothing can be sent again: what went over a pipe or inside TLS, a whole connection of
/// HTTP/2 (its streams can), and what was too long to be kept.
pub async fn replay(exchange: &Exchange, target: &Target, book: &Book) -> Result<u64, String> {
    replay_with(exchange, target, book, &[]).await
}

/// As [`replay`], with these headers set; those without a value are taken away. `Host` is the
/// target's unless it is among them.
///
/// # Errors
/// As [`replay`].
pub async fn replay_with(
    exchange: &Exchange,
    target: &Target,
    book: &Book,
    headers: &[(String, String)],
) -> Result<u64, String> {
    Ok(Again::new(exchange, target, headers)?.send(target, book).await)
}

/// What is sent again.
#[derive(Debug)]
pub(crate) struct Again {
    kind: Kind,
    /// The number of the exchange that it was.
    number: u64,
    /// Head and body of a request, or the head alone of what becomes a WebSocket.
    request: Vec<u8>,
    talk: talk::Talk,
}

impl Again {
    /// What of an exchange can be sent to `target` again, with these headers set.
    ///
    /// # Errors
    /// As [`replay`].
    pub(crate) fn new(
        exchange: &Exchange,
        target: &Target,
        headers: &[(String, String)],
    ) -> Result<Self, String> {
        let number = exchange.number;
        if !exchange.asked.is_whole() {
            return Err(format!("exchange {number} was too long to be kept whole"));
        }
        let (request, talk) = match (exchange.kind, &exchange.ask) {
            (Kind::Http, Some(head)) => {
                (request(exchange, head, (target, headers)), talk::Talk::default())
            }
            (Kind::WebSocket, Some(head)) => {
                (upgrade(exchange, head, (target, headers)), talk::websocket(exchange))
            }
            (Kind::Lines, _) => (Vec::new(), talk::lines(exchange)),
            (kind, _) => {
                let text = match kind {
                    Kind::Http2 => "a connection of HTTP/2: send one of its streams again",
                    Kind::Tls => "TLS that was not ended here, so that nothing of it is known",
                    Kind::Stdio => "what went over a pipe: start the program with it again",
                    _ => "a connection without a request",
                };
                return Err(format!("exchange {number} is {text}"));
            }
        };
        Ok(Self { kind: exchange.kind, number, request, talk })
    }

    /// Sends it, and gives the number under which it stands in the book.
    pub(crate) async fn send(self, target: &Target, book: &Book) -> u64 {
        // What is asked to become a WebSocket may stay a request.
        let kind = if self.kind == Kind::WebSocket { Kind::Http } else { self.kind };
        let entry = book.open(kind, format!("replay of {}", self.number), target.to_string());
        let ending = match tokio::time::timeout(PATIENCE, self.spoken(&entry, target)).await {
            Ok(ending) => ending,
            Err(_) => Ending::Unreached(format!("did not finish its answer within {PATIENCE:?}")),
        };
        entry.end(ending);
        entry.number()
    }

    async fn spoken(&self, entry: &Entry, target: &Target) -> Ending {
        if self.kind != Kind::Lines {
            entry.push(Way::Asked, &self.request);
            let sent = Head::read(&self.request, Side::Ask).ok().flatten();
            entry.change(|page| {
                page.ask_framing = sent.as_ref().map_or(page.ask_framing, Head::ask_framing);
                page.ask = sent;
            });
        }
        let mut stream = match target.connect().await {
            Ok(stream) => stream,
            Err(why) => return Ending::Unreached(why),
        };
        let connected = entry.elapsed();
        entry.change(|page| page.times.connected = Some(connected));
        if self.kind == Kind::Lines {
            return self.talk.hold(entry, &mut stream, Vec::new()).await;
        }
        if stream.write_all(&self.request).await.is_err() {
            return Ending::CutByTarget;
        }
        let sent = entry.elapsed();
        entry.change(|page| page.times.sent = Some(sent));
        match answer(entry, &mut stream).await {
            Answered::Over(ending) => ending,
            Answered::Upgraded(ahead) => {
                entry.change(|page| page.kind = Kind::WebSocket);
                self.talk.hold(entry, &mut stream, ahead).await
            }
        }
    }
}

/// A request as it goes out again, head and body.
fn request(
    exchange: &Exchange,
    head: &Head,
    (target, headers): (&Target, &[(String, String)]),
) -> Vec<u8> {
    let is_elsewhere = target.to_string() != exchange.target;
    if !is_elsewhere && head.version != Version::Two && headers.is_empty() {
        return exchange.asked.bytes().to_vec();
    }
    let mut head = head.clone();
    // Another server answers to another name.
    if is_elsewhere {
        head.set("Host", &target.authority());
    }
    if head.version == Version::Two {
        // A stream is sent as HTTP/1, which says in its head how long the body is.
        head.version = Version::One;
        head.set("te", "");
        head.set("Content-Length", &exchange.ask_raw().len().to_string());
    }
    for (name, value) in headers {
        head.set(name, value);
    }
    let mut bytes = head.write();
    bytes.extend_from_slice(exchange.ask_raw());
    bytes
}

/// The request for a WebSocket: messages go out unpacked, so it asks for no packing.
fn upgrade(
    exchange: &Exchange,
    head: &Head,
    (target, headers): (&Target, &[(String, String)]),
) -> Vec<u8> {
    let mut head = head.clone();
    if target.to_string() != exchange.target {
        head.set("Host", &target.authority());
    }
    head.set(crate::websocket::EXTENSIONS, "");
    for (name, value) in headers {
        head.set(name, value);
    }
    head.write()
}

/// What came first.
enum Answered {
    /// All of it.
    Over(Ending),
    /// A WebSocket, and these bytes of it.
    Upgraded(Vec<u8>),
}

async fn answer(entry: &Entry, stream: &mut Box<dyn Duplex>) -> Answered {
    let method = entry.read(|page| page.ask.as_ref().map(|head| head.method().to_owned()));
    let (mut buffer, mut held) = (vec![0; 32 * 1024], Vec::new());
    let (mut meter, mut is_odd): (Option<Meter>, bool) = (None, false);
    loop {
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..length).unwrap_or_default();
        if piece.is_empty() {
            let is_over = meter.as_ref().is_some_and(|meter| meter.is_endless() || meter.is_over());
            return Answered::Over(if is_over { Ending::Whole } else { Ending::CutByTarget });
        }
        entry.push(Way::Answered, piece);
        let now = entry.elapsed();
        entry.change(|page| page.times.first = page.times.first.or(Some(now)));
        if let Some(meter) = &mut meter {
            meter.take(piece, &mut |_, _| {});
        } else if !is_odd {
            held.extend_from_slice(piece);
            let head = match Head::read(&held, Side::Answer) {
                Ok(Some(head)) => head,
                Ok(None) => continue,
                // Whatever it is, nothing more can be read of it.
                Err(_) => {
                    is_odd = true;
                    held = Vec::new();
                    continue;
                }
            };
            let is_upgraded = head.status() == 101;
            let framing = head.answer_framing(method.as_deref().unwrap_or_default());
            let mut begun = Meter::new(framing);
            let ahead = held.get(head.length..).unwrap_or_default().to_vec();
            begun.take(&ahead, &mut |_, _| {});
            meter = Some(begun);
            entry.change(|page| {
                page.answer_framing = framing;
                page.answer = Some(head);
                page.times.first_body = Some(now);
            });
            if is_upgraded {
                return Answered::Upgraded(ahead);
            }
        }
        if meter.as_ref().is_some_and(Meter::is_over) {
            return Answered::Over(Ending::Whole);
        }
    }
}
