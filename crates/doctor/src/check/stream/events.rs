//! Takes the bytes of a stream apart into events, each with the moment at which it was whole.

use std::time::Duration;

use crate::probe::chunk;
use crate::probe::http::{Answer, End, Reply};

/// One event, as a client would be given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The value of its `event:` line.
    pub(super) name: Option<String>,
    /// Its `data:` lines, joined.
    pub(super) data: String,
    /// How many `data:` lines it has.
    pub(super) lines: usize,
    /// When its last byte came, since the request.
    pub(super) at: Duration,
}

/// What came of a stream.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) events: Vec<Event>,
    /// Lines that only keep the connection open.
    pub(super) comments: usize,
    /// What stands after the last whole event.
    pub(super) rest: String,
    /// Lines that belong to no event stream, such as bare JSON.
    pub(super) strange: Vec<String>,
    /// Whether the end came as HTTP says: the last chunk, or all announced bytes.
    pub(super) ended_whole: bool,
    /// Whether the connection was closed.
    pub(super) closed: bool,
    /// Whether it was closed before what HTTP had announced.
    pub(super) broken: bool,
}

/// Reads as much as came; `by_line` is for a JSON object on each line.
pub(super) fn read(reply: &Reply, answer: &Answer, by_line: bool) -> Stream {
    let head = reply.bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let head = head.map_or(reply.bytes.len(), |at| at + 4);
    let coding = answer.header("transfer-encoding").unwrap_or_default().to_ascii_lowercase();
    let chunked = coding.contains("chunked");
    let body = |until: usize| {
        let framed = reply.bytes.get(head..until.max(head)).unwrap_or_default();
        if chunked { chunk::read(framed).bytes } else { framed.to_vec() }
    };
    let mut stream = Stream { closed: reply.stop == End::Closed, ..Stream::default() };
    let mut known = 0;
    for (at, bytes) in &reply.arrivals {
        let text = normal(&body(*bytes));
        let whole = whole(&text, by_line);
        let blocks = whole.split(if by_line { "\n" } else { "\n\n" });
        let blocks: Vec<&str> = blocks.filter(|block| !block.trim().is_empty()).collect();
        for block in blocks.iter().skip(known) {
            take(&mut stream, block, *at, by_line);
        }
        known = blocks.len();
    }
    let text = normal(&body(reply.bytes.len()));
    stream.rest = text.get(whole(&text, by_line).len()..).unwrap_or_default().trim().to_owned();
    let framed = reply.bytes.get(head..).unwrap_or_default();
    let length = answer.header("content-length").and_then(|text| text.parse::<usize>().ok());
    let announced = match length {
        _ if chunked => Some(chunk::read(framed).is_complete),
        Some(length) => Some(framed.len() >= length),
        None => None,
    };
    stream.ended_whole = announced == Some(true);
    stream.broken = announced == Some(false) && matches!(reply.stop, End::Closed | End::Reset);
    stream
}

/// Every line end as one `\n`, as readers of event streams see it.
fn normal(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned)
}

fn whole(text: &str, by_line: bool) -> &str {
    let mark = if by_line { "\n" } else { "\n\n" };
    text.rfind(mark).and_then(|at| text.get(..at + mark.len())).unwrap_or_default()
}

fn take(stream: &mut Stream, block: &str, at: Duration, by_line: bool) {
    if by_line {
        let data = block.trim().to_owned();
        stream.events.push(Event { name: None, data, lines: 1, at });
        return;
    }
    let mut event = Event { name: None, data: String::new(), lines: 0, at };
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => stream.comments += 1,
            "data" => {
                if event.lines > 0 {
                    event.data.push('\n');
                }
                event.data.push_str(value);
                event.lines += 1;
            }
            "event" => event.name = Some(value.trim().to_owned()),
            "id" | "retry" => {}
            _ => stream.strange.push(line.chars().take(120).collect()),
        }
    }
    if event.lines > 0 {
        stream.events.push(event);
    }
}

/// Whether a body is a stream of events, whatever its content type says.
pub(crate) fn looks_like_events(body: &str) -> bool {
    let mut lines = body.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let is_field = |line: &str| {
        ["data:", "event:", ":", "id:", "retry:"].iter().any(|field| line.starts_with(field))
    };
    let first = lines.next().is_some_and(is_field);
    first && body.lines().any(|line| line.starts_with("data:"))
}
