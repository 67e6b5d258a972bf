//! Group commit: shared, in order, each job for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use storage::rusqlite::Connection;
use storage::{Database, Durability, Place, Stored};
use tokio::task::JoinSet;
use wire::{Code, Fault};

use crate::{NOTES, add, count, open, refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_the_same_time_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let before = db.stats();
    let mut tasks = JoinSet::new();
    for i in 0..64 {
        let db = db.clone();
        tasks.spawn(async move {
            for j in 0..10 {
                add(&db, Durability::Group, &format!("{i}-{j}")).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let after = db.stats();
    assert_eq!(after.jobs - before.jobs, 640);
    let commits = after.commits - before.commits;
    assert!((10..=320).contains(&commits), "{commits} commits for 640 writes");
    assert_eq!(count(&db).await, 640);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_failing_job_takes_back_its_own_changes_only() {
    for place in [Place::Memory, Place::Folder(tempfile::tempdir().unwrap().path().join("d"))] {
        if let Place::Folder(folder) = &place {
            std::fs::create_dir_all(folder).unwrap();
        }
        let db = Database::open(place, NOTES).await.unwrap();
        // All are queued before the writer begins with the second one: one batch holds them.
        let gate = Arc::new(std::sync::Barrier::new(2));
        let held = Arc::clone(&gate);
        let block = db.write(Durability::Fast, move |_| {
            held.wait();
            Ok(())
        });
        let refusing = db.write(Durability::Group, |c| {
            c.execute("INSERT INTO note(body) VALUES ('refused')", []).stored()?;
            Err::<(), _>(Fault::new(Code::Conflict, "on second thoughts"))
        });
        let panicking = db.write(Durability::Group, |c| -> Result<(), Fault> {
            c.execute("INSERT INTO note(body) VALUES ('panicked')", []).stored()?;
            panic!("a defect")
        });
        let broken = db.write(Durability::Group, |c| {
            c.execute("INSERT INTO note(body) VALUES ('broken')", []).stored()?;
            c.execute("INSERT INTO nowhere VALUES (1)", []).stored()
        });
        let release = async { tokio::task::spawn_blocking(move || gate.wait()).await.map(drop) };
        let (_, first, refusal, second, panicked, third, failed, _) = tokio::join!(
            block,
            add(&db, Durability::Group, "first"),
            refusing,
            add(&db, Durability::Fast, "second"),
            panicking,
            add(&db, Durability::Sync, "third"),
            broken,
            release,
        );
        first.and(second).and(third).unwrap();
        refused(refusal, Code::Conflict, "");
        let fault = refused(panicked, Code::InternalError, "");
        assert!(!fault.to_string().contains("defect") && fault.chain().contains("a defect"));
        refused(failed, Code::StorageError, "refused");
        let bodies: Vec<String> = db
            .read(|c| {
                let mut statement = c.prepare("SELECT body FROM note ORDER BY n").stored()?;
                let rows = statement.query_map([], |row| row.get(0)).stored()?;
                rows.collect::<Result<_, _>>().stored()
            })
            .await
            .unwrap();
        assert_eq!(bodies, ["first", "second", "third"]);
        assert!(db.health().ok, "a defect of a job is no illness of the store");
        db.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_job_alone_that_fails_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let refusing = db.write(Durability::Group, |c| {
        c.execute("INSERT INTO note(body) VALUES ('refused')", []).stored()?;
        Err::<(), _>(Fault::new(Code::Conflict, "on second thoughts"))
    });
    refused(refusing.await, Code::Conflict, "");
    assert_eq!(count(&db).await, 0);
    add(&db, Durability::Group, "next").await.unwrap();
    assert_eq!(count(&db).await, 1);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_undo_its_job() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let gate = Arc::new(std::sync::Barrier::new(2));
    let held = Arc::clone(&gate);
    let blocker = {
        let db = db.clone();
        let mut set = JoinSet::new();
        set.spawn(async move {
            db.write(Durability::Fast, move |_| {
                held.wait();
                Ok(())
            })
            .await
        });
        set
    };
    let mut given_up = Box::pin(add(&db, Durability::Group, "kept"));
    // Polled once, so that it is queued, and dropped.
    tokio::select! {
        biased;
        _ = &mut given_up => panic!("the writer was blocked"),
        () = std::future::ready(()) => {}
    }
    drop(given_up);
    tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
    blocker.join_all().await;
    add(&db, Durability::Group, "after").await.unwrap();
    assert_eq!(count(&db).await, 2);
    db.close().await.unwrap();
}

#[tokio::test]
async fn closing_answers_everything_that_is_queued() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for i in 0..200 {
        let (db, done) = (db.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            let result = add(&db, Durability::Fast, &format!("{i}")).await;
            match result {
                Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
                Err(fault) => drop(refused(Err::<(), _>(fault), Code::StorageError, "closed")),
            }
        });
    }
    tokio::task::yield_now().await;
    db.close().await.unwrap();
    tasks.join_all().await;
    refused(add(&db, Durability::Fast, "late").await, Code::StorageError, "closed");
    refused(db.read(|_| Ok(())).await, Code::StorageError, "closed");
    db.close().await.unwrap();
    assert!(!folder.path().join("rapport.db-wal").exists(), "the log is folded in");
    let db = open(folder.path()).await.unwrap();
    let stored = u64::try_from(count(&db).await).unwrap();
    assert_eq!(stored, done.load(Ordering::Relaxed), "acknowledged is stored, refused is not");
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_read_sees_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    add(&db, Durability::Fast, "one").await.unwrap();
    let (started, wait_started) = std::sync::mpsc::channel();
    let (go_on, wait_go_on) = std::sync::mpsc::channel();
    let read = db.read(move |c| {
        let count = |c: &Connection| -> Result<i64, Fault> {
            c.query_row("SELECT count(*) FROM note", [], |row| row.get(0)).stored()
        };
        let before = count(c)?;
        started.send(()).unwrap();
        wait_go_on.recv().unwrap();
        Ok((before, count(c)?))
    });
    let write = async {
        tokio::task::spawn_blocking(move || wait_started.recv().unwrap()).await.unwrap();
        add(&db, Durability::Fast, "two").await.unwrap();
        go_on.send(()).unwrap();
    };
    let (seen, ()) = tokio::join!(read, write);
    assert_eq!(seen.unwrap(), (1, 1));
    assert_eq!(count(&db).await, 2);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_read_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let sneaky = db.read(|c| c.execute("INSERT INTO note(body) VALUES ('x')", []).stored());
    refused(sneaky.await, Code::StorageError, "read_only");
    let panicking = db.read(|_| -> Result<(), Fault> { panic!("a defect") });
    refused(panicking.await, Code::InternalError, "");
    assert_eq!(count(&db).await, 0);
    db.close().await.unwrap();
}

#[tokio::test]
async fn the_log_stays_short_however_much_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let body = "x".repeat(200_000);
    let mut longest = 0;
    for i in 0..1000 {
        add(&db, Durability::Fast, &format!("{i} {body}")).await.unwrap();
        let log = std::fs::metadata(folder.path().join("rapport.db-wal")).unwrap().len();
        longest = longest.max(log);
    }
    let written = 1000 * u64::try_from(body.len()).unwrap();
    assert!(longest < written * 3 / 4, "the log grew to {longest} bytes");
    db.close().await.unwrap();
}
