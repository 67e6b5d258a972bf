//! Backup while the store works, and the way back.

use std::fs;
use std::sync::{Arc, Mutex};

use storage::{Database, Durability, Place};
use wire::Code;

use crate::{NOTES, add, count, open, refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_one_moment_and_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    for i in 0..1000 {
        add(&db, Durability::Fast, &format!("{i} {}", "x".repeat(5000))).await.unwrap();
    }
    let target = folder.path().join("copy.db");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let backup = db.backup(&target, move |done, all| seen.lock().unwrap().push((done, all)));
    let writes = async {
        for i in 0..200 {
            add(&db, Durability::Fast, &format!("during {i}")).await.unwrap();
        }
    };
    let (done, ()) = tokio::join!(backup, writes);
    done.unwrap();
    let steps = steps.lock().unwrap().clone();
    assert!(steps.len() > 1 && steps.is_sorted_by_key(|step| step.0));
    assert_eq!(steps.last().map(|step| step.0 == step.1), Some(true));
    assert_eq!(count(&db).await, 1200);
    db.close().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    let place = other.path().join("data");
    storage::restore(&target, &place).unwrap();
    let restored = open(&place).await.unwrap();
    assert!((1000..=1200).contains(&count(&restored).await));
    restored.close().await.unwrap();
}

#[tokio::test]
async fn a_restore_keeps_what_it_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    add(&db, Durability::Group, "first").await.unwrap();
    let copy = folder.path().join("copy.db");
    db.backup(&copy, |_, _| ()).await.unwrap();
    add(&db, Durability::Group, "second").await.unwrap();
    db.close().await.unwrap();
    storage::restore(&copy, folder.path()).unwrap();
    let db = open(folder.path()).await.unwrap();
    assert_eq!(count(&db).await, 1);
    db.close().await.unwrap();
    let replaced = fs::read_dir(folder.path().join("backups")).unwrap().next().unwrap().unwrap();
    let old = tempfile::tempdir().unwrap();
    storage::restore(&replaced.path(), old.path()).unwrap();
    let old = open(old.path()).await.unwrap();
    assert_eq!(count(&old).await, 2);
    old.close().await.unwrap();
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_no_half_file() {
    for place in [Place::Memory, Place::Folder(tempfile::tempdir().unwrap().keep())] {
        let db = Database::open(place, NOTES).await.unwrap();
        add(&db, Durability::Fast, "x").await.unwrap();
        let target = tempfile::tempdir().unwrap();
        let file = target.path().join("b.db");
        db.backup(&file, |_, _| ()).await.unwrap();
        refused(db.backup(&file, |_, _| ()).await, Code::InvalidInput, "exists");
        let nowhere = target.path().join("no/such/b.db");
        refused(db.backup(&nowhere, |_, _| ()).await, Code::StorageError, "io_error");
        let names = fs::read_dir(target.path()).unwrap().count();
        assert_eq!(names, 1);
        db.close().await.unwrap();
    }
}

#[tokio::test]
async fn only_a_whole_database_of_ours_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    add(&db, Durability::Group, "kept").await.unwrap();
    db.close().await.unwrap();
    let junk = folder.path().join("junk.db");
    fs::write(&junk, "x".repeat(10_000)).unwrap();
    refused(storage::restore(&junk, folder.path()), Code::ConfigurationError, "corrupt");
    let missing = folder.path().join("missing.db");
    refused(storage::restore(&missing, folder.path()), Code::ConfigurationError, "unreadable");
    let db = open(folder.path()).await.unwrap();
    assert_eq!(count(&db).await, 1);
    db.close().await.unwrap();
}
