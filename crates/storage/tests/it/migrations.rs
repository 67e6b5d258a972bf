//! Forward migrations, with a backup first.

use std::fs;
use std::path::{Path, PathBuf};

use storage::{Database, Durability, Place, Schema, Stored};
use wire::Code;

use crate::{NOTES, add, count, open, refused};

const SECOND: &[&Schema] = &[
    &Schema {
        name: "notes",
        steps: &[
            "CREATE TABLE note(n INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
            "ALTER TABLE note ADD COLUMN colour TEXT; UPDATE note SET colour = 'grey'",
        ],
        later: &[],
    },
    &Schema { name: "tags", steps: &["CREATE TABLE tag(n INTEGER PRIMARY KEY)"], later: &[] },
];

const BROKEN: &[&Schema] = &[&Schema {
    name: "notes",
    steps: &[
        "CREATE TABLE note(n INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE)",
        "DELETE FROM note; CREATE TABLE note(twice)",
    ],
    later: &[],
}];

fn backups(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder.join("backups")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

async fn first_version(folder: &Path) {
    let db = open(folder).await.unwrap();
    add(&db, Durability::Group, "old").await.unwrap();
    db.close().await.unwrap();
    assert!(backups(folder).is_empty(), "a new file needs no backup");
}

#[tokio::test]
async fn an_old_file_is_backed_up_and_brought_forward() {
    let folder = tempfile::tempdir().unwrap();
    first_version(folder.path()).await;
    let place = || Place::Folder(folder.path().to_path_buf());
    let db = Database::open(place(), SECOND).await.unwrap();
    let colour: String = db
        .read(|c| {
            let sql = "SELECT colour FROM note WHERE body = 'old'";
            c.query_row(sql, [], |row| row.get(0)).stored()
        })
        .await
        .unwrap();
    assert_eq!(colour, "grey");
    db.close().await.unwrap();
    let kept = backups(folder.path());
    assert_eq!(kept.len(), 1);
    let name = kept[0].file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("rapport-0.") && name.ends_with(".db"), "{name}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(&kept[0]).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "a backup holds what the store holds");
    }
    Database::open(place(), SECOND).await.unwrap().close().await.unwrap();
    assert_eq!(backups(folder.path()).len(), 1, "nothing to do, nothing to back up");
    // The backup is the file as the old program knew it.
    let again = tempfile::tempdir().unwrap();
    storage::restore(&kept[0], again.path()).unwrap();
    let db = open(again.path()).await.unwrap();
    assert_eq!(count(&db).await, 1);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::Folder(folder.path().to_path_buf());
    Database::open(place, SECOND).await.unwrap().close().await.unwrap();
    let before = fs::read(folder.path().join("rapport.db")).unwrap();
    let fault = refused(open(folder.path()).await, Code::ConfigurationError, "newer_version");
    assert!(fault.text().contains('2') && fault.hint_text().is_some());
    assert_eq!(fs::read(folder.path().join("rapport.db")).unwrap(), before);
}

#[tokio::test]
async fn a_migration_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    first_version(folder.path()).await;
    let place = Place::Folder(folder.path().to_path_buf());
    assert!(Database::open(place, BROKEN).await.is_err());
    let db = Database::open(Place::Folder(folder.path().to_path_buf()), NOTES).await.unwrap();
    assert_eq!(count(&db).await, 1);
    db.close().await.unwrap();
}
