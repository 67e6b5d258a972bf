//! `rapport doctor FOLDER`: which files of a folder are configurations that can be looked at.

use std::path::{Path, PathBuf};

use doctor::files::File;
use doctor::own;

use super::subjects::{Subject, Work};

/// Files that programs read their addresses, ports and servers from.
const KNOWN: &[&str] = &[
    "rapport.yaml",
    "rapport.yml",
    ".mcp.json",
    "mcp.json",
    ".vscode/mcp.json",
    ".cursor/mcp.json",
    "claude_desktop_config.json",
    ".claude.json",
    ".env",
    ".env.local",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "Dockerfile",
    "application.properties",
    "nginx.conf",
    "config.toml",
];

/// The store of a data folder of ours.
const STORE: &str = "rapport.db";

/// Whether a target is a folder and no address.
pub(super) fn is_folder(text: &str) -> bool {
    let is_name = text == "localhost" || text.contains("://") || text.parse::<u16>().is_ok();
    !is_name && Path::new(text).is_dir()
}

/// What can be looked at in it.
pub(super) fn subjects(folder: &Path, search: &[PathBuf], run: bool) -> Vec<Subject> {
    let files = KNOWN.iter().map(|name| (name, folder.join(name)));
    let mut found: Vec<Subject> = files
        .filter(|(_, path)| path.is_file())
        .map(|(name, path)| {
            let place = path.display().to_string();
            let file = File { path, run, search: search.to_vec() };
            Subject { name: (*name).to_owned(), place, work: Work::File(file) }
        })
        .collect();
    if folder.join(STORE).is_file() {
        let place = folder.display().to_string();
        let work = Work::Done(Box::new(own::folder(folder)));
        found.push(Subject { name: "store".to_owned(), place, work });
    }
    found
}

/// The files of it that may be mended.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    KNOWN.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect()
}

/// What is said of a folder in which there is nothing to look at.
pub(super) fn nothing(folder: &Path) -> String {
    format!(
        "`{}` is a folder, and none of the files that are known here is in it ({}): name a file, \
         or an address such as localhost:61900",
        folder.display(),
        KNOWN.join(", ")
    )
}
