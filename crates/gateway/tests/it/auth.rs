//! Nothing but the open paths is answered without a caller, and a scope is never exceeded.

use axum::body::Body;
use catalog::{NewKey, Scopes};
use http::{Request, StatusCode};
use serde_json::json;

use crate::house::House;

async fn key(house: &House, scopes: &str) -> String {
    let scopes = Scopes::parse(scopes).unwrap();
    let new = NewKey {
        name: "test".into(),
        scopes,
        expires_in: None,
        models: catalog::ModelLimit::default(),
    };
    house.keys.create(new).await.unwrap().secret.expose().to_owned()
}

#[tokio::test]
async fn every_documented_path_but_the_open_ones_needs_a_key() {
    let house = House::new().await;
    let document = house.call("GET", "/openapi.json").await.json();
    key(&house, "admin").await;
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let real = path.replace("{id}", "x");
            let answer = house.call(&method.to_uppercase(), &real).await;
            let open = gateway::auth::OPEN_PATHS.contains(&path.as_str());
            let refused = answer.status == StatusCode::UNAUTHORIZED;
            assert_eq!(refused, !open, "{method} {path}: {answer:?}");
            walked += 1;
        }
    }
    assert!(walked > 30, "{walked}");
    // Also what does not exist tells nothing to strangers.
    assert_eq!(house.call("GET", "/nothing").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn missing_malformed_unknown_and_revoked_are_told_apart() {
    let house = House::new().await;
    let good = key(&house, "read,write").await;
    let gone = key(&house, "read").await;
    let id = house.keys.list().into_iter().find(|k| gone.starts_with(&k.prefix)).unwrap().id;
    house.keys.revoke(&id).await.unwrap();
    let unknown = key(&House::new().await, "read").await;
    let ask = |name: &'static str, value: String| {
        let house = &house;
        async move {
            let request = Request::get("/api/v1/status").header(name, value);
            let answer = house.send(request.body(Body::empty()).unwrap()).await;
            let reason = answer.json()["details"]["reason"].as_str().unwrap_or("ok").to_owned();
            (answer.status.as_u16(), reason)
        }
    };
    assert_eq!(ask("authorization", format!("Bearer {good}")).await, (200, "ok".into()));
    assert_eq!(ask("x-api-key", good.clone()).await, (200, "ok".into()));
    assert_eq!(ask("x-other", good.clone()).await, (401, "missing".into()));
    assert_eq!(ask("authorization", format!("Basic {good}")).await, (401, "malformed".into()));
    assert_eq!(ask("x-api-key", "rap_short".into()).await, (401, "malformed".into()));
    assert_eq!(ask("x-api-key", unknown).await, (401, "unknown".into()));
    assert_eq!(ask("x-api-key", gone).await, (401, "revoked".into()));
}

#[tokio::test]
async fn scopes_decide_who_may_read_write_and_manage() {
    let house = House::new().await;
    let (reader, writer, admin) =
        (key(&house, "read").await, key(&house, "write").await, key(&house, "admin").await);
    let status = async |key: &str, method: &str, path: &str| {
        let headers = [("x-api-key", key)];
        house.with_headers(method, path, &headers, &json!({"name": "n"})).await.status.as_u16()
    };
    assert_eq!(status(&reader, "GET", "/api/v1/contexts").await, 200);
    assert_eq!(status(&reader, "POST", "/mcp/context").await, 403);
    assert_eq!(status(&reader, "DELETE", "/mcp/context/x").await, 403);
    assert_eq!(status(&writer, "POST", "/mcp/context").await, 201);
    assert_eq!(status(&writer, "GET", "/api/v1/contexts").await, 200);
    assert_eq!(status(&writer, "GET", "/api/v1/keys").await, 403);
    assert_eq!(status(&admin, "POST", "/api/v1/keys").await, 201);
}

#[tokio::test]
async fn raw_tcp_and_the_handshake_need_the_key_too() {
    let house = House::new().await;
    let good = key(&house, "write").await;
    let line = house.raw(b"{\"sessionId\":\"a\",\"message\":\"m\"}\n").await;
    assert!(line.contains("\"code\":\"unauthorized\""), "{line}");
    let with = format!("{{\"sessionId\":\"a\",\"message\":\"m\",\"auth\":\"{good}\"}}\n");
    assert!(house.raw(with.as_bytes()).await.contains("Echo from MCP server"));
    let refused = house.raw(b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n").await;
    assert!(refused.starts_with("MCP/1.0 401 Unauthorized"), "{refused}");
    let greeted = format!("MCP/1.0\r\nAuthorization: Bearer {good}\r\n\r\n");
    assert!(house.raw(greeted.as_bytes()).await.starts_with("MCP/1.0 101"));
}

#[tokio::test]
async fn a_secret_is_shown_once_and_stored_nowhere() {
    let house = House::new().await;
    let made = house.post("/api/v1/keys", &json!({"name": "ci", "scopes": ["admin"]})).await.json();
    let secret = made["secret"].as_str().unwrap().to_owned();
    let request = Request::get("/api/v1/keys").header("x-api-key", &secret);
    let list = house.send(request.body(Body::empty()).unwrap()).await;
    assert!(list.text.contains("\"name\":\"ci\"") && !list.text.contains(&secret), "{list:?}");
}

#[tokio::test]
async fn the_rate_is_limited_per_key_and_said_in_headers() {
    let mut settings = gateway::settings::Settings::default();
    settings.limits.requests_per_minute = Some(2);
    let house = House::with(settings).await;
    assert_eq!(house.call("GET", "/api/v1/status").await.header("ratelimit-remaining"), "1");
    house.call("GET", "/api/v1/status").await;
    let over = house.call("GET", "/api/v1/status").await;
    assert_eq!(over.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(over.header("retry-after").parse::<u32>().unwrap() > 0);
    assert_eq!(house.call("GET", "/health").await.status, StatusCode::OK);
}
