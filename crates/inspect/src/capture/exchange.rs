//! One exchange: a question and its answer, or a connection that is neither.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::tape::Tape;
use crate::http::{Framing, Head, Unpacker};

/// What a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request of HTTP/1 and its response.
    Http,
    /// An HTTP/1 request that became a WebSocket.
    WebSocket,
    /// HTTP/2 over plain text, frame by frame.
    Http2,
    /// TLS that is not ended here: only its size and times are seen.
    Tls,
    /// Lines of JSON or text over a bare connection.
    Lines,
    /// A program that speaks over its standard input and output.
    Stdio,
}

impl Kind {
    /// The name as it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::Http2 => "http2",
            Self::Tls => "tls",
            Self::Lines => "lines",
            Self::Stdio => "stdio",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        const KINDS: &[Kind] =
            &[Kind::Http, Kind::WebSocket, Kind::Http2, Kind::Tls, Kind::Lines, Kind::Stdio];
        KINDS.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It goes on.
    Open,
    /// All was said.
    Whole,
    /// The target closed or reset the connection in the middle.
    CutByTarget,
    /// The caller hung up in the middle.
    CutByCaller,
    /// The target could not be reached, and why.
    Unreached(String),
    /// A rule of the inspector's ended it.
    ByRule(String),
}

impl Ending {
    /// The ending in a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Whole => "whole",
            Self::CutByTarget => "cut_by_target",
            Self::CutByCaller => "cut_by_caller",
            Self::Unreached(_) => "unreached",
            Self::ByRule(_) => "by_rule",
        }
    }
}

/// When what happened, counted from the first byte of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The target had accepted the connection; nothing when an open one was used.
    pub connected: Option<Duration>,
    /// The request had gone out whole.
    pub sent: Option<Duration>,
    /// The first byte of the answer came.
    pub first: Option<Duration>,
    /// The first byte of the answer's body came.
    pub first_body: Option<Duration>,
    /// It was over.
    pub over: Option<Duration>,
}

/// What an exchange weighs beside its bytes: its heads, read, and what is known of it.
pub(crate) const PAGE_BYTES: usize = 4 * 1024;

/// A question and its answer, with every byte of both.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Its number, from 1.
    pub number: u64,
    /// What is spoken.
    pub kind: Kind,
    /// When it began.
    pub begun: Timestamp,
    /// Who asked.
    pub peer: String,
    /// Who was asked.
    pub target: String,
    /// The request as it came from the caller: head and body, byte by byte.
    pub asked: Tape,
    /// The request's head, once it was read.
    pub ask: Option<Head>,
    /// How the request's body is framed.
    pub ask_framing: Framing,
    /// The answer as it came from the target.
    pub answered: Tape,
    /// The answer's head.
    pub answer: Option<Head>,
    /// How the answer's body is framed.
    pub answer_framing: Framing,
    /// Header lines behind the answer of a stream of HTTP/2.
    pub trailers: Vec<(String, String)>,
    /// What a program wrote to its standard error.
    pub aside: Tape,
    /// When what happened.
    pub times: Times,
    /// How it ended.
    pub ending: Ending,
    /// What a rule did to it.
    pub rules: Vec<String>,
}

impl Exchange {
    /// The bytes after the request's head, as they came.
    #[must_use]
    pub fn ask_raw(&self) -> &[u8] {
        after(self.asked.bytes(), self.ask.as_ref())
    }

    /// The bytes after the answer's head, as they came.
    #[must_use]
    pub fn answer_raw(&self) -> &[u8] {
        after(self.answered.bytes(), self.answer.as_ref())
    }

    /// The request's body, without its framing and unpacked.
    #[must_use]
    pub fn ask_body(&self) -> Vec<u8> {
        unpacked(self.ask.as_ref(), self.ask_framing.payload(self.ask_raw())).0
    }

    /// The answer's body, without its framing and unpacked.
    #[must_use]
    pub fn answer_body(&self) -> Vec<u8> {
        unpacked(self.answer.as_ref(), self.answer_framing.payload(self.answer_raw())).0
    }

    /// Whether it goes on.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending == Ending::Open
    }

    /// The method and path, or what stands for them.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.ask {
            Some(head) => format!("{} {}", head.method(), head.path()),
            None => self.kind.as_str().to_owned(),
        }
    }

    /// Bytes in memory.
    pub(crate) fn weight(&self) -> usize {
        let tapes = [&self.asked, &self.answered, &self.aside];
        let tapes = tapes.iter().map(|tape| tape.room()).sum::<usize>();
        tapes.saturating_add(PAGE_BYTES)
    }
}

/// A payload as it was before it was packed, and why it could not be unpacked to its end.
pub(crate) fn unpacked(head: Option<&Head>, payload: Vec<u8>) -> (Vec<u8>, Option<String>) {
    match head.and_then(Unpacker::of) {
        Some(mut unpacker) => {
            let bytes = unpacker.push(&payload);
            (bytes, unpacker.broken().map(ToOwned::to_owned))
        }
        None => (payload, None),
    }
}

fn after<'a>(bytes: &'a [u8], head: Option<&Head>) -> &'a [u8] {
    bytes.get(head.map_or(0, |head| head.length)..).unwrap_or_default()
}
