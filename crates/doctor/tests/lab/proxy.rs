//! Proxies that catch what is meant for this machine, and the variable that spares it.

use doctor::report::Outcome;
use doctor::{Environment, Request};

use super::servers::{Server, answers, closed_port, http};
use super::{broken, well};

fn asked(server: &Server, host: &str, variables: &[(&str, String)]) -> Request {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    Request {
        target: Some(format!("http://{host}:{}/", server.port)),
        environment: Environment::from_variables(variables),
        ..Request::default()
    }
}

/// The variables of the fix, `export A=b c=d`, added to those there are.
fn follow(variables: &[(&'static str, String)], command: &str) -> Vec<(&'static str, String)> {
    let list = command.strip_prefix("export ").unwrap();
    let set = |name: &str| {
        let found = list.split(' ').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        found.unwrap().to_owned()
    };
    let kept = variables.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("no_proxy")).cloned();
    kept.chain([("NO_PROXY", set("NO_PROXY")), ("no_proxy", set("no_proxy"))]).collect()
}

/// The fault is named with its proof, and the variables of the fix heal it.
async fn caught(host: &str, variables: &[(&'static str, String)], id: &str, proof: &[&str]) {
    let server = http("200 OK");
    let report = broken(&asked(&server, host, variables), id, proof[0]).await;
    let said = format!("{}{}", report.verdict.sentence, report.verdict.evidence.join("\n"));
    for part in proof {
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    let command = report.verdict.fix[0].command.clone().unwrap();
    well(&asked(&server, host, &follow(variables, &command))).await;
}

#[tokio::test]
async fn a_dead_proxy_is_named_whatever_variable_has_it() {
    let dead = format!("127.0.0.1:{}", closed_port());
    let through = ["is down", "through the proxy: ", "Python requests"];
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        caught("localhost", &[(name, format!("http://{dead}"))], "proxy.hijack", &through).await;
    }
    let socks = [("ALL_PROXY", format!("socks5h://me:secret@{dead}"))];
    caught("127.0.0.1", &socks, "proxy.hijack", &["socks5h://127.0.0.1"]).await;
}

#[tokio::test]
async fn a_proxy_that_answers_in_the_place_of_the_server_is_named() {
    let cases: [(&'static [u8], &str, &str); 4] = [
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", "proxy.hijack", "HTTP 403"),
        (b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n", "proxy.auth", "asks for credentials"),
        (b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", "proxy.hijack", "HTTP 502"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "proxy.hijack", "answers by itself"),
    ];
    for (answer, id, proof) in cases {
        let proxy = answers("127.0.0.1:0", answer);
        let variables = [("http_proxy", format!("http://127.0.0.1:{}", proxy.port))];
        caught("localhost", &variables, id, &[proof, "curl"]).await;
    }
}

#[tokio::test]
async fn a_list_of_exceptions_without_the_host_is_named() {
    let dead = format!("http://127.0.0.1:{}", closed_port());
    for (host, list) in [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1,::1")] {
        let variables = [("http_proxy", dead.clone()), ("NO_PROXY", list.to_owned())];
        let proof = format!("NO_PROXY={list} does not cover {host}");
        caught(host, &variables, "proxy.no_proxy_incomplete", &[&proof]).await;
    }
}

#[tokio::test]
async fn a_list_that_only_some_clients_understand_is_a_warning_with_their_names() {
    let server = http("200 OK");
    let dead = format!("http://127.0.0.1:{}", closed_port());
    let variables = [("http_proxy", dead), ("no_proxy", "127.0.0.0/8".to_owned())];
    let report = well(&asked(&server, "127.0.0.1", &variables)).await;
    let proxy = report.findings.iter().find(|one| one.check == "proxy").unwrap();
    assert_eq!(proxy.outcome, Outcome::Warn, "{proxy:?}");
    assert!(proxy.summary.contains("Python urllib and httpx, Node axios"), "{proxy:?}");
}

#[tokio::test]
async fn a_proxy_that_passes_requests_on_is_no_fault() {
    let server = http("200 OK");
    let proxy = http("200 OK");
    let variables = [("HTTP_PROXY", format!("127.0.0.1:{}", proxy.port))];
    let report = well(&asked(&server, "localhost", &variables)).await;
    let proxy = report.findings.iter().find(|one| one.check == "proxy").unwrap();
    assert!(proxy.evidence.iter().any(|line| line.starts_with("directly: curl")), "{proxy:?}");
}
