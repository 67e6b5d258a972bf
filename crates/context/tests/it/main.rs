//! Contexts as their callers see them, over every kind of store.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may end by a panic")]
#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod branches;
mod changes;
mod clock;
mod contract;
mod documents;
mod encryption;
mod forks;
mod history;
mod limits;
mod log;
mod mounts;
mod news;
mod plans;
mod recall;
mod recovery;
mod redaction;
mod scale;
mod sizes;
mod state;
mod steps;
mod transfer;
mod trees;
mod turns;
mod vectors;
mod verify;
mod windows;

use std::path::Path;

use context::{
    Begun, Content, Contexts, Entry, EntryStatus, Key, Limits, LocalReply, Map, NewEntry, NewTurn,
    OpenTurn, Outcome, SCHEMA, Slice, StateEdit, Tenant, Turn, View,
};
use serde_json::Value;
use storage::{Database, Place, Schema};
use wire::prompt::{Raw, Role};
use wire::reply::Usage;
use wire::{Code, Fault};

const SCHEMAS: &[&Schema] = &[&SCHEMA];
const LOCAL: Tenant = Tenant(0);

/// Runs a test over both kinds of store, each of them empty.
async fn both(test: impl AsyncFn(Contexts)) {
    both_with(Limits::default(), test).await;
}

async fn both_with(limits: Limits, test: impl AsyncFn(Contexts)) {
    let folder = tempfile::tempdir().unwrap();
    for place in [Place::Memory, Place::Folder(folder.path().join("data"))] {
        let db = Database::open(place, SCHEMAS).await.unwrap();
        let contexts = Contexts::open(db.clone(), limits.clone()).await.unwrap();
        Box::pin(test(contexts)).await;
        db.close().await.unwrap();
    }
}

async fn open(folder: &Path) -> Contexts {
    let db = Database::open(Place::Folder(folder.to_path_buf()), SCHEMAS).await.unwrap();
    Contexts::open(db, Limits::default()).await.unwrap()
}

fn key(id: &str) -> Key {
    Key::new(LOCAL, id).unwrap()
}

fn text(text: &str) -> Content {
    Content::Text(text.to_owned())
}

fn raw(dialect: &str, json: &str) -> Content {
    let json = serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
    Content::Raw(Raw { dialect: dialect.into(), json })
}

fn said(role: Role, content: Content) -> NewEntry {
    NewEntry { role, content, model: None, meta: Map::new() }
}

fn map(json: &str) -> Map {
    serde_json::from_str(json).unwrap()
}

/// A turn that makes its context when it is missing.
fn turn(id: &str, message: &str) -> NewTurn {
    NewTurn {
        key: key(id),
        create: true,
        before: Vec::new(),
        content: text(message),
        state: None,
        remember_last: false,
        expect: None,
        idem: None,
        durability: None,
        meta: Map::new(),
    }
}

fn with_state(turn: NewTurn, state: &str) -> NewTurn {
    NewTurn { state: Some(StateEdit::Shallow(map(state))), remember_last: true, ..turn }
}

fn reply(text: impl Into<String>) -> LocalReply {
    LocalReply {
        text: text.into(),
        model: "echo".to_owned(),
        usage: Usage::default(),
        meta: Map::new(),
    }
}

/// Answers with the message.
async fn echo(contexts: &Contexts, turn: NewTurn) -> Result<Turn, Fault> {
    let answer = format!("you said: {}", turn.content.plain());
    contexts.answer_now(turn, move |_: &mut View<'_>| Ok(reply(answer))).await
}

async fn begin(contexts: &Contexts, turn: NewTurn) -> OpenTurn {
    match contexts.begin(turn).await.unwrap() {
        Begun::Open(open) => *open,
        Begun::Replay(turn) => panic!("replayed {turn:?}"),
    }
}

fn outcome(content: Content) -> Outcome {
    Outcome {
        content,
        model: "model-1".to_owned(),
        status: EntryStatus::Complete,
        meta: Map::new(),
        usage_tokens: None,
    }
}

async fn all(contexts: &Contexts, id: &str) -> Vec<Entry> {
    let mut out = Vec::new();
    let mut after = None;
    loop {
        let slice = Slice { limit: 500, after, ..Slice::default() };
        let page = contexts.messages(&key(id), slice).await.unwrap();
        out.extend(page.items);
        match page.next {
            Some(next) => after = Some(next.parse().unwrap()),
            None => return out,
        }
    }
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.content.plain().into_owned()).collect()
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Fault>, code: Code) -> Fault {
    let fault = result.unwrap_err();
    assert_eq!(fault.code(), code, "{fault:?}");
    fault
}

fn reason(fault: &Fault) -> &str {
    fault.detail_values().and_then(|d| d.get("reason")).and_then(Value::as_str).unwrap_or("")
}
