//! Where the entries of a log lie: in a segment of its own, and before that in those it shares.
//!
//! A fork copies nothing: its segment is linked to the segment that holds the entry it leaves from.
//! Every entry up to there is read where it lies. Segments are numbered like contexts.

use storage::rusqlite::{Connection, OptionalExtension, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::entry::place;

/// Limit: segments that one log reads from. A fork beyond it gets a copy of what it would share.
pub(crate) const SEGMENTS_MAX: usize = 32;
/// Limit: links that are followed, so that a damaged table cannot hold a reader for ever.
const LINKS_MAX: usize = 4 * SEGMENTS_MAX;

/// The segments of one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    own: i64,
    /// Oldest first; `upto` rises from one to the next.
    shared: Vec<Shared>,
}

/// The entries up to `upto`, as far as no older piece has them, lie in `segment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    pub(crate) segment: i64,
    pub(crate) upto: u32,
}

impl Chain {
    /// A log that shares nothing.
    pub(crate) fn alone(own: i64) -> Self {
        Self { own, shared: Vec::new() }
    }

    /// Follows the links of a segment.
    pub(crate) fn read(connection: &Connection, own: i64) -> Result<Self, Fault> {
        let mut shared = Vec::new();
        let mut at = own;
        while let Some(link) = link(connection, at)? {
            if shared.len() >= LINKS_MAX {
                return Err(Fault::internal(format!("the segment {own} has a ring of links")));
            }
            shared.push(link);
            at = link.segment;
        }
        shared.reverse();
        Ok(Self { own, shared })
    }

    /// The segment that takes new entries.
    pub(crate) fn own(&self) -> i64 {
        self.own
    }

    /// The newest entry that is shared; 0 without any.
    pub(crate) fn base(&self) -> u32 {
        self.shared.last().map_or(0, |piece| piece.upto)
    }

    /// How many segments the log reads from.
    pub(crate) fn segments(&self) -> usize {
        self.shared.len() + 1
    }

    /// The newest shared entry of every segment, oldest first.
    pub(crate) fn borders(&self) -> impl Iterator<Item = u32> + '_ {
        self.shared.iter().map(|piece| piece.upto)
    }

    /// The row id of an entry.
    pub(crate) fn place(&self, seq: u32) -> i64 {
        place(self.segment_of(seq), seq)
    }

    /// The segment that holds an entry.
    pub(crate) fn segment_of(&self, seq: u32) -> i64 {
        let found = self.shared.iter().find(|piece| seq <= piece.upto);
        found.map_or(self.own, |piece| piece.segment)
    }

    /// The row ids of `first..=last`, one range a segment, oldest first.
    pub(crate) fn ranges(&self, first: u32, last: u32) -> Vec<(i64, i64)> {
        let mut out = Vec::with_capacity(1);
        let mut from = first;
        for piece in &self.shared {
            if from > last {
                return out;
            }
            let to = last.min(piece.upto);
            if from <= to {
                out.push((place(piece.segment, from), place(piece.segment, to)));
                from = to.saturating_add(1);
            }
        }
        if from <= last {
            out.push((place(self.own, from), place(self.own, last)));
        }
        out
    }

    /// The chain of a new segment that goes on after entry `at` of this one.
    pub(crate) fn fork(&self, own: i64, at: u32) -> Self {
        let mut shared: Vec<_> =
            self.shared.iter().copied().take_while(|piece| piece.upto < at).collect();
        if at > 0 {
            shared.push(Shared { segment: self.segment_of(at), upto: at });
        }
        Self { own, shared }
    }

    /// Keeps the link of the own segment.
    pub(crate) fn save(&self, connection: &Connection) -> Result<(), Fault> {
        let Some(last) = self.shared.last() else { return Ok(()) };
        let sql = "INSERT INTO link(s, parent, upto) VALUES (?1, ?2, ?3)";
        let mut statement = prepare_insert(connection, sql)?;
        statement.execute(params![self.own, last.segment, last.upto]).stored()?;
        Ok(())
    }
}

/// What a segment goes on from.
fn link(connection: &Connection, segment: i64) -> Result<Option<Shared>, Fault> {
    let sql = "SELECT parent, upto FROM link WHERE s = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read =
        |row: &storage::rusqlite::Row<'_>| Ok(Shared { segment: row.get(0)?, upto: row.get(1)? });
    statement.query_row([segment], read).optional().stored()
}

/// Whether another segment goes on from this one at `upto` or later.
pub(crate) fn is_shared_from(
    connection: &Connection,
    segment: i64,
    upto: u32,
) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM link WHERE parent = ?1 AND upto >= ?2 LIMIT 1";
    connection.prepare_cached(sql).stored()?.exists(params![segment, upto]).stored()
}

/// Takes a number for a segment that belongs to no new context.
pub(crate) fn number(connection: &Connection) -> Result<i64, Fault> {
    let sql = "UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'ctx' RETURNING seq";
    connection.query_row(sql, [], |row| row.get(0)).stored()
}

/// Gives segments back. What another log still reads stays until that log is gone. The rest goes at
/// once while it is small (`at_once` entries in all), else by way of the trash. Says whether
/// anything went there.
pub(crate) fn release(
    connection: &Connection,
    segments: &[i64],
    at_once: u32,
) -> Result<bool, Fault> {
    let mut newest_first = segments.to_vec();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    let mut left = false;
    for segment in newest_first {
        let mut next = Some(segment);
        while let Some(segment) = next {
            if is_shared_from(connection, segment, 0)? {
                let sql = "INSERT OR IGNORE INTO kept(s) VALUES (?1)";
                prepare_insert(connection, sql)?.execute([segment]).stored()?;
                break;
            }
            left |= drop_segment(connection, segment, at_once)?;
            next = unkeep(connection, segment)?;
        }
    }
    Ok(left)
}

/// Removes the link of a dropped segment; hands out its parent if that was only kept for it.
fn unkeep(connection: &Connection, segment: i64) -> Result<Option<i64>, Fault> {
    let Some(parent) = link(connection, segment)?.map(|link| link.segment) else {
        return Ok(None);
    };
    let sql = "DELETE FROM link WHERE s = ?1";
    connection.prepare_cached(sql).stored()?.execute([segment]).stored()?;
    let sql = "DELETE FROM kept WHERE s = ?1";
    let kept = connection.prepare_cached(sql).stored()?.execute([parent]).stored()? > 0;
    Ok(kept.then_some(parent))
}

fn drop_segment(connection: &Connection, segment: i64, at_once: u32) -> Result<bool, Fault> {
    let (from, to) = (place(segment, 0), place(segment, u32::MAX));
    super::search::forget(connection, from, to, at_once)?;
    super::winds::drop_segment(connection, segment)?;
    super::vectors::drop_segment(connection, segment, at_once)?;
    let sql = "DELETE FROM entry WHERE k IN
                 (SELECT k FROM entry WHERE k BETWEEN ?1 AND ?2 LIMIT ?3)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let gone = statement.execute(params![from, to, at_once]).stored()?;
    if u32::try_from(gone).unwrap_or(u32::MAX) < at_once {
        return Ok(false);
    }
    let sql = "INSERT OR IGNORE INTO trash(n) VALUES (?1)";
    prepare_insert(connection, sql)?.execute([segment]).stored()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_of_a_fork_reads_every_entry_where_it_lies() {
        let first = Chain::alone(1);
        let second = first.fork(2, 10);
        let third = second.fork(3, 15);
        assert_eq!(third.segments(), 3);
        assert_eq!(
            third.ranges(1, 20),
            [
                (place(1, 1), place(1, 10)),
                (place(2, 11), place(2, 15)),
                (place(3, 16), place(3, 20)),
            ]
        );
        assert_eq!(third.ranges(12, 13), [(place(2, 12), place(2, 13))]);
        assert_eq!(third.place(10), place(1, 10));
        assert_eq!(third.place(16), place(3, 16));
    }

    #[test]
    fn a_fork_before_the_parents_own_entries_skips_the_parent() {
        let second = Chain::alone(1).fork(2, 10);
        let third = second.fork(3, 5);
        assert_eq!(third, Chain { own: 3, shared: vec![Shared { segment: 1, upto: 5 }] });
        assert_eq!(second.fork(4, 0), Chain::alone(4));
    }
}
