//! A gateway on a memory store, for tests that knock at its doors.

use std::net::SocketAddr;

use axum::body::Body;
use bytes::BytesMut;
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use gateway::{About, Gateway, Listen, Parts, Peer};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use storage::{Database, Place};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::ServiceExt as _;

/// Some of the paths whose calls need no router.
const LANE: &[&str] =
    &["/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/api/chat"];

/// A gateway and the keys of its callers.
pub(crate) struct House {
    /// The gateway.
    pub(crate) gate: Gateway,
    /// Its keys.
    pub(crate) keys: catalog::Keys,
    /// Its store.
    pub(crate) contexts: context::Contexts,
    /// The database below it.
    pub(crate) database: Database,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body; empty when it is no text.
    pub(crate) text: String,
    /// The body's bytes.
    pub(crate) bytes: Vec<u8>,
    /// It broke off before its end.
    pub(crate) broken: bool,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// A header, empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

impl House {
    /// A gateway with default settings.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// A gateway with these settings.
    pub(crate) async fn with(settings: Settings) -> Self {
        Self::on(settings, Place::Memory).await
    }

    /// A gateway whose store is in a folder, so that another one can go on after it.
    pub(crate) async fn at(settings: Settings, folder: &std::path::Path) -> Self {
        Self::on(settings, Place::Folder(folder.to_owned())).await
    }

    async fn on(settings: Settings, place: Place) -> Self {
        let schemas: &[&storage::Schema] = &[&context::SCHEMA, &catalog::SCHEMA, &ledger::SCHEMA];
        let database = Database::open(place, schemas).await.unwrap();
        let limits = context::Limits::default();
        let contexts = context::Contexts::open(database.clone(), limits).await.unwrap();
        contexts.set_vault(context::Vault::new(Box::new(|| Ok([9; 32]))));
        let keys = catalog::Keys::open(database.clone()).await.unwrap();
        let address: SocketAddr = "127.0.0.1:61900".parse().unwrap();
        let listen =
            vec![Listen { address, url: "http://127.0.0.1:61900".into(), tls: "off".into() }];
        let about = About { version: "0.0.0".into(), listen, ..About::default() };
        let parts = Parts {
            contexts: contexts.clone(),
            keys: keys.clone(),
            database: database.clone(),
            about,
        };
        Self { gate: Gateway::open(settings, parts).unwrap(), keys, contexts, database }
    }

    /// A gateway whose default model is an Anthropic upstream at this address.
    pub(crate) async fn before(upstream: SocketAddr) -> Self {
        Self::with(Settings { providers: vec![claude(upstream)], ..Settings::default() }).await
    }

    /// Sends a request and reads the whole answer: model calls by the lane, as in the program.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (mut head, body) = request.into_parts();
        let addr = "127.0.0.1:50000".parse().unwrap();
        head.extensions.insert(Peer { addr, tls: false });
        // A body that breaks off in a test would break its client.
        let is_whole = http_body::Body::size_hint(&body).exact().is_some();
        let is_call = is_whole && head.method == http::Method::POST;
        let is_call = is_call && LANE.contains(&head.uri.path());
        if is_call {
            head.headers.entry("host").or_insert(http::HeaderValue::from_static("localhost"));
        }
        let request = Request::from_parts(head, body);
        let response = if is_call {
            crate::lane::send(&self.gate, request).await.map(Body::new)
        } else {
            self.gate.router(axum::Router::new()).oneshot(request).await.unwrap()
        };
        let (head, mut body) = response.into_parts();
        let (mut bytes, mut broken) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => bytes.extend_from_slice(&data),
                Ok(Err(_trailers)) => {}
                Err(_) => broken = true,
            }
        }
        let text = String::from_utf8(bytes.clone()).unwrap_or_default();
        Answer { status: head.status, headers: head.headers, text, bytes, broken }
    }

    /// Sends a request and hands out its body as it comes.
    pub(crate) async fn stream(&self, request: Request<Body>) -> axum::body::BodyDataStream {
        let (mut head, body) = request.into_parts();
        let addr = "127.0.0.1:50000".parse().unwrap();
        head.extensions.insert(Peer { addr, tls: false });
        let request = Request::from_parts(head, body);
        let response = self.gate.router(axum::Router::new()).oneshot(request).await.unwrap();
        response.into_body().into_data_stream()
    }

    /// `GET`, or another method without a body.
    pub(crate) async fn call(&self, method: &str, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        self.send(request).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with_headers("POST", path, &[], body).await
    }

    /// Any method with a JSON body and further headers.
    pub(crate) async fn with_headers(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Sends bytes over a raw connection, half-closes it, and reads everything that comes back.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let peer = Peer { addr: "127.0.0.1:50001".parse().unwrap(), tls: false };
        let serve = self.gate.lines(theirs, peer, BytesMut::new());
        let talk = async {
            ours.write_all(bytes).await.unwrap();
            ours.shutdown().await.unwrap();
            let mut out = String::new();
            ours.read_to_string(&mut out).await.unwrap();
            out
        };
        tokio::join!(serve, talk).1
    }
}

/// An Anthropic provider at this address, without retries.
pub(crate) fn claude(upstream: SocketAddr) -> ProviderSettings {
    ProviderSettings {
        keys: vec![KeySettings::new(Secret::new("sk-ant-secret"), "a test")],
        models: vec!["claude-3-opus-20240229".into()],
        retries: 0,
        ..ProviderSettings::new("anthropic", "anthropic", &format!("http://{upstream}"))
    }
}
