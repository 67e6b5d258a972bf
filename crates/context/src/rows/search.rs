//! The index of words: what it holds, and how messages are found by them.

use storage::Stored;
use storage::rusqlite::{Connection, OptionalExtension, Row as Found, params};
use wire::Fault;

use super::chain::Chain;
use super::entry::{self, place};
use super::seal::Opened;
use crate::Tenant;

/// Entries that are put into the index together; between two slices the writer serves others.
const SLICE_ENTRIES: u32 = 500;
/// Bytes of entries that are read together.
const SLICE_BYTES: usize = 8 * 1024 * 1024;
/// Limit: bytes of one entry that are indexed.
const INDEXED_BYTES_MAX: usize = 256 * 1024;
/// Pages of the index that are rewritten together.
const MERGED_PAGES: i64 = 500;
/// Limit: words of one question.
const WORDS_MAX: usize = 32;

/// Which context shows a log.
pub(super) const OWNER: &str = "SELECT id, title FROM
  (SELECT * FROM ctx WHERE n = ?2 UNION ALL SELECT * FROM ctx WHERE log = ?2)
WHERE tenant = ?1 AND (expires IS NULL OR expires > ?3) AND status != 2
ORDER BY n = ?2 DESC LIMIT 1";
/// Whose log it is.
pub(super) const TENANT: &str = "SELECT tenant FROM ctx WHERE n = ?1
UNION SELECT tenant FROM ctx WHERE log = ?1
UNION SELECT c.tenant FROM view v JOIN ctx c ON c.n = v.n WHERE v.log = ?1
LIMIT 1";

/// Notes that a log has entries which are not in the index.
pub(crate) fn note(connection: &Connection, log: i64, from: u32) -> Result<(), Fault> {
    let sql = "INSERT OR IGNORE INTO unindexed(log, from_seq) VALUES (?1, ?2)";
    connection.prepare_cached(sql).stored()?.execute(params![log, from]).stored()?;
    Ok(())
}

/// Whether there are entries that are not in the index.
pub(crate) fn is_behind(connection: &Connection) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM unindexed LIMIT 1";
    connection.prepare_cached(sql).stored()?.exists([]).stored()
}

/// Puts a slice of entries into the index; says whether more are waiting.
pub(crate) fn index(connection: &Connection) -> Result<bool, Fault> {
    let mut left = SLICE_ENTRIES;
    while left > 0 {
        let sql = "SELECT log, from_seq FROM unindexed LIMIT 1";
        let mut statement = connection.prepare_cached(sql).stored()?;
        let next: Option<(i64, u32)> =
            statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?))).optional().stored()?;
        let Some((log, from)) = next else { return Ok(false) };
        let tenant = tenant_of(connection, log)?;
        let done = index_log(connection, (log, tenant), from, left)?;
        if !done.2 {
            let sql = "DELETE FROM unindexed WHERE log = ?1";
            connection.prepare_cached(sql).stored()?.execute([log]).stored()?;
        } else {
            let sql = "UPDATE unindexed SET from_seq = ?2 WHERE log = ?1";
            let next = done.1.saturating_add(1);
            connection.prepare_cached(sql).stored()?.execute(params![log, next]).stored()?;
        }
        left = left.saturating_sub(done.0.max(1));
    }
    is_behind(connection)
}

/// Indexes up to `limit` entries of a log; says how many they were, the last of them, and whether
/// there are more.
fn index_log(
    connection: &Connection,
    (log, tenant): (i64, Option<u32>),
    from: u32,
    limit: u32,
) -> Result<(u32, u32, bool), Fault> {
    let Some(tenant) = tenant else { return Ok((0, from, false)) };
    let range = entry::Range { first: from, last: u32::MAX, role: None, newest_first: false };
    let within = (limit, SLICE_BYTES);
    let (entries, more) = entry::page_within(connection, &Chain::alone(log), range, within)?;
    let sql = "INSERT INTO entry_fts(rowid, tenant, text) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut last = from;
    for entry in &entries {
        last = entry.seq;
        let plain = entry.content.plain();
        let end = (0..=INDEXED_BYTES_MAX.min(plain.len()))
            .rev()
            .find(|at| plain.is_char_boundary(*at))
            .unwrap_or(0);
        let text = plain.get(..end).unwrap_or_default();
        if !text.is_empty() && !entry.meta.contains_key("damaged") {
            statement
                .execute(params![place(log, entry.seq), tenant_word(tenant), text])
                .stored()?;
        }
    }
    Ok((u32::try_from(entries.len()).unwrap_or(u32::MAX), last, more))
}

fn tenant_of(connection: &Connection, log: i64) -> Result<Option<u32>, Fault> {
    let mut statement = connection.prepare_cached(TENANT).stored()?;
    statement.query_row([log], |row| row.get(0)).optional().stored()
}

fn tenant_word(tenant: u32) -> String {
    format!("t{tenant}")
}

/// Removes the entries of a range from the index.
pub(crate) fn forget(connection: &Connection, from: i64, to: i64, most: u32) -> Result<(), Fault> {
    let sql = "DELETE FROM entry_fts WHERE rowid IN
                 (SELECT k FROM entry WHERE k BETWEEN ?1 AND ?2 LIMIT ?3)";
    connection.prepare_cached(sql).stored()?.execute(params![from, to, most]).stored()?;
    Ok(())
}

/// Rewrites a part of the index without what was removed from it; says whether there is more.
pub(crate) fn rewrite(connection: &Connection, first: bool) -> Result<bool, Fault> {
    // A negative number begins to merge everything into one segment.
    let pages = if first { -MERGED_PAGES } else { MERGED_PAGES };
    let before = connection.total_changes();
    let sql = "INSERT INTO entry_fts(entry_fts, rank) VALUES ('merge', ?1)";
    connection.prepare_cached(sql).stored()?.execute([pages]).stored()?;
    // As the documentation of FTS5 says: fewer than two changes mean that nothing is left to do.
    Ok(connection.total_changes().saturating_sub(before) >= 2)
}

/// The words of a question, each once; `every` takes those that say nothing as well.
pub(crate) fn words(text: &str, every: bool) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let word = word.to_lowercase();
        let counts = every || (word.chars().count() > 2 && !crate::summary::is_common(&word));
        if !word.is_empty() && counts && !words.contains(&word) && words.len() < WORDS_MAX {
            words.push(word);
        }
    }
    words
}

/// A question in the words of the index for messages that hold every one of these words.
pub(crate) fn every(words: &[String]) -> String {
    joined(words, " AND ")
}

/// As [`every`], for messages that hold any of them.
pub(crate) fn any(words: &[String]) -> String {
    joined(words, " OR ")
}

fn joined(words: &[String], joint: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("text:({})", quoted.join(joint))
}

/// The question about messages of one tenant only. It must not be ranked by the index, which would
/// count all messages of the tenant for it.
pub(crate) fn of_tenant(tenant: Tenant, question: &str) -> String {
    format!("tenant:{} AND {question}", tenant_word(tenant.0))
}

/// Row ids that answer a question, the best first, each with its score (larger is better).
pub(crate) fn best(
    connection: &Connection,
    question: &str,
    ranges: &[(i64, i64)],
    limit: u32,
) -> Result<Vec<(i64, f64)>, Fault> {
    // The first column only names the tenant: it must not count.
    let sql = "SELECT rowid, -bm25(entry_fts, 0.0, 1.0) FROM entry_fts
               WHERE entry_fts MATCH ?1 AND rowid BETWEEN ?2 AND ?3
               ORDER BY bm25(entry_fts, 0.0, 1.0) LIMIT ?4";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut out: Vec<(i64, f64)> = Vec::new();
    let read = |row: &Found<'_>| Ok((row.get(0)?, row.get(1)?));
    for (from, to) in ranges {
        let found = statement.query_map(params![question, from, to, limit], read).stored()?;
        for hit in found {
            out.push(hit.stored()?);
        }
    }
    out.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(out)
}

/// The context that shows a row of the log now, or that it belongs to; `None` when it is gone.
pub(crate) fn owner(
    connection: &Connection,
    tenant: Tenant,
    log: i64,
    now: i64,
) -> Result<Option<(String, Option<String>)>, Fault> {
    let mut statement = connection.prepare_cached(OWNER).stored()?;
    let values = params![tenant.0, log, now];
    let read = |row: &Found<'_>| Ok((row.get(0)?, Opened::shown(row, 1)?));
    statement.query_row(values, read).optional().stored()
}
