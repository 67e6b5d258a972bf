//! What no rule touches goes on as it was.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use inspect::{Ending, Kind, Room, decode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use crate::house::{Server, over, proxy, read_until, say, spawn, with_room};

#[tokio::test]
async fn every_byte_of_both_sides_is_passed_on_and_kept() {
    let answer = b"HTTP/1.1 200 Fine\r\nX-oDD:   spaced  \r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;ext=1\r\nhello\r\n0\r\nTrailer: t\r\n\r\n";
    let server = Server::start(b"0\r\n\r\n", answer, false).await;
    let proxy = proxy(server.address, &[]).await;
    let ask = b"POST /odd?x=%20y HTTP/1.1\r\nhOST: elsewhere:1\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let got = say(proxy.address(), ask).await;
    assert_eq!(got, answer);
    assert_eq!(server.came(), [ask.to_vec()]);
    let exchange = over(&proxy, 1).await;
    assert_eq!((exchange.asked.bytes(), exchange.answered.bytes()), (&ask[..], &answer[..]));
    assert_eq!((exchange.ask_body(), exchange.answer_body()), (b"abc".to_vec(), b"hello".to_vec()));
    assert_eq!(exchange.ending, Ending::Whole);
    let times = exchange.times;
    assert!(times.connected <= times.sent && times.sent <= times.over, "{times:?}");
}

#[tokio::test]
async fn requests_of_one_connection_stay_apart_and_share_the_connection_behind() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = Server::start(b"\r\n\r\n", answer, false).await;
    let proxy = proxy(server.address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    for number in 0..3 {
        let ask = format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        assert_eq!(read_until(&mut stream, b"ok").await, answer);
    }
    // Two at once, before the first is answered.
    stream.write_all(b"GET /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\r\n\r\n").await.unwrap();
    read_until(&mut stream, b"ok").await;
    read_until(&mut stream, b"ok").await;
    assert_eq!(over(&proxy, 5).await.title(), "GET /4");
    assert_eq!(server.came().len(), 1, "one connection behind");
}

#[tokio::test]
async fn an_event_stream_is_neither_held_nor_changed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (go, mut wait) = tokio::sync::mpsc::channel::<()>(1);
    spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
            .await
            .unwrap();
        for number in 0..5 {
            stream.write_all(format!("data: {number}\n\n").as_bytes()).await.unwrap();
            // The next event is written only when the reader has this one.
            wait.recv().await.unwrap();
        }
    });
    let proxy = proxy(address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    for number in 0..5 {
        read_until(&mut stream, format!("data: {number}\n\n").as_bytes()).await;
        go.send(()).await.unwrap();
    }
    let exchange = over(&proxy, 1).await;
    assert_eq!(exchange.ending, Ending::Whole);
    let view = decode::view(&exchange);
    assert_eq!(view.speaks, "sse");
    let texts: Vec<&str> = view.items.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(texts, ["0", "1", "2", "3", "4"]);
    assert!(view.items.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
}

#[tokio::test]
async fn a_websocket_goes_through_and_its_messages_are_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() {
                socket.send(message).await.unwrap();
            }
        }
    });
    let proxy = proxy(address, &[]).await;
    let url = format!("ws://{}/ws", proxy.address());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let long = "x".repeat(70_000);
    for text in ["hello", long.as_str()] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(text));
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
    drop(socket);
    let exchange = over(&proxy, 1).await;
    assert_eq!(exchange.kind, Kind::WebSocket);
    let items = decode::view(&exchange).items;
    let texts: Vec<(bool, &str, usize)> = items
        .iter()
        .map(|item| (item.from_caller, item.name.as_deref().unwrap(), item.text.len()))
        .collect();
    assert_eq!(texts[0], (true, "text", 5));
    assert_eq!(texts[1], (false, "text", 5));
    assert_eq!(texts[2], (true, "text", 70_000));
    assert_eq!(texts[3], (false, "text", 70_000));
    assert!(texts.contains(&(true, "close", 0)), "{texts:?}");
}

#[tokio::test]
async fn lines_and_half_closed_connections_go_through() {
    let server = Server::start(b"\n", b"{\"answer\":1}\n", true).await;
    let proxy = proxy(server.address, &[]).await;
    let got = say(proxy.address(), b"{\"ask\":\n1}\n{\"ask\":2}\n").await;
    assert!(got.ends_with(b"{\"answer\":1}\n"));
    let exchange = over(&proxy, 1).await;
    assert_eq!(exchange.kind, Kind::Lines);
    let items = decode::view(&exchange).items;
    assert!(items.iter().any(|item| item.from_caller && item.text == "{\"ask\":2}"));
    assert!(items.iter().any(|item| !item.from_caller && item.text == "{\"answer\":1}"));
}

#[tokio::test]
async fn long_bodies_pass_whole_and_are_kept_within_their_room() {
    const LONG: usize = 20 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut came, mut buffer) = (0, vec![0; 1 << 16]);
        while came < LONG + 54 {
            came += stream.read(&mut buffer).await.unwrap();
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'a'; LONG]).await.unwrap();
    });
    let room = Room { way_bytes: 1 << 20, ..Room::default() };
    let proxy = with_room(address, &[], room).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let head = format!("PUT /long HTTP/1.1\r\nContent-Length: {LONG}\r\nX: y\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'q'; LONG]).await.unwrap();
    let mut got = 0;
    let mut buffer = vec![0; 1 << 16];
    while got < LONG {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "broke off after {got}");
        got += length;
    }
    let exchange = over(&proxy, 1).await;
    assert!(exchange.asked.total() > LONG as u64 && !exchange.asked.is_whole());
    assert_eq!(exchange.asked.bytes().len(), 1 << 20);
    assert_eq!(exchange.answered.bytes().len(), 1 << 20);
}

#[tokio::test]
async fn a_caller_that_leaves_is_noticed_by_the_target() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (left, was_left) = tokio::sync::oneshot::channel();
    spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, b"\r\n\r\n").await;
        // It thinks, and sees its caller leave.
        let length = stream.read(&mut [0; 10]).await.unwrap_or(0);
        left.send(length).unwrap();
    });
    let proxy = proxy(address, &[]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\n\r\n").await.unwrap();
    let mut news = proxy.book().watch();
    while proxy.book().get(1).is_none_or(|exchange| exchange.times.sent.is_none()) {
        let _any = tokio::time::timeout(Duration::from_millis(50), news.recv()).await;
    }
    drop(stream);
    let noticed = tokio::time::timeout(Duration::from_secs(20), was_left).await;
    assert_eq!(noticed.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_named_and_one_that_breaks_off_too() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let proxy_ = proxy(address, &[]).await;
    let got = say(proxy_.address(), b"GET / HTTP/1.1\r\n\r\n").await;
    let text = String::from_utf8(got).unwrap();
    assert!(text.starts_with("HTTP/1.1 502 "), "{text}");
    assert!(text.contains("nothing listens there") && text.contains("rapport doctor"), "{text}");
    assert_eq!(decode::view(&over(&proxy_, 1).await).findings[0].id, "unreached");

    let server =
        Server::start(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", true).await;
    let proxy = proxy(server.address, &[]).await;
    assert!(say(proxy.address(), b"GET / HTTP/1.1\r\n\r\n").await.ends_with(b"half"));
    let finding = decode::view(&over(&proxy, 1).await).findings[0].clone();
    assert_eq!(
        (finding.id, finding.text.as_str()),
        ("answer_cut", "the answer broke off: 4 of 9 bytes came")
    );
}
