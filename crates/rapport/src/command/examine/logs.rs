//! Where this product's own servers write their logs, for the doctor to read when one fails.

use std::path::{Path, PathBuf};

use doctor::Request;
use doctor::target::Target;

use crate::command::Frame;
use crate::config::load;
use crate::runtime;

/// The logs in a folder, the one of errors last: what it has the other has too.
const FILES: [&str; 2] = ["server.log", "error.log"];

/// Logs of the server of ours that is to be at the address, as the configuration and the files of
/// running servers tell; none for an address that is nobody's of ours.
pub(super) fn of(frame: &Frame, request: &Request) -> Vec<PathBuf> {
    let loaded = load(&frame.inputs()).ok();
    let home = loaded.as_ref().map_or(request.default_port, |loaded| loaded.config.ports.port);
    let port = match &request.target {
        None => home,
        Some(text) => {
            let Ok(target) = Target::parse(text) else { return Vec::new() };
            let is_here = ["localhost", "127.0.0.1", "::1"].contains(&target.host.as_str());
            let port = target.port.as_deref().and_then(|port| port.parse().ok());
            match port.filter(|_| is_here) {
                Some(port) => port,
                None => return Vec::new(),
            }
        }
    };
    let mut folders: Vec<PathBuf> = Vec::new();
    let running = runtime::all(&frame.env).into_iter().filter(|running| running.port == port);
    folders.extend(running.map(|running| running.data_dir.join("logs")));
    if let Some(loaded) = loaded.filter(|_| port == home) {
        folders.extend(loaded.config.log.dir);
    }
    folders.dedup();
    let files = folders.iter().flat_map(|folder| FILES.map(|name| folder.join(name)));
    files.filter(|path| path.is_file()).collect()
}

/// Whether a file can be read as a log.
///
/// # Errors
/// Why not.
pub(super) fn readable(path: &Path) -> std::io::Result<()> {
    if std::fs::metadata(path)?.is_file() {
        return std::fs::File::open(path).map(drop);
    }
    Err(std::io::Error::other("it is no file"))
}
