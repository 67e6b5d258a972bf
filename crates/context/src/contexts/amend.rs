//! Another end for a log: what follows an entry is said anew, and what it was is kept as a branch.

use wire::Fault;

use super::{Contexts, Job, figures};
use crate::rows::{branches, ctx, parts};
use crate::{Context, Key, NewEntry};

impl Contexts {
    /// Replaces everything after entry `keep` by `entries`, in one step. What was there before is
    /// left as a branch, so that it can be undone by a rollback; `cause` is what the list of
    /// branches says of it.
    ///
    /// # Errors
    /// `conflict` while a turn is running, `invalid_input` when the log has no entry `keep`,
    /// `precondition_failed`, `context_closed`, `context_too_long`, `quota_exceeded`,
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn amend(
        &self,
        key: &Key,
        keep: u64,
        entries: Vec<NewEntry>,
        (cause, expect): (&str, Option<u64>),
    ) -> Result<Context, Fault> {
        let durability = self.durability_for(key, None);
        let (key, cause) = (key.clone(), cause.to_owned());
        self.write(durability, move |job| job.amend(&key, keep, &entries, (&cause, expect))).await
    }
}

impl Job<'_> {
    fn amend(
        &self,
        key: &Key,
        keep: u64,
        entries: &[NewEntry],
        (cause, expect): (&str, Option<u64>),
    ) -> Result<Context, Fault> {
        let row = self.live(key)?;
        row.admit(expect)?;
        row.idle()?;
        let at = branches::at(self.connection, &row, Some(keep))?;
        self.branch_off((&row, &row), &at, cause, None)?;
        let mut row = self.live(key)?;
        let before = figures(&row);
        self.append_all(&mut row, entries)?;
        row.touch(self.now);
        ctx::save(self.connection, &row)?;
        self.inner.totals.moved(Some(before), Some(figures(&row)));
        parts::context(self.connection, &row)
    }
}
