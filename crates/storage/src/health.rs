//! How the store feels: kept in memory by the writer, so that asking costs no IO.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use jiff::Timestamp;
use wire::Fault;

/// The state of the store at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The last attempt to write succeeded.
    pub ok: bool,
    /// Since when `ok` has its value.
    pub since: Timestamp,
    /// Why the last write failed; `None` when it did not.
    pub error: Option<String>,
    /// The machine-readable reason, such as `disk_full`; `None` when the last write succeeded.
    pub reason: Option<String>,
    /// Bytes the program may still write on the disk, as of the last look; `None` in memory.
    pub disk_free_bytes: Option<u64>,
    /// The database file; `None` in memory.
    pub path: Option<PathBuf>,
}

/// Reasons that mean that the store itself cannot write; others concern one record or one job.
const OF_THE_DISK: &[&str] = &["disk_full", "io_error", "corrupt", "read_only", "busy"];

/// The cell the writer writes and everybody reads.
#[derive(Debug)]
pub(crate) struct Pulse(Mutex<Health>);

impl Pulse {
    pub(crate) fn new(path: Option<&Path>) -> Self {
        let pulse = Self(Mutex::new(Health {
            ok: true,
            since: Timestamp::now(),
            error: None,
            reason: None,
            disk_free_bytes: None,
            path: path.map(Path::to_path_buf),
        }));
        pulse.look();
        pulse
    }

    pub(crate) fn read(&self) -> Health {
        self.with(|health| health.clone())
    }

    pub(crate) fn good(&self) {
        self.with(|health| {
            if !health.ok {
                tracing::info!("the store writes again");
                health.ok = true;
                health.since = Timestamp::now();
                health.error = None;
                health.reason = None;
            }
        });
    }

    pub(crate) fn bad(&self, fault: &Fault) {
        let reason = fault.detail_values().and_then(|d| d.get("reason")).and_then(|r| r.as_str());
        if !reason.is_some_and(|reason| OF_THE_DISK.contains(&reason)) {
            return;
        }
        tracing::error!(error = %fault.chain(), "the store cannot write");
        self.with(|health| {
            if health.ok {
                health.ok = false;
                health.since = Timestamp::now();
            }
            health.error = Some(fault.text().to_owned());
            health.reason = reason.map(str::to_owned);
        });
        self.look();
    }

    /// Looks how much room is left on the disk.
    pub(crate) fn look(&self) {
        let folder = self
            .with(|health| health.path.as_deref().and_then(Path::parent).map(Path::to_path_buf));
        let free = folder.as_deref().and_then(free_bytes);
        self.with(|health| health.disk_free_bytes = free);
    }

    fn with<T>(&self, job: impl FnOnce(&mut Health) -> T) -> T {
        // A poisoned cell still holds a whole value: the jobs above only assign.
        let mut guard = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        job(&mut guard)
    }
}

/// Bytes an ordinary user may still write in `folder`.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    Some(native::disk::room(folder)?.free_bytes)
}
