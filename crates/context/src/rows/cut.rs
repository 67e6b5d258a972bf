//! Where a window begins: big steps, at a safe entry, found by binary search over running sums.
//!
//! One point read per step of the search, never a body: the cost grows with the logarithm of the
//! window at most.

use storage::Stored;
use storage::rusqlite::{Connection, OptionalExtension, Statement};
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
/// The running sum of an entry, and the newest safe entry up to it.
const CUM: &str = "SELECT cum FROM entry WHERE k = ?1";
const SAFE: &str = "SELECT safe FROM entry WHERE k = ?1";

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
    let first = match tokens_cleared(connection, row, (row.start_seq, cleared))? {
        all if all <= low => row.start_seq,
        all => fitting(connection, row, (cleared, low, all))?.map_or(newest, |at| at.min(newest)),
    };
    let first = first.max(row.start_seq);
    if first == row.start_seq && cleared <= room.cleared {
        return Ok(None);
    }
    Ok(Some(report(connection, row, (first, cleared), held)?))
}

/// The first safe entry behind the beginning from which the window has at most `low` tokens, when
/// it has `all` from there; `None` when the newest turn alone has more.
///
/// The place is guessed by the share of tokens, and what is left around it halved: a handful of
/// reads where messages are alike, twice the logarithm of the window where they are not.
fn fitting(
    connection: &Connection,
    row: &Row,
    (cleared, low, all): (u32, u64, u64),
) -> Result<Option<u32>, Fault> {
    let mut sums = connection.prepare_cached(CUM).stored()?;
    let mut size = |start: u32| -> Result<u64, Fault> {
        if cleared >= start {
            return tokens_cleared(connection, row, (start, cleared));
        }
        let before = read(&mut sums, &row.chain, start.saturating_sub(1))?;
        Ok(row.cum.saturating_sub(unsigned(before)))
    };
    // From `over` on it is too much, from `fits` on it is not: all entries together have `all`.
    let (mut over, mut fits) = (row.start_seq, row.head.saturating_add(1));
    let span = u64::from(fits - over);
    let share = span.saturating_mul(all.saturating_sub(low)) / all.max(1);
    let mut at = over.saturating_add(u32::try_from(share).unwrap_or(u32::MAX));
    let mut step = 2_u32;
    let (mut is_below, mut is_above) = (false, false);
    while fits - over > 1 {
        at = at.clamp(over + 1, fits - 1);
        if size(at)? > low {
            (over, is_below) = (at, true);
        } else {
            (fits, is_above) = (at, true);
        }
        at = match (is_below, is_above) {
            (true, true) => over + (fits - over) / 2,
            (true, false) => over.saturating_add(step),
            _ => fits.saturating_sub(step),
        };
        step = step.saturating_mul(4);
    }
    first_safe(connection, row, fits)
}

/// The first safe entry from `from` on.
fn first_safe(connection: &Connection, row: &Row, from: u32) -> Result<Option<u32>, Fault> {
    let mut statement = connection.prepare_cached(SAFE).stored()?;
    let mut safe = |seq: u32| -> Result<u32, Fault> {
        Ok(u32::try_from(read(&mut statement, &row.chain, seq)?).unwrap_or(0))
    };
    let (mut below, mut step) = (from.saturating_sub(1), 1_u32);
    let mut at = from;
    // Turns are short; a long one is passed in growing steps.
    let (mut found, mut high) = loop {
        if at > row.head {
            at = row.head;
        }
        let begin = if at < from { 0 } else { safe(at)? };
        if begin >= from {
            break (begin, at);
        }
        if at >= row.head {
            return Ok(None);
        }
        (below, at, step) = (at, at.saturating_add(step), step.saturating_mul(2));
    };
    while high - below > 1 {
        let middle = below + (high - below) / 2;
        let begin = safe(middle)?;
        if begin >= from {
            (found, high) = (begin, middle);
        } else {
            below = middle;
        }
    }
    Ok(Some(found))
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
    number(connection, CUM, chain, seq - 1).map(unsigned)
}

fn safe_at(connection: &Connection, chain: &Chain, seq: u32) -> Result<u32, Fault> {
    let safe = number(connection, SAFE, chain, seq)?;
    Ok(u32::try_from(safe).unwrap_or(0))
}

fn number(connection: &Connection, sql: &str, chain: &Chain, seq: u32) -> Result<i64, Fault> {
    read(&mut *connection.prepare_cached(sql).stored()?, chain, seq)
}

fn read(statement: &mut Statement<'_>, chain: &Chain, seq: u32) -> Result<i64, Fault> {
    let found = statement.query_row([chain.place(seq)], |row| row.get(0)).optional().stored()?;
    found.ok_or_else(|| Fault::internal(format!("entry {seq} of a log is missing")))
}
