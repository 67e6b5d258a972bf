//! Whether an application runs now: it may write its file anew, and lose what is put there.

use std::path::Path;

use super::apps::App;

/// Whether it runs, as far as that can be seen without asking another program.
pub(super) fn runs(app: &App, file: &Path) -> bool {
    holds_lock(file) || has_process(app.processes)
}

/// Desktop applications built on Chromium keep a lock beside their settings while they run.
fn holds_lock(file: &Path) -> bool {
    let folders = [file.parent(), file.parent().and_then(Path::parent)];
    folders.into_iter().flatten().any(|folder| {
        let own = |name: &str| folder.join(name);
        let live = std::fs::read_link(own("SingletonLock")).is_ok_and(|target| {
            let name = target.to_string_lossy().into_owned();
            let pid = name.rsplit('-').next().and_then(|pid| pid.parse().ok());
            pid.is_some_and(crate::runtime::is_alive)
        });
        // On Windows the file is deleted by the system when its owner is gone.
        live || (cfg!(windows) && own("lockfile").exists())
    })
}

#[cfg(target_os = "linux")]
fn has_process(names: &[&str]) -> bool {
    let Ok(entries) = std::fs::read_dir("/proc") else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let is_process = name.to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        is_process
            && std::fs::read_to_string(entry.path().join("comm"))
                .is_ok_and(|comm| names.contains(&comm.trim()))
    })
}

#[cfg(target_os = "macos")]
fn has_process(names: &[&str]) -> bool {
    use native::macos::process::{all, program};
    let named = |path: String| path.rsplit('/').next().is_some_and(|name| names.contains(&name));
    all().into_iter().filter_map(program).any(named)
}

#[cfg(windows)]
fn has_process(names: &[&str]) -> bool {
    native::windows::process::all().iter().any(|entry| {
        let name = entry.name.strip_suffix(".exe").unwrap_or(&entry.name);
        names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_counts_while_its_owner_lives() {
        let dir = tempfile::tempdir().unwrap();
        let (file, lock) = (dir.path().join("config.json"), dir.path().join("SingletonLock"));
        assert!(!holds_lock(&file));
        std::os::unix::fs::symlink(format!("host-{}", std::process::id()), &lock).unwrap();
        assert!(holds_lock(&file));
        std::fs::remove_file(&lock).unwrap();
        std::os::unix::fs::symlink("host-1073741808", &lock).unwrap();
        assert!(!holds_lock(&file));
    }
}
