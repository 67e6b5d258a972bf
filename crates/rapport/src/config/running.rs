//! What the running server uses, written down so that `config drift` can compare it.

use std::path::{Path, PathBuf};

use super::keys::{self, Change};
use super::load::Loaded;
use super::show::{self, Row};

const FILE: &str = "running-config.json";

fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Writes the values that count, without secrets: those of `now`, and of `started` for keys that
/// wait for a restart. Not being able to is no reason to stop.
pub(crate) fn write(started: &Loaded, now: &Loaded) {
    let waits = |row: &Row| keys::named(&row.key).is_some_and(|key| key.change == Change::Restart);
    let mut rows: Vec<Row> = show::rows(now).into_iter().filter(|row| !waits(row)).collect();
    rows.extend(show::rows(started).into_iter().filter(waits));
    let written = serde_json::to_vec_pretty(&rows)
        .map_err(anyhow::Error::from)
        .and_then(|text| crate::data::write_private(&path(&started.config.data), &text));
    if let Err(error) = written {
        tracing::debug!("`config drift` will not work: {error:#}");
    }
}

/// Forgets what was written.
pub(crate) fn remove(data: &Path) {
    // Not being there is the aim.
    let _gone = std::fs::remove_file(path(data));
}

/// What the running server of the data folder uses.
pub(crate) fn read(data: &Path) -> Option<Vec<Row>> {
    serde_json::from_slice(&std::fs::read(path(data)).ok()?).ok()
}
