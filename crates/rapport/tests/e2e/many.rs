//! Many writers at once: nothing is lost, nothing is mixed up, every question keeps its answer.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::program::{Home, Server, soon};
use super::talk::request;

/// Writers at the same time.
const WRITERS: u32 = 64;

/// Turns of each writer.
const TURNS: u32 = 6;

/// One turn by the writer's own door; returns what was answered.
async fn turn(server: &Server, writer: u32, text: &str) -> String {
    let (path, body) = match writer % 6 {
        0 => ("/mcp/context/shared/message", json!({"message": text})),
        1 => ("/api/context/shared/message", json!({"message": text})),
        2 => ("/api/mcp/interact", json!({"sessionId": "shared", "message": text})),
        3 => ("/v1/predict", json!({"session_id": "shared", "input": text})),
        4 => ("/api/v1/contexts/shared/turns", json!({"message": text})),
        _ => {
            let line = json!({"sessionId": "shared", "message": text});
            return server.raw(format!("{line}\n").as_bytes()).await;
        }
    };
    let answer = server.send(request("POST", path, body.to_string())).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.body
}

async fn write(server: &Server, writer: u32) {
    for number in 0..TURNS {
        let text = format!("writer {writer} turn {number}.");
        let answer = turn(server, writer, &text).await;
        // Every door here echoes, so that an answer shows which question it belongs to.
        assert!(answer.contains(&format!("You said '{text}'")), "{text}: {answer}");
    }
}

#[tokio::test]
async fn writers_at_every_door_of_one_context_lose_and_mix_up_nothing() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_MODELS_CONTEXT", "echo")]).await;
    let made = server.post("/api/v1/contexts", &json!({"id": "shared"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let writers = (0..WRITERS).map(|writer| write(&server, writer));
    soon("the end of all writers", futures_util::future::join_all(writers)).await;
    let messages = server.messages("shared").await;
    check(&messages);
    // And it is on the disk.
    server.kill().await;
    let server = home.serve(&[]).await;
    assert_eq!(server.messages("shared").await, messages);
}

#[track_caller]
fn check(messages: &[Value]) {
    assert_eq!(messages.len(), usize::try_from(WRITERS * TURNS * 2).unwrap());
    let mut next: HashMap<String, u32> = HashMap::new();
    for pair in messages.chunks(2) {
        let [question, answer] = pair else { panic!("half a turn: {pair:?}") };
        assert_eq!((&question["role"], &answer["role"]), (&json!("user"), &json!("assistant")));
        let text = question["content"].as_str().unwrap();
        assert!(answer["content"].as_str().unwrap().contains(text), "{question} {answer}");
        // Each writer waited for its answers, so its turns stand in its order.
        let (writer, number) = text.trim_end_matches('.').split_once(" turn ").unwrap();
        let expected = next.entry(writer.to_owned()).or_default();
        assert_eq!(number.parse(), Ok(*expected), "{writer}");
        *expected += 1;
    }
    assert_eq!(next.len(), usize::try_from(WRITERS).unwrap());
}

#[tokio::test]
async fn a_context_that_many_create_at_once_is_one() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let all = (0..WRITERS).map(|writer| {
        let ask = json!({"sessionId": "new", "message": format!("from {writer}.")});
        let server = &server;
        async move {
            if writer % 2 == 0 {
                server.post("/api/mcp/interact", &ask).await.body
            } else {
                server.raw(format!("{ask}\n").as_bytes()).await
            }
        }
    });
    let answers = soon("all answers", futures_util::future::join_all(all)).await;
    for (writer, answer) in answers.iter().enumerate() {
        assert!(answer.contains(&format!("You said 'from {writer}.'")), "{answer}");
    }
    assert_eq!(server.messages("new").await.len(), usize::try_from(WRITERS * 2).unwrap());
    let list = server.get("/api/v1/contexts").await.json();
    assert_eq!(list["contexts"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn state_that_many_merge_keeps_every_key() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let all = (0..WRITERS).map(|writer| {
        let key = format!("key{writer}");
        let server = &server;
        async move {
            let (path, body) = if writer % 2 == 0 {
                ("/v1/context/set", json!({"session_id": "s", "context": {key: writer}}))
            } else {
                let context = json!({key: writer});
                ("/api/mcp/interact", json!({"sessionId": "s", "message": "m", "context": context}))
            };
            let answer = server.post(path, &body).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    });
    soon("all answers", futures_util::future::join_all(all)).await;
    let found = server.get("/mcp/context/s").await.json();
    for writer in 0..WRITERS {
        assert_eq!(found["state"][format!("key{writer}")], writer, "{found}");
    }
}
