//! Plans of windows, summaries that are swapped in, pinned entries, recall and search.

use context::{
    Budget, Contexts, EntryStatus, New, NewTurn, Plan, Settings, Strategy, Tenant, View,
};
use serde_json::json;
use wire::Code;
use wire::prompt::{Message, Prompt, Role};

use crate::{LOCAL, all, begin, both, echo, key, outcome, refused, reply, said, text, texts, turn};

const WORDS: &str = "some words to fill the window with. ";

async fn talk(contexts: &Contexts, id: &str, turns: usize) {
    for i in 0..turns {
        echo(contexts, turn(id, &format!("{i} {}", WORDS.repeat(8)))).await.unwrap();
    }
}

#[expect(clippy::unnecessary_wraps, reason = "callers hand it on as it is")]
fn plan(value: &serde_json::Value) -> Option<Plan> {
    Some(Plan::parse(value).unwrap())
}

fn called(id: &str, window: &serde_json::Value) -> New {
    let settings = Settings { window: plan(window), ..Settings::default() };
    New { id: Some(id.to_owned()), settings, ..New::default() }
}

async fn tokens(contexts: &Contexts, id: &str) -> u32 {
    let wide = Budget { tokens: 1_000_000 };
    let window = contexts.preview_window_as(&key(id), wide, plan(&json!("full"))).await.unwrap();
    u32::try_from(window.tokens).unwrap()
}

#[tokio::test]
async fn the_last_turns_are_carried_and_nothing_else() {
    both(async |contexts| {
        contexts
            .create(LOCAL, called("c", &json!({"strategy": "last", "turns": 2})))
            .await
            .unwrap();
        talk(&contexts, "c", 5).await;
        let budget = Budget { tokens: 1_000_000 };
        let window = contexts.window(&key("c"), budget).await.unwrap();
        let seqs: Vec<_> = window.entries.iter().map(|e| e.seq).collect();
        assert_eq!(seqs, [7, 8, 9, 10]);
        let full = contexts.window_as(&key("c"), budget, plan(&json!("full"))).await.unwrap();
        assert_eq!(full.entries.len(), 10);
        // A plan for one call moves nothing.
        let narrow = plan(&json!({"strategy": "budget", "tokens": 300}));
        let cut = contexts.window_as(&key("c"), budget, narrow).await.unwrap();
        assert!(cut.cut.is_some() && cut.entries.len() < 6);
        assert_eq!(contexts.window(&key("c"), budget).await.unwrap().entries.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_summary_takes_the_place_of_older_turns_if_nothing_has_changed() {
    both(async |contexts| {
        contexts.create(LOCAL, called("c", &json!("summary"))).await.unwrap();
        talk(&contexts, "c", 20).await;
        let budget = Budget { tokens: tokens(&contexts, "c").await };
        let task = contexts.summary_due(&key("c"), budget, None).await.unwrap().unwrap();
        assert!(contexts.summary_due(&key("c"), budget, None).await.unwrap().is_none());
        assert_eq!((task.entries[0].seq, task.previous.as_deref()), (1, None));
        let last = task.entries.last().unwrap().seq;
        let text = task.extract();
        assert!(text.len() <= task.bytes_max && text.contains("fill the window"), "{text}");
        // The conversation goes on while the summary is written.
        echo(&contexts, turn("c", "meanwhile")).await.unwrap();
        assert!(contexts.swap_summary(task, &text, "offline").await.unwrap());
        let window = contexts.window(&key("c"), budget).await.unwrap();
        assert_eq!(window.entries[0].seq, last + 1);
        assert_eq!(window.summary.as_ref().unwrap().text, text);
        assert_eq!((window.summary.unwrap().upto, window.cut), (last, None));
        assert_eq!(all(&contexts, "c").await.len(), 42);
        // The next one goes on from this one.
        talk(&contexts, "c", 20).await;
        let task = contexts.summary_due(&key("c"), budget, None).await.unwrap().unwrap();
        assert_eq!(task.previous.as_deref(), Some(text.as_str()));
        // A rollback in the meantime makes it worthless.
        contexts.rollback(&key("c"), context::To::Seq(2), None).await.unwrap();
        assert!(!contexts.swap_summary(task, "late", "offline").await.unwrap());
        assert_eq!(contexts.summaries(&key("c")).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_cut_before_the_summary_fits_and_the_summary_follows() {
    both(async |contexts| {
        contexts.create(LOCAL, called("c", &json!("summary"))).await.unwrap();
        talk(&contexts, "c", 20).await;
        let budget = Budget { tokens: tokens(&contexts, "c").await / 2 };
        let cut = contexts.window(&key("c"), budget).await.unwrap().cut.unwrap();
        let task = contexts.summary_due(&key("c"), budget, None).await.unwrap().unwrap();
        assert_eq!(task.entries.last().unwrap().seq, cut.first_seq - 1);
        assert!(contexts.swap_summary(task, "what was before", "offline").await.unwrap());
        let window = contexts.window(&key("c"), budget).await.unwrap();
        assert_eq!(window.entries[0].seq, cut.first_seq);
        assert_eq!(window.summary.unwrap().text, "what was before");
        // A task that is dropped gives its place back.
        assert!(contexts.summary_due(&key("c"), budget, None).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn a_summary_that_waits_does_not_let_the_window_outgrow_its_budget() {
    both(async |contexts| {
        let window = plan(&json!("summary"));
        contexts.create(LOCAL, called("c", &json!("summary"))).await.unwrap();
        talk(&contexts, "c", 20).await;
        let budget = Budget { tokens: tokens(&contexts, "c").await };
        let task = contexts.summary_due(&key("c"), budget, None).await.unwrap().unwrap();
        // It comes while a turn is running, so that the next turn has to take it in; and every
        // turn from then on brings a window of its own, which moves nothing.
        let open = begin(&contexts, turn("c", "a question")).await;
        assert!(contexts.swap_summary(task, "what was before", "offline").await.unwrap());
        contexts.finish(&open, outcome(text("an answer"))).await.unwrap();
        for _ in 0..8 {
            talk(&contexts, "c", 10).await;
            let held = contexts.window_as(&key("c"), budget, window.clone()).await.unwrap();
            assert!(held.tokens <= budget.tokens.into(), "{} of {}", held.tokens, budget.tokens);
            if let Some(task) = contexts.summary_due(&key("c"), budget, None).await.unwrap() {
                let upto = task.entries.last().unwrap().seq;
                let open = begin(&contexts, turn("c", "meanwhile")).await;
                assert!(contexts.swap_summary(task, "more of it", "offline").await.unwrap());
                contexts.finish(&open, outcome(text("an answer"))).await.unwrap();
                let held = contexts.window_as(&key("c"), budget, window.clone()).await.unwrap();
                assert_eq!(held.summary.unwrap().upto, upto);
            }
        }
        assert!(contexts.summaries(&key("c")).await.unwrap().len() > 3);
    })
    .await;
}

#[tokio::test]
async fn pinned_entries_are_carried_after_a_cut() {
    both(async |contexts| {
        talk(&contexts, "c", 20).await;
        contexts.pin(&key("c"), 1, true).await.unwrap();
        contexts.pin(&key("c"), 40, true).await.unwrap();
        assert_eq!(contexts.pins(&key("c")).await.unwrap(), [1, 40]);
        let budget = Budget { tokens: tokens(&contexts, "c").await / 2 };
        let window = contexts.window(&key("c"), budget).await.unwrap();
        // What the window carries anyway is not carried twice.
        assert_eq!(window.pinned.iter().map(|e| e.seq).collect::<Vec<_>>(), [1]);
        assert!(window.entries[0].seq > 1 && window.tokens <= budget.tokens.into());
        contexts.pin(&key("c"), 1, false).await.unwrap();
        assert!(contexts.window(&key("c"), budget).await.unwrap().pinned.is_empty());
        refused(contexts.pin(&key("c"), 99, true).await, Code::NotFound);
    })
    .await;
}

#[tokio::test]
async fn older_messages_that_fit_the_question_are_recalled() {
    both(async |contexts| {
        let window = json!({"strategy": "last", "turns": 1, "recall": 2});
        contexts.create(LOCAL, called("c", &window)).await.unwrap();
        for message in ["My dog Rex is afraid of thunder.", "I like tea.", "The train leaves at 5."]
        {
            echo(&contexts, turn("c", message)).await.unwrap();
        }
        echo(&contexts, turn("c", "What frightens my dog?")).await.unwrap();
        let ask = vec![said(Role::User, text("tell me about the dog and the thunder"))];
        contexts.append(&key("c"), ask, None, None).await.unwrap();
        let budget = Budget { tokens: 1_000_000 };
        let window = contexts.window(&key("c"), budget).await.unwrap();
        assert_eq!(window.entries.len(), 1);
        let first = &window.recalled[0];
        assert_eq!((first.seq, first.entries[0].seq), (1, 1));
        assert_eq!(first.entries[1].role, Role::Assistant);
        let told: Vec<_> = window.recalled.iter().flat_map(|r| texts(&r.entries)).collect();
        assert_eq!(told.len(), told.iter().collect::<std::collections::HashSet<_>>().len());
        let none = contexts.recall(&key("c"), "the and of", 5, None).await.unwrap();
        assert!(none.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_search_finds_words_in_all_contexts_of_its_tenant() {
    both(async |contexts| {
        for (id, message) in [("a", "the harbour of Zürich"), ("b", "a quiet harbour"), ("c", "x")]
        {
            let message = message.to_owned();
            let answer = move |_: &mut View<'_>| Ok(reply("noted"));
            contexts.answer_now(turn(id, &message), answer).await.unwrap();
        }
        let other = Tenant(7);
        let stranger =
            NewTurn { key: context::Key::new(other, "s").unwrap(), ..turn("s", "their harbour") };
        echo(&contexts, stranger).await.unwrap();
        let hits = contexts.search(LOCAL, "HARBOURS", 10).await.unwrap();
        let mut ids: Vec<_> = hits.iter().map(|hit| hit.context.as_ref()).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["a", "b"]);
        let exact = contexts.search(LOCAL, "harbour zurich", 10).await.unwrap();
        assert_eq!((exact.len(), exact[0].seq), (1, 1));
        assert_eq!(exact[0].excerpt, "the harbour of Zürich");
        assert_eq!(contexts.search(other, "harbour", 10).await.unwrap().len(), 2);
        // Words of the query language are words.
        assert!(contexts.search(LOCAL, "NOT \" OR (x* harbour", 10).await.unwrap().is_empty());
        refused(contexts.search(LOCAL, "?!", 10).await, Code::InvalidInput);
        refused(contexts.search(LOCAL, "x", 0).await, Code::InvalidInput);
        contexts.delete(&key("a")).await.unwrap();
        assert_eq!(contexts.search(LOCAL, "harbour", 10).await.unwrap().len(), 1);
        // What was rolled back is not found, and is again when that is undone.
        contexts.rollback(&key("b"), context::To::Seq(0), None).await.unwrap();
        assert!(contexts.search(LOCAL, "harbour", 10).await.unwrap().is_empty());
        contexts.rollback(&key("b"), context::To::Undo, None).await.unwrap();
        assert_eq!(contexts.search(LOCAL, "harbour", 10).await.unwrap().len(), 1);
    })
    .await;
}

fn prompt(system: &str, messages: &[&str]) -> Prompt {
    let messages = messages.iter().map(|text| Message::text(Role::User, *text)).collect();
    Prompt {
        model: "m".to_owned(),
        system: Some(system.to_owned()),
        system_raw: None,
        private: None,
        messages,
        tools: Vec::new(),
        knobs: wire::prompt::Knobs::default(),
    }
}

/// Answers a turn as an upstream would; says why its request began a new epoch.
async fn step(contexts: &Contexts, model: &str, sent: &Prompt) -> Option<&'static str> {
    let open = begin(contexts, turn("c", "next")).await;
    let wide = Budget { tokens: 1_000_000 };
    let window = contexts.window(&key("c"), wide).await.unwrap();
    let mut step = window.footing.step(model, sent, 100);
    step.cached = 40;
    let reason = step.reason.map(context::Reason::as_str);
    let done = outcome(text("ok"));
    assert_eq!(done.status, EntryStatus::Complete);
    contexts.finish_step(&open, done, step).await.unwrap();
    reason
}

#[tokio::test]
async fn an_epoch_ends_for_a_reason_that_is_recorded_with_its_cost() {
    both(async |contexts| {
        let m = "anthropic/m";
        assert_eq!(step(&contexts, m, &prompt("s", &["a"])).await, Some("first"));
        assert_eq!(step(&contexts, m, &prompt("s", &["a", "b"])).await, None);
        assert_eq!(step(&contexts, m, &prompt("s", &["a", "b", "c"])).await, None);
        assert_eq!(step(&contexts, m, &prompt("s", &["a", "B", "c", "d"])).await, Some("drift"));
        assert_eq!(step(&contexts, m, &prompt("t", &["a", "B", "c", "d"])).await, Some("system"));
        assert_eq!(step(&contexts, "x/m", &prompt("t", &["a", "B"])).await, Some("model"));
        contexts.rollback(&key("c"), context::To::Seq(2), None).await.unwrap();
        assert_eq!(step(&contexts, "x/m", &prompt("t", &["a"])).await, Some("rollback"));
        let epochs = contexts.epochs(&key("c")).await.unwrap();
        let line: Vec<_> = epochs.iter().map(|e| (e.number, e.reason.as_str(), e.turns)).collect();
        let expected = [
            (5, "rollback", 1),
            (4, "model", 1),
            (3, "system", 1),
            (2, "drift", 1),
            (1, "first", 3),
        ];
        assert_eq!(line, expected);
        let first = epochs.last().unwrap();
        assert_eq!(
            (first.rewritten_tokens, first.prompt_tokens, first.cached_tokens),
            (60, 300, 120)
        );
        let fork = New { id: Some("f".to_owned()), ..New::default() };
        contexts.fork(&key("c"), None, fork).await.unwrap();
        let window = contexts.window(&key("f"), Budget { tokens: 1000 }).await.unwrap();
        let forked = window.footing.step(m, &prompt("s", &["a"]), 1);
        assert_eq!((forked.reason.unwrap().as_str(), forked.epoch()), ("fork", 1));
        assert_eq!(window.plan.strategy, Strategy::Budget);
    })
    .await;
}
