//! Servers that are well come out well: no false alarm, exit code 0, in less than three seconds.

use std::io::Write;

use doctor::{Environment, Request, diagnose};

use super::servers::{answers, greets, http, read_some, serve};
use super::{check, verbose};

#[tokio::test]
async fn an_http_server_is_well_whatever_it_says_of_health() {
    for status in ["200 OK", "204 No Content", "302 Found", "404 Not Found", "405 Nope", "501 No"] {
        let server = http(status);
        for target in ["localhost:PORT", "http://localhost:PORT", "127.0.0.1:PORT", "PORT"] {
            let target = target.replace("PORT", &server.port.to_string());
            let report = check(&target, "ok", 0).await;
            assert!(report.duration_ms < 3000.0, "{status} took {} ms", report.duration_ms);
        }
    }
}

#[tokio::test]
async fn a_path_that_is_there_is_well() {
    let server = http("200 OK");
    let report = check(&format!("http://localhost:{}/v1/models?key=x", server.port), "ok", 0).await;
    assert!(!verbose(&report).contains("key=x"));
}

#[tokio::test]
async fn json_lines_are_well_for_tcp_and_without_a_scheme() {
    let server = answers("127.0.0.1:0", b"ERROR: Invalid JSON format\n");
    for scheme in ["tcp://", ""] {
        let report = check(&format!("{scheme}localhost:{}", server.port), "ok", 0).await;
        assert!(report.verdict.sentence.contains("JSON lines"), "{}", report.verdict.sentence);
    }
}

#[tokio::test]
async fn an_mcp_text_server_is_well_for_its_scheme() {
    let server = answers("127.0.0.1:0", b"MCP/1.0 200 OK\r\n\r\n");
    check(&format!("mcp://localhost:{}", server.port), "ok", 0).await;
}

#[tokio::test]
async fn a_websocket_server_is_well_for_its_scheme() {
    let upgrade = serve("127.0.0.1:0", |mut stream| {
        let asked = String::from_utf8_lossy(&read_some(&mut stream)).to_ascii_lowercase();
        let answer: &[u8] = if asked.contains("upgrade: websocket") {
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: j8pSShqK6cInlJXRknlFhHw/UjU=\r\n\r\n"
        } else {
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"
        };
        drop(stream.write_all(answer));
    });
    let report = check(&format!("ws://localhost:{}/chat", upgrade.port), "ok", 0).await;
    assert!(report.verdict.sentence.contains("WebSocket"), "{}", report.verdict.sentence);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_well_without_a_scheme() {
    let server = greets(b"SSH-2.0-OpenSSH_9.2\r\n");
    let report = check(&format!("localhost:{}", server.port), "ok", 0).await;
    assert!(report.verdict.sentence.contains("SSH"), "{}", report.verdict.sentence);
}

#[tokio::test]
async fn a_server_on_ipv6_only_is_well_under_the_name_localhost() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    }
    let server = answers("[::1]:0", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    check(&format!("[::1]:{}", server.port), "ok", 0).await;
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    if hosts.lines().any(|line| line.starts_with("::1") && line.contains("localhost")) {
        check(&format!("localhost:{}", server.port), "ok", 0).await;
    }
}

#[tokio::test]
async fn this_product_is_recognised_by_its_server_header() {
    // One body with the documented fields of each reply that is looked at.
    let body = concat!(
        "{\"status\": \"ok\", \"version\": \"1\", \"checks\": {\"store\": {}, \"provider\": {}}, ",
        "\"protocol_versions\": [], \"uptime_seconds\": 1, \"listen\": [], \"sessions\": 0, ",
        "\"contexts\": 0, \"messages\": 0, \"store\": {\"kind\": \"\"}, ",
        "\"model\": {\"default\": \"\"}, \"auth\": {}, \"limits\": {}}"
    );
    let head = "HTTP/1.1 200 OK\r\nServer: rapport/0.1.0\r\nContent-Type: application/json\r\n";
    let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let server = answers("127.0.0.1:0", answer.leak().as_bytes());
    let report = check(&format!("localhost:{}", server.port), "ok", 0).await;
    assert!(report.verdict.sentence.contains("rapport answers"), "{}", report.verdict.sentence);
}

#[tokio::test]
async fn a_proxy_that_leaves_localhost_out_is_no_fault() {
    let server = http("200 OK");
    let variables = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "example.com,localhost")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let report = diagnose(&Request {
        target: Some(format!("http://localhost:{}", server.port)),
        environment: Environment::from_variables(variables),
        ..Request::default()
    })
    .await;
    assert_eq!(report.exit_code(), 0, "{}", verbose(&report));
}
