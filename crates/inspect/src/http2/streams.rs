//! One exchange in the book for each stream of a connection.

use std::collections::HashMap;

use super::{Frame, Frames, Hpack, PREFACE};
use crate::capture::{Book, Ending, Entry, Kind, Way};
use crate::http::{Head, Side};

/// Limit: streams of one connection that are followed at the same time.
const STREAMS_MAX: usize = 4_096;

/// Follows both sides of a connection.
#[derive(Debug)]
pub(crate) struct Streams {
    book: Book,
    peer: String,
    target: String,
    asks: Half,
    answers: Half,
    /// Bytes of the preface that are still to come.
    preface: usize,
    open: HashMap<u32, Stream>,
}

#[derive(Debug, Default)]
struct Half {
    frames: Frames,
    hpack: Hpack,
}

#[derive(Debug)]
struct Stream {
    entry: Entry,
    asked: bool,
    answered: bool,
}

impl Streams {
    pub(crate) fn new(book: &Book, peer: &str, target: &str) -> Self {
        Self {
            book: book.clone(),
            peer: peer.to_owned(),
            target: target.to_owned(),
            asks: Half::default(),
            answers: Half::default(),
            preface: PREFACE.len(),
            open: HashMap::new(),
        }
    }

    /// Takes a piece that went by.
    pub(crate) fn push(&mut self, way: Way, piece: &[u8]) {
        let mut came = Vec::new();
        if way == Way::Asked {
            let skip = self.preface.min(piece.len());
            self.preface -= skip;
            let rest = piece.get(skip..).unwrap_or_default();
            self.asks.frames.push(rest, |frame| came.push(frame));
        } else {
            self.answers.frames.push(piece, |frame| came.push(frame));
        }
        for frame in came {
            self.take(way, frame);
        }
    }

    fn take(&mut self, way: Way, frame: Frame) {
        match frame {
            Frame::Headers { stream, promised, block, ends } => {
                let half = if way == Way::Asked { &mut self.asks } else { &mut self.answers };
                // Every block must be read, whatever becomes of it.
                let Some(fields) = half.hpack.read(&block) else { return };
                if promised.is_none() {
                    self.headers(way, stream, &fields);
                    self.ended(way, stream, ends);
                }
            }
            Frame::Data { stream, bytes, ends } => {
                if let Some(found) = self.open.get(&stream) {
                    found.entry.push(way, &bytes);
                    let now = found.entry.elapsed();
                    if way == Way::Answered {
                        found.entry.change(|page| {
                            page.times.first_body = page.times.first_body.or(Some(now));
                        });
                    }
                }
                self.ended(way, stream, ends);
            }
            Frame::Reset { stream, .. } => {
                if let Some(found) = self.open.remove(&stream) {
                    let by_target = way == Way::Answered;
                    found.entry.end(match (by_target, found.answered) {
                        // A server that answered need not hear the rest of the question.
                        (_, true) => Ending::Whole,
                        (true, false) => Ending::CutByTarget,
                        (false, false) => Ending::CutByCaller,
                    });
                }
            }
            Frame::Settings(_) | Frame::GoAway { .. } | Frame::Other { .. } => {}
        }
    }

    fn headers(&mut self, way: Way, stream: u32, fields: &[(String, String)]) {
        let is_ask = way == Way::Asked;
        if is_ask && !self.open.contains_key(&stream) {
            if self.open.len() >= STREAMS_MAX {
                return;
            }
            let entry = self.book.open(Kind::Http, self.peer.clone(), self.target.clone());
            let head = Head::of_stream(fields, Side::Ask);
            entry.push(Way::Asked, &head.write());
            entry.change(|page| page.ask = Some(head));
            self.open.insert(stream, Stream { entry, asked: false, answered: false });
            return;
        }
        let Some(found) = self.open.get(&stream) else { return };
        let now = found.entry.elapsed();
        let head = Head::of_stream(fields, Side::Answer);
        let is_first = !is_ask && found.entry.read(|page| page.answer.is_none());
        if is_first && (100..200).contains(&head.status()) {
            return;
        }
        if is_first {
            found.entry.push(Way::Answered, &head.write());
        }
        found.entry.change(|page| {
            if is_first {
                page.times.first = Some(now);
                page.answer = Some(head);
            } else if !is_ask {
                page.trailers = fields.to_vec();
            }
        });
    }

    /// Notes that a side has said all on a stream, when it has.
    fn ended(&mut self, way: Way, stream: u32, ends: bool) {
        let Some(found) = self.open.get_mut(&stream).filter(|_| ends) else { return };
        if way == Way::Asked {
            found.asked = true;
            let now = found.entry.elapsed();
            found.entry.change(|page| page.times.sent = Some(now));
        } else {
            found.answered = true;
        }
        if found.asked
            && found.answered
            && let Some(found) = self.open.remove(&stream)
        {
            found.entry.end(Ending::Whole);
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    /// The connection is over: so is every stream of it.
    pub(crate) fn end(&mut self, ending: &Ending) {
        for (_, found) in self.open.drain() {
            let ending = match ending {
                _ if found.answered => Ending::Whole,
                Ending::Whole | Ending::Open => Ending::CutByTarget,
                other => other.clone(),
            };
            found.entry.end(ending);
        }
    }
}
