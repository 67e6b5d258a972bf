//! What is said of encrypted contexts, sealed on its way into the tables and opened on its way out.
//!
//! The keys are at hand while a job runs on the store: whoever runs it puts the ring of keys there
//! with [`with`], on the thread that does the work, and takes it away again.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use storage::Stored;
use storage::rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use storage::rusqlite::{self, Connection, ToSql, params};
use wire::Fault;

use crate::vault::{self, Seal};
use crate::{Tenant, Vault};

/// What sealed bytes begin with; no text does.
const MAGIC: [u8; 4] = [0xFF, b'R', b'S', 1];
/// What follows: the tenant and the number of its key.
const HEAD: usize = MAGIC.len() + 8;

thread_local! {
    static RING: RefCell<Option<Arc<Ring>>> = const { RefCell::new(None) };
}

/// Whose key seals something: the tenant, and which of its keys; `None` stays in the clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) tenant: Tenant,
    pub(crate) key: Option<u32>,
}

/// Keys by tenant and number; those that were destroyed are `None`.
type Keys = HashMap<(u32, u32), Option<Arc<Seal>>>;

/// A key that was just made.
#[derive(Debug)]
pub(crate) struct Fresh((u32, u32), Arc<Seal>);

/// The keys of tenants.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    pub(crate) vault: OnceLock<Arc<Vault>>,
    on: AtomicBool,
    keys: Mutex<Keys>,
}

impl Ring {
    /// New contexts are encrypted, or are not.
    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    pub(crate) fn vault(&self) -> Result<&Arc<Vault>, Fault> {
        self.vault.get().ok_or_else(vault::missing)
    }

    /// Reads all keys anew; the master key is needed only if there are any.
    pub(crate) fn load(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT tenant, no, sealed, gone FROM tenant_key";
        let mut statement = connection.prepare_cached(sql).stored()?;
        let mut found = statement.query([]).stored()?;
        let mut keys = HashMap::new();
        while let Some(row) = found.next().stored()? {
            let name: (u32, u32) = (row.get(0).stored()?, row.get(1).stored()?);
            if row.get::<_, Option<i64>>(3).stored()?.is_some() {
                keys.insert(name, None);
                continue;
            }
            let sealed: Vec<u8> = row.get(2).stored()?;
            let opened = self.vault()?.master()?.open(&place(name), &sealed);
            let bytes = opened.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
                Fault::new(
                    wire::Code::ConfigurationError,
                    "the master key opens no key of a tenant",
                )
                .hint("put back the `vault.key` or `contexts.vault_key` of this store")
            })?;
            keys.insert(name, Some(Arc::new(Seal::new(&bytes)?)));
        }
        *self.keys() = keys;
        Ok(())
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(&self, name: (u32, u32)) -> Option<Arc<Seal>> {
        self.keys().get(&name).cloned().flatten()
    }

    /// The key of a tenant was destroyed.
    pub(crate) fn is_gone(&self, owner: Owner) -> bool {
        let Some(no) = owner.key else { return false };
        matches!(self.keys().get(&(owner.tenant.0, no)), Some(None))
    }

    /// The newest key of a tenant that is not destroyed.
    fn newest(&self, tenant: Tenant) -> Option<u32> {
        let keys = self.keys();
        let mine = keys.iter().filter(|(name, key)| name.0 == tenant.0 && key.is_some());
        mine.map(|(name, _)| name.1).max()
    }

    /// New contexts of the tenant need a key that there is not.
    pub(crate) fn lacks_key(&self, tenant: Tenant) -> bool {
        self.on.load(Ordering::Relaxed) && self.newest(tenant).is_none()
    }

    /// Makes a key for a tenant; it counts when it is handed to [`Ring::keep`] after the commit.
    pub(crate) fn make(
        &self,
        connection: &Connection,
        tenant: Tenant,
        now: i64,
    ) -> Result<Fresh, Fault> {
        let sql = "SELECT coalesce(max(no), 0) + 1 FROM tenant_key WHERE tenant = ?1";
        let no: u32 = connection.query_row(sql, [tenant.0], |row| row.get(0)).stored()?;
        let bytes = vault::fresh_key()?;
        let sealed = self.vault()?.master()?.seal(&place((tenant.0, no)), &bytes)?;
        let sql = "INSERT INTO tenant_key(tenant, no, sealed, at) VALUES (?1, ?2, ?3, ?4)";
        let values = params![tenant.0, no, sealed, now];
        storage::prepare_insert(connection, sql)?.execute(values).stored()?;
        Ok(Fresh((tenant.0, no), Arc::new(Seal::new(&bytes)?)))
    }

    /// Takes a key that is on the disk.
    pub(crate) fn keep(&self, Fresh(name, key): Fresh) {
        self.keys().insert(name, Some(key));
    }

    /// Destroys the keys of a tenant: what they sealed is not to be read any more by anybody.
    pub(crate) fn destroy(connection: &Connection, tenant: Tenant, now: i64) -> Result<u64, Fault> {
        let sql = "UPDATE tenant_key SET sealed = zeroblob(length(sealed)), gone = ?2
                   WHERE tenant = ?1 AND gone IS NULL";
        let count =
            thoroughly(connection, || connection.execute(sql, params![tenant.0, now]).stored())?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Forgets the keys of a tenant after they were destroyed.
    pub(crate) fn forget(&self, tenant: Tenant) {
        self.keys().iter_mut().filter(|(name, _)| name.0 == tenant.0).for_each(|(_, k)| *k = None);
    }
}

/// Does work whose old bytes are written over with zeros instead of being left in free space.
pub(crate) fn thoroughly<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let set = |how: &str| {
        let ignore = |_: &rusqlite::Row<'_>| Ok(());
        connection.pragma_update_and_check(None, "secure_delete", how, ignore).stored()
    };
    set("ON")?;
    let done = work();
    // What costs no further page is written over at all times.
    set("FAST")?;
    done
}

fn place((tenant, no): (u32, u32)) -> String {
    format!("key {no} of tenant {tenant}")
}

/// Does work on the store with the keys at hand.
pub(crate) fn with<T>(ring: &Arc<Ring>, work: impl FnOnce() -> T) -> T {
    struct Back(Option<Arc<Ring>>);
    impl Drop for Back {
        fn drop(&mut self) {
            RING.with(|place| *place.borrow_mut() = self.0.take());
        }
    }
    let _back = Back(RING.with(|place| place.borrow_mut().replace(Arc::clone(ring))));
    work()
}

fn ring() -> Option<Arc<Ring>> {
    RING.with(|place| place.borrow().clone())
}

/// Whose key seals what a new context of the tenant holds.
pub(crate) fn choose(tenant: Tenant, must: bool) -> Result<Owner, Fault> {
    let Some(ring) = ring().filter(|ring| must || ring.on.load(Ordering::Relaxed)) else {
        return Ok(Owner { tenant, key: None });
    };
    // Whoever makes a context sees to it first that there is a key.
    let key = ring.newest(tenant).ok_or_else(|| Fault::internal("the tenant has no key"))?;
    Ok(Owner { tenant, key: Some(key) })
}

/// The key of an owner was destroyed.
pub(crate) fn is_gone(owner: Owner) -> bool {
    owner.key.is_some() && ring().is_some_and(|ring| ring.is_gone(owner))
}

/// Whose key seals what the context with this row holds.
pub(crate) fn owner(connection: &Connection, n: i64) -> Result<Owner, Fault> {
    let sql = "SELECT tenant, key FROM ctx WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (tenant, key) = statement.query_row([n], read).stored()?;
    Ok(Owner { tenant: Tenant(tenant), key })
}

/// Whether the context with this row is encrypted; 0 is no context.
pub(crate) fn is_sealed(connection: &Connection, n: i64) -> Result<bool, Fault> {
    let sql = "SELECT 1 FROM ctx WHERE n = ?1 AND key IS NOT NULL";
    connection.prepare_cached(sql).stored()?.exists([n]).stored()
}

/// Seals bytes for an owner; those without a key stay as they are.
pub(crate) fn bytes(owner: Owner, plain: &[u8]) -> Result<Cow<'_, [u8]>, Fault> {
    let Some(no) = owner.key else { return Ok(Cow::Borrowed(plain)) };
    let name = (owner.tenant.0, no);
    let key = ring().and_then(|ring| ring.key(name)).ok_or_else(crate::refuse::erased)?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&name.0.to_le_bytes());
    out.extend_from_slice(&name.1.to_le_bytes());
    out.extend_from_slice(&key.seal(&place(name), plain)?);
    Ok(Cow::Owned(out))
}

/// Seals a text for a column.
pub(crate) fn text(owner: Owner, plain: &str) -> Result<Text<'_>, Fault> {
    Ok(match bytes(owner, plain.as_bytes())? {
        Cow::Borrowed(_) => Text::Plain(plain),
        Cow::Owned(sealed) => Text::Sealed(sealed),
    })
}

/// A text on its way into a column.
#[derive(Debug)]
pub(crate) enum Text<'t> {
    Plain(&'t str),
    Sealed(Vec<u8>),
}

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Plain(text) => ValueRef::Text(text.as_bytes()),
            Self::Sealed(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Opens bytes that may be sealed; `None` when nobody can any more.
pub(crate) fn open(bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !bytes.starts_with(&MAGIC) {
        return Some(Cow::Borrowed(bytes));
    }
    let (head, sealed) = bytes.split_at_checked(HEAD)?;
    let number = |at: usize| {
        let part = head.get(at..at + 4)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*part))
    };
    let name = (number(MAGIC.len())?, number(MAGIC.len() + 4)?);
    let key = ring()?.key(name)?;
    key.open(&place(name), sealed).map(Cow::Owned)
}

/// A text on its way out of a column, opened if it was sealed.
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) String);

/// What was sealed cannot be opened.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is sealed with a key that is not here")
    }
}

impl std::error::Error for Closed {}

impl FromSql for Opened {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_bytes()?;
        let plain = open(bytes).ok_or_else(|| FromSqlError::Other(Box::new(Closed)))?;
        match String::from_utf8(plain.into_owned()) {
            Ok(text) => Ok(Self(text)),
            Err(error) => Err(FromSqlError::Other(Box::new(error))),
        }
    }
}

impl Opened {
    /// The text of a column that may be empty.
    pub(crate) fn maybe(
        row: &rusqlite::Row<'_>,
        at: usize,
    ) -> Result<Option<String>, rusqlite::Error> {
        Ok(row.get::<_, Option<Self>>(at)?.map(|opened| opened.0))
    }

    /// As [`Opened::maybe`], for something that is only shown: nothing when it cannot be opened.
    pub(crate) fn shown(
        row: &rusqlite::Row<'_>,
        at: usize,
    ) -> Result<Option<String>, rusqlite::Error> {
        let value = row.get_ref(at)?;
        if value == ValueRef::Null {
            return Ok(None);
        }
        Ok(Self::column_result(value).ok().map(|opened| opened.0))
    }
}
