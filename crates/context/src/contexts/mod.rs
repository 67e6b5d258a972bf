//! The handle.
#![allow(unused)]

use crate::*;
use jiff::Timestamp;
use wire::Fault;

/// All contexts of the store; clones share it.
#[derive(Clone, Debug)]
pub struct Contexts {
    db: storage::Database,
    limits: Limits,
}

/// Figures over all contexts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Contexts that exist.
    pub contexts: u64,
    /// Their entries.
    pub messages: u64,
    /// Bytes of their contents.
    pub bytes: u64,
}

fn nb<T>() -> Result<T, Fault> {
    Err(Fault::internal("not built yet"))
}

impl Contexts {
    pub async fn open(db: storage::Database, limits: Limits) -> Result<Self, Fault> {
        Ok(Self { db, limits })
    }
    pub fn with_durability(self, durability: Durability) -> Self {
        self
    }
    pub async fn create(&self, tenant: Tenant, new: New) -> Result<Context, Fault> {
        nb()
    }
    pub async fn get(&self, key: &Key) -> Result<Context, Fault> {
        nb()
    }
    pub async fn list(&self, tenant: Tenant, filter: Filter) -> Result<Page<Context>, Fault> {
        nb()
    }
    pub async fn messages(&self, key: &Key, slice: Slice) -> Result<Page<Entry>, Fault> {
        nb()
    }
    pub async fn edit(&self, key: &Key, edit: Edit, expect: Option<u64>) -> Result<Context, Fault> {
        nb()
    }
    pub async fn append(
        &self,
        key: &Key,
        entries: Vec<NewEntry>,
        expect: Option<u64>,
        idem: Option<Idem>,
    ) -> Result<(Context, Vec<Entry>), Fault> {
        nb()
    }
    pub async fn close(&self, key: &Key) -> Result<Context, Fault> {
        nb()
    }
    pub async fn delete(&self, key: &Key) -> Result<(), Fault> {
        nb()
    }
    pub async fn answer_now(
        &self,
        turn: NewTurn,
        model: impl FnOnce(&mut View<'_>) -> Result<LocalReply, Fault> + Send + 'static,
    ) -> Result<Turn, Fault> {
        nb()
    }
    pub async fn begin(&self, turn: NewTurn) -> Result<Begun, Fault> {
        nb()
    }
    pub async fn reopen(&self, key: &Key) -> Result<OpenTurn, Fault> {
        nb()
    }
    pub async fn finish(&self, open: &OpenTurn, outcome: Outcome) -> Result<Turn, Fault> {
        nb()
    }
    pub async fn fail(
        &self,
        open: &OpenTurn,
        reason: &str,
        partial: Option<Outcome>,
    ) -> Result<(), Fault> {
        nb()
    }
    pub async fn window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        nb()
    }
    pub async fn preview_window(&self, key: &Key, budget: Budget) -> Result<Window, Fault> {
        nb()
    }
    pub async fn counts(&self) -> Counts {
        Counts::default()
    }
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, Fault> {
        nb()
    }
}
