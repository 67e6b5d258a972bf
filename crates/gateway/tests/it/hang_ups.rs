//! Callers that leave: the upstream's work ends with them, and the call is written down once.

use std::time::Duration;

use axum::body::Body;
use bytes::BytesMut;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway::settings::{ProviderSettings, Settings};
use gateway::{Gateway, Peer};
use http::Request;
use mock::Mock;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::house::House;
use crate::routes::{mock, provider};

/// Limit: what takes milliseconds is waited for so long, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// An upstream that says something and then thinks for ten minutes.
const SLOW: &str = "default.fragments = [\"once \", \"upon \"]\ndefault.pause_ms = 600000";

async fn house(dialect: &str, script: &str) -> (Mock, House) {
    let mock = mock(script).await;
    let provider = ProviderSettings { ..provider("one", dialect, &mock) };
    let settings = Settings { providers: vec![provider], ..Settings::default() };
    (mock, House::with(settings).await)
}

fn request(path: &str, body: &Value) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

async fn left(mock: &Mock, what: &str) {
    let left = tokio::time::timeout(PATIENCE, mock.left(1)).await;
    left.unwrap_or_else(|_| panic!("{what}: the upstream works for nobody"));
}

impl House {
    /// All records, once there are any.
    async fn records(&self) -> Vec<Value> {
        let written = async {
            loop {
                let list = self.call("GET", "/api/v1/requests?limit=500").await.json();
                let list = list["requests"].as_array().unwrap().clone();
                if !list.is_empty() {
                    return list;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, written).await.expect("a record")
    }
}

/// Every API whose calls are not kept, streamed and whole.
fn surfaces() -> Vec<(&'static str, Value)> {
    let say = json!([{"role": "user", "content": "hello"}]);
    let parts = json!([{"role": "user", "parts": [{"text": "hello"}]}]);
    vec![
        ("/v1/messages", json!({"model": "one", "max_tokens": 9, "messages": say})),
        ("/v1/chat/completions", json!({"model": "one", "messages": say})),
        ("/v1/completions", json!({"model": "one", "prompt": "hello"})),
        ("/v1/responses", json!({"model": "one", "input": "hello", "store": false})),
        ("/v1beta/models/one:streamGenerateContent?alt=sse", json!({"contents": parts})),
        ("/v1beta/models/one:generateContent", json!({"contents": parts})),
        ("/api/chat", json!({"model": "one", "messages": say})),
        ("/api/generate", json!({"model": "one", "prompt": "hello"})),
        ("/v2/chat", json!({"model": "one", "messages": say})),
    ]
}

#[tokio::test]
async fn who_leaves_a_stream_ends_the_upstreams_work() {
    for dialect in ["anthropic", "openai_chat"] {
        for (path, mut body) in surfaces() {
            if path.ends_with(":generateContent") {
                continue;
            }
            body["stream"] = json!(true);
            let (mock, house) = house(dialect, SLOW).await;
            let mut stream = house.stream(request(path, &body)).await;
            let first = tokio::time::timeout(PATIENCE, stream.next()).await;
            assert!(first.expect("a beginning").is_some(), "{dialect} {path}");
            drop(stream);
            left(&mock, &format!("{dialect} {path}")).await;
            let records = house.records().await;
            assert_eq!(records.len(), 1, "{dialect} {path}: {records:?}");
            assert_eq!(records[0]["outcome"], "hung_up", "{dialect} {path}: {records:?}");
        }
    }
}

#[tokio::test]
async fn who_leaves_before_an_answer_ends_the_upstreams_work() {
    for (path, mut body) in surfaces() {
        for stream in [false, true] {
            if path.starts_with("/v1beta") == stream && path.contains(":generate") {
                continue;
            }
            body["stream"] = json!(stream);
            let (mock, house) = house("anthropic", "default.fault = \"hang\"").await;
            tokio::select! {
                answer = house.post(path, &body) => panic!("{path}: {answer:?}"),
                () = mock.seen(1) => {}
            }
            left(&mock, path).await;
            let records = house.records().await;
            assert_eq!(records.len(), 1, "{path}: {records:?}");
            assert_eq!(records[0]["outcome"], "hung_up", "{path}: {records:?}");
        }
    }
}

async fn cancelling(house: &House) {
    let body = json!({"id": "c", "settings": {"model": "one", "on_hang_up": "cancel"}});
    let made = house.post("/api/v1/contexts", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// What is left of the turn of `c`, once it is over.
async fn cancelled(house: &House, mock: &Mock, what: &str) {
    left(mock, what).await;
    let records = house.records().await;
    assert_eq!(records.len(), 1, "{what}: {records:?}");
    assert_eq!(records[0]["outcome"], "cancelled", "{what}: {records:?}");
}

#[tokio::test]
async fn a_turn_whose_context_says_so_ends_with_its_caller() {
    for (path, body) in [
        ("/api/v1/contexts/c/turns", json!({"message": "hello", "stream": true})),
        ("/mcp/context/c/message", json!({"message": "hello", "stream": true})),
        ("/api/mcp/interact", json!({"sessionId": "c", "message": "hello", "stream": true})),
        ("/v1/predict", json!({"session_id": "c", "input": "hello", "stream": true})),
    ] {
        let (mock, house) = house("anthropic", SLOW).await;
        cancelling(&house).await;
        let mut stream = house.stream(request(path, &body)).await;
        let mut said = String::new();
        while !said.contains("once") {
            let piece = tokio::time::timeout(PATIENCE, stream.next()).await.expect("a word");
            said.push_str(std::str::from_utf8(&piece.expect("more").unwrap()).unwrap());
        }
        drop(stream);
        cancelled(&house, &mock, path).await;
    }
}

#[tokio::test]
async fn a_turn_goes_on_without_its_caller_where_nothing_else_is_said() {
    let (mock, house) = house("anthropic", "default.fragments = [\"a\", \"b\"]").await;
    house.post("/api/v1/contexts", &json!({"id": "c", "settings": {"model": "one"}})).await;
    let body = json!({"message": "hello", "stream": true});
    let mut stream = house.stream(request("/api/v1/contexts/c/turns", &body)).await;
    drop(stream.next().await);
    drop(stream);
    let records = house.records().await;
    assert_eq!((records.len(), &records[0]["outcome"]), (1, &json!("ok")), "{records:?}");
    assert_eq!(mock.requests().len(), 1);
    let kept = house.call("GET", "/api/v1/contexts/c/messages").await.json();
    assert_eq!(kept["messages"][1]["content"], "ab", "{kept}");
}

/// The gateway behind a socket of its own.
pub(crate) async fn listen(gate: &Gateway) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let peer = Peer { addr: "127.0.0.1:50000".parse().unwrap(), tls: false };
    let router = gate.router(axum::Router::new()).layer(axum::Extension(peer));
    drop(gateway::tasks::detach("listener", async move {
        axum::serve(listener, router).await.unwrap();
    }));
    addr
}

#[tokio::test]
async fn a_web_socket_that_closes_ends_its_turn() {
    for stream in [false, true] {
        let (mock, house) = house("anthropic", "default.fault = \"hang\"").await;
        cancelling(&house).await;
        let addr = listen(&house.gate).await;
        let url = format!("ws://{addr}/api/v1/contexts/c/ws");
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let ask = json!({"message": "hello", "stream": stream}).to_string();
        socket.send(Message::Text(ask.into())).await.unwrap();
        tokio::time::timeout(PATIENCE, mock.seen(1)).await.expect("the question");
        drop(socket);
        cancelled(&house, &mock, "web socket").await;
    }
}

#[tokio::test]
async fn a_raw_connection_that_is_reset_ends_its_turn() {
    for ask in [
        "{\"sessionId\": \"c\", \"message\": \"hello\"}\n",
        "MCP/1.0\n\n{\"id\": 1, \"method\": \"interact\", \"params\": {\"sessionId\": \"c\", \
         \"message\": \"hello\"}}\n",
    ] {
        let (mock, house) = house("anthropic", "default.fault = \"hang\"").await;
        cancelling(&house).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, addr) = listener.accept().await.unwrap();
        let serve = house.gate.lines(theirs, Peer { addr, tls: false }, BytesMut::new());
        let talk = async {
            ours.write_all(ask.as_bytes()).await.unwrap();
            tokio::time::timeout(PATIENCE, mock.seen(1)).await.expect("the question");
            ours.set_zero_linger().unwrap();
            drop(ours);
        };
        tokio::join!(serve, talk);
        cancelled(&house, &mock, ask).await;
    }
}

#[tokio::test]
async fn who_sends_and_closes_one_half_still_gets_every_answer() {
    let (_mock, house) = house("anthropic", "default.text = \"answer {n}\"").await;
    let two = "{\"sessionId\": \"h\", \"message\": \"a\"}\n\
               {\"sessionId\": \"h\", \"message\": \"b\"}\n";
    let said = house.raw(two.as_bytes()).await;
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.contains("answer 1") && said.contains("answer 2"), "{said}");
}
