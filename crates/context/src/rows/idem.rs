//! Which requests were answered, and how, so that a repeated one changes nothing.

use serde::{Deserialize, Serialize};
use storage::rusqlite::{Connection, OptionalExtension, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::chain::Chain;
use super::seal::{self, Opened};
use crate::{Idem, Map, Tenant, refuse};

/// How long an answer can be repeated.
pub(crate) const KEPT_MICROSECONDS: i64 = 24 * 60 * 60 * 1_000_000;
/// Limit: bytes of a state that is kept with an answer.
pub(crate) const STATE_BYTES_MAX: usize = 64 * 1024;
/// Limit: bytes of a key.
const KEY_BYTES_MAX: usize = 255;

/// An answer by reference: the entries stay in the log, where they are anyway.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) n: i64,
    /// The segment of the entries; the one of the context in answers of earlier versions.
    #[serde(default)]
    pub(crate) segment: Option<i64>,
    pub(crate) number: u64,
    pub(crate) revision: u64,
    pub(crate) first: u32,
    pub(crate) last: u32,
    pub(crate) created: bool,
    pub(crate) state: Option<Map>,
}

impl Answer {
    /// Where the entries of the answer lie, whatever became of the log since.
    pub(crate) fn chain(&self) -> Chain {
        Chain::alone(self.segment.unwrap_or(self.n))
    }
}

/// Takes the key for a request, or says how it was answered before.
///
/// # Errors
/// `idempotency_mismatch` for another request, `conflict` for one that is still running.
pub(crate) fn claim(
    connection: &Connection,
    tenant: Tenant,
    idem: &Idem,
    now: i64,
) -> Result<Option<Answer>, Fault> {
    if idem.key.is_empty() || idem.key.len() > KEY_BYTES_MAX {
        return Err(refuse::invalid("idempotency key", "must have 1 to 255 bytes"));
    }
    let sql = "SELECT hash, reply FROM idem WHERE tenant = ?1 AND key = ?2 AND at > ?3";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![tenant.0, idem.key, now.saturating_sub(KEPT_MICROSECONDS)];
    let found: Option<([u8; 32], Option<Opened>)> =
        statement.query_row(values, |row| Ok((row.get(0)?, row.get(1)?))).optional().stored()?;
    match found {
        None => {
            let sql = "INSERT OR REPLACE INTO idem(tenant, key, at, hash) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = prepare_insert(connection, sql)?;
            let values = params![tenant.0, idem.key, now, idem.body_hash.as_slice()];
            statement.execute(values).stored()?;
            Ok(None)
        }
        Some((hash, _)) if hash != idem.body_hash => Err(refuse::mismatch()),
        Some((_, None)) => Err(refuse::in_progress()),
        Some((_, Some(reply))) => serde_json::from_str(&reply.0)
            .map(Some)
            .map_err(|error| Fault::internal("a stored answer is damaged").because(error)),
    }
}

/// Keeps the answer.
pub(crate) fn done(
    connection: &Connection,
    tenant: Tenant,
    idem: &Idem,
    answer: &Answer,
) -> Result<(), Fault> {
    let reply = serde_json::to_string(answer)
        .map_err(|error| Fault::internal("an answer cannot be written").because(error))?;
    let sql = "UPDATE idem SET reply = ?3 WHERE tenant = ?1 AND key = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let owner = if seal::is_sealed(connection, answer.n)? {
        seal::owner(connection, answer.n)?
    } else {
        seal::Owner { tenant, key: None }
    };
    statement.execute(params![tenant.0, idem.key, seal::text(owner, &reply)?]).stored()?;
    Ok(())
}

/// Gives the key back: the request may be sent again.
pub(crate) fn free(connection: &Connection, tenant: Tenant, idem: &Idem) -> Result<(), Fault> {
    let sql = "DELETE FROM idem WHERE tenant = ?1 AND key = ?2 AND reply IS NULL";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.execute(params![tenant.0, idem.key]).stored()?;
    Ok(())
}

/// Removes at most `limit` answers that are too old; says how many there were.
pub(crate) fn purge(connection: &Connection, now: i64, limit: u32) -> Result<usize, Fault> {
    let sql = "DELETE FROM idem WHERE (tenant, key) IN
                 (SELECT tenant, key FROM idem WHERE at <= ?1 ORDER BY at LIMIT ?2)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.execute(params![now.saturating_sub(KEPT_MICROSECONDS), limit]).stored()
}
