//! What is written down holds no secret, also where it was cut off or is not what it says.

use inspect::export::{Secrets, har, line, read};
use inspect::{Exchange, Proxy, Room, diff};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::house::{Server, over, proxy, read_until, say, with_room};

/// The end of a request's head.
const END: &[u8] = b"\r\n\r\n";
const SECRET: &str = "hush-hush";

/// An exchange as it is read again from what was written down.
fn written(exchange: &Exchange) -> Exchange {
    read(&line(exchange, Secrets::Hidden)).unwrap()
}

fn holds(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A frame of a WebSocket: its first byte, masked with zeros.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend_from_slice(payload.as_bytes());
    bytes
}

/// Becomes a WebSocket, says these bytes, and leaves.
async fn leaves(proxy: &Proxy, bytes: &[u8]) -> Exchange {
    let ask = b"GET /talk HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(ask).await.unwrap();
    read_until(&mut stream, END).await;
    stream.write_all(bytes).await.unwrap();
    drop(stream);
    over(proxy, 1).await
}

#[tokio::test]
async fn a_message_that_was_cut_off_is_not_written_down() {
    let secret = format!("{{\"token\":\"{SECRET}\"}}");
    let whole = frame(0x81, "hello");
    let begun = [whole.clone(), frame(0x01, &secret)].concat();
    let mut half = [whole, frame(0x81, &secret)].concat();
    half.truncate(half.len() - 1);
    // The one before it never ends.
    let crossed = [frame(0x01, &secret), frame(0x81, "hello")].concat();
    for bytes in [begun, half, crossed] {
        let upgraded = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        let server = Server::start(END, upgraded, false).await;
        let proxy = proxy(server.address, &[]).await;
        let exchange = leaves(&proxy, &bytes).await;
        assert!(holds(exchange.asked.bytes()), "the proxy keeps what it saw");
        let stored = written(&exchange);
        assert!(!holds(stored.asked.bytes()));
        assert!(stored.asked.bytes().ends_with(b"hello"), "the rest is there");
        assert!(!har(&[exchange], Secrets::Hidden).to_string().contains(SECRET));
    }
}

#[tokio::test]
async fn text_that_was_cut_inside_a_letter_is_text_all_the_same() {
    let server = Server::start(b"\"", b"HTTP/1.1 204 No Content\r\n\r\n", true).await;
    let body = format!("{{\"api_key\":\"{SECRET}\",\"name\":\"ééé\"");
    // The room ends in the middle of the last letter but one.
    let way_bytes = post(body.as_bytes()).len() - 4;
    let room = Room { way_bytes, ..Room::default() };
    let proxy = with_room(server.address, &[], room).await;
    say(proxy.address(), &post(body.as_bytes())).await;
    let exchange = over(&proxy, 1).await;
    assert!(std::str::from_utf8(exchange.asked.bytes()).is_err());
    let stored = written(&exchange);
    assert!(!holds(stored.asked.bytes()));
    assert!(!stored.asked.is_whole(), "it is not known whole, also from a file");
}

#[tokio::test]
async fn differences_hide_what_is_named_like_a_secret() {
    let server = Server::start(b"}", b"HTTP/1.1 204 No Content\r\n\r\n", true).await;
    let proxy = proxy(server.address, &[]).await;
    let mut exchanges = Vec::new();
    for (number, secret) in [(1, SECRET), (2, "another")] {
        let body = format!("{{\"user\":{{\"password\":\"{secret}\"}}}}");
        say(proxy.address(), &post(body.as_bytes())).await;
        exchanges.push(over(&proxy, number).await);
    }
    let all = diff(&exchanges[0], &exchanges[1]);
    let found = all.iter().find(|d| d.place == "request.body /user/password").unwrap();
    assert_eq!(found.first.as_deref(), Some("[hidden]"), "{all:?}");
    assert_eq!(found.second.as_deref(), Some("[hidden]"), "{all:?}");
}
