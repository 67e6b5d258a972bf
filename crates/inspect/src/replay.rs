//! Sends a recorded request again, to the same target or another.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::capture::{Book, Ending, Entry, Exchange, Kind, Way};
use crate::http::{Head, Meter, Side, Version};
use crate::proxy::{Duplex, Target};

/// Limit: how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Sends the request of an exchange to `target`, and writes what comes into `book`.
///
/// The number of the new exchange is given back; how it went is in the book.
///
/// # Errors
/// When the exchange has no request of HTTP that was recorded whole.
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
    let number = exchange.number;
    let Some(head) = exchange.ask.clone().filter(|_| exchange.kind == Kind::Http) else {
        return Err(format!(
            "exchange {number} is no HTTP request, and only those can be sent again"
        ));
    };
    if !exchange.asked.is_whole() {
        return Err(format!("exchange {number} was too long to be kept whole"));
    }
    let mut bytes = exchange.asked.bytes().to_vec();
    let is_elsewhere = target.to_string() != exchange.target;
    if is_elsewhere || head.version == Version::Two || !headers.is_empty() {
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
        bytes = head.write();
        bytes.extend_from_slice(exchange.ask_raw());
    }
    let entry = book.open(Kind::Http, format!("replay of {number}"), target.to_string());
    entry.push(Way::Asked, &bytes);
    let sent = Head::read(&bytes, Side::Ask).ok().flatten();
    entry.change(|page| {
        page.ask_framing = sent.as_ref().map_or(head.ask_framing(), Head::ask_framing);
        page.ask = sent;
    });
    let ending = match tokio::time::timeout(PATIENCE, send(&entry, target, &bytes)).await {
        Ok(ending) => ending,
        Err(_) => Ending::Unreached(format!("did not finish its answer within {PATIENCE:?}")),
    };
    entry.end(ending);
    Ok(entry.number())
}

async fn send(entry: &Entry, target: &Target, bytes: &[u8]) -> Ending {
    let mut stream = match target.connect().await {
        Ok(stream) => stream,
        Err(why) => return Ending::Unreached(why),
    };
    let connected = entry.elapsed();
    entry.change(|page| page.times.connected = Some(connected));
    if stream.write_all(bytes).await.is_err() {
        return Ending::CutByTarget;
    }
    let sent = entry.elapsed();
    entry.change(|page| page.times.sent = Some(sent));
    answer(entry, &mut stream).await
}

async fn answer(entry: &Entry, stream: &mut Box<dyn Duplex>) -> Ending {
    let method = entry.read(|page| page.ask.as_ref().map(|head| head.method().to_owned()));
    let (mut buffer, mut held) = (vec![0; 32 * 1024], Vec::new());
    let mut meter: Option<Meter> = None;
    loop {
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        let piece = buffer.get(..length).unwrap_or_default();
        if piece.is_empty() {
            let is_over = meter.as_ref().is_some_and(|meter| meter.is_endless() || meter.is_over());
            return if is_over { Ending::Whole } else { Ending::CutByTarget };
        }
        entry.push(Way::Answered, piece);
        let now = entry.elapsed();
        entry.change(|page| page.times.first = page.times.first.or(Some(now)));
        if let Some(meter) = &mut meter {
            meter.take(piece, &mut |_, _| {});
        } else {
            held.extend_from_slice(piece);
            let Ok(Some(head)) = Head::read(&held, Side::Answer) else { continue };
            let framing = head.answer_framing(method.as_deref().unwrap_or_default());
            let mut begun = Meter::new(framing);
            begun.take(held.get(head.length..).unwrap_or_default(), &mut |_, _| {});
            meter = Some(begun);
            entry.change(|page| {
                page.answer_framing = framing;
                page.answer = Some(head);
                page.times.first_body = Some(now);
            });
        }
        if meter.as_ref().is_some_and(Meter::is_over) {
            return Ending::Whole;
        }
    }
}
