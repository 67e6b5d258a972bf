//! Recall by vectors: what it finds beside words, and that nothing breaks when the model does.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use context::{
    By, Content, Contexts, Embedder, Embedding, Key, New, NewEntry, Purpose, Recalled, RedactMode,
    RedactOrder, RedactPlan,
};
use wire::prompt::Role;
use wire::{Code, Fault};

use crate::{LOCAL, both, key, said, text};

/// Subjects, each with words that mean the same.
const SUBJECTS: [&[&str]; 4] = [
    &["car", "automobile", "vehicle"],
    &["dog", "puppy", "hound"],
    &["rain", "downpour", "drizzle"],
    &["secret"],
];

/// A model that knows a few words, and fails when it is told to.
#[derive(Debug)]
struct Words {
    name: Mutex<Arc<str>>,
    length: usize,
    fails: Mutex<Option<Code>>,
    seen: Mutex<Vec<String>>,
    calls: AtomicU32,
}

impl Words {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: Mutex::new(name.into()),
            length: 8,
            fails: Mutex::default(),
            seen: Mutex::default(),
            calls: AtomicU32::new(0),
        })
    }
}

impl Embedder for Words {
    fn model(&self) -> Option<Arc<str>> {
        Some(Arc::clone(&self.name.lock().unwrap()))
    }

    fn embed(&self, texts: Vec<String>, _: Purpose) -> Embedding {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.seen.lock().unwrap().extend(texts.iter().cloned());
        let fails = *self.fails.lock().unwrap();
        let refused = texts.iter().any(|text| text.contains("unspeakable"));
        let length = self.length;
        Box::pin(async move {
            if let Some(code) = fails {
                return Err(Fault::new(code, "the model is away"));
            }
            if refused {
                return Err(Fault::new(Code::InvalidInput, "the model does not take this"));
            }
            Ok(texts.iter().map(|text| vector(text, length)).collect())
        })
    }
}

fn vector(text: &str, length: usize) -> Vec<f32> {
    let mut out = vec![0.0; length];
    for (axis, words) in out.iter_mut().zip(SUBJECTS) {
        let count = words.iter().filter(|word| text.contains(**word)).count();
        *axis = f32::from(u16::try_from(count).unwrap());
    }
    if let Some(last) = out.last_mut().filter(|_| !text_is_known(text)) {
        *last = 1.0;
    }
    out
}

fn text_is_known(text: &str) -> bool {
    SUBJECTS.iter().any(|words| words.iter().any(|word| text.contains(word)))
}

fn talk() -> Vec<NewEntry> {
    let mut out = Vec::new();
    for line in [
        "the automobile broke down near Ghent",
        "we had to walk home",
        "my puppy ate the letter",
        "it was important, too",
        "a downpour flooded the cellar",
        "and nobody had a pump",
        "the coach was late as always",
        "so we took the ferry",
    ] {
        out.push(said(if out.len() % 2 == 0 { Role::User } else { Role::Assistant }, text(line)));
    }
    out
}

async fn filled(contexts: &Contexts, id: &str) -> Key {
    let new = New { id: Some(id.to_owned()), messages: talk(), ..New::default() };
    contexts.create(LOCAL, new).await.unwrap();
    key(id)
}

async fn vectorise(contexts: &Contexts, key: &Key) {
    while contexts.vectorise(key).await.unwrap() {}
}

fn seqs(found: &[Recalled]) -> Vec<u32> {
    found.iter().map(|one| one.seq).collect()
}

#[tokio::test]
async fn what_is_said_in_other_words_is_found_by_its_vector() {
    both(async |contexts| {
        let key = filled(&contexts, "c").await;
        let question = "what happened to the vehicle";
        assert!(contexts.recall(&key, question, 3, None).await.unwrap().is_empty());
        assert!(!contexts.vectorise(&key).await.unwrap(), "nobody makes vectors");
        assert_eq!(contexts.vectorised(&key).await.unwrap(), None);

        contexts.set_embedder(Words::new("words"));
        let before = contexts.vectorised(&key).await.unwrap().unwrap();
        assert_eq!((before.done, before.waiting), (0, 8));
        vectorise(&contexts, &key).await;
        let after = contexts.vectorised(&key).await.unwrap().unwrap();
        assert_eq!((&*after.model, after.done, after.waiting), ("words", 8, 0));
        let found = contexts.recall(&key, question, 1, None).await.unwrap();
        assert_eq!(seqs(&found), [1]);
        assert_eq!((found[0].words, found[0].vectors), (None, Some(1)));
        // The neighbour comes along, and what lies later is left out on demand.
        assert_eq!(found[0].entries.len(), 2);
        let asked = (3, Some(1));
        let early = contexts.recall_by(&key, question, asked, By::Vectors).await.unwrap();
        assert!(early.is_empty(), "{early:?}");
        let words = contexts.recall_by(&key, question, (3, None), By::Words).await.unwrap();
        assert!(words.is_empty(), "{words:?}");
    })
    .await;
}

#[tokio::test]
async fn a_message_that_both_ways_find_comes_first() {
    both(async |contexts| {
        contexts.set_embedder(Words::new("words"));
        let key = filled(&contexts, "c").await;
        vectorise(&contexts, &key).await;
        let found = contexts.recall(&key, "letter for the dog, coach", 3, None).await.unwrap();
        assert_eq!(found[0].seq, 3, "{found:?}");
        assert!(found[0].words.is_some() && found[0].vectors == Some(1));
        assert!(found[0].score > found[1].score);
    })
    .await;
}

#[tokio::test]
async fn a_model_that_fails_leaves_recall_to_the_words() {
    both(async |contexts| {
        let model = Words::new("words");
        contexts.set_embedder(model.clone());
        let key = filled(&contexts, "c").await;
        *model.fails.lock().unwrap() = Some(Code::UpstreamUnavailable);
        assert!(contexts.vectorise(&key).await.is_err());
        assert_eq!(contexts.vectorised(&key).await.unwrap().unwrap().done, 0);
        let found = contexts.recall(&key, "which letter", 2, None).await.unwrap();
        assert_eq!(seqs(&found), [3]);
        // When it is back, it goes on where it was.
        *model.fails.lock().unwrap() = None;
        vectorise(&contexts, &key).await;
        assert_eq!(contexts.vectorised(&key).await.unwrap().unwrap().waiting, 0);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_the_model_refuses_is_left_without_and_the_rest_is_not() {
    both(async |contexts| {
        let model = Words::new("words");
        contexts.set_embedder(model.clone());
        let key = filled(&contexts, "c").await;
        let more = vec![
            said(Role::User, text("unspeakable things about a hound")),
            said(Role::User, text("   ")),
            said(Role::User, text("drizzle again")),
        ];
        contexts.append(&key, more, None, None).await.unwrap();
        vectorise(&contexts, &key).await;
        assert_eq!(contexts.vectorised(&key).await.unwrap().unwrap().waiting, 0);
        let by = By::Vectors;
        let dogs = contexts.recall_by(&key, "dog", (5, None), by).await.unwrap();
        assert_eq!(dogs[0].seq, 3);
        assert!(!seqs(&dogs).contains(&9), "{dogs:?}");
        let rain = contexts.recall_by(&key, "rain", (2, None), by).await.unwrap();
        assert_eq!(seqs(&rain), [11, 5]);
        // Done is done: the next look asks nobody.
        let calls = model.calls.load(Ordering::Relaxed);
        assert!(!contexts.vectorise(&key).await.unwrap());
        assert_eq!(model.calls.load(Ordering::Relaxed), calls);
    })
    .await;
}

#[tokio::test]
async fn another_model_makes_vectors_of_its_own() {
    both(async |contexts| {
        contexts.set_embedder(Words::new("first"));
        let key = filled(&contexts, "c").await;
        vectorise(&contexts, &key).await;
        let mut second = Words::new("second");
        Arc::get_mut(&mut second).unwrap().length = 12;
        contexts.set_embedder(second.clone());
        let none = contexts.recall_by(&key, "vehicle", (3, None), By::Vectors).await.unwrap();
        assert!(none.is_empty(), "vectors of another model were compared: {none:?}");
        vectorise(&contexts, &key).await;
        let found = contexts.recall_by(&key, "vehicle", (1, None), By::Vectors).await.unwrap();
        assert_eq!(seqs(&found), [1]);
    })
    .await;
}

#[tokio::test]
async fn a_fork_shares_vectors_and_adds_its_own() {
    both(async |contexts| {
        let model = Words::new("words");
        contexts.set_embedder(model.clone());
        let parent = filled(&contexts, "c").await;
        vectorise(&contexts, &parent).await;
        let new = New { id: Some("f".to_owned()), ..New::default() };
        contexts.fork(&parent, Some(4), new).await.unwrap();
        let fork = key("f");
        let added = vec![said(Role::User, text("another hound barks"))];
        contexts.append(&fork, added, None, None).await.unwrap();
        let known = contexts.vectorised(&fork).await.unwrap().unwrap();
        assert_eq!((known.done, known.waiting), (4, 1));
        model.seen.lock().unwrap().clear();
        vectorise(&contexts, &fork).await;
        assert_eq!(*model.seen.lock().unwrap(), ["another hound barks"]);
        let found = contexts.recall_by(&fork, "dog", (2, None), By::Vectors).await.unwrap();
        assert_eq!(seqs(&found), [5, 3]);
        let rain = contexts.recall_by(&fork, "rain", (1, None), By::Vectors).await.unwrap();
        assert_ne!(seqs(&rain), [5], "the parent's later messages are not the fork's");
        // The parent goes, and what the fork reads stays.
        contexts.delete(&parent).await.unwrap();
        let found = contexts.recall_by(&fork, "dog", (2, None), By::Vectors).await.unwrap();
        assert_eq!(seqs(&found), [5, 3]);
    })
    .await;
}

#[tokio::test]
async fn a_redacted_message_gets_the_vector_of_what_is_left() {
    both(async |contexts| {
        let model = Words::new("words");
        contexts.set_embedder(model.clone());
        let key = filled(&contexts, "c").await;
        let secret = said(Role::User, text("the secret is with ada@example.com"));
        contexts.append(&key, vec![secret], None, None).await.unwrap();
        vectorise(&contexts, &key).await;
        let order = RedactOrder { first: 9, last: None, plan: None };
        contexts.redact(&key, order).await.unwrap();
        let known = contexts.vectorised(&key).await.unwrap().unwrap();
        assert_eq!((known.done, known.waiting), (8, 1), "the vector outlived its words");
        model.seen.lock().unwrap().clear();
        vectorise(&contexts, &key).await;
        assert_eq!(*model.seen.lock().unwrap(), ["[redacted]"]);
    })
    .await;
}

#[tokio::test]
async fn a_model_of_vectors_sees_marks_where_models_see_marks() {
    both(async |contexts| {
        let model = Words::new("words");
        contexts.set_embedder(model.clone());
        let plan =
            RedactPlan::new(RedactMode::Render, vec!["email".to_owned()], context::Map::new());
        contexts.set_redaction(Some(plan.unwrap()));
        let messages = vec![said(Role::User, Content::Text("ask ada@example.com".to_owned()))];
        let new = New { id: Some("c".to_owned()), messages, ..New::default() };
        contexts.create(LOCAL, new).await.unwrap();
        vectorise(&contexts, &key("c")).await;
        assert_eq!(*model.seen.lock().unwrap(), ["ask [redacted: email]"]);
    })
    .await;
}
