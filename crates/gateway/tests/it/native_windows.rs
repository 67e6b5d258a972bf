//! What goes to a model of a long conversation: the law of epochs, plans, summaries, recall.

use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

async fn say(house: &House, id: &str, body: &Value) -> Answer {
    let answer = house.post(&format!("/api/v1/contexts/{id}/turns"), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer
}

async fn epochs(house: &House, id: &str) -> Vec<Value> {
    let found = house.call("GET", &format!("/api/v1/contexts/{id}/epochs")).await.json();
    found["epochs"].as_array().unwrap().clone()
}

/// Waits for the summary that the turn may have started.
async fn settle(house: &House) {
    house.gate.shutdown(std::time::Duration::from_secs(60)).await;
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }
}

/// What a cache and a bound thought belong to: instructions, tools, and the messages in order.
fn sent(body: &Value) -> (Value, Value, Vec<Value>) {
    let messages = body["messages"].as_array().unwrap().clone();
    (body["system"].clone(), body["tools"].clone(), messages)
}

#[tokio::test]
async fn inside_an_epoch_every_request_begins_with_the_one_before() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let window = json!({"strategy": "summary", "tokens": 1500});
    let body = json!({"id": "c", "system": "be kind", "settings": {"window": window}});
    house.post("/api/v1/contexts", &body).await;
    let mut dice = Dice(7);
    let mut last: Option<(Value, Value, Vec<Value>)> = None;
    let mut continued = 0;
    for n in 0..120 {
        match dice.roll(24) {
            0 => {
                let to = dice.roll(20);
                let path = "/api/v1/contexts/c/rollback";
                house.post(path, &json!({"to": to})).await;
            }
            1 => {
                let patch = json!({"state": {"mood": dice.roll(9)}});
                house.with_headers("PATCH", "/api/v1/contexts/c", &[], &patch).await;
            }
            2 => {
                let patch = json!({"system": format!("be kind {}", dice.roll(3))});
                house.with_headers("PATCH", "/api/v1/contexts/c", &[], &patch).await;
            }
            3 => {
                let seq = 1 + dice.roll(10);
                house.call("PUT", &format!("/api/v1/contexts/c/pins/{seq}")).await;
            }
            _ => {}
        }
        let message = format!("message {n} {}", "about the weather ".repeat(4));
        let answer = say(&house, "c", &json!({"message": message})).await;
        let facts = answer.json()["window"].clone();
        let requests = mock.requests();
        let now = sent(&requests.last().unwrap().json());
        let reason = facts["new_epoch"].clone();
        if let Some(before) = &last
            && reason == Value::Null
        {
            continued += 1;
            assert_eq!((&now.0, &now.1), (&before.0, &before.1), "turn {n}");
            assert_eq!(now.2[..before.2.len()], before.2[..], "turn {n}");
        }
        assert_ne!(reason, "drift", "turn {n}: {facts}");
        let header = answer.header("x-rapport-window");
        assert!(header.contains("epoch=") && header.contains("tokens="), "{header}");
        last = Some(now);
        settle(&house).await;
    }
    assert!(continued > 60, "{continued}");
    let list = epochs(&house, "c").await;
    let mut reasons: Vec<_> = list.iter().map(|e| e["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in ["first", "summary", "system", "rollback"] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
    let turns: u64 = list.iter().map(|e| e["turns"].as_u64().unwrap()).sum();
    assert_eq!(turns, 120);
    assert!(list.iter().all(|e| e["rewritten_tokens"].as_u64().unwrap() > 0));
}

#[tokio::test]
async fn a_summary_by_a_model_is_used_and_a_useless_one_is_not() {
    for (answer, by) in [
        ("The user counts weather reports in Oslo and wants a table of them by May.", "model"),
        ("", "offline"),
        ("again and again and again and again and again and again and again", "offline"),
    ] {
        let script = format!("default.text = {}", json!(answer));
        let (mock, house) = start(&script).await;
        let window = json!({"strategy": "summary", "tokens": 600, "summarizer": MODEL});
        house.post("/api/v1/contexts", &json!({"id": "c", "settings": {"window": window}})).await;
        for n in 0..12 {
            let message = format!("report {n}: {}", "rain in Oslo, wind from the west. ".repeat(3));
            say(&house, "c", &json!({"message": message})).await;
            settle(&house).await;
        }
        let found = house.call("GET", "/api/v1/contexts/c/summaries").await.json();
        let newest = &found["summaries"][0];
        let expected = if by == "model" { MODEL } else { "offline" };
        assert_eq!(newest["by"], expected, "{found}");
        let text = newest["text"].as_str().unwrap();
        assert!(by == "offline" || text.starts_with(answer), "{text}");
        let body = mock.requests().last().unwrap().json();
        let preview = house.call("GET", "/api/v1/contexts/c/window").await.json();
        let system = preview["body"]["system"].to_string();
        assert!(system.contains("summary_of_earlier_messages"), "{body}");
        assert_eq!(preview["why"]["strategy"], "summary");
    }
}

#[tokio::test]
async fn a_summariser_that_fails_or_hangs_holds_no_turn_up() {
    for fault in ["status = 500", "fault = \"hang\"", "fault = \"malformed_json\""] {
        let script = format!(
            "[[rule]]\nwhen = {{ message = \"Write the memory\" }}\nreply = {{ {fault} }}\n\
             [default]\ntext = \"fine\""
        );
        let (mock, house) = start(&script).await;
        let window = json!({"strategy": "summary", "tokens": 400, "summarizer": MODEL});
        house.post("/api/v1/contexts", &json!({"id": "c", "settings": {"window": window}})).await;
        let mut asked = 0;
        for n in 0..12 {
            let message = format!("report {n}: {}", "rain in Oslo, wind from the west. ".repeat(3));
            let answer = say(&house, "c", &json!({"message": message})).await;
            // The cut keeps the window small, whatever becomes of the summary.
            let facts = answer.json()["window"].clone();
            assert!(facts["tokens"].as_u64().unwrap() <= 1_200, "{fault}: {facts}");
            asked = mock.requests().len();
        }
        assert!(asked > 12 || fault.contains("hang"), "{fault}: the summariser was asked");
        if !fault.contains("hang") {
            settle(&house).await;
            let found = house.call("GET", "/api/v1/contexts/c/summaries").await.json();
            assert_eq!(found["summaries"][0]["by"], "offline", "{fault}: {found}");
        }
    }
}

const MODEL: &str = "claude-3-opus-20240229";

#[tokio::test]
async fn what_is_recalled_is_told_once_and_stays_where_it_was_told() {
    let (mock, house) = start("default.text = \"fine\"").await;
    let window = json!({"strategy": "last", "turns": 1, "recall": 1});
    house.post("/api/v1/contexts", &json!({"id": "c", "settings": {"window": window}})).await;
    for message in ["My dog Rex is afraid of thunder.", "I like tea.", "The train leaves at five."]
    {
        say(&house, "c", &json!({"message": message})).await;
    }
    let answer = say(&house, "c", &json!({"message": "What is my dog Rex afraid of?"})).await;
    assert_eq!(answer.json()["window"]["recalled"], 1);
    let body = mock.requests().last().unwrap().json();
    let text = body["messages"][0]["content"].to_string();
    assert!(
        text.contains("<recalled_messages>") && text.contains("[1] user: My dog Rex"),
        "{text}"
    );
    // In the next turn the question is rendered with the same bytes.
    let full = json!({"message": "And?", "window": "full"});
    say(&house, "c", &full).await;
    let again = mock.requests().last().unwrap().json();
    assert_eq!(again["messages"][6]["content"], body["messages"][0]["content"]);
    // What was told again is not found as if it had been said again.
    let hits = house.call("GET", "/api/v1/search?q=thunder").await.json();
    assert_eq!(hits["hits"].as_array().unwrap().len(), 1);
    assert_eq!((&hits["hits"][0]["context_id"], &hits["hits"][0]["seq"]), (&json!("c"), &json!(1)));
    let found = house.call("GET", "/api/v1/contexts/c/recall?q=afraid%20dog&limit=1").await.json();
    assert_eq!(found["recalled"].as_array().unwrap().len(), 1);
    let none = house.call("GET", "/api/v1/search?q=%3F").await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    let preview = house.call("GET", "/api/v1/contexts/c/window?strategy=last&turns=2").await.json();
    assert_eq!(preview["messages"], 4);
    let wrong = house.call("GET", "/api/v1/contexts/c/window?strategy=newest").await;
    assert_eq!(wrong.json()["details"]["field"], "window.strategy");
}
