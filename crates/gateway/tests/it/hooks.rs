//! Webhooks and the audit of changes, over the API.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::body::Bytes;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::hooks::HookSettings;
use gateway::settings::Settings;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::house::House;

type Seen = Vec<(HeaderMap, String)>;

/// A server that is told, and answers with these statuses one after the other, then 200.
#[derive(Clone, Default)]
struct Listener {
    seen: Arc<Mutex<Seen>>,
    answers: Arc<Mutex<Vec<u16>>>,
    came: Arc<Notify>,
}

impl Listener {
    async fn start(answers: &[u16]) -> (Self, String) {
        let this = Self::default();
        *this.answers.lock().unwrap() = answers.iter().rev().copied().collect();
        let app = axum::Router::new().fallback(hear).with_state(this.clone());
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", socket.local_addr().unwrap());
        gateway::tasks::detach("listener", async move {
            axum::serve(socket, app).await.unwrap();
        });
        (this, url)
    }

    /// Waits until so many requests have come.
    async fn heard(&self, count: usize) -> Seen {
        let wait = async {
            loop {
                let came = self.came.notified();
                if self.seen.lock().unwrap().len() >= count {
                    return self.seen.lock().unwrap().clone();
                }
                came.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the webhook was told")
    }
}

async fn hear(State(listener): State<Listener>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let text = String::from_utf8(body.to_vec()).unwrap();
    listener.seen.lock().unwrap().push((headers, text));
    let status = listener.answers.lock().unwrap().pop().unwrap_or(200);
    listener.came.notify_waiters();
    StatusCode::from_u16(status).unwrap()
}

async fn house(private: bool) -> House {
    let wait = Duration::from_millis(20);
    let hooks = HookSettings { private, wait, attempts: 3, ..HookSettings::default() };
    let house = House::with(Settings { hooks, ..Settings::default() }).await;
    let gate = house.gate.clone();
    gateway::tasks::detach("webhooks", async move { gate.tell_webhooks().await });
    house
}

async fn hook(house: &House, url: &str, events: &Value) -> Value {
    let made = house.post("/api/v1/webhooks", &json!({"url": url, "events": events})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

#[tokio::test]
async fn a_webhook_is_told_signed_and_again_until_it_takes_it() {
    let (listener, url) = Listener::start(&[500, 302]).await;
    let house = house(true).await;
    let made = hook(&house, &url, &json!(["context.created"])).await;
    house.post("/api/v1/contexts", &json!({"id": "c", "title": "a private title"})).await;
    house.call("POST", "/api/v1/contexts/c/close").await;
    let seen = listener.heard(3).await;
    let ids: Vec<_> = seen.iter().map(|(headers, _)| headers["webhook-id"].clone()).collect();
    assert!(ids[0] == ids[1] && ids[1] == ids[2]);
    let (headers, body) = &seen[2];
    let told: Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["type"], "context.created");
    assert_eq!(told["data"]["context_id"], "c");
    assert!(!body.contains("private title"), "{body}");
    let secret = made["secret"].as_str().unwrap().strip_prefix("whsec_").unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(secret).unwrap());
    let text = |name: &str| headers[name].to_str().unwrap();
    let signed = format!("{}.{}.{body}", text("webhook-id"), text("webhook-timestamp"));
    let tag = STANDARD.decode(text("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, signed.as_bytes(), &tag).unwrap();
    let listed = house.call("GET", "/api/v1/webhooks").await;
    assert!(!listed.text.contains(secret), "{}", listed.text);
}

#[tokio::test]
async fn what_is_never_taken_is_kept_and_can_be_sent_again() {
    let (listener, url) = Listener::start(&[500, 500, 500]).await;
    let house = house(true).await;
    hook(&house, &url, &json!([])).await;
    let answer = house.call("POST", "/api/v1/webhooks/1/test").await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    listener.heard(3).await;
    let dead = "/api/v1/webhooks/1/deliveries?status=dead";
    let listed = loop {
        let listed = house.call("GET", dead).await.json();
        if listed["deliveries"].as_array().is_some_and(|list| !list.is_empty()) {
            break listed;
        }
        tokio::task::yield_now().await;
    };
    let given_up = &listed["deliveries"][0];
    assert_eq!((&given_up["event"], &given_up["tries"]), (&json!("webhook.test"), &json!(3)));
    assert!(given_up["error"].as_str().unwrap().contains("500"), "{given_up}");
    let again = house.post("/api/v1/webhooks/1/retry", &json!({})).await.json();
    assert_eq!(again["retried"], 1);
    listener.heard(4).await;
}

#[tokio::test]
async fn addresses_behind_the_firewall_are_refused_unless_allowed() {
    let (listener, url) = Listener::start(&[]).await;
    let house = house(false).await;
    let refused = house.post("/api/v1/webhooks", &json!({"url": url})).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text.contains("webhooks.private"), "{}", refused.text);
    for body in [
        json!({"url": "https://example.com/", "events": ["context.eaten"]}),
        json!({"url": "https://example.com/", "secret": "short"}),
        json!({"url": "https://example.com/", "secret": "whsec_c2hvcnQ="}),
        json!({"url": "example.com"}),
    ] {
        let refused = house.post("/api/v1/webhooks", &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}: {}", refused.text);
    }
    let missing = house.call("DELETE", "/api/v1/webhooks/7").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(listener.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_audit_is_read_checked_and_exported() {
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    house.post("/api/v1/contexts/c/turns", &json!({"message": "hello", "model": "echo"})).await;
    house.call("POST", "/api/v1/contexts/c/close").await;
    let audit = house.call("GET", "/api/v1/audit?context=c").await.json();
    let what: Vec<_> = audit["changes"].as_array().unwrap().iter().map(|c| &c["what"]).collect();
    assert_eq!(what, ["context.created", "context.closed"]);
    assert!(audit["changes"][0]["who"].as_str().unwrap().contains("without a key"), "{audit}");
    let check = house.call("GET", "/api/v1/audit/verify").await.json();
    assert_eq!((&check["sound"], &check["lines"]), (&json!(true), &json!(2)));
    assert_eq!(check["newest"], audit["changes"][1]["hash"]);
    let lines = house.call("GET", "/api/v1/audit?format=jsonl&after=1").await.text;
    assert_eq!(lines.lines().count(), 1);
    for query in ["limit=0", "limit=501", "format=xml", "who=me"] {
        let answer = house.call("GET", &format!("/api/v1/audit?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}
