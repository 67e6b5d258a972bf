//! What a connection may speak, how slow it may be, and how many there may be.

use std::io::Write;

use crate::house::{House, answer, everything, line};

#[test]
fn every_protocol_is_served_however_its_first_bytes_arrive() {
    let house = House::new();
    let server = house.serve(&[]);
    let mut stream = server.connect();
    for byte in b"\r\nGET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert!(everything(stream).starts_with("HTTP/1.1 200"));

    let mut stream = server.connect();
    for byte in b"MCP_INIT: SESSION_ID=101\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(line(&mut stream), "MCP_INIT_ACK: SESSION_ID=101 STATUS=OK VERSION=1.0\n");

    let mut stream = server.connect();
    stream.write_all(b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n").unwrap();
    assert_eq!(line(&mut stream), "MCP/1.0 101 Switching Protocols\r\n");

    let mut stream = server.connect();
    stream.write_all(b"{\"sessionId\":\"s\",\"message\":\"hi\",\"context\":{}}\n").unwrap();
    assert!(line(&mut stream).contains("\"sessionId\":\"s\""));
    stream.write_all(b"not json\n").unwrap();
    assert_eq!(line(&mut stream), "ERROR: Invalid JSON format\n");

    let mut stream = server.connect();
    stream.write_all(b"MKCOL /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    assert!(everything(stream).starts_with("HTTP/1.1 4"));
}

#[test]
fn a_method_nobody_knows_is_answered_in_http() {
    let house = House::new();
    let server = house.serve(&[]);
    for path in ["/", "/v1/messages", "/api/v1/contexts"] {
        let mut stream = server.connect();
        let request =
            format!("BREW {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let said = everything(stream);
        assert!(said.starts_with("HTTP/1.1 4"), "{path}: {said}");
        assert!(said.contains("\"error\":"), "{path}: {said}");
    }
}

#[test]
fn a_head_that_cannot_be_read_is_refused_with_words() {
    let house = House::new();
    let server = house.serve(&[]);
    let long = format!("X: {}\r\n", "x".repeat(70_000));
    for (head, status, word) in [
        ("GET /health HTTP/1.1\r\nno colon\r\n", "400", "not HTTP"),
        ("GET /health HTTP/9.9\r\n", "400", "not HTTP"),
        ("POST /api/v1/contexts HTTP/1.1\r\nContent-Length: x\r\n", "400", "not HTTP"),
        (&format!("GET /health HTTP/1.1\r\n{long}"), "431", "64 KiB"),
        (&format!("GET /{} HTTP/1.1\r\n", "x".repeat(66_000)), "4", "er than"),
        ("POST /v1/messages HTTP/1.1\r\nno colon\r\n", "400", "`no colon` is not HTTP"),
        (&format!("POST /v1/messages HTTP/1.1\r\n{long}"), "431", "65536 bytes"),
    ] {
        let mut stream = server.connect();
        // Who is refused in the middle of a head may not be able to send the rest of it.
        let _refused = stream.write_all(format!("{head}\r\n").as_bytes());
        let said = everything(stream);
        let head = head.get(..60).unwrap_or(head);
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {said}");
        assert!(said.contains(word), "{head}: {said}");
        assert!(said.contains("\r\n\r\n{\""), "{head}: {said}");
    }
}

#[test]
fn a_connection_that_closes_without_a_byte_leaves_no_trace() {
    let house = House::new();
    let server = house.serve(&[]);
    for _ in 0..20 {
        drop(server.connect());
    }
    assert!(server.get("/health").starts_with("HTTP/1.1 200"));
    assert!(server.terminate().success());
    let errors = std::fs::read_to_string(house.data().join("logs/error.log")).unwrap();
    assert_eq!(errors, "");
    let log = std::fs::read_to_string(house.data().join("logs/server.log")).unwrap();
    assert!(!log.contains("Connected by"), "{log}");
}

#[test]
fn nothing_is_sent_before_the_caller_speaks_and_silence_ends_quietly() {
    let house = House::with("limits: {line_idle: 300ms}\n");
    let server = house.serve(&[]);
    assert_eq!(everything(server.connect()), "");
}

#[test]
fn a_slow_header_is_cut_off_and_a_kept_connection_is_not() {
    let house = House::with("limits: {header_read: 300ms, line_idle: 10s}\n");
    let server = house.serve(&[]);
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut kept = server.connect();
    kept.write_all(request).unwrap();
    assert!(answer(&mut kept).starts_with("HTTP/1.1 200"));

    let mut slow = server.connect();
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: local").unwrap();
    let said = everything(slow);
    assert!(!said.contains("200 OK"), "{said}");

    // By now the kept connection was silent for longer than a header may take.
    kept.write_all(request).unwrap();
    assert!(answer(&mut kept).starts_with("HTTP/1.1 200"));
    kept.write_all(&request[..20]).unwrap();
    assert_eq!(everything(kept), "", "a slow header is cut off on any request");
}

#[test]
fn beyond_the_limit_callers_are_told_so_and_a_freed_place_is_used_again() {
    let house = House::with("limits: {connections: 3}\n");
    let server = house.serve(&[]);
    let mut held: Vec<_> = (0..3)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"{\"message\":\"x\"}\n").unwrap();
            // An answer means that the place is taken.
            assert!(line(&mut stream).contains("response"));
            stream
        })
        .collect();
    server.logged("more than 80 %");
    let refused = server.get("/health");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("Retry-After: 1\r\n"), "{refused}");
    assert!(refused.contains("\"code\":\"overloaded\""), "{refused}");
    let mut stream = server.connect();
    stream.write_all(b"{\"message\":\"x\"}\n").unwrap();
    assert_eq!(everything(stream), "ERROR: too many connections\n");

    drop(held.pop());
    server.logged("disconnected");
    // The place is given back in the moment after that line.
    let answered = (0..200).any(|_| server.get("/health").starts_with("HTTP/1.1 200"));
    assert!(answered, "the place was not given back");
}

#[test]
fn http_2_without_tls_is_understood() {
    let house = House::new();
    let server = house.serve(&[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let executor = hyper_util::rt::TokioExecutor::new();
        let shaken = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
        let (mut sender, connection) = shaken;
        let request = http::Request::get(format!("http://localhost:{}/health", server.port))
            .body(axum::body::Body::empty())
            .unwrap();
        tokio::select! {
            response = sender.send_request(request) => response.unwrap().status(),
            ended = connection => panic!("{ended:?}"),
        }
    });
    assert_eq!(status, 200);
}
