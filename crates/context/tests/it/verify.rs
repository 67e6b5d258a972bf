//! Verification finds what was damaged, and nothing where nothing is.

use context::{Budget, Contexts, New, Plan, Settings, To};
use serde_json::json;

use crate::{LOCAL, begin, both, echo, key, outcome, text, turn};

async fn damage(contexts: &Contexts, sql: &'static str) {
    let run = move |c: &storage::rusqlite::Connection| {
        Ok(storage::prepare_insert(c, sql)?.execute([]).unwrap())
    };
    contexts.database().write(storage::Durability::Group, run).await.unwrap();
}

async fn defects(contexts: &Contexts) -> Vec<(String, Option<u32>, String)> {
    let report = contexts.verify(|_, _| {}).await.unwrap();
    assert_eq!(report.is_sound(), report.listed.is_empty());
    report.listed.into_iter().map(|d| (d.context.to_string(), d.seq, d.what)).collect()
}

#[tokio::test]
async fn a_sound_store_has_no_defects_whatever_was_done_to_it() {
    both(async |contexts| {
        let window = Some(Plan::parse(&json!("summary")).unwrap());
        let settings = Settings { window, ..Settings::default() };
        let new = New { id: Some("a".to_owned()), settings, ..New::default() };
        contexts.create(LOCAL, new).await.unwrap();
        for i in 0..8 {
            echo(&contexts, turn("a", &format!("message {i} about the harbour"))).await.unwrap();
        }
        let open = begin(&contexts, turn("a", "fails")).await;
        contexts.fail(&open, "x", Some(outcome(text("half")))).await.unwrap();
        let again = contexts.reopen(&key("a")).await.unwrap();
        contexts.finish(&again, outcome(text("whole"))).await.unwrap();
        let budget = Budget { tokens: 120 };
        let task = contexts.summary_due(&key("a"), budget, None).await.unwrap().unwrap();
        let summary = task.extract();
        assert!(contexts.swap_summary(task, &summary, "offline").await.unwrap());
        let fork = New { id: Some("f".to_owned()), ..New::default() };
        contexts.fork(&key("a"), Some(5), fork).await.unwrap();
        echo(&contexts, turn("f", "other")).await.unwrap();
        contexts.rollback(&key("f"), To::Seq(3), None).await.unwrap();
        echo(&contexts, turn("f", "third way")).await.unwrap();
        assert_eq!(defects(&contexts).await, []);
        let report = contexts.verify(|done, all| assert!(done <= all)).await.unwrap();
        assert_eq!((report.contexts, report.summaries), (2, 1));
        contexts.delete(&key("a")).await.unwrap();
        assert_eq!(defects(&contexts).await, []);
    })
    .await;
}

#[tokio::test]
async fn every_kind_of_damage_is_named() {
    for (sql, seq, what) in [
        ("UPDATE entry SET body = x'00' WHERE k % 16 = 3", Some(3), "its bytes are not those"),
        ("DELETE FROM entry WHERE k % 16 = 2", Some(2), "entries are missing"),
        ("DELETE FROM entry WHERE k % 16 = 4", Some(4), "entries are missing"),
        ("UPDATE entry SET cum = cum + 1 WHERE k % 16 = 2", Some(2), "the running sum"),
        ("UPDATE ctx SET cum = cum + 1", None, "its tokens are not"),
        ("INSERT INTO ctx_state(n, state) VALUES (1, '{')", None, "its state or its settings"),
    ] {
        both(async |contexts| {
            for i in 0..2 {
                echo(&contexts, turn("c", &format!("{i}"))).await.unwrap();
            }
            damage(&contexts, sql).await;
            let found = defects(&contexts).await;
            let first = found.first().unwrap_or_else(|| panic!("nothing found after {sql}"));
            assert_eq!((first.0.as_str(), first.1), ("c", seq), "{sql}");
            assert!(first.2.starts_with(what), "{sql}: {}", first.2);
        })
        .await;
    }
}
