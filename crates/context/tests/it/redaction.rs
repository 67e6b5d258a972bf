//! Redaction: before something is stored, before a model is told, and on command.

use context::{Budget, Contexts, Edit, New, RedactOrder, RedactPlan, Settings, StateEdit, To};
use serde_json::json;
use wire::Code;
use wire::prompt::Role;

use crate::{
    LOCAL, all, begin, both, echo, key, map, outcome, raw, refused, said, text, texts, turn,
};

const WIDE: Budget = Budget { tokens: 100_000 };

fn plan(mode: &str) -> RedactPlan {
    RedactPlan::parse(&json!(mode)).unwrap()
}

async fn make(contexts: &Contexts, mode: Option<&str>) {
    let settings = Settings { redact: mode.map(plan), ..Settings::default() };
    let new = New { id: Some("a".to_owned()), settings, ..New::default() };
    contexts.create(LOCAL, new).await.unwrap();
}

#[tokio::test]
async fn what_is_redacted_before_it_is_stored_is_nowhere() {
    both(async |contexts| {
        make(&contexts, Some("write")).await;
        let asked = context::NewTurn { remember_last: true, ..turn("a", "I am ann@example.org") };
        let turn = echo(&contexts, asked).await.unwrap();
        assert_eq!(turn.message.content.plain(), "you said: I am [redacted: email]");
        assert_eq!(turn.message.meta["redacted"], json!({"email": 1}));
        assert_eq!(turn.state["last_message"], "I am [redacted: email]");
        let open = begin(&contexts, crate::turn("a", "card 4111 1111 1111 1111")).await;
        let block = "[{\"type\":\"text\",\"text\":\"write to ann@example.org\"}]";
        contexts.finish(&open, outcome(raw("anthropic", block))).await.unwrap();
        let half = begin(&contexts, crate::turn("a", "more")).await;
        let partial = Some(outcome(text("ann@example.org is")));
        contexts.fail(&half, "x", partial).await.unwrap();
        let entry = said(Role::User, text("ann@example.org"));
        contexts.append(&key("a"), vec![entry], None, None).await.unwrap();
        let log = format!("{:?}", all(&contexts, "a").await);
        assert!(!log.contains("ann@example.org") && !log.contains("4111"), "{log}");
        assert!(log.contains("[redacted: card]"), "{log}");
        assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
    })
    .await;
}

#[tokio::test]
async fn the_server_says_what_is_redacted_unless_a_context_does() {
    both(async |contexts| {
        contexts.set_redaction(Some(plan("write")));
        echo(&contexts, turn("b", "ann@example.org")).await.unwrap();
        make(&contexts, Some("off")).await;
        echo(&contexts, turn("a", "ann@example.org")).await.unwrap();
        assert_eq!(texts(&all(&contexts, "b").await)[0], "[redacted: email]");
        assert_eq!(texts(&all(&contexts, "a").await)[0], "ann@example.org");
        contexts.set_redaction(None);
        echo(&contexts, turn("b", "ann@example.org")).await.unwrap();
        assert_eq!(texts(&all(&contexts, "b").await)[2], "ann@example.org");
        let edit = Edit {
            settings: Some(map("{\"redact\":{\"mode\":\"write\",\"own\":{\"x\":\"ann\"}}}")),
            ..Edit::default()
        };
        contexts.edit(&key("b"), edit, None).await.unwrap();
        echo(&contexts, turn("b", "hello ann")).await.unwrap();
        assert_eq!(texts(&all(&contexts, "b").await)[4], "hello [redacted: x]");
    })
    .await;
}

#[tokio::test]
async fn what_is_redacted_before_a_model_is_told_stays_in_the_log() {
    both(async |contexts| {
        make(&contexts, Some("render")).await;
        let state = Some(StateEdit::MergePatch(map("{\"mail\":\"ann@example.org\"}")));
        contexts.edit(&key("a"), Edit { state, ..Edit::default() }, None).await.unwrap();
        echo(&contexts, turn("a", "I am ann@example.org")).await.unwrap();
        assert_eq!(texts(&all(&contexts, "a").await)[0], "I am ann@example.org");
        let first = contexts.window(&key("a"), WIDE).await.unwrap();
        assert_eq!(texts(&first.entries)[0], "I am [redacted: email]");
        assert_eq!(first.context.state["mail"], "[redacted: email]");
        echo(&contexts, turn("a", "and 4111 1111 1111 1111")).await.unwrap();
        let second = contexts.window(&key("a"), WIDE).await.unwrap();
        // What was sent before is sent again, byte for byte.
        assert_eq!(texts(&second.entries)[..2], texts(&first.entries)[..]);
        assert_eq!(contexts.get(&key("a")).await.unwrap().state["mail"], "ann@example.org");
    })
    .await;
}

#[tokio::test]
async fn a_redaction_on_command_takes_it_out_of_everything_that_was_kept() {
    both(async |contexts| {
        make(&contexts, None).await;
        let asked = context::NewTurn { remember_last: true, ..turn("a", "mail ann@example.org") };
        echo(&contexts, asked).await.unwrap();
        contexts.checkpoint(&key("a"), "here", None).await.unwrap();
        echo(&contexts, turn("a", "other words")).await.unwrap();
        let fork = New { id: Some("f".to_owned()), ..New::default() };
        contexts.fork(&key("a"), Some(2), fork).await.unwrap();
        assert_eq!(contexts.search(LOCAL, "ann", 10).await.unwrap().len(), 2);
        let order = RedactOrder { first: 1, last: None, plan: Some(plan("write")) };
        let done = contexts.redact(&key("a"), order).await.unwrap();
        assert_eq!((done.looked_at, done.changed), (4, 2));
        assert_eq!(done.marks, [("email".to_owned(), 2)]);
        for id in ["a", "f"] {
            let log = format!("{:?}", all(&contexts, id).await);
            assert!(!log.contains("ann@"), "{log}");
        }
        assert_eq!(contexts.search(LOCAL, "ann", 10).await.unwrap().len(), 0);
        assert_eq!(contexts.search(LOCAL, "other", 10).await.unwrap().len(), 2);
        contexts.rollback(&key("a"), To::Checkpoint("here".to_owned()), None).await.unwrap();
        let state = contexts.get(&key("a")).await.unwrap().state;
        assert_eq!(state["last_message"], "mail [redacted: email]");
        assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());

        let all_of_it = RedactOrder { first: 1, last: Some(1), plan: None };
        let done = contexts.redact(&key("a"), all_of_it).await.unwrap();
        assert_eq!(done.changed, 1);
        assert_eq!(texts(&all(&contexts, "a").await)[0], "[redacted]");
        let none = RedactOrder { first: 3, last: Some(9), plan: None };
        refused(contexts.redact(&key("a"), none).await, Code::InvalidInput);
        let open = begin(&contexts, turn("a", "busy")).await;
        let order = RedactOrder { first: 1, last: None, plan: None };
        refused(contexts.redact(&key("a"), order).await, Code::Conflict);
        drop(open);
    })
    .await;
}

#[tokio::test]
async fn what_was_redacted_is_in_no_file_while_the_store_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = crate::open(folder.path()).await;
    let holds = || {
        let mut found = Vec::new();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(6).any(|part| part == b"quokka") {
                found.push(path.file_name().unwrap().to_owned());
            }
        }
        found
    };
    // Long ones lie on pages of their own, which a shorter state gives back.
    for n in 0..40 {
        let long = format!("quokka {n} {}", "and so on ".repeat(if n % 3 == 0 { 4000 } else { 3 }));
        let state = format!(r#"{{"seen":"quokka {n}"}}"#);
        echo(&contexts, crate::with_state(turn("a", &long), &state)).await.unwrap();
        echo(&contexts, turn("b", "somebody else talks")).await.unwrap();
        contexts.sweep(jiff::Timestamp::now()).await.unwrap();
    }
    echo(&contexts, crate::with_state(turn("a", "quiet"), r#"{"seen":null}"#)).await.unwrap();
    assert!(!holds().is_empty(), "the test finds what is there");
    let plan = RedactPlan::parse(&json!({"mode": "write", "own": {"animal": "quokka"}})).unwrap();
    let order = RedactOrder { first: 1, last: None, plan: Some(plan) };
    assert_eq!(contexts.redact(&key("a"), order).await.unwrap().changed, 80);
    assert_eq!(holds(), Vec::<std::ffi::OsString>::new());
    assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
    contexts.database().close().await.unwrap();
    assert_eq!(holds(), Vec::<std::ffi::OsString>::new());
}

#[tokio::test]
async fn what_was_redacted_is_in_no_file_when_the_store_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = crate::open(folder.path()).await;
    for word in ["quokka", "quokka with more words behind it"] {
        echo(&contexts, turn("a", word)).await.unwrap();
    }
    contexts.sweep(jiff::Timestamp::now()).await.unwrap();
    let plan = RedactPlan::parse(&json!({"mode": "write", "own": {"animal": "quokka"}})).unwrap();
    let order = RedactOrder { first: 1, last: None, plan: Some(plan) };
    assert_eq!(contexts.redact(&key("a"), order).await.unwrap().changed, 4);
    contexts.sweep(jiff::Timestamp::now()).await.unwrap();
    contexts.database().close().await.unwrap();
    let bytes = std::fs::read(folder.path().join("rapport.db")).unwrap();
    let found = bytes.windows(6).filter(|part| *part == b"quokka").count();
    assert_eq!(found, 0);
}
