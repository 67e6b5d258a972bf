//! Turns: pairs, order, idempotency, failure and retry, refusals.

use context::{Begun, EntryStatus, Idem, New, NewTurn, Outcome, Settings};
use wire::prompt::Role;
use wire::{Code, Fault};

use crate::{
    LOCAL, all, begin, both, echo, key, map, outcome, reason, refused, said, text, texts, turn,
    with_state,
};

fn idem(key: &str, body: u8) -> Idem {
    Idem { key: key.to_owned(), body_hash: [body; 32] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_on_one_context_lose_and_interleave_nothing() {
    both(async |contexts| {
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..64 {
            let contexts = contexts.clone();
            tasks.spawn(async move {
                for round in 0..10 {
                    let message = format!("w{writer} r{round}");
                    let change = format!(r#"{{"w{writer}":{round}}}"#);
                    let done = echo(&contexts, with_state(turn("one", &message), &change)).await;
                    assert_eq!(
                        done.unwrap().message.content.plain(),
                        format!("you said: {message}")
                    );
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        let entries = all(&contexts, "one").await;
        assert_eq!(entries.len(), 1280);
        for (i, pair) in entries.chunks(2).enumerate() {
            assert_eq!((pair[0].role, pair[1].role), (Role::User, Role::Assistant));
            let expected = format!("you said: {}", pair[0].content.plain());
            assert_eq!(pair[1].content.plain(), expected, "pair {i}");
        }
        for writer in 0..64 {
            let mine: Vec<_> = texts(&entries)
                .into_iter()
                .filter(|t| t.starts_with(&format!("w{writer} ")))
                .collect();
            let expected: Vec<_> = (0..10).map(|r| format!("w{writer} r{r}")).collect();
            assert_eq!(mine, expected);
        }
        let context = contexts.get(&key("one")).await.unwrap();
        assert_eq!((context.size.turns, context.revision), (640, 641));
        assert_eq!(context.state.len(), 65);
    })
    .await;
}

#[tokio::test]
async fn a_model_that_fails_leaves_nothing_behind() {
    both(async |contexts| {
        let failing = with_state(turn("f", "hi"), r#"{"a":1}"#);
        let failing = NewTurn { idem: Some(idem("k", 1)), ..failing };
        let result = contexts
            .answer_now(failing.clone(), |_| Err(Fault::new(Code::UpstreamError, "no idea")))
            .await;
        refused(result, Code::UpstreamError);
        refused(contexts.get(&key("f")).await, Code::ContextNotFound);
        assert!(!echo(&contexts, failing).await.unwrap().replayed);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_answer_and_changes_nothing() {
    both(async |contexts| {
        let asked = with_state(turn("i", "hi"), r#"{"n":1}"#);
        let asked = NewTurn { idem: Some(idem("k1", 1)), ..asked };
        let first = echo(&contexts, asked.clone()).await.unwrap();
        echo(&contexts, with_state(turn("i", "other"), r#"{"n":2}"#)).await.unwrap();
        let again = echo(&contexts, asked.clone()).await.unwrap();
        assert!(again.replayed && again.created && !first.replayed);
        assert_eq!((again.number, again.revision), (first.number, first.revision));
        assert_eq!(again.state, first.state);
        assert_eq!(again.message.seq, first.message.seq);
        assert_eq!(again.message.content.plain(), first.message.content.plain());
        assert_eq!(all(&contexts, "i").await.len(), 4);
        let other = NewTurn { idem: Some(idem("k1", 2)), ..asked.clone() };
        refused(echo(&contexts, other).await, Code::IdempotencyMismatch);
        // Another tenant's key is another key.
        let mut theirs = asked;
        theirs.key.tenant = context::Tenant(7);
        assert!(!echo(&contexts, theirs).await.unwrap().replayed);
        let bad = NewTurn { idem: Some(idem("", 1)), ..turn("i", "x") };
        refused(echo(&contexts, bad).await, Code::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_append_changes_nothing() {
    both(async |contexts| {
        contexts.create(LOCAL, New { id: Some("a".to_owned()), ..New::default() }).await.unwrap();
        let entries = vec![said(Role::User, text("x")), said(Role::Assistant, text("y"))];
        let target = key("a");
        let append = || contexts.append(&target, entries.clone(), None, Some(idem("k", 9)));
        let (_, first) = Box::pin(append()).await.unwrap();
        let (context, again) = Box::pin(append()).await.unwrap();
        assert_eq!(texts(&first), texts(&again));
        assert_eq!((context.size.messages, context.revision), (2, 2));
    })
    .await;
}

#[tokio::test]
async fn a_request_repeated_while_it_runs_is_told_so_and_then_replayed() {
    both(async |contexts| {
        let asked = NewTurn { idem: Some(idem("run", 1)), ..turn("r", "hi") };
        let open = begin(&contexts, asked.clone()).await;
        let fault = refused(contexts.begin(asked.clone()).await, Code::Conflict);
        assert_eq!(reason(&fault), "in_progress");
        let done = contexts.finish(&open, outcome(text("hello"))).await.unwrap();
        let Begun::Replay(again) = contexts.begin(asked).await.unwrap() else {
            panic!("ran twice")
        };
        assert!(again.replayed);
        assert_eq!(again.message.content.plain(), done.message.content.plain());
        assert_eq!(all(&contexts, "r").await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn answers_are_forgotten_after_a_day() {
    both(async |contexts| {
        let asked = NewTurn { idem: Some(idem("k", 1)), ..turn("d", "hi") };
        echo(&contexts, asked.clone()).await.unwrap();
        let tomorrow = jiff::Timestamp::now() + jiff::Span::new().hours(25);
        contexts.sweep(tomorrow).await.unwrap();
        assert!(!echo(&contexts, asked).await.unwrap().replayed);
    })
    .await;
}

#[tokio::test]
async fn the_users_message_is_stored_before_the_model_is_called() {
    both(async |contexts| {
        let open = begin(&contexts, with_state(turn("u", "hi"), r#"{"a":1}"#)).await;
        assert!(open.created);
        assert_eq!((open.number, open.user_seq), (1, 1));
        assert_eq!(open.context.state, map(r#"{"a":1,"last_message":"hi"}"#));
        let waiting = contexts.get(&key("u")).await.unwrap();
        assert_eq!(waiting.open_turn, Some(1));
        assert_eq!(waiting.revision, open.context.revision);
        assert_eq!(all(&contexts, "u").await[0].status, EntryStatus::Pending);
        let meta = map(r#"{"stop_reason":"end_turn"}"#);
        let reply = Outcome { meta, ..outcome(text("hello")) };
        let done = contexts.finish(&open, reply).await.unwrap();
        assert_eq!((done.number, done.user_seq, done.message.seq), (1, 1, 2));
        assert_eq!(done.message.meta["stop_reason"], "end_turn");
        assert_eq!(done.message.model.as_deref(), Some("model-1"));
        let entries = all(&contexts, "u").await;
        assert!(entries.iter().all(|entry| entry.status == EntryStatus::Complete));
        assert_eq!(contexts.get(&key("u")).await.unwrap().open_turn, None);
    })
    .await;
}

#[tokio::test]
async fn a_context_runs_one_turn_at_a_time() {
    both(async |contexts| {
        let open = begin(&contexts, turn("b", "one")).await;
        let fault = refused(contexts.begin(turn("b", "two")).await, Code::Conflict);
        assert_eq!(reason(&fault), "busy");
        refused(echo(&contexts, turn("b", "two")).await, Code::Conflict);
        let more = vec![said(Role::User, text("x"))];
        refused(contexts.append(&key("b"), more, None, None).await, Code::Conflict);
        refused(contexts.reopen(&key("b")).await, Code::Conflict);
        contexts.finish(&open, outcome(text("done"))).await.unwrap();
        let fault = refused(contexts.finish(&open, outcome(text("twice"))).await, Code::Conflict);
        assert_eq!(reason(&fault), "not_open");
        refused(contexts.fail(&open, "late", None).await, Code::Conflict);
        assert_eq!(texts(&all(&contexts, "b").await), ["one", "done"]);
    })
    .await;
}

#[tokio::test]
async fn a_failed_turn_is_kept_and_can_be_retried() {
    both(async |contexts| {
        echo(&contexts, turn("t", "before")).await.unwrap();
        let asked = NewTurn { idem: Some(idem("k", 1)), ..turn("t", "question") };
        let open = begin(&contexts, asked.clone()).await;
        let partial = Outcome { status: EntryStatus::Partial, ..outcome(text("half a")) };
        contexts.fail(&open, "the upstream hung up", Some(partial)).await.unwrap();
        let entries = all(&contexts, "t").await;
        assert_eq!(entries[2].status, EntryStatus::Failed);
        assert_eq!(entries[2].meta["failure"], "the upstream hung up");
        assert_eq!(entries[3].status, EntryStatus::Partial);
        assert_eq!(contexts.get(&key("t")).await.unwrap().open_turn, None);
        let again = contexts.reopen(&key("t")).await.unwrap();
        assert_eq!((again.number, again.user_seq), (open.number, open.user_seq));
        let done = contexts.finish(&again, outcome(text("whole answer"))).await.unwrap();
        assert_eq!((done.number, done.message.seq), (2, 5));
        let entries = all(&contexts, "t").await;
        assert_eq!(entries[2].status, EntryStatus::Complete);
        assert!(!entries[2].meta.contains_key("failure"));
        let fault = refused(contexts.reopen(&key("t")).await, Code::Conflict);
        assert_eq!(reason(&fault), "nothing_to_retry");
        // The failure gave the key back.
        let open = begin(&contexts, asked).await;
        contexts.fail(&open, "again", None).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_turn_of_a_deleted_context_ends_in_not_found() {
    both(async |contexts| {
        let open = begin(&contexts, turn("x", "hi")).await;
        contexts.delete(&key("x")).await.unwrap();
        refused(contexts.finish(&open, outcome(text("a"))).await, Code::ContextNotFound);
        echo(&contexts, turn("x", "new")).await.unwrap();
        refused(contexts.finish(&open, outcome(text("a"))).await, Code::ContextNotFound);
        assert_eq!(texts(&all(&contexts, "x").await), ["new", "you said: new"]);
    })
    .await;
}

#[tokio::test]
async fn an_expected_revision_is_held_against_the_real_one() {
    both(async |contexts| {
        let first = echo(&contexts, turn("p", "one")).await.unwrap();
        let right = NewTurn { expect: Some(first.revision), ..turn("p", "two") };
        let second = echo(&contexts, right.clone()).await.unwrap();
        let fault = refused(echo(&contexts, right).await, Code::PreconditionFailed);
        assert_eq!(fault.detail_values().unwrap()["actual"], second.revision);
        let missing = NewTurn { expect: Some(1), ..turn("absent", "hi") };
        refused(echo(&contexts, missing).await, Code::PreconditionFailed);
        assert_eq!(all(&contexts, "p").await.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn the_model_of_a_context_is_the_one_that_answered_last() {
    both(async |contexts| {
        let settings = Settings::parse(map(r#"{"model":"demo"}"#)).unwrap();
        let new = New { id: Some("m".to_owned()), settings, ..New::default() };
        contexts.create(LOCAL, new).await.unwrap();
        let asked = turn("m", "hi");
        let seen = contexts
            .answer_now(asked, |view| {
                let name = view.settings().model.clone().unwrap();
                Ok(context::LocalReply { model: name.clone(), ..crate::reply(name) })
            })
            .await
            .unwrap();
        assert_eq!(seen.message.model.as_deref(), Some("demo"));
        assert_eq!(seen.message.meta["usage"]["input_tokens"], 0);
    })
    .await;
}
