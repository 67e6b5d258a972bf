//! Where a window begins: big steps, at a safe entry, found by binary search over running sums.
//!
//! Two point reads per step of the search, never a body: the cost grows with the logarithm of the
//! log.

use storage::Stored;
use storage::rusqlite::{Connection, OptionalExtension};
use wire::Fault;
use wire::prompt::Role;

use super::chain::Chain;
use super::ctx::Row;
use super::{entry, unsigned, winds};
use crate::Cut;

/// After a cut the window is filled to this part of the budget. Half is near the cheapest for
/// prompt caches: fewer cuts rewrite less, smaller windows read less.
const LOW_WATER_DIVISOR: u64 = 2;
/// How far over its budget a window may go while results of tools are handed in, in percent: the
/// budget leaves a fifth of the model's window free.
const LOOP_PERCENT: u64 = 115;
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

/// Tokens of the window that begins at `start`, with the results of tools up to `cleared` cleared.
pub(crate) fn tokens_cleared(
    connection: &Connection,
    row: &Row,
    (start, cleared): (u32, u32),
) -> Result<u64, Fault> {
    let tokens = tokens_from(connection, row, start)?;
    let cleared = cleared.min(row.head);
    if cleared < start {
        return Ok(tokens);
    }
    let saved = winds::saved_upto(connection, &row.chain, cleared)?;
    let before = winds::saved_upto(connection, &row.chain, start.saturating_sub(1))?;
    Ok(tokens.saturating_sub(saved.saturating_sub(before)))
}

/// What a window is filled to, and what may be cleared before messages are left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Tokens.
    pub(crate) budget: u32,
    /// Results of tools up to this entry are cleared already.
    pub(crate) cleared: u32,
    /// Results of tools of so many of the newest turns are never cleared; `None` clears none.
    pub(crate) keep_results: Option<u32>,
}

/// The next beginning of the window, when what it carries now exceeds the room it has.
pub(crate) fn next(connection: &Connection, row: &Row, room: Room) -> Result<Option<Cut>, Fault> {
    if row.head == 0 {
        return Ok(None);
    }
    let high = u64::from(room.budget).saturating_mul(PER_MILLE) / row.scale.max(1);
    let held = tokens_cleared(connection, row, (row.start_seq, room.cleared))?;
    if held <= high {
        return Ok(None);
    }
    // The newest turn is always kept, however large it is.
    let newest = safe_at(connection, &row.chain, row.head)?;
    // In the middle of a loop of tools a model wants to see what it thought: the cut waits for the
    // next turn as long as the window itself allows.
    if held <= high.saturating_mul(LOOP_PERCENT) / 100 && is_in_loop(connection, row)? {
        return Ok(None);
    }
    let low = high / LOW_WATER_DIVISOR;
    let cleared = match room.keep_results {
        None => room.cleared,
        Some(turns) => {
            turns_back(connection, &row.chain, row.head, turns)?.saturating_sub(1).max(room.cleared)
        }
    };
    let size = |start: u32| tokens_cleared(connection, row, (start, cleared));
    let mut first = newest;
    if size(row.start_seq)? <= low {
        first = row.start_seq;
    }
    let (mut from, mut to) = (row.start_seq, row.head);
    while from < to && first > row.start_seq {
        let middle = from + (to - from) / 2;
        let safe = safe_at(connection, &row.chain, middle)?;
        if safe >= row.start_seq && size(safe)? <= low {
            first = first.min(safe);
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    let first = first.max(row.start_seq);
    if first == row.start_seq && cleared <= room.cleared {
        return Ok(None);
    }
    Ok(Some(report(connection, row, (first, cleared), held)?))
}

/// What a cut at `first` leaves out.
pub(crate) fn report(
    connection: &Connection,
    row: &Row,
    (first, cleared): (u32, u32),
    held: u64,
) -> Result<Cut, Fault> {
    let kept = tokens_cleared(connection, row, (first, cleared))?;
    Ok(Cut {
        dropped_messages: u64::from(first.saturating_sub(row.start_seq)),
        dropped_tokens: scaled(row, held.saturating_sub(kept)),
        kept_tokens: scaled(row, kept),
        first_seq: first,
        cleared_upto: cleared,
    })
}

/// Whether calls of tools are open, or results of some are being handed in.
pub(crate) fn is_in_loop(connection: &Connection, row: &Row) -> Result<bool, Fault> {
    if row.open_tools || row.head == 0 {
        return Ok(row.open_tools);
    }
    let role = number(connection, "SELECT role FROM entry WHERE k = ?1", &row.chain, row.head)?;
    let answers = matches!(entry::role_of(role), Role::User | Role::Tool);
    Ok(answers && safe_at(connection, &row.chain, row.head)? != row.head)
}

/// The first entry after `from` that begins a turn, `turns` turns on; `None` when there are fewer
/// up to `last`.
pub(crate) fn turns_on(
    connection: &Connection,
    chain: &Chain,
    (from, last): (u32, u32),
    turns: u32,
) -> Result<Option<u32>, Fault> {
    let sql = "SELECT k FROM entry WHERE k BETWEEN ?1 AND ?2 AND safe = (k & 4294967295)
               ORDER BY k LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut left = turns;
    for (low, high) in chain.ranges(from.saturating_add(1), last) {
        let found = statement.query_map([low, high, i64::from(left)], |row| row.get(0)).stored()?;
        for place in found {
            let place: i64 = place.stored()?;
            left -= 1;
            if left == 0 {
                return Ok(Some(entry::seq_of(place)));
            }
        }
    }
    Ok(None)
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
