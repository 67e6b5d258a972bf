//! One turn, looked up by its number.

use std::sync::Arc;

use storage::rusqlite::Connection;
use wire::prompt::Role;
use wire::{Code, Fault};

use super::Contexts;
use crate::rows::ctx::{self, Row};
use crate::rows::entry::{self, Range};
use crate::rows::figures;
use crate::rows::parts;
use crate::{Entry, EntryStatus, Key, Map, clock};

/// A turn as the log has it.
#[derive(Clone, Debug)]
pub struct Past {
    /// The id of the context.
    pub context: Arc<str>,
    /// The number of the turn in its context, from 1.
    pub number: u64,
    /// The revision of the context now.
    pub revision: u64,
    /// The state of the context now.
    pub state: Map,
    /// `Pending` while it runs, `Failed`, or `Complete`.
    pub status: EntryStatus,
    /// The user's message.
    pub user: Entry,
    /// The reply, or what came of it.
    pub reply: Option<Entry>,
}

impl Contexts {
    /// Looks a turn up by its number; without one the newest.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `not_found` when there was no such turn,
    /// `storage_error`.
    pub async fn turn(&self, key: &Key, number: Option<u64>) -> Result<Past, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            past(connection, &row, number.unwrap_or(row.turns))
        })
        .await
    }
}

fn past(connection: &Connection, row: &Row, number: u64) -> Result<Past, Fault> {
    let missing = || {
        let text = format!("there is no turn {number}; the context has {}", row.turns);
        Fault::new(Code::NotFound, text)
            .hint("turns are numbered from 1; messages that were only stored belong to none")
    };
    if number == 0 || number > row.turns {
        return Err(missing());
    }
    let first = begin(connection, row, number)?;
    let next = begin(connection, row, number.saturating_add(1))?;
    let user = entry::one(connection, &row.chain, first)?.filter(|user| user.role == Role::User);
    let user = user.ok_or_else(missing)?;
    let range = Range {
        first: first.saturating_add(1),
        last: next.saturating_sub(1),
        role: Some(Role::Assistant),
        newest_first: true,
    };
    let reply = entry::page(connection, &row.chain, range, 1)?.pop();
    let runs = row.open_turn == Some(number);
    let status = match user.status {
        EntryStatus::Pending => EntryStatus::Pending,
        EntryStatus::Complete if runs => EntryStatus::Pending,
        EntryStatus::Failed => EntryStatus::Failed,
        EntryStatus::Complete | EntryStatus::Partial => EntryStatus::Complete,
    };
    Ok(Past {
        context: Arc::clone(&row.key.id),
        number,
        revision: row.revision,
        state: parts::state(connection, row)?,
        status,
        user,
        reply,
    })
}

/// The first entry at which so many turns had begun; one after the newest when none.
fn begin(connection: &Connection, row: &Row, turns: u64) -> Result<u32, Fault> {
    let (mut from, mut to) = (1, row.head.saturating_add(1));
    while from < to {
        let middle = from + (to - from) / 2;
        if figures::at(connection, row, middle)?.turns >= turns {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok(from)
}
