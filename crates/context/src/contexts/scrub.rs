//! After a redaction: no free page of the file, and no log of writes, may still hold the words.

use std::time::Duration;

use storage::rusqlite::Connection;
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::Contexts;
use super::manage::CLEANING;
use crate::rows::seal;

/// Free pages that are written over together; between two slices the writer serves others.
const SLICE_PAGES: u64 = 512;
/// Limit: slices of one scrub; some terabytes.
const SLICES_MAX: u32 = 1_000_000;
/// Free pages that stay: those that the blanks themselves need.
const LEFT: u64 = 4;
/// Limit: attempts to empty the log while somebody reads.
const TRIES: u32 = 50;
/// How long to wait between two of them.
const PAUSE: Duration = Duration::from_millis(100);

impl Contexts {
    /// Writes zeros over the free pages of the file, and empties the log of writes.
    pub(super) async fn scrub(&self) -> Result<(), Fault> {
        for _ in 0..SLICES_MAX {
            if !self.write(CLEANING, |job| blank(job.connection)).await? {
                break;
            }
        }
        for _ in 0..SLICES_MAX {
            if !self.write(CLEANING, |job| give_back(job.connection)).await? {
                break;
            }
        }
        for _ in 0..TRIES {
            if self.db.fold().await? {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::warn!("the log of writes still holds what was redacted: a reader keeps it");
        Ok(())
    }
}

/// Takes free pages and fills them with zeros; says whether more are left.
fn blank(connection: &Connection) -> Result<bool, Fault> {
    let number = |sql: &str| {
        let read = |row: &storage::rusqlite::Row<'_>| row.get::<_, i64>(0);
        connection.query_row(sql, [], read).map(crate::rows::unsigned).stored()
    };
    let (free, page) = (number("PRAGMA freelist_count")?, number("PRAGMA page_size")?);
    if free <= LEFT {
        return Ok(false);
    }
    let bytes = free.min(SLICE_PAGES).saturating_sub(LEFT / 2).saturating_mul(page);
    let sql = "INSERT INTO zeros(body) VALUES (zeroblob(?1))";
    prepare_insert(connection, sql)?.execute([crate::rows::signed(bytes)]).stored()?;
    Ok(free > SLICE_PAGES)
}

/// Gives the pages back; says whether there are more.
fn give_back(connection: &Connection) -> Result<bool, Fault> {
    let sql = "DELETE FROM zeros WHERE no = (SELECT max(no) FROM zeros)";
    seal::thoroughly(connection, || {
        Ok(connection.prepare_cached(sql).stored()?.execute([]).stored()? > 0)
    })
}
