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
    "application.yml",
    "application.yaml",
    "appsettings.json",
    "server.properties",
    "config.json",
    "config.yaml",
    "config.yml",
    "config.toml",
    "settings.yaml",
    "settings.json",
    "settings.py",
    "nginx.conf",
];

/// Limit: scripts of a folder that are looked at.
const SCRIPTS_MAX: usize = 20;

/// How the name of a script ends, which starts programs with their ports.
const SCRIPTS: &[&str] = &["sh", "ps1", "bat", "cmd"];

/// The store of a data folder of ours.
const STORE: &str = "rapport.db";

/// Whether a target is a folder and no address.
pub(super) fn is_folder(text: &str) -> bool {
    let is_name = text == "localhost" || text.contains("://") || text.parse::<u16>().is_ok();
    !is_name && Path::new(text).is_dir()
}

/// What can be looked at in it.
pub(super) fn subjects(folder: &Path, search: &[PathBuf], run: bool) -> Vec<Subject> {
    let mut found: Vec<Subject> = files(folder)
        .into_iter()
        .map(|path| {
            let place = path.display().to_string();
            let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
            let file = File { path, run, search: search.to_vec() };
            Subject { name, place, work: Work::File(file) }
        })
        .collect();
    if folder.join(STORE).is_file() {
        let place = folder.display().to_string();
        let work = Work::Done(Box::new(own::folder(folder)));
        found.push(Subject { name: "store".to_owned(), place, work });
    }
    found
}

/// The files of it that are looked at and may be mended: the known names, then scripts.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let known = KNOWN.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
    known.chain(scripts(folder)).collect()
}

/// The scripts that stand in it, by name.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_script = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| SCRIPTS.contains(&ending)) && path.is_file()
    };
    let mut found: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(is_script).collect();
    found.sort();
    found.truncate(SCRIPTS_MAX);
    found
}

/// What is said of a folder in which there is nothing to look at.
pub(super) fn nothing(folder: &Path) -> String {
    format!(
        "`{}` is a folder, and none of the files that are known here is in it ({}, \
         scripts): name a file, or an address such as localhost:61900",
        folder.display(),
        KNOWN.join(", ")
    )
}
