//! The life of a context: create, read, list, edit, close, expire, delete, apart from others.

use std::time::Duration;

use context::{
    Contexts, Edit, Filter, Key, Limits, New, Settings, Slice, Sort, StateEdit, Status, Tenant,
};
use jiff::Timestamp;
use storage::{Database, Durability, Place};
use wire::Code;
use wire::prompt::Role;

use crate::{
    LOCAL, SCHEMAS, all, both, both_with, echo, key, map, open, reason, refused, said, text, texts,
    turn,
};

fn named(id: &str) -> New {
    New { id: Some(id.to_owned()), ..New::default() }
}

#[tokio::test]
async fn a_new_context_has_a_uuid_and_is_empty() {
    both(async |contexts| {
        let made = contexts.create(LOCAL, New::default()).await.unwrap();
        assert_eq!(uuid::Uuid::parse_str(&made.id).unwrap().get_version_num(), 4);
        let read = contexts.get(&key(&made.id)).await.unwrap();
        assert_eq!(read.revision, 1);
        assert_eq!(read.created_at, read.last_updated);
        assert_eq!((read.size.messages, read.size.turns, read.size.bytes), (0, 0, 0));
        assert!(read.state.is_empty() && all(&contexts, &made.id).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn everything_a_context_is_made_with_is_read_back() {
    both(async |contexts| {
        let new = New {
            title: Some("Über uns".to_owned()),
            user: Some("ada".to_owned()),
            system: Some("be brief".to_owned()),
            settings: Settings::parse(map(r#"{"model":"m","temperature":0.5,"odd":[1]}"#)).unwrap(),
            state: map(r#"{"z":1,"a":2}"#),
            metadata: map(r#"{"team":"blue"}"#),
            messages: vec![said(Role::User, text("hello")), said(Role::Assistant, text("hi"))],
            expires_in: Some(Duration::from_secs(60)),
            ..named("full")
        };
        contexts.create(LOCAL, new).await.unwrap();
        let read = contexts.get(&key("full")).await.unwrap();
        assert_eq!(read.title.as_deref(), Some("Über uns"));
        assert_eq!(read.user.as_deref(), Some("ada"));
        assert_eq!(read.system.as_deref(), Some("be brief"));
        assert_eq!(read.settings.model.as_deref(), Some("m"));
        assert_eq!(read.settings.extra, map(r#"{"odd":[1]}"#));
        assert_eq!(read.state, map(r#"{"z":1,"a":2}"#));
        assert_eq!(read.metadata, map(r#"{"team":"blue"}"#));
        assert_eq!(read.size.messages, 2);
        assert!(read.expires_at.unwrap() > read.created_at);
        assert_eq!(texts(&all(&contexts, "full").await), ["hello", "hi"]);
    })
    .await;
}

#[tokio::test]
async fn an_unknown_context_is_not_found_by_any_operation() {
    both(async |contexts| {
        let nobody = key("nobody");
        let fault = refused(contexts.get(&nobody).await, Code::ContextNotFound);
        assert_eq!(fault.text(), "Context not found");
        refused(contexts.messages(&nobody, Slice::default()).await, Code::ContextNotFound);
        refused(contexts.edit(&nobody, Edit::default(), None).await, Code::ContextNotFound);
        refused(contexts.append(&nobody, vec![], None, None).await, Code::ContextNotFound);
        refused(contexts.close(&nobody).await, Code::ContextNotFound);
        refused(contexts.delete(&nobody).await, Code::ContextNotFound);
        refused(contexts.reopen(&nobody).await, Code::ContextNotFound);
        let strict = context::NewTurn { create: false, ..turn("nobody", "hi") };
        refused(echo(&contexts, strict).await, Code::ContextNotFound);
    })
    .await;
}

#[tokio::test]
async fn ids_are_taken_once_and_one_is_reserved() {
    both(async |contexts| {
        contexts.create(LOCAL, named("taken")).await.unwrap();
        let fault = refused(contexts.create(LOCAL, named("taken")).await, Code::Conflict);
        assert_eq!(reason(&fault), "exists");
        refused(contexts.create(LOCAL, named("create")).await, Code::InvalidInput);
        refused(echo(&contexts, turn("create", "hi")).await, Code::InvalidInput);
        refused(contexts.create(LOCAL, named("")).await, Code::InvalidInput);
        refused(contexts.create(LOCAL, named("a\nb")).await, Code::InvalidInput);
        refused(contexts.create(LOCAL, named(&"ü".repeat(257))).await, Code::InvalidInput);
        contexts.create(LOCAL, named(&"ü".repeat(256))).await.unwrap();
        contexts.create(LOCAL, named("../etc/passwd'; DROP TABLE ctx")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_deleted_context_is_gone_with_its_messages_and_its_id_is_free() {
    both(async |contexts| {
        for round in 0..300 {
            echo(&contexts, turn("long", &format!("message {round}"))).await.unwrap();
        }
        assert_eq!(contexts.counts().await.messages, 600);
        contexts.delete(&key("long")).await.unwrap();
        refused(contexts.delete(&key("long")).await, Code::ContextNotFound);
        let counts = contexts.counts().await;
        assert_eq!((counts.contexts, counts.messages, counts.bytes), (0, 0, 0));
        let left: i64 = contexts
            .database()
            .read(|c| Ok(c.query_row("SELECT count(*) FROM entry", [], |r| r.get(0)).unwrap()))
            .await
            .unwrap();
        assert_eq!(left, 0);
        echo(&contexts, turn("long", "again")).await.unwrap();
        assert_eq!(all(&contexts, "long").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_closed_context_can_be_read_and_not_written() {
    both(async |contexts| {
        echo(&contexts, turn("done", "hi")).await.unwrap();
        let closed = contexts.close(&key("done")).await.unwrap();
        assert_eq!((closed.status, closed.revision), (Status::Closed, 3));
        assert_eq!(contexts.close(&key("done")).await.unwrap().revision, 3);
        refused(echo(&contexts, turn("done", "more")).await, Code::ContextClosed);
        refused(contexts.begin(turn("done", "more")).await, Code::ContextClosed);
        refused(contexts.edit(&key("done"), Edit::default(), None).await, Code::ContextClosed);
        refused(contexts.append(&key("done"), vec![], None, None).await, Code::ContextClosed);
        assert_eq!(all(&contexts, "done").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn an_expired_context_says_so_before_and_after_the_sweep() {
    both(async |contexts| {
        let brief = |id: &str| New { expires_in: Some(Duration::ZERO), ..named(id) };
        contexts.create(LOCAL, brief("brief")).await.unwrap();
        contexts.create(LOCAL, brief("other")).await.unwrap();
        contexts.create(LOCAL, named("kept")).await.unwrap();
        refused(contexts.get(&key("brief")).await, Code::ContextExpired);
        assert_eq!(contexts.list(LOCAL, Filter::default()).await.unwrap().items.len(), 1);
        assert_eq!(contexts.sweep(Timestamp::now()).await.unwrap(), 2);
        assert_eq!(contexts.sweep(Timestamp::now()).await.unwrap(), 0);
        refused(contexts.get(&key("brief")).await, Code::ContextExpired);
        assert_eq!(contexts.counts().await.contexts, 1);
        // The id is free again for who asks for it.
        assert!(echo(&contexts, turn("brief", "hi")).await.unwrap().created);
        contexts.get(&key("brief")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_turn_begins_anew_under_the_id_of_an_expired_context() {
    both(async |contexts| {
        echo(&contexts, turn("s", "old")).await.unwrap();
        let edit = Edit { expires_in: Some(Some(Duration::ZERO)), ..Edit::default() };
        contexts.edit(&key("s"), edit, None).await.unwrap();
        let begun = echo(&contexts, turn("s", "new")).await.unwrap();
        assert!(begun.created);
        assert_eq!(texts(&all(&contexts, "s").await), ["new", "you said: new"]);
    })
    .await;
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    both(async |contexts| {
        let new = New {
            title: Some("old".to_owned()),
            settings: Settings::parse(map(r#"{"model":"m","max_tokens":5}"#)).unwrap(),
            metadata: map(r#"{"a":1,"b":2}"#),
            ..named("e")
        };
        let made = contexts.create(LOCAL, new).await.unwrap();
        let edit = Edit {
            user: Some(Some("ada".to_owned())),
            settings: Some(map(r#"{"max_tokens":null,"durability":"fast"}"#)),
            metadata: Some(map(r#"{"a":null,"c":3}"#)),
            state: Some(StateEdit::MergePatch(map(r#"{"x":{"y":1}}"#))),
            ..Edit::default()
        };
        let edited = contexts.edit(&key("e"), edit, Some(made.revision)).await.unwrap();
        assert_eq!(edited.title.as_deref(), Some("old"));
        assert_eq!(edited.user.as_deref(), Some("ada"));
        assert_eq!(edited.settings.to_map(), map(r#"{"model":"m","durability":"fast"}"#));
        assert_eq!(edited.metadata, map(r#"{"b":2,"c":3}"#));
        assert_eq!(edited.state, map(r#"{"x":{"y":1}}"#));
        assert_eq!(edited.created_at, made.created_at);
        assert_eq!(edited.revision, 2);
        let stale = contexts.edit(&key("e"), Edit::default(), Some(1)).await;
        let fault = refused(stale, Code::PreconditionFailed);
        assert_eq!(fault.detail_values().unwrap()["actual"], 2);
        assert_eq!(fault.detail_values().unwrap()["expected"], 1);
        let wrong = Edit { settings: Some(map(r#"{"max_tokens":"many"}"#)), ..Edit::default() };
        let fault = refused(contexts.edit(&key("e"), wrong, None).await, Code::InvalidInput);
        assert_eq!(fault.detail_values().unwrap()["field"], "settings.max_tokens");
        assert_eq!(contexts.get(&key("e")).await.unwrap().revision, 2);
    })
    .await;
}

#[tokio::test]
async fn a_list_is_complete_and_ordered_whatever_the_page_size() {
    both(async |contexts| {
        for i in 0..23 {
            echo(&contexts, turn(&format!("c{i:02}"), &"x".repeat(i * 7 % 50))).await.unwrap();
        }
        for sort in [Sort::Updated, Sort::Created, Sort::Size] {
            for ascending in [false, true] {
                let whole = Filter { sort, ascending, limit: 500, ..Filter::default() };
                let whole = contexts.list(LOCAL, whole).await.unwrap();
                assert_eq!((whole.items.len(), whole.next), (23, None));
                let order: Vec<_> = whole.items.iter().map(|c| c.id.clone()).collect();
                let mut paged = Vec::new();
                let mut cursor = None;
                loop {
                    let filter = Filter { sort, ascending, limit: 5, cursor, ..Filter::default() };
                    let page = contexts.list(LOCAL, filter).await.unwrap();
                    paged.extend(page.items.iter().map(|c| c.id.clone()));
                    cursor = page.next;
                    if cursor.is_none() {
                        break;
                    }
                }
                assert_eq!(paged, order);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_list_is_filtered_by_every_condition() {
    both(async |contexts| {
        let new = New {
            user: Some("ada".to_owned()),
            title: Some("Flight to Rome".to_owned()),
            settings: Settings::parse(map(r#"{"model":"m1"}"#)).unwrap(),
            ..named("a")
        };
        let a = contexts.create(LOCAL, new).await.unwrap();
        echo(&contexts, turn("b", "hello")).await.unwrap();
        contexts.create(LOCAL, named("c")).await.unwrap();
        contexts.close(&key("c")).await.unwrap();
        let check = async |filter: Filter, expected: &[&str]| {
            let found = contexts.list(LOCAL, filter).await.unwrap();
            let mut ids: Vec<_> = found.items.iter().map(|c| c.id.to_string()).collect();
            ids.sort();
            assert_eq!(ids, expected);
        };
        let any = Filter::default;
        check(any(), &["a", "b", "c"]).await;
        check(Filter { user: Some("ada".to_owned()), ..any() }, &["a"]).await;
        check(Filter { status: Some(Status::Closed), ..any() }, &["c"]).await;
        check(Filter { model: Some("m1".to_owned()), ..any() }, &["a"]).await;
        check(Filter { model: Some("echo".to_owned()), ..any() }, &["b"]).await;
        check(Filter { title_contains: Some("ROME".to_owned()), ..any() }, &["a"]).await;
        check(Filter { min_messages: Some(1), ..any() }, &["b"]).await;
        check(Filter { max_messages: Some(0), ..any() }, &["a", "c"]).await;
        check(Filter { min_bytes: Some(1), max_bytes: Some(1000), ..any() }, &["b"]).await;
        check(Filter { updated_after: Some(a.last_updated), ..any() }, &["b", "c"]).await;
        let until = Filter { updated_before: Some(a.last_updated), ..any() };
        check(until, &[]).await;
        for bad in [Filter { limit: 0, ..any() }, Filter { limit: 501, ..any() }] {
            refused(contexts.list(LOCAL, bad).await, Code::InvalidInput);
        }
        let bad = Filter { cursor: Some("x' OR 1".to_owned()), ..any() };
        refused(contexts.list(LOCAL, bad).await, Code::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    both(async |contexts| {
        let (one, two) = (Tenant(1), Tenant(2));
        let mine = New { state: map(r#"{"secret":1}"#), ..named("same") };
        contexts.create(one, mine).await.unwrap();
        contexts.create(two, named("same")).await.unwrap();
        contexts.create(one, named("only-one")).await.unwrap();
        let theirs = Key::new(two, "same").unwrap();
        assert!(contexts.get(&theirs).await.unwrap().state.is_empty());
        let foreign = Key::new(two, "only-one").unwrap();
        refused(contexts.get(&foreign).await, Code::ContextNotFound);
        refused(contexts.delete(&foreign).await, Code::ContextNotFound);
        refused(contexts.edit(&foreign, Edit::default(), None).await, Code::ContextNotFound);
        assert_eq!(contexts.list(two, Filter::default()).await.unwrap().items.len(), 1);
        let filter = Filter { limit: 1, ..Filter::default() };
        let page = contexts.list(one, filter).await.unwrap();
        let stolen = Filter { cursor: page.next, ..Filter::default() };
        let seen = contexts.list(two, stolen).await.unwrap().items;
        assert!(seen.iter().all(|context| context.state.is_empty()));
        contexts.delete(&theirs).await.unwrap();
        contexts.get(&Key::new(one, "same").unwrap()).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_number_of_contexts_is_limited() {
    let limits = Limits { contexts: 2, ..Limits::default() };
    both_with(limits, async |contexts| {
        contexts.create(LOCAL, New::default()).await.unwrap();
        contexts.create(LOCAL, named("b")).await.unwrap();
        refused(contexts.create(LOCAL, New::default()).await, Code::QuotaExceeded);
        refused(echo(&contexts, turn("c", "hi")).await, Code::QuotaExceeded);
        contexts.delete(&key("b")).await.unwrap();
        echo(&contexts, turn("c", "hi")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn counts_and_chosen_durability_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let contexts = open(&data).await;
    let settings = Settings::parse(map(r#"{"durability":"fast"}"#)).unwrap();
    contexts.create(LOCAL, New { settings, ..named("quick") }).await.unwrap();
    echo(&contexts, turn("quick", "hi")).await.unwrap();
    let before = contexts.counts().await;
    contexts.database().close().await.unwrap();
    let db = Database::open(Place::Folder(data), SCHEMAS).await.unwrap();
    let contexts = Contexts::open(db, Limits::default()).await.unwrap();
    assert_eq!(contexts.counts().await, before);
    assert_eq!((before.contexts, before.messages), (1, 2));
    let read = contexts.get(&key("quick")).await.unwrap();
    assert_eq!(read.settings.durability, Some(Durability::Fast));
    contexts.database().close().await.unwrap();
}
