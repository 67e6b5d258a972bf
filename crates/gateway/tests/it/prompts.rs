//! Kept prompts: at MCP, at the API, in the Responses API; and who does not see them.

use catalog::{ModelLimit, NewKey, Scopes};
use gateway::prompts::{Argument, PromptSettings};
use gateway::settings::Settings;
use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::{House, claude};

const MODEL: &str = "claude-3-opus-20240229";

fn trip() -> PromptSettings {
    let arguments = ["city Which city", "days=3"].map(|line| Argument::parse(line).unwrap());
    let prompt = PromptSettings {
        name: "trip".into(),
        title: Some("A trip".into()),
        description: Some("Plans a trip".into()),
        text: "Plan {{days}} days in {{city}}.".into(),
        system: Some("You know {{city}}.".into()),
        model: Some(MODEL.into()),
        arguments: arguments.into(),
    };
    prompt.checked().unwrap()
}

async fn town() -> (Mock, House) {
    let script = Script::parse("default.text = \"gladly\"").unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let free =
        PromptSettings { name: "free".into(), text: "hi".into(), ..PromptSettings::default() };
    let settings = Settings {
        providers: vec![claude(mock.addr())],
        prompts: vec![trip(), free.checked().unwrap()],
        ..Settings::default()
    };
    (mock, House::with(settings).await)
}

async fn mcp(house: &House, key: &str, method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                             "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let mut headers = vec![
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    if !key.is_empty() {
        headers.push(("x-api-key", key));
    }
    house.with_headers("POST", "/mcp", &headers, &body).await.json()
}

#[tokio::test]
async fn a_prompt_is_listed_and_filled_in_by_the_api() {
    let (_mock, house) = town().await;
    let all = house.call("GET", "/api/v1/prompts").await.json();
    assert_eq!(all["prompts"][0]["name"], "trip", "{all}");
    assert_eq!(all["prompts"][0]["model"], MODEL);
    let arguments = &all["prompts"][0]["arguments"];
    assert_eq!(
        arguments[0],
        json!({"name": "city", "required": true, "description": "Which city"})
    );
    assert_eq!(arguments[1]["required"], false);
    let body = json!({"arguments": {"city": "Rome"}});
    let filled = house.post("/api/v1/prompts/trip", &body).await.json();
    assert_eq!(filled["messages"], json!([{"role": "user", "content": "Plan 3 days in Rome."}]));
    assert_eq!((&filled["system"], &filled["model"]), (&json!("You know Rome."), &json!(MODEL)));
    for (path, body, status, says) in [
        ("trip", json!({}), StatusCode::BAD_REQUEST, "needs the argument `city`"),
        (
            "trip",
            json!({"arguments": {"town": "x"}}),
            StatusCode::BAD_REQUEST,
            "no argument `town`",
        ),
        ("tripp", json!({}), StatusCode::NOT_FOUND, "there is no prompt `tripp`"),
    ] {
        let answer = house.post(&format!("/api/v1/prompts/{path}"), &body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(says), "{answer:?}");
    }
    assert_eq!(house.post("/api/v1/prompts/free", &Value::Null).await.status, 400);
    assert_eq!(house.post("/api/v1/prompts/free", &json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_prompt_is_a_prompt_of_the_mcp_server() {
    let (_mock, house) = town().await;
    let all = mcp(&house, "", "prompts/list", &json!({})).await;
    let names: Vec<&Value> =
        all["result"]["prompts"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["continue_context", "summarize_context", "trip", "free"]);
    let params = json!({"name": "trip", "arguments": {"city": "Rome", "days": "2"}});
    let got = mcp(&house, "", "prompts/get", &params).await;
    let said = |at: usize| got["result"]["messages"][at]["content"]["text"].clone();
    assert_eq!(
        (said(0), said(1)),
        (json!("You know Rome."), json!("Plan 2 days in Rome.")),
        "{got}"
    );
    assert_eq!(got["result"]["description"], "Plans a trip");
    let params = json!({"name": "trip", "arguments": {}});
    let refused = mcp(&house, "", "prompts/get", &params).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("`city`"), "{refused}");
    let params = json!({"ref": {"type": "ref/prompt", "name": "trip"},
                        "argument": {"name": "days", "value": ""}});
    let completed = mcp(&house, "", "completion/complete", &params).await;
    assert_eq!(completed["result"]["completion"]["values"], json!(["3"]), "{completed}");
}

#[tokio::test]
async fn a_response_may_begin_with_a_prompt() {
    let (mock, house) = town().await;
    let body =
        json!({"prompt": {"id": "trip", "variables": {"city": "Rome"}}, "input": "by train"});
    let made = house.post("/v1/responses", &body).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    assert_eq!(made.json()["model"], MODEL);
    let sent = mock.requests().pop().unwrap().json();
    let text = sent.to_string();
    assert!(text.contains("You know Rome.") && text.contains("by train"), "{text}");
    assert!(text.find("Plan 3 days in Rome.") < text.find("by train"), "{text}");
    // It goes on like any other, and what the caller says itself counts more.
    let id = made.json()["id"].clone();
    let body = json!({"prompt": {"name": "trip", "variables": {"city": "Oslo"}},
                      "instructions": "be brief", "model": "demo", "previous_response_id": id});
    let next = house.post("/v1/responses", &body).await.json();
    assert_eq!((&next["model"], &next["instructions"]), (&json!("demo"), &json!("be brief")));
    for (prompt, says) in [
        (json!({"id": "trip"}), "city"),
        (json!({"id": "nobody"}), "nobody"),
        (json!({"id": 5}), "prompt.id"),
        (json!("trip"), "prompt"),
        (json!({"id": "trip", "variables": ["x"]}), "prompt.variables"),
    ] {
        let refused = house.post("/v1/responses", &json!({"prompt": prompt, "input": "x"})).await;
        assert!(refused.status.is_client_error(), "{refused:?}");
        assert!(refused.json()["error"]["message"].as_str().unwrap().contains(says), "{refused:?}");
    }
}

#[tokio::test]
async fn who_may_not_use_its_model_does_not_see_a_prompt() {
    let (_mock, house) = town().await;
    let key = async |models: &str| {
        let new = NewKey {
            name: "test".into(),
            scopes: Scopes::parse("write").unwrap(),
            expires_in: None,
            models: ModelLimit::parse(&[models.to_owned()]).unwrap(),
        };
        house.keys.create(new).await.unwrap().secret.expose().to_owned()
    };
    let (some, other) = (key("claude-*").await, key("demo").await);
    let names = async |key: &str| {
        let all = mcp(&house, key, "prompts/list", &json!({})).await;
        let all = all["result"]["prompts"].as_array().unwrap().clone();
        all.into_iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(names(&some).await.contains(&"trip".to_owned()));
    assert_eq!(names(&other).await, ["continue_context", "summarize_context", "free"]);
    let headers = [("x-api-key", other.as_str())];
    let body = json!({"arguments": {"city": "x"}});
    let hidden = house.with_headers("POST", "/api/v1/prompts/trip", &headers, &body).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{hidden:?}");
    assert!(!hidden.text.contains("Plans"), "{hidden:?}");
}
