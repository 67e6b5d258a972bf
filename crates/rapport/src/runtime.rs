//! Tells other programs of this user where a server runs: `runtime.json` and a copy to find it by.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Environment;
use crate::data;

/// The name of the file in the data folder.
const FILE: &str = "runtime.json";

/// A running server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// Its process.
    pub(crate) pid: u32,
    /// Where to call it.
    pub(crate) url: String,
    /// Its port.
    pub(crate) port: u16,
    /// The port that was asked for, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requested_port: Option<u16>,
    /// Every bound address.
    pub(crate) listen: Vec<String>,
    /// When it was ready.
    pub(crate) started_at: String,
    /// Its version.
    pub(crate) version: String,
    /// Its data folder.
    pub(crate) data_dir: PathBuf,
}

/// The files of a running server, removed when this drops.
#[derive(Debug)]
pub(crate) struct Announced {
    files: Vec<PathBuf>,
}

/// Writes where the server runs, for this user only.
///
/// # Errors
/// When the data folder cannot be written to. The copy for others to find is not worth an error.
pub(crate) fn announce(runtime: &Runtime, env: &Environment) -> anyhow::Result<Announced> {
    let text = serde_json::to_string_pretty(runtime)?;
    let path = runtime.data_dir.join(FILE);
    data::write_private(&path, text.as_bytes())?;
    let mut files = vec![path];
    let folder = env.run_folder();
    let copy = folder.join(format!("{}.json", runtime.pid));
    let copied =
        data::private_folder(&folder).and_then(|()| data::write_private(&copy, text.as_bytes()));
    match copied {
        Ok(()) => files.push(copy),
        Err(error) => tracing::debug!("this server cannot be found by others: {error:#}"),
    }
    Ok(Announced { files })
}

impl Drop for Announced {
    fn drop(&mut self) {
        for file in &self.files {
            // A file that is gone already was the aim.
            let _gone = std::fs::remove_file(file);
        }
    }
}

/// The server of the data folder, if it runs.
pub(crate) fn of_folder(folder: &Path) -> Option<Runtime> {
    read(&folder.join(FILE)).filter(|runtime| is_alive(runtime.pid))
}

/// Every running server of this user, the newest first.
pub(crate) fn all(env: &Environment) -> Vec<Runtime> {
    let Ok(entries) = std::fs::read_dir(env.run_folder()) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        match read(&path) {
            Some(runtime) if is_alive(runtime.pid) => found.push(runtime),
            // Left over by a server that was killed.
            Some(_) => drop(std::fs::remove_file(&path)),
            None => {}
        }
    }
    found.sort_by(|a, b| b.started_at.cmp(&a.started_at));
    found
}

fn read(path: &Path) -> Option<Runtime> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Whether the process exists; where that cannot be asked it is taken to.
pub(crate) fn is_alive(pid: u32) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        use rustix::process::{Pid, test_kill_process};
        let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        !matches!(test_kill_process(pid), Err(Errno::SRCH))
    }
    #[cfg(windows)]
    {
        native::windows::process::is_running(pid)
    }
}

#[cfg(test)]
mod tests {
    use super::{Runtime, all, announce, of_folder};
    use crate::config::Environment;

    #[test]
    fn a_server_is_found_while_it_runs_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("run").display().to_string();
        let env = Environment::with(&[("XDG_RUNTIME_DIR", &run)]);
        let runtime = Runtime {
            pid: std::process::id(),
            url: "http://127.0.0.1:1".to_owned(),
            port: 1,
            requested_port: Some(61900),
            listen: vec!["127.0.0.1:1".to_owned()],
            started_at: "2026-11-21T00:00:00Z".to_owned(),
            version: "0".to_owned(),
            data_dir: dir.path().to_owned(),
        };
        let announced = announce(&runtime, &env).unwrap();
        assert_eq!(of_folder(dir.path()), Some(runtime.clone()));
        assert_eq!(all(&env), std::slice::from_ref(&runtime));
        drop(announced);
        assert_eq!(of_folder(dir.path()), None);
        assert!(all(&env).is_empty());

        // A server that was killed leaves its files; they are recognised and cleared away.
        let dead = Runtime { pid: 0x3fff_fff0, ..runtime };
        std::mem::forget(announce(&dead, &env).unwrap());
        assert_eq!(of_folder(dir.path()), None);
        assert!(all(&env).is_empty());
        assert_eq!(std::fs::read_dir(env.run_folder()).unwrap().count(), 0);
    }
}
