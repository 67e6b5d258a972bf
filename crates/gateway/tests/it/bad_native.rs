//! Bad input at the native API: bodies that are not there, pages of nothing, pages of everything.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::house::{Answer, House};

async fn empty(house: &House, path: &str, media_type: Option<&str>) -> Answer {
    let mut request = Request::post(path);
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_post_without_a_body_is_one_in_which_nothing_was_said() {
    let house = House::new().await;
    let document = house.call("GET", "/openapi.json").await.json();
    house.post("/api/v1/contexts", &json!({"id": "x"})).await;
    let mut walked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        // An import has a document, which is no JSON object; the others are not ours.
        if methods.get("post").is_none()
            || !path.starts_with("/api/v1/")
            || path == "/api/v1/import"
        {
            continue;
        }
        let path = path.replace("{id}", "x").replace("{number}", "1").replace("{name}", "x");
        for media_type in [Some("application/json"), None] {
            let answer = empty(&house, &path, media_type).await;
            let text = format!("{path} {media_type:?}: {answer:?}");
            assert_ne!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{text}");
            if !answer.status.is_success() {
                assert_ne!(answer.json()["code"], "invalid_json", "{text}");
            }
        }
        walked += 1;
    }
    assert!(walked > 20, "{walked}");
}

#[tokio::test]
async fn what_may_be_left_out_may_be_left_out_with_the_whole_body() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "x"})).await;
    let json = Some("application/json");
    let hook = json!({"url": "https://example.org/hook"});
    assert_eq!(house.post("/api/v1/webhooks", &hook).await.status, StatusCode::CREATED);
    let retried = empty(&house, "/api/v1/webhooks/1/retry", json).await;
    assert_eq!((retried.status, retried.json()["retried"].as_u64()), (StatusCode::OK, Some(0)));
    assert_eq!(empty(&house, "/api/v1/contexts", json).await.status, StatusCode::CREATED);
    assert_eq!(empty(&house, "/api/v1/contexts/x/fork", json).await.status, StatusCode::CREATED);
    assert_eq!(empty(&house, "/api/v1/contexts/x/redact", json).await.status, StatusCode::OK);
    let missing = empty(&house, "/api/v1/contexts/x/checkpoints", json).await;
    assert_eq!(missing.json()["code"], "missing_field", "{missing:?}");
    assert_eq!(missing.json()["details"]["field"], "name");
    // Where the body is what is written, nothing is no empty state.
    let put = Request::put("/api/v1/contexts/x/state").header("content-type", "application/json");
    let put = house.send(put.body(Body::empty()).unwrap()).await;
    assert_eq!(put.json()["code"], "invalid_json", "{put:?}");
    // And half a body is none.
    let half = Request::post("/api/v1/contexts").header("content-type", "application/json");
    let half = house.send(half.body(Body::from("{\"id\"")).unwrap()).await;
    assert_eq!(half.json()["code"], "invalid_json", "{half:?}");
}

#[tokio::test]
async fn a_page_of_nothing_and_one_of_too_much_are_refused() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "x"})).await;
    for (path, most) in [
        ("/api/v1/contexts?limit=", 500),
        ("/api/v1/contexts/x/messages?limit=", 500),
        ("/api/v1/contexts/x/recall?q=word&limit=", 50),
        ("/api/v1/contexts/x/state/history?limit=", 500),
        ("/api/v1/search?q=word&limit=", 100),
        ("/api/v1/audit?limit=", 500),
        ("/api/v1/requests?limit=", 500),
    ] {
        for limit in ["1".to_owned(), most.to_string()] {
            let answer = house.call("GET", &format!("{path}{limit}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}{limit}: {answer:?}");
        }
        for limit in ["0".to_owned(), (most + 1).to_string(), "-1".to_owned(), "x".to_owned()] {
            let answer = house.call("GET", &format!("{path}{limit}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}{limit}: {answer:?}");
            assert_eq!(answer.json()["code"], "invalid_input", "{path}{limit}");
        }
        let told = house.call("GET", &format!("{path}0")).await.json();
        assert_eq!(told["details"]["field"], "limit", "{path}: {told}");
        assert!(told["detail"].as_str().unwrap().contains(&most.to_string()), "{path}: {told}");
    }
    for limit in ["0", "1001"] {
        let path = format!("/v1/models?limit={limit}");
        let headers = [("anthropic-version", "2023-06-01")];
        let answer = house.with_headers("GET", &path, &headers, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    }
}
