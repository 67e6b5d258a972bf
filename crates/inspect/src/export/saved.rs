//! One exchange as one line of JSON, and back, byte for byte.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::capture::{Arrival, Ending, Exchange, Kind, Tape, Times, unpacked};
use crate::http::{Framing, Head, Meter, Side, Unpacker, find_end};
use crate::http2::{self, PREFACE};
use crate::redact;
use crate::websocket::hidden as hidden_messages;

/// Whether secrets are kept in what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are taken out. Bytes that hold none stay as they are.
    Hidden,
    /// They stay.
    Kept,
}

/// Why a line cannot be read.
#[derive(Debug)]
pub struct Broken(pub(super) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    kind: String,
    begun: String,
    peer: String,
    target: String,
    ending: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    times_us: TimesLine,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rules: Vec<String>,
    asked: TapeLine,
    answered: TapeLine,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trailers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "TapeLine::is_empty")]
    aside: TapeLine,
}

#[derive(Default, Serialize, Deserialize)]
struct TimesLine {
    connected: Option<u64>,
    sent: Option<u64>,
    first: Option<u64>,
    first_body: Option<u64>,
    over: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
struct TapeLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    total: u64,
    /// What went by, where it was more or less than `total`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    passed: Option<u64>,
    /// Pairs: the place where a piece ended, and its time in microseconds.
    arrivals: Vec<(u64, u64)>,
}

impl TapeLine {
    fn is_empty(&self) -> bool {
        self.total == 0
    }
}

/// The exchange as one line, without a line end.
#[must_use]
pub fn line(exchange: &Exchange, secrets: Secrets) -> String {
    let times = exchange.times;
    let us = |time: Option<Duration>| time.map(micros);
    let why = match &exchange.ending {
        Ending::Unreached(why) | Ending::ByRule(why) => Some(why.clone()),
        _ => None,
    };
    let has_head = exchange.ask.is_some();
    let ask_body = (exchange.ask_framing, exchange.ask_raw());
    let asked = laid_open(&exchange.asked, exchange.ask.as_ref(), ask_body, secrets);
    let answer_body = (exchange.answer_framing, exchange.answer_raw());
    let answered = laid_open(&exchange.answered, exchange.answer.as_ref(), answer_body, secrets);
    let blank = |tape: &Tape, skip| {
        let is_http2 = exchange.kind == Kind::Http2 && secrets == Secrets::Hidden;
        is_http2.then(|| blanked(tape, skip))
    };
    let messages = Some(exchange).filter(|_| secrets == Secrets::Hidden).and_then(hidden_messages);
    let (said, heard) = messages.unzip();
    let asked = asked.or(said).or_else(|| blank(&exchange.asked, PREFACE.len()));
    let answered = answered.or(heard).or_else(|| blank(&exchange.answered, 0));
    let written = |hidden: Option<Tape>, whole: &Tape, has_head| {
        tape((hidden.as_ref().unwrap_or(whole), whole.passed()), has_head, secrets)
    };
    let trailer = |name: &str, value: &str| match secrets {
        Secrets::Hidden => (name.to_owned(), redact::header(name, value)),
        Secrets::Kept => (name.to_owned(), value.to_owned()),
    };
    let line = Line {
        number: exchange.number,
        kind: exchange.kind.as_str().to_owned(),
        begun: exchange.begun.to_string(),
        peer: exchange.peer.clone(),
        target: exchange.target.clone(),
        ending: exchange.ending.as_str().to_owned(),
        why,
        times_us: TimesLine {
            connected: us(times.connected),
            sent: us(times.sent),
            first: us(times.first),
            first_body: us(times.first_body),
            over: us(times.over),
        },
        rules: exchange.rules.clone(),
        asked: written(asked, &exchange.asked, has_head),
        answered: written(answered, &exchange.answered, has_head),
        trailers: exchange.trailers.iter().map(|(name, value)| trailer(name, value)).collect(),
        aside: written(None, &exchange.aside, false),
    };
    serde_json::to_string(&line).unwrap_or_default()
}

/// What stands in a packed body cannot be hidden there, and in one whose length was said it would
/// not fit: where a body holds a secret, it is written plain, under a head that says so.
fn laid_open(
    tape: &Tape,
    head: Option<&Head>,
    (framing, raw): (Framing, &[u8]),
    secrets: Secrets,
) -> Option<Tape> {
    let head = head.filter(|_| secrets == Secrets::Hidden)?;
    let is_packed = Unpacker::of(head).is_some();
    if !is_packed && !matches!(framing, Framing::Chunked | Framing::Length(_)) {
        return None;
    }
    let payload = framing.payload(raw);
    if !is_packed && std::str::from_utf8(&payload).is_err() {
        return None;
    }
    let (body, _) = unpacked(Some(head), payload);
    let text = String::from_utf8_lossy(&body);
    let hidden = redact::text(&text);
    if hidden == text {
        return None;
    }
    let mut new = head.clone();
    new.set("Content-Encoding", "");
    new.set("Transfer-Encoding", "");
    new.set("Content-Length", &hidden.len().to_string());
    let mut bytes = new.write();
    let before = bytes.len() as u64;
    bytes.extend_from_slice(hidden.as_bytes());
    let end = bytes.len() as u64;
    let by_line = if is_packed { None } else { by_line(tape, head, framing, &text) };
    let arrivals = match by_line.filter(|(joined, _)| *joined == hidden) {
        Some((_, ends)) => {
            let begin = Arrival { end: before, at: tape.at(head.length as u64) };
            let lines = ends.iter().map(|(end, at)| Arrival { end: before + *end, at: *at });
            std::iter::once(begin).chain(lines).collect()
        }
        None => vec![Arrival { end, at: tape.at(tape.total()) }],
    };
    Some(Tape::restore(bytes, arrivals, end))
}

/// A text without its secrets, line by line: where each line ends then, and when it came.
fn by_line(
    tape: &Tape,
    head: &Head,
    framing: Framing,
    text: &str,
) -> Option<(String, Vec<(u64, Duration)>)> {
    let raw = tape.bytes().get(head.length..)?;
    // Pairs: bytes of payload so far, and the place on the tape where they ended.
    let (mut ends, mut payload) = (Vec::new(), 0_u64);
    Meter::new(framing).take(raw, &mut |piece, end| {
        payload += piece.len() as u64;
        ends.push((payload, (head.length + end) as u64));
    });
    let (mut out, mut lines, mut read) = (String::new(), Vec::<(u64, Duration)>::new(), 0_u64);
    for line in text.split_inclusive('\n') {
        read += line.len() as u64;
        out.push_str(&redact::text(line));
        let piece = ends.get(ends.partition_point(|(end, _)| *end < read))?;
        let place = piece.1.saturating_sub(piece.0.saturating_sub(read));
        let (end, at) = (out.len() as u64, tape.at(place));
        match lines.last_mut() {
            Some(last) if last.1 == at => last.0 = end,
            _ => lines.push((end, at)),
        }
    }
    Some((out, lines))
}

/// A connection of HTTP/2 without what may hold secrets; its streams stand beside it, readable.
fn blanked(tape: &Tape, skip: usize) -> Tape {
    let is_secret = |data: &[u8]| {
        let text = String::from_utf8_lossy(data);
        redact::text(&text) != text
    };
    let bytes = http2::blanked(tape.bytes(), skip, is_secret);
    Tape::restore(bytes, tape.arrivals().to_vec(), tape.total())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn tape((tape, passed): (&Tape, u64), has_head: bool, secrets: Secrets) -> TapeLine {
    let mut line = TapeLine { total: tape.total(), ..TapeLine::default() };
    let head_end = if has_head { find_end(tape.bytes()).unwrap_or(0) } else { 0 };
    let mut new_head_end = head_end;
    match std::str::from_utf8(tape.bytes()) {
        Ok(text) if secrets == Secrets::Hidden => {
            let text = hidden(text, has_head);
            // What stands there now is what went by, for whoever reads it.
            line.total = line.total.saturating_sub(tape.bytes().len() as u64);
            line.total = line.total.saturating_add(text.len() as u64);
            new_head_end = if has_head { find_end(text.as_bytes()).unwrap_or(0) } else { 0 };
            line.text = Some(text);
        }
        Ok(text) => line.text = Some(text.to_owned()),
        Err(cause) if secrets == Secrets::Hidden => {
            // What was cut off inside a letter is text up to there; else the head may hold a key
            // even where the body is no text.
            let is_cut = cause.error_len().is_none();
            let end = if is_cut { cause.valid_up_to() } else { head_end };
            let (text, rest) = tape.bytes().split_at_checked(end).unwrap_or((tape.bytes(), &[]));
            let mut bytes = hidden(&String::from_utf8_lossy(text), has_head).into_bytes();
            new_head_end = if has_head { find_end(&bytes).unwrap_or(0) } else { 0 };
            bytes.extend_from_slice(rest);
            line.total = line.total.saturating_sub(tape.bytes().len() as u64);
            line.total = line.total.saturating_add(bytes.len() as u64);
            line.base64 = Some(STANDARD.encode(bytes));
        }
        Err(_) => line.base64 = Some(STANDARD.encode(tape.bytes())),
    }
    let (old, new) = (head_end as u64, new_head_end as u64);
    // Behind a head that became shorter or longer every place has moved with it.
    let moved = |end: u64| if end < old { end.min(new) } else { (end - old).saturating_add(new) };
    let ends = tape.arrivals().iter();
    line.arrivals =
        ends.map(|arrival| (moved(arrival.end).min(line.total), micros(arrival.at))).collect();
    if let Some(last) = line.arrivals.last_mut() {
        last.0 = line.total;
    }
    line.passed = Some(passed).filter(|passed| *passed != line.total);
    line
}

/// A text without its secrets; where a head stands first, its headers are known by their names.
fn hidden(text: &str, has_head: bool) -> String {
    // A head that never ended is one all the same.
    let end = if has_head { find_end(text.as_bytes()).unwrap_or(text.len()) } else { 0 };
    let (head, body) = text.split_at_checked(end).unwrap_or(("", text));
    let mut out = String::with_capacity(text.len());
    for (place, line) in head.split_inclusive('\n').enumerate() {
        match line.split_once(':') {
            Some((name, value)) if place > 0 => {
                let ending = value.len() - value.trim_end_matches(['\r', '\n']).len();
                let (value, ending) =
                    value.split_at_checked(value.len() - ending).unwrap_or((value, ""));
                let shown = redact::header(name, value.trim());
                if shown == value.trim() {
                    out.push_str(line);
                } else {
                    let blank = if value.starts_with(' ') { " " } else { "" };
                    out.push_str(&format!("{name}:{blank}{shown}{ending}"));
                }
            }
            _ if place == 0 => {
                let mut words = line.splitn(3, ' ').map(redact::path);
                out.push_str(&words.by_ref().collect::<Vec<_>>().join(" "));
            }
            _ => out.push_str(line),
        }
    }
    if body.is_empty() {
        // Nor is it known where its body begins.
        return redact::text(&out);
    }
    out.push_str(&redact::text(body));
    out
}

/// Reads a line that [`line()`] wrote.
///
/// # Errors
/// When it is none.
pub fn read(text: &str) -> Result<Exchange, Broken> {
    let line: Line = serde_json::from_str(text)
        .map_err(|cause| Broken(format!("this is no exchange of a recording: {cause}")))?;
    let kind = Kind::parse(&line.kind)
        .ok_or_else(|| Broken(format!("`{}` is no kind of exchange", line.kind)))?;
    let why = line.why.unwrap_or_default();
    let ending = match line.ending.as_str() {
        "open" => Ending::Open,
        "whole" => Ending::Whole,
        "cut_by_target" => Ending::CutByTarget,
        "cut_by_caller" => Ending::CutByCaller,
        "unreached" => Ending::Unreached(why),
        "by_rule" => Ending::ByRule(why),
        other => return Err(Broken(format!("`{other}` is no ending of an exchange"))),
    };
    let time = |us: Option<u64>| us.map(Duration::from_micros);
    let (asked, answered) = (restored(line.asked)?, restored(line.answered)?);
    let is_http = matches!(kind, Kind::Http | Kind::WebSocket);
    let head =
        |tape: &Tape, side| Head::read(tape.bytes(), side).ok().flatten().filter(|_| is_http);
    let (ask, answer) = (head(&asked, Side::Ask), last_head(&answered, is_http));
    let ask_framing = ask.as_ref().map_or(Framing::Close, Head::ask_framing);
    let method = ask.as_ref().map(|head| head.method().to_owned()).unwrap_or_default();
    let answer_framing =
        answer.as_ref().map_or(Framing::Close, |head| head.answer_framing(&method));
    Ok(Exchange {
        number: line.number,
        kind,
        begun: line
            .begun
            .parse()
            .map_err(|cause| Broken(format!("`{}` is no time: {cause}", line.begun)))?,
        peer: line.peer,
        target: line.target,
        asked,
        ask,
        ask_framing,
        answered,
        answer,
        answer_framing,
        trailers: line.trailers,
        aside: restored(line.aside)?,
        times: Times {
            connected: time(line.times_us.connected),
            sent: time(line.times_us.sent),
            first: time(line.times_us.first),
            first_body: time(line.times_us.first_body),
            over: time(line.times_us.over),
        },
        ending,
        rules: line.rules,
    })
}

fn last_head(tape: &Tape, is_http: bool) -> Option<Head> {
    Head::read(tape.bytes(), Side::Answer).ok().flatten().filter(|_| is_http)
}

fn restored(line: TapeLine) -> Result<Tape, Broken> {
    let bytes = match (line.text, line.base64) {
        (Some(text), _) => text.into_bytes(),
        (None, Some(text)) => STANDARD
            .decode(text)
            .map_err(|cause| Broken(format!("the bytes of a recording are broken: {cause}")))?,
        (None, None) => Vec::new(),
    };
    let arrivals = line.arrivals.into_iter();
    let arrivals = arrivals.map(|(end, us)| Arrival { end, at: Duration::from_micros(us) });
    let tape = Tape::restore(bytes, arrivals.collect(), line.total);
    Ok(tape.passing(line.passed.unwrap_or(line.total)))
}
