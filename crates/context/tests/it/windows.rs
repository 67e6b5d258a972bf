//! Windows: what is carried, where they are cut, what stays the same between two cuts.

use context::{Begun, Budget, Content, Contexts, EntryStatus, New, Outcome};
use wire::prompt::Role;

use crate::{LOCAL, all, begin, both, echo, key, outcome, raw, said, text, texts, turn};

const WIDE: Budget = Budget { tokens: 1_000_000 };

async fn seqs(contexts: &Contexts, id: &str, budget: Budget) -> Vec<u32> {
    let window = contexts.window(&key(id), budget).await.unwrap();
    window.entries.iter().map(|entry| entry.seq).collect()
}

#[tokio::test]
async fn a_window_within_its_budget_is_the_whole_log() {
    both(async |contexts| {
        for i in 0..5 {
            echo(&contexts, turn("w", &format!("q{i}"))).await.unwrap();
        }
        let window = contexts.window(&key("w"), WIDE).await.unwrap();
        assert_eq!(window.entries.len(), 10);
        assert_eq!(window.cut, None);
        let sum: u64 = window.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
        assert_eq!((window.tokens, window.context.size.tokens), (sum, sum));
        let empty = New { id: Some("e".to_owned()), ..New::default() };
        contexts.create(LOCAL, empty).await.unwrap();
        assert_eq!(seqs(&contexts, "e", Budget { tokens: 0 }).await, Vec::<u32>::new());
    })
    .await;
}

#[tokio::test]
async fn a_cut_goes_to_half_the_budget_and_then_stays() {
    both(async |contexts| {
        let message = "some words to fill the window with. ".repeat(10);
        for _ in 0..40 {
            echo(&contexts, turn("c", &message)).await.unwrap();
        }
        let whole = contexts.window(&key("c"), WIDE).await.unwrap();
        let budget = Budget { tokens: u32::try_from(whole.tokens / 2).unwrap() };
        let preview = contexts.preview_window(&key("c"), budget).await.unwrap();
        let window = contexts.window(&key("c"), budget).await.unwrap();
        let cut = window.cut.unwrap();
        assert_eq!(preview.cut, Some(cut));
        assert_eq!(texts(&preview.entries), texts(&window.entries));
        assert_eq!(window.entries[0].seq, cut.first_seq);
        assert_eq!(window.entries[0].role, Role::User);
        assert_eq!(cut.kept_tokens, window.tokens);
        assert_eq!(cut.kept_tokens + cut.dropped_tokens, whole.tokens);
        assert_eq!(cut.dropped_messages, u64::from(cut.first_seq - 1));
        let half = u64::from(budget.tokens) / 2;
        assert!(window.tokens <= half && window.tokens > half * 9 / 10, "{}", window.tokens);
        // Until the next step the beginning stays, so that providers find their cached prefix.
        let mut steps = 0;
        let mut first = cut.first_seq;
        for _ in 0..40 {
            echo(&contexts, turn("c", &message)).await.unwrap();
            let next = contexts.window(&key("c"), budget).await.unwrap();
            assert!(next.tokens <= budget.tokens.into());
            if next.entries[0].seq != first {
                assert_eq!(next.cut.unwrap().first_seq, next.entries[0].seq);
                first = next.entries[0].seq;
                steps += 1;
            } else {
                assert_eq!(next.cut, None);
            }
        }
        assert!((2..=5).contains(&steps), "{steps}");
        assert_eq!(all(&contexts, "c").await.len(), 160, "the log loses nothing");
    })
    .await;
}

#[tokio::test]
async fn a_preview_moves_nothing() {
    both(async |contexts| {
        for _ in 0..10 {
            echo(&contexts, turn("p", "a few words here")).await.unwrap();
        }
        let before = contexts.get(&key("p")).await.unwrap();
        let cut = contexts.preview_window(&key("p"), Budget { tokens: 60 }).await.unwrap().cut;
        assert!(cut.is_some());
        assert_eq!(seqs(&contexts, "p", WIDE).await.len(), 20);
        assert_eq!(contexts.get(&key("p")).await.unwrap().revision, before.revision);
    })
    .await;
}

#[tokio::test]
async fn the_newest_turn_is_kept_however_large() {
    both(async |contexts| {
        echo(&contexts, turn("n", "small")).await.unwrap();
        let open = begin(&contexts, turn("n", &"large ".repeat(500))).await;
        let window = contexts.window(&key("n"), Budget { tokens: 10 }).await.unwrap();
        assert_eq!(window.entries.iter().map(|e| e.seq).collect::<Vec<_>>(), [open.user_seq]);
        assert!(window.tokens > 10);
    })
    .await;
}

/// A turn with a tool: question, call, result, answer.
fn tool_turn(anthropic: bool, parallel: bool) -> Vec<(Role, Content)> {
    let filler = "x ".repeat(60);
    if anthropic {
        let second =
            if parallel { r#",{"type":"tool_use","id":"2","name":"t","input":{}}"# } else { "" };
        let call = format!(r#"[{{"type":"tool_use","id":"1","name":"t","input":{{}}}}{second}]"#);
        let result = r#"[{"type":"tool_result","tool_use_id":"1","content":"r"}]"#;
        vec![
            (Role::User, text(&filler)),
            (Role::Assistant, raw("anthropic", &call)),
            (Role::User, raw("anthropic", result)),
            (Role::Assistant, text(&filler)),
        ]
    } else {
        let call = r#"{"role":"assistant","tool_calls":[{"id":"1","type":"function"}]}"#;
        let result = r#"{"role":"tool","tool_call_id":"1","content":"r"}"#;
        let mut out =
            vec![(Role::User, text(&filler)), (Role::Assistant, raw("openai_chat", call))];
        for _ in 0..if parallel { 2 } else { 1 } {
            out.push((Role::Tool, raw("openai_chat", result)));
        }
        out.push((Role::Assistant, text(&filler)));
        out
    }
}

#[tokio::test]
async fn a_cut_never_parts_a_tool_call_from_its_result() {
    both(async |contexts| {
        contexts.create(LOCAL, New { id: Some("t".to_owned()), ..New::default() }).await.unwrap();
        let mut starts = Vec::new();
        let mut seq = 1_u32;
        for i in 0..24_u32 {
            let turn = tool_turn(i % 2 == 0, i % 3 == 0);
            starts.push(seq);
            seq += u32::try_from(turn.len()).unwrap();
            let entries = turn.into_iter().map(|(role, content)| said(role, content)).collect();
            contexts.append(&key("t"), entries, None, None).await.unwrap();
        }
        let whole = contexts.window(&key("t"), WIDE).await.unwrap().tokens;
        for part in 2..40 {
            let budget = Budget { tokens: u32::try_from(whole / part).unwrap() };
            let window = contexts.preview_window(&key("t"), budget).await.unwrap();
            let first = window.entries[0].seq;
            assert!(starts.contains(&first), "cut at {first} for {budget:?}");
            assert!(window.cut.is_some());
        }
    })
    .await;
}

#[tokio::test]
async fn models_see_neither_failed_messages_nor_half_replies() {
    both(async |contexts| {
        echo(&contexts, turn("f", "one")).await.unwrap();
        let open = begin(&contexts, turn("f", "two")).await;
        assert_eq!(seqs(&contexts, "f", WIDE).await, [1, 2, 3], "the running question is shown");
        let partial = Outcome { status: EntryStatus::Partial, ..outcome(text("hal")) };
        contexts.fail(&open, "cut", Some(partial)).await.unwrap();
        assert_eq!(seqs(&contexts, "f", WIDE).await, [1, 2]);
        let again = contexts.reopen(&key("f")).await.unwrap();
        assert_eq!(seqs(&contexts, "f", WIDE).await, [1, 2, 3]);
        contexts.fail(&again, "cut again", None).await.unwrap();
        let Begun::Open(open) = contexts.begin(turn("f", "three")).await.unwrap() else {
            panic!("replayed")
        };
        assert_eq!(seqs(&contexts, "f", WIDE).await, [1, 2, 5]);
        contexts.finish(&open, outcome(text("answer"))).await.unwrap();
        let window = contexts.window(&key("f"), WIDE).await.unwrap();
        assert_eq!(texts(&window.entries), ["one", "you said: one", "three", "answer"]);
        let sum: u64 = window.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
        assert_eq!(window.tokens, sum, "what is not shown is not counted");
        assert_eq!(all(&contexts, "f").await.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn a_retried_turn_is_counted_once() {
    both(async |contexts| {
        let mut open = begin(&contexts, turn("r", "question with some words")).await;
        for _ in 0..3 {
            let partial = Outcome { status: EntryStatus::Partial, ..outcome(text("ha")) };
            contexts.fail(&open, "cut", Some(partial)).await.unwrap();
            open = contexts.reopen(&key("r")).await.unwrap();
        }
        contexts.finish(&open, outcome(text("whole"))).await.unwrap();
        echo(&contexts, turn("r", "next")).await.unwrap();
        let window = contexts.window(&key("r"), WIDE).await.unwrap();
        let sum: u64 = window.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
        assert_eq!((window.entries.len(), window.tokens), (4, sum));
        let tight = Budget { tokens: u32::try_from(sum - 1).unwrap() };
        let cut = contexts.window(&key("r"), tight).await.unwrap();
        assert_eq!(texts(&cut.entries), ["next", "you said: next"]);
    })
    .await;
}

#[tokio::test]
async fn the_estimate_learns_from_what_the_provider_counts() {
    both(async |contexts| {
        // A provider that counts 1.5 tokens for each that is estimated, and 200 for instructions.
        for i in 0..12 {
            let open = begin(&contexts, turn("l", &format!("{i} {}", "word ".repeat(80)))).await;
            let shown = contexts.window(&key("l"), WIDE).await.unwrap();
            let estimate: u64 = shown.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
            let usage_tokens = Some((200 + estimate * 3 / 2, 10));
            let reply = Outcome { usage_tokens, ..outcome(text("ok")) };
            contexts.finish(&open, reply).await.unwrap();
        }
        let window = contexts.window(&key("l"), WIDE).await.unwrap();
        let estimate: u64 = window.entries.iter().map(|entry| u64::from(entry.tokens)).sum();
        let ratio = window.tokens * 100 / estimate;
        assert!((145..=151).contains(&ratio), "{ratio}");
    })
    .await;
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }
}

/// A turn of a question, and up to three rounds of up to five calls at once, whose results come in
/// one message or in several, in any order.
fn random_turn(dice: &mut Dice, id: &mut u32) -> Vec<context::NewEntry> {
    let words = |dice: &mut Dice| "word ".repeat(usize::try_from(dice.roll(60)).unwrap() + 1);
    let mut out = vec![said(Role::User, text(&words(dice)))];
    for _ in 0..dice.roll(4) {
        let calls: Vec<u32> = (0..=dice.roll(5)).map(|n| *id + u32::try_from(n).unwrap()).collect();
        *id += 10;
        let asks: Vec<String> = calls
            .iter()
            .map(|n| format!(r#"{{"type":"tool_use","id":"t{n}","name":"look","input":{{}}}}"#))
            .collect();
        out.push(said(Role::Assistant, raw("anthropic", &format!("[{}]", asks.join(",")))));
        let results: Vec<String> = calls
            .iter()
            .rev()
            .map(|n| {
                let content = words(dice);
                format!(r#"{{"type":"tool_result","tool_use_id":"t{n}","content":"{content}"}}"#)
            })
            .collect();
        let size = if dice.roll(2) == 0 { 1 } else { results.len() };
        for some in results.chunks(size) {
            out.push(said(Role::User, raw("anthropic", &format!("[{}]", some.join(",")))));
        }
    }
    out.push(said(Role::Assistant, text(&words(dice))));
    out
}

/// The ids that stand behind a name in the entries.
fn ids(window: &[context::Entry], field: &str) -> std::collections::BTreeSet<String> {
    let stored = window.iter().map(|entry| entry.content.stored().to_owned());
    let all: String = stored.collect::<Vec<_>>().join("\n");
    let name = format!("\"{field}\":\"");
    let after = all.split(&name).skip(1);
    after.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn thousands_of_cuts_of_random_histories_leave_no_call_and_no_result_alone() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = crate::open(folder.path()).await;
    let (mut dice, mut id, mut cuts) = (Dice(11), 0, 0);
    for name in 0..20 {
        let key = key(&format!("h{name}"));
        let new = New { id: Some(key.id.to_string()), ..New::default() };
        contexts.create(LOCAL, new).await.unwrap();
        for _ in 0..60 {
            let turn = random_turn(&mut dice, &mut id);
            contexts.append(&key, turn, None, None).await.unwrap();
        }
        let whole = contexts.window(&key, WIDE).await.unwrap().tokens;
        for _ in 0..150 {
            let tokens = u32::try_from(dice.roll(whole)).unwrap() + 10;
            let window = contexts.preview_window(&key, Budget { tokens }).await.unwrap();
            let (asked, answered) =
                (ids(&window.entries, "id"), ids(&window.entries, "tool_use_id"));
            assert_eq!(asked, answered, "{name} within {tokens}");
            cuts += u32::from(window.cut.is_some());
        }
    }
    assert!(cuts > 2_000, "{cuts}");
}
