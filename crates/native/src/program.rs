//! Finds the file behind the name of a command, where the system's own start does not.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What Windows starts, in the order it is looked for; `npx` is `npx.cmd` there.
const ENDINGS: [&str; 4] = ["exe", "com", "cmd", "bat"];

/// The file to start for a command: on Windows, where a bare name finds programs alone and no
/// scripts, the first file of that name in the folders of `path`; else the name itself.
#[must_use]
pub fn file(command: &str, path: Option<&OsStr>) -> PathBuf {
    let found = path.filter(|_| cfg!(windows)).and_then(|path| find(command, path));
    found.unwrap_or_else(|| PathBuf::from(command))
}

fn find(command: &str, path: &OsStr) -> Option<PathBuf> {
    let is_bare = !command.contains(['/', '\\', ':']) && Path::new(command).extension().is_none();
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute() && is_bare);
    let mut files = folders
        .flat_map(|folder| ENDINGS.map(|ending| folder.join(command).with_extension(ending)));
    files.find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::{file, find};

    #[test]
    fn a_bare_name_finds_scripts_in_the_order_of_the_folders() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = std::env::join_paths([one.path(), two.path()]).unwrap();
        assert_eq!(find("npx", &path), None);
        std::fs::write(two.path().join("npx.exe"), "").unwrap();
        assert_eq!(find("npx", &path), Some(two.path().join("npx.exe")));
        std::fs::write(one.path().join("npx.cmd"), "").unwrap();
        assert_eq!(find("npx", &path), Some(one.path().join("npx.cmd")));
        for named in ["npx.cmd", "./npx", "C:npx", "a\\npx"] {
            assert_eq!(find(named, &path), None, "{named}");
        }
        assert_eq!(file("no-such-command", Some(&path)), std::path::Path::new("no-such-command"));
        assert_eq!(file("npx", None), std::path::Path::new("npx"));
    }
}
