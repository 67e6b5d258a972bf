//! Programs of the PATH whose name is near to one that was not found there.

use std::path::{Path, PathBuf};

use doctor::Report;
use doctor::report::Fix;

use crate::command::Frame;
use crate::config::nearest;

/// Limit: names that are compared.
const NAMES_MAX: usize = 20_000;

/// The folders of the PATH.
pub(super) fn folders(frame: &Frame) -> Vec<PathBuf> {
    // Where nobody says it, the system looks in these.
    let path = frame.env.get("PATH").unwrap_or("/bin:/usr/bin");
    std::env::split_paths(path).collect()
}

/// What to do about a program that is not there.
pub(super) fn hint(program: &str, folders: &[PathBuf]) -> String {
    meant(program, folders).unwrap_or_else(|| {
        let count = folders.len();
        format!("no folder of the PATH ({count}) has it: install it, or write its whole path")
    })
}

/// Which program may have been meant.
fn meant(program: &str, folders: &[PathBuf]) -> Option<String> {
    if program.contains('/') {
        return Some(match Path::new(program).is_dir() {
            true => format!("`{program}` is a folder: name the program in it"),
            false => format!("there is no file `{program}`: correct the path"),
        });
    }
    if Path::new(program).is_file() {
        return Some(format!("the file `{program}` is here: write ./{program}"));
    }
    let names = names(folders);
    let near = nearest(program, names.iter().map(String::as_str))?;
    Some(format!("did you mean `{near}`? That one is on the PATH"))
}

/// Adds to a report that a command was not found which one may have been meant.
pub(super) fn complete(report: &mut Report, program: &str, folders: &[PathBuf]) {
    if report.verdict.id == "stdio.command_not_found"
        && !program.contains('/')
        && let Some(text) = meant(program, folders)
    {
        report.verdict.fix.insert(0, Fix::say(text));
    }
}

fn names(folders: &[PathBuf]) -> Vec<String> {
    let read = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    let entries = read.flatten().flatten().take(NAMES_MAX);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn a_name_that_is_nearly_right_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("python3"), "").unwrap();
        let folders = [folder.path().to_owned()];
        assert!(hint("pyhton3", &folders).contains("`python3`"));
        assert!(hint("zzzzzz", &folders).contains("install it"));
        assert!(hint("./nosuch/thing", &folders).contains("no file"));
    }
}
