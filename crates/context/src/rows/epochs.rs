//! Epochs in the store: the last request of a context, and a line for every epoch.

use storage::rusqlite::{Connection, OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::{signed, unsigned};
use crate::epoch::{Reason, Trail};
use crate::{Epoch, Step, clock};

/// Limit: epochs of one context that are kept, the newest ones.
const EPOCHS_MAX: u32 = 10_000;

/// What the last answered request of a context was.
pub(crate) fn trail(connection: &Connection, n: i64) -> Result<Option<Trail>, Fault> {
    let sql = "SELECT epoch, branch, start, summary, pinned, model, system, tools, messages, hash,
                 cleared
               FROM trail WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |row: &Found<'_>| {
        Ok(Trail {
            epoch: row.get(0)?,
            branch: row.get(1)?,
            start: row.get(2)?,
            summary: row.get(3)?,
            pinned: unsigned(row.get(4)?),
            model: row.get(5)?,
            system: unsigned(row.get(6)?),
            tools: unsigned(row.get(7)?),
            messages: row.get(8)?,
            hash: unsigned(row.get(9)?),
            cleared: row.get(10)?,
        })
    };
    statement.query_row([n], read).optional().stored()
}

/// Keeps a request that was answered.
pub(crate) fn keep(connection: &Connection, n: i64, step: &Step, now: i64) -> Result<(), Fault> {
    let trail = &step.trail;
    let sql = "INSERT OR REPLACE INTO trail(n, epoch, branch, start, summary, pinned, model,
                 system, tools, messages, hash, cleared)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let values = params![
        n,
        trail.epoch,
        trail.branch,
        trail.start,
        trail.summary,
        signed(trail.pinned),
        trail.model,
        signed(trail.system),
        signed(trail.tools),
        trail.messages,
        signed(trail.hash),
        trail.cleared,
    ];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    let (prompt, cached, written) =
        (signed(step.prompt), signed(step.cached), signed(step.written));
    let Some(reason) = step.reason else {
        let sql = "UPDATE epoch SET turns = turns + 1, prompt = prompt + ?3,
                     cached = cached + ?4, written = written + ?5
                   WHERE n = ?1 AND no = ?2";
        let values = params![n, trail.epoch, prompt, cached, written];
        connection.prepare_cached(sql).stored()?.execute(values).stored()?;
        return Ok(());
    };
    let sql = "INSERT OR REPLACE INTO epoch(n, no, at, reason, model, start_seq, turns, rewritten,
                 prompt, cached, written)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, ?9, ?10)";
    let values = params![
        n,
        trail.epoch,
        now,
        reason.as_str(),
        trail.model,
        trail.start,
        prompt.saturating_sub(cached),
        prompt,
        cached,
        written,
    ];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    if let Some(old) = trail.epoch.checked_sub(EPOCHS_MAX) {
        let sql = "DELETE FROM epoch WHERE n = ?1 AND no <= ?2";
        connection.prepare_cached(sql).stored()?.execute(params![n, old]).stored()?;
    }
    Ok(())
}

/// The epochs of a context, the newest first.
pub(crate) fn list(connection: &Connection, n: i64, limit: u32) -> Result<Vec<Epoch>, Fault> {
    let sql = "SELECT no, reason, at, model, start_seq, turns, rewritten, prompt, cached, written
               FROM epoch WHERE n = ?1 ORDER BY no DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let read = |row: &Found<'_>| {
        let reason: String = row.get(1)?;
        Ok(Epoch {
            number: row.get(0)?,
            reason: Reason::read(&reason),
            at: clock::moment(row.get(2)?),
            model: row.get(3)?,
            start_seq: row.get(4)?,
            turns: unsigned(row.get(5)?),
            rewritten_tokens: unsigned(row.get(6)?),
            prompt_tokens: unsigned(row.get(7)?),
            cached_tokens: unsigned(row.get(8)?),
            written_tokens: unsigned(row.get(9)?),
        })
    };
    statement.query_map(params![n, limit], read).stored()?.collect::<Result<_, _>>().stored()
}
