//! Folders that the user of a server may not write, looked at as that user.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::net::variable;

/// The folder that the user looks at, when the test runs as one.
const FOLDER: &str = "DOCTOR_LAB_FOLDER";

/// What runs as the user; on its own it shows that a folder of its own is well.
#[test]
fn the_user() {
    let own = tempfile::tempdir().unwrap();
    let folder = variable(FOLDER);
    let place = folder.as_ref().map_or(own.path(), Path::new);
    let report = doctor::own::folder(place);
    println!("VERDICT {} {}", report.verdict.id, report.verdict.sentence);
    assert!(folder.is_some() || report.is_healthy(), "{report:?}");
}

/// The verdict of a user without rights; `None` when nobody can be asked.
fn as_nobody(folder: &Path) -> Option<String> {
    let own = std::env::current_exe().unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(own)
        .args(["--exact", "rights::the_user", "--nocapture"])
        .env(FOLDER, folder)
        .env("TMPDIR", "/tmp")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.split_once("VERDICT ").map(|(_, said)| said.to_owned()))
}

#[test]
fn a_data_folder_that_may_not_be_written_is_named() {
    let room = tempfile::tempdir_in("/tmp").unwrap();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(room.path(), 0o755);
    let folder = room.path().join("data");
    let missing = folder.join("not/yet");
    std::fs::create_dir_all(folder.join("logs")).unwrap();
    mode(&folder, 0o755);
    let Some(said) = as_nobody(&folder) else {
        println!("skipped: no right to become another user");
        return;
    };
    assert!(said.starts_with("store.read_only") && said.contains("may not be written"), "{said}");
    let said = as_nobody(&missing).unwrap();
    assert!(said.starts_with("store.read_only") && said.contains("given a data folder"), "{said}");
    // The folder alone is not enough: the log has its own.
    mode(&folder, 0o777);
    let said = as_nobody(&folder).unwrap();
    assert!(said.starts_with("store.read_only") && said.contains("/logs may not"), "{said}");
    mode(&folder.join("logs"), 0o777);
    assert!(as_nobody(&folder).unwrap().starts_with("ok "));
    assert!(as_nobody(&missing).unwrap().starts_with("ok "));
}
