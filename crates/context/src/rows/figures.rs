//! The figures of a log at one of its entries: turns, bytes, tokens, where a window may begin.

use storage::Stored;
use storage::rusqlite::{Connection, params};
use wire::Fault;
use wire::prompt::Role;

use super::chain::Chain;
use super::ctx::Row;
use super::entry::one;
use super::unsigned;

/// The figures of a log at one of its entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) seq: u32,
    pub(crate) turns: u64,
    pub(crate) bytes: u64,
    pub(crate) cum: u64,
    pub(crate) safe: u32,
    pub(crate) open_tools: bool,
}

/// Entries that are looked back at to find out whether a call of a tool is open.
const LOOK_BACK: u32 = 64;

/// Reads the figures at entry `seq`, which the log has; 0 is its beginning.
pub(crate) fn at(connection: &Connection, row: &Row, seq: u32) -> Result<At, Fault> {
    if seq == row.head {
        return Ok(At {
            seq,
            turns: row.turns,
            bytes: row.bytes,
            cum: row.cum,
            safe: row.safe_seq,
            open_tools: row.open_tools,
        });
    }
    if seq == 0 {
        return Ok(At { seq, turns: 0, bytes: 0, cum: 0, safe: 0, open_tools: false });
    }
    let sql = "SELECT cum, safe, turns, bytes FROM entry WHERE k = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    type Sums = (i64, u32, Option<i64>, Option<i64>);
    let (cum, safe, turns, bytes): Sums = statement
        .query_row([row.chain.place(seq)], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
        .stored()?;
    let (turns, bytes) = match (turns, bytes) {
        (Some(turns), Some(bytes)) => (unsigned(turns), unsigned(bytes)),
        _ => counted(connection, &row.chain, seq)?,
    };
    let open_tools = open_tools(connection, &row.chain, seq)?;
    Ok(At { seq, turns, bytes, cum: unsigned(cum), safe, open_tools })
}

/// The running sums of an entry that was written before they were kept.
fn counted(connection: &Connection, chain: &Chain, seq: u32) -> Result<(u64, u64), Fault> {
    let sql = "SELECT count(*) FILTER (WHERE role = 1), coalesce(sum(length(body)), 0)
               FROM entry WHERE k BETWEEN ?1 AND ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut sums = (0_u64, 0_u64);
    for (from, to) in chain.ranges(1, seq) {
        let found: (i64, i64) = statement
            .query_row(params![from, to], |row| Ok((row.get(0)?, row.get(1)?)))
            .stored()?;
        sums = (sums.0 + unsigned(found.0), sums.1 + unsigned(found.1));
    }
    Ok(sums)
}

/// Whether the newest message up to `seq` that has to do with tools asks for one.
fn open_tools(connection: &Connection, chain: &Chain, seq: u32) -> Result<bool, Fault> {
    let first = seq.saturating_sub(LOOK_BACK).max(1);
    for seq in (first..=seq).rev() {
        let Some(entry) = one(connection, chain, seq)? else { return Ok(false) };
        if !entry.status.is_shown() {
            continue;
        }
        let tools = entry.content.tools();
        match entry.role {
            Role::Assistant => return Ok(tools.asks),
            Role::Tool => return Ok(false),
            Role::User if tools.answers => return Ok(false),
            Role::User | Role::System => {}
        }
    }
    Ok(false)
}
