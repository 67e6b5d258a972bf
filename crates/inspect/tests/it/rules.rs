//! What rules do.

use crate::house::{Server, over, proxy, read_until, say};
use inspect::Ending;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";

#[tokio::test]
async fn every_second_request_is_refused_and_the_connection_lives() {
    let server = Server::start(b"}", OK, false).await;
    let rule = "path=/v1/messages method=POST status=529 retry-after=3 every=2";
    let proxy = proxy(server.address, &[rule]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let ask = b"POST /v1/messages HTTP/1.1\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    for _ in 0..2 {
        stream.write_all(ask).await.unwrap();
        assert_eq!(read_until(&mut stream, b"0123456789").await, OK);
        stream.write_all(ask).await.unwrap();
        let refused = String::from_utf8(read_until(&mut stream, b"}}").await).unwrap();
        assert!(refused.starts_with("HTTP/1.1 529 Overloaded\r\nRetry-After: 3\r\n"), "{refused}");
        assert!(refused.contains("overloaded_error"), "{refused}");
    }
    assert_eq!(server.came().concat().len(), 2 * ask.len(), "the refused ones never arrived");
    let refused = over(&proxy, 2).await;
    assert_eq!(refused.rules, [rule]);
    assert!(matches!(refused.ending, Ending::ByRule(_)));
}

#[tokio::test]
async fn answers_are_cut_and_connections_dropped() {
    let server = Server::start(b"\r\n\r\n", OK, false).await;
    let proxy = proxy(server.address, &["path=/cut cut=4", "path=/drop drop"]).await;
    let got = say(proxy.address(), b"GET /cut HTTP/1.1\r\n\r\n").await;
    assert!(got.ends_with(b"\r\n\r\n0123"), "{:?}", String::from_utf8_lossy(&got));
    assert_eq!(say(proxy.address(), b"GET /drop HTTP/1.1\r\n\r\n").await, b"");
}

#[tokio::test]
async fn heads_and_bodies_are_edited_and_the_length_follows() {
    let server = Server::start(b"!!}", OK, false).await;
    let rules = ["set=X-New:1 set=x-old: reply-set=X-Seen:yes", "replace=hello>goodbye!!"];
    let proxy = proxy(server.address, &rules).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let ask = b"POST / HTTP/1.1\r\nX-Old: 1\r\nContent-Length: 13\r\n\r\n{\"a\":\"hello\"}";
    // The server here waits for the new end.
    let ask = String::from_utf8(ask.to_vec()).unwrap().replace("\"hello\"}", "hello}");
    let ask = ask.replace("13", "11");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let got = String::from_utf8(read_until(&mut stream, b"0123456789").await).unwrap();
    assert!(got.contains("X-Seen: yes\r\n"), "{got}");
    let came = String::from_utf8(server.came().concat()).unwrap();
    assert!(came.contains("X-New: 1\r\n") && !came.contains("X-Old"), "{came}");
    assert!(
        came.contains("Content-Length: 15\r\n") && came.ends_with("{\"a\":goodbye!!}"),
        "{came}"
    );
}

#[tokio::test]
async fn a_held_request_goes_on_when_it_is_let_go_with_another_body() {
    let server = Server::start(b"new}", OK, false).await;
    let proxy = proxy(server.address, &["path=/hold pause"]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"POST /hold HTTP/1.1\r\nContent-Length: 5\r\n\r\n{old}").await.unwrap();
    while proxy.held().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(server.came().is_empty(), "nothing has gone on");
    let go = b"POST /__rapport__/exchanges/1/go HTTP/1.1\r\nHost: localhost:1\r\n\
               Connection: close\r\nContent-Length: 5\r\n\r\n{new}";
    assert!(say(proxy.address(), go).await.starts_with(b"HTTP/1.1 200 "));
    read_until(&mut stream, b"0123456789").await;
    assert!(server.came().concat().ends_with(b"{new}"));
}

#[tokio::test]
async fn secrets_of_a_held_body_are_hidden_from_who_edits_it_and_go_on_untouched() {
    let server = Server::start(b"new\"}", OK, false).await;
    let proxy = proxy(server.address, &["path=/hold pause"]).await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let body = r#"{"password":"hush","say":"old"}"#;
    let ask = format!("POST /hold HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(ask.as_bytes()).await.unwrap();
    while proxy.held().is_empty() {
        tokio::task::yield_now().await;
    }
    let look = b"GET /__rapport__/exchanges/1 HTTP/1.1\r\nHost: localhost:1\r\n\
                 Connection: close\r\n\r\n";
    let seen = String::from_utf8(say(proxy.address(), look).await).unwrap();
    let (_, json) = seen.split_once("\r\n\r\n").unwrap();
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    let shown = value["request"]["edit"].as_str().unwrap();
    assert_eq!(shown, r#"{"password":"[hidden 1]","say":"old"}"#);
    assert!(!seen.contains("hush"), "{seen}");

    let go = |body: &str| {
        format!(
            "POST /__rapport__/exchanges/1/go HTTP/1.1\r\nHost: localhost:1\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let lost = go(r#"{"password":"[hidden]","say":"new"}"#);
    let refused = String::from_utf8(say(proxy.address(), lost.as_bytes()).await).unwrap();
    assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains("`[hidden]`"), "{refused}");
    assert_eq!(proxy.held(), [1], "it still waits");

    let edited = go(&shown.replace("old", "new"));
    assert!(say(proxy.address(), edited.as_bytes()).await.starts_with(b"HTTP/1.1 200 "));
    read_until(&mut stream, b"0123456789").await;
    let came = String::from_utf8(server.came().concat()).unwrap();
    assert!(came.ends_with(r#"{"password":"hush","say":"new"}"#), "{came}");
}
