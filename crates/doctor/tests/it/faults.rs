//! Addresses that do not work, and the one cause of each.

use std::net::TcpListener;
use std::process::Command;

use doctor::{Environment, Request, diagnose};

use super::servers::{answers, closed_port, http, http_with, serve, sleeper};
use super::{check, report, verbose};

#[tokio::test]
async fn a_closed_port_has_no_listener() {
    let port = closed_port();
    let report = report(&format!("localhost:{port}")).await;
    // Another test may listen on a number that looks like this one; both verdicts name the fact.
    assert!(["listen.none", "listen.other_port"].contains(&report.verdict.id), "{report:?}");
    assert_eq!(report.exit_code(), 1);
    assert!(report.verdict.sentence.contains(&format!("nothing listens on port {port}")));
    assert!(!report.verdict.fix.is_empty());
}

#[tokio::test]
async fn a_neighbouring_port_is_found() {
    // Two free ports that differ in the last digit, so that one looks like the other mistyped.
    let (server, wrong) = loop {
        let server = http("200 OK");
        let wrong = server.port ^ 1;
        if TcpListener::bind(("127.0.0.1", wrong)).is_ok() {
            break (server, wrong);
        }
    };
    let report = report(&format!("localhost:{wrong}")).await;
    let seen = report.ports.iter().find(|found| found.port == server.port);
    assert_eq!(seen.map(|found| found.answers), Some("http"), "{}", verbose(&report));
}

#[tokio::test]
async fn a_server_that_closes_or_resets_is_named() {
    let closes = serve("127.0.0.1:0", drop);
    check(&format!("http://localhost:{}", closes.port), "tcp.closed_at_once", 1).await;
    let after_request = serve("127.0.0.1:0", |mut stream| {
        super::servers::read_some(&mut stream);
    });
    check(&format!("http://localhost:{}", after_request.port), "tcp.closed_at_once", 1).await;
    let resets = serve("127.0.0.1:0", |stream| {
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    });
    check(&format!("http://localhost:{}", resets.port), "tcp.reset", 1).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_never_accepts_is_silent_for_certain() {
    let held = sleeper(TcpListener::bind("127.0.0.1:0").unwrap(), "60");
    let report = check(&format!("localhost:{}", held.port), "http.no_response", 1).await;
    let evidence = report.verdict.evidence.join("\n");
    assert!(evidence.contains(&format!("PID {}", held.child.id())), "{evidence}");
    assert!(report.duration_ms < 10_000.0);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_stopped_process_is_named_with_the_command_that_wakes_it() {
    let held = sleeper(TcpListener::bind("127.0.0.1:0").unwrap(), "60");
    let pid = held.child.id().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    // The signal is sent, and the process may not have got it yet on a machine with much to do.
    let own = rustix::process::Pid::from_child(&held.child);
    let seen = rustix::process::waitpid(Some(own), rustix::process::WaitOptions::UNTRACED);
    assert!(seen.unwrap().unwrap().1.stopped());
    let report = check(&format!("http://localhost:{}", held.port), "process.stopped", 1).await;
    assert_eq!(report.verdict.fix[0].command.as_deref(), Some(&*format!("kill -CONT {pid}")));
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_likely_hung_for_http_only() {
    let open = std::sync::Mutex::new(Vec::new());
    let server = serve("127.0.0.1:0", move |stream| open.lock().unwrap().push(stream));
    check(&format!("http://localhost:{}", server.port), "http.no_response", 1).await;
    // Without a scheme it may wait for bytes nobody told us about.
    check(&format!("localhost:{}", server.port), "http.no_response", 3).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_that_was_started_for_the_port_is_not_ready_yet() {
    let port = closed_port();
    let mut child = Command::new("sh")
        .args(["-c", "read line", "--port", &port.to_string()])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let report = report(&format!("localhost:{port}")).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(report.verdict.id, "listen.not_yet", "{}", verbose(&report));
}

#[tokio::test]
async fn http_errors_have_their_causes() {
    let cases = [
        ("401 Unauthorized", "auth.missing"),
        ("403 Forbidden", "auth.forbidden"),
        ("421 Misdirected Request", "http.host_rejected"),
        ("426 Upgrade Required", "protocol.websocket"),
        ("429 Too Many Requests", "llm.rate_limited"),
        ("500 Internal Server Error", "http.500"),
        ("502 Bad Gateway", "upstream.unknown"),
        ("503 Service Unavailable", "http.503"),
        ("504 Gateway Timeout", "upstream.timeout"),
    ];
    for (status, id) in cases {
        let server = http(status);
        check(&format!("http://localhost:{}", server.port), id, 1).await;
    }
    let server = http_with("403 Forbidden", "Server: AirTunes/675\r\n");
    check(&format!("localhost:{}", server.port), "service.airplay", 1).await;
}

#[tokio::test]
async fn a_path_the_user_named_is_judged_strictly() {
    for (status, id) in [("404 Not Found", "http.wrong_path"), ("405 No", "http.405")] {
        let server = http_with(status, "Allow: POST\r\n");
        check(&format!("http://localhost:{}/v1/v1/models", server.port), id, 1).await;
    }
}

#[tokio::test]
async fn the_other_address_family_is_named() {
    let Ok(free) = TcpListener::bind("[::1]:0") else {
        println!("skipped: this machine has no IPv6 loopback");
        return;
    };
    drop(free);
    let six = answers("[::1]:0", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    check(&format!("127.0.0.1:{}", six.port), "listen.family", 1).await;
    let four = http("200 OK");
    let report = check(&format!("[::1]:{}", four.port), "listen.family", 1).await;
    assert!(report.verdict.fix[0].text.contains(&format!("127.0.0.1:{}", four.port)));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn another_loopback_address_is_named() {
    let server = answers("127.0.0.2:0", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let report = check(&format!("127.0.0.1:{}", server.port), "listen.other_loopback", 1).await;
    assert!(report.verdict.sentence.contains("127.0.0.2"), "{}", report.verdict.sentence);
}

#[tokio::test]
async fn a_dead_proxy_that_catches_localhost_is_named() {
    let server = http("200 OK");
    let dead = closed_port();
    let run = |variables: Vec<(&str, String)>| {
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
        let environment = Environment::from_variables(variables);
        let target = Some(format!("http://127.0.0.1:{}", server.port));
        async move { diagnose(&Request { target, environment, ..Request::default() }).await }
    };
    let proxy = format!("http://me:hunter2@127.0.0.1:{dead}");
    let report = run(vec![("http_proxy", proxy.clone())]).await;
    assert_eq!(report.verdict.id, "proxy.hijack", "{}", verbose(&report));
    assert!(!report.to_json().to_string().contains("hunter2"));
    let incomplete = vec![("http_proxy", proxy), ("no_proxy", "localhost".to_owned())];
    let report = run(incomplete).await;
    assert_eq!(report.verdict.id, "proxy.no_proxy_incomplete", "{}", verbose(&report));
    let wants_key = http("407 Proxy Authentication Required");
    let proxy = format!("http://127.0.0.1:{}", wants_key.port);
    let report = run(vec![("HTTP_PROXY", proxy)]).await;
    assert_eq!(report.verdict.id, "proxy.auth", "{}", verbose(&report));
}

#[tokio::test]
async fn a_name_nobody_knows_is_named() {
    // `.invalid` never resolves, and without a network the answer may be that nobody answers.
    let report = report("no-such-host.invalid:61900").await;
    assert!(["name.unknown", "name.no_answer"].contains(&report.verdict.id), "{report:?}");
    assert_eq!(report.exit_code(), 1);
}
