//! A disk that is full: a clear answer, bad health, and recovery.

use storage::{Database, Durability, Stored};
use wire::Code;

use crate::{add, count, open, refused};

/// Lets the database grow by this many pages, which is what a full disk looks like to it.
async fn room(db: &Database, pages: i64) {
    db.write(Durability::Fast, move |c| {
        let used: i64 = c.pragma_query_value(None, "page_count", |row| row.get(0)).stored()?;
        let limit = used + pages;
        c.pragma_update_and_check(None, "max_page_count", limit, |_| Ok(())).stored()
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_full_disk_is_a_fault_and_an_illness_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    room(&db, 4).await;
    let mut stored = 0;
    let fault = loop {
        match add(&db, Durability::Group, &format!("{stored} {}", "x".repeat(3000))).await {
            Ok(()) => stored += 1,
            Err(fault) => break fault,
        }
        assert!(stored < 100);
    };
    refused(Err::<(), _>(fault), Code::StorageError, "disk_full");
    let ill = db.health();
    assert!(!ill.ok && ill.error.is_some());
    assert_eq!(ill.reason.as_deref(), Some("disk_full"));
    assert_eq!(count(&db).await, stored, "reading goes on");
    room(&db, 100).await;
    add(&db, Durability::Group, "there is room again").await.unwrap();
    let well = db.health();
    assert!(well.ok && well.error.is_none() && well.since >= ill.since);
    assert_eq!(count(&db).await, stored + 1);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_whom_it_must_and_loses_nobody_silently() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    room(&db, 20).await;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..64 {
        let db = db.clone();
        tasks.spawn(async move {
            let body = format!("{i} {}", "x".repeat(5000));
            add(&db, Durability::Group, &body).await
        });
    }
    let results = tasks.join_all().await;
    let stored = results.iter().filter(|result| result.is_ok()).count();
    assert!(stored < 64);
    for result in results.into_iter().filter(Result::is_err) {
        refused(result, Code::StorageError, "disk_full");
    }
    assert_eq!(count(&db).await, i64::try_from(stored).unwrap());
    db.close().await.unwrap();
    let db = open(folder.path()).await.unwrap();
    assert_eq!(count(&db).await, i64::try_from(stored).unwrap());
    db.close().await.unwrap();
}
