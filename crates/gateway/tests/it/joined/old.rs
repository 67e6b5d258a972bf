//! A server of the first revision: answers come on one stream of events, and nothing else does.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use axum::routing::{get, post};
use gateway::joined::{Reach, ServerSettings};
use http::StatusCode;
use mcp::client::Transport;
use mcp::server::{Change, Server};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::sync::mpsc;

use super::far::Far;
use super::house::{Joined, WITHIN, text_of};
use super::watching::next;

/// The way in of the one client.
type Input = Arc<Mutex<Option<mpsc::Sender<String>>>>;

fn open(server: Server<Far>, input: &Input) -> Response {
    let (mut to, from): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 20);
    let (out, read) = tokio::io::duplex(1 << 20);
    gateway::tasks::spawn("old server", async move {
        mcp::stdio::serve(&server, (), (BufReader::new(from), out)).await.unwrap();
    });
    let (send, mut lines) = mpsc::channel::<String>(64);
    *input.lock() = Some(send);
    gateway::tasks::spawn("old input", async move {
        while let Some(line) = lines.recv().await {
            to.write_all(line.as_bytes()).await.unwrap();
        }
    });
    let first = "event: endpoint\ndata: /messages?session=1\n\n".to_owned();
    let state = (Some(first), BufReader::new(read).lines());
    let events = futures_util::stream::unfold(state, |(first, mut lines)| async move {
        let event = match first {
            Some(first) => first,
            None => format!("event: message\ndata: {}\n\n", lines.next_line().await.ok()??),
        };
        Some((Ok::<_, std::io::Error>(event), (None, lines)))
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(events))
        .unwrap()
}

async fn begin() -> (Server<Far>, SocketAddr) {
    let server = Server::new(Far::default(), [4; 32]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    server.at(address);
    let (opened, input) = (server.clone(), Input::default());
    let told = Arc::clone(&input);
    let router = axum::Router::new()
        .route("/sse", get(move || std::future::ready(open(opened.clone(), &input))))
        .route(
            "/messages",
            post(move |body: String| {
                let told = told.lock().clone();
                async move {
                    told.unwrap().send(format!("{body}\n")).await.unwrap();
                    StatusCode::ACCEPTED
                }
            }),
        );
    gateway::tasks::spawn("old http", async move {
        axum::serve(listener, router).await.unwrap();
    });
    (server, address)
}

#[tokio::test]
async fn a_server_of_the_first_revision_is_joined_by_itself() {
    let (server, address) = begin().await;
    let url = format!("http://{address}/sse");
    let reach = Reach::Address { url, headers: Vec::new(), transport: Transport::Auto };
    let house = Joined::with(vec![ServerSettings::new("far", reach)]).await;
    assert_eq!(text_of(&house.call("far__plain", json!({})).await), "done");
    let mut told = house.listen(&json!({"resourceSubscriptions": ["far+a://1"]})).await;
    next(&mut told).await;
    super::watching::soon("it is listened to there", || !server.interests().is_empty()).await;
    server.changed(Change::Resource("a://1".to_owned()));
    assert_eq!(next(&mut told).await["params"]["uri"], "far+a://1");
    house.gate().shutdown(WITHIN).await;
}
