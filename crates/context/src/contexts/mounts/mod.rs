//! Contexts of other servers, mounted: what was proven is kept, and nothing else is taken.

mod past;
mod take;

use std::time::Duration;

use storage::Durability;
use storage::Stored;
use storage::rusqlite::params;
use wire::{Code, Fault};

use super::{Contexts, Job, figures};
use crate::mount::{NewMount, beginning, read_key, unbelievable};
use crate::rows::ctx::{self, Row};
use crate::rows::{mounts, unsigned};
use crate::{Errand, Key, LogRange, Mount, MountState, Statement, Status, Tenant, What, clock};
pub use past::Compared;

/// Limit: mounts of one tenant, the ended ones included.
const MOUNTS_MAX: usize = 100;
/// Limit: characters of a reason that is kept.
const ERROR_CHARACTERS_MAX: usize = 1000;

impl Contexts {
    /// Mounts a context of another server, from the first range that it sent for `nonce`. Without
    /// a key in `new` the one that signed is pinned.
    ///
    /// # Errors
    /// `upstream_invalid` for a range that cannot be believed, or a key that is none, `conflict`
    /// when the id is taken, `quota_exceeded`, `configuration_error` without a vault,
    /// `storage_error`.
    pub async fn mount(
        &self,
        tenant: Tenant,
        new: NewMount,
        (first, nonce): (&LogRange, &str),
    ) -> Result<(Key, Mount), Fault> {
        let pinned = match new.key {
            Some(key) => key,
            None => first.signed.key.clone(),
        };
        read_key(&pinned).map_err(|_none| unbelievable("its key is none", "another_key"))?;
        let statement = first.signed.open(&pinned, nonce)?;
        if statement.about != "range" {
            return Err(unbelievable("it is no range of a log", "statement"));
        }
        let key = Key::new(tenant, new.id.as_deref().unwrap_or(&statement.context))?;
        self.ready(tenant).await?;
        let salt = uuid::Uuid::new_v4().to_string();
        let token = self.vault()?.seal(&place(&salt), new.token.as_bytes())?;
        let made = key.clone();
        let mount = self
            .write(Durability::Group, move |job| {
                let others = mounts::list(job.connection, made.tenant)?;
                // One that was ended makes room for its like.
                if others.iter().filter(|row| row.key != made).count() >= MOUNTS_MAX {
                    let text = format!("there are {MOUNTS_MAX} mounts already, the limit");
                    return Err(Fault::new(Code::QuotaExceeded, text)
                        .hint("unmount one that is not needed any more"));
                }
                job.make_room(&made)?;
                let row = job.begin_mount(&made, &statement)?;
                let mount = mounts::Row {
                    key: made.clone(),
                    n: Some(row.n),
                    url: new.url,
                    salt,
                    token,
                    pinned,
                    remote: statement.context.clone(),
                    created: statement.created,
                    head: statement.head,
                    messages: 0,
                    chain: beginning(&statement.context, statement.created),
                    at: job.now,
                    checked: job.now,
                    tried: job.now,
                    due: job.now,
                    failures: 0,
                    state: MountState::Behind,
                    error: None,
                };
                mounts::save(job.connection, &mount)?;
                job.tell_made(&row, What::Created)?;
                // Here and not behind the commit: a caller that leaves does not undo that.
                job.inner.mounted.add(made);
                job.inner.mounts_changed.notify_one();
                Ok(mount.public())
            })
            .await?;
        Ok((key, mount))
    }

    /// Whether anything is mounted, from memory.
    #[must_use]
    pub fn has_mounts(&self) -> bool {
        self.inner.mounted.any()
    }

    /// Whether a context may be mounted, from memory: one that is no longer may be told as well,
    /// and [`Contexts::mounted`] knows it.
    #[must_use]
    pub fn is_mounted(&self, key: &Key) -> bool {
        self.inner.mounted.has(key)
    }

    /// Waits until something else is mounted; for one that waits. What was mounted since it waited
    /// last ends the wait at once.
    pub async fn mounts_changed(&self) {
        self.inner.mounts_changed.notified().await;
    }

    /// The mounts of a tenant, by their ids.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn mounts(&self, tenant: Tenant) -> Result<Vec<Mount>, Fault> {
        let found = self.read(move |c| mounts::list(c, tenant)).await?;
        Ok(found.iter().map(mounts::Row::public).collect())
    }

    /// One mount.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn mounted(&self, key: &Key) -> Result<Mount, Fault> {
        Ok(self.mount_row(key).await?.public())
    }

    /// What is needed to ask the origin of a mount.
    ///
    /// # Errors
    /// `not_found`, also when it was ended; `configuration_error` without the master key.
    pub async fn errand(&self, key: &Key) -> Result<Errand, Fault> {
        self.errand_of(&self.mount_row(key).await?)
    }

    fn errand_of(&self, row: &mounts::Row) -> Result<Errand, Fault> {
        if row.n.is_none() {
            return Err(no_mount(&row.key));
        }
        let opened = self.vault()?.open(&place(&row.salt), &row.token)?;
        let token = opened.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
            Fault::new(
                Code::ConfigurationError,
                "the master key does not open the token of a mount",
            )
            .hint("put back the `vault.key` of this store, or unmount and mount again")
        })?;
        let (url, key) = (row.url.clone(), row.pinned.clone());
        Ok(Errand { url, token, key, have: row.messages })
    }

    /// Mounts with the moments at which they are due, the next first.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn due_mounts(&self) -> Result<Vec<(Key, Duration)>, Fault> {
        let found = self.read(mounts::due).await?;
        let now = clock::now();
        let wait = |due: i64| Duration::from_micros(unsigned(due.saturating_sub(now)));
        Ok(found.into_iter().map(|(key, due)| (key, wait(due))).collect())
    }

    /// Writes down that the origin could not be asked, or said what cannot be believed.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn mount_failed(
        &self,
        key: &Key,
        (state, why): (MountState, &str),
        wait: Duration,
    ) -> Result<Mount, Fault> {
        let (key, why) = (key.clone(), why.chars().take(ERROR_CHARACTERS_MAX).collect());
        self.write(Durability::Fast, move |job| {
            let found = mounts::find(job.connection, &key)?.filter(|row| row.n.is_some());
            let mut row = found.ok_or_else(|| no_mount(&key))?;
            row.state = state;
            row.error = Some(why);
            row.failures = row.failures.saturating_add(1);
            row.tried = job.now;
            row.due = clock::after(job.now, wait);
            mounts::save(job.connection, &row)?;
            Ok(row.public())
        })
        .await
    }

    pub(super) async fn mount_row(&self, key: &Key) -> Result<mounts::Row, Fault> {
        let wanted = key.clone();
        let found = self.read(move |c| mounts::find(c, &wanted)).await?;
        found.ok_or_else(|| no_mount(key))
    }
}

impl Job<'_> {
    fn begin_mount(&self, key: &Key, statement: &Statement) -> Result<Row, Fault> {
        let mut row = self.insert_mount(key, (statement.created, statement.expires))?;
        row.title.clone_from(&statement.title);
        ctx::save(self.connection, &row)?;
        ctx::save_head(self.connection, &row)?;
        self.inner.totals.moved(None, Some(figures(&row)));
        Ok(row)
    }

    /// An empty context that only its origin fills. It lives as long as that says.
    fn insert_mount(&self, key: &Key, life: (i64, Option<i64>)) -> Result<Row, Fault> {
        let mut row = self.insert(key)?;
        row.status = Status::Mounted;
        (row.created, row.expires) = life;
        (row.updated, row.ttl) = (row.created, None);
        let sql = "UPDATE ctx SET created = ?2, updated = ?2 WHERE n = ?1";
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        statement.execute(params![row.n, row.created]).stored()?;
        Ok(row)
    }

    /// Forgets the mount of a context that is removed.
    pub(super) fn drop_mount(&self, key: &Key) -> Result<(), Fault> {
        if self.inner.mounted.holds(self.connection, key)? {
            mounts::remove(self.connection, key)?;
        }
        Ok(())
    }

    /// The mount that was looked at before this job: not one that was made in its place since.
    fn same_mount(&self, known: &mounts::Row) -> Result<mounts::Row, Fault> {
        let found = mounts::find(self.connection, &known.key)?;
        let same = found.filter(|row| row.n.is_some() && row.salt == known.salt);
        same.ok_or_else(|| no_mount(&known.key))
    }
}

pub(super) fn no_mount(key: &Key) -> Fault {
    Fault::new(Code::NotFound, format!("nothing is mounted as `{}`", key.id))
        .hint("`GET /api/v1/mounts` lists what is")
}

fn place(salt: &str) -> String {
    format!("mount/{salt}")
}
