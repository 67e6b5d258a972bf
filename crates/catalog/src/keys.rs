//! API keys: made, listed and revoked in the store, verified in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde_json::json;
use storage::rusqlite::{self, Connection, Row, params};
use storage::{Database, Durability, Stored};
use subtle::ConstantTimeEq;
use wire::{Code, Fault};

use crate::secret::{self, Secret};
use crate::{ModelLimit, Scopes};

/// Limit: keys that exist, the revoked ones included.
const KEYS_MAX: usize = 10_000;
/// Limit: characters of a key's name.
const NAME_CHARACTERS_MAX: usize = 100;
/// Uses of a key within this time are written down once.
const USE_GRAIN_MICROSECONDS: i64 = 60 * 1_000_000;

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// A line for people, 1 to 100 characters.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// Time to live; for ever when absent.
    pub expires_in: Option<Duration>,
    /// The models it may use.
    pub models: ModelLimit,
}

/// What of a key can be changed; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A line for people, 1 to 100 characters.
    pub name: Option<String>,
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// The models it may use.
    pub models: Option<ModelLimit>,
}

/// What is known of a key; never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// A UUID.
    pub id: String,
    /// A line for people.
    pub name: String,
    /// The beginning of the key, by which its owner recognises it.
    pub prefix: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The models it may use.
    pub models: ModelLimit,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A new key with its secret, which exists nowhere else.
#[derive(Debug)]
pub struct Created {
    /// What is known of it.
    pub key: Key,
    /// The key in clear.
    pub secret: Secret,
}

/// Why a text is not accepted as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// It cannot be a key: a typing error, or something else was sent.
    Malformed,
    /// It has the form of a key, and nobody has made it.
    Unknown,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl Rejection {
    /// The rejection as it is written to the log and into metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

#[derive(Debug)]
struct Held {
    key: Key,
    hash: [u8; 32],
    used: AtomicI64,
}

/// Keys by the first bytes of their hash; the rest is compared in constant time.
type Snapshot = HashMap<[u8; 8], Vec<Arc<Held>>>;

/// All keys of the store; clones share them.
#[derive(Clone, Debug)]
pub struct Keys {
    db: Database,
    snapshot: Arc<ArcSwap<Snapshot>>,
}

impl Keys {
    /// Reads all keys into memory.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be read.
    pub async fn open(db: Database) -> Result<Self, Fault> {
        let held = db.read(load).await?;
        let mut snapshot = Snapshot::new();
        for held in held {
            put(&mut snapshot, Arc::new(held));
        }
        Ok(Self { db, snapshot: Arc::new(ArcSwap::from_pointee(snapshot)) })
    }

    /// Makes a key. Its secret is in the answer and nowhere else.
    ///
    /// # Errors
    /// `invalid_input` when the name or the scopes are empty, `quota_exceeded` at 10,000 keys,
    /// `storage_error` when the store cannot be written.
    pub async fn create(&self, new: NewKey) -> Result<Created, Fault> {
        let name = named(&new.name)?;
        scoped(new.scopes)?;
        if self.count() >= KEYS_MAX {
            return Err(Fault::new(Code::QuotaExceeded, format!("there are {KEYS_MAX} keys"))
                .hint("a key can serve several programs; use one of those that exist"));
        }
        let secret = Secret::fresh()?;
        let created_at = moment(now());
        let key = Key {
            id: uuid::Uuid::new_v4().to_string(),
            name,
            prefix: secret.prefix(),
            scopes: new.scopes,
            models: new.models,
            created_at,
            expires_at: new.expires_in.map(|wait| later(created_at, wait)),
            last_used_at: None,
            revoked_at: None,
        };
        let hash = secret::hash(secret.expose());
        let row = key.clone();
        self.db.write(Durability::Group, move |connection| insert(connection, &row, &hash)).await?;
        let held = Arc::new(Held { key: key.clone(), hash, used: AtomicI64::new(0) });
        self.change(|snapshot| put(snapshot, Arc::clone(&held)));
        Ok(Created { key, secret })
    }

    /// All keys, the newest first, the revoked and expired ones included.
    #[must_use]
    pub fn list(&self) -> Vec<Key> {
        let snapshot = self.snapshot.load();
        let mut keys: Vec<Key> = snapshot.values().flatten().map(|held| held.seen()).collect();
        keys.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        keys
    }

    /// Ends a key at once; doing it twice is no error.
    ///
    /// # Errors
    /// `not_found` when no key has this id, `storage_error` when the store cannot be written.
    pub async fn revoke(&self, id: &str) -> Result<Key, Fault> {
        let found = self.found(id)?;
        if found.key.revoked_at.is_some() {
            return Ok(found.seen());
        }
        let at = now();
        let row = found.key.id.clone();
        self.db
            .write(Durability::Group, move |connection| {
                let sql = "UPDATE api_key SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
                connection.execute(sql, params![row, at]).stored()
            })
            .await?;
        let key = Key { revoked_at: Some(moment(at)), ..found.seen() };
        Ok(self.replaced(&found, key))
    }

    /// Changes a key; calls that begin from now on go by it.
    ///
    /// # Errors
    /// `not_found` when no key has this id, `conflict` when it was revoked, `invalid_input` as for
    /// [`Keys::create`], `storage_error` when the store cannot be written.
    pub async fn update(&self, id: &str, change: Change) -> Result<Key, Fault> {
        let found = self.found(id)?;
        if found.key.revoked_at.is_some() {
            return Err(Fault::new(Code::Conflict, format!("the key `{id}` was revoked"))
                .hint("make another one: rapport key create NAME"));
        }
        let mut key = found.seen();
        if let Some(name) = change.name {
            key.name = named(&name)?;
        }
        if let Some(scopes) = change.scopes {
            scoped(scopes)?;
            key.scopes = scopes;
        }
        key.models = change.models.unwrap_or(key.models);
        let row = key.clone();
        self.db
            .write(Durability::Group, move |connection| {
                let sql = "UPDATE api_key SET name = ?2, scopes = ?3, models = ?4 WHERE id = ?1";
                let models = kept(&row.models);
                connection
                    .execute(sql, params![row.id, row.name, row.scopes.bits(), models])
                    .stored()
            })
            .await?;
        Ok(self.replaced(&found, key))
    }

    fn found(&self, id: &str) -> Result<Arc<Held>, Fault> {
        let found = self.snapshot.load().values().flatten().find(|held| held.key.id == id).cloned();
        found.ok_or_else(|| {
            Fault::new(Code::NotFound, format!("no key has the id `{id}`"))
                .hint("`rapport key list` shows the ids")
        })
    }

    /// Puts a changed key in the place of what was known of it.
    fn replaced(&self, old: &Held, key: Key) -> Key {
        let used = AtomicI64::new(old.used.load(Ordering::Relaxed));
        let held = Arc::new(Held { key: key.clone(), hash: old.hash, used });
        self.change(|snapshot| put(snapshot, Arc::clone(&held)));
        key
    }

    /// Says whose key `text` is, from memory alone.
    ///
    /// # Errors
    /// Why it is not accepted. A caller is told the same for all reasons but a malformed key.
    pub fn verify(&self, text: &str) -> Result<Key, Rejection> {
        if !secret::is_well_formed(text) {
            return Err(Rejection::Malformed);
        }
        let hash = secret::hash(text);
        let snapshot = self.snapshot.load();
        let near = snapshot.get(&slot(&hash)).ok_or(Rejection::Unknown)?;
        let held = near
            .iter()
            .find(|held| bool::from(held.hash.ct_eq(&hash)))
            .ok_or(Rejection::Unknown)?;
        if held.key.revoked_at.is_some() {
            return Err(Rejection::Revoked);
        }
        let at = now();
        if held.key.expires_at.is_some_and(|end| end.as_microsecond() <= at) {
            return Err(Rejection::Expired);
        }
        held.used.fetch_max(at, Ordering::Relaxed);
        Ok(held.seen())
    }

    /// Whether a key that was verified before still counts, for connections that stay open, and
    /// which models it may use now.
    ///
    /// # Errors
    /// Why it does not any more.
    pub fn still(&self, id: &str) -> Result<ModelLimit, Rejection> {
        let snapshot = self.snapshot.load();
        let held = snapshot.values().flatten().find(|held| held.key.id == id);
        let key = &held.ok_or(Rejection::Unknown)?.key;
        if key.revoked_at.is_some() {
            return Err(Rejection::Revoked);
        }
        if key.expires_at.is_some_and(|end| end.as_microsecond() <= now()) {
            return Err(Rejection::Expired);
        }
        Ok(key.models.clone())
    }

    /// No key was ever made. A revoked key counts: revoking the last one must not open the door.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.snapshot.load().is_empty()
    }

    /// Writes down when keys were used last; to be called every minute and before closing.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be written.
    pub async fn note_uses(&self) -> Result<(), Fault> {
        let uses: Vec<(String, i64)> = self
            .snapshot
            .load()
            .values()
            .flatten()
            .map(|held| (held.key.id.clone(), held.used.load(Ordering::Relaxed)))
            .filter(|(_, at)| *at > 0)
            .collect();
        if uses.is_empty() {
            return Ok(());
        }
        self.db
            .write(Durability::Fast, move |connection| {
                let sql = "UPDATE api_key SET used = ?2
                           WHERE id = ?1 AND coalesce(used, 0) + ?3 <= ?2";
                let mut statement = connection.prepare_cached(sql).stored()?;
                for (id, at) in uses {
                    statement.execute(params![id, at, USE_GRAIN_MICROSECONDS]).stored()?;
                }
                Ok(())
            })
            .await
    }

    fn count(&self) -> usize {
        self.snapshot.load().values().map(Vec::len).sum()
    }

    /// Swaps in a changed copy; starts again when another change came first.
    fn change(&self, edit: impl Fn(&mut Snapshot)) {
        self.snapshot.rcu(|old| {
            let mut new = Snapshot::clone(old);
            edit(&mut new);
            new
        });
    }
}

impl Held {
    fn seen(&self) -> Key {
        let used = self.used.load(Ordering::Relaxed);
        Key { last_used_at: (used > 0).then(|| moment(used)), ..self.key.clone() }
    }
}

/// Adds a key, or replaces the one with the same hash.
fn put(snapshot: &mut Snapshot, held: Arc<Held>) {
    let near = snapshot.entry(slot(&held.hash)).or_default();
    near.retain(|other| other.key.id != held.key.id);
    near.push(held);
}

fn slot(hash: &[u8; 32]) -> [u8; 8] {
    hash.first_chunk::<8>().copied().unwrap_or_default()
}

fn insert(connection: &Connection, key: &Key, hash: &[u8; 32]) -> Result<(), Fault> {
    let sql = "INSERT INTO api_key(id, name, prefix, scopes, hash, created, expires, models)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![
        key.id,
        key.name,
        key.prefix,
        key.scopes.bits(),
        hash.as_slice(),
        key.created_at.as_microsecond(),
        key.expires_at.map(Timestamp::as_microsecond),
        kept(&key.models),
    ];
    storage::prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(())
}

fn load(connection: &Connection) -> Result<Vec<Held>, Fault> {
    let sql = "SELECT id, name, prefix, scopes, hash, created, expires, used, revoked, models
               FROM api_key";
    let mut statement = connection.prepare(sql).stored()?;
    let rows = statement.query_map([], row).stored()?;
    rows.collect::<Result<Vec<_>, _>>().stored()
}

fn row(row: &Row<'_>) -> Result<Held, rusqlite::Error> {
    let time = |n: Option<i64>| n.map(moment);
    let used: Option<i64> = row.get(7)?;
    Ok(Held {
        key: Key {
            id: row.get(0)?,
            name: row.get(1)?,
            prefix: row.get(2)?,
            scopes: Scopes::from_bits(row.get(3)?),
            models: limit(row.get::<_, Option<String>>(9)?.as_deref()),
            created_at: moment(row.get(5)?),
            expires_at: time(row.get(6)?),
            last_used_at: time(used),
            revoked_at: time(row.get(8)?),
        },
        hash: row.get(4)?,
        used: AtomicI64::new(used.unwrap_or(0)),
    })
}

/// A limit as it is kept: no pattern has a comma.
fn kept(models: &ModelLimit) -> Option<String> {
    (!models.is_none()).then(|| models.patterns().join(","))
}

fn limit(kept: Option<&str>) -> ModelLimit {
    let patterns: Vec<String> =
        kept.into_iter().flat_map(|text| text.split(',')).map(str::to_owned).collect();
    // What cannot be read must not become a key without a limit.
    let nothing = || ModelLimit::parse(&["/".to_owned()]).unwrap_or_default();
    ModelLimit::parse(&patterns).unwrap_or_else(|_unreadable| nothing())
}

fn named(name: &str) -> Result<String, Fault> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARACTERS_MAX {
        return Err(wrong("name", "the name of a key has 1 to 100 characters"));
    }
    Ok(name.to_owned())
}

fn scoped(scopes: Scopes) -> Result<(), Fault> {
    if scopes == Scopes::default() {
        return Err(wrong("scopes", "the key has no scope"));
    }
    Ok(())
}

fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

fn moment(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn later(from: Timestamp, wait: Duration) -> Timestamp {
    from.checked_add(wait).unwrap_or(Timestamp::MAX)
}

fn wrong(field: &str, text: &str) -> Fault {
    Fault::new(Code::InvalidInput, text)
        .hint("scopes are `read`, `write` and `admin`; a name has 1 to 100 characters")
        .details(json!({ "field": field }))
}
