//! Every change passes here: it is written into the audit, and put out for those who subscribed.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use storage::rusqlite::Connection;
use wire::Fault;

use super::{Contexts, Job, Report};
use crate::rows::ctx::{self, Row};
use crate::rows::{audit, hooks};
use crate::{AuditMode, ChainCheck, Change, Changes, Key, Map, Page, Tenant, What, clock, refuse};

/// Lines that are checked, or removed, on one snapshot.
const SLICE: u32 = 2000;
/// Lines of a page unless the caller says otherwise.
const PAGE: u32 = 100;
/// Limit: lines of one page.
const PAGE_MAX: u32 = 500;

/// Who wants to know of changes.
#[derive(Debug)]
pub(super) struct Watch {
    mode: AtomicU8,
    pub(super) hooks: hooks::Subscribed,
}

impl Watch {
    pub(super) fn new(hooks: hooks::Subscribed) -> Self {
        let watch = Self { mode: AtomicU8::new(0), hooks };
        watch.set(AuditMode::default());
        watch
    }

    fn set(&self, mode: AuditMode) {
        let place = AuditMode::WORDS.iter().position(|(_, known)| *known == mode);
        self.mode.store(place.and_then(|at| u8::try_from(at).ok()).unwrap_or(0), Ordering::Relaxed);
    }

    fn mode(&self) -> AuditMode {
        let place = usize::from(self.mode.load(Ordering::Relaxed));
        AuditMode::WORDS.get(place).map_or(AuditMode::Off, |(_, mode)| *mode)
    }
}

impl Contexts {
    /// Sets which changes the audit keeps; [`AuditMode::Changes`] unless set.
    pub fn set_audit(&self, mode: AuditMode) {
        self.inner.watch.set(mode);
    }

    /// Reads lines of a tenant's audit, the oldest first.
    ///
    /// # Errors
    /// `invalid_input` for a limit that is none, `storage_error`.
    pub async fn changes(&self, tenant: Tenant, wanted: Changes) -> Result<Page<Change>, Fault> {
        let limit = if wanted.limit == 0 { PAGE } else { wanted.limit };
        if limit > PAGE_MAX {
            return Err(refuse::invalid("limit", "must be a number from 1 to 500"));
        }
        let found =
            self.read(move |c| audit::page(c, tenant, &wanted, limit.saturating_add(1))).await?;
        let full = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = found.len() > full;
        let items: Vec<Change> = found.into_iter().take(full).collect();
        let next = items.last().filter(|_| more).map(|change| change.number.to_string());
        Ok(Page { items, next })
    }

    /// Refuses when the context has not the revision that [`Contexts::expecting`] names.
    ///
    /// # Errors
    /// `precondition_failed`, `storage_error`.
    pub async fn unchanged(&self, key: &Key) -> Result<(), Fault> {
        let Some(expected) = self.expect else { return Ok(()) };
        let key = key.clone();
        self.read(move |connection| expected_in(connection, &key, expected)).await
    }

    /// Checks the whole chain of a tenant.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn check_changes(&self, tenant: Tenant) -> Result<ChainCheck, Fault> {
        let ends = self.read(move |c| audit::ends(c, tenant.0)).await?;
        let Some((mut at, newest)) = ends else { return Ok(ChainCheck::default()) };
        let mut out = ChainCheck { newest: Some(audit::hex(&newest.hash)), ..Default::default() };
        while at.number < newest.number && out.broken.is_none() {
            let from = at.clone();
            let (next, count, broken) =
                self.read(move |c| audit::check(c, tenant.0, from, SLICE)).await?;
            out.lines = out.lines.saturating_add(count.into());
            out.broken = broken.or_else(|| cut_off(&next, &newest, count));
            at = next;
        }
        Ok(out)
    }

    /// Removes lines of the audit that are older than `age`; the chains stay whole.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn forget_changes(&self, age: Duration) -> Result<u64, Fault> {
        let wait = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let before = clock::now().saturating_sub(wait);
        let mut removed = 0_u64;
        for tenant in self.read(audit::tenants).await? {
            loop {
                let clean = super::manage::CLEANING;
                let forget =
                    move |job: &Job<'_>| audit::forget(job.connection, tenant, before, SLICE);
                let count = self.write(clean, forget).await?;
                removed = removed.saturating_add(count.into());
                if count < SLICE {
                    break;
                }
            }
        }
        Ok(removed)
    }
}

/// The chain must not end before the line that is said to be its newest.
fn cut_off(at: &audit::Walk, newest: &audit::Walk, count: u32) -> Option<(u64, String)> {
    let next = crate::rows::unsigned(at.number.saturating_add(1));
    if at.number < newest.number && count == 0 {
        return Some((next, "the line is missing".to_owned()));
    }
    let same = at.number != newest.number || at.hash == newest.hash;
    (!same).then(|| (next, "the newest line is not the one that was written".to_owned()))
}

/// Checks all chains on the connection of a verification.
pub(super) fn verify(connection: &Connection, report: &mut Report) -> Result<(), Fault> {
    for tenant in audit::tenants(connection)? {
        let Some((mut at, newest)) = audit::ends(connection, tenant)? else { continue };
        while at.number < newest.number {
            let (next, count, broken) = audit::check(connection, tenant, at.clone(), SLICE)?;
            report.changes = report.changes.saturating_add(count.into());
            if let Some((line, what)) = broken.or_else(|| cut_off(&next, &newest, count)) {
                report.broken_chain(Tenant(tenant), line, &what);
                break;
            }
            at = next;
        }
    }
    Ok(())
}

/// Refuses a context that is there and has another revision.
fn expected_in(connection: &Connection, key: &Key, expected: u64) -> Result<(), Fault> {
    match ctx::find(connection, key)? {
        Some(row) if row.revision != expected => Err(refuse::precondition(expected, row.revision)),
        _ => Ok(()),
    }
}

impl Job<'_> {
    /// Refuses when the caller expects another revision.
    pub(super) fn expected(&self, key: &Key) -> Result<(), Fault> {
        self.expect.map_or(Ok(()), |expected| expected_in(self.connection, key, expected))
    }

    /// Does a change of a context and tells of it, if anybody wants to know and anything changed.
    pub(super) fn watched<T>(
        &self,
        key: &Key,
        what: What,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let own = matches!(what, What::Created | What::Forked | What::Deleted);
        if !own && self.inner.mounted.holds(self.connection, key)? {
            return Err(refuse::mounted());
        }
        self.expected(key)?;
        let kept = what.is_kept(self.inner.watch.mode());
        let wanted = self.inner.watch.hooks.wants(key, what);
        if !kept && !wanted {
            return work();
        }
        let before = self.fingerprint(key)?;
        let out = work()?;
        let after = self.fingerprint(key)?;
        let hash = |side: &Option<(Row, audit::Digest)>| side.as_ref().map(|(_, hash)| *hash);
        let always = matches!(what, What::Shared | What::Checkpoint | What::Pinned | What::Noted);
        if hash(&before) == hash(&after) && !always {
            return Ok(out);
        }
        let row = after.as_ref().or(before.as_ref()).map(|(row, _)| row);
        let detail = row.map(facts).unwrap_or_default();
        self.tell(key, what, (hash(&before), hash(&after)), &detail)?;
        Ok(out)
    }

    /// Writes a change down and puts it out.
    pub(super) fn tell(
        &self,
        key: &Key,
        what: What,
        (before, after): (Option<audit::Digest>, Option<audit::Digest>),
        detail: &Map,
    ) -> Result<(), Fault> {
        if what.is_kept(self.inner.watch.mode()) {
            let fresh = audit::Fresh {
                tenant: key.tenant,
                context: &key.id,
                who: self.who.as_deref(),
                what: what.as_str(),
                before,
                after,
                detail,
            };
            audit::write(self.connection, fresh, self.now)?;
        }
        if self.inner.watch.hooks.wants(key, what) {
            hooks::put_out(
                self.connection,
                &self.inner.watch.hooks,
                (key, what),
                detail,
                self.now,
            )?;
        }
        Ok(())
    }

    /// A context was made that was not seen before.
    pub(super) fn tell_made(&self, row: &Row, what: What) -> Result<(), Fault> {
        let kept = what.is_kept(self.inner.watch.mode());
        if kept || self.inner.watch.hooks.wants(&row.key, what) {
            let after = audit::digest(self.connection, row)?;
            self.tell(&row.key, what, (None, Some(after)), &facts(row))?;
        }
        Ok(())
    }

    /// Something of a tenant changed that belongs to no context.
    pub(super) fn tell_of(
        &self,
        tenant: Tenant,
        what: What,
        (before, after): (Option<&str>, Option<&str>),
        detail: &Map,
    ) -> Result<(), Fault> {
        let digest = |text: &str| *blake3::hash(text.as_bytes()).as_bytes();
        let none = Key { tenant, id: "".into() };
        self.tell(&none, what, (before.map(digest), after.map(digest)), detail)
    }

    /// A context whose time was over is removed.
    pub(super) fn expired(&self, row: &Row) -> Result<(), Fault> {
        let kept = What::Expired.is_kept(self.inner.watch.mode());
        if kept || self.inner.watch.hooks.wants(&row.key, What::Expired) {
            let before = audit::digest(self.connection, row)?;
            self.tell(&row.key, What::Expired, (Some(before), None), &facts(row))?;
        }
        Ok(())
    }

    fn fingerprint(&self, key: &Key) -> Result<Option<(Row, audit::Digest)>, Fault> {
        let found = ctx::find(self.connection, key)?;
        let found = found.filter(|row| row.expires.is_none_or(|end| end > self.now));
        found.map(|row| Ok((row.clone(), audit::digest(self.connection, &row)?))).transpose()
    }
}

/// What is told of a context beside its id: figures, never what was said.
fn facts(row: &Row) -> Map {
    Map::from_iter([
        ("revision".to_owned(), row.revision.into()),
        ("messages".to_owned(), row.head.into()),
        ("turn".to_owned(), row.turns.into()),
        ("status".to_owned(), row.status.as_str().into()),
    ])
}
