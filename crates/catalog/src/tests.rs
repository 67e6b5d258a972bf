//! What keys promise.

use std::time::Duration;

use storage::{Database, Durability, Place, Schema};
use wire::Code;

use crate::{Change, Keys, ModelLimit, NewKey, Rejection, SCHEMA, Scopes};

const SCHEMAS: &[&Schema] = &[&SCHEMA];

fn new(name: &str) -> NewKey {
    let scopes = Scopes { read: true, write: true, admin: false };
    NewKey { name: name.to_owned(), scopes, expires_in: None, models: ModelLimit::default() }
}

async fn memory() -> Keys {
    Keys::open(Database::open(Place::Memory, SCHEMAS).await.unwrap()).await.unwrap()
}

/// The same text with its `at`th character replaced by another one of the alphabet.
fn mistyped(text: &str, at: usize) -> String {
    let change = |c: char| if c == 'A' { 'B' } else { 'A' };
    text.chars().enumerate().map(|(i, c)| if i == at { change(c) } else { c }).collect()
}

#[tokio::test]
async fn a_key_works_until_it_is_revoked() {
    let keys = memory().await;
    assert!(keys.is_empty());
    let made = keys.create(new("ci")).await.unwrap();
    assert!(!keys.is_empty());
    let found = keys.verify(made.secret.expose()).unwrap();
    assert_eq!((found.id.as_str(), found.name.as_str()), (made.key.id.as_str(), "ci"));
    assert!(found.last_used_at.is_some());
    assert!(found.scopes.read && found.scopes.write && !found.scopes.admin);
    let revoked = keys.revoke(&made.key.id).await.unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(keys.verify(made.secret.expose()), Err(Rejection::Revoked));
    assert_eq!(keys.revoke(&made.key.id).await.unwrap().revoked_at, revoked.revoked_at);
    assert!(!keys.is_empty(), "revoking the last key must not open the door");
    let fault = keys.revoke("nobody").await.unwrap_err();
    assert_eq!(fault.code(), Code::NotFound);
}

#[tokio::test]
async fn a_typing_error_is_told_from_an_unknown_key() {
    let keys = memory().await;
    let made = keys.create(new("a")).await.unwrap();
    let secret = made.secret.expose();
    assert_eq!(secret.len(), 42);
    assert!(secret.starts_with("rap_") && secret.starts_with(&made.key.prefix));
    for at in 0..secret.len() {
        assert_eq!(keys.verify(&mistyped(secret, at)), Err(Rejection::Malformed), "at {at}");
    }
    let cut = secret.get(..41).unwrap();
    for wrong in ["", "rap_", cut, "sk-ant-123", &"ü".repeat(21), &secret.to_lowercase()] {
        assert_eq!(keys.verify(wrong), Err(Rejection::Malformed), "{wrong}");
    }
    let stranger = memory().await.create(new("b")).await.unwrap();
    assert_eq!(keys.verify(stranger.secret.expose()), Err(Rejection::Unknown));
}

#[tokio::test]
async fn a_key_ends_with_its_time() {
    let keys = memory().await;
    let made = keys.create(NewKey { expires_in: Some(Duration::ZERO), ..new("brief") });
    let made = made.await.unwrap();
    assert_eq!(keys.verify(made.secret.expose()), Err(Rejection::Expired));
    let made = keys.create(NewKey { expires_in: Some(Duration::from_secs(60)), ..new("long") });
    let made = made.await.unwrap();
    assert!(keys.verify(made.secret.expose()).is_ok());
}

#[tokio::test]
async fn keys_survive_a_restart_and_their_secret_is_nowhere_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let open = async || {
        let place = Place::Folder(folder.path().to_path_buf());
        let db = Database::open(place, SCHEMAS).await.unwrap();
        (db.clone(), Keys::open(db).await.unwrap())
    };
    let (db, keys) = open().await;
    let kept = keys.create(new("kept")).await.unwrap();
    let gone = keys.create(new("gone")).await.unwrap();
    keys.revoke(&gone.key.id).await.unwrap();
    keys.verify(kept.secret.expose()).unwrap();
    keys.note_uses().await.unwrap();
    db.close().await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let random = kept.secret.expose().as_bytes().get(12..).unwrap();
        assert!(!bytes.windows(random.len()).any(|window| window == random));
    }
    let (db, keys) = open().await;
    assert_eq!(keys.verify(gone.secret.expose()), Err(Rejection::Revoked));
    let listed = keys.list();
    let of = |name: &str| listed.iter().find(|key| key.name == name).unwrap();
    assert!(of("kept").last_used_at.is_some());
    assert!(of("gone").revoked_at.is_some() && of("gone").last_used_at.is_none());
    assert!(keys.verify(kept.secret.expose()).is_ok());
    db.close().await.unwrap();
}

#[tokio::test]
async fn a_secret_is_hidden_from_debug_output() {
    let keys = memory().await;
    let made = keys.create(new("x")).await.unwrap();
    let random = made.secret.expose().get(12..).unwrap();
    let printed = format!("{made:?} {keys:?}");
    assert!(!printed.contains(random) && printed.contains("[hidden]"));
}

#[tokio::test]
async fn keys_made_at_the_same_time_are_all_kept() {
    let keys = memory().await;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..50 {
        let keys = keys.clone();
        tasks.spawn(async move { keys.create(new(&format!("k{i}"))).await.unwrap() });
    }
    for made in tasks.join_all().await {
        assert!(keys.verify(made.secret.expose()).is_ok());
    }
    assert_eq!(keys.list().len(), 50);
}

#[tokio::test]
async fn a_key_needs_a_name_and_a_scope() {
    let keys = memory().await;
    let nothing = NewKey { scopes: Scopes::default(), ..new("x") };
    for wrong in [new("  "), new(&"x".repeat(101)), nothing] {
        assert_eq!(keys.create(wrong).await.unwrap_err().code(), Code::InvalidInput);
    }
    assert_eq!(Scopes::parse("read, admin").unwrap().to_string(), "read,admin");
    assert_eq!(Scopes::parse("all").unwrap_err().code(), Code::InvalidInput);
    assert_eq!(Scopes::parse("").unwrap_err().code(), Code::InvalidInput);
    assert!(keys.is_empty());
}

#[tokio::test]
async fn a_key_that_cannot_be_stored_does_not_exist() {
    let db = Database::open(Place::Memory, SCHEMAS).await.unwrap();
    let keys = Keys::open(db.clone()).await.unwrap();
    keys.create(new("first")).await.unwrap();
    let drop_table = |c: &storage::rusqlite::Connection| {
        storage::Stored::stored(c.execute_batch("DROP TABLE api_key"))
    };
    db.write(Durability::Fast, drop_table).await.unwrap();
    assert_eq!(keys.create(new("x")).await.unwrap_err().code(), Code::StorageError);
    assert_eq!(keys.list().len(), 1, "the first one");
}

#[tokio::test]
async fn a_limit_is_changed_at_once_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = || Place::Folder(folder.path().to_owned());
    let patterns = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(|&p| p.to_owned()).collect();
        ModelLimit::parse(&list).unwrap()
    };
    let secret = {
        let db = Database::open(place(), SCHEMAS).await.unwrap();
        let keys = Keys::open(db.clone()).await.unwrap();
        let made = keys.create(NewKey { models: patterns(&["fast"]), ..new("x") }).await.unwrap();
        let change = Change { models: Some(patterns(&["a/*", "b-?"])), ..Change::default() };
        let key = keys.update(&made.key.id, change).await.unwrap();
        assert_eq!(key.name, "x", "what was not said stays");
        assert_eq!(keys.verify(made.secret.expose()).unwrap().models.told(), "a/*, b-?");
        db.close().await.unwrap();
        made.secret.expose().to_owned()
    };
    let keys = Keys::open(Database::open(place(), SCHEMAS).await.unwrap()).await.unwrap();
    let key = keys.verify(&secret).unwrap();
    assert_eq!(key.models, patterns(&["a/*", "b-?"]));
    let all = Change { models: Some(ModelLimit::default()), ..Change::default() };
    assert!(keys.update(&key.id, all).await.unwrap().models.is_none());
    let bad = Change { name: Some(" ".to_owned()), ..Change::default() };
    assert_eq!(keys.update(&key.id, bad).await.unwrap_err().code(), Code::InvalidInput);
    keys.revoke(&key.id).await.unwrap();
    let late = keys.update(&key.id, Change::default()).await.unwrap_err();
    assert_eq!(late.code(), Code::Conflict);
    assert_eq!(keys.update("x", Change::default()).await.unwrap_err().code(), Code::NotFound);
}
