//! A request is recorded exactly once, however it ends.

use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use catalog::{NewKey, Scopes};
use gateway::Peer;
use http::Request;
use http_body_util::BodyExt as _;
use mock::{Mock, Reply, Script};
use serde_json::json;
use tower::ServiceExt as _;

use crate::house::House;

/// The lines of the request log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("rapport::request=info")
            .with_ansi(false)
            .with_writer(move || lines.clone())
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn take(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn one(&self, part: &str) {
        let lines = self.take();
        assert_eq!(lines.len(), 1, "{part}: {lines:?}");
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
}

#[tokio::test]
async fn every_way_out_leaves_one_record() {
    let lines = Lines::default();
    let house = House::new().await;
    let _listening = lines.listen();
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    lines.one("status=201");
    house.post("/api/v1/contexts/c/turns", &json!({"message": "a", "stream": true})).await;
    lines.one("context=\"c\"");
    house.call("GET", "/nothing").await;
    lines.one("code=\"not_found\"");
    house.call("PUT", "/health").await;
    lines.one("status=405");
    house.post("/api/mcp/interact", &json!({"message": 5})).await;
    lines.one("code=\"invalid_input\"");
    let request = Request::get("/health").header("host", "evil.example");
    house.send(request.body(Body::empty()).unwrap()).await;
    lines.one("status=403");
}

#[tokio::test]
async fn a_refused_caller_is_recorded_without_its_secret() {
    let lines = Lines::default();
    let house = House::new().await;
    let scopes = Scopes::parse("admin").unwrap();
    house
        .keys
        .create(NewKey {
            name: "a".into(),
            scopes,
            expires_in: None,
            models: catalog::ModelLimit::default(),
        })
        .await
        .unwrap();
    let _listening = lines.listen();
    let request = Request::get("/api/v1/status").header("x-api-key", "rap_verysecret");
    house.send(request.body(Body::empty()).unwrap()).await;
    let found = lines.take();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("status=401") && !found[0].contains("verysecret"), "{found:?}");
}

#[tokio::test]
async fn a_stream_that_the_caller_leaves_is_recorded_when_it_leaves() {
    let lines = Lines::default();
    let house = House::new().await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let _listening = lines.listen();
    let body = json!({"message": "hello", "stream": true}).to_string();
    let mut request = Request::post("/api/v1/contexts/c/turns")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let addr = "127.0.0.1:50000".parse().unwrap();
    request.extensions_mut().insert(Peer { addr, tls: false });
    let router = house.gate.router(axum::Router::new());
    let mut body = router.oneshot(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert!(lines.take().is_empty(), "recorded before its end");
    drop(body);
    lines.one("status=200");
}

#[tokio::test]
async fn a_request_that_is_dropped_before_its_answer_is_recorded() {
    let lines = Lines::default();
    let script = Script::always(Reply::fault(mock::Fault::Hang));
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    house.post("/api/v1/contexts", &json!({"id": "c"})).await;
    let _listening = lines.listen();
    let ask = json!({"message": "hello"});
    tokio::select! {
        answer = house.post("/api/v1/contexts/c/turns", &ask) => panic!("{answer:?}"),
        () = mock.seen(1) => {}
    }
    lines.one("status=0");
}
