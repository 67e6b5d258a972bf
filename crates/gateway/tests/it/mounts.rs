//! Contexts of another server, mounted: what is proven is served, and nothing else.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use gateway::mounts::MountSettings;
use gateway::settings::Settings;
use http::StatusCode;
use serde_json::{Value, json};

use crate::house::{Answer, House};

/// Changes an answer on its way.
type Tamper = Box<dyn Fn(String) -> String + Send>;

/// The other server, and the network before it.
struct Origin {
    house: House,
    tamper: Mutex<Option<Tamper>>,
    /// A status that somebody on the way answers instead; 0 is nobody.
    status: AtomicU16,
}

impl Origin {
    async fn start() -> (Arc<Self>, String) {
        Self::of(House::new().await).await
    }

    async fn of(house: House) -> (Arc<Self>, String) {
        let this = Arc::new(Self { house, tamper: Mutex::default(), status: AtomicU16::new(0) });
        let app = axum::Router::new().fallback(pass).with_state(Arc::clone(&this));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        gateway::tasks::detach("origin", async move { axum::serve(socket, app).await.unwrap() });
        (this, url)
    }

    /// Says something in its context `talk`.
    async fn say(&self, texts: &[&str]) {
        let messages: Vec<Value> =
            texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
        let path = "/api/v1/contexts/talk/messages";
        let said = self.house.post(path, &json!({"messages": messages})).await;
        assert!(said.status.is_success(), "{}", said.text);
    }

    /// Makes the context and shares it.
    async fn share(&self, body: &Value) -> Value {
        let made = self.house.post("/api/v1/contexts", &json!({"id": "talk", "title": "T"})).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
        self.say(&["the first", "the second about zebras"]).await;
        let shared = self.house.post("/api/v1/contexts/talk/share", body).await;
        assert_eq!(shared.status, StatusCode::CREATED, "{}", shared.text);
        shared.json()
    }

    fn tamper(&self, with: impl Fn(String) -> String + Send + 'static) {
        *self.tamper.lock().unwrap() = Some(Box::new(with));
    }

    fn leave_alone(&self) {
        *self.tamper.lock().unwrap() = None;
        self.status.store(0, Ordering::Relaxed);
    }
}

async fn pass(State(origin): State<Arc<Origin>>, request: Request) -> Response {
    let status = origin.status.load(Ordering::Relaxed);
    if status > 0 {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let (mut head, _) = request.into_parts();
    head.headers.insert("host", http::HeaderValue::from_static("localhost"));
    let answer = origin.house.send(Request::from_parts(head, Body::empty())).await;
    let tamper = origin.tamper.lock().unwrap();
    let text = tamper.as_ref().map_or(answer.text.clone(), |tamper| tamper(answer.text.clone()));
    (answer.status, text).into_response()
}

async fn reader() -> House {
    let mounts = MountSettings {
        private: true,
        within: Duration::from_secs(10),
        refresh: Duration::from_secs(60),
    };
    House::with(Settings { mounts, ..Settings::default() }).await
}

/// Mounts what the share opens.
async fn mount(here: &House, url: &str, share: &Value) -> Answer {
    let body = json!({"url": url, "token": share["token"], "key": share["key"]});
    here.post("/api/v1/mounts", &body).await
}

async fn mounted(here: &House, url: &str, share: &Value) -> Value {
    let made = mount(here, url, share).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.json()
}

async fn refresh(here: &House) -> Value {
    let asked = here.post("/api/v1/mounts/talk/refresh", &json!({})).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
    asked.json()
}

async fn texts(here: &House, id: &str) -> Vec<String> {
    let found = here.call("GET", &format!("/api/v1/contexts/{id}/messages")).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.text);
    let found = found.json();
    let list = found["messages"].as_array().unwrap();
    list.iter().map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_context_of_another_server_is_read_searched_and_forked_here() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    let made = mounted(&here, &url, &share).await;
    assert_eq!((&made["id"], &made["state"]), (&json!("talk"), &json!("current")), "{made}");
    assert_eq!(texts(&here, "talk").await, ["the first", "the second about zebras"]);
    let context = here.call("GET", "/api/v1/contexts/talk").await;
    assert_eq!(context.json()["status"], "mounted");
    assert_eq!(context.json()["title"], "T");
    assert!(context.header("x-rapport-mount").starts_with("state=current; "), "{context:?}");

    origin.say(&["the third"]).await;
    assert_eq!(refresh(&here).await["messages"], 3);
    let window = here.call("GET", "/api/v1/contexts/talk/window").await;
    assert_eq!(window.json()["messages"], 3, "{}", window.text);
    let found = here.call("GET", "/api/v1/search?q=zebra").await;
    assert_eq!(found.json()["hits"][0]["context_id"], "talk", "{}", found.text);
    let recalled = here.call("GET", "/api/v1/contexts/talk/recall?q=zebras").await;
    assert_eq!(recalled.json()["recalled"][0]["seq"], 2, "{}", recalled.text);

    let fork = here.post("/api/v1/contexts/talk/fork", &json!({"id": "mine"})).await;
    assert_eq!(fork.status, StatusCode::CREATED, "{}", fork.text);
    let turn = here.post("/api/v1/contexts/mine/turns", &json!({"message": "go on"})).await;
    assert_eq!(turn.status, StatusCode::OK, "{}", turn.text);
    let checked = here.post("/api/v1/mounts/talk/check", &json!({})).await;
    assert_eq!(checked.json()["proven"], 3, "{}", checked.text);

    let gone = here.call("DELETE", "/api/v1/mounts/talk").await;
    assert_eq!(gone.status, StatusCode::OK, "{}", gone.text);
    let lost = here.call("GET", "/api/v1/contexts/talk").await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND);
    let left = texts(&here, "mine").await;
    assert_eq!(&left[..3], ["the first", "the second about zebras", "the third"]);
    assert_eq!(here.call("GET", "/api/v1/mounts").await.json()["mounts"], json!([]));
}

#[tokio::test]
async fn a_mounted_context_takes_no_change_and_says_fork_it() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    mounted(&here, &url, &share).await;
    let at = |path: &str| format!("/api/v1/contexts/talk/{path}");
    let messages = json!({"messages": [{"role": "user", "content": "x"}]});
    let answers = [
        here.post(&at("turns"), &json!({"message": "hi"})).await,
        here.post(&at("messages"), &messages).await,
        here.post(&at("rollback"), &json!({"to": 1})).await,
        here.post(&at("checkpoints"), &json!({"name": "x"})).await,
        here.post(&at("notes"), &json!({"value": "x"})).await,
        here.post(&at("redact"), &json!({"all": true})).await,
        here.post(&at("share"), &json!({})).await,
        here.post(&at("close"), &json!({})).await,
        here.call("PUT", &at("pins/1")).await,
        here.post("/api/mcp/interact", &json!({"sessionId": "talk", "message": "hi"})).await,
    ];
    for answer in answers {
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
        let hint = answer.json()["hint"].to_string();
        assert!(hint.contains("fork it"), "{}", answer.text);
    }
    assert_eq!(texts(&here, "talk").await.len(), 2);
    let checked = here.post("/api/v1/mounts/talk/check", &json!({})).await;
    assert_eq!(checked.json()["proven"], 2, "{}", checked.text);
}

#[tokio::test]
async fn what_somebody_changed_on_the_way_is_refused_and_named() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    mounted(&here, &url, &share).await;
    origin.say(&["pay 10 to Ann"]).await;
    let seen: Arc<Mutex<String>> = Arc::default();
    let note = Arc::clone(&seen);
    origin.tamper(move |text| {
        note.lock().unwrap().clone_from(&text);
        text.replace("pay 10", "pay 99")
    });
    let state = refresh(&here).await;
    assert_eq!((&state["state"], &state["messages"]), (&json!("refused"), &json!(2)), "{state}");
    assert!(state["error"].as_str().unwrap().contains("entries 3 to 3"), "{state}");

    // An answer to an earlier question, all of it genuine.
    let old = seen.lock().unwrap().clone();
    origin.tamper(move |_| old.clone());
    let state = refresh(&here).await;
    assert!(state["error"].as_str().unwrap().contains("another request"), "{state}");

    // Another server's key.
    origin.tamper(|text| text.replace("ed25519:", "ed25519:00"));
    let state = refresh(&here).await;
    assert!(state["error"].as_str().unwrap().contains("pinned key"), "{state}");

    // No JSON at all.
    origin.tamper(|_| "<html>".to_owned());
    assert_eq!(refresh(&here).await["state"], "refused");
    assert_eq!(texts(&here, "talk").await.len(), 2);
    let read = here.call("GET", "/api/v1/contexts/talk/messages").await;
    assert!(read.header("x-rapport-mount").starts_with("state=refused"), "{read:?}");

    origin.leave_alone();
    let state = refresh(&here).await;
    assert_eq!((&state["state"], &state["error"]), (&json!("current"), &Value::Null), "{state}");
    assert_eq!(texts(&here, "talk").await[2], "pay 10 to Ann");
}

#[tokio::test]
async fn a_refusal_that_nobody_signed_removes_nothing_and_a_signed_one_all() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    mounted(&here, &url, &share).await;
    for status in [401, 404, 302, 500] {
        origin.status.store(status, Ordering::Relaxed);
        let state = refresh(&here).await;
        assert_eq!(state["state"], "offline", "{state}");
        assert!(state["error"].as_str().unwrap().contains(&status.to_string()), "{state}");
        assert_eq!(texts(&here, "talk").await.len(), 2);
    }
    origin.leave_alone();
    let ended = origin.house.call("DELETE", "/api/v1/contexts/talk/share/1").await;
    assert_eq!(ended.status, StatusCode::OK, "{}", ended.text);
    origin.tamper(|text| text.replace("no_share", "erased__"));
    assert_eq!(refresh(&here).await["state"], "refused");
    origin.leave_alone();
    let state = refresh(&here).await;
    assert_eq!(state["state"], "ended", "{state}");
    assert!(state["error"].as_str().unwrap().contains("ended the share"), "{state}");
    let read = here.call("GET", "/api/v1/contexts/talk/messages").await;
    assert_eq!(read.status, StatusCode::NOT_FOUND, "{}", read.text);
    assert_eq!(here.call("GET", "/api/v1/search?q=zebra").await.json()["hits"], json!([]));
    assert_eq!(here.call("GET", "/api/v1/mounts").await.json()["mounts"][0]["state"], "ended");
    // The id is free again, and the mount can be forgotten.
    let made = here.post("/api/v1/contexts", &json!({"id": "talk"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let own = here.call("GET", "/api/v1/contexts/talk").await;
    assert_eq!(own.header("x-rapport-mount"), "", "it is a context of our own");
    let said = here.post("/api/v1/contexts/talk/turns", &json!({"message": "hi"})).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    assert_eq!(here.call("DELETE", "/api/v1/mounts/talk").await.status, StatusCode::OK);
    assert_eq!(texts(&here, "talk").await.len(), 2);
}

#[tokio::test]
async fn another_past_is_refused_by_the_name_of_its_first_entry() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    mounted(&here, &url, &share).await;
    let back = origin.house.post("/api/v1/contexts/talk/rollback", &json!({"to": 1})).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    let state = refresh(&here).await;
    assert_eq!(state["state"], "refused", "{state}");
    assert!(state["error"].as_str().unwrap().contains("ends at entry 1"), "{state}");
    origin.say(&["another second", "another third"]).await;
    let state = refresh(&here).await;
    assert!(state["error"].as_str().unwrap().contains("entry 2 is not the one"), "{state}");
    assert_eq!(texts(&here, "talk").await, ["the first", "the second about zebras"]);
    let checked = here.post("/api/v1/mounts/talk/check", &json!({})).await;
    assert_eq!(checked.json()["proven"], 2, "{}", checked.text);
}

#[tokio::test]
async fn a_redaction_over_there_is_done_here_too() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    origin.say(&["write to ann@example.org", "the fourth"]).await;
    let here = reader().await;
    mounted(&here, &url, &share).await;
    assert_eq!(texts(&here, "talk").await[2], "write to ann@example.org");
    let path = "/api/v1/contexts/talk/redact";
    let redacted = origin.house.post(path, &json!({"patterns": ["email"]})).await;
    assert_eq!(redacted.status, StatusCode::OK, "{}", redacted.text);
    let state = refresh(&here).await;
    assert_eq!((&state["state"], &state["messages"]), (&json!("current"), &json!(4)), "{state}");
    let now = texts(&here, "talk").await;
    assert_eq!((&*now[2], &*now[3]), ("write to [redacted: email]", "the fourth"));
    assert_eq!(here.call("GET", "/api/v1/search?q=ann").await.json()["hits"], json!([]));
    let checked = here.post("/api/v1/mounts/talk/check", &json!({})).await;
    assert_eq!(checked.json()["proven"], 4, "{}", checked.text);
}

#[tokio::test]
async fn only_so_much_is_seen_and_no_longer_than_the_share_says() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({"upto": 1, "expires_in_seconds": 3600})).await;
    let here = reader().await;
    let made = mounted(&here, &url, &share).await;
    assert_eq!((&made["messages"], &made["behind"]), (&json!(1), &json!(0)), "{made}");
    let found = here.call("GET", "/api/v1/contexts/talk").await.json();
    let end: jiff::Timestamp = found["expires_at"].as_str().unwrap().parse().unwrap();
    let left = end.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((3500..=3600).contains(&left), "{found}");
}

#[tokio::test]
async fn a_turn_that_may_still_change_is_not_passed_on() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = socket.local_addr().unwrap();
    drop(socket);
    let (origin, url) = Origin::of(House::before(nobody).await).await;
    let share = origin.share(&json!({})).await;
    let body = json!({"message": "hello"});
    let failed = origin.house.post("/api/v1/contexts/talk/turns", &body).await;
    assert!(failed.status.is_server_error(), "{}", failed.text);
    let here = reader().await;
    let made = mounted(&here, &url, &share).await;
    assert_eq!((&made["messages"], &made["state"]), (&json!(2), &json!("current")), "{made}");
    // What is said next settles it.
    origin.say(&["the fourth"]).await;
    assert_eq!(refresh(&here).await["messages"], 4);
    let listed = here.call("GET", "/api/v1/contexts/talk/messages").await.json();
    assert_eq!(listed["messages"][2]["status"], "failed", "{listed}");
}

#[tokio::test]
async fn what_somebody_changed_in_the_store_is_no_longer_proven() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    mounted(&here, &url, &share).await;
    // Whoever can write into the database can also mend its checksums, but not the chain.
    let lie = "UPDATE entry SET role = 2 WHERE k & 4294967295 = 2";
    let change = move |c: &storage::rusqlite::Connection| {
        let changed = c.execute(lie, []).map_err(|error| wire::Fault::internal(error.to_string()));
        assert_eq!(changed?, 1);
        Ok(())
    };
    here.database.write(storage::Durability::Fast, change).await.unwrap();
    let checked = here.post("/api/v1/mounts/talk/check", &json!({})).await;
    assert_eq!(checked.status, StatusCode::INTERNAL_SERVER_ERROR, "{}", checked.text);
    assert!(checked.text.contains("does not hold what was proven"), "{}", checked.text);
}

#[tokio::test]
async fn mounting_says_what_is_wrong() {
    let (origin, url) = Origin::start().await;
    let share = origin.share(&json!({})).await;
    let here = reader().await;
    let try_it = async |body: Value| here.post("/api/v1/mounts", &body).await;
    let wrong = try_it(json!({"url": url, "token": "rap_share_no"})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text);
    assert!(wrong.text.contains("opens no context there"), "{}", wrong.text);
    let wrong = try_it(json!({"url": "ftp://x", "token": share["token"]})).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text);
    let wrong = try_it(json!({"url": url, "token": share["token"], "key": "abc"})).await;
    assert!(wrong.text.contains("no key of a server"), "{}", wrong.text);
    let other = format!("ed25519:{}", "0".repeat(64));
    let wrong = try_it(json!({"url": url, "token": share["token"], "key": other})).await;
    assert_eq!(wrong.status, StatusCode::BAD_GATEWAY, "{}", wrong.text);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", socket.local_addr().unwrap());
    drop(socket);
    let wrong = try_it(json!({"url": closed, "token": share["token"]})).await;
    assert_eq!(wrong.status, StatusCode::SERVICE_UNAVAILABLE, "{}", wrong.text);
    here.post("/api/v1/contexts", &json!({"id": "talk"})).await;
    assert_eq!(mount(&here, &url, &share).await.status, StatusCode::CONFLICT);
    let made = try_it(json!({"url": url, "token": share["token"], "id": "theirs"})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert!(!made.text.contains(share["token"].as_str().unwrap()));

    let strict = House::new().await;
    let wrong = mount(&strict, &url, &share).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{}", wrong.text);
    assert!(wrong.text.contains("mounts.private"), "{}", wrong.text);
    let range = "/api/v1/shared/ranges?nonce=a%20b";
    assert!(origin.house.call("GET", range).await.status.is_client_error());
}
