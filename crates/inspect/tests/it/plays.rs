//! A recording as a server: what was said once is said again, byte for byte.

use std::net::SocketAddr;
use std::time::Duration;

use inspect::export::{Secrets, har, line, read, read_har};
use inspect::{Exchange, Fit, Pace, Player, Playing, Target};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::house::{Server, over, proxy, read_until, say, spawn};

fn ask(path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn closing(path: &str, body: &str) -> Vec<u8> {
    let text = String::from_utf8(ask(path, body)).unwrap();
    text.replacen("Host: x", "Host: x\r\nConnection: close", 1).into_bytes()
}

/// Records one exchange for each question, and stores it as a file would.
async fn recorded(server: SocketAddr, asks: &[Vec<u8>]) -> Vec<Exchange> {
    let proxy = proxy(server, &[]).await;
    let mut all = Vec::new();
    for (number, ask) in (1..).zip(asks) {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(ask).await.unwrap();
        let exchange = over(&proxy, number).await;
        all.push(read(&line(&exchange, Secrets::Hidden)).unwrap());
    }
    all
}

async fn player(exchanges: Vec<Exchange>, pace: Pace, fit: Fit) -> Player {
    let listen = "127.0.0.1:0".parse().unwrap();
    Player::start(Playing { listen, exchanges, pace, fit, beyond: None }).await.unwrap()
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes() {
    let answer: &[u8] = b"HTTP/1.1 201 Made so\r\nX-oDD:   spaced  \r\nDate: long ago\r\n\
        Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n0\r\nTrailer: t\r\n\r\n";
    let server = Server::start(b"}", answer, false).await;
    let asks = [ask("/a?x=1", r#"{"n": 1, "api_key": "sk-0123456789012345678901"}"#)];
    let player = player(recorded(server.address, &asks).await, Pace::AtOnce, Fit::Body).await;
    let mut stream = TcpStream::connect(player.address()).await.unwrap();
    // The key is another one, and the JSON is written in another way.
    for _ in 0..2 {
        let again = ask("/a?x=1", r#"{"api_key":"sk-9999999999999999999999","n":1}"#);
        stream.write_all(&again).await.unwrap();
        assert_eq!(read_until(&mut stream, b"t\r\n\r\n").await, answer);
    }
    assert_eq!(server.came().len(), 1, "the server itself was asked once");
    let told = say(player.address(), &get("/__mock/replay")).await;
    let told = String::from_utf8(told).unwrap();
    let told: Value = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(told["exchanges"][0]["played"], 2, "{told}");
    assert_eq!((&told["unplayed"], &told["missed"]), (&0.into(), &0.into()), "{told}");
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn a_stream_comes_as_slowly_as_it_came_or_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"}").await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        stream.write_all(head).await.unwrap();
        for number in 0..4 {
            tokio::time::sleep(Duration::from_millis(120)).await;
            stream.write_all(format!("data: {number}\n\n").as_bytes()).await.unwrap();
        }
    });
    let recording = recorded(address, &[ask("/events", "{}")]).await;
    let whole = recording[0].answered.bytes().to_vec();
    assert!(whole.ends_with(b"data: 3\n\n"));
    let archive = har(&recording, Secrets::Hidden).to_string();
    let recordings = [
        (recording.clone(), whole.clone()),
        // An archive knows the body and not how it was framed.
        (read_har(&archive).unwrap(), b"data: 3\n\n".to_vec()),
    ];
    for (recording, end) in recordings {
        let slow = player(recording.clone(), Pace::Recorded, Fit::Body).await;
        let began = Instant::now();
        let mut stream = TcpStream::connect(slow.address()).await.unwrap();
        stream.write_all(&closing("/events", "{}")).await.unwrap();
        read_until(&mut stream, b"data: 0\n\n").await;
        let first = began.elapsed();
        read_until(&mut stream, b"data: 3\n\n").await;
        assert!(first >= Duration::from_millis(100), "{first:?}");
        let rest = began.elapsed() - first;
        assert!(rest >= Duration::from_millis(240), "three more pauses took {rest:?}");
        let fast = player(recording, Pace::AtOnce, Fit::Body).await;
        let got = say(fast.address(), &closing("/events", "{}")).await;
        assert!(got.ends_with(&end), "{}", String::from_utf8_lossy(&got));
    }
}

#[tokio::test]
async fn answers_come_in_their_order_and_the_last_of_them_stays() {
    let server = Server::start(b"}", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1", false).await;
    let mut recording = recorded(server.address, &[ask("/n", "{}")]).await;
    for (number, digit) in [(2, "2"), (3, "3")] {
        let text = line(&recording[0], Secrets::Kept);
        let text = text.replace("\"number\":1", &format!("\"number\":{number}"));
        recording.push(read(&text.replace("\\n1\"", &format!("\\n{digit}\""))).unwrap());
    }
    let player = player(recording, Pace::AtOnce, Fit::Body).await;
    for digit in [b"1", b"2", b"3", b"3"] {
        assert!(say(player.address(), &closing("/n", "{}")).await.ends_with(digit));
    }
}

#[tokio::test]
async fn what_was_not_recorded_is_refused_with_what_comes_nearest() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = Server::start(b"}", answer, false).await;
    let recording = recorded(server.address, &[ask("/v1/x", r#"{"model":"a","n":1}"#)]).await;
    let strict = player(recording.clone(), Pace::AtOnce, Fit::Body).await;
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let other = closing("/v1/x", r#"{"model":"b","n":1}"#);
    let missed = said(say(strict.address(), &other).await);
    assert!(missed.starts_with("HTTP/1.1 404 Not Found\r\n"), "{missed}");
    let why = r#"the nearest is exchange 1, which differs in 1, first `request.body /model`"#;
    assert!(missed.contains(why), "{missed}");
    let missed = said(say(strict.address(), &get("/v1/x")).await);
    assert!(missed.contains("`/v1/x` was recorded with POST, not with GET"), "{missed}");
    let missed = said(say(strict.address(), &get("/v1/y")).await);
    assert!(missed.contains("the recording has only: POST /v1/x"), "{missed}");
    let broken = b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert!(said(say(strict.address(), broken).await).contains("chunks are broken"));
    let loose = player(recording, Pace::AtOnce, Fit::Path).await;
    assert!(said(say(loose.address(), &other).await).ends_with("ok"));
}

#[tokio::test]
async fn what_is_beyond_the_recording_goes_to_another_server() {
    let one = Server::start(b"}", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", false).await;
    let two = Server::start(b"}", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo", true).await;
    let exchanges = recorded(one.address, &[ask("/1", "{}")]).await;
    let beyond = Some(Target::new("127.0.0.1", two.address.port(), false));
    let listen = "127.0.0.1:0".parse().unwrap();
    let playing = Playing { listen, exchanges, pace: Pace::AtOnce, fit: Fit::Body, beyond };
    let player = Player::start(playing).await.unwrap();
    assert!(say(player.address(), &closing("/1", "{}")).await.ends_with(b"one"));
    assert!(say(player.address(), &ask("/2", "{}")).await.ends_with(b"two"));
}

#[tokio::test]
async fn an_answer_that_was_cut_is_cut_again() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nonly so much";
    let server = Server::start(b"}", answer, true).await;
    let recording = recorded(server.address, &[ask("/cut", "{}")]).await;
    let player = player(recording, Pace::Recorded, Fit::Body).await;
    assert_eq!(say(player.address(), &ask("/cut", "{}")).await, answer);
}

#[tokio::test]
async fn a_secret_taken_out_of_an_answer_leaves_it_readable() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        28\r\n{\"token\":\"sk-01234567890123456789012345\"\r\n1\r\n}\r\n0\r\n\r\n";
    let server = Server::start(b"}", answer, false).await;
    let recording = recorded(server.address, &[ask("/login", "{}")]).await;
    assert_eq!(recording[0].answer_body(), br#"{"token":"[hidden]"}"#);
    let player = player(recording, Pace::Recorded, Fit::Body).await;
    let got = String::from_utf8(say(player.address(), &closing("/login", "{}")).await).unwrap();
    assert!(got.contains("Content-Length: 20\r\n"), "{got}");
    assert!(got.ends_with(r#"{"token":"[hidden]"}"#), "{got}");
}
