//! Vectors of entries: beside the log, one for each entry, by the model that made them.

use storage::rusqlite::{Connection, OptionalExtension, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::chain::Chain;
use super::ctx::Row;
use super::entry::{self, place, seq_of};
use super::seal;
use crate::{Entry, embedding};

/// Limit: vectors that one question is compared with, the newest ones.
const COMPARED_MAX: u32 = 200_000;

/// Entries of one segment that have no vector yet.
#[derive(Debug)]
pub(crate) struct Gap {
    pub(crate) log: i64,
    /// The newest entry that was done when this was read.
    pub(crate) after: u32,
    pub(crate) entries: Vec<Entry>,
}

/// The segments that a log reads from, each with its first and its last entry.
fn pieces(chain: &Chain, head: u32) -> Vec<(i64, u32, u32)> {
    let ranges = chain.ranges(1, head).into_iter();
    ranges.map(|(from, to)| (from >> 32, seq_of(from), seq_of(to))).collect()
}

/// The newest entry of a segment that this model has done.
fn done(connection: &Connection, log: i64, model: &str) -> Result<u32, Fault> {
    let sql = "SELECT upto FROM embedded WHERE log = ?1 AND model = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement.query_row(params![log, model], |row| row.get(0)).optional().stored()?;
    Ok(found.unwrap_or(0))
}

/// The oldest entries of a context that wait for a vector; `None` when none do.
pub(crate) fn gap(
    connection: &Connection,
    row: &Row,
    model: &str,
    limit: u32,
) -> Result<Option<Gap>, Fault> {
    for (log, first, last) in pieces(&row.chain, row.head) {
        let after = done(connection, log, model)?;
        if after >= last {
            continue;
        }
        let first = first.max(after.saturating_add(1));
        let range = entry::Range { first, last, role: None, newest_first: false };
        let entries = entry::page(connection, &Chain::alone(log), range, limit)?;
        if !entries.is_empty() {
            return Ok(Some(Gap { log, after, entries }));
        }
    }
    Ok(None)
}

/// How many entries of a context this model has done, and how many wait.
pub(crate) fn progress(
    connection: &Connection,
    row: &Row,
    model: &str,
) -> Result<(u64, u64), Fault> {
    let (mut all, mut ready) = (0_u64, 0_u64);
    for (log, first, last) in pieces(&row.chain, row.head) {
        let upto = done(connection, log, model)?.min(last);
        all = all.saturating_add(u64::from(last.saturating_sub(first)) + 1);
        ready = ready.saturating_add(u64::from(upto.saturating_add(1).saturating_sub(first)));
    }
    Ok((ready, all.saturating_sub(ready)))
}

/// Keeps the vectors of a gap's entries, `None` for those that have none. Says whether it did: not
/// when somebody else has changed what is done meanwhile.
pub(crate) fn fill(
    connection: &Connection,
    row: &Row,
    (gap, model): (&Gap, &str),
    vectors: &[Option<Vec<f32>>],
) -> Result<bool, Fault> {
    let same = done(connection, gap.log, model)? == gap.after;
    let Some(last) = gap.entries.last().filter(|_| same) else { return Ok(false) };
    let sql = "INSERT OR REPLACE INTO vector(k, model, body) VALUES (?1, ?2, ?3)";
    let mut statement = prepare_insert(connection, sql)?;
    for (entry, vector) in gap.entries.iter().zip(vectors) {
        let Some(vector) = vector else { continue };
        let Some(packed) = embedding::pack(vector) else { continue };
        let number = number(connection, model, vector.len())?;
        let body = seal::bytes(row.owner(), &packed)?;
        statement.execute(params![place(gap.log, entry.seq), number, body]).stored()?;
    }
    let sql = "INSERT INTO embedded(log, model, upto) VALUES (?1, ?2, ?3)
               ON CONFLICT(log) DO UPDATE SET model = ?2, upto = ?3";
    let values = params![gap.log, model, last.seq];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(true)
}

/// The number of a model that makes vectors of this length.
fn number(connection: &Connection, model: &str, length: usize) -> Result<i64, Fault> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    if let Some(found) = known(connection, model, length)? {
        return Ok(found);
    }
    let sql = "INSERT INTO vector_model(name, dimensions) VALUES (?1, ?2)";
    prepare_insert(connection, sql)?.insert(params![model, length]).stored()
}

fn known(connection: &Connection, model: &str, length: i64) -> Result<Option<i64>, Fault> {
    let sql = "SELECT no FROM vector_model WHERE name = ?1 AND dimensions = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.query_row(params![model, length], |row| row.get(0)).optional().stored()
}

/// The entries up to `last` whose vectors are most like a question's, the best first.
pub(crate) fn nearest(
    connection: &Connection,
    chain: &Chain,
    (model, question): (&str, &[f32]),
    (last, most): (u32, usize),
) -> Result<Vec<(u32, f32)>, Fault> {
    let length = i64::try_from(question.len()).unwrap_or(i64::MAX);
    let Some(number) = known(connection, model, length)? else { return Ok(Vec::new()) };
    let sql = "SELECT k, body FROM vector WHERE k BETWEEN ?1 AND ?2 AND model = ?3
               ORDER BY k DESC LIMIT ?4";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut left = COMPARED_MAX;
    let mut out: Vec<(u32, f32)> = Vec::new();
    for (from, to) in chain.ranges(1, last).into_iter().rev() {
        let mut rows = statement.query(params![from, to, number, left]).stored()?;
        while let Some(row) = rows.next().stored()? {
            left = left.saturating_sub(1);
            let sealed = row.get_ref(1).stored()?.as_bytes().unwrap_or_default();
            let alike = seal::open(sealed).and_then(|body| embedding::alike(question, &body));
            if let Some(alike) = alike.filter(|alike| *alike > 0.0) {
                out.push((seq_of(row.get(0).stored()?), alike));
            }
        }
    }
    out.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
    out.truncate(most);
    Ok(out)
}

/// Forgets vectors of a segment from `from` on; they are made anew.
pub(crate) fn forget(connection: &Connection, log: i64, from: u32) -> Result<(), Fault> {
    drop_rows(connection, place(log, from), place(log, u32::MAX), u32::MAX)?;
    let sql = "UPDATE embedded SET upto = min(upto, ?2) WHERE log = ?1";
    let values = params![log, from.saturating_sub(1)];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}

/// Removes at most so many vectors of a segment that is given back.
pub(crate) fn drop_segment(connection: &Connection, log: i64, most: u32) -> Result<(), Fault> {
    drop_rows(connection, place(log, 0), place(log, u32::MAX), most)?;
    let sql = "DELETE FROM embedded WHERE log = ?1";
    connection.prepare_cached(sql).stored()?.execute([log]).stored()?;
    Ok(())
}

fn drop_rows(connection: &Connection, from: i64, to: i64, most: u32) -> Result<(), Fault> {
    let sql = "DELETE FROM vector WHERE k IN
                 (SELECT k FROM vector WHERE k BETWEEN ?1 AND ?2 LIMIT ?3)";
    connection.prepare_cached(sql).stored()?.execute(params![from, to, most]).stored()?;
    Ok(())
}
