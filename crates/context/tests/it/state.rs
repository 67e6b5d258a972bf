//! The state: merging, order of keys, laws of the merge patch.

use context::{Edit, Map, StateEdit, merge_patch};
use proptest::prelude::*;
use serde_json::Value;

use crate::{both, echo, key, map, turn, with_state};

fn keys(map: &Map) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn keys_keep_the_order_in_which_they_came() {
    both(async |contexts| {
        let first =
            with_state(turn("k", "one"), r#"{"zeta":1,"user_id":"u","alpha":{"y":1,"b":2}}"#);
        let reply = echo(&contexts, first).await.unwrap();
        let expected = ["zeta", "user_id", "alpha", "last_message"];
        assert_eq!(keys(&reply.state), expected);
        let second = with_state(turn("k", "two"), r#"{"new":null,"zeta":[3]}"#);
        let reply = echo(&contexts, second).await.unwrap();
        let expected = ["zeta", "user_id", "alpha", "last_message", "new"];
        assert_eq!(keys(&reply.state), expected);
        let text =
            r#"{"zeta":[3],"user_id":"u","alpha":{"y":1,"b":2},"last_message":"two","new":null}"#;
        assert_eq!(serde_json::to_string(&reply.state).unwrap(), text);
        let read = contexts.get(&key("k")).await.unwrap();
        assert_eq!(serde_json::to_string(&read.state).unwrap(), text);
        let patch = StateEdit::MergePatch(map(r#"{"user_id":null}"#));
        let edit = Edit { state: Some(patch), ..Edit::default() };
        let read = contexts.edit(&key("k"), edit, None).await.unwrap();
        assert_eq!(keys(&read.state), ["zeta", "alpha", "last_message", "new"]);
    })
    .await;
}

#[tokio::test]
async fn an_absent_or_empty_change_leaves_the_state() {
    both(async |contexts| {
        echo(&contexts, with_state(turn("e", "one"), r#"{"topic":"sea"}"#)).await.unwrap();
        let reply = echo(&contexts, with_state(turn("e", "two"), "{}")).await.unwrap();
        assert_eq!(reply.state, map(r#"{"topic":"sea","last_message":"two"}"#));
        let reply = echo(&contexts, turn("e", "three")).await.unwrap();
        assert_eq!(reply.state, map(r#"{"topic":"sea","last_message":"two"}"#));
        let replace = StateEdit::Replace(map(r#"{"only":1}"#));
        let edit = Edit { state: Some(replace), ..Edit::default() };
        let read = contexts.edit(&key("e"), edit, None).await.unwrap();
        assert_eq!(read.state, map(r#"{"only":1}"#));
    })
    .await;
}

#[tokio::test]
async fn the_state_that_a_model_sees_is_the_new_one() {
    both(async |contexts| {
        echo(&contexts, with_state(turn("v", "a Flight to Rome"), r#"{"n":1}"#)).await.unwrap();
        let asked = with_state(turn("v", "when?"), r#"{"n":2}"#);
        let answer = contexts
            .answer_now(asked, |view| {
                assert_eq!(view.state()["n"], 2);
                assert_eq!(view.state()["last_message"], "when?");
                assert_eq!((view.id(), view.turns()), ("v", 1));
                assert!(view.history_contains("flight")?);
                assert!(!view.history_contains("when?")?, "the message itself is no history");
                assert!(view.settings().model.is_none());
                Ok(crate::reply("soon"))
            })
            .await
            .unwrap();
        assert_eq!((answer.number, answer.user_seq, answer.message.seq), (2, 3, 4));
    })
    .await;
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-zü]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            objects(inner).prop_map(Value::Object),
        ]
    })
}

fn objects(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Map> {
    prop::collection::vec(("[a-e]", value), 0..5).prop_map(|pairs| pairs.into_iter().collect())
}

/// The rule as RFC 7396 states it, on whole values.
fn rule(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else { return patch };
    let mut out = match target {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            out.shift_remove(&key);
        } else {
            let old = out.get(&key).cloned().unwrap_or(Value::Null);
            out.insert(key, rule(old, value));
        }
    }
    Value::Object(out)
}

fn patched(target: &Map, patch: &Map) -> Map {
    let mut out = target.clone();
    merge_patch(&mut out, patch.clone());
    out
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn a_merge_patch_does_what_the_rfc_says(target in objects(json()), patch in objects(json())) {
        let expected = rule(Value::Object(target.clone()), Value::Object(patch.clone()));
        prop_assert_eq!(Value::Object(patched(&target, &patch)), expected);
    }

    #[test]
    fn a_merge_patch_twice_is_one(target in objects(json()), patch in objects(json())) {
        let once = patched(&target, &patch);
        prop_assert_eq!(patched(&once, &patch), once);
    }

    #[test]
    fn keys_that_stay_keep_their_places(target in objects(json()), patch in objects(json())) {
        let after = patched(&target, &patch);
        let stay: Vec<_> = target.keys().filter(|key| after.contains_key(*key)).collect();
        let places: Vec<_> = after.keys().filter(|key| target.contains_key(*key)).collect();
        prop_assert_eq!(stay, places);
    }
}
