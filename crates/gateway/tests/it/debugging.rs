//! Whoever may look into a server: an administrator on its machine, where that is switched on.

use std::time::Duration;

use axum::body::Body;
use catalog::{ModelLimit, NewKey, Scopes};
use gateway::debug::{Debugger, Holding, Point, Seen, Waiting};
use gateway::provider::AuthKind;
use gateway::settings::{ProviderSettings, Settings};
use http::Request;
use serde_json::{Value, json};

use crate::house::House;
use crate::routes::{mock, provider};

/// Ends every call at every point; or holds each for ever at one, and notes where it was asked.
#[derive(Debug)]
enum Desk {
    Ends,
    Holds(Point, tokio::sync::mpsc::Sender<Seen>),
}

impl Debugger for Desk {
    fn hold(&self, seen: Seen) -> Option<Holding> {
        let Self::Holds(point, noted) = self else {
            return Some(Box::pin(std::future::ready(false)));
        };
        let is_here = seen.point == *point;
        noted.try_send(seen).unwrap();
        is_here.then(|| Box::pin(std::future::pending()) as Holding)
    }

    fn set_rules(&self, rules: &[String]) -> Result<(), String> {
        if rules.iter().any(|rule| rule == "wrong") {
            Err("`wrong` is wrong".into())
        } else {
            Ok(())
        }
    }

    fn rules(&self) -> Vec<String> {
        Vec::new()
    }

    fn waiting(&self) -> Vec<Waiting> {
        Vec::new()
    }

    fn decide(&self, _number: u64, _goes_on: bool) -> bool {
        false
    }

    fn without_secrets(&self, text: &str) -> String {
        text.replace("hush", "[hidden]")
    }
}

async fn house(debug: bool) -> House {
    let house = House::with(Settings { debug, ..Settings::default() }).await;
    house.gate.set_debugger(Desk::Ends);
    house
}

#[tokio::test]
async fn only_an_administrator_sees_it_and_only_where_it_is_on() {
    let off = house(false).await;
    for (method, path) in [("GET", "/api/v1/debug"), ("POST", "/api/v1/debug/steps/1/go")] {
        let answer = off.call(method, path).await;
        assert_eq!(answer.status.as_u16(), 404, "{answer:?}");
        assert!(answer.text.contains("debugging is switched off"), "{answer:?}");
    }
    let on = house(true).await;
    assert_eq!(on.call("GET", "/api/v1/debug").await.status.as_u16(), 200);
    for (scopes, status) in [("read,write", 403), ("admin", 200)] {
        let new = NewKey {
            name: "test".into(),
            scopes: Scopes::parse(scopes).unwrap(),
            expires_in: None,
            models: ModelLimit::default(),
        };
        let key = on.keys.create(new).await.unwrap().secret.expose().to_owned();
        let request = Request::get("/api/v1/debug").header("x-api-key", key);
        let answer = on.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{scopes}: {answer:?}");
    }
}

#[tokio::test]
async fn a_dump_hides_secrets_cuts_long_texts_and_stays_within_its_limits() {
    let house = house(true).await;
    let long = "x".repeat(50_000);
    let made = json!({"id": "a", "state": {"note": "hush"}, "metadata": {"long": long}});
    assert_eq!(house.post("/api/v1/contexts", &made).await.status.as_u16(), 201);
    let dump = house.call("GET", "/api/v1/debug?contexts=100").await;
    assert!(dump.text.len() < 10_000 && !dump.text.contains("hush"), "{}", dump.text);
    let dump = dump.json();
    assert_eq!(dump["contexts"][0]["state"]["note"], "[hidden]");
    let long = dump["contexts"][0]["metadata"]["long"].as_str().unwrap().to_owned();
    assert!(long.ends_with("… 48000 bytes more"), "{long}");
    // Where a text is cut, no half of a secret is left.
    let list = json!([format!("{}hush", "x".repeat(1_998))]);
    let made = json!({"id": "b", "metadata": {"list": list}});
    assert_eq!(house.post("/api/v1/contexts", &made).await.status.as_u16(), 201);
    let dump = house.call("GET", "/api/v1/debug?context=b").await;
    assert!(!dump.text.contains("xhu"), "{}", dump.text);
    for query in ["contexts=101", "messages=51", "exchanges=201", "all=1"] {
        let answer = house.call("GET", &format!("/api/v1/debug?{query}")).await;
        assert_eq!(answer.status.as_u16(), 400, "{query}");
    }
    let missing = house.call("GET", "/api/v1/debug?context=nobody").await;
    assert_eq!(missing.status.as_u16(), 404);
}

#[tokio::test]
async fn calls_pass_until_there_is_a_rule_and_again_when_debugging_ends() {
    let house = house(true).await;
    let turn = json!({"sessionId": "a", "message": "hi"});
    let say = async || house.post("/api/mcp/interact", &turn).await;
    assert_eq!(say().await.status.as_u16(), 200);
    let set = async |rules: Value| {
        let body = json!({"rules": rules}).to_string();
        let request =
            Request::put("/api/v1/debug/steps").header("content-type", "application/json");
        house.send(request.body(Body::from(body)).unwrap()).await
    };
    assert!(set(json!(["wrong"])).await.text.contains("`wrong` is wrong"));
    assert_eq!(set(json!(vec!["a"; 21])).await.status.as_u16(), 400);
    assert_eq!(say().await.status.as_u16(), 200, "what is refused changes nothing");
    assert_eq!(set(json!(["all"])).await.status.as_u16(), 200);
    let ended = say().await;
    assert!(ended.text.contains("ended in step mode, at `parsed`"), "{ended:?}");
    let call = json!({"model": "demo", "messages": [{"role": "user", "content": "hi"}]});
    let ended = house.post("/v1/chat/completions", &call).await;
    assert!(ended.text.contains("ended in step mode, at `parsed`"), "{ended:?}");
    // The configuration says that it is over.
    house.gate.reload(Settings::default()).unwrap();
    assert_eq!(say().await.status.as_u16(), 200);
    assert_eq!(house.post("/v1/chat/completions", &call).await.status.as_u16(), 200);
}

/// A server whose calls wait at this point.
async fn holding(
    point: Point,
    provider: ProviderSettings,
) -> (House, tokio::sync::mpsc::Receiver<Seen>) {
    let settings = Settings { debug: true, providers: vec![provider], ..Settings::default() };
    let house = House::with(settings).await;
    let (seen, came) = tokio::sync::mpsc::channel(100);
    house.gate.set_debugger(Desk::Holds(point, seen));
    let rules = Request::put("/api/v1/debug/steps").header("content-type", "application/json");
    let set = house.send(rules.body(Body::from(r#"{"rules": ["all"]}"#)).unwrap()).await;
    assert_eq!(set.status.as_u16(), 200, "{set:?}");
    (house, came)
}

/// Waits until a call is there.
async fn reached(point: Point, came: &mut tokio::sync::mpsc::Receiver<Seen>) -> Seen {
    let reached = async {
        loop {
            let seen = came.recv().await.unwrap();
            if seen.point == point {
                return seen;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap()
}

#[tokio::test]
async fn a_turn_whose_caller_leaves_while_it_is_held_goes_on_without_it() {
    for point in [Point::Joined, Point::Prompt] {
        let mock = mock("default.text = \"here\"").await;
        let (house, mut came) = holding(point, provider("one", "anthropic", &mock)).await;
        let made = json!({"id": "a", "settings": {"model": "one-m"}});
        assert_eq!(house.post("/api/v1/contexts", &made).await.status.as_u16(), 201);
        let turn = json!({"message": "hello"});
        let asked = house.post("/api/v1/contexts/a/turns", &turn);
        tokio::select! {
            answer = asked => panic!("it is not held: {answer:?}"),
            _seen = reached(point, &mut came) => {}
        }
        // Its caller is gone now; the context is not busy for ever.
        let stored = async {
            loop {
                let list = house.call("GET", "/api/v1/contexts/a/messages").await.json();
                if list["messages"][1]["content"] == "here" {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), stored).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_that_is_part_of_an_address_is_not_shown() {
    let mock = mock("default.text = \"here\"").await;
    let mut provider = provider("one", "anthropic", &mock);
    provider.auth = AuthKind::parse("query:code").unwrap();
    let (house, mut came) = holding(Point::Prompt, provider).await;
    let said = json!([{"role": "user", "content": "hello"}]);
    let call = json!({"model": "one-m", "max_tokens": 9, "messages": said});
    let asked = house.post("/v1/messages", &call);
    let seen = tokio::select! {
        answer = asked => panic!("it is not held: {answer:?}"),
        seen = reached(Point::Prompt, &mut came) => seen,
    };
    let url = seen.message["url"].as_str().unwrap();
    assert!(url.ends_with("code=[hidden]"), "{url}");
}
