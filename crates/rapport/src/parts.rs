//! The wiring: which parts the server is made of, and in what order they open and close.

use std::path::Path;

use anyhow::Context;
use gateway::{About, Gateway};

use crate::config::{Config, Store};
use crate::vault;

/// The tables of everybody who keeps something.
pub(crate) const SCHEMAS: &[&storage::Schema] =
    &[&context::SCHEMA, &catalog::SCHEMA, &ledger::SCHEMA];

/// The opened parts.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The request path.
    pub(crate) gateway: Gateway,
    /// The conversations.
    pub(crate) contexts: context::Contexts,
    /// The keys of callers.
    pub(crate) keys: catalog::Keys,
    database: storage::Database,
}

impl Parts {
    /// Opens the store, then what lives in it, then the gateway over both.
    ///
    /// # Errors
    /// The first part that cannot be opened.
    pub(crate) async fn open(config: &Config, logs: Option<&Path>) -> anyhow::Result<Self> {
        let place = match config.store {
            Store::Sqlite => storage::Place::Folder(config.data.clone()),
            Store::Memory => storage::Place::Memory,
        };
        let database = storage::Database::open(place, SCHEMAS).await?;
        let limits = context::Limits::default();
        let contexts = context::Contexts::open(database.clone(), limits).await?;
        let contexts = contexts.with_durability(config.durability);
        let folder = matches!(config.store, Store::Sqlite).then_some(config.data.as_path());
        let given = config.contexts.vault_key.as_ref().and_then(|key| vault::parse(key.expose()));
        let is_sealed = contexts.holds_sealed().await?;
        let open = if is_sealed { vault::sealed } else { vault::open };
        contexts.set_vault(open(given, folder));
        contexts.unlock(config.contexts.encrypt).await?;
        contexts.set_audit(config.contexts.audit);
        contexts.set_redaction(config.contexts.redact.clone());
        contexts.set_lifetime(config.contexts.lifetime);
        let keys = catalog::Keys::open(database.clone()).await?;
        let about = About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listen: Vec::new(),
            data_dir: match config.store {
                Store::Sqlite => config.data.display().to_string(),
                Store::Memory => String::new(),
            },
            log_dir: logs.map(|path| path.display().to_string()).unwrap_or_default(),
            store_kind: config.store.as_str().to_owned(),
            durability: durability(config.durability).to_owned(),
            tls_mode: config.tls.mode.as_str().to_owned(),
        };
        let parts = gateway::Parts {
            contexts: contexts.clone(),
            keys: keys.clone(),
            database: database.clone(),
            about,
        };
        let gateway = Gateway::open(config.gateway.clone(), parts)?;
        Ok(Self { gateway, contexts, keys, database })
    }

    /// Writes out what waits and lets the store go.
    ///
    /// # Errors
    /// When the last writes did not reach the disk.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        self.gateway.flush().await;
        self.database.close().await.context("the store was not closed in good order")
    }
}

fn durability(durability: storage::Durability) -> &'static str {
    match durability {
        storage::Durability::Sync => "sync",
        storage::Durability::Group => "group",
        storage::Durability::Fast => "fast",
    }
}
