//! Reading documents of any size: which format it is, and what it holds, piece by piece.

use std::collections::BTreeSet;
use std::io::{BufReader, Cursor, Read};

use wire::{Code, Fault};

use super::source::{Budget, MESSAGE_BYTES_MAX, Source, TREE_BYTES_MAX};
use super::{Format, Item, Parcel, guess, ours, request, tree};
use crate::{Map, New, NewEntry, NewNote};

/// What our own documents call themselves.
pub(super) const FORMAT: &str = "rapport.context/1";
/// Bytes at the beginning of a document in which its format is looked for.
const LOOKED_AT: u64 = 8 * 1024 * 1024;
/// Bytes of messages that are handed over together; one that is larger goes alone.
const PART_BYTES: usize = 4 * 1024 * 1024;
/// Messages that are handed over together.
const PART_MESSAGES: usize = 500;
/// Limit: broken messages that are told one by one; all are counted.
const BROKEN_MAX: usize = 100;

/// How to read a document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Its format; found out when absent.
    pub format: Option<Format>,
    /// Leave out and count what cannot be read, instead of giving up.
    pub skip_broken: bool,
}

/// A piece of a document: contexts come one after the other, each before the forks of it.
#[derive(Clone, Debug)]
pub enum Piece {
    /// A context begins.
    Begin(Box<Begin>),
    /// It goes on with these messages.
    Messages(Vec<NewEntry>),
    /// It is complete.
    End(Box<Ending>),
}

/// The beginning of a context.
#[derive(Clone, Debug, Default)]
pub struct Begin {
    /// What it holds, without messages.
    pub new: New,
    /// The context it is forked from, by its place in the document, and the last message they
    /// share.
    pub fork: Option<(usize, u64)>,
}

/// What is known of a context when all of it was read.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// It is to be closed.
    pub closed: bool,
    /// Its notes.
    pub notes: Vec<NewNote>,
    /// Its pinned messages, by their place among those that were handed over.
    pub pins: Vec<u32>,
    /// Its instructions, where a document names them behind the messages.
    pub system: Option<String>,
    /// More metadata.
    pub metadata: Map,
}

/// Something that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where it stands, such as `line 7`.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// What was read of a document.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Its format.
    pub format: Option<Format>,
    /// Contexts that were handed over.
    pub contexts: u64,
    /// Messages that were handed over.
    pub messages: u64,
    /// Messages that have no answer, or that came without a content that can be kept.
    pub left_out: u64,
    /// What could not be read and was left out by wish.
    pub skipped: u64,
    /// The first of these.
    pub broken: Vec<Broken>,
    /// Fields of the document that have no place in a context.
    pub dropped: BTreeSet<String>,
}

/// Reads a document and hands its pieces over; memory holds a few megabytes and the largest
/// message (of a tree: the largest conversation).
///
/// # Errors
/// `invalid_input`, naming what is wrong with the document and where; `payload_too_large` for a
/// piece beyond its limit; what `take` refuses.
pub fn read_from(
    mut from: impl Read,
    reading: Reading,
    take: &mut dyn FnMut(Piece) -> Result<(), Fault>,
) -> Result<Tally, Fault> {
    let ended = |error| Budget::new(1).fault(error);
    let mut head = Vec::new();
    from.by_ref().take(LOOKED_AT).read_to_end(&mut head).map_err(ended)?;
    let start = if head.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    head.drain(..start);
    let whole = (head.len() as u64) < LOOKED_AT.saturating_sub(3);
    let format = match reading.format {
        Some(format) => format,
        None => guess::guess(&head, whole)?,
    };
    let tally = Tally { format: Some(format), ..Tally::default() };
    let is_tree = matches!(format, Format::ChatGpt | Format::Claude);
    let budget = Budget::new(if is_tree { TREE_BYTES_MAX } else { MESSAGE_BYTES_MAX });
    let skip = reading.skip_broken;
    let mut out = Out { take, tally, skip, budget, part: Vec::new(), bytes: 0, fault: None };
    let from = Source::new(Cursor::new(head).chain(from), &out.budget);
    let from = BufReader::with_capacity(64 * 1024, from);
    match format {
        Format::Rapport => ours::documents(from, &mut out)?,
        Format::JsonLines => ours::lines(from, &mut out)?,
        Format::Anthropic | Format::OpenAiChat | Format::OpenAiResponses => {
            request::read(from, format, &mut out)?;
        }
        Format::ChatGpt | Format::Claude => tree::read(from, format, &mut out)?,
    }
    Ok(out.tally)
}

/// Reads a whole document; finds its format out when none is named.
///
/// # Errors
/// As [`read_from`].
pub fn read(text: &str, format: Option<Format>) -> Result<Parcel, Fault> {
    let mut items: Vec<Item> = Vec::new();
    let reading = Reading { format, ..Reading::default() };
    let tally = read_from(text.as_bytes(), reading, &mut |piece| {
        match (piece, items.last_mut()) {
            (Piece::Begin(begin), _) => {
                items.push(Item { new: begin.new, fork: begin.fork, ending: Ending::default() });
            }
            (Piece::Messages(messages), Some(item)) => item.new.messages.extend(messages),
            (Piece::End(ending), Some(item)) => item.ending = *ending,
            (Piece::Messages(_) | Piece::End(_), None) => {}
        }
        Ok(())
    })?;
    Ok(Parcel { items, left_out: tally.left_out })
}

/// Where the pieces of a document go.
pub(super) struct Out<'t> {
    take: &'t mut dyn FnMut(Piece) -> Result<(), Fault>,
    pub(super) tally: Tally,
    pub(super) skip: bool,
    pub(super) budget: Budget,
    part: Vec<NewEntry>,
    bytes: usize,
    /// Why reading was given up, where a parser's error cannot say it.
    pub(super) fault: Option<Fault>,
}

impl Out<'_> {
    pub(super) fn begin(&mut self, new: New, fork: Option<(usize, u64)>) -> Result<(), Fault> {
        self.tally.contexts += 1;
        (self.take)(Piece::Begin(Box::new(Begin { new, fork })))
    }

    /// Hands a message over, together with others.
    pub(super) fn say(&mut self, entry: NewEntry) -> Result<(), Fault> {
        let bytes = entry.content.stored().len();
        let full = self.bytes + bytes > PART_BYTES || self.part.len() >= PART_MESSAGES;
        if full {
            self.flush()?;
        }
        self.bytes += bytes;
        self.part.push(entry);
        self.tally.messages += 1;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        if self.part.is_empty() {
            return Ok(());
        }
        self.bytes = 0;
        (self.take)(Piece::Messages(std::mem::take(&mut self.part)))
    }

    pub(super) fn end(&mut self, ending: Ending) -> Result<(), Fault> {
        self.flush()?;
        (self.take)(Piece::End(Box::new(ending)))
    }

    /// Leaves out what cannot be read, or gives up.
    pub(super) fn broken(&mut self, place: String, why: &str) -> Result<(), Fault> {
        if !self.skip {
            let text = format!("{place} of the document cannot be read: {why}");
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("mend it, or leave what is broken out with `on_error=skip`")
                .details(serde_json::json!({ "place": place })));
        }
        self.tally.skipped += 1;
        if self.tally.broken.len() < BROKEN_MAX {
            self.tally.broken.push(Broken { place, why: why.to_owned() });
        }
        Ok(())
    }

    /// Keeps a fault and gives a parser an error to stop with.
    pub(super) fn stop<T, E: serde::de::Error>(
        &mut self,
        result: Result<T, Fault>,
    ) -> Result<T, E> {
        result.map_err(|fault| {
            self.fault = Some(fault);
            E::custom("stopped")
        })
    }

    /// The fault of a parser that stopped.
    pub(super) fn why(&mut self, error: serde_json::Error) -> Fault {
        match self.fault.take() {
            Some(fault) => fault,
            None if error.is_io() => self.budget.fault(error.into()),
            None => broken(&error),
        }
    }
}

pub(super) fn broken(error: &serde_json::Error) -> Fault {
    Fault::new(Code::InvalidInput, format!("the document is not JSON: {error}"))
        .hint("send the file as it was exported, as UTF-8")
}
