//! Numbers that are no ports: what is said, what is looked at, what is found.

use std::io::Write as _;
use std::net::TcpListener;

use doctor::{Request, diagnose};

use super::servers::{closed_port, http_with, read_some, sleeper};
use super::{check, report, verbose};

#[tokio::test]
async fn the_impossible_number_is_explained_in_one_sentence() {
    for target in ["localhost:619009", "619009", "http://127.0.0.1:619009/mcp", "[::1]:619009"] {
        let report = report(target).await;
        assert_eq!(report.exit_code(), 1, "{}", verbose(&report));
        assert!(report.verdict.id.starts_with("address.port_"), "{}", report.verdict.id);
        let text = report.to_text(false);
        let first = text.lines().next().unwrap();
        for part in ["619009", "65535", "16 bits", "29185"] {
            assert!(first.contains(part), "{first}");
        }
        let looked: Vec<u16> = report.ports.iter().map(|found| found.port).collect();
        assert_eq!(looked, [61900, 61909, 61009, 19009, 29185]);
        assert!(looked.iter().all(|port| text.contains(&port.to_string())), "{text}");
        if report.verdict.id == "address.port_out_of_range" {
            assert!(first.contains("61900 was meant"), "{first}");
        }
    }
}

#[tokio::test]
async fn strict_ports_change_the_probes_and_not_the_verdict() {
    let request = Request {
        target: Some("localhost:619009".to_owned()),
        strict_ports: true,
        ..Request::default()
    };
    let report = diagnose(&request).await;
    assert_eq!(report.exit_code(), 1);
    assert_eq!(report.target.port, None);
    assert!(report.verdict.id.starts_with("address.port_"));
}

#[tokio::test]
async fn a_server_on_the_wrapped_port_is_found() {
    let server = http_with("200 OK", "Server: SimpleHTTP/0.6\r\n");
    let number = u32::from(server.port) + 65_536;
    let report = report(&format!("http://localhost:{number}/")).await;
    assert_eq!(report.exit_code(), 1, "{}", verbose(&report));
    let found = report.ports.iter().find(|found| found.port == server.port).unwrap();
    assert_eq!((found.listening, found.answers), (true, "http"), "{}", verbose(&report));
    assert!(report.verdict.sentence.contains(&format!("really uses {}", server.port)));
}

/// Ways in which servers of MCP show themselves to a `GET` that opens nothing.
const REFUSALS: &[(&str, &str)] = &[
    ("GET /mcp ", r#"405 No#{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"},"id":null}"#),
    ("GET /api/mcp/status ", r#"200 OK#{"status":"running","sessions":0}"#),
    ("GET /mcp/context/0 ", r#"404 No#{"error":"Context not found"}"#),
];

#[tokio::test]
async fn a_server_of_mcp_on_the_wrapped_port_is_the_one_that_was_meant() {
    for (asked, answer) in REFUSALS {
        let (status, body) = answer.split_once('#').unwrap();
        let server = super::servers::serve("127.0.0.1:0", move |mut stream| {
            let text = String::from_utf8_lossy(&read_some(&mut stream)).into_owned();
            let is_asked = text.starts_with(asked);
            let (status, body) = if is_asked { (status, body) } else { ("404 No", "none") };
            let length = body.len();
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            drop(stream.write_all(head.as_bytes()));
        });
        let number = u32::from(server.port) + 65_536;
        let report = check(&format!("localhost:{number}"), "address.port_truncated", 1).await;
        let sentence = &report.verdict.sentence;
        assert!(sentence.contains("an MCP server answers there"), "{}", verbose(&report));
        let found = report.ports.iter().find(|found| found.port == server.port).unwrap();
        assert_eq!(found.answers, "mcp", "{}", verbose(&report));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_started_with_the_number_proves_the_truncation() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = u32::from(listener.local_addr().unwrap().port()) + 65_536;
    let held = sleeper(listener, &number.to_string());
    let report = check(&format!("localhost:{number}"), "address.port_truncated", 1).await;
    let evidence = report.verdict.evidence.join("\n");
    assert!(evidence.contains(&format!("PID {}", held.child.id())), "{evidence}");
    let command = report.verdict.fix[0].command.clone().unwrap();
    assert!(command.contains(&format!("localhost:{}", held.port)), "{command}");
}

#[tokio::test]
async fn what_was_meant_by_a_number_that_is_no_name_is_not_certain() {
    let report = report("localhost:65536").await;
    assert!(report.verdict.sentence.contains(" was probably meant"), "{}", verbose(&report));
}

#[tokio::test]
async fn a_logical_name_of_the_user_is_the_port_that_was_meant() {
    let server = http_with("200 OK", "Server: rapport/0.1.0\r\n");
    let mut request =
        Request { target: Some("localhost:7000001".to_owned()), ..Request::default() };
    request.logical.insert("7000001", server.port).unwrap();
    let report = diagnose(&request).await;
    assert_eq!(report.verdict.id, "address.port_typo", "{}", verbose(&report));
    assert!(report.verdict.sentence.contains(&format!("{} was meant", server.port)));
    assert_eq!(report.ports[0].answers, "rapport");
}

#[tokio::test]
async fn nothing_at_all_is_still_named() {
    let report = report("localhost:99999999999999999999999999999999").await;
    assert_eq!(report.exit_code(), 1, "{}", verbose(&report));
    assert!(report.verdict.id.starts_with("address.port_"), "{}", report.verdict.id);
}

#[tokio::test]
async fn wrong_addresses_are_faults_with_exit_code_1() {
    check("localhost:0", "address.port_zero", 1).await;
    check("localhost:-5", "address.bad_port", 1).await;
    check("htp://localhost:1", "address.bad_scheme", 1).await;
    check("http://::1:8080/", "address.ipv6_brackets", 1).await;
    let port = closed_port();
    check(&format!(" localhost:{port}"), "address.whitespace", 1).await;
}
