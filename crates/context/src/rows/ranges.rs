//! Entries as they are passed on to other servers, and the chain of their hashes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use storage::Stored;
use storage::rusqlite::{Connection, Row as Found, params};
use wire::{Code, Fault};

use super::ctx::Row;
use super::entry::{self, seq_of};
use super::seal::{self, Opened};
use crate::EntryStatus;
use crate::mount::{Link, Passed, beginning};

/// Limit: segments whose chain is remembered.
const SEGMENTS_MAX: usize = 256;
/// Limit: places of one segment at which it is.
const PLACES_MAX: usize = 1024;
/// So many entries lie between two remembered places at least.
const STRIDE: u32 = 512;

/// The chain at some places of some logs, so that a range is signed without reading all before it.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often entries were rewritten: what was read before that is not remembered.
    generation: u64,
    segments: HashMap<i64, BTreeMap<u32, Link>>,
}

impl Marks {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries were rewritten, and that is on the disk.
    pub(crate) fn clear(&self) {
        let mut known = self.known();
        known.generation = known.generation.wrapping_add(1);
        known.segments.clear();
    }

    /// What a reader must hand back with what it found; taken before it reads.
    pub(crate) fn generation(&self) -> u64 {
        self.known().generation
    }

    /// The nearest known place up to an entry.
    fn nearest(&self, segment: i64, upto: u32) -> Option<(u32, Link)> {
        let known = self.known();
        let found = known.segments.get(&segment)?.range(..=upto).next_back();
        found.map(|(seq, link)| (*seq, *link))
    }

    fn note(&self, generation: u64, segment: i64, places: &[(u32, Link)]) {
        let mut known = self.known();
        if known.generation != generation {
            return;
        }
        if known.segments.len() >= SEGMENTS_MAX && !known.segments.contains_key(&segment) {
            known.segments.clear();
        }
        let of = known.segments.entry(segment).or_default();
        if of.len().saturating_add(places.len()) > PLACES_MAX {
            of.clear();
        }
        of.extend(places.iter().copied().take(PLACES_MAX));
    }
}

/// The newest entry that will not change any more: a turn that runs or can be retried is left out.
pub(crate) fn settled(connection: &Connection, row: &Row) -> Result<u32, Fault> {
    let Some(seq) = row.turn_seq.filter(|seq| *seq <= row.head) else { return Ok(row.head) };
    let question = entry::one(connection, &row.chain, seq)?;
    let whole = question.is_some_and(|entry| entry.status == EntryStatus::Complete);
    Ok(if whole && row.open_turn.is_none() { row.head } else { seq.saturating_sub(1) })
}

/// Hands out the entries `first..=last` until `each` has enough.
pub(crate) fn each(
    connection: &Connection,
    row: &Row,
    (first, last): (u32, u32),
    mut each: impl FnMut(Passed) -> Result<bool, Fault>,
) -> Result<(), Fault> {
    let sql = "SELECT k, role, status, at, hash, model, dialect, meta, body FROM entry
               WHERE k BETWEEN ?1 AND ?2 ORDER BY k";
    let mut statement = connection.prepare_cached(sql).stored()?;
    for (from, to) in row.chain.ranges(first, last) {
        let mut found = statement.query(params![from, to]).stored()?;
        while let Some(found) = found.next().stored()? {
            let seq = seq_of(found.get(0).stored()?);
            let passed = read(found, seq).stored()?.ok_or_else(|| damaged(seq))?;
            if !each(passed)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn read(found: &Found<'_>, seq: u32) -> Result<Option<Passed>, storage::rusqlite::Error> {
    let body = found.get_ref(8)?.as_bytes().unwrap_or_default();
    if entry::hash(body) != found.get::<_, i64>(4)? {
        return Ok(None);
    }
    let plain = seal::open(body).and_then(|plain| String::from_utf8(plain.into_owned()).ok());
    let status = Passed::status_name(found.get(2)?);
    let (Some(body), Some(status)) = (plain, status) else { return Ok(None) };
    Ok(Some(Passed {
        seq,
        role: Passed::role_name(found.get(1)?),
        status,
        at: found.get(3)?,
        model: found.get(5)?,
        dialect: found.get(6)?,
        meta: Opened::maybe(found, 7)?,
        body,
    }))
}

fn damaged(seq: u32) -> Fault {
    Fault::new(Code::StorageError, format!("entry {seq} is damaged and cannot be passed on"))
        .hint("`rapport doctor --store` names what is damaged; restore a backup")
        .details(serde_json::json!({"reason": "damaged_record", "seq": seq}))
}

/// The chain behind entry `upto`.
pub(crate) fn chain(
    connection: &Connection,
    row: &Row,
    (marks, generation): (&Marks, u64),
    upto: u32,
) -> Result<Link, Fault> {
    let segment = row.chain.own();
    let start = marks.nearest(segment, upto);
    let (from, mut link) = start.unwrap_or_else(|| (0, beginning(&row.key.id, row.created)));
    let mut places = Vec::new();
    if from < upto {
        each(connection, row, (from.saturating_add(1), upto), |passed| {
            link = passed.chained(&link);
            if passed.seq.is_multiple_of(STRIDE) {
                places.push((passed.seq, link));
            }
            Ok(true)
        })?;
    }
    places.push((upto, link));
    marks.note(generation, segment, &places);
    Ok(link)
}
