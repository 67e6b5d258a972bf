//! Responses and the end of the process: what was told is there afterwards, and nothing hangs.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::program::{Home, Server, soon};
use super::talk::request;
use super::upstream::with_model;

const MODEL: &str = "claude-sonnet-4-6";

/// Reads a streamed response up to its final event, and kills the server at that very moment.
async fn killed_after_the_last_event(server: Server, body: &Value) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let text = body.to_string();
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        text.len()
    );
    stream.write_all(format!("{head}{text}").as_bytes()).await.unwrap();
    let mut heard = String::new();
    let mut bytes = [0; 4096];
    while !heard.contains("event: response.completed") {
        let count = soon("an event", stream.read(&mut bytes)).await.unwrap();
        assert!(count > 0, "the stream ended early: {heard}");
        heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    server.kill().await;
    let (_, after) = heard.split_once("\"id\":\"resp_").unwrap();
    format!("resp_{}", after.split('"').next().unwrap())
}

async fn get(server: &Server, id: &str) -> Value {
    let answer = server.send(request("GET", &format!("/v1/responses/{id}"), "")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn what_was_told_to_its_last_event_survives_a_kill() {
    let home = Home::new();
    let mut after = Value::Null;
    for round in 0..10 {
        let (mock, server) = with_model(&home, "default.text = \"a good answer\"", &[]).await;
        let body = json!({"model": MODEL, "input": format!("round {round}"), "stream": true,
                          "previous_response_id": after});
        let id = killed_after_the_last_event(server, &body).await;
        let (_mock, server) = with_model(&home, "default.text = \"a good answer\"", &[]).await;
        let found = get(&server, &id).await;
        assert_eq!(found["status"], "completed", "round {round}: {found}");
        assert_eq!(found["output"][0]["content"][0]["text"], "a good answer", "{found}");
        assert_eq!(found["previous_response_id"], after, "{found}");
        let sent = mock.requests().pop().unwrap().json();
        assert_eq!(sent["messages"].as_array().unwrap().len(), 2 * round + 1, "{sent}");
        after = json!(id);
        server.kill().await;
    }
}

#[tokio::test]
async fn a_background_response_cut_off_by_a_kill_is_failed_and_can_be_asked_anew() {
    let home = Home::new();
    let slow = "[default]\ndelay_ms = 60000\ntext = \"never\"";
    let (mock, server) = with_model(&home, slow, &[]).await;
    let body = json!({"model": MODEL, "input": "a long task", "background": true});
    let begun = server.post("/v1/responses", &body).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    assert!(matches!(begun.json()["status"].as_str(), Some("queued" | "in_progress")));
    let asked = async {
        while mock.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("the call of the model", asked).await;
    server.kill().await;
    let (_mock, server) = with_model(&home, "default.text = \"done\"", &[]).await;
    let found = get(&server, &id).await;
    assert_eq!(found["status"], "failed", "{found}");
    assert!(found["error"]["message"].as_str().unwrap().contains("stopped"), "{found}");
    let path = format!("/v1/responses/{id}/input_items");
    let items = server.send(request("GET", &path, "")).await.json();
    assert_eq!(items["data"][0]["content"][0]["text"], "a long task", "nothing is lost: {items}");
    let path = format!("/api/v1/contexts/{id}/turns/retry");
    let again = server.send(request("POST", &path, "{}")).await;
    assert_eq!(again.status, 200, "{again:?}");
    let found = get(&server, &id).await;
    assert_eq!(
        (&found["status"], &found["output"][0]["content"][0]["text"]),
        (&json!("completed"), &json!("done"))
    );
}

#[tokio::test]
async fn a_background_response_in_work_is_finished_before_the_program_ends() {
    let home = Home::new();
    let slow = "[default]\ndelay_ms = 500\ntext = \"just in time\"";
    let (_mock, server) = with_model(&home, slow, &[]).await;
    let body = json!({"model": MODEL, "input": "x", "background": true});
    let id = server.post("/v1/responses", &body).await.json()["id"].as_str().unwrap().to_owned();
    let ended = server.stop().await;
    assert!(ended.status.success(), "{:?}", ended.status);
    let (_mock, server) = with_model(&home, "default.text = \"x\"", &[]).await;
    let found = get(&server, &id).await;
    assert_eq!(found["output"][0]["content"][0]["text"], "just in time", "{found}");
}
