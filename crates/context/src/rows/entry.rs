//! The log: entries are appended, their content is never changed.

use serde_json::Value;
use storage::Stored;
use storage::rusqlite::{self, Connection, OptionalExtension, Statement, params};
use wire::Fault;
use wire::prompt::Role;

use super::chain::Chain;
use super::ctx::Row;
use super::parts::to_text;
use super::seal::{self, Opened, Owner};
use super::{length, signed};
use super::{search, winds};
use crate::{Content, Entry, EntryStatus, Limits, Map, clock, count, refuse};

/// An entry on its way into the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh<'a> {
    pub(crate) role: Role,
    pub(crate) content: &'a Content,
    pub(crate) model: Option<&'a str>,
    pub(crate) meta: &'a Map,
    pub(crate) status: EntryStatus,
}

/// The columns in the order in which [`read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT k, role, status, tok, at, hash, model, dialect, meta, body FROM entry WHERE ",
            $rest
        )
    };
}

/// What stands in the place of a content that cannot be read any more.
const DAMAGED: &str = "[this entry is damaged and cannot be read]";
/// The roles by their number in the table.
const ROLES: [Role; 4] = [Role::System, Role::User, Role::Assistant, Role::Tool];

/// The row id of entry `seq`: the log of a context lies together, in order.
pub(crate) fn place(n: i64, seq: u32) -> i64 {
    n << 32 | i64::from(seq)
}

/// The number of the entry in a row id.
pub(crate) fn seq_of(place: i64) -> u32 {
    u32::try_from(place & 0xFFFF_FFFF).unwrap_or(0)
}

/// Refuses contents that do not fit, before anything is stored.
pub(crate) fn admit(row: &Row, contents: &[&Content], limits: &Limits) -> Result<(), Fault> {
    let mut total = row.bytes;
    for content in contents {
        let bytes = content.stored().len();
        if bytes > limits.message_bytes {
            return Err(refuse::too_long(
                "the message",
                length(bytes),
                length(limits.message_bytes),
            ));
        }
        total = total.saturating_add(length(bytes));
    }
    if total > limits.context_bytes {
        return Err(refuse::too_long("the context with this message", total, limits.context_bytes));
    }
    Ok(())
}

/// Appends one entry; changes the figures of `row`, which the caller saves.
pub(crate) fn append(
    connection: &Connection,
    row: &mut Row,
    fresh: Fresh<'_>,
    now: i64,
) -> Result<Entry, Fault> {
    let seq = row
        .head
        .checked_add(1)
        .ok_or_else(|| refuse::too_long("the log", u64::from(row.head), u64::from(u32::MAX)))?;
    let body = fresh.content.stored();
    let tokens = count::tokens(body);
    row.head = seq;
    row.bytes = row.bytes.saturating_add(length(body.len()));
    row.updated = row.updated.max(now);
    if fresh.status.is_shown() {
        row.cum = row.cum.saturating_add(tokens.into());
    }
    if fresh.status.is_shown() && begins_turn(row, fresh.role, fresh.content) {
        row.safe_seq = seq;
    }
    let meta = if fresh.meta.is_empty() { None } else { Some(to_text(fresh.meta)?) };
    let meta = meta.as_deref().map(|text| seal::text(row.owner(), text)).transpose()?;
    // The checksum is that of the bytes on the disk: it says nothing of what was sealed.
    let sealed = seal::bytes(row.owner(), body.as_bytes())?;
    let sql =
        "INSERT INTO entry(k, role, status, safe, tok, cum, at, hash, model, dialect, meta, body,
                 turns, bytes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![
        row.chain.place(seq),
        role_number(fresh.role),
        status_number(fresh.status),
        row.safe_seq,
        tokens,
        signed(row.cum),
        row.updated,
        hash(&sealed),
        fresh.model,
        fresh.content.dialect(),
        meta,
        sealed,
        signed(row.turns),
        signed(row.bytes),
    ];
    statement.execute(values).stored()?;
    // What is sealed must not lie in the clear in the index of words.
    if row.seal.is_none() {
        search::note(connection, row.chain.own(), seq)?;
    }
    if fresh.status.is_shown() && fresh.content.tools().answers {
        winds::add_result(connection, &row.chain, seq, tokens)?;
    }
    Ok(Entry {
        seq,
        role: fresh.role,
        content: fresh.content.clone(),
        at: clock::moment(row.updated),
        model: fresh.model.map(str::to_owned),
        status: fresh.status,
        meta: fresh.meta.clone(),
        tokens,
    })
}

/// Whether a window may begin at this entry; keeps account of open tool calls.
fn begins_turn(row: &mut Row, role: Role, content: &Content) -> bool {
    let tools = content.tools();
    match role {
        Role::Assistant => {
            row.open_tools = tools.asks;
            false
        }
        Role::Tool => {
            row.open_tools = false;
            false
        }
        Role::User if tools.answers => {
            row.open_tools = false;
            false
        }
        Role::User => !row.open_tools,
        Role::System => false,
    }
}

/// Reads one entry.
pub(crate) fn one(
    connection: &Connection,
    chain: &Chain,
    seq: u32,
) -> Result<Option<Entry>, Fault> {
    let sql = select!("k = ?1");
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.query_row([chain.place(seq)], read).optional().stored()
}

/// Reads the entries `first..=last` that a model is shown.
pub(crate) fn shown(
    connection: &Connection,
    chain: &Chain,
    first: u32,
    last: u32,
) -> Result<Vec<Entry>, Fault> {
    let sql = select!("k BETWEEN ?1 AND ?2 AND status IN (0, 3) ORDER BY k");
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut found = Vec::new();
    for (from, to) in chain.ranges(first, last) {
        collect(&mut statement, params![from, to], &mut found)?;
    }
    // A damaged entry reads as failed.
    Ok(found.into_iter().filter(|entry| entry.status.is_shown()).collect())
}

/// Which entries a page holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) role: Option<Role>,
    pub(crate) newest_first: bool,
}

impl Range {
    /// The row ids of the range in the order of the page.
    fn places(self, chain: &Chain) -> Vec<(i64, i64)> {
        let mut places = chain.ranges(self.first, self.last);
        if self.newest_first {
            places.reverse();
        }
        places
    }
}

/// Limit: bytes of one page beside its last entry; it ends earlier then.
pub(crate) const PAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Entries of a range, and whether the range has more of them.
pub(crate) type Part = (Vec<Entry>, bool);

/// Reads at most `limit` entries of a range.
pub(crate) fn page(
    connection: &Connection,
    chain: &Chain,
    range: Range,
    limit: u32,
) -> Result<Vec<Entry>, Fault> {
    page_within(connection, chain, range, (limit, usize::MAX)).map(|(found, _)| found)
}

/// Reads entries of a range, at most `limit` of them and about `bytes` bytes, but one at least.
pub(crate) fn page_within(
    connection: &Connection,
    chain: &Chain,
    range: Range,
    (limit, bytes): (u32, usize),
) -> Result<Part, Fault> {
    let sql = if range.newest_first {
        select!("k BETWEEN ?1 AND ?2 AND (?3 IS NULL OR role = ?3) ORDER BY k DESC LIMIT ?4")
    } else {
        select!("k BETWEEN ?1 AND ?2 AND (?3 IS NULL OR role = ?3) ORDER BY k LIMIT ?4")
    };
    let mut statement = connection.prepare_cached(sql).stored()?;
    let role = range.role.map(role_number);
    let full = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found: Vec<Entry> = Vec::new();
    let mut held = 0_usize;
    for (from, to) in range.places(chain) {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        let values = params![from, to, role, left.saturating_add(1)];
        for entry in statement.query_map(values, read).stored()? {
            let entry = entry.stored()?;
            if found.len() >= full || held > bytes {
                return Ok((found, true));
            }
            held = held.saturating_add(entry.content.stored().len());
            found.push(entry);
        }
    }
    Ok((found, false))
}

/// The entry with `skip` newer ones of the same role in the range.
pub(crate) fn nth_newest(
    connection: &Connection,
    chain: &Chain,
    range: Range,
    skip: u32,
) -> Result<Option<u32>, Fault> {
    let sql = "SELECT k FROM entry WHERE k BETWEEN ?1 AND ?2 AND (?3 IS NULL OR role = ?3)
               ORDER BY k DESC LIMIT 1 OFFSET ?4";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let role = range.role.map(role_number);
    let mut skip = skip;
    for (from, to) in (Range { newest_first: true, ..range }).places(chain) {
        let values = params![from, to, role, skip];
        let found: Option<i64> =
            statement.query_row(values, |row| row.get(0)).optional().stored()?;
        if let Some(found) = found {
            return Ok(Some(seq_of(found)));
        }
        let sql = "SELECT count(*) FROM entry
                   WHERE k BETWEEN ?1 AND ?2 AND (?3 IS NULL OR role = ?3)";
        let mut count = connection.prepare_cached(sql).stored()?;
        let held: u32 = count.query_row(params![from, to, role], |row| row.get(0)).stored()?;
        skip = skip.saturating_sub(held);
    }
    Ok(None)
}

/// Changes what became of an entry, and adds `failure` to its meta when there is a reason.
pub(crate) fn mark(
    connection: &Connection,
    row: &Row,
    entry: &Entry,
    failure: Option<&str>,
) -> Result<(), Fault> {
    let mut meta = entry.meta.clone();
    match failure {
        Some(reason) => drop(meta.insert("failure".to_owned(), Value::from(reason))),
        None => drop(meta.shift_remove("failure")),
    }
    let text = if meta.is_empty() { None } else { Some(to_text(&meta)?) };
    let text = text.as_deref().map(|text| seal::text(row.owner(), text)).transpose()?;
    let sql = "UPDATE entry SET status = ?2, meta = ?3 WHERE k = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement
        .execute(params![row.chain.place(entry.seq), status_number(entry.status), text])
        .stored()?;
    Ok(())
}

/// Puts another content in the place of an entry's: only a redaction may. Its figures stay, so that
/// the running sums still add up.
pub(crate) fn rewrite(
    connection: &Connection,
    (chain, owner): (&Chain, Owner),
    (seq, content): (u32, &Content),
    meta: &Map,
) -> Result<(), Fault> {
    let body = seal::bytes(owner, content.stored().as_bytes())?;
    let meta = to_text(meta)?;
    let meta = seal::text(owner, &meta)?;
    let sql = "UPDATE entry SET body = ?2, hash = ?3, meta = ?4 WHERE k = ?1";
    let values = params![chain.place(seq), body, hash(&body), meta];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}

/// Adds `tokens` to the running sums from `seq` on; at most the newest turn is rewritten.
pub(crate) fn shift(
    connection: &Connection,
    row: &mut Row,
    seq: u32,
    tokens: i64,
) -> Result<(), Fault> {
    let sql = "UPDATE entry SET cum = cum + ?3 WHERE k BETWEEN ?1 AND ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let own = row.chain.own();
    statement.execute(params![place(own, seq), place(own, row.head), tokens]).stored()?;
    row.cum = row.cum.saturating_add_signed(tokens);
    Ok(())
}

/// Whether an entry up to `head` holds `needle` (lower case), the newest looked at first.
pub(crate) fn contains(
    connection: &Connection,
    chain: &Chain,
    head: u32,
    needle: &str,
) -> Result<bool, Fault> {
    let sql = select!("k BETWEEN ?1 AND ?2 ORDER BY k DESC");
    let mut statement = connection.prepare_cached(sql).stored()?;
    for (from, to) in chain.ranges(1, head).into_iter().rev() {
        let mut rows = statement.query(params![from, to]).stored()?;
        while let Some(row) = rows.next().stored()? {
            let entry = read(row).stored()?;
            if entry.content.plain().to_lowercase().contains(needle) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn collect(
    statement: &mut Statement<'_>,
    values: impl rusqlite::Params,
    found: &mut Vec<Entry>,
) -> Result<(), Fault> {
    for entry in statement.query_map(values, read).stored()? {
        found.push(entry.stored()?);
    }
    Ok(())
}

/// Reads a row; one whose bytes are not what was stored is shown as damaged and kept from models,
/// so that the rest of the log stays usable.
fn read(row: &rusqlite::Row<'_>) -> Result<Entry, rusqlite::Error> {
    let place: i64 = row.get(0)?;
    let dialect: Option<String> = row.get(7)?;
    let meta = Opened::shown(row, 8)?;
    let body = row.get_ref(9)?.as_bytes().unwrap_or_default();
    let sound = hash(body) == row.get::<_, i64>(5)?;
    let plain = seal::open(body).unwrap_or_default();
    let content = Content::restore(dialect.as_deref(), &plain).filter(|_| sound);
    let meta = meta.map_or(Some(Map::new()), |text| serde_json::from_str(&text).ok());
    let mut status = status_of(row.get(2)?);
    let (content, meta) = match (content, meta) {
        (Some(content), Some(meta)) => (content, meta),
        _ => {
            tracing::error!(context = place >> 32, seq = seq_of(place), "an entry is damaged");
            status = EntryStatus::Failed;
            let meta = Map::from_iter([("damaged".to_owned(), Value::Bool(true))]);
            (Content::Text(DAMAGED.to_owned()), meta)
        }
    };
    Ok(Entry {
        seq: seq_of(place),
        role: role_of(row.get(1)?),
        content,
        at: clock::moment(row.get(4)?),
        model: row.get(6)?,
        status,
        meta,
        tokens: row.get(3)?,
    })
}

/// The checksum of a content.
pub(crate) fn hash(body: &[u8]) -> i64 {
    let digest = blake3::hash(body);
    digest.as_bytes().first_chunk::<8>().map_or(0, |bytes| i64::from_le_bytes(*bytes))
}

fn role_number(role: Role) -> i64 {
    match role {
        Role::System => 0,
        Role::User => 1,
        Role::Assistant => 2,
        Role::Tool => 3,
    }
}

pub(crate) fn role_of(number: i64) -> Role {
    usize::try_from(number).ok().and_then(|i| ROLES.get(i)).copied().unwrap_or(Role::User)
}

fn status_number(status: EntryStatus) -> i64 {
    match status {
        EntryStatus::Complete => 0,
        EntryStatus::Failed => 1,
        EntryStatus::Partial => 2,
        EntryStatus::Pending => 3,
    }
}

/// Whether an entry with this stored status is shown to models.
pub(crate) fn is_shown(status: i64) -> bool {
    status_of(status).is_shown()
}

fn status_of(number: i64) -> EntryStatus {
    match number {
        0 => EntryStatus::Complete,
        2 => EntryStatus::Partial,
        3 => EntryStatus::Pending,
        _ => EntryStatus::Failed,
    }
}
