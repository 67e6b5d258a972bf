//! Whoever may look into a server: an administrator on its machine, where that is switched on.

use axum::body::Body;
use catalog::{ModelLimit, NewKey, Scopes};
use gateway::debug::{Debugger, Holding, Seen, Waiting};
use gateway::settings::Settings;
use http::Request;
use serde_json::{Value, json};

use crate::house::House;

/// Ends every call at every point.
#[derive(Debug)]
struct Ends;

impl Debugger for Ends {
    fn hold(&self, _seen: Seen) -> Option<Holding> {
        Some(Box::pin(std::future::ready(false)))
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
    house.gate.set_debugger(Ends);
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
