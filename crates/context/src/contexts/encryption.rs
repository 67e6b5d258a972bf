//! Encryption at rest: switched on for new contexts, and the end of a tenant's keys.

use std::sync::Arc;

use storage::rusqlite::Connection;
use storage::{Durability, Stored};
use wire::Fault;

use super::{Contexts, Job};
use crate::rows::seal;
use crate::{Map, Tenant, What};

impl Contexts {
    /// Reads the keys of tenants, and says whether new contexts are encrypted. A store that holds
    /// encrypted contexts needs this before anything of them can be read.
    ///
    /// # Errors
    /// `configuration_error` when the master key is missing or is another one, `storage_error`.
    pub async fn unlock(&self, encrypt: bool) -> Result<(), Fault> {
        if encrypt {
            // Asked for now: a server that cannot encrypt shall not start.
            self.vault()?.master()?;
        }
        let ring = Arc::clone(&self.inner.ring);
        self.db.read(move |connection| ring.load(connection)).await?;
        self.inner.ring.switch(encrypt);
        Ok(())
    }

    /// Whether the store holds encrypted contexts, which only the master key of the one who sealed
    /// them opens.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn holds_sealed(&self) -> Result<bool, Fault> {
        let sql = "SELECT 1 FROM tenant_key WHERE gone IS NULL LIMIT 1";
        self.db.read(move |connection| connection.prepare(sql).stored()?.exists([]).stored()).await
    }

    /// Destroys the keys of a tenant: what its encrypted contexts hold cannot be read any more, by
    /// anybody, also not from a copy of the database without the old keys. Says how many contexts
    /// that are. New contexts get a new key.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn erase_keys(&self, tenant: Tenant) -> Result<u64, Fault> {
        let count = self.write(Durability::Sync, move |job| job.erase_keys(tenant)).await?;
        self.inner.ring.forget(tenant);
        tracing::warn!(tenant = tenant.0, contexts = count, "the keys of a tenant were destroyed");
        Ok(count)
    }

    /// Sees to it that a tenant has a key, if its new contexts are encrypted.
    pub(super) async fn ready(&self, tenant: Tenant) -> Result<(), Fault> {
        if !self.inner.ring.lacks_key(tenant) {
            return Ok(());
        }
        let fresh = self
            .write(Durability::Sync, move |job| {
                if !job.inner.ring.lacks_key(tenant) {
                    return Ok(None);
                }
                job.inner.ring.make(job.connection, tenant, job.now).map(Some)
            })
            .await?;
        if let Some(fresh) = fresh {
            self.inner.ring.keep(fresh);
        }
        Ok(())
    }

    /// Runs a read with the keys at hand.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let ring = Arc::clone(&self.inner.ring);
        self.db.read(move |connection| seal::with(&ring, || job(connection))).await
    }
}

impl Job<'_> {
    /// Notes whose key seals what a new context holds; `must` whatever the server's settings say.
    pub(super) fn seal(&self, row: &mut crate::rows::ctx::Row, must: bool) -> Result<(), Fault> {
        row.seal = seal::choose(row.key.tenant, must)?.key;
        if let Some(no) = row.seal {
            let sql = "UPDATE ctx SET key = ?2 WHERE n = ?1";
            let mut statement = self.connection.prepare_cached(sql).stored()?;
            statement.execute(storage::rusqlite::params![row.n, no]).stored()?;
        }
        Ok(())
    }

    fn erase_keys(&self, tenant: Tenant) -> Result<u64, Fault> {
        if seal::Ring::destroy(self.connection, tenant, self.now)? == 0 {
            return Ok(0);
        }
        let sql = "SELECT count(*) FROM ctx WHERE tenant = ?1 AND key IS NOT NULL";
        let count: u64 = self
            .connection
            .query_row(sql, [tenant.0], |row| row.get(0))
            .map(crate::rows::unsigned)
            .stored()?;
        let detail = Map::from_iter([("contexts".to_owned(), count.into())]);
        self.tell_of(tenant, What::Erased, (None, None), &detail)?;
        Ok(count)
    }
}
