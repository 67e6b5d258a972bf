//! The log: order, bytes, pages, damage.

use context::{Content, EntryStatus, New, Slice};
use wire::Code;
use wire::prompt::Role;

use crate::{LOCAL, all, both, echo, key, open, outcome, raw, refused, said, text, texts, turn};

fn named(id: &str) -> New {
    New { id: Some(id.to_owned()), ..New::default() }
}

#[tokio::test]
async fn contents_keep_their_bytes() {
    both(async |contexts| {
        contexts.create(LOCAL, named("b")).await.unwrap();
        let odd = "Grüße 👩‍👩‍👧 \u{feff}日本語 e\u{301} \0 \r\n end\\n \"quoted\"";
        let json = r#"[ {"type":"thinking","thinking":"","signature":"a+/=="},
            {"type" : "text", "text":"ä\u00e4\u2028 1.50e+10"} , {"type":"new_block","n":1.0} ]"#;
        let openai = r#"{"role":"assistant","content":null,"tool_calls":[]}"#;
        let entries = vec![
            said(Role::User, text(odd)),
            said(Role::Assistant, raw("anthropic", json)),
            said(Role::User, text("")),
            said(Role::Assistant, raw("openai_chat", openai)),
        ];
        let (_, stored) = contexts.append(&key("b"), entries, None, None).await.unwrap();
        for list in [stored, all(&contexts, "b").await] {
            assert_eq!(list[0].content.stored(), odd);
            assert_eq!(list[1].content.stored(), json);
            assert_eq!(list[1].content.dialect(), Some("anthropic"));
            assert_eq!(list[2].content.stored(), "");
            assert_eq!(list[3].content.stored(), openai);
            assert_eq!(list.iter().map(|e| e.seq).collect::<Vec<_>>(), [1, 2, 3, 4]);
        }
    })
    .await;
}

#[tokio::test]
async fn plain_text_is_found_in_every_form() {
    let blocks = r#"[{"type":"thinking","thinking":"hm"},{"type":"text","text":"a"},
        {"type":"tool_use","id":"1","name":"t","input":{"text":"no"}},{"type":"text","text":"b"}]"#;
    assert_eq!(raw("anthropic", blocks).plain(), "ab");
    assert_eq!(raw("openai_chat", r#"{"role":"user","content":"c"}"#).plain(), "c");
    let parts = r#"{"role":"user","content":[{"type":"text","text":"d"},{"type":"image_url"}]}"#;
    assert_eq!(raw("openai_chat", parts).plain(), "d");
    assert_eq!(raw("openai_chat", r#"{"role":"assistant","content":null}"#).plain(), "");
    assert_eq!(Content::Text("e".to_owned()).plain(), "e");
}

#[tokio::test]
async fn slices_of_the_log_are_exact() {
    both(async |contexts| {
        for i in 1..=10 {
            echo(&contexts, turn("s", &format!("q{i}"))).await.unwrap();
        }
        let get = async |slice: Slice| {
            let page = contexts.messages(&key("s"), slice).await.unwrap();
            (page.items.iter().map(|e| e.seq).collect::<Vec<_>>(), page.next)
        };
        let any = Slice::default;
        assert_eq!(get(any()).await.0, (1..=20).collect::<Vec<_>>());
        let first = get(Slice { limit: 3, ..any() }).await;
        assert_eq!(first, (vec![1, 2, 3], Some("3".to_owned())));
        assert_eq!(get(Slice { after: Some(17), ..any() }).await, (vec![18, 19, 20], None));
        assert_eq!(get(Slice { before: Some(3), ..any() }).await.0, [1, 2]);
        assert_eq!(get(Slice { last: Some(3), ..any() }).await.0, [18, 19, 20]);
        assert_eq!(get(Slice { last: Some(0), ..any() }).await.0, Vec::<u32>::new());
        assert_eq!(get(Slice { last: Some(99), ..any() }).await.0.len(), 20);
        assert_eq!(get(Slice { last_turns: Some(2), ..any() }).await.0, [17, 18, 19, 20]);
        assert_eq!(get(Slice { last_turns: Some(99), ..any() }).await.0.len(), 20);
        let users = Slice { role: Some(Role::User), last: Some(2), ..any() };
        assert_eq!(get(users).await.0, [17, 19]);
        let newest = Slice { newest_first: true, limit: 2, ..any() };
        assert_eq!(get(newest).await, (vec![20, 19], Some("19".to_owned())));
        let entries = all(&contexts, "s").await;
        let since = Slice { since: Some(entries[12].at), ..any() };
        assert!(get(since).await.0.contains(&13));
        assert!(entries.windows(2).all(|pair| pair[0].at <= pair[1].at));
        let bad = Slice { limit: 0, ..any() };
        refused(contexts.messages(&key("s"), bad).await, Code::InvalidInput);
        let huge = Slice { after: Some(u32::MAX), ..any() };
        assert_eq!(get(huge).await.0, Vec::<u32>::new());
    })
    .await;
}

#[tokio::test]
async fn an_append_is_whole_or_absent() {
    both(async |contexts| {
        echo(&contexts, turn("a", "hi")).await.unwrap();
        let big = "x".repeat(33 * 1024 * 1024);
        let entries = vec![said(Role::User, text("ok")), said(Role::User, text(&big))];
        refused(contexts.append(&key("a"), entries, None, None).await, Code::ContextTooLong);
        assert_eq!(all(&contexts, "a").await.len(), 2);
        let entries = vec![said(Role::User, text("ok"))];
        refused(
            contexts.append(&key("a"), entries.clone(), Some(1), None).await,
            Code::PreconditionFailed,
        );
        let (context, stored) = contexts.append(&key("a"), entries, Some(2), None).await.unwrap();
        assert_eq!((context.revision, stored.len()), (3, 1));
    })
    .await;
}

#[tokio::test]
async fn a_damaged_entry_is_shown_as_such_and_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    for i in 1..=3 {
        echo(&contexts, turn("d", &format!("q{i}"))).await.unwrap();
    }
    contexts
        .database()
        .write(storage::Durability::Group, |c| {
            let sql = "UPDATE entry SET body = x'ff00' WHERE k & 4294967295 = 3";
            assert_eq!(c.execute(sql, []).unwrap(), 1);
            Ok(())
        })
        .await
        .unwrap();
    let entries = all(&contexts, "d").await;
    assert_eq!(entries.len(), 6);
    assert_eq!(entries[2].status, EntryStatus::Failed);
    assert_eq!(entries[2].meta["damaged"], true);
    assert_eq!(texts(&entries)[3], "you said: q2");
    let budget = context::Budget { tokens: 10_000 };
    let window = contexts.window(&key("d"), budget).await.unwrap();
    assert_eq!(window.entries.len(), 5);
    let open = crate::begin(&contexts, turn("d", "q4")).await;
    contexts.finish(&open, outcome(text("a4"))).await.unwrap();
    contexts.database().close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_state_refuses_its_context_and_leaves_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    for id in ["bad", "good"] {
        let turn = crate::with_state(turn(id, "hi"), r#"{"a":1}"#);
        echo(&contexts, turn).await.unwrap();
    }
    contexts
        .database()
        .write(storage::Durability::Group, |c| {
            let sql = "UPDATE ctx_state SET state = '{broken'
                       WHERE n = (SELECT n FROM ctx WHERE id = 'bad')";
            assert_eq!(c.execute(sql, []).unwrap(), 1);
            Ok(())
        })
        .await
        .unwrap();
    let fault = refused(contexts.get(&key("bad")).await, Code::StorageError);
    assert_eq!(crate::reason(&fault), "damaged_record");
    contexts.get(&key("good")).await.unwrap();
    let listed = contexts.list(LOCAL, context::Filter::default()).await.unwrap();
    assert_eq!(listed.items.len(), 2);
    assert!(contexts.database().health().ok);
    contexts.database().close().await.unwrap();
}

#[tokio::test]
async fn a_log_takes_little_more_room_than_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    let mut text_bytes = 0;
    for i in 0..1000_usize {
        let message = "some words ".repeat(64 + i * 37 % 64);
        text_bytes += 2 * message.len() + "you said: ".len();
        let asked = context::NewTurn {
            durability: Some(storage::Durability::Fast),
            ..turn("room", &message)
        };
        echo(&contexts, asked).await.unwrap();
    }
    contexts.database().close().await.unwrap();
    let file = std::fs::metadata(folder.path().join("rapport.db")).unwrap().len();
    let percent = usize::try_from(file).unwrap() * 100 / text_bytes;
    assert!((100..=150).contains(&percent), "{percent} % of the text");
}

#[tokio::test]
async fn a_store_has_only_the_tables_that_something_was_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    contexts.create(LOCAL, named("a")).await.unwrap();
    let entries = vec![said(Role::User, text("hi")), said(Role::Assistant, text("hello"))];
    contexts.append(&key("a"), entries, None, None).await.unwrap();
    let sql = "SELECT count(*) FROM main.sqlite_schema WHERE rootpage > 0";
    let pages = contexts
        .database()
        .read(move |c| storage::Stored::stored(c.query_row(sql, [], |row| row.get::<_, u32>(0))));
    let pages = pages.await.unwrap();
    // Each takes a page of the file, whatever is in it.
    assert!(pages <= 25, "{pages} tables and indexes");
    contexts.database().close().await.unwrap();
}
