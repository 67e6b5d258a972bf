//! Times and bytes of servers.

use std::time::Duration;

use inspect::Target;
use inspect::measure::{Load, Speech, exchange, load, ping};

use crate::house::Server;

fn target(server: &Server) -> Target {
    Target::new("127.0.0.1", server.address.port(), false)
}

#[tokio::test]
async fn a_ping_says_what_answers_and_who_refuses() {
    let answer = b"HTTP/1.1 200 OK\r\nServer: testing\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(b"\r\n\r\n", answer, true).await;
    let answer = ping(&target(&server), true).await.unwrap();
    assert_eq!(answer.speaks, "HTTP/1.1, 200 of testing");
    assert!(answer.first_byte_us.is_some());
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = Target::new("127.0.0.1", free.local_addr().unwrap().port(), false);
    drop(free);
    assert!(ping(&gone, true).await.unwrap_err().contains("nothing listens there"));
}

#[tokio::test]
async fn a_load_asks_exactly_as_often_as_it_is_told_and_counts_what_fails() {
    let good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let server = Server::start(b"\r\n\r\n", good, false).await;
    let amount = Load { connections: 4, count: 200, within: Duration::from_secs(60) };
    let speech = Speech::Http(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec());
    let outcome = load(&target(&server), &speech, amount).await;
    assert_eq!((outcome.good, outcome.failures.len(), outcome.times.count), (200, 0, 200));
    assert!(outcome.times.p50 <= outcome.times.p99);
    assert_eq!(server.came().len(), 4, "connections are used again");

    let bad = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(b"\r\n\r\n", bad, false).await;
    let amount = Load { count: 5, ..amount };
    let outcome = load(&target(&server), &speech, amount).await;
    assert_eq!(outcome.failures.get("status 503"), Some(&5));

    let server = Server::start(b"\n", b"{\"pong\":1}\n", false).await;
    let amount = Load { count: 50, ..amount };
    let speech = Speech::Lines(b"{\"ping\":1}\n".to_vec());
    assert_eq!(load(&target(&server), &speech, amount).await.good, 50);

    let answer = b"{\"error\":\"no such field\",\"code\":\"missing_field\"}\n";
    let server = Server::start(b"\n", answer, false).await;
    let amount = Load { count: 6, ..amount };
    let outcome = load(&target(&server), &speech, amount).await;
    assert_eq!(outcome.failures.get("error missing_field: no such field"), Some(&6));
    assert_eq!(outcome.good, 0, "an answer that is an error is no good one");
}

#[tokio::test]
async fn raw_bytes_go_out_and_come_back_as_they_are() {
    let server = Server::start(b"\xff\n", b"\x00\x01answer", true).await;
    let said = exchange(&target(&server), b"ask\xff\n", Duration::from_secs(20)).await.unwrap();
    assert_eq!((said.bytes.as_slice(), said.closed), (&b"\x00\x01answer"[..], true));
    assert_eq!(server.came(), [b"ask\xff\n".to_vec()]);
}
