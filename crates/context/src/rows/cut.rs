//! Where a window begins: big steps, at a safe entry, found by binary search over running sums.
//!
//! Two point reads per step of the search, never a body: the cost grows with the logarithm of the
//! log.

use storage::Stored;
use storage::rusqlite::{Connection, OptionalExtension};
use wire::Fault;

use super::chain::Chain;
use super::ctx::Row;
use super::unsigned;
use crate::Cut;

/// After a cut the window is filled to this part of the budget. Half is near the cheapest for
/// prompt caches: fewer cuts rewrite less, smaller windows read less.
const LOW_WATER_DIVISOR: u64 = 2;
/// The unit of [`Row::scale`].
const PER_MILLE: u64 = 1000;

/// Estimated tokens as the provider would count them.
pub(crate) fn scaled(row: &Row, tokens: u64) -> u64 {
    tokens.saturating_mul(row.scale) / PER_MILLE
}

/// Tokens of the window that begins at `start`.
pub(crate) fn tokens_from(connection: &Connection, row: &Row, start: u32) -> Result<u64, Fault> {
    Ok(row.cum.saturating_sub(sum_before(connection, &row.chain, start)?))
}

/// The next beginning of the window, when what it carries now exceeds `budget` tokens.
pub(crate) fn next(connection: &Connection, row: &Row, budget: u32) -> Result<Option<Cut>, Fault> {
    let high = u64::from(budget).saturating_mul(PER_MILLE) / row.scale.max(1);
    let held = tokens_from(connection, row, row.start_seq)?;
    if held <= high || row.head == 0 {
        return Ok(None);
    }
    let low = high / LOW_WATER_DIVISOR;
    // The newest turn is always kept, however large it is.
    let mut first = safe_at(connection, &row.chain, row.head)?;
    let (mut from, mut to) = (row.start_seq, row.head);
    while from < to {
        let middle = from + (to - from) / 2;
        let safe = safe_at(connection, &row.chain, middle)?;
        if safe >= row.start_seq && tokens_from(connection, row, safe)? <= low {
            first = first.min(safe);
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    if first <= row.start_seq {
        return Ok(None);
    }
    let kept = tokens_from(connection, row, first)?;
    Ok(Some(Cut {
        dropped_messages: u64::from(first - row.start_seq),
        dropped_tokens: scaled(row, held.saturating_sub(kept)),
        kept_tokens: scaled(row, kept),
        first_seq: first,
    }))
}

/// The first entry of the newest `turns` turns.
pub(crate) fn turns_back(
    connection: &Connection,
    chain: &Chain,
    head: u32,
    turns: u32,
) -> Result<u32, Fault> {
    let mut at = head;
    let mut first = head.saturating_add(1);
    for _ in 0..turns {
        if at == 0 {
            break;
        }
        first = safe_at(connection, chain, at)?;
        at = first.saturating_sub(1);
    }
    Ok(first)
}

/// The first entry up to `head` that was stored at or after `time`.
pub(crate) fn since(
    connection: &Connection,
    chain: &Chain,
    head: u32,
    time: i64,
) -> Result<u32, Fault> {
    let (mut from, mut to) = (1, head.saturating_add(1));
    while from < to {
        let middle = from + (to - from) / 2;
        if number(connection, "SELECT at FROM entry WHERE k = ?1", chain, middle)? >= time {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    Ok(from)
}

fn sum_before(connection: &Connection, chain: &Chain, seq: u32) -> Result<u64, Fault> {
    if seq <= 1 {
        return Ok(0);
    }
    number(connection, "SELECT cum FROM entry WHERE k = ?1", chain, seq - 1).map(unsigned)
}

fn safe_at(connection: &Connection, chain: &Chain, seq: u32) -> Result<u32, Fault> {
    let safe = number(connection, "SELECT safe FROM entry WHERE k = ?1", chain, seq)?;
    Ok(u32::try_from(safe).unwrap_or(0))
}

fn number(connection: &Connection, sql: &str, chain: &Chain, seq: u32) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement.query_row([chain.place(seq)], |row| row.get(0)).optional().stored()?;
    found.ok_or_else(|| Fault::internal(format!("entry {seq} of a log is missing")))
}
