//! The logs that belong to one context beside the one it shows: those it left by a rollback.

use storage::rusqlite::{Connection, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::chain::{self, Chain};
use super::ctx::Row;
use super::entry;
use super::figures::{self, At};
use super::seal::{self, Opened};
use super::{signed, unsigned};
use crate::refuse;

/// Limit: bytes that a fork copies when it is too deep to share.
const COPIED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The segments that are only this context's, and what lies in those it does not show.
#[derive(Debug)]
pub(crate) struct Segments {
    pub(crate) numbers: Vec<i64>,
    pub(crate) entries: u32,
    pub(crate) bytes: u64,
}

/// Lists the segments of a context.
pub(crate) fn segments(connection: &Connection, row: &Row) -> Result<Segments, Fault> {
    let sql = "SELECT log, head - base_seq, bytes - base_bytes FROM view WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut out = Segments { numbers: vec![row.chain.own()], entries: 0, bytes: 0 };
    let mut rows = statement.query([row.n]).stored()?;
    while let Some(found) = rows.next().stored()? {
        out.numbers.push(found.get(0).stored()?);
        out.entries = out.entries.saturating_add(found.get(1).stored()?);
        out.bytes = out.bytes.saturating_add(unsigned(found.get(2).stored()?));
    }
    Ok(out)
}

/// Lets `row` show the log of `from` up to entry `at`, and go on in the segment `own`. Shares what
/// it can; copies what would lie too deep.
pub(crate) fn go_on_from(
    connection: &Connection,
    row: &mut Row,
    from: &Row,
    at: &At,
    own: i64,
) -> Result<(), Fault> {
    let chain = from.chain.fork(own, at.seq);
    row.base = (at.seq, at.bytes);
    row.chain = if chain.segments() > chain::SEGMENTS_MAX {
        if at.bytes > COPIED_BYTES_MAX {
            return Err(refuse::too_deep(chain.segments(), at.bytes));
        }
        copy(connection, &chain)?;
        row.base = (0, 0);
        Chain::alone(own)
    } else {
        chain.save(connection)?;
        chain
    };
    row.head = at.seq;
    row.turns = at.turns;
    row.bytes = at.bytes;
    row.cum = at.cum;
    row.safe_seq = at.safe;
    row.open_tools = at.open_tools;
    row.turn_seq = None;
    row.scale = from.scale;
    // The same beginning keeps the upstream's cache of it warm.
    row.start_seq = if from.start_seq <= at.safe.max(1) { from.start_seq } else { 1 };
    let same = |anchor: &super::ctx::Anchor| anchor.start == row.start_seq && anchor.cum <= row.cum;
    row.anchor = from.anchor.filter(same);
    Ok(())
}

/// Copies what a chain shares into its own segment.
fn copy(connection: &Connection, chain: &Chain) -> Result<(), Fault> {
    let sql = "INSERT INTO entry(k, role, status, safe, tok, cum, at, hash, model, dialect, meta,
                 body, turns, bytes)
               SELECT (?1 << 32) | (k & 4294967295), role, status, safe, tok, cum, at, hash, model,
                 dialect, meta, body, turns, bytes
               FROM entry WHERE k BETWEEN ?2 AND ?3";
    let mut statement = connection.prepare_cached(sql).stored()?;
    for (from, to) in chain.ranges(1, chain.base()) {
        statement.execute(params![chain.own(), from, to]).stored()?;
    }
    Ok(())
}

/// The figures of a log at one of its entries.
pub(crate) fn at(connection: &Connection, row: &Row, wanted: Option<u64>) -> Result<At, Fault> {
    // A turn that is running, or that may be retried, is not part of what others may share unless
    // they name it.
    let settled = match row.turn_seq {
        Some(seq) if seq <= row.head => {
            let user = entry::one(connection, &row.chain, seq)?;
            let shown = user.is_some_and(|user| user.status == crate::EntryStatus::Complete);
            if shown { row.head } else { seq.saturating_sub(1) }
        }
        _ => row.head,
    };
    let Some(wanted) = wanted else { return figures::at(connection, row, settled) };
    let seq = u32::try_from(wanted).ok().filter(|seq| *seq <= row.head);
    let seq = seq.ok_or_else(|| refuse::beyond(wanted, row.head))?;
    if let Some(turn) = row.open_turn
        && seq > settled
    {
        return Err(refuse::busy(turn));
    }
    figures::at(connection, row, seq)
}

/// Stores which log a row shows; the caller stores the rest of it.
pub(crate) fn save(connection: &Connection, row: &Row) -> Result<(), Fault> {
    super::ctx::save(connection, row)?;
    super::ctx::save_log(connection, row)
}

/// A view that was left, with everything that is needed to come back.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) no: u32,
    pub(crate) cause: String,
    pub(crate) at: i64,
    pub(crate) state: Option<String>,
    pub(crate) row: Row,
}

/// Keeps the view that a context is about to leave.
pub(crate) fn leave(
    connection: &Connection,
    row: &Row,
    cause: &str,
    state: &str,
    now: i64,
) -> Result<u32, Fault> {
    let sql = "SELECT coalesce(max(no), 0) + 1 FROM view WHERE n = ?1";
    let no: u32 = connection.query_row(sql, [row.n], |found| found.get(0)).stored()?;
    let sql = "INSERT INTO view(n, no, log, head, cause, at, state, base_seq, base_bytes, turns,
                 bytes, cum, start_seq, safe_seq, turn_seq, open_tools)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let values = params![
        row.n,
        no,
        row.chain.own(),
        row.head,
        cause,
        now,
        seal::text(row.owner(), state)?,
        row.base.0,
        signed(row.base.1),
        signed(row.turns),
        signed(row.bytes),
        signed(row.cum),
        row.start_seq,
        row.safe_seq,
        row.turn_seq,
        row.open_tools,
    ];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(no)
}

/// The views that a context has left, oldest first.
pub(crate) fn views(connection: &Connection, row: &Row) -> Result<Vec<View>, Fault> {
    let sql = "SELECT no, log, head, cause, at, state, base_seq, base_bytes, turns, bytes, cum,
                 start_seq, safe_seq, turn_seq, open_tools FROM view WHERE n = ?1 ORDER BY no";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |found: &storage::rusqlite::Row<'_>| {
        let mut of = row.clone();
        of.chain = Chain::alone(found.get(1)?);
        of.head = found.get(2)?;
        of.base = (found.get(6)?, unsigned(found.get(7)?));
        of.turns = unsigned(found.get(8)?);
        of.bytes = unsigned(found.get(9)?);
        of.cum = unsigned(found.get(10)?);
        of.start_seq = found.get(11)?;
        of.safe_seq = found.get(12)?;
        of.turn_seq = found.get(13)?;
        of.open_tools = found.get(14)?;
        of.open_turn = None;
        let (cause, at, state) = (found.get(3)?, found.get(4)?, Opened::maybe(found, 5)?);
        Ok(View { no: found.get(0)?, cause, at, state, row: of })
    };
    let found = statement.query_map([row.n], read).stored()?;
    found
        .map(|view| {
            let mut view = view.stored()?;
            view.row.chain = Chain::read(connection, view.row.chain.own())?;
            Ok(view)
        })
        .collect()
}

/// Forgets that a view was left: the context shows it again.
pub(crate) fn forget(connection: &Connection, n: i64, no: u32) -> Result<(), Fault> {
    let sql = "DELETE FROM view WHERE n = ?1 AND no = ?2";
    connection.prepare_cached(sql).stored()?.execute(params![n, no]).stored()?;
    Ok(())
}
