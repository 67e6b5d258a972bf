//! A tree of summaries, results of tools that are cleared, and what waits for the end of a turn.

use context::{Budget, Content, Contexts, New, Plan, Settings};
use serde_json::json;
use wire::prompt::Role;

use crate::{LOCAL, all, begin, both, echo, key, outcome, raw, said, text, turn};

const WORDS: &str = "some words to fill the window with. ";

async fn talk(contexts: &Contexts, id: &str, turns: usize) {
    for i in 0..turns {
        echo(contexts, turn(id, &format!("{i} {}", WORDS.repeat(8)))).await.unwrap();
    }
}

async fn make(contexts: &Contexts, window: &serde_json::Value) {
    let settings = Settings { window: Some(Plan::parse(window).unwrap()), ..Settings::default() };
    let new = New { id: Some("c".to_owned()), settings, ..New::default() };
    contexts.create(LOCAL, new).await.unwrap();
}

/// Writes every node that is due; says how many.
async fn write_all(contexts: &Contexts, budget: Budget) -> usize {
    let mut count = 0;
    while let Some(task) = contexts.summary_due(&key("c"), budget, None).await.unwrap() {
        let words = format!("{} of {} entries", task.extract(), task.entries.len());
        assert!(contexts.swap_summary(task, &words, "offline").await.unwrap());
        count += 1;
        assert!(count < 1_000, "it ends");
    }
    count
}

#[tokio::test]
async fn a_tree_stands_for_everything_the_window_has_left_behind() {
    both(async |contexts| {
        make(&contexts, &json!("hierarchical")).await;
        let budget = Budget { tokens: 6_000 };
        let mut heads = Vec::new();
        for _ in 0..40 {
            talk(&contexts, "c", 8).await;
            let window = contexts.window(&key("c"), budget).await.unwrap();
            write_all(&contexts, budget).await;
            assert!(window.tokens <= u64::from(budget.tokens) * 2, "{}", window.tokens);
            heads.push(window.summary.map(|summary| summary.text));
        }
        let window = contexts.window(&key("c"), budget).await.unwrap();
        let told = window.summary.unwrap();
        assert_eq!(told.upto + 1, window.entries[0].seq, "nothing lies between");
        let found = contexts.summaries(&key("c")).await.unwrap();
        let leaves = found.iter().filter(|node| node.level == Some(0)).count();
        let above: Vec<_> = found.iter().filter(|node| node.level == Some(1)).collect();
        assert!(leaves >= 16 && !above.is_empty(), "{leaves}");
        // A node above eight leaves is told instead of them.
        let node = above.last().unwrap();
        assert!(told.text.starts_with(&format!("[1-{}] ", node.upto)), "{}", told.text);
        // What is told changes only when the window moves.
        heads.dedup();
        assert!(heads.len() < 30, "{}", heads.len());
        assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
        assert_eq!(all(&contexts, "c").await.len(), 640, "the log loses nothing");
    })
    .await;
}

#[tokio::test]
async fn a_node_that_does_not_fit_what_it_stands_for_is_found() {
    both(async |contexts| {
        make(&contexts, &json!("hierarchical")).await;
        let budget = Budget { tokens: 4_000 };
        for _ in 0..20 {
            talk(&contexts, "c", 8).await;
            contexts.window(&key("c"), budget).await.unwrap();
            write_all(&contexts, budget).await;
        }
        assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
        let damage = |c: &storage::rusqlite::Connection| {
            let sql = "UPDATE summary SET hash = zeroblob(32) WHERE no = 1";
            Ok(c.execute(sql, []).unwrap())
        };
        let durability = storage::Durability::Group;
        contexts.database().write(durability, damage).await.unwrap();
        let report = contexts.verify(|_, _| {}).await.unwrap();
        // The leaf itself, and the node above it.
        assert_eq!(report.defects, 2, "{report:?}");
        assert!(report.listed[0].what.contains("summary 1"), "{report:?}");
    })
    .await;
}

fn call(id: &str) -> Content {
    raw("anthropic", &format!(r#"[{{"type":"tool_use","id":"{id}","name":"look","input":{{}}}}]"#))
}

fn result(id: &str, words: usize) -> Content {
    let words = "found it ".repeat(words);
    raw(
        "anthropic",
        &format!(r#"[{{"type":"tool_result","tool_use_id":"{id}","content":"{words}"}}]"#),
    )
}

/// Turns with a large result each.
async fn work(contexts: &Contexts, turns: usize) {
    for n in 0..turns {
        let entries = vec![
            said(Role::User, text("look at it, please")),
            said(Role::Assistant, call(&format!("t{n}"))),
            said(Role::User, result(&format!("t{n}"), 200)),
            said(Role::Assistant, text("it was there")),
        ];
        contexts.append(&key("c"), entries, None, None).await.unwrap();
    }
}

#[tokio::test]
async fn old_results_are_cleared_before_messages_are_left_out() {
    both(async |contexts| {
        make(&contexts, &json!({"strategy": "budget", "clear_tools": 2})).await;
        let budget = Budget { tokens: 3_000 };
        work(&contexts, 4).await;
        let before = contexts.window(&key("c"), budget).await.unwrap();
        assert_eq!((before.cut, before.cleared), (None, 0));
        work(&contexts, 6).await;
        let window = contexts.window(&key("c"), budget).await.unwrap();
        let cut = window.cut.unwrap();
        // The newest two turns keep their results.
        assert_eq!((window.cleared, cut.cleared_upto), (32, 32));
        assert!(window.tokens <= 1_500, "{}", window.tokens);
        let messages = window.entries.len();
        assert!(messages > 16, "more is carried than without: {messages}");
        // Until the next cut everything stays.
        talk(&contexts, "c", 1).await;
        let after = contexts.window(&key("c"), budget).await.unwrap();
        assert_eq!((after.cut, after.cleared), (None, 32));
        assert_eq!(after.entries[0].seq, window.entries[0].seq);
        // Another plan for one call clears nothing.
        let full = Some(Plan::parse(&json!("full")).unwrap());
        let full = contexts.window_as(&key("c"), budget, full).await.unwrap();
        assert_eq!((full.cleared, full.entries.len()), (0, 42));
    })
    .await;
}

#[tokio::test]
async fn a_cut_waits_while_results_are_handed_in() {
    both(async |contexts| {
        make(&contexts, &json!("budget")).await;
        work(&contexts, 4).await;
        let ask = vec![
            said(Role::User, text("once more")),
            said(Role::Assistant, call("x")),
            said(Role::User, result("x", 10)),
        ];
        let wide = Budget { tokens: 100_000 };
        contexts.append(&key("c"), ask, None, None).await.unwrap();
        let tokens = contexts.window(&key("c"), wide).await.unwrap().tokens;
        let tight = Budget { tokens: u32::try_from(tokens).unwrap() - 10 };
        assert_eq!(contexts.window(&key("c"), tight).await.unwrap().cut, None);
        let tighter = Budget { tokens: tight.tokens / 2 };
        assert!(contexts.window(&key("c"), tighter).await.unwrap().cut.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_summary_that_comes_in_the_middle_of_a_turn_waits_for_the_next() {
    both(async |contexts| {
        make(&contexts, &json!("summary")).await;
        talk(&contexts, "c", 20).await;
        let wide = Budget { tokens: 1_000_000 };
        let all = contexts.window(&key("c"), wide).await.unwrap().tokens;
        let budget = Budget { tokens: u32::try_from(all).unwrap() };
        let task = contexts.summary_due(&key("c"), budget, None).await.unwrap().unwrap();
        let upto = task.entries.last().unwrap().seq;
        let open = begin(&contexts, turn("c", "look")).await;
        assert!(contexts.swap_summary(task, "all of it in short", "offline").await.unwrap());
        contexts.finish(&open, outcome(call("x"))).await.unwrap();
        // The results of the tool are handed in: nothing moves.
        let asks = context::NewTurn { content: result("x", 1), ..turn("c", "") };
        let open = begin(&contexts, asks).await;
        let window = contexts.window(&key("c"), wide).await.unwrap();
        assert_eq!((window.entries[0].seq, window.summary), (1, None));
        assert!(contexts.summary_due(&key("c"), budget, None).await.unwrap().is_none());
        contexts.finish(&open, outcome(text("done"))).await.unwrap();
        let _open = begin(&contexts, turn("c", "and now?")).await;
        let window = contexts.window(&key("c"), wide).await.unwrap();
        assert_eq!(window.entries[0].seq, upto + 1);
        assert_eq!(window.summary.unwrap().text, "all of it in short");
    })
    .await;
}
