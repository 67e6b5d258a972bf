//! Mounted contexts and the key that signs ranges.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use storage::rusqlite::{Connection, OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::seal::{self, Owner};
use crate::mount::{Link, Signed};
use crate::{Key, Mount, MountState, Tenant, clock};

/// Which contexts may be mounted, as every change needs to know it. Jobs write it before their
/// commit, and one that fails leaves it as it is: so it may know more than the disk does, and
/// never less. Who finds a context here looks there as well.
#[derive(Debug, Default)]
pub(crate) struct Mounted {
    any: AtomicBool,
    keys: RwLock<HashSet<Key>>,
}

impl Mounted {
    pub(crate) fn read(connection: &Connection) -> Result<Self, Fault> {
        let this = Self::default();
        let sql = "SELECT tenant, id FROM mount WHERE n IS NOT NULL";
        let mut statement = connection.prepare_cached(sql).stored()?;
        let mut found = statement.query([]).stored()?;
        while let Some(row) = found.next().stored()? {
            let id: String = row.get(1).stored()?;
            this.add(Key { tenant: Tenant(row.get(0).stored()?), id: id.into() });
        }
        Ok(this)
    }

    /// Whether a context is mounted; what is no longer there is forgotten. For jobs alone: they
    /// run one after the other.
    pub(crate) fn holds(&self, connection: &Connection, key: &Key) -> Result<bool, Fault> {
        if !self.has(key) {
            return Ok(false);
        }
        let mounted = find(connection, key)?.is_some_and(|row| row.n.is_some());
        if !mounted {
            self.remove(key);
        }
        Ok(mounted)
    }

    pub(crate) fn add(&self, key: Key) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.any.store(true, Ordering::Release);
    }

    fn remove(&self, key: &Key) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        keys.remove(key);
        self.any.store(!keys.is_empty(), Ordering::Release);
    }

    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Whether a context may be mounted.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.any() && self.keys.read().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

/// The sealed seed of the key that signs.
pub(crate) fn seed(connection: &Connection) -> Result<Option<Vec<u8>>, Fault> {
    let sql = "SELECT seed FROM signer ORDER BY no LIMIT 1";
    connection.query_row(sql, [], |row| row.get(0)).optional().stored()
}

/// Keeps the seed, unless there is one.
pub(crate) fn keep_seed(connection: &Connection, sealed: &[u8], now: i64) -> Result<(), Fault> {
    let sql = "INSERT OR IGNORE INTO signer(no, seed, at) VALUES (1, ?1, ?2)";
    prepare_insert(connection, sql)?.execute(params![sealed, now]).stored()?;
    Ok(())
}

/// A row of `mount`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) n: Option<i64>,
    pub(crate) url: String,
    pub(crate) salt: String,
    pub(crate) token: Vec<u8>,
    pub(crate) pinned: String,
    pub(crate) remote: String,
    pub(crate) created: i64,
    pub(crate) head: u32,
    pub(crate) messages: u32,
    pub(crate) chain: Link,
    pub(crate) at: i64,
    pub(crate) checked: i64,
    pub(crate) tried: i64,
    pub(crate) due: i64,
    pub(crate) failures: u32,
    pub(crate) state: MountState,
    pub(crate) error: Option<String>,
}

/// The columns of [`Row`], in the order in which [`Row::read`] takes them.
const COLUMNS: &str = "tenant, id, n, url, salt, token, key, remote, created, head, messages, \
                       chain, at, checked, tried, due, failures, state, error";

impl Row {
    fn read(found: &Found<'_>) -> Result<Self, storage::rusqlite::Error> {
        let id: String = found.get(1)?;
        Ok(Self {
            key: Key { tenant: Tenant(found.get(0)?), id: id.into() },
            n: found.get(2)?,
            url: found.get(3)?,
            salt: found.get(4)?,
            token: found.get(5)?,
            pinned: found.get(6)?,
            remote: found.get(7)?,
            created: found.get(8)?,
            head: found.get(9)?,
            messages: found.get(10)?,
            chain: found.get(11)?,
            at: found.get(12)?,
            checked: found.get(13)?,
            tried: found.get(14)?,
            due: found.get(15)?,
            failures: found.get(16)?,
            state: MountState::of(found.get(17)?),
            error: found.get(18)?,
        })
    }

    /// What the row says to people.
    pub(crate) fn public(&self) -> Mount {
        Mount {
            id: self.key.id.to_string(),
            url: self.url.clone(),
            remote: self.remote.clone(),
            key: self.pinned.clone(),
            mounted_at: clock::moment(self.at),
            checked_at: clock::moment(self.checked),
            tried_at: clock::moment(self.tried),
            state: self.state,
            error: self.error.clone(),
            failures: self.failures,
            messages: self.messages,
            head: self.head,
        }
    }
}

/// Finds a mount.
pub(crate) fn find(connection: &Connection, key: &Key) -> Result<Option<Row>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM mount WHERE tenant = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql).stored()?;
    statement.query_row(params![key.tenant.0, &*key.id], Row::read).optional().stored()
}

/// The mounts of a tenant, by their ids.
pub(crate) fn list(connection: &Connection, tenant: Tenant) -> Result<Vec<Row>, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM mount WHERE tenant = ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql).stored()?;
    let found = statement.query_map([tenant.0], Row::read).stored()?;
    found.collect::<Result<_, _>>().stored()
}

/// Every mount that is not ended with the time at which it is due, the next first.
pub(crate) fn due(connection: &Connection) -> Result<Vec<(Key, i64)>, Fault> {
    let sql = "SELECT tenant, id, due FROM mount WHERE n IS NOT NULL ORDER BY due";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement.query_map([], |row| {
        let id: String = row.get(1)?;
        Ok((Key { tenant: Tenant(row.get(0)?), id: id.into() }, row.get(2)?))
    });
    found.stored()?.collect::<Result<_, _>>().stored()
}

/// Writes a row, new or changed; the statement it had stays.
pub(crate) fn save(connection: &Connection, row: &Row) -> Result<(), Fault> {
    let sql = "INSERT INTO mount(tenant, id, n, url, salt, token, key, remote, created, head,
                 messages, chain, at, checked, tried, due, failures, state, error)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                 ?18, ?19)
               ON CONFLICT(tenant, id) DO UPDATE SET n = ?3, url = ?4, salt = ?5, token = ?6,
                 key = ?7, remote = ?8, created = ?9, head = ?10, messages = ?11, chain = ?12,
                 at = ?13, checked = ?14, tried = ?15, due = ?16, failures = ?17, state = ?18,
                 error = ?19";
    let values = params![
        row.key.tenant.0,
        &*row.key.id,
        row.n,
        row.url,
        row.salt,
        row.token,
        row.pinned,
        row.remote,
        row.created,
        row.head,
        row.messages,
        row.chain.as_slice(),
        row.at,
        row.checked,
        row.tried,
        row.due,
        row.failures,
        row.state.number(),
        row.error,
    ];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(())
}

/// Keeps the newest statement; its title is sealed as that of the context is.
pub(crate) fn save_proof(
    connection: &Connection,
    (key, owner): (&Key, Owner),
    signed: &Signed,
) -> Result<(), Fault> {
    let sql = "UPDATE mount SET statement = ?3, signature = ?4 WHERE tenant = ?1 AND id = ?2";
    let sealed = seal::bytes(owner, signed.statement.as_bytes())?;
    let values = params![key.tenant.0, &*key.id, sealed, signed.signature];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}

/// The newest statement.
pub(crate) fn proof(connection: &Connection, row: &Row) -> Result<Option<Signed>, Fault> {
    let sql = "SELECT statement, signature FROM mount WHERE tenant = ?1 AND id = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |found: &Found<'_>| {
        let (sealed, signature): (Option<Vec<u8>>, Option<String>) = (found.get(0)?, found.get(1)?);
        let plain = sealed.as_deref().and_then(seal::open).map(std::borrow::Cow::into_owned);
        let text = plain.and_then(|plain| String::from_utf8(plain).ok());
        Ok(text.zip(signature))
    };
    let found = statement.query_row(params![row.key.tenant.0, &*row.key.id], read);
    let found = found.optional().stored()?.flatten();
    let key = row.pinned.clone();
    Ok(found.map(|(statement, signature)| Signed { statement, signature, key }))
}

/// Forgets a mount.
pub(crate) fn remove(connection: &Connection, key: &Key) -> Result<(), Fault> {
    let sql = "DELETE FROM mount WHERE tenant = ?1 AND id = ?2";
    let values = params![key.tenant.0, &*key.id];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}
