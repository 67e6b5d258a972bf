//! Folders that can be used, and the clear refusal of those that cannot.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use storage::rusqlite::Connection;
use storage::{Durability, Place};
use wire::Code;

use crate::{NOTES, add, count, open, refused};

#[tokio::test]
async fn the_folder_and_its_files_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let db = open(&folder).await.unwrap();
    add(&db, Durability::Group, "x").await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in ["rapport.db", "rapport.db-wal", "rapport.lock"] {
        assert_eq!(mode(&folder.join(file)), 0o600, "{file}");
    }
    let health = db.health();
    assert_eq!(health.path, Some(folder.join("rapport.db")));
    assert!(health.ok && health.error.is_none() && health.disk_free_bytes.unwrap() > 0);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_second_opener_is_refused_with_the_pid_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let fault = refused(open(folder.path()).await, Code::ConfigurationError, "in_use");
    let pid = std::process::id();
    assert!(fault.text().contains(&pid.to_string()), "{fault}");
    assert_eq!(fault.detail_values().unwrap()["pid"], pid);
    assert!(fault.hint_text().is_some());
    let restore = storage::restore(&folder.path().join("rapport.db"), folder.path());
    refused(restore, Code::ConfigurationError, "in_use");
    db.close().await.unwrap();
    open(folder.path()).await.unwrap().close().await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_refused_with_a_reason() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    refused(open(&file).await, Code::ConfigurationError, "not_a_folder");
    refused(open(&file.join("data")).await, Code::ConfigurationError, "not_a_folder");
    let fault = refused(
        open(&parent.path().join("no/such")).await,
        Code::ConfigurationError,
        "missing_parent",
    );
    assert!(fault.hint_text().unwrap().contains("mkdir -p"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "x");
}

#[tokio::test]
async fn a_read_only_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(folder.join("probe"), "").is_ok() {
        // Root writes everywhere: only the kernel's own read-only file system refuses it.
        let proc = std::path::Path::new("/proc/self");
        assert!(open(proc).await.is_err());
        return;
    }
    let fault = refused(open(&folder).await, Code::ConfigurationError, "permission_denied");
    assert!(fault.hint_text().unwrap().contains("--data"));
}

#[tokio::test]
async fn a_file_that_is_no_database_of_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rapport.db");
    let text = "these are my notes, not a database ".repeat(1000);
    fs::write(&path, &text).unwrap();
    refused(open(folder.path()).await, Code::ConfigurationError, "corrupt");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    fs::remove_file(&path).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign.execute_batch("CREATE TABLE theirs(x)").unwrap();
    drop(foreign);
    refused(open(folder.path()).await, Code::ConfigurationError, "foreign_database");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    for i in 0..200 {
        add(&db, Durability::Fast, &format!("{i} {}", "x".repeat(500))).await.unwrap();
    }
    db.close().await.unwrap();
    let path = folder.path().join("rapport.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 20_000].fill(0xAB);
    fs::write(&path, &bytes).unwrap();
    let fault = refused(open(folder.path()).await, Code::ConfigurationError, "corrupt");
    assert!(fault.hint_text().unwrap().contains("restore"));
    assert_eq!(fs::read(&path).unwrap().len(), bytes.len());
}

#[tokio::test]
async fn a_database_in_memory_leaves_no_file() {
    let db = storage::Database::open(Place::Memory, NOTES).await.unwrap();
    add(&db, Durability::Sync, "x").await.unwrap();
    assert_eq!(count(&db).await, 1);
    assert_eq!(db.health().path, None);
    db.close().await.unwrap();
}
