//! Which messages a search over all contexts of a tenant looks at, and which of them come first.
//!
//! FTS5 scores a match by counting every message that holds each word of the question, and scores
//! all matches before it sorts them: exact for rare words, a tenth of a second for common ones in
//! a million messages. Therefore common words score nothing beside a rare one, and where all are
//! common, the newest matches are read and scored here.

use std::collections::HashSet;

use storage::Stored;
use storage::rusqlite::{Connection, params};
use wire::Fault;

use super::chain::Chain;
use super::{entry, search};
use crate::{Tenant, weigh};

/// A word in more messages than this is common.
const COMMON_MESSAGES: u32 = 2_000;
/// Limit: messages of a tenant that are ranked when all words are common; the newest.
const RANKED_MAX: u32 = 500;
/// Limit: bytes of messages that are read for it; the older of them count as if they said nothing.
const RANKED_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Every row.
const ALL: [(i64, i64); 1] = [(i64::MIN, i64::MAX)];

/// Row ids of messages that hold every one of the words, the best first, each with its score
/// (larger is better). Some may belong to other tenants, or to contexts that are gone: the caller
/// looks whose each is.
pub(crate) fn ranked(
    connection: &Connection,
    tenant: Tenant,
    words: &[String],
) -> Result<Vec<(i64, f64)>, Fault> {
    let mut rare: Vec<String> = Vec::new();
    for word in words {
        let one = search::every(std::slice::from_ref(word));
        if newest(connection, &one, COMMON_MESSAGES + 1)?.len() <= count(COMMON_MESSAGES) {
            rare.push(word.clone());
        }
    }
    if rare.is_empty() {
        let own = search::of_tenant(tenant, &search::every(words));
        let places = newest(connection, &own, RANKED_MAX)?;
        return by_text(connection, &places, &words.join(" "));
    }
    let mut found = search::best(connection, &search::every(&rare), &ALL, COMMON_MESSAGES)?;
    if rare.len() < words.len() {
        let all = newest(connection, &search::every(words), COMMON_MESSAGES)?;
        let all: HashSet<i64> = all.into_iter().collect();
        found.retain(|(place, _)| all.contains(place));
    }
    Ok(found)
}

/// The newest so many row ids that answer a question; read from the end of the index, so that
/// what is not asked for costs nothing.
fn newest(connection: &Connection, question: &str, most: u32) -> Result<Vec<i64>, Fault> {
    let sql = "SELECT rowid FROM entry_fts WHERE entry_fts MATCH ?1 ORDER BY rowid DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement.query_map(params![question, most], |row| row.get(0)).stored()?;
    found.map(Stored::stored).collect()
}

/// Scores messages by what they say; equal ones stay as they come.
fn by_text(
    connection: &Connection,
    places: &[i64],
    question: &str,
) -> Result<Vec<(i64, f64)>, Fault> {
    let mut texts = Vec::with_capacity(places.len());
    let mut left = RANKED_BYTES_MAX;
    for place in places {
        let found = if left == 0 {
            None
        } else {
            entry::one(connection, &Chain::alone(*place >> 32), entry::seq_of(*place))?
        };
        let text = found.map(|entry| entry.content.plain().into_owned()).unwrap_or_default();
        left = left.saturating_sub(text.len());
        texts.push(text);
    }
    let mut out: Vec<(i64, f64)> =
        places.iter().copied().zip(weigh::alone(question, &texts)).collect();
    out.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(out)
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
