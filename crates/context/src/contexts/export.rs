//! Contexts out of the store, as documents of any size, piece by piece.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use storage::Stored;
use storage::rusqlite::Connection;
use wire::{Code, Fault};

use super::Contexts;
use crate::rows::{ctx, entry, notes, parts, summaries};
use crate::transfer::{Format, JsonDocument, Writer};
use crate::{Entry, Key, clock};

/// Messages that are read at once.
const PAGE: u32 = 500;
/// Bytes that are read at once, beside the last message of them.
const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Limit: bytes of messages of an export that is made in memory.
const WHOLE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What belongs to a context and has no place in any document, by name and where it is counted.
const BESIDE: [(&str, &str); 3] =
    [("checkpoints", "checkpoint"), ("branches", "view"), ("shares", "share")];

/// A document on its way out. It tells the context as it was when the export began; messages that
/// come later are not in it.
#[derive(Debug)]
pub struct Export {
    contexts: Contexts,
    key: Key,
    writer: Writer,
    left_out: BTreeMap<&'static str, u64>,
    /// The last message that was written, and the last one there was at the beginning.
    at: u32,
    head: u32,
    /// Messages that were read and wait for their turn to be complete.
    waiting: Vec<Entry>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Begin,
    Messages,
    Done,
}

impl Contexts {
    /// Begins to write a context with all its messages.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `invalid_input` for a format that can only be read,
    /// `storage_error`.
    pub async fn exporting(&self, key: &Key, format: Format) -> Result<Export, Fault> {
        let wanted = key.clone();
        let read = move |connection: &Connection| {
            let row = ctx::live(connection, &wanted, clock::now())?;
            let context = parts::context(connection, &row)?;
            let notes = notes::notes(connection, row.n, clock::now())?;
            let pins = summaries::pins(connection, &row, u32::MAX)?;
            let mut left_out = BTreeMap::new();
            for (name, table) in BESIDE {
                let sql = format!("SELECT count(*) FROM {table} WHERE n = ?1");
                let count: i64 =
                    connection.query_row(&sql, [row.n], |found| found.get(0)).stored()?;
                left_out.insert(name, crate::rows::unsigned(count));
            }
            Ok((row.head, context, notes, pins, left_out))
        };
        let (head, context, notes, pins, mut left_out) = self.read(read).await?;
        if format.is_ours() {
            left_out.extend([("notes", 0), ("pins", 0)]);
        } else {
            let given = |map: &Map<String, Value>| u64::from(!map.is_empty());
            left_out.extend([
                ("notes", notes.len() as u64),
                ("pins", pins.len() as u64),
                ("state", given(&context.state)),
                ("metadata", given(&context.metadata)),
                ("title", u64::from(context.title.is_some())),
            ]);
        }
        left_out.retain(|_, count| *count > 0);
        let writer = Writer::new(context, (notes, pins), format)?;
        Ok(Export {
            contexts: self.clone(),
            key: key.clone(),
            writer,
            left_out,
            at: 0,
            head,
            waiting: Vec::new(),
            stage: Stage::Begin,
        })
    }

    /// Writes a context with all its messages into memory.
    ///
    /// # Errors
    /// As [`Contexts::exporting`]; `payload_too_large` beyond 64 MiB of messages.
    pub async fn export(&self, key: &Key, format: Format) -> Result<JsonDocument, Fault> {
        let mut export = self.exporting(key, format).await?;
        let bytes = export.writer.context().size.bytes;
        if bytes > WHOLE_BYTES_MAX {
            let text =
                format!("the context has {bytes} bytes of messages, too many for one answer");
            return Err(Fault::new(Code::PayloadTooLarge, text)
                .hint("GET /api/v1/contexts/{id}/export writes contexts of any size")
                .details(json!({"limit_bytes": WHOLE_BYTES_MAX})));
        }
        let mut text = String::new();
        while let Some(part) = export.next().await? {
            text.push_str(&part);
        }
        let media_type = export.media_type();
        let dropped = export.writer.dropped();
        Ok(JsonDocument { text, media_type, dropped, left_out: export.left_out })
    }
}

impl Export {
    /// The media type of the document.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.writer.format().media_type()
    }

    /// How much of the context has no place in the document, by name.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<&'static str, u64> {
        &self.left_out
    }

    /// Finds out what the format cannot say of the messages, such as `thinking`: they are all
    /// read for it. Our own formats keep everything. Only before [`Export::next`].
    ///
    /// # Errors
    /// As [`Export::next`].
    pub async fn dropped(&mut self) -> Result<Vec<String>, Fault> {
        if self.writer.format().is_ours() {
            return Ok(Vec::new());
        }
        while self.next().await?.is_some() {}
        let dropped = self.writer.dropped();
        self.writer.rewind();
        (self.at, self.stage) = (0, Stage::Begin);
        Ok(dropped)
    }

    /// The next part of the document; `None` behind its end.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired` when it is gone by now, `storage_error`.
    pub async fn next(&mut self) -> Result<Option<String>, Fault> {
        match self.stage {
            Stage::Done => return Ok(None),
            Stage::Begin | Stage::Messages => {}
        }
        while self.at < self.head {
            self.read().await?;
            let rest =
                if self.at < self.head { self.writer.open_from(&self.waiting) } else { None };
            // What belongs together is written together.
            let rest = match rest {
                Some(0) => continue,
                Some(at) => self.waiting.split_off(at),
                None => Vec::new(),
            };
            let entries = std::mem::replace(&mut self.waiting, rest);
            self.stage = Stage::Messages;
            return self.writer.messages(&entries).map(Some);
        }
        self.stage = Stage::Done;
        self.writer.end().map(Some)
    }

    /// Reads some more messages.
    async fn read(&mut self) -> Result<(), Fault> {
        let (key, at, head) = (self.key.clone(), self.at, self.head);
        let read = move |connection: &Connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let (first, last) = (at.saturating_add(1), head.min(row.head));
            let range = entry::Range { first, last, role: None, newest_first: false };
            entry::page_within(connection, &row.chain, range, (PAGE, PAGE_BYTES))
        };
        let (entries, more) = self.contexts.read(read).await?;
        match entries.last() {
            Some(last) if more => self.at = last.seq,
            // A rollback may have shortened it meanwhile.
            _ => self.at = self.head,
        }
        self.waiting.extend(entries);
        Ok(())
    }
}
