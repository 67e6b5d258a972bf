//! The history of the state: every change with what it set and removed, and now and then the whole.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::rusqlite::{Connection, OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::chain::Chain;
use super::ctx::Row;
use super::seal::{self, Opened};
use super::{entry, length, parts, signed, unsigned};
use crate::{Map, branch, refuse};

/// Limit: changes that one context keeps; the oldest are given up first.
const CHANGES_MAX: u32 = 10_000;
/// Limit: bytes of the changes that one context keeps.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Changes after which the whole state is kept again.
const WHOLE_EVERY: u32 = 128;
/// Bytes of changes after which it is, at least.
const WHOLE_BYTES_MIN: u64 = 4096;

/// One value that was set or removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Set {
    /// Where, as a JSON Pointer.
    #[serde(rename = "p")]
    pub(crate) path: String,
    /// The value; nothing removes.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none", with = "given")]
    pub(crate) value: Option<Value>,
    /// The value is what this entry says: nothing is kept twice.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<u32>,
}

/// Tells a `null` that was set from nothing.
mod given {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::Value;

    #[expect(clippy::ref_option, reason = "serde asks for this signature")]
    pub(super) fn serialize<S: Serializer>(
        value: &Option<Value>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}

/// What a row holds.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    #[serde(rename = "o")]
    sets: Vec<Set>,
    /// The whole state after the change.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    whole: Option<Map>,
}

/// Why and when the state changed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason<'a> {
    pub(crate) cause: &'a str,
    pub(crate) who: Option<&'a str>,
    pub(crate) revision: u64,
    pub(crate) at: i64,
    /// `last_message` is what this entry says.
    pub(crate) said: Option<u32>,
}

/// A change that is kept.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) no: u32,
    pub(crate) log: i64,
    pub(crate) seq: u32,
    pub(crate) revision: u64,
    pub(crate) at: i64,
    pub(crate) who: Option<String>,
    pub(crate) cause: String,
    pub(crate) sets: Vec<Set>,
}

/// Where the newest row stands.
struct Newest {
    no: u32,
    /// The row with the whole state that it builds on.
    base: u32,
    /// Bytes since that row.
    since: u64,
    cum: u64,
}

/// Keeps a change of the state that `row`'s newest entry has seen. Nothing changed is no change,
/// except where the log changed beneath it: after a rollback.
pub(crate) fn keep(
    connection: &Connection,
    row: &Row,
    (before, after): (&Map, &Map),
    reason: Reason<'_>,
) -> Result<(), Fault> {
    let always = reason.cause == ROLLBACK && !(before.is_empty() && after.is_empty());
    let mut sets = sets(before, after, reason.said);
    if sets.is_empty() && before.len() == after.len() && !always {
        return Ok(());
    }
    let newest = match newest(connection, row.n)? {
        None if before.is_empty() => None,
        // A state that is older than its history.
        None => {
            let first = Reason { cause: BEFORE, who: None, said: None, ..reason };
            let sets = self::sets(&Map::new(), before, None);
            let told = Body { sets, whole: Some(before.clone()) };
            Some(write(connection, row, (None, told), first)?)
        }
        found => found,
    };
    // The order of keys is part of a state, and not every change can be told key by key. Most turns
    // only give keys another value, and need no proof.
    let is_told = only_values(before, after, &sets) || {
        let mut replayed = before.clone();
        apply(&mut replayed, &sets, |_| reason.said.and_then(|_| after.get(LAST).cloned()));
        parts::to_text(&replayed)? == parts::to_text(after)?
    };
    if !is_told {
        sets = self::sets(before, after, None);
    }
    let is_due = match &newest {
        None => true,
        Some(newest) if newest.no.saturating_sub(newest.base) >= WHOLE_EVERY => true,
        Some(newest) if newest.since <= WHOLE_BYTES_MIN => false,
        Some(newest) => newest.since > length(parts::to_text(after)?.len()),
    };
    let whole = (is_due || !is_told).then(|| after.clone());
    let is_whole = whole.is_some();
    let newest = write(connection, row, (newest, Body { sets, whole }), reason)?;
    if is_whole {
        give_up(connection, row.n, &newest)?;
    }
    Ok(())
}

/// Whether a change leaves every key of the state where it is and gives some a new value.
fn only_values(before: &Map, after: &Map, sets: &[Set]) -> bool {
    let is_whole =
        |set: &Set| set.path.rfind('/') == Some(0) && (set.value.is_some() || set.entry.is_some());
    sets.iter().all(is_whole) && before.keys().eq(after.keys())
}

/// The cause of a rollback.
pub(crate) const ROLLBACK: &str = "rollback";
/// The cause of what is older than the history.
pub(crate) const BEFORE: &str = "before";
/// The cause of what a redaction left, which forgets all that was before it.
pub(crate) const REDACTED: &str = "redacted";
/// The key of the state that repeats what the user said.
const LAST: &str = "last_message";

fn sets(before: &Map, after: &Map, said: Option<u32>) -> Vec<Set> {
    let differences = branch::differences(before, after).into_iter();
    differences
        .map(|found| match said {
            Some(seq) if found.path == "/last_message" => {
                Set { path: found.path, value: None, entry: Some(seq) }
            }
            _ => Set { path: found.path, value: found.right, entry: None },
        })
        .collect()
}

fn newest(connection: &Connection, n: i64) -> Result<Option<Newest>, Fault> {
    let sql = "SELECT no, base, since, cum FROM state_change WHERE n = ?1 ORDER BY no DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |row: &Found<'_>| {
        Ok(Newest {
            no: row.get(0)?,
            base: row.get(1)?,
            since: unsigned(row.get(2)?),
            cum: unsigned(row.get(3)?),
        })
    };
    statement.query_row([n], read).optional().stored()
}

fn write(
    connection: &Connection,
    row: &Row,
    (newest, body): (Option<Newest>, Body),
    reason: Reason<'_>,
) -> Result<Newest, Fault> {
    let text = serde_json::to_string(&body)
        .map_err(|error| Fault::internal("a change cannot be written").because(error))?;
    let bytes = length(text.len());
    let before = newest.unwrap_or(Newest { no: 0, base: 0, since: 0, cum: 0 });
    let no = before.no.saturating_add(1);
    let is_whole = body.whole.is_some();
    let next = Newest {
        no,
        base: if is_whole { no } else { before.base },
        since: if is_whole { 0 } else { before.since.saturating_add(bytes) },
        cum: before.cum.saturating_add(bytes),
    };
    let sql = "INSERT INTO state_change(n, no, log, seq, revision, at, who, cause, base, since,
                 cum, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let values = params![
        row.n,
        next.no,
        if reason.cause == ROLLBACK { row.chain.own() } else { row.chain.segment_of(row.head) },
        row.head,
        signed(reason.revision),
        reason.at,
        reason.who,
        reason.cause,
        next.base,
        signed(next.since),
        signed(next.cum),
        seal::text(row.owner(), &text)?,
    ];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(next)
}

/// Removes the oldest changes beyond the limits, up to a row that holds the whole state.
fn give_up(connection: &Connection, n: i64, newest: &Newest) -> Result<(), Fault> {
    let (no, cum) = (newest.no.saturating_sub(CHANGES_MAX), newest.cum.saturating_sub(BYTES_MAX));
    if no == 0 && cum == 0 {
        return Ok(());
    }
    let sql = "DELETE FROM state_change WHERE n = ?1 AND no <
                 (SELECT coalesce(max(no), 0) FROM state_change
                  WHERE n = ?1 AND no = base AND (no <= ?2 OR cum <= ?3))";
    connection.prepare_cached(sql).stored()?.execute(params![n, no, signed(cum)]).stored()?;
    Ok(())
}

/// The columns in the order in which [`read`] takes them.
const SELECT: &str = "SELECT no, log, seq, revision, at, who, cause, body FROM state_change";

fn read(row: &Found<'_>) -> Result<(Kept, Option<Map>), storage::rusqlite::Error> {
    let text: Opened = row.get(7)?;
    let body: Body = serde_json::from_str(&text.0).unwrap_or(Body { sets: vec![], whole: None });
    let kept = Kept {
        no: row.get(0)?,
        log: row.get(1)?,
        seq: row.get(2)?,
        revision: unsigned(row.get(3)?),
        at: row.get(4)?,
        who: row.get(5)?,
        cause: row.get(6)?,
        sets: body.sets,
    };
    Ok((kept, body.whole))
}

/// Changes before the number `before`, the newest first, with the values that entries say.
pub(crate) fn page(
    connection: &Connection,
    n: i64,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<Kept>, Fault> {
    let sql = format!("{SELECT} WHERE n = ?1 AND no < ?2 ORDER BY no DESC LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql).stored()?;
    let values = params![n, before.unwrap_or(u32::MAX), limit];
    let found = statement.query_map(values, read).stored()?;
    let mut out = Vec::new();
    for row in found {
        let (mut kept, _) = row.stored()?;
        let log = kept.log;
        for set in &mut kept.sets {
            if let Some(seq) = set.entry {
                set.value = said(connection, log, seq)?;
            }
        }
        out.push(kept);
    }
    Ok(out)
}

/// What an entry of a segment says.
fn said(connection: &Connection, log: i64, seq: u32) -> Result<Option<Value>, Fault> {
    let found = entry::one(connection, &Chain::alone(log), seq)?;
    Ok(found.map(|entry| Value::from(entry.content.plain().into_owned())))
}

/// The number of the newest change that entry `seq` of the branch has seen. What a rollback brought
/// is seen by what was said after it, and by the newest entry while it is the newest.
pub(crate) fn seen_by(
    connection: &Connection,
    (n, row): (i64, &Row),
    seq: u32,
) -> Result<Option<u32>, Fault> {
    let sql = "SELECT no, log, seq, cause FROM state_change WHERE n = ?1 AND seq <= ?2
               ORDER BY seq DESC, no DESC";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut rows = statement.query(params![n, seq]).stored()?;
    while let Some(found) = rows.next().stored()? {
        let (no, log): (u32, i64) = (found.get(0).stored()?, found.get(1).stored()?);
        let at: u32 = found.get(2).stored()?;
        let is_seen = if found.get_ref(3).stored()?.as_bytes() == Ok(ROLLBACK.as_bytes()) {
            let next = at.saturating_add(1);
            (at < seq || seq == row.head) && row.chain.segment_of(next) == log
        } else {
            at <= row.head && (at == 0 || row.chain.segment_of(at) == log)
        };
        if is_seen {
            return Ok(Some(no));
        }
    }
    Ok(None)
}

/// The state after a change.
pub(crate) fn after(connection: &Connection, row: &Row, n: i64, no: u32) -> Result<Map, Fault> {
    let damaged = || refuse::damaged("history of the state", &row.key.id);
    let sql = "SELECT base FROM state_change WHERE n = ?1 AND no = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let base: Option<u32> =
        statement.query_row(params![n, no], |found| found.get(0)).optional().stored()?;
    let base = base.ok_or_else(damaged)?;
    let sql = format!("{SELECT} WHERE n = ?1 AND no BETWEEN ?2 AND ?3 ORDER BY no");
    let mut statement = connection.prepare_cached(&sql).stored()?;
    let mut state = None;
    for found in statement.query_map(params![n, base, no], read).stored()? {
        let (kept, whole) = found.stored()?;
        match (whole, &mut state) {
            (Some(whole), _) => state = Some(whole),
            (None, None) => return Err(damaged()),
            (None, Some(state)) => {
                let mut broken = None;
                apply(state, &kept.sets, |seq| {
                    said(connection, kept.log, seq).unwrap_or_else(|fault| {
                        broken = Some(fault);
                        None
                    })
                });
                if let Some(fault) = broken {
                    return Err(fault);
                }
            }
        }
    }
    state.ok_or_else(damaged)
}

/// The oldest change that is kept, with its cause.
pub(crate) fn oldest(connection: &Connection, n: i64) -> Result<Option<(u32, String)>, Fault> {
    let sql = "SELECT no, cause FROM state_change WHERE n = ?1 ORDER BY no LIMIT 1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.query_row([n], |row| Ok((row.get(0)?, row.get(1)?))).optional().stored()
}

/// Whether the context has a change of this number.
pub(crate) fn exists(connection: &Connection, n: i64, no: u32) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM state_change WHERE n = ?1 AND no = ?2";
    connection.prepare_cached(sql).stored()?.exists(params![n, no]).stored()
}

/// Forgets the history of a context's state.
pub(crate) fn forget(connection: &Connection, n: i64) -> Result<(), Fault> {
    let sql = "DELETE FROM state_change WHERE n = ?1";
    connection.prepare_cached(sql).stored()?.execute([n]).stored()?;
    Ok(())
}

/// Does what the sets say, in their order.
fn apply(state: &mut Map, sets: &[Set], mut said: impl FnMut(u32) -> Option<Value>) {
    for set in sets {
        let value = match set.entry {
            Some(seq) => said(seq),
            None => set.value.clone(),
        };
        let mut keys: Vec<String> =
            set.path.split('/').skip(1).map(|k| k.replace("~1", "/").replace("~0", "~")).collect();
        let Some(last) = keys.pop() else { continue };
        if let Some(place) = place_of(state, &keys) {
            match value {
                Some(value) => drop(place.insert(last, value)),
                None => drop(place.shift_remove(&last)),
            }
        }
    }
}

/// The object below these keys.
fn place_of<'m>(map: &'m mut Map, keys: &[String]) -> Option<&'m mut Map> {
    match keys.split_first() {
        None => Some(map),
        Some((key, rest)) => place_of(map.get_mut(key)?.as_object_mut()?, rest),
    }
}
