//! What the last cut decided beside the beginning of the window: which results of tools are
//! cleared, and which nodes of the tree of summaries are shown.
//!
//! Both stand still between two cuts, so that inside an epoch nothing that was sent changes.

use storage::rusqlite::{Connection, OptionalExtension, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::chain::Chain;
use super::entry::place;
use super::{signed, unsigned};

/// Tokens of what stands in the place of a cleared result.
const STUB_TOKENS: u64 = 20;

/// What the last cut decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wind {
    /// Results of tools up to this entry are cleared.
    pub(crate) cleared: u32,
    /// Nodes up to this number are shown.
    pub(crate) nodes: u32,
}

/// Reads what the last cut of a context decided.
pub(crate) fn read(connection: &Connection, n: i64) -> Result<Wind, Fault> {
    let sql = "SELECT cleared, nodes FROM wind WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement
        .query_row([n], |row| Ok(Wind { cleared: row.get(0)?, nodes: row.get(1)? }))
        .optional()
        .stored()?;
    Ok(found.unwrap_or_default())
}

/// Keeps what a cut decided.
pub(crate) fn save(connection: &Connection, n: i64, wind: Wind) -> Result<(), Fault> {
    let sql = "INSERT OR REPLACE INTO wind(n, cleared, nodes) VALUES (?1, ?2, ?3)";
    let values = params![n, wind.cleared, wind.nodes];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(())
}

/// Adds a result of a tool to the running sum of what clearing would save.
pub(crate) fn add_result(
    connection: &Connection,
    chain: &Chain,
    seq: u32,
    tokens: u32,
) -> Result<(), Fault> {
    let saved = u64::from(tokens).saturating_sub(STUB_TOKENS);
    let sum = saved_upto(connection, chain, seq.saturating_sub(1))?.saturating_add(saved);
    let sql = "INSERT OR REPLACE INTO tool_sum(k, cum) VALUES (?1, ?2)";
    let values = params![chain.place(seq), signed(sum)];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(())
}

/// What clearing every result up to an entry would save.
pub(crate) fn saved_upto(connection: &Connection, chain: &Chain, seq: u32) -> Result<u64, Fault> {
    let sql = "SELECT cum FROM tool_sum WHERE k BETWEEN ?1 AND ?2 ORDER BY k DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    for (from, to) in chain.ranges(1, seq).into_iter().rev() {
        let found: Option<i64> =
            statement.query_row(params![from, to], |row| row.get(0)).optional().stored()?;
        if let Some(found) = found {
            return Ok(unsigned(found));
        }
    }
    Ok(0)
}

/// Forgets the sums of a segment that is gone.
pub(crate) fn drop_segment(connection: &Connection, segment: i64) -> Result<(), Fault> {
    let sql = "DELETE FROM tool_sum WHERE k BETWEEN ?1 AND ?2";
    let values = params![place(segment, 0), place(segment, u32::MAX)];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}
