//! A past that changed over there, the end of a mount, and the proof of what is here.

use storage::rusqlite::params;
use storage::{Durability, Stored, prepare_insert};
use wire::{Code, Fault};

use super::super::{Contexts, figures};
use super::no_mount;
use super::take::{is_of, proven};
use crate::mount::{Link, Signed, beginning, unbelievable};
use crate::rows::audit::hex;
use crate::rows::{ctx, mounts, ranges};
use crate::{Key, LogRange, Mount, MountState, Status, What, clock};

/// What a comparison with the origin's log has found so far.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Up to this entry the two logs were compared.
    pub upto: u32,
    /// Entries that were redacted over there.
    pub redacted: u32,
    chain: Option<Link>,
}

impl Contexts {
    /// Compares what is here with a range of the origin's log, from its beginning on.
    ///
    /// # Errors
    /// `upstream_invalid`, naming the first entry that differs.
    pub async fn compare_range(
        &self,
        key: &Key,
        (range, nonce): (LogRange, &str),
        mut so_far: Compared,
    ) -> Result<Compared, Fault> {
        let mount = self.mount_row(key).await?;
        let statement = range.signed.open(&mount.pinned, nonce)?;
        is_of(&mount, &statement)?;
        let after = proven(&statement, &range.entries)?;
        let start = so_far.chain.unwrap_or_else(|| beginning(&mount.remote, mount.created));
        if statement.before != hex(&start) || statement.first != so_far.upto.saturating_add(1) {
            return Err(unbelievable("its log changes while it is read", "changed_past"));
        }
        if statement.head < mount.messages {
            let text = format!(
                "its log ends at entry {}, and {} were proven before",
                statement.head, mount.messages
            );
            return Err(unbelievable(&text, "changed_past"));
        }
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let theirs = range.entries.iter().filter(|entry| entry.seq <= row.head);
            let mut theirs = theirs.peekable();
            let last = statement.last.min(row.head);
            ranges::each(connection, &row, (statement.first, last), |ours| {
                match theirs.next() {
                    Some(other) if *other == ours => {}
                    Some(other) if other.is_redacted(&ours) => so_far.redacted += 1,
                    _ => return Err(another_past(ours.seq)),
                }
                Ok(true)
            })?;
            so_far.upto = statement.last;
            so_far.chain = Some(after);
            Ok(so_far)
        })
        .await
    }

    /// The origin says, signed, that the token opens nothing any more: what is here is removed, and
    /// the mount is remembered as ended. Says whether it was believed.
    ///
    /// # Errors
    /// `upstream_invalid` for a word that is not the pinned key's; `not_found`, `storage_error`.
    pub async fn end_mount(
        &self,
        key: &Key,
        refusal: &Signed,
        nonce: &str,
    ) -> Result<Mount, Fault> {
        let known = self.mount_row(key).await?;
        let errand = self.errand_of(&known)?;
        let statement = refusal.open(&errand.key, nonce)?;
        let token = hex(blake3::hash(errand.token.as_bytes()).as_bytes());
        if statement.about != "refusal" || statement.context != token {
            return Err(unbelievable("it refuses another token than ours", "statement"));
        }
        let why = match statement.reason.as_deref() {
            Some("erased") => "the origin erased what the context held",
            _ => "the origin ended the share, or deleted the context",
        };
        let key = key.clone();
        let (mount, left) = self
            .write(Durability::Group, move |job| {
                let mut mount = job.same_mount(&known)?;
                let mut left = false;
                if let Some(row) = ctx::find(job.connection, &key)? {
                    job.expired(&row)?;
                    left = job.remove(&row)?;
                }
                mount.n = None;
                mount.state = MountState::Ended;
                mount.error = Some(why.to_owned());
                mount.tried = job.now;
                mount.messages = 0;
                // The token is of no use to anybody now, and what it proved is gone.
                mount.token = Vec::new();
                mounts::save(job.connection, &mount)?;
                let sql = "INSERT OR REPLACE INTO gone(tenant, id, at) VALUES (?1, ?2, ?3)";
                let values = params![key.tenant.0, &*key.id, job.now];
                prepare_insert(job.connection, sql)?.execute(values).stored()?;
                Ok((mount.public(), left))
            })
            .await?;
        if left {
            self.empty_trash().await?;
        }
        Ok(mount)
    }

    /// Forgets the entries of a mount, so that they are fetched anew: the origin has redacted some.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn mount_anew(&self, key: &Key) -> Result<Mount, Fault> {
        let key = key.clone();
        let (mount, left) = self
            .write(Durability::Group, move |job| {
                let found = mounts::find(job.connection, &key)?.filter(|row| row.n.is_some());
                let mut mount = found.ok_or_else(|| no_mount(&key))?;
                let old = job.live(&key)?;
                let left = job.remove(&old)?;
                let mut row = job.insert_mount(&key, (mount.created, old.expires))?;
                row.title = old.title;
                row.revision = old.revision + 1;
                ctx::save(job.connection, &row)?;
                ctx::save_head(job.connection, &row)?;
                job.inner.totals.moved(None, Some(figures(&row)));
                mount.n = Some(row.n);
                mount.chain = beginning(&mount.remote, mount.created);
                mount.messages = 0;
                mount.state = MountState::Behind;
                mounts::save(job.connection, &mount)?;
                job.inner.mounted.add(key.clone());
                Ok((mount.public(), left))
            })
            .await?;
        if left {
            self.empty_trash().await?;
        }
        self.scrub().await?;
        Ok(mount)
    }

    /// Unmounts: what is here is removed, and the mount is forgotten.
    ///
    /// # Errors
    /// `not_found`, `storage_error`.
    pub async fn unmount(&self, key: &Key) -> Result<(), Fault> {
        let wanted = key.clone();
        let left = self
            .write(Durability::Group, move |job| {
                mounts::find(job.connection, &wanted)?.ok_or_else(|| no_mount(&wanted))?;
                let found = ctx::find(job.connection, &wanted)?;
                let found = found.filter(|row| row.status == Status::Mounted);
                let left = match found {
                    None => false,
                    Some(row) => {
                        let remove = || job.remove(&row);
                        job.watched(&wanted, What::Deleted, remove)?
                    }
                };
                mounts::remove(job.connection, &wanted)?;
                Ok(left)
            })
            .await?;
        if left {
            self.empty_trash().await?;
        }
        Ok(())
    }

    /// Proves what is here once more, without the origin: the chain through all entries against
    /// the newest statement, and its signature. Says how many entries that are.
    ///
    /// # Errors
    /// `storage_error` naming what does not hold, `not_found`.
    pub async fn check_mount(&self, key: &Key) -> Result<u32, Fault> {
        let mount = self.mount_row(key).await?;
        let key = key.clone();
        self.read(move |connection| {
            let row = ctx::live(connection, &key, clock::now())?;
            let mut link = beginning(&mount.remote, mount.created);
            ranges::each(connection, &row, (1, row.head), |passed| {
                link = passed.chained(&link);
                Ok(true)
            })?;
            let wrong = |what: &str| {
                Fault::new(Code::StorageError, format!("the mounted context `{}` {what}", key.id))
                    .hint("unmount it and mount it again")
            };
            if link != mount.chain {
                return Err(wrong("does not hold what was proven"));
            }
            let Some(proof) = mounts::proof(connection, &mount)? else { return Ok(0) };
            let statement = proof.proven()?;
            if statement.last != row.head || statement.after != hex(&link) {
                return Err(wrong("has a proof of something else"));
            }
            Ok(row.head)
        })
        .await
    }
}

fn another_past(seq: u32) -> Fault {
    let text = format!("entry {seq} is not the one that was proven before");
    unbelievable(&text, "changed_past")
        .hint("the origin's log was rolled back or replaced; unmount it and mount it again")
}
