//! Responses in the background: polled, listened to, stopped; and what is kept of them.

use std::time::Duration;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Request, StatusCode};
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House};

const MODEL: &str = "claude-3-opus-20240229";
/// Limit: what takes longer than this hangs.
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

fn ask(stream: bool) -> Value {
    json!({"model": MODEL, "input": "hello", "background": true, "stream": stream,
           "instructions": "be kind", "metadata": {"topic": "trip"}})
}

async fn get(house: &House, id: &str) -> Value {
    let answer = house.call("GET", &format!("/v1/responses/{id}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

/// Polls as a client does, until the response is there.
async fn settled(house: &House, id: &str) -> Value {
    let poll = async {
        loop {
            let found = get(house, id).await;
            if !matches!(found["status"].as_str(), Some("queued" | "in_progress")) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, poll).await.expect("the response never ended")
}

/// The events of a stream.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap()).collect()
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn a_background_response_is_polled_until_it_is_there() {
    let (mock, house) = start("[default]\ndelay_ms = 300\ntext = \"good day\"").await;
    let begun = house.post("/v1/responses", &ask(false)).await;
    assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
    let first = begun.json();
    assert_eq!((&first["status"], &first["background"]), (&json!("queued"), &json!(true)));
    assert_eq!(first["output"], json!([]), "{first}");
    let id = first["id"].as_str().unwrap();
    let found = settled(&house, id).await;
    assert_eq!((&found["status"], text(&found)), (&json!("completed"), "good day"), "{found}");
    assert_eq!(
        (&found["instructions"], &found["metadata"]["topic"]),
        (&json!("be kind"), &json!("trip"))
    );
    assert!(found["usage"]["total_tokens"].as_u64().unwrap() > 0, "{found}");
    // It is one like any other: gone on with, and deleted.
    let next = json!({"model": MODEL, "input": "more", "previous_response_id": id});
    let next = house.post("/v1/responses", &next).await.json();
    assert_eq!((&next["status"], &next["background"]), (&json!("completed"), &json!(false)));
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
    assert!(sent.get("background").is_none(), "{sent}");
    let cancelled = house.post(&format!("/v1/responses/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["status"], "completed", "one that is over stays as it is");
    let not = next["id"].as_str().unwrap();
    let refused = house.post(&format!("/v1/responses/{not}/cancel"), &json!({})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
}

#[tokio::test]
async fn a_background_stream_outlives_its_listener_and_goes_on_after_any_event() {
    let script =
        "[default]\nfragments = [\"one \", \"two \", \"three \", \"four \"]\npause_ms = 50";
    let (_mock, house) = start(script).await;
    let request = Request::post("/v1/responses")
        .header("content-type", "application/json")
        .body(Body::from(ask(true).to_string()))
        .unwrap();
    let mut stream = house.stream(request).await;
    let mut heard = String::new();
    while events(&heard).len() < 5 {
        let bytes = stream.next().await.unwrap().unwrap();
        heard.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    // The caller's connection breaks here.
    drop(stream);
    let first = events(&heard);
    let numbers: Vec<u64> = first.iter().map(|e| e["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..first.len() as u64).collect::<Vec<_>>());
    let id = first[0]["response"]["id"].as_str().unwrap().to_owned();
    let last = numbers.last().unwrap();
    let path = format!("/v1/responses/{id}?stream=true&starting_after={last}");
    let rest = events(&house.call("GET", &path).await.text);
    assert_eq!(rest[0]["sequence_number"].as_u64().unwrap(), last + 1, "no event twice, none lost");
    let deltas: String =
        first.iter().chain(&rest).filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(deltas, "one two three four ");
    assert_eq!(rest.last().unwrap()["type"], "response.completed");
    // Whoever comes after its end hears all of it too.
    let again = events(&house.call("GET", &format!("/v1/responses/{id}?stream=true")).await.text);
    assert_eq!(again.len(), first.len() + rest.len());
    for wrong in ["starting_after=x&stream=true", "stream=perhaps"] {
        let refused = house.call("GET", &format!("/v1/responses/{id}?{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert!(refused.json()["error"]["param"].is_string(), "{refused:?}");
    }
}

#[tokio::test]
async fn a_cancelled_response_stops_and_keeps_what_it_said() {
    let fragments = vec!["word "; 400];
    let script = format!("[default]\nfragments = {}\npause_ms = 50", json!(fragments));
    let (mock, house) = start(&script).await;
    let id =
        house.post("/v1/responses", &ask(false)).await.json()["id"].as_str().unwrap().to_owned();
    // It has begun to speak.
    let path = format!("/v1/responses/{id}?stream=true");
    let request = Request::get(&path).body(Body::empty()).unwrap();
    let mut stream = house.stream(request).await;
    let mut heard = String::new();
    while !heard.contains("word") {
        heard.push_str(std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap());
    }
    assert_eq!(get(&house, &id).await["status"], "in_progress");
    let done = house.post(&format!("/v1/responses/{id}/cancel"), &json!({})).await;
    assert_eq!((done.status, &done.json()["status"]), (StatusCode::OK, &json!("cancelled")));
    let found = get(&house, &id).await;
    assert!(text(&found).starts_with("word "), "{found}");
    assert_eq!(mock.requests().len(), 1);
    let twice = house.post(&format!("/v1/responses/{id}/cancel"), &json!({})).await;
    assert_eq!(twice.json()["status"], "cancelled");
    while let Some(bytes) = stream.next().await {
        heard.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap());
    }
    assert_eq!(events(&heard).last().unwrap()["type"], "response.failed");
}

#[tokio::test]
async fn a_background_response_that_fails_says_so() {
    let (_mock, house) = start("[default]\nstatus = 500\n").await;
    let begun = house.post("/v1/responses", &ask(false)).await.json();
    let found = settled(&house, begun["id"].as_str().unwrap()).await;
    assert_eq!(
        (&found["status"], &found["error"]["code"]),
        (&json!("failed"), &json!("server_error"))
    );
    assert!(!found["error"]["message"].as_str().unwrap().is_empty(), "{found}");
    // What cannot even begin is refused at once, and leaves nothing behind.
    let mut body = ask(false);
    body["model"] = json!("nobody");
    let refused = house.post("/v1/responses", &body).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "{refused:?}");
    let list = house.call("GET", "/api/v1/contexts").await.json();
    assert_eq!(list["contexts"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn what_cannot_be_made_in_the_background_is_refused() {
    let house = House::new().await;
    for (field, value, param) in [
        ("store", json!(false), "store"),
        ("background", json!("yes"), "background"),
        ("truncation", json!("sometimes"), "truncation"),
        ("include", json!("everything"), "include"),
    ] {
        let mut body = json!({"model": "demo", "input": "x", "background": true});
        body[field] = value;
        let refused = house.post("/v1/responses", &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{field}: {refused:?}");
        assert_eq!(refused.json()["error"]["param"], param, "{refused:?}");
    }
    let body = json!({"model": "demo", "input": "x", "background": true});
    let here = house.post("/v1/responses", &body).await;
    let found = settled(&house, &item("id", &here)).await;
    assert_eq!(found["status"], "completed");
}

fn item(name: &str, answer: &Answer) -> String {
    answer.json()[name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_conversation_turn_is_kept_as_a_response_too() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let made = house.post("/v1/conversations", &json!({})).await;
    let conversation = item("id", &made);
    let turn = async |text: &str, stream: bool| {
        let body = json!({"model": MODEL, "input": text, "stream": stream,
                          "conversation": {"id": conversation}});
        house.post("/v1/responses", &body).await
    };
    let first = turn("one", false).await;
    assert_eq!(first.json()["conversation"], json!({"id": conversation}), "{first:?}");
    let streamed = turn("two", true).await;
    let last = events(&streamed.text).pop().unwrap();
    assert_eq!(last["type"], "response.completed", "{streamed:?}");
    let id = last["response"]["id"].as_str().unwrap();
    let found = get(&house, id).await;
    assert_eq!((text(&found), &found["conversation"]["id"]), ("answer 2", &json!(conversation)));
    // From there a branch of its own, and the conversation is as it was.
    let branch =
        json!({"model": MODEL, "input": "aside", "previous_response_id": item("id", &first)});
    house.post("/v1/responses", &branch).await;
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
    let items = house.call("GET", &format!("/v1/conversations/{conversation}/items")).await.json();
    assert_eq!(items["data"].as_array().unwrap().len(), 4, "{items}");
    let lost = json!({"model": MODEL, "input": "x", "conversation": "conv_nobody"});
    let lost = house.post("/v1/responses", &lost).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND, "{lost:?}");
    assert_eq!(lost.json()["error"]["param"], "conversation");
}

#[tokio::test]
async fn a_long_conversation_is_counted_and_made_short() {
    let (mock, house) = start("default.text = \"We found a house in Rome for 300000.\"").await;
    let first = json!({"model": MODEL, "input": "find me a house"});
    let first = house.post("/v1/responses", &first).await;
    let count = async |body: &Value| {
        let answer = house.post("/v1/responses/input_tokens", body).await.json();
        assert_eq!(answer["object"], "response.input_tokens", "{answer}");
        answer["input_tokens"].as_u64().unwrap()
    };
    let alone = count(&json!({"model": MODEL, "input": "and now?"})).await;
    let after =
        json!({"model": MODEL, "input": "and now?", "previous_response_id": item("id", &first)});
    assert!(alone > 0 && count(&after).await > alone + 5);
    let body = json!({"model": MODEL, "previous_response_id": item("id", &first),
                      "input": "keep this"});
    let made = house.post("/v1/responses/compact", &body).await.json();
    assert_eq!(made["object"], "response.compaction", "{made}");
    let output = made["output"].as_array().unwrap();
    let kinds: Vec<&str> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "message", "compaction"], "{made}");
    assert!(made["usage"]["total_tokens"].as_u64().unwrap() > 0);
    // The items are gone on with; the model reads the summary.
    for store in [true, false] {
        let mut input = output.clone();
        input.push(json!({"role": "user", "content": "how much was it?"}));
        let body = json!({"model": MODEL, "input": input, "store": store});
        let answer = house.post("/v1/responses", &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let sent = mock.requests().pop().unwrap().json().to_string();
        assert!(sent.contains("summary_of_earlier_messages"), "{sent}");
        assert!(sent.contains("for 300000") && !sent.contains("rapport-compaction"), "{sent}");
    }
    let offline = json!({"model": "demo", "input": "Rome is old. It is large. It is in Italy."});
    let made = house.post("/v1/responses/compact", &offline).await.json();
    assert_eq!(made["output"][1]["type"], "compaction", "{made}");
}

#[tokio::test]
async fn what_a_response_was_asked_is_listed_page_by_page() {
    let house = House::new().await;
    let input: Vec<Value> =
        (0..45).map(|n| json!({"role": "user", "content": format!("line {n}")})).collect();
    let made = house.post("/v1/responses", &json!({"model": "demo", "input": input})).await;
    let path = format!("/v1/responses/{}/input_items", item("id", &made));
    let text = |item: &Value| item["content"][0]["text"].as_str().unwrap().to_owned();
    for (order, want) in [
        ("asc", (0..45).map(|n| format!("line {n}")).collect::<Vec<_>>()),
        ("desc", (0..45).rev().map(|n| format!("line {n}")).collect()),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let query = format!("{path}?limit=20&order={order}&after={after}");
            let page = house.call("GET", &query).await.json();
            let data = page["data"].as_array().unwrap();
            assert!(data.len() <= 20, "{page}");
            seen.extend(data.iter().map(text));
            if page["has_more"] == false {
                break;
            }
            after = page["last_id"].as_str().unwrap().to_owned();
        }
        assert_eq!(seen, want, "{order}");
    }
    for (query, param) in
        [("limit=0", "limit"), ("limit=101", "limit"), ("order=up", "order"), ("after=x", "after")]
    {
        let refused = house.call("GET", &format!("{path}?{query}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{refused:?}");
        assert_eq!(refused.json()["error"]["param"], param, "{refused:?}");
    }
}

async fn items(house: &House, id: &str) -> Vec<String> {
    let path = format!("/v1/conversations/{id}/items?order=asc&limit=100");
    let list = house.call("GET", &path).await.json();
    let all = list["data"].as_array().unwrap_or_else(|| panic!("{list}")).iter();
    all.map(|item| item["content"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn in_a_conversation_it_is_added_when_it_is_there() {
    let (mock, house) = start("[default]\ndelay_ms = 100\ntext = \"good day\"").await;
    let made = house.post("/v1/conversations", &json!({})).await.json();
    let id = made["id"].as_str().unwrap();
    let mut body = ask(false);
    body["conversation"] = json!(id);
    for round in 1..=2 {
        let begun = house.post("/v1/responses", &body).await;
        assert_eq!(begun.status, StatusCode::OK, "{begun:?}");
        assert_eq!(begun.header("x-rapport-context"), id);
        let first = begun.json();
        assert_eq!(first["conversation"], json!({"id": id}), "{first}");
        let found = settled(&house, first["id"].as_str().unwrap()).await;
        assert_eq!((&found["status"], text(&found)), (&json!("completed"), "good day"));
        // At once: who has seen the end finds it there.
        assert_eq!(items(&house, id).await, ["hello", "good day"].repeat(round));
    }
    let sent = mock.requests().pop().unwrap().json();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
    // A stream in the background, by the header, of a context that begins by it.
    let headers = [("x-rapport-context", "new-one")];
    let answer = house.with_headers("POST", "/v1/responses", &headers, &ask(true)).await;
    assert_eq!(events(&answer.text).last().unwrap()["type"], "response.completed", "{answer:?}");
    assert_eq!(items(&house, "new-one").await, ["hello", "good day"]);
}

#[tokio::test]
async fn one_that_fails_adds_nothing_to_its_conversation() {
    let (_mock, house) = start("default.status = 500").await;
    let made = house.post("/v1/conversations", &json!({})).await.json();
    let id = made["id"].as_str().unwrap();
    let mut body = ask(false);
    body["conversation"] = json!(id);
    let begun = house.post("/v1/responses", &body).await.json();
    let found = settled(&house, begun["id"].as_str().unwrap()).await;
    assert_eq!(found["status"], "failed", "{found}");
    assert_eq!(items(&house, id).await, Vec::<String>::new());
    body["conversation"] = json!("conv_unknown");
    let lost = house.post("/v1/responses", &body).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND, "{lost:?}");
}

#[tokio::test]
async fn a_response_goes_by_the_name_it_was_asked_under_however_it_is_made() {
    let town =
        crate::routes::town(("anthropic", "default.text = \"a\""), ("openai_chat", ""), |_| {})
            .await;
    let house = &town.house;
    let at_once = house.post("/v1/responses", &json!({"model": "both", "input": "x"})).await.json();
    assert_eq!(at_once["model"], "both", "{at_once}");
    let body = json!({"model": "both", "input": "x", "background": true});
    let begun = house.post("/v1/responses", &body).await.json();
    assert_eq!(begun["model"], "both", "{begun}");
    let found = settled(house, begun["id"].as_str().unwrap()).await;
    assert_eq!(
        (&found["status"], &found["model"]),
        (&json!("completed"), &json!("both")),
        "{found}"
    );
    // As it is read again, also the one that was made at once.
    assert_eq!(get(house, at_once["id"].as_str().unwrap()).await["model"], "both");
}
