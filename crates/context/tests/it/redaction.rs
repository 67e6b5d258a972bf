//! Redaction: before something is stored, before a model is told, and on command.

use context::{
    Budget, Contexts, Edit, New, NewNote, NoteKind, RedactOrder, RedactPlan, Settings, StateEdit,
    To,
};
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
        // Two messages, the state and the checkpoint.
        assert_eq!(done.marks, [("email".to_owned(), 4)]);
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

/// Everything of a context that its owner can read.
async fn told(contexts: &Contexts, id: &str) -> String {
    let context = contexts.get(&key(id)).await.unwrap();
    let log = all(contexts, id).await;
    let notes = contexts.notes(&key(id)).await.unwrap();
    let checkpoints = contexts.checkpoints(&key(id)).await.unwrap();
    format!("{context:?} {log:?} {notes:?} {checkpoints:?}")
}

fn note(value: &str) -> NewNote {
    NewNote { kind: NoteKind::Fact, name: None, value: json!(value), expires_in: None }
}

#[tokio::test]
async fn what_stands_beside_the_messages_is_redacted_before_it_is_stored() {
    both(async |contexts| {
        let new = New {
            id: Some("a".to_owned()),
            title: Some("about ann@example.org".to_owned()),
            system: Some("you serve ann@example.org".to_owned()),
            settings: Settings { redact: Some(plan("write")), ..Settings::default() },
            metadata: map(r#"{"name":"ann@example.org","deep":[{"x":"ann@example.org"}],"n":1}"#),
            state: map(r#"{"name":"ann@example.org"}"#),
            ..New::default()
        };
        contexts.create(LOCAL, new).await.unwrap();
        let asked = crate::with_state(turn("a", "hi"), r#"{"mail":"ann@example.org"}"#);
        echo(&contexts, asked).await.unwrap();
        contexts.note(&key("a"), note("knows ann@example.org")).await.unwrap();
        contexts.checkpoint(&key("a"), "c", Some("for ann@example.org".to_owned())).await.unwrap();
        let fork = New {
            id: Some("f".to_owned()),
            title: Some("ann@example.org".to_owned()),
            ..New::default()
        };
        contexts.fork(&key("a"), None, fork).await.unwrap();
        let told = told(&contexts, "a").await + &format!("{:?}", contexts.get(&key("f")).await);
        assert!(!told.contains("ann@example.org"), "{told}");
        let edit = Edit {
            title: Some(Some("ann@example.org".to_owned())),
            system: Some(Some("ann@example.org".to_owned())),
            metadata: Some(map(r#"{"y":"ann@example.org"}"#)),
            state: Some(StateEdit::Replace(map(r#"{"z":"ann@example.org"}"#))),
            ..Edit::default()
        };
        let now = contexts.edit(&key("a"), edit, None).await.unwrap();
        assert_eq!(now.title.as_deref(), Some("[redacted: email]"));
        assert_eq!(now.system.as_deref(), Some("[redacted: email]"));
        assert_eq!(now.metadata["y"], "[redacted: email]");
        assert_eq!(now.metadata["name"], "[redacted: email]");
        assert_eq!(now.state, map(r#"{"z":"[redacted: email]"}"#));
    })
    .await;
}

#[tokio::test]
async fn a_model_is_not_told_what_its_instructions_say_of_somebody() {
    both(async |contexts| {
        make(&contexts, Some("render")).await;
        let system = Some(Some("you serve ann@example.org".to_owned()));
        contexts.edit(&key("a"), Edit { system, ..Edit::default() }, None).await.unwrap();
        let window = contexts.window(&key("a"), WIDE).await.unwrap();
        assert_eq!(window.context.system.as_deref(), Some("you serve [redacted: email]"));
        let kept = contexts.get(&key("a")).await.unwrap().system;
        assert_eq!(kept.as_deref(), Some("you serve ann@example.org"));
    })
    .await;
}

#[tokio::test]
async fn a_redaction_on_command_reaches_what_stands_beside_the_messages() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = crate::open(folder.path()).await;
    let new = New {
        id: Some("a".to_owned()),
        title: Some("quokka".to_owned()),
        system: Some("you are a quokka".to_owned()),
        metadata: map(r#"{"name":"quokka","list":["quokka"]}"#),
        state: map(r#"{"name":"quokka"}"#),
        ..New::default()
    };
    contexts.create(LOCAL, new).await.unwrap();
    contexts.note(&key("a"), note("quokka")).await.unwrap();
    contexts.checkpoint(&key("a"), "c", Some("a quokka".to_owned())).await.unwrap();
    let plan = RedactPlan::parse(&json!({"mode": "write", "own": {"animal": "quokka"}})).unwrap();
    let order = RedactOrder { first: 1, last: None, plan: Some(plan.clone()) };
    // Nothing was said yet, and all the same there is something to take away.
    let done = contexts.redact(&key("a"), order.clone()).await.unwrap();
    assert_eq!((done.looked_at, done.changed), (0, 0));
    assert_eq!(done.marks, [("animal".to_owned(), 8)]);
    let told = told(&contexts, "a").await;
    assert!(!told.contains("quokka"), "{told}");
    assert_eq!(done.context.metadata["list"], json!(["[redacted: animal]"]));
    let meta = map(r#"{"source":"a quokka told it"}"#);
    let entry = context::NewEntry { meta, ..said(Role::User, text("a word")) };
    contexts.append(&key("a"), vec![entry], None, None).await.unwrap();

    // What was said on a branch that was left is taken away, too.
    echo(&contexts, turn("a", "a quokka sat there")).await.unwrap();
    contexts.rollback(&key("a"), To::Seq(1), None).await.unwrap();
    echo(&contexts, turn("a", "nobody sat there")).await.unwrap();
    let done = contexts.redact(&key("a"), order.clone()).await.unwrap();
    assert_eq!((done.looked_at, done.changed), (5, 3));
    let bytes = std::fs::read(folder.path().join("rapport.db")).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"quokka"));
    contexts.rollback(&key("a"), To::Branch(1), None).await.unwrap();
    let log = all(&contexts, "a").await;
    assert_eq!(texts(&log)[1], "a [redacted: animal] sat there");
    assert_eq!(log[0].meta["source"], "a [redacted: animal] told it");
    assert_eq!(contexts.redact(&key("a"), order).await.unwrap().changed, 0);
    assert!(contexts.verify(|_, _| {}).await.unwrap().is_sound());
}
