//! Reads the configuration again on SIGHUP and when a file changes: all of it counts, or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

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
    /// The configuration that counts.
    pub(super) loaded: Loaded,
    /// Where it comes from.
    pub(super) inputs: Inputs,
    /// The sockets.
    pub(super) door: &'a Arc<Door>,
    /// The opened parts.
    pub(super) parts: &'a Parts,
    /// The logs.
    pub(super) logs: &'a Logs,
}

impl Running<'_> {
    /// Serves and reloads; returns the reason to stop. A second signal ends the process.
    pub(super) async fn until_stopped(mut self, mut signals: Signals) -> &'static str {
        let mut seen = stamps(&self.loaded.watched);
        crate::config::running::write(&self.loaded);
        loop {
            let asked = tokio::select! {
                asked = signals.next() => asked,
                () = changed(&self.loaded.watched, &seen) => Asked::Reload,
            };
            match asked {
                Asked::Stop(reason) => {
                    let last = signals.end_at_next_stop();
                    crate::tasks::Tasks::default().spawn("second signal", last);
                    crate::config::running::remove(&self.loaded.config.data);
                    return reason;
                }
                Asked::Reload => {
                    self.reload();
                    seen = stamps(&self.loaded.watched);
                }
            }
        }
    }

    fn reload(&mut self) {
        match self.try_reload() {
            Ok(()) => {}
            Err(problems) => {
                for problem in problems {
                    tracing::error!("the configuration was not reloaded: {problem}");
                }
            }
        }
    }

    /// Reads everything, and only then changes anything.
    fn try_reload(&mut self) -> Result<(), Vec<String>> {
        let new = load(&self.inputs).map_err(|refused| {
            refused.problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        })?;
        let one = |error: anyhow::Error| vec![format!("{error:#}")];
        // The store's folder does not move: a generated certificate stays where it was made.
        let certificates = tls::load(&self.tls(&new), &self.loaded.config.data).map_err(one)?;
        self.logs.set_level(&new.config.log.level).map_err(one)?;
        if let Err(fault) = self.parts.gateway.reload(new.config.gateway.clone()) {
            // The old level comes back, too.
            self.logs.set_level(&self.loaded.config.log.level).map_err(one)?;
            return Err(vec![fault.chain()]);
        }
        self.door.set_tls(certificates.map(|loaded| loaded.config));
        self.door.set_limits(&new.config.gateway.limits);
        for warning in &new.warnings {
            tracing::warn!("{warning}");
        }
        let differences = reload::differences(&self.loaded, &new);
        for change in &differences {
            let (key, was, is) = (&change.key, &change.was, &change.is);
            if change.restart {
                tracing::warn!(key, was, is, "this change counts after a restart");
            } else {
                tracing::info!(key, was, is, "changed");
            }
        }
        tracing::info!(changes = differences.len(), "the configuration was reloaded");
        self.loaded = new;
        crate::config::running::write(&self.loaded);
        Ok(())
    }

    /// The certificates of the new configuration under the mode that was started with.
    fn tls(&self, new: &Loaded) -> crate::config::Tls {
        crate::config::Tls { mode: self.door.tls_mode(), files: new.config.tls.files.clone() }
    }
}

/// When each file was last changed; `None` for files that do not exist.
fn stamps(files: &[PathBuf]) -> Vec<Option<(SystemTime, u64)>> {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len()))
    };
    files.iter().map(|path| stamp(path)).collect()
}

/// Waits until a file is not as it was seen.
async fn changed(files: &[PathBuf], seen: &[Option<(SystemTime, u64)>]) {
    loop {
        tokio::time::sleep(LOOK).await;
        if stamps(files) != seen {
            return;
        }
    }
}
