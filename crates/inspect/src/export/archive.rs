//! Reads HTTP archives (HAR 1.2), as browsers and traffic tools write them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Broken;
use crate::capture::{Arrival, Ending, Exchange, Kind, Tape, Times};
use crate::http::{Framing, Head, Side};
use crate::websocket::{self, TEXT};

#[derive(Deserialize)]
struct Archive {
    log: Log,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    started_date_time: String,
    #[serde(default)]
    time: f64,
    request: Request,
    response: Response,
    #[serde(default)]
    timings: Timings,
    #[serde(default, rename = "_events")]
    events: Vec<Event>,
    #[serde(default, rename = "_webSocketMessages")]
    messages: Vec<Message>,
}

/// A message of a WebSocket, as Chrome writes it.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    from: String,
    /// In seconds since 1970.
    time: f64,
    opcode: u8,
    data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    post_data: Option<PostData>,
}

#[derive(Deserialize)]
struct PostData {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    params: Vec<Param>,
}

#[derive(Deserialize)]
struct Param {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    status: i64,
    #[serde(default)]
    status_text: String,
    #[serde(default)]
    headers: Vec<Pair>,
    #[serde(default)]
    content: Content,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct Pair {
    name: String,
    value: String,
}

/// Milliseconds; below nothing where it did not happen.
#[derive(Default, Deserialize)]
struct Timings {
    #[serde(default)]
    connect: Option<f64>,
    #[serde(default)]
    send: Option<f64>,
    #[serde(default)]
    wait: Option<f64>,
}

/// What our own archives say of events.
#[derive(Deserialize)]
struct Event {
    at_ms: f64,
}

/// The exchanges of an archive, numbered from 1.
///
/// Bodies are as the archive has them: unpacked, and without the framing that they had.
///
/// # Errors
/// When it is no archive.
pub fn read_har(text: &str) -> Result<Vec<Exchange>, Broken> {
    let text = text.trim_start_matches('\u{feff}');
    let archive: Archive = serde_json::from_str(text)
        .map_err(|cause| Broken(format!("this is no HTTP archive: {cause}")))?;
    (1..).zip(archive.log.entries).map(|(number, entry)| exchange(number, &entry)).collect()
}

fn exchange(number: u64, entry: &Entry) -> Result<Exchange, Broken> {
    let said = |why: String| Broken(format!("entry {number}: {why}"));
    let (target, path) = place(&entry.request.url)
        .ok_or_else(|| said(format!("`{}` is no URL", entry.request.url)))?;
    let begun = entry
        .started_date_time
        .parse()
        .map_err(|cause| said(format!("`{}` is no time: {cause}", entry.started_date_time)))?;
    let connected = ms(entry.timings.connect);
    let sent = connected + ms(entry.timings.send);
    let first = sent + ms(entry.timings.wait);
    let over = ms(Some(entry.time)).max(first);
    let line = format!("{} {path} HTTP/1.1", entry.request.method);
    let body = entry.request.post_data.as_ref().map(posted).unwrap_or_default();
    let asked = written(&line, &entry.request.headers, &body);
    let ask = Head::read(&asked, Side::Ask).map_err(|broken| said(broken.to_string()))?;
    let answered = answer(&entry.response).map_err(said)?;
    let answer = answered.as_ref().and_then(|bytes| Head::read(bytes, Side::Answer).ok()?);
    let framing = |head: &Head| head.answer_framing(&entry.request.method);
    let status = answer.as_ref().map_or(0, Head::status);
    let head_length = answer.as_ref().map_or(0, |head| head.length);
    let mut exchange = Exchange {
        number,
        kind: if status == 101 { Kind::WebSocket } else { Kind::Http },
        begun,
        peer: "an archive".to_owned(),
        target,
        ask_framing: ask.as_ref().map_or(Framing::Empty, Head::ask_framing),
        asked: tape(asked, sent),
        ask,
        answer_framing: answer.as_ref().map_or(Framing::Close, framing),
        answered: stream(answered.unwrap_or_default(), head_length, (first, over), &entry.events),
        trailers: Vec::new(),
        aside: Tape::default(),
        times: Times {
            connected: entry.timings.connect.filter(|ms| *ms >= 0.0).map(|_| connected),
            sent: Some(sent),
            first: answer.as_ref().map(|_| first),
            first_body: answer.as_ref().map(|_| first),
            over: Some(over),
        },
        ending: match answer {
            Some(_) => Ending::Whole,
            None => Ending::Unreached("has no answer in the archive".to_owned()),
        },
        answer,
        rules: Vec::new(),
    };
    talked(&mut exchange, &entry.messages);
    Ok(exchange)
}

/// Writes the messages of a WebSocket behind the heads, as frames.
fn talked(exchange: &mut Exchange, messages: &[Message]) {
    let begun = exchange.begun.as_microsecond() as f64 / 1e6;
    for message in messages.iter().filter(|_| exchange.kind == Kind::WebSocket) {
        let bytes = match STANDARD.decode(&message.data) {
            Ok(bytes) if message.opcode != TEXT => bytes,
            Ok(_) | Err(_) => message.data.clone().into_bytes(),
        };
        let at = Duration::try_from_secs_f64(message.time - begun).unwrap_or_default();
        let from_caller = message.from == "send";
        let frame = websocket::write(message.opcode & 0x0f, &bytes, from_caller);
        let tape = if from_caller { &mut exchange.asked } else { &mut exchange.answered };
        tape.push(&frame, at, usize::MAX);
    }
}

fn ms(value: Option<f64>) -> Duration {
    Duration::try_from_secs_f64(value.unwrap_or_default() / 1e3).unwrap_or_default()
}

/// Host and port as a target is written, and the path with its query.
fn place(url: &str) -> Option<(String, String)> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split('#').next().unwrap_or_default();
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(cut)?;
    let host = host.rsplit('@').next().unwrap_or_default();
    if host.is_empty() {
        return None;
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    let scheme = if matches!(scheme, "https" | "wss") { "https://" } else { "" };
    Some((format!("{scheme}{host}"), format!("{slash}{path}")))
}

fn posted(data: &PostData) -> Vec<u8> {
    if let Some(text) = data.text.as_ref().filter(|text| !text.is_empty()) {
        return text.clone().into_bytes();
    }
    let pairs = data.params.iter().map(|param| format!("{}={}", param.name, param.value));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

fn answer(response: &Response) -> Result<Option<Vec<u8>>, String> {
    if !(100..1000).contains(&response.status) {
        return Ok(None);
    }
    let text = response.content.text.as_deref().unwrap_or_default();
    let body = match response.content.encoding.as_deref() {
        Some("base64") => {
            STANDARD.decode(text).map_err(|cause| format!("its content is broken: {cause}"))?
        }
        _ => text.as_bytes().to_vec(),
    };
    let line = format!("HTTP/1.1 {} {}", response.status, response.status_text);
    Ok(Some(written(&line, &response.headers, &body)))
}

/// Head and body; the body's length is said anew, since its framing and packing are gone.
fn written(line: &str, headers: &[Pair], body: &[u8]) -> Vec<u8> {
    const OF_THE_WAY: &[&str] =
        &["content-length", "content-encoding", "transfer-encoding", "sec-websocket-extensions"];
    let mut text = format!("{line}\r\n");
    for Pair { name, value } in headers {
        let is_gone = OF_THE_WAY.iter().any(|gone| name.eq_ignore_ascii_case(gone));
        if !is_gone && !name.starts_with(':') {
            let value = value.replace(['\r', '\n'], " ");
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !body.is_empty() || line.starts_with("HTTP/") {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn tape(bytes: Vec<u8>, at: Duration) -> Tape {
    let end = bytes.len() as u64;
    let arrivals = if end == 0 { Vec::new() } else { vec![Arrival { end, at }] };
    Tape::restore(bytes, arrivals, end)
}

/// An answer whose events came when the archive says; without a word on it, its body came at its
/// end.
fn stream(
    bytes: Vec<u8>,
    head: usize,
    (first, over): (Duration, Duration),
    events: &[Event],
) -> Tape {
    let total = bytes.len() as u64;
    if head == 0 || bytes.len() <= head {
        return tape(bytes, first);
    }
    let mut arrivals = vec![Arrival { end: head as u64, at: first }];
    let body = bytes.get(head..).unwrap_or_default();
    let ends: Vec<usize> = ends_of_events(body);
    if !events.is_empty() && ends.len() == events.len() {
        let pairs = ends.iter().zip(events);
        arrivals.extend(pairs.map(|(end, event)| Arrival {
            end: (head + end) as u64,
            at: ms(Some(event.at_ms)).max(first),
        }));
    }
    if arrivals.last().is_none_or(|last| last.end < total) {
        arrivals.push(Arrival { end: total, at: over });
    }
    Tape::restore(bytes, arrivals, total)
}

/// Where each block of lines with something in it ends.
fn ends_of_events(body: &[u8]) -> Vec<usize> {
    let (mut ends, mut place, mut is_block) = (Vec::new(), 0, false);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        place += line.len();
        let is_empty = line.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        if is_empty && is_block {
            ends.push(place);
        }
        is_block = !is_empty;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::read_har;
    use crate::capture::Ending;

    #[test]
    fn an_archive_of_a_browser_becomes_exchanges() {
        let text = r#"{"log": {"version": "1.2", "entries": [
            {"startedDateTime": "2026-11-01T10:00:00.000+01:00", "time": 41.5,
             "request": {"method": "POST", "url": "http://localhost:3000/api?x=1#part",
               "headers": [{"name": ":authority", "value": "localhost:3000"},
                           {"name": "Content-Length", "value": "99"}],
               "postData": {"mimeType": "application/json", "text": "{\"a\":1}"}},
             "response": {"status": 200, "statusText": "OK",
               "headers": [{"name": "content-encoding", "value": "br"}],
               "content": {"size": 2, "mimeType": "text/plain", "text": "aGk=",
                           "encoding": "base64"}},
             "timings": {"blocked": 1, "connect": -1, "send": 1, "wait": 30, "receive": 10}},
            {"startedDateTime": "2026-11-01T10:00:01Z", "time": 0,
             "request": {"method": "GET", "url": "https://example.org"},
             "response": {"status": 0}}]}}"#;
        let all = read_har(text).unwrap();
        let [first, second] = &all[..] else { panic!("{all:?}") };
        assert_eq!(first.title(), "POST /api?x=1");
        assert_eq!(
            (first.target.as_str(), first.ask_body()),
            ("localhost:3000", b"{\"a\":1}".into())
        );
        assert_eq!(first.answered.bytes(), b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(first.times.first.unwrap().as_millis(), 31);
        assert_eq!(
            (second.target.as_str(), second.title()),
            ("https://example.org", "GET /".into())
        );
        assert!(matches!(second.ending, Ending::Unreached(_)), "{second:?}");
        let why = read_har(r#"{"log": {}}"#).unwrap_err().to_string();
        assert!(why.starts_with("this is no HTTP archive: missing field `entries`"), "{why}");
        let why = read_har(&text.replace("https://example.org", "nowhere")).unwrap_err();
        assert_eq!(why.to_string(), "entry 2: `nowhere` is no URL");
    }
}
