//! Forks: one row, no copy, and nobody sees the entries of another branch.

use context::{Budget, Content, Contexts, EntryStatus, Idem, Map, New, Slice};
use storage::Database;
use wire::Code;
use wire::prompt::Role;

use crate::{
    LOCAL, all, begin, both, echo, key, map, open, outcome, raw, reason, refused, said, text,
    texts, turn,
};

const WIDE: Budget = Budget { tokens: 1_000_000 };

fn called(id: &str) -> New {
    New { id: Some(id.to_owned()), ..New::default() }
}

async fn window(contexts: &Contexts, id: &str) -> Vec<String> {
    texts(&contexts.window(&key(id), WIDE).await.unwrap().entries)
}

#[tokio::test]
async fn a_fork_shares_what_was_said_and_goes_its_own_way() {
    both(async |contexts| {
        for i in 0..3 {
            echo(&contexts, turn("p", &format!("q{i}"))).await.unwrap();
        }
        let made = contexts.fork(&key("p"), Some(4), called("f")).await.unwrap();
        assert_eq!((made.parent.as_deref(), made.fork_seq), (Some("p"), Some(4)));
        assert_eq!((made.size.messages, made.size.turns), (4, 2));
        echo(&contexts, turn("f", "other")).await.unwrap();
        echo(&contexts, turn("p", "same")).await.unwrap();
        let child = texts(&all(&contexts, "f").await);
        assert_eq!(child, ["q0", "you said: q0", "q1", "you said: q1", "other", "you said: other"]);
        assert_eq!(window(&contexts, "f").await, child);
        assert_eq!(all(&contexts, "p").await.len(), 8);
        let turn_of_child = contexts.get(&key("f")).await.unwrap().size;
        let bytes: usize = child.iter().map(String::len).sum();
        assert_eq!((turn_of_child.turns, turn_of_child.bytes), (3, bytes as u64));
        assert_eq!(contexts.entry(&key("f"), 5).await.unwrap().content.plain(), "other");
        assert_eq!(contexts.entry(&key("f"), 2).await.unwrap().content.plain(), "you said: q0");
        refused(contexts.entry(&key("f"), 7).await, Code::NotFound);
        refused(contexts.entry(&key("f"), 0).await, Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn every_way_of_reading_crosses_the_border_of_a_fork() {
    both(async |contexts| {
        for i in 0..4 {
            echo(&contexts, turn("p", &format!("q{i}"))).await.unwrap();
        }
        contexts.fork(&key("p"), Some(6), called("f")).await.unwrap();
        echo(&contexts, turn("f", "a")).await.unwrap();
        contexts.fork(&key("f"), None, called("g")).await.unwrap();
        echo(&contexts, turn("g", "b")).await.unwrap();
        let read = async |slice: Slice| {
            let page = contexts.messages(&key("g"), slice).await.unwrap();
            (page.items.iter().map(|e| e.seq).collect::<Vec<_>>(), page.next)
        };
        let fresh = Slice::default;
        let newest = read(Slice { newest_first: true, limit: 7, ..fresh() }).await;
        assert_eq!(newest, (vec![10, 9, 8, 7, 6, 5, 4], Some("4".to_owned())));
        assert_eq!(read(Slice { last: Some(5), ..fresh() }).await.0, [6, 7, 8, 9, 10]);
        let users = Slice { last: Some(4), role: Some(Role::User), ..fresh() };
        assert_eq!(read(users).await.0, [3, 5, 7, 9]);
        assert_eq!(read(Slice { last_turns: Some(3), ..fresh() }).await.0, [5, 6, 7, 8, 9, 10]);
        assert_eq!(read(Slice { after: Some(5), limit: 2, ..fresh() }).await.0, [6, 7]);
        let since = contexts.entry(&key("g"), 7).await.unwrap().at;
        let first = read(Slice { since: Some(since), ..fresh() }).await.0[0];
        assert!(first <= 7, "{first}");
    })
    .await;
}

#[tokio::test]
async fn a_fork_takes_over_what_it_does_not_set() {
    both(async |contexts| {
        let parent = New {
            id: Some("p".to_owned()),
            title: Some("old".to_owned()),
            system: Some("be brief".to_owned()),
            state: map(r#"{"a":1}"#),
            metadata: map(r#"{"x":1,"y":2}"#),
            messages: vec![said(Role::User, text("hello"))],
            ..New::default()
        };
        contexts.create(LOCAL, parent).await.unwrap();
        let new = New {
            id: Some("f".to_owned()),
            title: Some("new".to_owned()),
            metadata: map(r#"{"y":3}"#),
            messages: vec![said(Role::Assistant, text("hi")), said(Role::User, text("go on"))],
            ..New::default()
        };
        let fork = contexts.fork(&key("p"), None, new).await.unwrap();
        assert_eq!(
            (fork.title.as_deref(), fork.system.as_deref()),
            (Some("new"), Some("be brief"))
        );
        assert_eq!(fork.state, map(r#"{"a":1}"#));
        assert_eq!(fork.metadata, map(r#"{"x":1,"y":3}"#));
        assert_eq!(texts(&all(&contexts, "f").await), ["hello", "hi", "go on"]);
        let read = contexts.get(&key("f")).await.unwrap();
        assert_eq!((read.parent.as_deref(), read.state), (Some("p"), fork.state));
    })
    .await;
}

#[tokio::test]
async fn deleting_a_parent_leaves_its_forks_whole_and_the_last_one_frees_the_rest() {
    both(async |contexts| {
        for i in 0..150 {
            echo(&contexts, turn("p", &format!("q{i}"))).await.unwrap();
        }
        let before = contexts.counts().await;
        contexts.fork(&key("p"), Some(250), called("f")).await.unwrap();
        assert_eq!(contexts.counts().await.messages, before.messages);
        echo(&contexts, turn("f", "x")).await.unwrap();
        contexts.fork(&key("f"), None, called("g")).await.unwrap();
        contexts.delete(&key("p")).await.unwrap();
        contexts.delete(&key("f")).await.unwrap();
        let left = all(&contexts, "g").await;
        assert_eq!((left.len(), left[251].content.plain().as_ref()), (252, "you said: x"));
        assert_eq!(contexts.get(&key("g")).await.unwrap().parent, None);
        // A new context of the same name has nothing to do with the fork.
        echo(&contexts, turn("p", "new")).await.unwrap();
        assert_eq!(all(&contexts, "g").await.len(), 252);
        contexts.delete(&key("g")).await.unwrap();
        let entries = contexts.database().read(|c| {
            let sql = "SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM link),
                         (SELECT count(*) FROM kept), (SELECT count(*) FROM trash)";
            let read = |r: &storage::rusqlite::Row<'_>| {
                Ok::<[i64; 4], _>([r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?])
            };
            Ok(c.query_row(sql, [], read).unwrap())
        });
        assert_eq!(entries.await.unwrap(), [2, 0, 0, 0]);
        let counts = contexts.counts().await;
        assert_eq!((counts.contexts, counts.messages), (1, 2));
    })
    .await;
}

#[tokio::test]
async fn a_very_deep_fork_is_a_copy() {
    both(async |contexts| {
        echo(&contexts, turn("0", "first")).await.unwrap();
        for depth in 1..100 {
            let (from, to) = ((depth - 1).to_string(), depth.to_string());
            contexts.fork(&key(&from), None, called(&to)).await.unwrap();
            echo(&contexts, turn(&to, &to)).await.unwrap();
        }
        let deepest = texts(&all(&contexts, "99").await);
        assert_eq!(deepest.len(), 200);
        assert_eq!((deepest[0].as_str(), deepest[100].as_str()), ("first", "50"));
        for depth in 0..99 {
            contexts.delete(&key(&depth.to_string())).await.unwrap();
        }
        assert_eq!(texts(&all(&contexts, "99").await), deepest);
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_is_running_or_failed_is_not_shared_by_accident() {
    both(async |contexts| {
        echo(&contexts, turn("p", "one")).await.unwrap();
        let open = begin(&contexts, turn("p", "two")).await;
        let during = contexts.fork(&key("p"), None, called("during")).await.unwrap();
        assert_eq!((during.fork_seq, during.open_turn), (Some(2), None));
        let fault = refused(contexts.fork(&key("p"), Some(3), called("x")).await, Code::Conflict);
        assert_eq!(reason(&fault), "busy");
        contexts.fail(&open, "no reply", None).await.unwrap();
        let after = contexts.fork(&key("p"), None, called("after")).await.unwrap();
        assert_eq!(after.fork_seq, Some(2));
        // The failed message is retried: what the forks read stays as it was.
        let again = contexts.reopen(&key("p")).await.unwrap();
        contexts.finish(&again, outcome(text("at last"))).await.unwrap();
        assert_eq!(window(&contexts, "after").await, ["one", "you said: one"]);

        let open = begin(&contexts, turn("p", "three")).await;
        contexts.fail(&open, "no reply", None).await.unwrap();
        contexts.fork(&key("p"), Some(5), called("with")).await.unwrap();
        let fault = refused(contexts.reopen(&key("p")).await, Code::Conflict);
        assert_eq!(reason(&fault), "shared");
        let shared = all(&contexts, "with").await;
        assert_eq!(shared[4].status, EntryStatus::Failed);
        refused(contexts.reopen(&key("with")).await, Code::Conflict);
    })
    .await;
}

#[tokio::test]
async fn a_fork_inside_a_call_of_a_tool_knows_that_it_is_open() {
    both(async |contexts| {
        let asks = r#"{"role":"assistant",
            "content":[{"type":"tool_use","id":"t","name":"n","input":{}}]}"#;
        let answers = r#"{"role":"user",
            "content":[{"type":"tool_result","tool_use_id":"t","content":"5"}]}"#;
        let messages = vec![
            said(Role::User, text("what time is it?")),
            said(Role::Assistant, raw("anthropic", asks)),
            said(Role::User, raw("anthropic", answers)),
            said(Role::Assistant, text("five")),
        ];
        contexts.create(LOCAL, New { messages, ..called("p") }).await.unwrap();
        contexts.fork(&key("p"), Some(2), called("f")).await.unwrap();
        let next = vec![said(Role::User, text("never mind"))];
        contexts.append(&key("f"), next, None, None).await.unwrap();
        // A window never begins between the call and its answer.
        let narrow = contexts.window(&key("f"), Budget { tokens: 1 }).await.unwrap();
        assert_eq!(narrow.entries[0].seq, 1);
        assert!(matches!(narrow.entries[1].content, Content::Raw(_)));
    })
    .await;
}

#[tokio::test]
async fn a_fork_cuts_its_window_across_the_border() {
    both(async |contexts| {
        let message = "some words to fill the window with. ".repeat(10);
        for _ in 0..40 {
            echo(&contexts, turn("p", &message)).await.unwrap();
        }
        contexts.fork(&key("p"), Some(60), called("f")).await.unwrap();
        for _ in 0..5 {
            echo(&contexts, turn("f", &message)).await.unwrap();
        }
        let whole = contexts.window(&key("f"), WIDE).await.unwrap();
        assert_eq!(whole.entries.len(), 70);
        let sum: u64 = whole.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
        assert_eq!(whole.tokens, sum);
        let budget = Budget { tokens: u32::try_from(sum * 3 / 4).unwrap() };
        let cut = contexts.window(&key("f"), budget).await.unwrap();
        assert!(cut.entries[0].seq < 60 && cut.cut.is_some());
        assert_eq!(cut.entries.last().unwrap().seq, 70);
        let kept: u64 = cut.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
        assert_eq!(cut.tokens, kept);
    })
    .await;
}

#[tokio::test]
async fn a_fork_is_made_once_and_refusals_name_what_is_wrong() {
    both(async |contexts| {
        echo(&contexts, turn("p", "one")).await.unwrap();
        let idem = |n: u8| Idem { key: "k".to_owned(), body_hash: [n; 32] };
        let fork = async |n: u8| contexts.fork_once(&key("p"), None, New::default(), idem(n)).await;
        let (first, second) = (fork(1).await.unwrap(), fork(1).await.unwrap());
        assert_eq!(first.id, second.id);
        refused(fork(2).await, Code::IdempotencyMismatch);
        let fault =
            refused(contexts.fork(&key("p"), Some(3), New::default()).await, Code::InvalidInput);
        assert!(fault.text().contains("`at` is 3, the log has 2 entries"), "{}", fault.text());
        let fault = refused(contexts.fork(&key("p"), None, called("p")).await, Code::Conflict);
        assert_eq!(reason(&fault), "exists");
        refused(contexts.fork(&key("nobody"), None, New::default()).await, Code::ContextNotFound);
        let empty = contexts.fork(&key("p"), Some(0), called("empty")).await.unwrap();
        assert_eq!(empty.size.messages, 0);
        assert!(all(&contexts, "empty").await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_fork_of_a_long_log_is_small_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    let many = |from: u32| {
        (from..from + 5000).map(|i| said(Role::User, text(&format!("message {i}")))).collect()
    };
    contexts.create(LOCAL, called("p")).await.unwrap();
    for part in 0..4 {
        contexts.append(&key("p"), many(part * 5000), None, None).await.unwrap();
    }
    let pages = async |contexts: &Contexts| {
        let read = |c: &storage::rusqlite::Connection| {
            Ok(c.query_row("PRAGMA page_count", [], |r| r.get::<_, i64>(0)).unwrap())
        };
        contexts.database().read(read).await.unwrap()
    };
    let before = pages(&contexts).await;
    for i in 0..100_u64 {
        contexts.fork(&key("p"), Some(i * 200), called(&format!("f{i}"))).await.unwrap();
    }
    let grown = (pages(&contexts).await - before) * 8192 / 100;
    assert!(grown <= 1024, "{grown} bytes a fork");
    contexts.database().close().await.unwrap();
    drop(contexts);
    let contexts = open(folder.path()).await;
    let fork = all(&contexts, "f10").await;
    assert_eq!((fork.len(), fork[1999].content.plain().as_ref()), (2000, "message 1999"));
    assert_eq!(contexts.counts().await.messages, 20_000);
    contexts.database().close().await.unwrap();
}

#[tokio::test]
async fn a_store_of_the_version_before_can_be_forked() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    for i in 0..3 {
        echo(&contexts, turn("p", &format!("q{i}"))).await.unwrap();
    }
    // Entries of that version have no running sums of turns and bytes.
    let forget = |c: &storage::rusqlite::Connection| {
        Ok(c.execute("UPDATE entry SET turns = NULL, bytes = NULL", []).unwrap())
    };
    let db: &Database = contexts.database();
    db.write(storage::Durability::Group, forget).await.unwrap();
    let fork = contexts.fork(&key("p"), Some(4), called("f")).await.unwrap();
    let bytes: usize = texts(&all(&contexts, "f").await).iter().map(String::len).sum();
    assert_eq!((fork.size.turns, fork.size.bytes), (2, bytes as u64));
    assert_eq!(fork.metadata, Map::new());
    contexts.database().close().await.unwrap();
}
