//! Tables that are made with their first row.

use storage::rusqlite::{Connection, OpenFlags};
use storage::{Database, Durability, Place, Stored, prepare_insert, show_all};
use wire::{Code, Fault};

use crate::{NOTES, open, refused};

const ALL: &str = "SELECT (SELECT count(*) FROM later) + (SELECT count(*) FROM name)";

fn number(connection: &Connection, sql: &str) -> Result<i64, Fault> {
    connection.prepare_cached(sql).stored()?.query_row([], |row| row.get(0)).stored()
}

fn write_down(connection: &Connection, word: &str) -> Result<i64, Fault> {
    let sql = "INSERT INTO later(word) VALUES (?1)
               ON CONFLICT DO UPDATE SET word = excluded.word RETURNING n";
    prepare_insert(connection, sql)?.query_row([word], |row| row.get(0)).stored()
}

async fn tables(db: &Database) -> i64 {
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE name LIKE 'later%'";
    db.read(move |c| number(c, sql)).await.unwrap()
}

async fn lives_until_the_first_row(db: &Database) {
    assert_eq!(tables(db).await, 0);
    assert_eq!(db.read(|c| number(c, ALL)).await.unwrap(), 0);
    let nothing = db.write(Durability::Fast, |c| {
        let gone = c.execute("DELETE FROM later WHERE word = 'a'", []).stored()?;
        let changed = c.execute("UPDATE later SET word = 'b' WHERE n = 1", []).stored()?;
        Ok((gone, changed, number(c, ALL)?))
    });
    assert_eq!(nothing.await.unwrap(), (0, 0, 0));
    assert_eq!(tables(db).await, 0, "what finds nothing makes nothing");

    // What a job that fails has made is taken back, and is made again.
    for _ in 0..2 {
        let failed: Result<(), Fault> = db
            .write(Durability::Fast, |c| {
                assert_eq!(write_down(c, "lost")?, 1);
                Err(Fault::new(Code::InvalidInput, "no"))
            })
            .await;
        refused(failed, Code::InvalidInput, "");
        assert_eq!(tables(db).await, 0);
    }
    let both = db.write(Durability::Fast, |c| Ok((write_down(c, "a")?, write_down(c, "b")?)));
    assert_eq!(both.await.unwrap(), (1, 2));
    assert_eq!(tables(db).await, 2, "the table and its index");
    assert_eq!(db.read(|c| number(c, ALL)).await.unwrap(), 2);
    let gone = db
        .write(Durability::Fast, |c| c.execute("DELETE FROM later WHERE word = 'a'", []).stored());
    assert_eq!(gone.await.unwrap(), 1);
    assert_eq!(db.read(|c| number(c, ALL)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_table_is_empty_until_its_first_row_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    lives_until_the_first_row(&db).await;
    db.close().await.unwrap();
    let db = open(folder.path()).await.unwrap();
    assert_eq!(db.read(|c| number(c, ALL)).await.unwrap(), 1, "and it stays");
    db.close().await.unwrap();
}

#[tokio::test]
async fn it_is_the_same_in_memory() {
    let db = Database::open(Place::Memory, NOTES).await.unwrap();
    lives_until_the_first_row(&db).await;
    db.close().await.unwrap();
}

#[tokio::test]
async fn jobs_of_one_transaction_make_it_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let jobs = (0..64).map(|i| {
        let db = db.clone();
        async move {
            let word = format!("w{i}");
            let job = move |c: &Connection| {
                write_down(c, &word)?;
                if i % 3 == 0 { Err(Fault::new(Code::InvalidInput, "no")) } else { Ok(()) }
            };
            db.write(Durability::Group, job).await.is_ok()
        }
    });
    let mut set = tokio::task::JoinSet::new();
    jobs.for_each(|job| drop(set.spawn(job)));
    let kept = set.join_all().await.into_iter().filter(|kept| *kept).count();
    assert_eq!(kept, 42);
    assert_eq!(db.read(|c| number(c, "SELECT count(*) FROM later")).await.unwrap(), 42);
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_statement_that_is_wrong_says_so_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    for sql in ["INSERT INTO nowhere(a) VALUES (1)", "INSERT INTO later(nothing) VALUES (1)", "no"]
    {
        let wrong = db.write(Durability::Fast, move |c| prepare_insert(c, sql).map(drop)).await;
        refused(wrong, Code::StorageError, "refused");
        assert_eq!(tables(&db).await, 0, "{sql}");
    }
    // Whoever only reads makes no table.
    let read = db.read(|c| prepare_insert(c, "INSERT INTO later(word) VALUES ('x')").map(drop));
    refused(read.await, Code::StorageError, "refused");
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_connection_of_somebody_else_sees_it_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(folder.path()).await.unwrap();
    let path = folder.path().join("rapport.db");
    let other = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    assert!(number(&other, ALL).is_err());
    show_all(&other, NOTES).unwrap();
    assert_eq!(number(&other, ALL).unwrap(), 0);
    db.close().await.unwrap();
}
