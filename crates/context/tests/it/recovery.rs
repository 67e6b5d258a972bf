//! What a crash leaves behind, and what the next start makes of it.

use context::{Budget, EntryStatus, Idem, NewTurn};

use crate::{all, begin, echo, key, open, outcome, text, texts, turn};

#[tokio::test]
async fn a_turn_that_was_running_is_failed_and_can_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let idem = Some(Idem { key: "k".to_owned(), body_hash: [1; 32] });
    let asked = NewTurn { idem, ..turn("c", "question") };
    {
        let contexts = open(folder.path()).await;
        echo(&contexts, turn("c", "before")).await.unwrap();
        begin(&contexts, asked.clone()).await;
        // Closing keeps the turn open, as a crash would.
        contexts.database().close().await.unwrap();
    }
    let contexts = open(folder.path()).await;
    let entries = all(&contexts, "c").await;
    assert_eq!(entries[2].status, EntryStatus::Failed);
    assert_eq!(entries[2].meta["failure"], "the server stopped while the turn was running");
    let window = contexts.window(&key("c"), Budget { tokens: 1000 }).await.unwrap();
    assert_eq!(texts(&window.entries), ["before", "you said: before"]);
    let again = contexts.reopen(&key("c")).await.unwrap();
    contexts.finish(&again, outcome(text("answer"))).await.unwrap();
    assert_eq!(texts(&all(&contexts, "c").await)[3], "answer");
    // The key of the lost request is free.
    let open = begin(&contexts, asked).await;
    contexts.finish(&open, outcome(text("second"))).await.unwrap();
    contexts.database().close().await.unwrap();
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let before = {
        let contexts = open(folder.path()).await;
        for i in 0..20 {
            let asked = crate::with_state(turn("r", &format!("q{i}")), r#"{"topic":"sea"}"#);
            echo(&contexts, asked).await.unwrap();
        }
        let context = contexts.get(&key("r")).await.unwrap();
        contexts.database().close().await.unwrap();
        context
    };
    let contexts = open(folder.path()).await;
    let after = contexts.get(&key("r")).await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
    let seqs: Vec<_> = all(&contexts, "r").await.iter().map(|entry| entry.seq).collect();
    assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
    contexts.database().close().await.unwrap();
}

#[tokio::test]
async fn the_rest_of_a_deleted_log_is_removed_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    {
        let contexts = open(folder.path()).await;
        echo(&contexts, turn("t", "hi")).await.unwrap();
        // A crash between the two steps of a large deletion.
        contexts
            .database()
            .write(storage::Durability::Group, |c| {
                let sql = "INSERT INTO trash(n) SELECT n FROM ctx";
                storage::prepare_insert(c, sql)?.execute([]).unwrap();
                c.execute_batch("DELETE FROM ctx").unwrap();
                Ok(())
            })
            .await
            .unwrap();
        contexts.database().close().await.unwrap();
    }
    let contexts = open(folder.path()).await;
    let left: i64 = contexts
        .database()
        .read(|c| {
            let sql = "SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM trash)";
            Ok(c.query_row(sql, [], |row| row.get(0)).unwrap())
        })
        .await
        .unwrap();
    assert_eq!(left, 0);
    contexts.database().close().await.unwrap();
}
