//! Cleaning up: expired contexts, old answers, the rest of deleted logs, turns a crash left open.

use jiff::Timestamp;
use storage::rusqlite::{Connection, OptionalExtension, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::manage::CLEANING;
use super::{Contexts, Job};
use crate::rows::ctx::{Row, ctx_columns};
use crate::rows::entry::place;
use crate::rows::{ctx, entry, idem, search, vectors};
use crate::{Entry, EntryStatus};

/// Limit: rows of one slice; between two slices the writer serves others.
const SLICE_ROWS: u32 = 200;
/// Limit: ids of expired contexts that are remembered, the newest ones.
const GONE_MAX: u32 = 100_000;
/// What a turn failed of whose process died.
const CRASHED: &str = "the server stopped while the turn was running";

impl Contexts {
    /// Removes what has expired at `now`, in slices; says how many contexts that were. Their ids
    /// answer `context_expired` from then on.
    ///
    /// # Errors
    /// `storage_error`.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, Fault> {
        let now = now.as_microsecond();
        let mut removed = 0_u64;
        loop {
            let slice = self.write(CLEANING, move |job| job.expire(now)).await?;
            removed = removed.saturating_add(slice.into());
            if slice < SLICE_ROWS {
                break;
            }
        }
        if removed > 0 {
            self.write(CLEANING, |job| forget(job.connection)).await?;
        }
        self.empty_trash().await?;
        self.index(u32::MAX).await?;
        let full = usize::try_from(SLICE_ROWS).unwrap_or(usize::MAX);
        let purge = move |job: &Job<'_>| idem::purge(job.connection, now, SLICE_ROWS);
        while self.write(CLEANING, purge).await? >= full {}
        Ok(removed)
    }

    /// Removes the entries of deleted contexts, slice by slice.
    pub(super) async fn empty_trash(&self) -> Result<(), Fault> {
        while self.write(CLEANING, |job| empty_slice(job.connection)).await? {}
        Ok(())
    }

    /// Marks turns as failed that were running when the last process died, and removes what it
    /// has imported in part.
    pub(super) async fn recover(&self) -> Result<(), Fault> {
        while self.write(CLEANING, |job| job.recover_slice()).await? {}
        self.drop_unfinished().await?;
        self.empty_trash().await
    }
}

impl Job<'_> {
    fn expire(&self, now: i64) -> Result<u32, Fault> {
        let sql = concat!("SELECT ", ctx_columns!(), " FROM ctx WHERE expires <= ?1 LIMIT ?2");
        let rows = rows(self.connection, sql, params![now, SLICE_ROWS])?;
        for row in &rows {
            self.expired(row)?;
            self.remove(row)?;
            let sql = "INSERT OR REPLACE INTO gone(tenant, id, at) VALUES (?1, ?2, ?3)";
            let mut statement = prepare_insert(self.connection, sql)?;
            statement.execute(params![row.key.tenant.0, &*row.key.id, now]).stored()?;
        }
        Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
    }

    fn recover_slice(&self) -> Result<bool, Fault> {
        let sql =
            concat!("SELECT ", ctx_columns!(), " FROM ctx WHERE open_turn IS NOT NULL LIMIT ?1");
        let rows = rows(self.connection, sql, params![SLICE_ROWS])?;
        for mut row in rows.iter().cloned() {
            self.mark_failed(&mut row, CRASHED)?;
            row.touch(self.now);
            ctx::save(self.connection, &row)?;
        }
        if rows.is_empty() {
            let sql = "DELETE FROM idem WHERE reply IS NULL";
            self.connection.execute(sql, []).stored()?;
        }
        Ok(!rows.is_empty())
    }

    /// Ends the running turn of a row as failed: models will not see its message.
    pub(super) fn mark_failed(&self, row: &mut Row, reason: &str) -> Result<(), Fault> {
        if let Some(seq) = row.turn_seq
            && let Some(user) = entry::one(self.connection, &row.chain, seq)?
            && user.status == EntryStatus::Pending
        {
            let failed = Entry { status: EntryStatus::Failed, ..user };
            entry::mark(self.connection, row, &failed, Some(reason))?;
            entry::shift(self.connection, row, seq, -i64::from(failed.tokens))?;
        }
        row.open_turn = None;
        ctx::save_open(self.connection, row)
    }
}

fn rows(
    connection: &Connection,
    sql: &str,
    values: impl storage::rusqlite::Params,
) -> Result<Vec<Row>, Fault> {
    let mut statement = connection.prepare_cached(sql).stored()?;
    let rows = statement.query_map(values, Row::read).stored()?;
    rows.collect::<Result<_, _>>().stored()
}

/// Keeps the newest ids of expired contexts.
fn forget(connection: &Connection) -> Result<(), Fault> {
    let sql =
        "DELETE FROM gone WHERE at < (SELECT at FROM gone ORDER BY at DESC LIMIT 1 OFFSET ?1)";
    connection.execute(sql, [GONE_MAX]).stored()?;
    Ok(())
}

/// Removes one slice; says whether there was anything.
fn empty_slice(connection: &Connection) -> Result<bool, Fault> {
    let sql = "SELECT n FROM trash LIMIT 1";
    let found: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).optional().stored()?;
    let Some(n) = found else { return Ok(false) };
    search::forget(connection, place(n, 0), place(n, u32::MAX), SLICE_ROWS)?;
    vectors::drop_segment(connection, n, SLICE_ROWS)?;
    let sql = "DELETE FROM entry WHERE k IN
                 (SELECT k FROM entry WHERE k BETWEEN ?1 AND ?2 LIMIT ?3)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![place(n, 0), place(n, u32::MAX), SLICE_ROWS];
    if statement.execute(values).stored()? == 0 {
        connection.execute("DELETE FROM trash WHERE n = ?1", [n]).stored()?;
    }
    Ok(true)
}
