//! A port that speaks something else than the address says.

use std::io::Write as _;

use super::check;
use super::servers::{answers, greets, http, read_some, serve, tls};

#[tokio::test]
async fn a_banner_names_the_protocol_behind_an_http_address() {
    let cases: [(&'static [u8], &str); 6] = [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "protocol.ssh"),
        (b"220 mail.example ESMTP ready\r\n", "protocol.smtp"),
        (b"220 (vsFTPd 3.0)\r\n", "protocol.ftp"),
        (b"\x4a\0\0\0\x0a8.0.36\0", "protocol.mysql"),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", "protocol.h2c"),
        (b"ERROR: Invalid JSON format\n", "protocol.json_lines"),
    ];
    for (banner, id) in cases {
        let server = greets(banner);
        check(&format!("http://localhost:{}", server.port), id, 1).await;
    }
}

#[tokio::test]
async fn an_answer_to_get_names_the_protocol() {
    let cases: [(&'static [u8], &str); 4] = [
        (b"-ERR unknown command 'GET'\r\n", "protocol.redis"),
        (b"E\0\0\0\x20SFATAL\0C0A000\0", "protocol.postgres"),
        (b"ERROR: Invalid JSON format\n", "protocol.json_lines"),
        (b"MCP/1.0 ready\r\n", "protocol.mcp"),
    ];
    for (answer, id) in cases {
        let server = answers("127.0.0.1:0", answer);
        check(&format!("http://localhost:{}", server.port), id, 1).await;
    }
}

#[tokio::test]
async fn bytes_of_no_protocol_are_uncertain() {
    let server = answers("127.0.0.1:0", b"\x01\x02\x03\x04");
    let report = check(&format!("http://localhost:{}", server.port), "protocol.unknown", 3).await;
    let evidence = report.verdict.evidence.join("\n");
    assert!(evidence.contains("01 02 03 04"), "{evidence}");
}

#[tokio::test]
async fn plain_http_to_a_tls_port_and_the_other_way_round() {
    let secure = tls();
    let report =
        check(&format!("http://localhost:{}/x", secure.port), "tls.http_to_https", 1).await;
    let fix = &report.verdict.fix[0].text;
    assert!(fix.contains(&format!("https://localhost:{}/x", secure.port)), "{fix}");
    let plain = http("200 OK");
    check(&format!("https://localhost:{}", plain.port), "tls.https_to_http", 1).await;
}

#[tokio::test]
async fn an_nginx_that_says_it_wants_tls_is_believed_only_after_a_handshake() {
    let server = answers(
        "127.0.0.1:0",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 49\r\n\r\n\
          The plain HTTP request was sent to HTTPS port\r\n\r\n",
    );
    // The text alone, without TLS behind it, is an HTTP server that calls the request wrong.
    check(&format!("http://localhost:{}", server.port), "http.400", 1).await;
}

#[tokio::test]
async fn an_http_server_is_no_json_lines_mcp_or_websocket_server() {
    let server = http("200 OK");
    for (scheme, id) in
        [("tcp", "protocol.http"), ("mcp", "protocol.http"), ("ws", "protocol.not_websocket")]
    {
        check(&format!("{scheme}://localhost:{}", server.port), id, 1).await;
    }
}

#[tokio::test]
async fn a_page_in_answer_to_a_line_is_the_one_of_a_web_server() {
    let server = serve("127.0.0.1:0", |mut stream| {
        let answer: &[u8] = if read_some(&mut stream).starts_with(b"GET") {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        } else {
            b"<!DOCTYPE HTML>\n<title>Error</title>"
        };
        drop(stream.write_all(answer));
    });
    for scheme in ["tcp", "mcp"] {
        check(&format!("{scheme}://localhost:{}", server.port), "protocol.http", 1).await;
    }
    let odd = answers("127.0.0.1:0", b"hello there\n");
    let report = check(&format!("tcp://localhost:{}", odd.port), "protocol.unknown", 3).await;
    let evidence = report.verdict.evidence.join("\n");
    assert!(evidence.contains("it answered a line with \"hello there\""), "{evidence}");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the server has a thread of its own")]
async fn a_slow_server_that_calls_a_line_bad_at_once_is_slow() {
    let server = serve("127.0.0.1:0", |mut stream| {
        if read_some(&mut stream).starts_with(b"GET") {
            std::thread::sleep(std::time::Duration::from_secs(3));
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        } else {
            drop(stream.write_all(b"<!DOCTYPE HTML>\n<title>Error</title>"));
        }
    });
    check(&format!("http://localhost:{}/", server.port), "http.slow", 1).await;
}
