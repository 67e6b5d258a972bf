//! Encryption at rest: nothing of what was said lies in the files, and without its key it is gone.

use std::path::Path;

use context::{
    Budget, Contexts, Filter, Format, Idem, New, NewNote, NoteKind, Plan, Settings, Slice, Tenant,
    To, Vault,
};
use serde_json::json;
use storage::Stored as _;
use wire::Code;
use wire::prompt::Role;

use crate::{
    LOCAL, all, begin, echo, key, map, open, outcome, raw, refused, said, text, texts, turn,
};

/// A word that must be nowhere.
const SECRET: &str = "quokka";

async fn unlocked(folder: &Path, on: bool) -> Contexts {
    let contexts = open(folder).await;
    contexts.set_vault(Vault::new(Box::new(|| Ok([7; 32]))));
    contexts.unlock(on).await.unwrap();
    contexts
}

fn holds(folder: &Path, needle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        if bytes.windows(needle.len()).any(|part| part == needle) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Everything that can be said, with the secret in it.
async fn fill(contexts: &Contexts) {
    let window = Some(Plan::parse(&json!("summary")).unwrap());
    let new = New {
        id: Some("a".to_owned()),
        title: Some(format!("title {SECRET}")),
        system: Some(format!("system {SECRET}")),
        state: map(&format!("{{\"animal\":\"{SECRET}\"}}")),
        metadata: map(&format!("{{\"note\":\"{SECRET}\"}}")),
        settings: Settings { window, ..Settings::default() },
        messages: vec![said(Role::User, text(&format!("imported {SECRET}")))],
        ..New::default()
    };
    contexts.create(LOCAL, new).await.unwrap();
    let idem = Idem { key: "once".to_owned(), body_hash: [1; 32] };
    let asked = context::NewTurn {
        remember_last: true,
        idem: Some(idem),
        ..turn("a", &format!("a {SECRET} in the garden"))
    };
    echo(contexts, asked).await.unwrap();
    let note = NewNote {
        kind: NoteKind::Fact,
        name: None,
        value: json!(format!("the {SECRET} sleeps")),
        expires_in: None,
    };
    contexts.note(&key("a"), note).await.unwrap();
    let profile = map(&format!("{{\"pet\":\"{SECRET}\"}}"));
    contexts.edit_profile(LOCAL, "ann", profile, None).await.unwrap();
    contexts.checkpoint(&key("a"), "here", Some(SECRET.to_owned())).await.unwrap();
    for i in 0..6 {
        echo(contexts, turn("a", &format!("message {i} about the {SECRET}"))).await.unwrap();
    }
    let task =
        contexts.summary_due(&key("a"), Budget { tokens: 100 }, None).await.unwrap().unwrap();
    let summary = task.extract();
    assert!(summary.contains(SECRET), "{summary}");
    assert!(contexts.swap_summary(task, &summary, "offline").await.unwrap());
    let fork = New { id: Some("f".to_owned()), ..New::default() };
    contexts.fork(&key("a"), Some(3), fork).await.unwrap();
    contexts.rollback(&key("f"), To::Seq(1), None).await.unwrap();
    let open = begin(contexts, turn("f", "what?")).await;
    let block = format!("[{{\"type\":\"text\",\"text\":\"{SECRET}\"}}]");
    contexts.finish(&open, outcome(raw("anthropic", &block))).await.unwrap();
    let open = begin(contexts, turn("f", "again")).await;
    contexts.fail(&open, SECRET, None).await.unwrap();
}

#[tokio::test]
async fn nothing_of_an_encrypted_context_lies_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = unlocked(folder.path(), true).await;
    fill(&contexts).await;
    // While it runs, with the log of writes, and after it was closed.
    assert_eq!(holds(folder.path(), SECRET.as_bytes()), Vec::<String>::new());
    assert!(contexts.search(LOCAL, SECRET, 10).await.unwrap().is_empty());
    contexts.database().close().await.unwrap();
    assert_eq!(holds(folder.path(), SECRET.as_bytes()), Vec::<String>::new());

    // Encryption may be off later: what was sealed is still read, and its contexts stay sealed.
    let again = unlocked(folder.path(), false).await;
    let found = again.get(&key("a")).await.unwrap();
    assert_eq!(found.title.as_deref(), Some("title quokka"));
    assert_eq!(found.system.as_deref(), Some("system quokka"));
    assert_eq!(found.state["animal"], SECRET);
    assert_eq!(texts(&all(&again, "a").await)[1], "a quokka in the garden");
    assert_eq!(again.profile(LOCAL, "ann").await.unwrap().body["pet"], SECRET);
    assert_eq!(again.notes(&key("a")).await.unwrap()[0].value, "the quokka sleeps");
    let export = again.export(&key("a"), Format::Rapport).await.unwrap();
    assert!(export.text.contains("a quokka in the garden"));
    assert!(again.verify(|_, _| {}).await.unwrap().is_sound());
    echo(&again, turn("a", "another quokka")).await.unwrap();
    let fork = New { id: Some("g".to_owned()), ..New::default() };
    again.fork(&key("a"), None, fork).await.unwrap();
    echo(&again, turn("g", "a third quokka")).await.unwrap();
    echo(&again, turn("plain", "a wombat")).await.unwrap();
    assert_eq!(again.search(LOCAL, "wombat", 10).await.unwrap().len(), 2);
    again.database().close().await.unwrap();
    assert_eq!(holds(folder.path(), SECRET.as_bytes()), Vec::<String>::new());
    assert_ne!(holds(folder.path(), b"wombat"), Vec::<String>::new());
}

#[tokio::test]
async fn without_its_key_a_context_is_gone_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = unlocked(folder.path(), true).await;
    fill(&contexts).await;
    let other = New { id: Some("o".to_owned()), ..New::default() };
    contexts.create(Tenant(1), other).await.unwrap();
    let sealed: Vec<u8> = contexts
        .database()
        .read(|c| {
            let sql = "SELECT sealed FROM tenant_key WHERE tenant = 0";
            c.query_row(sql, [], |row| row.get(0)).stored()
        })
        .await
        .unwrap();
    assert_eq!(contexts.erase_keys(LOCAL).await.unwrap(), 2);
    assert_eq!(contexts.erase_keys(LOCAL).await.unwrap(), 0);
    for _ in 0..2 {
        let fault = refused(contexts.get(&key("a")).await, Code::NotFound);
        assert_eq!(crate::reason(&fault), "erased");
    }
    refused(contexts.messages(&key("a"), Slice::default()).await, Code::NotFound);
    refused(echo(&contexts, turn("a", "still there?")).await, Code::NotFound);
    let listed = contexts.list(LOCAL, Filter::default()).await.unwrap();
    assert_eq!((listed.items.len(), &listed.items[0].title), (2, &None));
    contexts.get(&context::Key::new(Tenant(1), "o").unwrap()).await.unwrap();
    contexts.delete(&key("a")).await.unwrap();
    refused(contexts.get(&key("a")).await, Code::ContextNotFound);
    // The tenant goes on with a new key.
    echo(&contexts, turn("n", "a new quokka")).await.unwrap();
    assert_eq!(texts(&all(&contexts, "n").await)[0], "a new quokka");
    contexts.database().close().await.unwrap();
    assert_eq!(holds(folder.path(), &sealed), Vec::<String>::new());
    let again = unlocked(folder.path(), true).await;
    refused(again.get(&key("f")).await, Code::NotFound);
    assert_eq!(texts(&all(&again, "n").await)[0], "a new quokka");
    again.database().close().await.unwrap();
}

#[tokio::test]
async fn another_master_key_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = unlocked(folder.path(), true).await;
    fill(&contexts).await;
    contexts.database().close().await.unwrap();
    let wrong = open(folder.path()).await;
    refused(wrong.unlock(false).await, Code::ConfigurationError);
    wrong.set_vault(Vault::new(Box::new(|| Ok([8; 32]))));
    let fault = refused(wrong.unlock(false).await, Code::ConfigurationError);
    assert!(fault.hint_text().unwrap().contains("vault.key"), "{fault:?}");
    // What cannot be opened is not taken for empty.
    refused(wrong.get(&key("a")).await, Code::StorageError);
    wrong.database().close().await.unwrap();
}
