//! An upstream that answers the same to everything and keeps what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method};
use http_body_util::BodyExt as _;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    /// A header, empty when absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// The upstream.
pub(crate) struct Stub {
    pub(crate) addr: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone)]
struct Shared {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<(u16, &'static str, Bytes)>,
}

impl Stub {
    /// Answers every request with this status, media type and body.
    pub(crate) async fn start(status: u16, media: &'static str, body: impl Into<Bytes>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new((status, media, body.into()));
        let shared = Shared { seen: Arc::clone(&seen), answer };
        let router = axum::Router::new().fallback(answer_all).with_state(shared);
        drop(gateway::tasks::detach("stub", async move {
            axum::serve(listener, router).await.unwrap();
        }));
        Self { addr, seen }
    }

    /// The last request.
    pub(crate) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().expect("nothing was asked")
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn answer_all(State(shared): State<Shared>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    // A body that breaks off was never a request.
    let Ok(body) = body.collect().await else { return Response::new(Body::empty()) };
    let path = head.uri.path_and_query().unwrap().as_str().to_owned();
    let seen = Seen { method: head.method, path, headers: head.headers, body: body.to_bytes() };
    shared.seen.lock().unwrap().push(seen);
    let (status, media, body) = &*shared.answer;
    Response::builder()
        .status(*status)
        .header("content-type", *media)
        .header("x-some-limit", "7")
        .body(Body::from(body.clone()))
        .unwrap()
}
