//! Summaries and pins in the store.

use storage::rusqlite::{Connection, OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::chain::Chain;
use super::ctx::Row;
use super::seal::{self, Opened};
use super::{entry, nodes};
use crate::summary::Task;
use crate::{Entry, Summary, clock};

/// The newest summary on the branch of a row that stands for nothing from `start` on.
pub(crate) fn newest(
    connection: &Connection,
    row: &Row,
    start: u32,
) -> Result<Option<Summary>, Fault> {
    let sql = "SELECT no, first_seq, upto, text, model, at, level, log FROM summary
               WHERE n = ?1 AND upto < ?2 AND level IS NULL ORDER BY no DESC";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut found = statement.query(params![row.n, start]).stored()?;
    while let Some(found) = found.next().stored()? {
        let summary = read(found).stored()?;
        let log: i64 = found.get(7).stored()?;
        if summary.upto <= row.head && row.chain.segment_of(summary.upto) == log {
            return Ok(Some(summary));
        }
    }
    Ok(None)
}

/// All summaries of a context, the newest first.
pub(crate) fn list(connection: &Connection, n: i64) -> Result<Vec<Summary>, Fault> {
    let sql = "SELECT no, first_seq, upto, text, model, at, level FROM summary
               WHERE n = ?1 ORDER BY no DESC LIMIT 500";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.query_map([n], read).stored()?.collect::<Result<_, _>>().stored()
}

fn read(row: &Found<'_>) -> Result<Summary, storage::rusqlite::Error> {
    Ok(Summary {
        number: row.get(0)?,
        first_seq: row.get(1)?,
        upto: row.get(2)?,
        text: row.get::<_, Opened>(3)?.0,
        model: row.get(4)?,
        at: clock::moment(row.get(5)?),
        level: row.get(6)?,
    })
}

/// Keeps a summary.
pub(crate) fn add(
    connection: &Connection,
    task: &Task,
    text: &str,
    model: &str,
    now: i64,
) -> Result<u32, Fault> {
    let sql = "SELECT coalesce(max(no), 0) + 1 FROM summary WHERE n = ?1";
    let no: u32 = connection.query_row(sql, [task.n], |found| found.get(0)).stored()?;
    let sql = "INSERT INTO summary(n, no, log, first_seq, upto, hash, at, model, text, level)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let (level, hash) = (task.level, task.hash);
    let text = seal::text(seal::owner(connection, task.n)?, text)?;
    let values =
        params![task.n, no, task.log, task.first, task.upto, hash, now, model, text, level];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(no)
}

/// The hash of what a summary stands for.
pub(crate) fn source(entries: &[Entry]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        hasher.update(&entry.seq.to_le_bytes()).update(entry.content.stored().as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// Summaries whose messages are no longer what they were, by their numbers.
pub(crate) fn wrong(connection: &Connection, row: &Row) -> Result<Vec<u32>, Fault> {
    let sql = "SELECT no, log, first_seq, upto, hash, level FROM summary WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut found = statement.query([row.n]).stored()?;
    let mut out = Vec::new();
    while let Some(found) = found.next().stored()? {
        let log: i64 = found.get(1).stored()?;
        let (first, upto): (u32, u32) = (found.get(2).stored()?, found.get(3).stored()?);
        let kept: [u8; 32] = found.get(4).stored()?;
        let level: Option<u32> = found.get(5).stored()?;
        let chain = Chain::read(connection, log)?;
        let real = match level {
            Some(level) if level > 0 => {
                let view = Row { chain, head: upto, ..row.clone() };
                let mut below = nodes::list(connection, &view, (upto.saturating_add(1), u32::MAX))?;
                below.retain(|node| node.level + 1 == level && node.first >= first);
                nodes::source(&below)
            }
            _ => source(&entry::shown(connection, &chain, first, upto)?),
        };
        if real != kept {
            out.push(found.get(0).stored()?);
        }
    }
    Ok(out)
}

/// The pinned entries of the branch of a row that lie before `start`, oldest first.
pub(crate) fn pins(connection: &Connection, row: &Row, start: u32) -> Result<Vec<u32>, Fault> {
    let sql = "SELECT seq, log FROM pin WHERE n = ?1 AND seq < ?2 ORDER BY seq";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |found: &Found<'_>| Ok((found.get::<_, u32>(0)?, found.get::<_, i64>(1)?));
    let found = statement.query_map(params![row.n, start], read).stored()?;
    let mut out = Vec::new();
    for pin in found {
        let (seq, log) = pin.stored()?;
        if seq <= row.head && row.chain.segment_of(seq) == log {
            out.push(seq);
        }
    }
    Ok(out)
}

/// Pins an entry, or releases it; says whether that changed anything.
pub(crate) fn pin(
    connection: &Connection,
    row: &Row,
    (seq, on): (u32, bool),
    now: i64,
) -> Result<bool, Fault> {
    let log = row.chain.segment_of(seq);
    let changed = if on {
        let sql = "INSERT OR IGNORE INTO pin(n, seq, log, at) VALUES (?1, ?2, ?3, ?4)";
        prepare_insert(connection, sql)?.execute(params![row.n, seq, log, now])
    } else {
        let sql = "DELETE FROM pin WHERE n = ?1 AND seq = ?2 AND log = ?3";
        connection.prepare_cached(sql).stored()?.execute(params![row.n, seq, log])
    };
    Ok(changed.stored()? > 0)
}

/// How many entries a context has pinned.
pub(crate) fn pinned(connection: &Connection, n: i64) -> Result<u32, Fault> {
    let sql = "SELECT count(*) FROM pin WHERE n = ?1";
    let found: Option<u32> =
        connection.query_row(sql, [n], |found| found.get(0)).optional().stored()?;
    Ok(found.unwrap_or(0))
}
