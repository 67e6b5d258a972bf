//! What a model call carries, and the steps by which it leaves the oldest behind.

use storage::rusqlite::Connection;
use wire::Fault;

use super::Contexts;
use super::manage::CLEANING;
use crate::rows::ctx::{self, Row};
use crate::rows::{cut, entry, notes, parts};
use crate::{Budget, Cut, Key, Window, clock};

impl Contexts {
    /// Reads the window for a model call. When it exceeds the budget, its beginning moves forward
    /// in one big step, and stays there: until the next step, every call begins with the bytes of
    /// the call before.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        let wanted = key.clone();
        let ready = self
            .db
            .read(move |connection| {
                let row = ctx::live(connection, &wanted, clock::now())?;
                match cut::next(connection, &row, budget.tokens)? {
                    None => carry(connection, &row, None).map(Some),
                    Some(_) => Ok(None),
                }
            })
            .await?;
        if let Some(window) = ready {
            return Ok(window);
        }
        let wanted = key.clone();
        // Decided again on the writer: another call may have cut since.
        let cut = self
            .write(CLEANING, move |job| {
                let row = job.live(&wanted)?;
                let cut = cut::next(job.connection, &row, budget.tokens)?;
                if let Some(cut) = cut {
                    ctx::save_start(job.connection, row.n, cut.first_seq)?;
                }
                Ok(cut)
            })
            .await?;
        let wanted = key.clone();
        self.db
            .read(move |connection| {
                let row = ctx::live(connection, &wanted, clock::now())?;
                carry(connection, &row, cut)
            })
            .await
    }

    /// Reads what [`Contexts::window`] would give now, and changes nothing.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn preview_window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        let key = key.clone();
        self.db
            .read(move |connection| {
                let mut row = ctx::live(connection, &key, clock::now())?;
                let cut = cut::next(connection, &row, budget.tokens)?;
                if let Some(cut) = cut {
                    row.start_seq = cut.first_seq;
                }
                carry(connection, &row, cut)
            })
            .await
    }
}

fn carry(connection: &Connection, row: &Row, cut: Option<Cut>) -> Result<Window, Fault> {
    let tokens = cut::tokens_from(connection, row, row.start_seq)?;
    let context = parts::context(connection, row)?;
    Ok(Window {
        knowledge: notes::knowledge(connection, row, &context.state, clock::now())?,
        context,
        entries: entry::shown(connection, &row.chain, row.start_seq, row.head)?,
        cut,
        tokens: cut::scaled(row, tokens),
    })
}
