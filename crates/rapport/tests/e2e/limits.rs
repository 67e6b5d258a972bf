//! The limit of connections and of requests: refused politely, and served again afterwards.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::program::{Home, Server, soon};
use super::talk::Wire;

/// Open files that a process needs beside its connections, ours and the server's.
const OTHER_FILES: u64 = 320;

/// The most idle connections that are tried.
const IDLE_MAX: u64 = 10_000;

/// What a connection beyond the limit is told, in both languages.
async fn is_full(server: &Server) {
    let mut http = server.connect().await;
    http.say(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let said = http.rest().await;
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{said:?}"));
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains("retry-after: 1\r\n") && head.contains("application/json"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["code"], "overloaded");
    let mut lines = server.connect().await;
    lines.say(b"{\"message\":\"m\"}\n").await;
    assert_eq!(lines.rest().await, "ERROR: too many connections\n");
}

/// Asks until a place is free again: a closed connection is noticed a moment later.
async fn is_served_again(server: &Server) {
    let again = async {
        loop {
            let mut wire = server.connect().await;
            wire.say(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
            if wire.rest().await.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    soon("a free place", again).await;
}

/// A connection that is known to have its place: it was answered.
async fn settled(server: &Server) -> Wire {
    let mut wire = server.connect().await;
    wire.say(b"MCP_HELLO_REQUEST: SESSION_ID=1\n").await;
    assert!(wire.line().await.starts_with("MCP_HELLO_RESPONSE"));
    wire
}

#[tokio::test]
async fn the_connection_beyond_the_limit_is_told_so_and_those_within_go_on() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_CONNECTIONS", "200")]).await;
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(settled(&server).await);
    }
    is_full(&server).await;
    for wire in &mut open {
        wire.say(b"MCP_HELLO_REQUEST: SESSION_ID=2\n").await;
        assert!(wire.line().await.contains("SESSION_ID=2"));
    }
    drop(open.pop());
    is_served_again(&server).await;
    drop(open);
    is_served_again(&server).await;
    server.stop().await;
    assert!(home.errors().contains("more than 80 % of the connections"), "{}", home.errors());
}

#[tokio::test]
async fn a_websocket_keeps_its_place_until_it_is_closed() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_CONNECTIONS", "20")]).await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let request = format!("ws://{}/ws", server.addr).into_client_request().unwrap();
        let stream = server.connect().await.into_stream();
        let opened = soon("a WebSocket", tokio_tungstenite::client_async(request, stream)).await;
        open.push(opened.unwrap().0);
    }
    is_full(&server).await;
    drop(open);
    is_served_again(&server).await;
}

/// Raises the limit of open files as far as it goes; returns how many connections it allows.
fn room_for_connections() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = match setrlimit(Resource::Nofile, all) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    files.unwrap_or(u64::MAX).saturating_sub(OTHER_FILES).min(IDLE_MAX)
}

#[tokio::test]
async fn as_many_idle_connections_as_files_allow_are_held_and_the_next_is_refused() {
    let room = room_for_connections();
    let home = Home::new();
    let limit = room.to_string();
    let env = [("RAPPORT_LIMITS_CONNECTIONS", &*limit), ("RAPPORT_LIMITS_LINE_IDLE", "10m")];
    let server = home.serve(&env).await;
    println!("{room} idle connections");
    let mut open = Vec::new();
    for _ in 0..room {
        let stream = soon("a connection", TcpStream::connect(server.addr)).await.unwrap();
        // Ten thousand connections in TIME_WAIT would slow everybody's next tests down.
        stream.set_zero_linger().unwrap();
        open.push(stream);
    }
    // The sockets are accepted in order, so these come after all of the idle ones.
    is_full(&server).await;
    drop(open.split_off(usize::try_from(room).unwrap() - 10));
    is_served_again(&server).await;
    assert_eq!(server.post("/api/mcp/interact", &json!({"message": "m"})).await.status, 200);
    drop(open);
    is_served_again(&server).await;
    let ended = server.stop().await;
    assert!(ended.status.success());
    assert!(!home.errors().contains("cannot be accepted"), "{}", home.errors());
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back_at_every_door() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_REQUESTS_PER_MINUTE", "3")]).await;
    let ask = json!({"sessionId": "s", "message": "m"});
    for left in ["2", "1"] {
        let answer = server.post("/api/mcp/interact", &ask).await;
        assert_eq!((answer.status, answer.header("ratelimit-remaining")), (200, left));
    }
    // The upgrade is the third one.
    let request = format!("ws://{}/ws", server.addr).into_client_request().unwrap();
    let stream = server.connect().await.into_stream();
    let (mut socket, _) =
        soon("a WebSocket", tokio_tungstenite::client_async(request, stream)).await.unwrap();

    let refused = server.post("/api/mcp/interact", &ask).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&wait), "{refused:?}");
    let line = server.raw(format!("{ask}\n").as_bytes()).await;
    assert!(line.contains("\"code\":\"rate_limited\""), "{line}");
    let talk = async {
        use futures_util::{SinkExt as _, StreamExt as _};
        socket.send(Message::text(ask.to_string())).await.unwrap();
        socket.next().await.unwrap().unwrap()
    };
    let said = soon("an answer", talk).await;
    assert!(said.to_text().unwrap().contains("\"code\":\"rate_limited\""), "{said}");
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.get("/ready").await.status, 200);
}
