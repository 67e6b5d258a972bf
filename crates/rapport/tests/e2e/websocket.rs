//! WebSocket: messages, pieces of an answer, a way to stop, and what is refused.

use futures_util::{SinkExt as _, StreamExt as _};
use mock::Script;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::program::{Home, Server, soon};
use super::upstream::with_model;

/// An open WebSocket.
struct Socket(WebSocketStream<TcpStream>);

async fn try_open(server: &Server, path: &str, origin: Option<&str>) -> Result<Socket, Error> {
    let mut request = format!("ws://{}{path}", server.addr).into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    let stream = server.connect().await.into_stream();
    let opened = tokio_tungstenite::client_async(request, stream);
    soon("an open WebSocket", opened).await.map(|(socket, _)| Socket(socket))
}

async fn open(server: &Server, path: &str) -> Socket {
    try_open(server, path, None).await.unwrap()
}

impl Socket {
    async fn say(&mut self, message: impl Into<Message>) {
        soon("room for a message", self.0.send(message.into())).await.unwrap();
    }

    async fn ask(&mut self, message: &Value) {
        self.say(message.to_string()).await;
    }

    async fn next(&mut self) -> Message {
        soon("a message", self.0.next()).await.expect("the socket was closed").unwrap()
    }

    async fn json(&mut self) -> Value {
        let message = self.next().await;
        let text = message.to_text().unwrap();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    }

    /// The close code, when the server closes next.
    async fn closed(&mut self) -> Option<CloseCode> {
        match soon("the end of the socket", self.0.next()).await {
            Some(Ok(Message::Close(frame))) => frame.map(|frame| frame.code),
            Some(Err(_)) | None => None,
            other => panic!("not closed: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_message_is_answered_whole_or_in_pieces() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut socket = open(&server, "/ws").await;
    socket.ask(&json!({"sessionId": "w", "message": "hello", "context": {"topic": "tea"}})).await;
    let reply = socket.json().await;
    assert_eq!(reply["updatedContext"], json!({"topic": "tea", "last_message": "hello"}));
    let whole = reply["response"].as_str().unwrap().to_owned();
    socket.ask(&json!({"sessionId": "w", "message": "hello", "stream": true})).await;
    let mut pieces = Vec::new();
    let reply = loop {
        let next = socket.json().await;
        match next["partial"].as_str() {
            Some(piece) => pieces.push(piece.to_owned()),
            None => break next,
        }
    };
    assert!(pieces.len() > 3, "{pieces:?}");
    assert_eq!((pieces.concat(), &reply["response"]), (whole, &json!(pieces.concat())));
    // The same conversation through its own socket, where no session has to be named.
    let mut bound = open(&server, "/api/v1/contexts/w/ws").await;
    bound.ask(&json!({"message": "again"})).await;
    assert_eq!(bound.json().await["sessionId"], "w");
    assert_eq!(server.messages("w").await.len(), 6);
    bound.say(Message::Ping("are you there?".into())).await;
    assert_eq!(bound.next().await, Message::Pong("are you there?".into()));
}

#[tokio::test]
async fn a_turn_is_stopped_by_a_cancel_and_the_socket_goes_on() {
    let home = Home::new();
    let script = "default.fragments = [\"first \", \"second\"]\ndefault.pause_ms = 600000";
    let (mock, server) = with_model(&home, script, &[]).await;
    let mut socket = open(&server, "/ws").await;
    socket.ask(&json!({"sessionId": "w", "message": "tell", "stream": true})).await;
    // The first piece is here while the model still pauses before the second.
    assert_eq!(socket.json().await["partial"], "first ");
    socket.ask(&json!({"sessionId": "w", "message": "me too"})).await;
    assert_eq!(socket.json().await["code"], "conflict");
    socket.ask(&json!({"cancel": true})).await;
    let end = socket.json().await;
    assert_eq!(end["code"], "cancelled", "{end}");
    soon("the end of the call to the model", mock.left(1)).await;
    mock.set_script(Script::parse("default.text = \"well\"").unwrap());
    socket.ask(&json!({"cancel": true})).await;
    socket.ask(&json!({"sessionId": "w", "message": "again"})).await;
    assert_eq!(socket.json().await["response"], "well");
}

#[tokio::test]
async fn a_caller_that_closes_in_the_middle_of_an_answer_loses_nothing() {
    let home = Home::new();
    let script = "default.fragments = [\"slow \", \"answer\"]\ndefault.pause_ms = 100";
    let (_mock, server) = with_model(&home, script, &[]).await;
    let mut socket = open(&server, "/ws").await;
    socket.ask(&json!({"sessionId": "w", "message": "tell", "stream": true})).await;
    assert_eq!(socket.json().await["partial"], "slow ");
    drop(socket);
    // The stop waits for the turn; what is stored then is the whole answer.
    assert!(server.stop().await.status.success());
    let server = home.serve(&[]).await;
    let kept = server.messages("w").await;
    assert_eq!(
        (&kept[1]["content"], &kept[1]["status"]),
        (&json!("slow answer"), &json!("complete"))
    );
}

#[tokio::test]
async fn bad_messages_get_an_error_and_the_socket_goes_on() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut socket = open(&server, "/ws").await;
    for (text, code) in [
        ("not json", "invalid_json"),
        ("{\"sessionId\":\"w\",\"message\":", "invalid_json"),
        ("[]", "invalid_input"),
        ("{\"sessionId\":\"w\",\"message\":5}", "invalid_input"),
        ("{\"sessionId\":\"w\"}", "missing_field"),
        ("{\"cancel\":\"yes\"}", "invalid_input"),
        ("", "invalid_json"),
    ] {
        socket.say(text).await;
        let error = socket.json().await;
        assert_eq!(error["code"], code, "{text}: {error}");
        assert!(error["request_id"].is_string(), "{error}");
    }
    socket.ask(&json!({"sessionId": "w", "message": "well"})).await;
    assert_eq!(socket.json().await["sessionId"], "w");
}

#[tokio::test]
async fn what_is_too_large_or_no_text_closes_this_socket_only() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_LINE_BYTES", "2048")]).await;
    let mut other = open(&server, "/ws").await;
    let mut large = open(&server, "/ws").await;
    let text = "x".repeat(4096);
    large.ask(&json!({"sessionId": "w", "message": text})).await;
    assert_eq!(large.closed().await, Some(CloseCode::Size));
    let mut other_bytes = open(&server, "/ws").await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    other_bytes.say(Message::Frame(frame)).await;
    assert_eq!(other_bytes.closed().await, Some(CloseCode::Invalid));
    let mut binary = open(&server, "/ws").await;
    binary.say(Message::Binary(vec![1, 2, 3].into())).await;
    assert_eq!(binary.closed().await, Some(CloseCode::Unsupported));
    other.ask(&json!({"sessionId": "w", "message": "well"})).await;
    assert_eq!(other.json().await["sessionId"], "w");
}

#[tokio::test]
async fn hostile_pages_and_unknown_contexts_get_no_socket() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let refused =
        async |path: &str, origin: Option<&str>| match try_open(&server, path, origin).await {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("opened {path} for {origin:?}"),
        };
    assert_eq!(refused("/ws", Some("http://evil.example")).await, 403);
    assert_eq!(refused("/ws", Some("null")).await, 403);
    assert_eq!(refused("/api/v1/contexts/nobody/ws", None).await, 404);
    let port = server.addr.port();
    let own = format!("http://127.0.0.1:{port}");
    assert!(try_open(&server, "/ws", Some(&own)).await.is_ok());
}

#[tokio::test]
async fn a_quiet_socket_is_pinged_and_a_dead_one_is_closed() {
    let home = Home::new();
    home.configure("limits:\n  heartbeat: 50ms\n");
    let server = home.serve(&[]).await;
    let mut socket = open(&server, "/ws").await;
    // Each look at the socket answers the pings before it, so it stays open.
    for _ in 0..6 {
        assert!(matches!(socket.next().await, Message::Ping(_)));
    }
    socket.ask(&json!({"sessionId": "w", "message": "still here"})).await;
    let answer = loop {
        match socket.next().await {
            Message::Text(text) => break serde_json::from_str::<Value>(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer["sessionId"], "w");
    // A peer that reads nothing and answers nothing is found out.
    let mut dead = open(&server, "/ws").await.0.into_inner();
    let mut seen = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut dead, &mut seen);
    soon("the end of a dead connection", end).await.unwrap();
    assert!(seen.starts_with(&[0x89, 0x00]), "a ping first: {seen:?}");
    assert!(String::from_utf8_lossy(&seen).contains("no sign of life"), "{seen:?}");
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_sockets() {
    let home = Home::new();
    home.configure("limits:\n  heartbeat: 50ms\n");
    let server = home.serve(&[]).await;
    let mut socket = open(&server, "/ws").await;
    socket.ask(&json!({"sessionId": "w", "message": "hello"})).await;
    assert_eq!(socket.json().await["sessionId"], "w");
    // The first key closes the port for callers without one; this socket has none.
    let made = home.run(&["key", "create", "first", "--scope", "admin"]).await;
    assert!(made.status.success(), "{made:?}");
    let told = loop {
        match socket.next().await {
            Message::Text(text) => break serde_json::from_str::<Value>(&text).unwrap(),
            Message::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told["code"], "unauthorized", "{told}");
    assert_eq!(socket.closed().await, Some(CloseCode::Policy));
}

#[tokio::test]
async fn a_turn_whose_socket_broke_goes_on_at_another_one() {
    let script = "default.fragments = [\"a\", \"b\", \"c\", \"d\"]\ndefault.pause_ms = 150";
    let home = Home::new();
    let (_mock, server) = with_model(&home, script, &[]).await;
    server.post("/api/v1/contexts", &json!({"id": "w"})).await;
    let path = "/api/v1/contexts/w/ws";
    let mut first = open(&server, path).await;
    first.ask(&json!({"message": "spell", "stream": true})).await;
    let heard = first.json().await;
    assert_eq!((&heard["partial"], &heard["turn"]), (&json!("a"), &json!(1)), "{heard}");
    drop(first);
    let mut second = open(&server, path).await;
    second.ask(&json!({"resume": {"turn": 1, "after": heard["event"]}})).await;
    for piece in ["b", "c", "d"] {
        assert_eq!(second.json().await["partial"], piece);
    }
    assert_eq!(second.json().await["response"], "abcd");
    second.ask(&json!({"resume": {"turn": 7}})).await;
    assert_eq!(second.json().await["code"], "not_found");
}

#[tokio::test]
async fn a_context_is_followed_on_a_socket_from_any_number() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    server.post("/api/v1/contexts", &json!({"id": "w"})).await;
    for text in ["one", "two"] {
        let body = json!({"role": "user", "content": text});
        server.post("/api/v1/contexts/w/messages", &body).await;
    }
    let mut socket = open(&server, "/api/v1/contexts/w/events?after=1").await;
    let told = socket.json().await;
    assert_eq!((&told["event"], &told["id"]), (&json!("message"), &json!(2)), "{told}");
    assert_eq!(told["data"]["content"], "two");
    assert_eq!(socket.json().await["event"], "context");
    server.post("/api/v1/contexts/w/close", &json!({})).await;
    assert_eq!(socket.json().await["data"]["status"], "closed");
    assert_eq!(socket.json().await["event"], "end");
    assert_eq!(socket.closed().await, Some(CloseCode::Normal));
}
