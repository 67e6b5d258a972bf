//! Sizes: refused before anything is stored.

use context::{Limits, New};
use wire::Code;

use crate::{LOCAL, all, both_with, echo, key, map, refused, text, turn, with_state};

fn small() -> Limits {
    Limits { message_bytes: 100, context_bytes: 1000, state_bytes: 200, ..Limits::default() }
}

#[tokio::test]
async fn a_message_beyond_the_limit_leaves_no_trace() {
    both_with(small(), async |contexts| {
        let long = "x".repeat(101);
        refused(echo(&contexts, turn("m", &long)).await, Code::ContextTooLong);
        // Not even the context that the turn would have made.
        refused(contexts.get(&key("m")).await, Code::ContextNotFound);
        refused(contexts.begin(turn("m", &long)).await, Code::ContextTooLong);
        assert_eq!(contexts.counts().await.contexts, 0);
        echo(&contexts, turn("m", &"x".repeat(100))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_context_grows_to_its_limit_and_no_further() {
    both_with(small(), async |contexts| {
        let mut turns = 0;
        let fault = loop {
            match echo(&contexts, turn("c", &"y".repeat(90))).await {
                Ok(_) => turns += 1,
                Err(fault) => break fault,
            }
            assert!(turns < 20);
        };
        assert_eq!(fault.code(), Code::ContextTooLong);
        assert_eq!(all(&contexts, "c").await.len(), turns * 2);
        let context = contexts.get(&key("c")).await.unwrap();
        assert!(context.size.bytes <= 1000 + 100);
    })
    .await;
}

#[tokio::test]
async fn a_state_beyond_the_limit_takes_its_turn_with_it() {
    both_with(small(), async |contexts| {
        echo(&contexts, with_state(turn("s", "hi"), r#"{"a":1}"#)).await.unwrap();
        let big = format!(r#"{{"b":"{}"}}"#, "z".repeat(300));
        refused(echo(&contexts, with_state(turn("s", "more"), &big)).await, Code::ContextTooLong);
        let read = contexts.get(&key("s")).await.unwrap();
        assert_eq!(read.state, map(r#"{"a":1,"last_message":"hi"}"#));
        assert_eq!(read.size.messages, 2);
        let new = New { state: map(&big), ..New::default() };
        refused(contexts.create(LOCAL, new).await, Code::ContextTooLong);
        let new = New { system: Some("s".repeat(300)), ..New::default() };
        refused(contexts.create(LOCAL, new).await, Code::ContextTooLong);
        let first = crate::said(wire::prompt::Role::User, text(&"x".repeat(101)));
        let new = New { messages: vec![first], ..New::default() };
        refused(contexts.create(LOCAL, new).await, Code::ContextTooLong);
        assert_eq!(contexts.counts().await.contexts, 1);
    })
    .await;
}
