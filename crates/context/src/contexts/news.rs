//! What is new in a context since somebody looked: for those who follow it.

use tokio::sync::watch;
use wire::Fault;

use super::Contexts;
use crate::rows::chain::Chain;
use crate::rows::ctx;
use crate::rows::entry::{self, Range};
use crate::{Entry, EntryStatus, Key, Status, clock};

/// Limit: entries that are told at once.
const TOLD_MAX: u32 = 100;

/// How far somebody has seen a context.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The newest entry that was told.
    pub seq: u32,
    branch: Option<i64>,
}

impl Seen {
    /// Everything up to an entry.
    #[must_use]
    pub fn upto(seq: u32) -> Self {
        Self { seq, branch: None }
    }
}

/// What is new in a context.
#[derive(Clone, Debug)]
pub struct News {
    /// Entries that are settled, oldest first; at most 100 at once.
    pub entries: Vec<Entry>,
    /// The context went back: entries after this one are no longer those that were told.
    pub back_to: Option<u32>,
    /// The revision of the context.
    pub revision: u64,
    /// Whether it takes turns.
    pub status: Status,
    /// Whether a turn is running.
    pub open_turn: Option<u64>,
    /// More entries are waiting.
    pub more: bool,
    /// What to ask with the next time.
    pub seen: Seen,
}

impl Contexts {
    /// A number that changes with every write of any context: wait for it, then look.
    #[must_use]
    pub fn writes(&self) -> watch::Receiver<u64> {
        self.inner.writes.subscribe()
    }

    /// Reads what is new in a context. An entry whose turn is running is told when it is settled,
    /// so that what was told stays true.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn news(&self, key: &Key, seen: Seen) -> Result<News, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let mut upto = seen.seq;
            let mut back_to = None;
            if let Some(branch) = seen.branch
                && branch != row.chain.own()
            {
                let told = Chain::read(connection, branch)?;
                let shared = row.chain.shared_with(&told, upto.min(row.head));
                if shared < upto {
                    back_to = Some(shared);
                    upto = shared;
                }
            } else if upto > row.head {
                back_to = Some(row.head);
                upto = row.head;
            }
            let range = Range {
                first: upto.saturating_add(1),
                last: row.head,
                role: None,
                newest_first: false,
            };
            let within = (TOLD_MAX, entry::PAGE_BYTES_MAX);
            let (mut entries, more) = entry::page_within(connection, &row.chain, range, within)?;
            let settled = entries.iter().take_while(|e| e.status != EntryStatus::Pending).count();
            let more = more && settled == entries.len();
            entries.truncate(settled);
            let seq = entries.last().map_or(upto, |entry| entry.seq);
            Ok(News {
                entries,
                back_to,
                revision: row.revision,
                status: row.status,
                open_turn: row.open_turn,
                more,
                seen: Seen { seq, branch: Some(row.chain.own()) },
            })
        })
        .await
    }
}
