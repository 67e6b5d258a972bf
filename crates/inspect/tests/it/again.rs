//! What talked message by message: read, kept without its secrets, said again, compared.

use std::net::SocketAddr;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use futures_util::{SinkExt as _, StreamExt as _};
use inspect::export::{Secrets, har, line, read, read_har};
use inspect::{Book, Ending, Exchange, Kind, Proxy, Room, Target, decode, diff, replay};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{accept_async, connect_async};

use crate::house::{over, proxy, read_until, spawn};

/// A server of messages that says `NAME n: TEXT` to the message number n, and pings once.
async fn echo(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn(async move {
                let Ok(mut socket) = accept_async(stream).await else { return };
                socket.send(Message::Ping(b"there?".to_vec().into())).await.unwrap();
                let mut count = 0;
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else { continue };
                    count += 1;
                    let said = format!("{name} {count}: {text}");
                    socket.send(Message::text(said)).await.unwrap();
                }
            });
        }
    });
    address
}

fn target(address: SocketAddr) -> Target {
    Target::new(&address.ip().to_string(), address.port(), false)
}

/// Says these texts through the proxy, each after the answer to the one before, and closes.
async fn talk(proxy: &Proxy, texts: &[&str]) -> Exchange {
    let url = format!("ws://{}/talk", proxy.address());
    let (mut socket, _) = connect_async(url).await.unwrap();
    for text in texts {
        socket.send(Message::text(*text)).await.unwrap();
        while !socket.next().await.unwrap().unwrap().is_text() {}
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    drop(socket);
    over(proxy, 1).await
}

/// The texts of both sides, with `>` before those of the caller.
fn texts(exchange: &Exchange) -> Vec<String> {
    let view = decode::view(exchange);
    let items = view.items.iter().filter(|item| item.name.as_deref() == Some("text"));
    items.map(|item| format!("{}{}", if item.from_caller { ">" } else { "" }, item.text)).collect()
}

#[tokio::test]
async fn a_websocket_is_said_again_to_its_server_and_to_another() {
    let proxy = proxy(echo("first").await, &[]).await;
    let first = talk(&proxy, &["one", "two"]).await;
    assert_eq!(texts(&first), [">one", "first 1: one", ">two", "first 2: two"]);
    let book = Book::new(Room::default());
    let number = replay(&first, proxy.target(), &book).await.unwrap();
    let again = book.get(number).unwrap();
    assert_eq!((again.kind, &again.ending), (Kind::WebSocket, &Ending::Whole));
    assert_eq!(texts(&again), texts(&first));
    let places: Vec<String> = diff(&first, &again).into_iter().map(|d| d.place).collect();
    assert!(!places.iter().any(|place| place.contains(" 1")), "{places:?}");

    // What was written to a file and read again can be sent as well.
    let stored = read(&line(&first, Secrets::Hidden)).unwrap();
    let number = replay(&stored, &target(echo("other").await), &book).await.unwrap();
    let other = book.get(number).unwrap();
    assert_eq!(texts(&other), [">one", "other 1: one", ">two", "other 2: two"]);
    let differences = diff(&first, &other);
    let place = |place: &str| differences.iter().find(|d| d.place == place);
    assert!(place("answer.message 2").is_some(), "{differences:?}");
    assert!(place("request.message 1").is_none() && place("request.header host").is_some());
}

#[tokio::test]
async fn a_server_that_is_no_websocket_any_more_is_shown_as_what_it_is() {
    let proxy = proxy(echo("first").await, &[]).await;
    let first = talk(&proxy, &["one"]).await;
    let refusal = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    let server = crate::house::Server::start(b"\r\n\r\n", refusal, false).await;
    let book = Book::new(Room::default());
    let number = replay(&first, &target(server.address), &book).await.unwrap();
    let again = book.get(number).unwrap();
    assert_eq!((again.kind, again.answer.unwrap().status()), (Kind::Http, 404));
    let head = String::from_utf8(server.came().concat()).unwrap();
    assert!(head.contains(&format!("Host: {}\r\n", server.address)), "{head}");
}

#[tokio::test]
async fn lines_are_said_again_each_after_the_answer_that_came_before_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            spawn(async move {
                let (mut buffer, mut count) = (vec![0; 4096], 0);
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    count += 1;
                    // A line that came before the answer to the last one would be counted with it.
                    let lines = buffer[..length].iter().filter(|byte| **byte == b'\n').count();
                    let said = format!("{{\"read\":{count},\"lines\":{lines}}}\n");
                    stream.write_all(said.as_bytes()).await.unwrap();
                }
            });
        }
    });
    let proxy = proxy(address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    for _ in 0..3 {
        stream.write_all(b"{\"message\":\"hi\"}\n").await.unwrap();
        read_until(&mut stream, b"}\n").await;
    }
    drop(stream);
    let first = over(&proxy, 1).await;
    let book = Book::new(Room::default());
    let number = replay(&first, proxy.target(), &book).await.unwrap();
    let again = book.get(number).unwrap();
    assert_eq!((again.kind, &again.ending), (Kind::Lines, &Ending::Whole));
    assert_eq!(again.answered.bytes(), first.answered.bytes());
    assert_eq!(diff(&first, &again), []);
}

#[tokio::test]
async fn secrets_in_messages_are_hidden_wherever_they_are_written() {
    let proxy = proxy(echo("first").await, &[]).await;
    let secret = "sk-ant-api03-0123456789abcdef";
    let first = talk(&proxy, &["no secret", &format!(r#"{{"api_key":"{secret}"}}"#)]).await;
    let shown = line(&first, Secrets::Hidden);
    let again = read(&shown).unwrap();
    let all = texts(&again);
    assert_eq!(all[0..2], [">no secret", "first 1: no secret"]);
    assert_eq!(all[2], r#">{"api_key":"[hidden]"}"#);
    assert!(!all.concat().contains(secret), "{all:?}");
    assert_eq!(
        (again.asked.passed(), again.answered.passed()),
        (first.asked.total(), first.answered.total()),
        "what went by is still counted as it was"
    );
    assert!(har(std::slice::from_ref(&first), Secrets::Hidden).to_string().contains("[hidden]"));
    let archive = har(std::slice::from_ref(&first), Secrets::Hidden);
    assert!(!archive.to_string().contains(secret));
    let content = &archive["log"]["entries"][0]["response"]["content"];
    assert_eq!(content["size"], 0, "frames are no body, and may hold secrets");
    let ask = format!("GET /__rapport__/exchanges/1 HTTP/1.1\r\nHost: {}\r\n\r\n", proxy.address());
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(ask.as_bytes()).await.unwrap();
    let said = String::from_utf8(read_until(&mut stream, b"}").await).unwrap();
    assert!(said.contains("[hidden]") && !said.contains(secret), "{said}");
    // Kept on demand, byte for byte.
    let kept = read(&line(&first, Secrets::Kept)).unwrap();
    assert_eq!(kept.asked.bytes(), first.asked.bytes());
}

#[tokio::test]
async fn packed_messages_are_read_hidden_and_said_again_unpacked() {
    let secret = "sk-ant-api03-0123456789abcdef";
    let text = format!(r#"{{"token":"{secret}","more":"more more more"}}"#);
    let mut state = Compress::new(Compression::fast(), false);
    let mut pack = |text: &str| {
        let mut out = Vec::with_capacity(1000);
        state.compress_vec(text.as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    };
    // Two messages of the server's that refer to each other, the second in two frames.
    let (one, two) = (pack(&text), pack(&text));
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        .to_vec();
    answer.extend([0xc1, u8::try_from(one.len()).unwrap()]);
    answer.extend(&one);
    answer.extend([0x41, 3]);
    answer.extend(&two[..3]);
    answer.extend([0x80, u8::try_from(two.len() - 3).unwrap()]);
    answer.extend(&two[3..]);
    answer.extend([0x88, 2, 3, 0xe8]);
    let server =
        crate::house::Server::start(b"\r\n\r\n", Box::leak(answer.into_boxed_slice()), true).await;
    let proxy = proxy(server.address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let ask = b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    stream.write_all(ask).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
    drop(stream);
    let first = over(&proxy, 1).await;
    assert_eq!(texts(&first), [text.clone(), text.clone()]);
    let hidden = read(&line(&first, Secrets::Hidden)).unwrap();
    let plain = r#"{"token":"[hidden]","more":"more more more"}"#;
    assert_eq!(texts(&hidden), [plain, plain]);
    assert!(hidden.answer.as_ref().unwrap().header("sec-websocket-extensions").is_none());
    let book = Book::new(Room::default());
    replay(&first, proxy.target(), &book).await.unwrap();
    let again = String::from_utf8(server.came().pop().unwrap()[..60].to_vec()).unwrap();
    assert!(again.starts_with("GET /x") && !again.contains("Extensions"), "{again}");
}

#[tokio::test]
async fn an_archive_holds_the_messages_and_gives_them_back() {
    let proxy = proxy(echo("first").await, &[]).await;
    let first = talk(&proxy, &["one"]).await;
    let archive = har(std::slice::from_ref(&first), Secrets::Hidden);
    let messages = &archive["log"]["entries"][0]["_webSocketMessages"];
    let opcodes: Vec<u64> =
        messages.as_array().unwrap().iter().filter_map(|m| m["opcode"].as_u64()).collect();
    assert!(opcodes.contains(&1) && opcodes.contains(&8) && opcodes.contains(&9), "{messages}");
    let begun = first.begun.as_second() as f64;
    assert!((messages[0]["time"].as_f64().unwrap() - begun).abs() < 60.0, "seconds since 1970");
    let back = read_har(&archive.to_string()).unwrap();
    assert_eq!(texts(&back[0]), texts(&first));
    let of = |exchange: &Exchange| -> Vec<(Option<String>, String)> {
        decode::view(exchange).items.into_iter().map(|item| (item.name, item.text)).collect()
    };
    assert_eq!(of(&back[0]), of(&first), "closes and pings too");
    let book = Book::new(Room::default());
    let number = replay(&back[0], &target(echo("other").await), &book).await.unwrap();
    assert_eq!(texts(&book.get(number).unwrap()), [">one", "other 1: one"]);
}

#[tokio::test]
async fn the_api_sends_again_to_another_server_with_other_headers() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = crate::house::Server::start(b"\r\n\r\n", ok, false).await;
    let other = crate::house::Server::start(b"\r\n\r\n", ok, false).await;
    let proxy = proxy(server.address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    read_until(&mut stream, b"ok").await;
    let mut post = async |body: String| {
        let head = "POST /__rapport__/exchanges/1/replay HTTP/1.1\r\nHost: localhost\r\n";
        let ask = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(ask.as_bytes()).await.unwrap();
        let said = String::from_utf8(read_until(&mut stream, b"}").await).unwrap();
        let (_, body) = said.split_once("\r\n\r\n").unwrap();
        serde_json::from_str::<Value>(body).unwrap()
    };
    let body = format!(r#"{{"to":"{}","headers":{{"Authorization":"Bearer x"}}}}"#, other.address);
    let number = post(body).await["number"].as_u64().unwrap();
    assert_eq!(proxy.book().get(number).unwrap().target, other.address.to_string());
    let came = String::from_utf8(other.came().concat()).unwrap();
    assert!(came.contains("Authorization: Bearer x\r\n"), "{came}");
    for (body, said) in [
        (r#"{"too":"x"}"#, "unknown field `too`"),
        (r#"{"to":"nowhere"}"#, "`nowhere` is no address here"),
        (r#"{"headers":{"a b":"x"}}"#, "`a b` is no header"),
        (r#"{"headers":{"a":"x\r\ny: z"}}"#, "`a` is no header with a value of one line"),
    ] {
        let why = post(body.to_owned()).await["error"].as_str().unwrap().to_owned();
        assert!(why.contains(said), "{why}");
    }
    assert_eq!(other.came().len(), 1);
}

#[tokio::test]
async fn a_held_request_is_over_when_its_caller_leaves() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = crate::house::Server::start(b"\r\n\r\n", ok, false).await;
    let proxy = proxy(server.address, &["path=/a pause"]).await;
    let mut news = proxy.book().watch();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"GET /a HTTP/1.1\r\n\r\n").await.unwrap();
    while proxy.held().is_empty() {
        tokio::time::timeout(Duration::from_secs(20), news.recv()).await.unwrap().unwrap();
        tokio::task::yield_now().await;
    }
    drop(stream);
    assert_eq!(over(&proxy, 1).await.ending, Ending::CutByCaller);
    assert!(proxy.held().is_empty());
    assert_eq!(server.came().len(), 0, "nothing of it went on");
}

#[tokio::test]
async fn requests_before_the_end_of_a_callers_side_are_all_answered() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = crate::house::Server::start(b"\r\n\r\n", ok, false).await;
    let proxy = proxy(server.address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    // The server here waits for the end of each.
    stream.write_all(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, [&ok[..], &ok[..]].concat());
    assert_eq!(over(&proxy, 2).await.title(), "GET /2");
}
