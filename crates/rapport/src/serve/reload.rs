//! Reads the configuration again on SIGHUP and when a file changes: all of it counts, or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gateway::settings::Settings;
use tokio::sync::mpsc;

use super::keeper::Wish;
use super::signals::{Asked, Signals};
use crate::config::{Inputs, Loaded, load, reload};
use crate::listen::{Door, tls};
use crate::log::Logs;
use crate::parts::Parts;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A server at work.
#[derive(Debug)]
pub(super) struct Running<'a> {
    /// The configuration the server was started with.
    pub(super) started: Loaded,
    /// The configuration that counts, but for keys that wait for a restart.
    pub(super) loaded: Loaded,
    /// How its files looked when they were read.
    pub(super) seen: Stamps,
    /// Where it comes from.
    pub(super) inputs: Inputs,
    /// The sockets.
    pub(super) door: &'a Arc<Door>,
    /// The opened parts.
    pub(super) parts: &'a Parts,
    /// The logs.
    pub(super) logs: &'a Logs,
    /// What the API wants kept.
    pub(super) wished: mpsc::Receiver<Wish>,
}

impl Running<'_> {
    /// Serves and reloads; returns the reason to stop. A second signal ends the process.
    pub(super) async fn until_stopped(mut self, mut signals: Signals) -> &'static str {
        crate::config::running::write(&self.started, &self.loaded);
        loop {
            let asked = tokio::select! {
                asked = signals.next() => asked,
                Some(wish) = self.wished.recv() => {
                    let kept = self.grant(&wish.what);
                    // Whoever asked may have left.
                    let _told = wish.outcome.send(kept);
                    continue;
                }
                () = changed(&self.loaded.watched, &self.seen) => Asked::Reload,
            };
            match asked {
                Asked::Stop(reason) => {
                    let last = signals.end_at_next_stop();
                    crate::tasks::Tasks::default().spawn("second signal", last);
                    crate::config::running::remove(&self.started.config.data);
                    return reason;
                }
                Asked::Reload => self.reload(),
            }
        }
    }

    fn reload(&mut self) {
        let watched = self.loaded.watched.clone();
        // Before reading: what changes while we read is read again.
        self.seen = stamps(&watched);
        if let Err(problems) = self.try_reload() {
            for problem in problems {
                tracing::error!("the configuration was not reloaded: {problem}");
            }
        }
        if self.loaded.watched != watched {
            self.seen = stamps(&self.loaded.watched);
        }
    }

    /// Reads everything, and only then changes anything.
    pub(super) fn try_reload(&mut self) -> Result<(), Vec<String>> {
        let new = load(&self.inputs).map_err(|refused| {
            refused.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        })?;
        let one = |error: anyhow::Error| vec![format!("{error:#}")];
        // The store's folder does not move: a generated certificate stays where it was made.
        let certificates = tls::load(&self.tls(&new), &self.started.config.data).map_err(one)?;
        let settings = self.settings(&new);
        self.parts.gateway.reload(settings).map_err(|fault| vec![fault.chain()])?;
        self.door.set_tls(certificates.map(|loaded| loaded.config));
        self.door.set_limits(&new.config.gateway.limits);
        self.parts.contexts.set_audit(new.config.contexts.audit);
        self.parts.contexts.set_redaction(new.config.contexts.redact.clone());
        self.parts.contexts.set_lifetime(new.config.contexts.lifetime);
        for warning in &new.warnings {
            tracing::warn!("{warning}");
        }
        for change in reload::differences(&self.started, &new).iter().filter(|c| c.restart) {
            let (key, was, is) = (&change.key, &change.was, &change.is);
            tracing::warn!(key, was, is, "this change counts after a restart");
        }
        let changes = reload::differences(&self.loaded, &new);
        for change in changes.iter().filter(|change| !change.restart) {
            let (key, was, is) = (&change.key, &change.was, &change.is);
            tracing::info!(key, was, is, "changed");
        }
        // Last, so that a level that hides these lines does not hide itself. It was checked above.
        self.logs.set_level(&new.config.log.level).map_err(one)?;
        tracing::info!(changes = changes.len(), "the configuration was reloaded");
        self.loaded = new;
        crate::config::running::write(&self.started, &self.loaded);
        Ok(())
    }

    /// The new settings, without what waits for a restart: a reload must not open what the checks
    /// at the start would have refused.
    fn settings(&self, new: &Loaded) -> Settings {
        let old = &self.started.config.gateway;
        let mut settings = new.config.gateway.clone();
        settings.auth = old.auth;
        settings.base_path.clone_from(&old.base_path);
        settings.limits.connections = old.limits.connections;
        settings.limits.turns = old.limits.turns;
        settings
    }

    /// The certificates of the new configuration under the mode that was started with.
    fn tls(&self, new: &Loaded) -> crate::config::Tls {
        crate::config::Tls { mode: self.door.tls_mode(), files: new.config.tls.files.clone() }
    }
}

/// When each file was last changed, and its size; `None` for files that do not exist.
pub(super) type Stamps = Vec<Option<(SystemTime, u64)>>;

/// How the files look now.
pub(super) fn stamps(files: &[PathBuf]) -> Stamps {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    files.iter().map(|path| stamp(path)).collect()
}

/// Waits until a file is not as it was seen.
async fn changed(files: &[PathBuf], seen: &Stamps) {
    loop {
        tokio::time::sleep(LOOK).await;
        if stamps(files) != *seen {
            return;
        }
    }
}
