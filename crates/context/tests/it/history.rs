//! The history of the state: what changed it, what a message saw of it, and the way back.

use context::{
    Contexts, Edit, Map, Moment, New, OnConflict, RedactOrder, StateEdit, To, merge_patch,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use wire::Code;
use wire::prompt::Role;

use crate::{LOCAL, both, echo, key, map, refused, said, text, turn, with_state};

async fn patch(contexts: &Contexts, id: &str, json: &str) {
    let state = Some(StateEdit::MergePatch(map(json)));
    contexts.edit(&key(id), Edit { state, ..Edit::default() }, None).await.unwrap();
}

async fn at(contexts: &Contexts, id: &str, seq: u64) -> Map {
    contexts.state_at(&key(id), Moment::Seq(seq)).await.unwrap()
}

async fn causes(contexts: &Contexts, id: &str) -> Vec<String> {
    let page = contexts.state_changes(&key(id), None, 500).await.unwrap();
    page.items.into_iter().rev().map(|change| change.cause).collect()
}

#[tokio::test]
async fn every_message_knows_the_state_it_saw() {
    both(async |contexts| {
        let new = New { id: Some("c".to_owned()), state: map(r#"{"n":0}"#), ..New::default() };
        contexts.create(LOCAL, new).await.unwrap();
        for n in 1..=5 {
            let state = format!(r#"{{"n":{n},"o":{{"k{n}":null}}}}"#);
            echo(&contexts, with_state(turn("c", &format!("message {n}")), &state)).await.unwrap();
        }
        echo(&contexts, turn("c", "nothing changes")).await.unwrap();
        patch(&contexts, "c", r#"{"o":null,"a/b~c":[1,{"x":2}]}"#).await;
        assert_eq!(at(&contexts, "c", 0).await, map(r#"{"n":0}"#));
        for n in 1..=5_u64 {
            let seen = at(&contexts, "c", 2 * n - 1).await;
            assert_eq!(seen["n"], n);
            assert_eq!(seen["last_message"], format!("message {n}"));
            // Between two changes nothing changes.
            assert_eq!(at(&contexts, "c", 2 * n).await, seen);
        }
        let now = contexts.get(&key("c")).await.unwrap();
        let same = serde_json::to_string(&at(&contexts, "c", 12).await).unwrap();
        assert_eq!(same, serde_json::to_string(&now.state).unwrap(), "keys keep their order");

        let page = contexts.state_changes(&key("c"), None, 3).await.unwrap();
        let newest = &page.items[0];
        assert_eq!((newest.number, newest.seq, &*newest.cause), (7, 12, "edit"));
        assert_eq!(newest.revision, now.revision);
        assert_eq!(newest.removed, ["/o"]);
        assert_eq!(newest.set, [("/a~1b~0c".to_owned(), json!([1, {"x": 2}]))]);
        let said = &page.items[1].set;
        assert!(said.contains(&("/last_message".to_owned(), Value::from("message 5"))), "{said:?}");
        let next = page.next.unwrap().parse().unwrap();
        let rest = contexts.state_changes(&key("c"), Some(next), 0).await.unwrap();
        assert_eq!(rest.items.len(), 4);
        assert_eq!(rest.items[3].cause, "created");
        refused(contexts.state_at(&key("c"), Moment::Seq(13)).await, Code::InvalidInput);
        refused(contexts.state_at(&key("c"), Moment::Change(99)).await, Code::NotFound);
        refused(contexts.state_changes(&key("c"), None, 501).await, Code::InvalidInput);
    })
    .await;
}

#[tokio::test]
async fn a_restored_state_is_a_change_too() {
    both(async |contexts| {
        echo(&contexts, with_state(turn("c", "one"), r#"{"topic":"sea"}"#)).await.unwrap();
        echo(&contexts, with_state(turn("c", "two"), r#"{"topic":"hills"}"#)).await.unwrap();
        let back = contexts.restore_state(&key("c"), Moment::Seq(2), None).await.unwrap();
        assert_eq!(back.state, map(r#"{"topic":"sea","last_message":"one"}"#));
        let back = contexts.restore_state(&key("c"), Moment::Change(2), Some(back.revision)).await;
        assert_eq!(back.unwrap().state["topic"], "hills");
        refused(
            contexts.restore_state(&key("c"), Moment::Change(1), Some(1)).await,
            Code::PreconditionFailed,
        );
        assert_eq!(causes(&contexts, "c").await, ["turn", "turn", "restore", "restore"]);
    })
    .await;
}

#[tokio::test]
async fn a_rollback_leaves_what_was_and_says_what_is() {
    both(async |contexts| {
        for n in 1..=3 {
            let state = format!(r#"{{"n":{n}}}"#);
            echo(&contexts, with_state(turn("c", "go on"), &state)).await.unwrap();
        }
        contexts.checkpoint(&key("c"), "three", None).await.unwrap();
        let left = contexts.rollback(&key("c"), To::Seq(2), None).await.unwrap();
        assert_eq!(left.state["n"], 3, "a rollback to a number leaves the state");
        assert_eq!(at(&contexts, "c", 2).await, left.state, "what is shown now is what it is");
        assert_eq!(at(&contexts, "c", 1).await["n"], 1);
        echo(&contexts, with_state(turn("c", "another way"), r#"{"n":4}"#)).await.unwrap();
        assert_eq!(at(&contexts, "c", 3).await["n"], 4, "not what the other branch had there");
        contexts.rollback(&key("c"), To::Checkpoint("three".to_owned()), None).await.unwrap();
        assert_eq!(at(&contexts, "c", 3).await["n"], 2, "the first branch again");
        assert_eq!(at(&contexts, "c", 6).await["n"], 3);
        // Both at once: the place and the state it had.
        contexts.rollback(&key("c"), To::Moment(2), None).await.unwrap();
        assert_eq!(contexts.get(&key("c")).await.unwrap().state["n"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_fork_reads_the_past_of_its_parent() {
    both(async |contexts| {
        echo(&contexts, with_state(turn("c", "one"), r#"{"n":1}"#)).await.unwrap();
        echo(&contexts, with_state(turn("c", "two"), r#"{"n":2}"#)).await.unwrap();
        let new = New { id: Some("f".to_owned()), ..New::default() };
        contexts.fork(&key("c"), None, new).await.unwrap();
        patch(&contexts, "f", r#"{"n":7}"#).await;
        patch(&contexts, "c", r#"{"n":8}"#).await;
        assert_eq!(at(&contexts, "f", 2).await["n"], 1);
        assert_eq!(at(&contexts, "f", 4).await["n"], 7);
        assert_eq!(at(&contexts, "c", 4).await["n"], 8);
        contexts.merge(&key("c"), &key("f"), OnConflict::Theirs, None).await.unwrap();
        assert_eq!(causes(&contexts, "c").await, ["turn", "turn", "edit", "merge"]);
        assert_eq!(causes(&contexts, "f").await, ["fork", "edit"]);
        contexts.delete(&key("c")).await.unwrap();
        refused(contexts.state_at(&key("f"), Moment::Seq(2)).await, Code::NotFound);
        assert_eq!(at(&contexts, "f", 4).await["n"], 7);
    })
    .await;
}

#[tokio::test]
async fn a_redaction_leaves_no_earlier_state() {
    both(async |contexts| {
        echo(&contexts, with_state(turn("c", "mail ada@example.com"), r#"{"n":1}"#)).await.unwrap();
        patch(&contexts, "c", r#"{"n":2}"#).await;
        let order = RedactOrder { first: 1, last: None, plan: None };
        contexts.redact(&key("c"), order).await.unwrap();
        let changes = contexts.state_changes(&key("c"), None, 0).await.unwrap();
        assert_eq!(changes.items.len(), 1, "{changes:?}");
        assert!(!format!("{changes:?}").contains("ada@"), "{changes:?}");
        assert_eq!(changes.items[0].cause, "redacted");
        // What it was before is not known any more, which is not the same as empty.
        refused(contexts.state_at(&key("c"), Moment::Seq(1)).await, Code::NotFound);
        assert_eq!(at(&contexts, "c", 2).await["n"], 2);
    })
    .await;
}

#[tokio::test]
async fn a_long_history_stays_small_and_can_be_read_at_every_place() {
    both(async |contexts| {
        let filler = "x".repeat(2000);
        let new = New {
            id: Some("c".to_owned()),
            state: map(&json!({"filler": filler}).to_string()),
            messages: vec![said(Role::User, text("hello"))],
            ..New::default()
        };
        contexts.create(LOCAL, new).await.unwrap();
        for n in 1..=400 {
            patch(&contexts, "c", &format!(r#"{{"n":{n}}}"#)).await;
        }
        for n in [1_u64, 2, 128, 129, 130, 257, 400] {
            let found = contexts.state_at(&key("c"), Moment::Change(n + 1)).await.unwrap();
            assert_eq!(found["n"], n);
            assert_eq!(found["filler"], filler.as_str());
        }
        // The filler is kept a few times, not four hundred times.
        let sql = "SELECT sum(length(body)) FROM state_change";
        let bytes: i64 = contexts
            .database()
            .read(move |c| storage::Stored::stored(c.query_row(sql, [], |row| row.get(0))))
            .await
            .unwrap();
        assert!(bytes < 60_000, "the history takes {bytes} bytes");
    })
    .await;
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<u8>().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
            prop::collection::vec(("[ab/~]{1,2}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn object() -> impl Strategy<Value = Map> {
    prop::collection::vec(("[ab/~]{1,2}", value()), 0..4).prop_map(|p| p.into_iter().collect())
}

fn edit() -> impl Strategy<Value = StateEdit> {
    prop_oneof![
        object().prop_map(StateEdit::MergePatch),
        object().prop_map(StateEdit::Shallow),
        object().prop_map(StateEdit::Replace),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_changes_it_every_state_can_be_read_again(
        edits in prop::collection::vec(edit(), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(both(async |contexts| {
            let new = New { id: Some("c".to_owned()), ..New::default() };
            contexts.create(LOCAL, new).await.unwrap();
            let mut states = vec![Map::new()];
            for (n, edit) in edits.iter().enumerate() {
                let mut wanted = states.last().unwrap().clone();
                match edit.clone() {
                    StateEdit::MergePatch(patch) => merge_patch(&mut wanted, patch),
                    StateEdit::Shallow(new) => wanted.extend(new),
                    StateEdit::Replace(new) => wanted = new,
                }
                let state = Some(edit.clone());
                let edit = Edit { state, ..Edit::default() };
                contexts.edit(&key("c"), edit, None).await.unwrap();
                contexts
                    .append(&key("c"), vec![said(Role::User, text(&format!("{n}")))], None, None)
                    .await
                    .unwrap();
                states.push(wanted);
            }
            for (seq, wanted) in states.iter().enumerate().skip(1) {
                let before = u64::try_from(seq).unwrap() - 1;
                let found = contexts.state_at(&key("c"), Moment::Seq(before)).await.unwrap();
                let text = |map: &Map| serde_json::to_string(map).unwrap();
                assert_eq!(text(&found), text(wanted), "after change {seq} of {edits:?}");
            }
        }));
    }
}
