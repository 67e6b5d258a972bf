//! Mounts at the store: what another server says is held against what was proven here.

use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use context::{Contexts, Key, LogRange, Mount, MountState, NewMount, NewShare, Signed, Vault};
use serde_json::{Value, json};
use wire::{Code, Fault};

use crate::{LOCAL, all, key, open, said, text};

/// How long a mount waits before it is asked for again.
const WAIT: Duration = Duration::from_secs(60);

/// A server that says what it likes, and signs it.
struct Origin {
    key: Ed25519KeyPair,
    id: &'static str,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Origin {
    fn new(id: &'static str) -> Self {
        Self { key: Ed25519KeyPair::from_seed_unchecked(&[9; 32]).unwrap(), id }
    }

    fn public(&self) -> String {
        format!("ed25519:{}", hex(self.key.public_key().as_ref()))
    }

    /// The chain before the first entry.
    fn beginning(&self) -> String {
        let mut told = b"rapport log 1\n".to_vec();
        told.extend_from_slice(&(self.id.len() as u64).to_le_bytes());
        told.extend_from_slice(self.id.as_bytes());
        told.extend_from_slice(&0_i64.to_le_bytes());
        hex(blake3::hash(&told).as_bytes())
    }

    fn sign(&self, statement: &Value) -> Signed {
        let statement = statement.to_string();
        let message = format!("rapport statement 1\n{statement}");
        let signature = hex(self.key.sign(message.as_bytes()).as_ref());
        Signed { statement, signature, key: self.public() }
    }

    /// An empty range at the beginning of a log of `head` entries, with `fields` changed.
    fn range(&self, nonce: &str, head: u32, fields: &Value) -> LogRange {
        let begins = self.beginning();
        let mut statement = json!({
            "about": "range", "nonce": nonce, "at": 1, "context": self.id, "first": 1, "last": 0,
            "head": head, "before": begins, "after": begins,
        });
        for (name, value) in fields.as_object().unwrap() {
            statement.as_object_mut().unwrap().insert(name.clone(), value.clone());
        }
        LogRange { signed: self.sign(&statement), entries: Vec::new() }
    }

    fn refusal(&self, nonce: &str, token: &str) -> Signed {
        let token = hex(blake3::hash(token.as_bytes()).as_bytes());
        self.sign(&json!({
            "about": "refusal", "nonce": nonce, "at": 1, "context": token, "reason": "no_share",
        }))
    }

    fn wanted(&self, token: &str) -> NewMount {
        NewMount {
            id: None,
            url: "https://there.example".to_owned(),
            token: token.to_owned(),
            key: Some(self.public()),
        }
    }

    async fn mount(&self, contexts: &Contexts, token: &str) -> Mount {
        let first = self.range("n", 0, &json!({}));
        contexts.mount(LOCAL, self.wanted(token), (&first, "n")).await.unwrap().1
    }
}

async fn reader(folder: &Path) -> Contexts {
    let contexts = open(folder).await;
    contexts.set_vault(Vault::new(Box::new(|| Ok([7; 32]))));
    contexts
}

/// Looks once whether it is over.
async fn poll<F: Future + Unpin>(future: &mut F) {
    std::future::poll_fn(|context| {
        let _over = std::pin::Pin::new(&mut *future).poll(context).is_ready();
        std::task::Poll::Ready(())
    })
    .await;
}

/// Appends a message, as somebody would who does not know of the mount.
async fn append(contexts: &Contexts, key: &Key) -> Result<(), Fault> {
    let entry = said(wire::prompt::Role::User, text("mine"));
    contexts.append(key, vec![entry], None, None).await.map(|_| ())
}

#[tokio::test]
async fn a_caller_that_leaves_while_it_mounts_leaves_a_mount_that_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = reader(folder.path()).await;
    let origin = Origin::new("talk");
    // The vault makes its key before the mount is on its way.
    Origin::new("other").mount(&contexts, "t").await;
    let first = origin.range("n", 0, &json!({}));
    let mut polls = 1;
    // The writer is kept busy, so that a caller who leaves is gone before the mount is stored.
    while contexts.mounted(&key("talk")).await.is_err() {
        let (free, busy) = std::sync::mpsc::sync_channel::<()>(1);
        let wait = move |_: &storage::rusqlite::Connection| {
            busy.recv().ok();
            Ok(())
        };
        let mut blocking = Box::pin(contexts.database().write(storage::Durability::Fast, wait));
        poll(&mut blocking).await;
        let mut mounting = Box::pin(contexts.mount(LOCAL, origin.wanted("t"), (&first, "n")));
        for _ in 0..polls {
            poll(&mut mounting).await;
            tokio::task::yield_now().await;
        }
        drop(mounting);
        drop(free);
        blocking.await.unwrap();
        // What was under way is over behind this.
        append(&contexts, &key("nothing")).await.unwrap_err();
        polls *= 2;
    }
    assert!(contexts.is_mounted(&key("talk")));
}

#[tokio::test]
async fn a_mount_that_is_gone_holds_its_id_no_longer() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = reader(folder.path()).await;
    let origin = Origin::new("talk");
    origin.mount(&contexts, "t").await;
    assert_eq!(append(&contexts, &key("talk")).await.unwrap_err().code(), Code::ContextClosed);
    contexts.unmount(&key("talk")).await.unwrap();
    let new = context::New { id: Some("talk".to_owned()), ..context::New::default() };
    contexts.create(LOCAL, new).await.unwrap();
    append(&contexts, &key("talk")).await.unwrap();
    // It is deleted as what it is.
    contexts.delete(&key("talk")).await.unwrap();
    origin.mount(&contexts, "t").await;
    assert_eq!(append(&contexts, &key("talk")).await.unwrap_err().code(), Code::ContextClosed);
}

#[tokio::test]
async fn a_refusal_of_an_earlier_token_does_not_end_the_mount_with_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = reader(folder.path()).await;
    let origin = Origin::new("talk");
    origin.mount(&contexts, "old").await;
    let refusal = origin.refusal("n", "old");
    contexts.unmount(&key("talk")).await.unwrap();
    origin.mount(&contexts, "new").await;
    let fault = contexts.end_mount(&key("talk"), &refusal, "n").await.unwrap_err();
    assert_eq!(fault.code(), Code::UpstreamInvalid);
    assert_ne!(contexts.mounted(&key("talk")).await.unwrap().state, MountState::Ended);
    let refusal = origin.refusal("n", "new");
    let ended = contexts.end_mount(&key("talk"), &refusal, "n").await.unwrap();
    assert_eq!(ended.state, MountState::Ended);
}

#[tokio::test]
async fn what_no_server_stores_is_not_stored_here_either() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = reader(folder.path()).await;
    let origin = Origin::new("talk");
    origin.mount(&contexts, "t").await;
    let take = async |range: LogRange| contexts.take_range(&key("talk"), (range, "n"), WAIT).await;
    let fault = take(origin.range("n", 0, &json!({"title": "x".repeat(2000)}))).await.unwrap_err();
    assert_eq!(fault.code(), Code::UpstreamInvalid, "{fault:?}");
    assert!(fault.text().contains("its title is too long"), "{fault:?}");
    // Another part of the log than was asked for.
    let begins = json!({"first": 5, "last": 4});
    let fault = take(origin.range("n", 9, &begins)).await.unwrap_err();
    assert_eq!(fault.code(), Code::UpstreamInvalid, "{fault:?}");
    assert!(fault.text().contains("begins at entry 5, and 0 are here"), "{fault:?}");
    assert_eq!(contexts.get(&key("talk")).await.unwrap().title, None);
    take(origin.range("n", 0, &json!({"title": "T"}))).await.unwrap();
    assert_eq!(contexts.get(&key("talk")).await.unwrap().title.as_deref(), Some("T"));
}

#[tokio::test]
async fn notes_of_any_length_are_not_taken_from_a_real_origin() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (origin, contexts) = (reader(there.path()).await, reader(here.path()).await);
    let new = context::New { id: Some("talk".to_owned()), ..context::New::default() };
    origin.create(LOCAL, new).await.unwrap();
    let mut entry = said(wire::prompt::Role::Assistant, text("hello"));
    entry.model = Some("m".repeat(5000));
    origin.append(&key("talk"), vec![entry], None, None).await.unwrap();
    let (token, _) = origin.share(&key("talk"), NewShare::default()).await.unwrap();
    let first = origin.signed_range(&token, (0, 500), "n").await.unwrap();
    let new = NewMount { id: None, url: "https://a.example".into(), token, key: None };
    contexts.mount(LOCAL, new, (&first, "n")).await.unwrap();
    let fault = contexts.take_range(&key("talk"), (first, "n"), WAIT).await.unwrap_err();
    assert!(fault.text().contains("the model of an entry is too long"), "{fault:?}");
    assert!(all(&contexts, "talk").await.is_empty());
}

#[tokio::test]
async fn a_key_that_is_none_is_the_origins_fault_and_told_in_a_few_words() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = reader(folder.path()).await;
    let origin = Origin::new("talk");
    let mut first = origin.range("n", 0, &json!({}));
    first.signed.key = "\u{1b}[2J".repeat(5000);
    for new in [NewMount { key: None, ..origin.wanted("t") }, origin.wanted("t")] {
        let fault = contexts.mount(LOCAL, new, (&first, "n")).await.unwrap_err();
        assert_eq!(fault.code(), Code::UpstreamInvalid);
        assert!(fault.text().len() < 1000 && !fault.text().contains('\u{1b}'), "{}", fault.text());
    }
}

#[test]
fn a_token_is_not_in_what_is_printed_for_developers() {
    let new = Origin::new("talk").wanted("rap_share_hush");
    assert!(!format!("{new:?}").contains("hush"), "{new:?}");
}
