//! Merging: what changed in the state of another branch, and its messages by reference.

use serde_json::{Value, json};
use storage::Stored;
use storage::rusqlite::{OptionalExtension, params};
use wire::prompt::Role;
use wire::{Code, Fault};

use super::beside::clean_map;
use super::branches::shared;
use super::{Contexts, Job, figures};
use crate::branch::merge_three;
use crate::rows::ctx::{self, Row};
use crate::rows::seal::{self, Opened};
use crate::rows::{entry, parts};
use crate::{Content, Difference, Entry, Key, Map, Merged, NewEntry, OnConflict, What, refuse};

/// Limit: bytes of the other branch that are quoted for models.
const QUOTED_BYTES_MAX: usize = 16 * 1024;
/// Limit: bytes of one quoted message; the rest of it is left out.
const MESSAGE_BYTES_MAX: usize = 2 * 1024;
/// Limit: messages that are looked at for the quote, the newest ones.
const QUOTED_MESSAGES_MAX: u32 = 200;

impl Contexts {
    /// Brings another branch into a context. The state is merged three ways, from the moment of the
    /// fork on; values that both sides changed are listed. The messages stay where they are: one
    /// entry of the user, marked `merge`, names them and quotes the newest of them for models.
    ///
    /// # Errors
    /// `conflict` with `details.conflicts` when `on` refuses them, `conflict` while a turn is
    /// running, `invalid_input` when both are one context, `precondition_failed`,
    /// `context_closed`, `context_too_long`, `context_not_found`, `context_expired`,
    /// `storage_error`.
    pub async fn merge(
        &self,
        key: &Key,
        from: &Key,
        on: OnConflict,
        expect: Option<u64>,
    ) -> Result<Merged, Fault> {
        let durability = self.durability_for(key, None);
        let (key, from) = (key.clone(), from.clone());
        self.write(durability, move |job| {
            job.watched(&key, What::Merged, || job.merge(&key, &from, on, expect))
        })
        .await
    }
}

impl Job<'_> {
    fn merge(
        &self,
        key: &Key,
        from: &Key,
        on: OnConflict,
        expect: Option<u64>,
    ) -> Result<Merged, Fault> {
        let mut row = self.live(key)?;
        row.admit(expect)?;
        row.idle()?;
        let other = self.live(from)?;
        if other.n == row.n {
            return Err(refuse::invalid("from", "names the context itself"));
        }
        other.idle()?;
        let base = self.base_state(&row, &other)?;
        let theirs = parts::state(self.connection, &other)?;
        let mut state = parts::state(self.connection, &row)?;
        let before_state = state.clone();
        let conflicts = merge_three(&base, &mut state, &theirs, on == OnConflict::Theirs);
        if on == OnConflict::Refuse && !conflicts.is_empty() {
            return Err(conflict(&conflicts));
        }
        if let Some(plan) = self.writing_in(&row)? {
            clean_map(&plan, &mut state);
        }
        let limits = &self.inner.limits;
        let limit = limits.state_bytes.saturating_add(limits.message_bytes);
        parts::save_state(self.connection, &row, &state, limit)?;
        let before = figures(&row);
        let shared = shared(&row, &other);
        let entry = match self.reference(&other, shared)? {
            None => None,
            Some(new) => self.append_all(&mut row, &[new])?.pop(),
        };
        row.turn_seq = None;
        row.touch(self.now);
        self.state_changed(&row, (&before_state, &state), ("merge", None))?;
        ctx::save(self.connection, &row)?;
        self.inner.totals.moved(Some(before), Some(figures(&row)));
        let doc = parts::doc(self.connection, &row)?;
        let context = parts::whole(self.connection, &row, state, doc)?;
        Ok(Merged { context, conflicts, entry })
    }

    /// The state that both sides began with: empty for contexts that are no forks of one another.
    fn base_state(&self, row: &Row, other: &Row) -> Result<Map, Fault> {
        let is_child = |of: &Row, parent: &Row| of.parent.is_some_and(|(n, _)| n == parent.n);
        let siblings =
            row.parent.is_some() && row.parent.map(|(n, _)| n) == other.parent.map(|(n, _)| n);
        let fork = match () {
            () if is_child(other, row) || siblings => other,
            () if is_child(row, other) => row,
            () => return Ok(Map::new()),
        };
        let sql = "SELECT state FROM fork_state WHERE n = ?1";
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        let found: Option<Opened> =
            statement.query_row([fork.n], |found| found.get(0)).optional().stored()?;
        match found.map(|text| serde_json::from_str(&text.0)) {
            None => Ok(Map::new()),
            Some(Ok(Value::Object(map))) => Ok(map),
            Some(_) => Err(refuse::damaged("state at the fork", &fork.key.id)),
        }
    }

    /// Keeps the state that a fork began with, for a later merge.
    pub(super) fn save_base(&self, fork: &Row, state: &Map) -> Result<(), Fault> {
        if state.is_empty() {
            return Ok(());
        }
        let sql = "INSERT INTO fork_state(n, state) VALUES (?1, ?2)";
        let text = parts::to_text(state)?;
        let values = params![fork.n, seal::text(fork.owner(), &text)?];
        storage::prepare_insert(self.connection, sql)?.execute(values).stored()?;
        Ok(())
    }

    /// The entry that stands for what the other branch said since `shared`.
    fn reference(&self, other: &Row, shared: u32) -> Result<Option<NewEntry>, Fault> {
        if other.head <= shared {
            return Ok(None);
        }
        let first = other.head.saturating_sub(QUOTED_MESSAGES_MAX).max(shared).saturating_add(1);
        let said = entry::shown(self.connection, &other.chain, first, other.head)?;
        let text = quote(&other.key.id, &said, (shared.saturating_add(1), other.head));
        let newest = said.last().map(|entry| entry.content.stored().as_bytes());
        let hash = blake3::hash(newest.unwrap_or_default()).to_hex().to_string();
        let merge = json!({
            "context": &*other.key.id, "first_seq": shared.saturating_add(1),
            "last_seq": other.head, "last_hash": hash,
        });
        let meta = Map::from_iter([("merge".to_owned(), merge)]);
        Ok(Some(NewEntry { role: Role::User, content: Content::Text(text), model: None, meta }))
    }
}

fn conflict(conflicts: &[Difference]) -> Fault {
    let list: Vec<Value> = conflicts
        .iter()
        .map(|c| json!({"path": c.path, "ours": c.left, "theirs": c.right}))
        .collect();
    let text = format!("{} values of the state were changed on both sides", list.len());
    Fault::new(Code::Conflict, text)
        .hint("merge with `on_conflict` `ours` or `theirs`, or change one side first")
        .details(json!({ "reason": "state", "conflicts": list }))
}

/// The newest messages that fit, oldest first, each with its speaker.
fn quote(id: &str, said: &[Entry], (first, last): (u32, u32)) -> String {
    let mut lines = Vec::new();
    let mut room = QUOTED_BYTES_MAX;
    for entry in said.iter().rev() {
        let plain = entry.content.plain();
        let line = format!("{}: {}", entry.role.as_str(), clipped(&plain, MESSAGE_BYTES_MAX));
        if line.len() > room {
            break;
        }
        room -= line.len();
        lines.push(line);
    }
    lines.reverse();
    let left_out = said.len() - lines.len();
    let note = if left_out > 0 || u64::from(last - first) + 1 > said.len() as u64 {
        "[earlier messages are left out]\n"
    } else {
        ""
    };
    format!(
        "<merged_branch context=\"{id}\" messages=\"{first}-{last}\">\n{note}{}\n</merged_branch>",
        lines.join("\n")
    )
}

/// The beginning of a text, at most `bytes` long.
fn clipped(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{} …", text.get(..end).unwrap_or_default())
}
