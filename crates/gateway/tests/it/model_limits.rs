//! A key with a limit uses and sees the models it names, on every surface, and no other.

use catalog::{Change, ModelLimit, NewKey, Scopes};
use gateway::cache::CacheMode;
use gateway::provider::Providers;
use gateway::route::{RouteSettings, TargetSettings};
use gateway::settings::{ProviderSettings, Settings};
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};
use crate::routes::{mock, provider};

/// A house before two providers, a route over both, and a key that may use `one/*` and `echo`.
struct Estate {
    house: House,
    key: String,
    id: String,
    one: mock::Mock,
    two: mock::Mock,
}

fn limit(patterns: &[&str]) -> ModelLimit {
    let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
    ModelLimit::parse(&patterns).unwrap()
}

async fn estate(patterns: &[&str]) -> Estate {
    let one = mock("default.text = \"from-one\"").await;
    let two = mock("default.text = \"from-two\"").await;
    let target = |text: &str| TargetSettings::parse(text).unwrap();
    let route = RouteSettings {
        name: "both".into(),
        targets: vec![target("two/two-m"), target("one/one-m")],
        ..RouteSettings::default()
    };
    let mut settings = Settings {
        providers: vec![provider("one", "anthropic", &one), provider("two", "openai_chat", &two)],
        routes: vec![route],
        ..Settings::default()
    };
    settings.cache.exact = CacheMode::All;
    let house = House::with(settings).await;
    let new = NewKey {
        name: "limited".into(),
        scopes: Scopes::parse("read,write").unwrap(),
        expires_in: None,
        models: limit(patterns),
    };
    let made = house.keys.create(new).await.unwrap();
    let key = made.secret.expose().to_owned();
    Estate { house, key, id: made.key.id, one, two }
}

impl Estate {
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("x-api-key", self.key.as_str())];
        self.house.with_headers("POST", path, &headers, body).await
    }

    async fn get(&self, path: &str, more: &[(&str, &str)]) -> Value {
        let mut headers = vec![("x-api-key", self.key.as_str())];
        headers.extend_from_slice(more);
        self.house.with_headers("GET", path, &headers, &json!(null)).await.json()
    }
}

/// Every way to ask a model, by what stands for its name.
fn doors(model: &str) -> Vec<(String, Value)> {
    let said = json!([{"role": "user", "content": "hi"}]);
    let parts = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    vec![
        ("/v1/chat/completions".into(), json!({"model": model, "messages": said})),
        ("/v1/completions".into(), json!({"model": model, "prompt": "hi"})),
        ("/v1/responses".into(), json!({"model": model, "input": "hi"})),
        ("/v1/responses".into(), json!({"model": model, "input": "hi", "store": false})),
        ("/v1/responses/input_tokens".into(), json!({"model": model, "input": "hi"})),
        ("/v1/messages".into(), json!({"model": model, "max_tokens": 9, "messages": said})),
        ("/v1/messages/count_tokens".into(), json!({"model": model, "messages": said})),
        (format!("/v1beta/models/{model}:generateContent"), json!({"contents": parts})),
        (format!("/v1beta/models/{model}:countTokens"), json!({"contents": parts})),
        ("/api/chat".into(), json!({"model": model, "stream": false, "messages": said})),
        ("/api/generate".into(), json!({"model": model, "stream": false, "prompt": "hi"})),
        ("/api/show".into(), json!({"model": model})),
        ("/v2/chat".into(), json!({"model": model, "messages": said})),
        ("/v1/embeddings".into(), json!({"model": model, "input": "hi"})),
        ("/v2/rerank".into(), json!({"model": model, "query": "q", "documents": ["d"]})),
        ("/v1/images/generations".into(), json!({"model": model, "prompt": "a cat"})),
        ("/api/mcp/interact".into(), json!({"message": "hi", "model": model})),
        ("/v1/predict".into(), json!({"input": "hi", "model": model})),
        ("/api/v1/contexts/c/turns".into(), json!({"message": "hi", "model": model})),
        ("/mcp/context/c/message".into(), json!({"message": "hi", "model": model})),
    ]
}

#[tokio::test]
async fn what_the_key_does_not_name_is_refused_on_every_door_and_nobody_is_asked() {
    let estate = estate(&["one/*", "echo"]).await;
    let made = estate.post("/api/v1/contexts", &json!({"id": "c"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    for (path, body) in doors("two/two-m") {
        let answer = estate.post(&path, &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {answer:?}");
        for told in ["may not use", "two/two-m", "one/*"] {
            assert!(answer.text.contains(told), "{path} does not say `{told}`: {answer:?}");
        }
    }
    for (path, model) in [("/v1/embeddings", "hash-embed"), ("/v2/rerank", "lexical-rerank")] {
        let body = json!({"model": model, "input": "x", "query": "q", "documents": ["d"]});
        assert_eq!(estate.post(path, &body).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    let line = json!({"sessionId": "s", "message": "m", "model": "two/two-m", "auth": estate.key});
    let told = estate.house.raw(format!("{line}\n").as_bytes()).await;
    assert!(told.contains("\"code\":\"forbidden\""), "{told}");
    assert_eq!(estate.two.requests().len(), 0, "nobody was asked");
}

#[tokio::test]
async fn what_the_key_names_is_answered() {
    let estate = estate(&["one/*", "echo"]).await;
    estate.post("/api/v1/contexts", &json!({"id": "c"})).await;
    for (path, body) in doors("one/one-m") {
        let answer = estate.post(&path, &body).await;
        assert_ne!(answer.status, StatusCode::FORBIDDEN, "{path} {answer:?}");
    }
    assert!(estate.one.requests().len() > 8);
    let line = json!({"sessionId": "s", "message": "m", "model": "echo", "auth": estate.key});
    let told = estate.house.raw(format!("{line}\n").as_bytes()).await;
    assert!(told.contains("Echo from MCP server"), "{told}");
}

#[tokio::test]
async fn a_context_that_names_a_model_does_not_open_it() {
    let estate = estate(&["one/*"]).await;
    let body = json!({"id": "c", "settings": {"model": "two/two-m"}});
    estate.post("/api/v1/contexts", &body).await;
    let turn = estate.post("/api/v1/contexts/c/turns", &json!({"message": "hi"})).await;
    assert_eq!(turn.status, StatusCode::FORBIDDEN, "{turn:?}");
    let body = json!({"id": "d", "settings": {"model": "demo"}});
    estate.post("/api/v1/contexts", &body).await;
    let turn = estate.post("/api/v1/contexts/d/turns", &json!({"message": "hi"})).await;
    assert_eq!(turn.status, StatusCode::FORBIDDEN, "a built-in one too: {turn:?}");
    assert_eq!(estate.two.requests().len(), 0);
}

#[tokio::test]
async fn of_a_route_the_targets_count_unless_the_key_names_the_route() {
    let ask = json!({"model": "both", "max_tokens": 9,
                     "messages": [{"role": "user", "content": "hi"}]});
    let some = estate(&["one/*"]).await;
    let answer = some.post("/v1/messages", &ask).await;
    assert!(answer.text.contains("from-one"), "the first target is not its: {answer:?}");
    assert_eq!(some.two.requests().len(), 0);
    let named = estate(&["both"]).await;
    let answer = named.post("/v1/messages", &ask).await;
    assert!(answer.text.contains("from-two"), "{answer:?}");
    let direct = json!({"model": "two/two-m", "max_tokens": 9, "messages": ask["messages"]});
    assert_eq!(named.post("/v1/messages", &direct).await.status, StatusCode::FORBIDDEN);
    let none = estate(&["demo"]).await;
    let answer = none.post("/v1/messages", &ask).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert_eq!(answer.json()["error"]["type"], "permission_error");
}

#[tokio::test]
async fn an_answer_that_is_kept_for_others_is_not_for_this_key() {
    let estate = estate(&["one/*"]).await;
    let all = estate.house.keys.create(NewKey {
        name: "all".into(),
        scopes: Scopes::ALL,
        expires_in: None,
        models: ModelLimit::default(),
    });
    let all = all.await.unwrap().secret.expose().to_owned();
    let ask = json!({"model": "both", "messages": [{"role": "user", "content": "hi"}]});
    let headers = [("x-api-key", all.as_str())];
    let path = "/v1/chat/completions";
    for expected in ["miss", "hit"] {
        let answer = estate.house.with_headers("POST", path, &headers, &ask).await;
        assert_eq!(answer.header("x-rapport-cache"), expected);
        assert_eq!(answer.header("x-rapport-route"), "both");
        assert!(answer.text.contains("from-two"));
    }
    let answer = estate.post(path, &ask).await;
    assert!(answer.text.contains("from-one"), "{answer:?}");
}

#[tokio::test]
async fn lists_show_what_may_be_used_in_every_shape() {
    let estate = estate(&["one/*", "echo"]).await;
    let ids = |list: &Value, name: &str| -> Vec<String> {
        let rows = list.as_array().unwrap().iter();
        let mut ids: Vec<String> = rows.map(|row| row[name].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let expected = ["both", "echo", "one-m"];
    let openai = estate.get("/v1/models", &[]).await;
    assert_eq!(ids(&openai["data"], "id"), expected, "a route of which some may be used is shown");
    let claude = estate.get("/v1/models", &[("anthropic-version", "2023-06-01")]).await;
    assert_eq!(ids(&claude["data"], "id"), expected);
    let gemini = estate.get("/v1beta/models", &[]).await;
    assert_eq!(ids(&gemini["models"], "name"), ["models/both", "models/echo", "models/one-m"]);
    let ollama = estate.get("/api/tags", &[]).await;
    assert_eq!(ids(&ollama["models"], "name"), expected);
    for path in ["/api/v1/models", "/v1/model/status"] {
        let native = estate.get(path, &[]).await;
        assert_eq!(ids(&native["models"], "name"), expected, "{path}");
    }
    let one = estate.get("/v1/models/two/two-m", &[]).await;
    assert!(one.to_string().contains("may not use"), "{one}");
}

#[tokio::test]
async fn a_route_that_leads_to_nobody_is_on_no_list() {
    let there = mock("default.text = \"here\"").await;
    // Its own company's address wants a key, and it has none.
    let mut locked = ProviderSettings::of(Providers::embedded().find("openai").unwrap());
    locked.models = vec!["text-embedding-3-small".into()];
    let route = |name: &str, model: &str| RouteSettings {
        name: name.into(),
        targets: vec![TargetSettings::parse(model).unwrap()],
        ..RouteSettings::default()
    };
    let routes = vec![route("vectors", "text-embedding-3-small"), route("talk", "one/one-m")];
    let providers = vec![provider("one", "anthropic", &there), locked];
    let house = House::with(Settings { providers, routes, ..Settings::default() }).await;
    let new = NewKey {
        name: "limited".into(),
        scopes: Scopes::parse("read,write").unwrap(),
        expires_in: None,
        models: limit(&["vectors", "talk", "openai/*"]),
    };
    let key = house.keys.create(new).await.unwrap().secret.expose().to_owned();
    for (path, header, list, name) in [
        ("/v1/models", ("accept", "*/*"), "data", "talk"),
        ("/v1/models", ("anthropic-version", "2023-06-01"), "data", "talk"),
        ("/v1/models", ("x-goog-api-key", key.as_str()), "models", "models/talk"),
        ("/v1beta/models", ("accept", "*/*"), "models", "models/talk"),
        ("/api/tags", ("accept", "*/*"), "models", "talk"),
    ] {
        let headers = [("x-api-key", key.as_str()), header];
        let answer = house.with_headers("GET", path, &headers, &json!(null)).await.json();
        let field = if list == "models" { "name" } else { "id" };
        let rows = answer[list].as_array().unwrap_or_else(|| panic!("{path}: {answer}"));
        let names: Vec<&Value> = rows.iter().map(|row| &row[field]).collect();
        assert_eq!(names, [name], "{path}");
    }
}

#[tokio::test]
async fn calls_that_name_no_model_need_all_of_the_provider() {
    let some = estate(&["two/two-m"]).await;
    for path in ["/v1/files", "/v1/batches", "/provider/two/v1/anything", "/v1/moderations"] {
        let body = json!({"model": "two/two-m", "input_file_id": "f"});
        let answer = some.post(path, &body).await;
        let named = path == "/v1/moderations";
        assert_eq!(answer.status == StatusCode::FORBIDDEN, !named, "{path} {answer:?}");
        assert!(named || answer.text.contains("two/*"), "{path} {answer:?}");
    }
    let all = estate(&["two/*"]).await;
    let answer = all.post("/provider/two/v1/anything", &json!({})).await;
    assert_ne!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
}

#[tokio::test]
async fn the_api_sets_changes_and_ends_a_limit() {
    let house = House::new().await;
    let made = house
        .post("/api/v1/keys", &json!({"name": "n", "scopes": ["admin"], "models": ["mock"]}))
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let (secret, id) = (made.json()["secret"].clone(), made.json()["key"]["id"].clone());
    assert_eq!(made.json()["key"]["models"], json!(["mock"]));
    let headers = [("x-api-key", secret.as_str().unwrap())];
    let ask = json!({"model": "demo", "messages": [{"role": "user", "content": "hi"}]});
    let demo =
        async || house.with_headers("POST", "/v1/chat/completions", &headers, &ask).await.status;
    assert_eq!(demo().await, StatusCode::FORBIDDEN);
    let path = format!("/api/v1/keys/{}", id.as_str().unwrap());
    let patch = async |body: Value| house.with_headers("PATCH", &path, &headers, &body).await;
    assert_eq!(patch(json!({"models": ["de*"]})).await.status, StatusCode::OK);
    assert_eq!(demo().await, StatusCode::OK, "at once");
    let bad = patch(json!({"models": ["a b"]})).await;
    assert_eq!(
        (bad.status, &bad.json()["details"]["field"]),
        (StatusCode::BAD_REQUEST, &json!("models"))
    );
    assert_eq!(patch(json!({"model": ["x"]})).await.status, StatusCode::BAD_REQUEST);
    let ended = patch(json!({"models": [], "name": "new"})).await.json();
    assert_eq!((&ended["key"]["models"], &ended["key"]["name"]), (&json!([]), &json!("new")));
}

#[tokio::test]
async fn a_limit_set_while_a_socket_is_open_counts_for_its_next_message() {
    let estate = estate(&[]).await;
    let change = Change { models: Some(limit(&["demo"])), ..Change::default() };
    assert!(estate.house.keys.still(&estate.id).unwrap().is_none());
    estate.house.keys.update(&estate.id, change).await.unwrap();
    assert_eq!(estate.house.keys.still(&estate.id).unwrap(), limit(&["demo"]));
}

#[tokio::test]
async fn a_route_is_listed_with_what_the_caller_may_ask_of_its_targets() {
    let mock = mock("default.text = \"a\"").await;
    let route = |name: &str, targets: &[&str]| RouteSettings {
        name: name.into(),
        targets: targets.iter().map(|text| TargetSettings::parse(text).unwrap()).collect(),
        ..RouteSettings::default()
    };
    let (words, vectors) = ("anthropic/claude-haiku-5-5", "openai/text-embedding-3-small");
    let settings = Settings {
        providers: vec![
            provider("anthropic", "anthropic", &mock),
            provider("openai", "openai_chat", &mock),
        ],
        routes: vec![
            route("words", &[words, "openai/gpt-5.4-mini"]),
            route("vectors", &[vectors]),
            route("mixed", &[words, vectors]),
            route("unknown", &[words, "openai/nobody-knows-it"]),
        ],
        ..Settings::default()
    };
    let house = House::with(settings).await;
    let scopes = Scopes::parse("read").unwrap();
    let models = limit(&["anthropic/*", "words"]);
    let new = NewKey { name: "limited".into(), scopes, expires_in: None, models };
    let open = house.call("GET", "/api/v1/models").await.json();
    let can = |list: &Value, name: &str| {
        let list = list["models"].as_array().unwrap();
        list.iter().find(|model| model["name"] == name).map(|model| model["capabilities"].clone())
    };
    let shared = can(&open, "words").unwrap().to_string();
    assert!(shared.contains("tools") && !shared.contains("embedding"), "{open}");
    assert_eq!(can(&open, "vectors"), Some(json!(["embedding"])), "{open}");
    let mixed = can(&open, "mixed").unwrap().to_string();
    assert!(mixed.contains("tools") && mixed.contains("embedding"), "{open}");
    assert_eq!(can(&open, "unknown"), Some(json!([])), "nobody knows what its second can do");
    let gemini = house.call("GET", "/v1beta/models").await.json();
    let methods = |name: &str| {
        let list = gemini["models"].as_array().unwrap();
        let found = list.iter().find(|model| model["name"] == format!("models/{name}"));
        found.unwrap()["supportedGenerationMethods"].clone()
    };
    assert_eq!(methods("vectors"), json!(["embedContent", "batchEmbedContents"]));
    assert_eq!(methods("words"), json!(["generateContent", "countTokens"]));
    let shown = house.post("/api/show", &json!({"model": "vectors"})).await.json();
    assert_eq!(shown["capabilities"], json!(["embedding"]), "{shown}");

    let key = house.keys.create(new).await.unwrap().secret.expose().to_owned();
    let headers = [("x-api-key", key.as_str())];
    let told = house.with_headers("GET", "/api/v1/models", &headers, &json!(null)).await.json();
    assert_eq!(can(&told, "vectors"), None, "{told}");
    assert_eq!(can(&told, "words"), can(&open, "words"), "a route that the key names is whole");
    let mixed = can(&told, "mixed").unwrap().to_string();
    assert!(mixed.contains("tools") && !mixed.contains("embedding"), "{told}");
    let told = house.with_headers("GET", "/v1/models", &headers, &json!(null)).await.json();
    let row = told["data"].as_array().unwrap().iter().find(|row| row["id"] == "mixed").unwrap();
    assert!(!row["capabilities"].to_string().contains("embedding"), "{told}");
}
