//! The client against servers that behave in every bad way, and the ways to find one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::config::{Environment, Inputs, Loaded, load};

/// A server that gives one answer to each connection, then listens no more; its requests come
/// back.
fn server(answers: Vec<&'static str>) -> (u16, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = std::thread::spawn(move || {
        let answer = |answer: &str| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("content-length: ") {
                    length = value.trim().parse().unwrap();
                }
                request.push_str(&line);
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            request + std::str::from_utf8(&body).unwrap()
        };
        answers.into_iter().map(answer).collect()
    });
    (port, served)
}

fn manner() -> Manner {
    Manner {
        key: Some("secret".to_owned()),
        trust: Trust::Machine,
        connect: Duration::from_secs(5),
        read: Duration::from_secs(5),
        total: None,
        retries: 2,
        trace: Trace::default(),
        curl: None,
        journal: Journal::default(),
    }
}

fn to(port: u16) -> Server {
    Server::new(Address::local(port), manner())
}

fn key_of(request: &str) -> &str {
    let line = request.lines().find(|line| line.starts_with("idempotency-key: "));
    line.expect("the request has a key")
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
                      event: start\ndata: {}\n\n";

#[tokio::test]
async fn a_refusal_names_its_class_and_the_doctor() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let failure = to(port).json(&Ask::get("/")).await.unwrap_err();
    assert_eq!(failure.class(), Class::Refused);
    let text = failure.to_string();
    assert!(
        text.starts_with(&format!("Failed to connect to localhost:{port}: connection refused"))
    );
    assert!(failure.hint_text().unwrap().contains(&format!("rapport doctor localhost:{port}")));
}

#[tokio::test]
async fn silence_is_a_timeout_of_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for (read, total) in [(30, None), (60_000, Some(Duration::from_millis(30)))] {
        let manner = Manner { read: Duration::from_millis(read), total, ..manner() };
        let server = Server::new(Address::local(port), manner);
        let failure = server.json(&Ask::get("/")).await.unwrap_err();
        assert_eq!(failure.class(), Class::Timeout, "{failure}");
        assert!(failure.to_string().starts_with("Connection timeout"), "{failure}");
    }
}

#[tokio::test]
async fn whoever_is_not_rapport_is_a_matter_of_protocol() {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n<html>",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>",
    ] {
        let (port, served) = server(vec![answer]);
        let failure = to(port).json(&Ask::get("/")).await.unwrap_err();
        assert_eq!(failure.class(), Class::Protocol, "{answer} {failure}");
        assert!(failure.hint_text().unwrap().contains("rapport doctor"), "{answer}");
        served.join().unwrap();
    }
}

#[tokio::test]
async fn errors_of_the_server_keep_their_class_text_and_hint() {
    for (answer, class) in [
        (
            "HTTP/1.1 401 U\r\nconnection: close\r\n\r\n{\"code\":\"forbidden\",\"error\":\"abc\"}",
            Class::Auth,
        ),
        (
            "HTTP/1.1 404 U\r\nconnection: close\r\n\r\n{\"code\":\"gone\",\"error\":\"abc\"}",
            Class::Problem,
        ),
        (
            "HTTP/1.1 503 U\r\nconnection: close\r\n\r\n{\"code\":\"upstream\",\"error\":\"abc\"}",
            Class::Server,
        ),
    ] {
        let (port, served) = server(vec![answer]);
        let failure = to(port).json(&Ask::get("/")).await.unwrap_err();
        assert_eq!((failure.class(), failure.to_string().as_str()), (class, "abc"));
        served.join().unwrap();
    }
}

#[tokio::test]
async fn a_message_is_sent_again_with_its_key_and_nothing_else_is() {
    let (port, served) = server(vec!["", OK]);
    to(port).json(&Ask::post("/a", &json!({"n": 1})).once()).await.unwrap();
    let requests = served.join().unwrap();
    assert_eq!(key_of(&requests[0]), key_of(&requests[1]));
    assert!(requests[1].ends_with("{\"n\":1}"), "{}", requests[1]);

    let (port, served) = server(vec!["", OK]);
    let failure = to(port).json(&Ask::post("/a", &json!({}))).await.unwrap_err();
    assert_eq!(failure.class(), Class::Protocol, "{failure}");
    to(port).json(&Ask::get("/end")).await.unwrap();
    assert!(served.join().unwrap()[1].starts_with("GET /end"), "the message came twice");
}

#[tokio::test]
async fn a_request_that_is_still_answered_is_waited_for() {
    let busy = "HTTP/1.1 409 C\r\nconnection: close\r\n\r\n\
                {\"code\":\"conflict\",\"details\":{\"reason\":\"in_progress\"}}";
    let (port, served) = server(vec!["", busy, OK]);
    to(port).json(&Ask::bare_post("/a").once()).await.unwrap();
    assert_eq!(served.join().unwrap().len(), 3);
}

#[tokio::test]
async fn a_cut_stream_goes_on_where_it_was_cut() {
    let half: &'static str =
        Box::leak(format!("{STREAM}event: delta\ndata: {{\"text\":\"Hel\"}}\n\n").into());
    let whole: &'static str = Box::leak(
        format!(
            "{STREAM}event: delta\ndata: {{\"text\":\"Hello\"}}\n\n: ping\n\n\
             event: done\ndata: {{\"text\":\"Hello\"}}\n\n"
        )
        .into(),
    );
    let (port, served) = server(vec![half, whole]);
    let ask = Ask::post("/turns", &json!({})).once().streaming();
    let mut said = Vec::new();
    let mut hear = |heard: Heard<'_>| {
        if let Heard::Text(text) = heard {
            said.push(text.to_owned());
        }
    };
    let done = turn(&to(port), &ask, &mut hear).await.unwrap();
    assert_eq!(said, ["Hel", "lo"]);
    assert_eq!(done, "{\"text\":\"Hello\"}");
    assert_eq!(served.join().unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_turn_says_why() {
    let failed: &'static str = Box::leak(
        format!(
            "{STREAM}event: error\ndata: {{\"error\":\"no luck\",\"code\":\"upstream_error\",\
             \"blame\":\"upstream\",\"hint\":\"wait\"}}\n\n"
        )
        .into(),
    );
    let (port, served) = server(vec![failed]);
    let ask = Ask::post("/turns", &json!({})).once().streaming();
    let failure = turn(&to(port), &ask, &mut |_| {}).await.unwrap_err();
    assert_eq!((failure.class(), failure.hint_text()), (Class::Server, Some("wait")));
    assert_eq!(failure.to_string(), "no luck");
    served.join().unwrap();
}

#[tokio::test]
async fn a_shown_request_is_not_sent() {
    let (sender, shown) = std::sync::mpsc::channel();
    let curl: Sink = std::sync::Arc::new(move |line| sender.send(line.to_owned()).unwrap());
    // Port 9 is never connected to: whatever is there would get a request.
    let server = Server::new(Address::local(9), Manner { curl: Some(curl), ..manner() });
    let failure = server.json(&Ask::get("/a")).await.unwrap_err();
    assert_eq!(failure.class(), Class::Shown);
    let line = shown.recv().unwrap();
    assert!(line.contains("'http://localhost:9/a'") && !line.contains("secret"), "{line}");
}

/// A configuration of its own, in a home of its own.
fn configured(home: &std::path::Path, yaml: &str, more: &[(&str, &str)]) -> (Environment, Loaded) {
    std::fs::write(home.join("rapport.yaml"), yaml).unwrap();
    let at = home.display().to_string();
    let mut variables = vec![("HOME", at.as_str()), ("XDG_RUNTIME_DIR", at.as_str())];
    variables.extend(more);
    let env = Environment::with(&variables);
    let inputs = Inputs { env: env.clone(), folder: home.to_owned(), ..Inputs::default() };
    (env, load(&inputs).unwrap())
}

#[test]
fn what_was_said_counts_before_what_is_configured_and_that_before_home() {
    let home = tempfile::tempdir().unwrap();
    let url = |yaml: &str, more: &[(&str, &str)], said: &Said| {
        let (env, loaded) = configured(home.path(), yaml, more);
        find(said, &env, Some(&loaded.config)).unwrap().address.to_string()
    };
    let nothing = Said::default();
    let port = Said { port: Some("7001".to_owned()), ..Said::default() };
    let config = "server: {port: 7003, base_path: /ai}\n";
    let env = [("RAPPORT_URL", "http://localhost:7002")];
    assert_eq!(url(config, &env, &port), "http://localhost:7001/ai");
    assert_eq!(url(config, &env, &nothing), "http://localhost:7002");
    assert_eq!(url(config, &[], &nothing), "http://localhost:7003/ai");
    assert_eq!(url("", &[], &nothing), "http://localhost:61900");
    assert_eq!(url("tls: {mode: required}\n", &[], &nothing), "https://localhost:61900");
    assert_eq!(
        url("server: {host: 0.0.0.0}\nauth: {mode: required}\n", &[], &nothing),
        "http://localhost:61900"
    );
}

#[test]
fn a_running_server_is_found_without_its_port() {
    let home = tempfile::tempdir().unwrap();
    let (env, loaded) = configured(home.path(), "server: {port: 0}\n", &[]);
    let announced = crate::runtime::Runtime {
        pid: std::process::id(),
        url: "http://127.0.0.1:7004".to_owned(),
        port: 7004,
        requested_port: None,
        listen: Vec::new(),
        started_at: "2026-11-21T00:00:00Z".to_owned(),
        version: "0".to_owned(),
        data_dir: home.path().join("elsewhere"),
    };
    std::fs::create_dir(home.path().join("elsewhere")).unwrap();
    let announced = crate::runtime::announce(&announced, &env).unwrap();
    let found = find(&Said::default(), &env, Some(&loaded.config)).unwrap();
    assert_eq!(found.address.to_string(), "http://127.0.0.1:7004");
    assert!(!found.named && !found.guessed);
    // Whoever names a folder means its server, and never the one of another folder.
    let folder = Said { data: true, ..Said::default() };
    let found = find(&folder, &env, Some(&loaded.config)).unwrap();
    assert_eq!(found.address.to_string(), "http://localhost:61900");
    assert!(found.guessed, "nothing says that anybody is there");
    let (_, same) = configured(home.path(), "server: {port: 7004}\n", &[]);
    let refused = find(&folder, &env, Some(&same.config)).unwrap_err();
    assert_eq!(refused.class(), Class::Refused);
    assert!(refused.to_string().contains("no server works on the data folder"), "{refused}");
    drop(announced);
    let found = find(&folder, &env, Some(&same.config)).unwrap();
    assert_eq!(found.address.to_string(), "http://localhost:7004");
    assert!(!found.guessed, "it is configured");
    let found = find(&Said::default(), &env, Some(&loaded.config)).unwrap();
    assert_eq!(found.address.to_string(), "http://localhost:61900");
    // A client's settings say more than that; broken ones are named and left out.
    let file = home.path().join(".claude_desktop/config.json");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{").unwrap();
    let found = find(&Said::default(), &env, Some(&loaded.config)).unwrap();
    assert_eq!(found.address.to_string(), "http://localhost:61900");
    assert!(found.warning.unwrap().contains("config.json"), "it is named");
    std::fs::write(&file, "{\"mcp_port\": 7005}").unwrap();
    let found = find(&Said::default(), &env, Some(&loaded.config)).unwrap();
    assert!(found.by_client && found.address.to_string() == "http://localhost:7005");
    assert!(found.warning.is_none(), "the configuration names no port");
    assert!(!find(&folder, &env, Some(&loaded.config)).unwrap().by_client);
    // Where both name a port of this machine, the two are compared before anything connects.
    let (_, other) = configured(home.path(), "server: {port: 8000}\n", &[]);
    let told = find(&Said::default(), &env, Some(&other.config)).unwrap().warning.unwrap();
    for part in ["port 7005", "port 8000", "server_address=http://localhost:8000"] {
        assert!(told.contains(part), "{told}");
    }
    let (_, same) = configured(home.path(), "server: {port: 7005}\n", &[]);
    assert!(find(&Said::default(), &env, Some(&same.config)).unwrap().warning.is_none());
    std::fs::write(&file, "{\"server_address\": \"http://there.example:7005\"}").unwrap();
    assert!(find(&Said::default(), &env, Some(&other.config)).unwrap().warning.is_none());
}

#[test]
fn a_host_and_a_url_are_not_both_said() {
    let env = Environment::default();
    let said = |url: Option<&str>, host: Option<&str>| Said {
        url: url.map(ToOwned::to_owned),
        host: host.map(ToOwned::to_owned),
        ..Said::default()
    };
    let url = |said: &Said| find(said, &env, None).map(|found| found.address.to_string());
    assert_eq!(url(&said(None, Some("[::1]"))).unwrap(), "http://[::1]:61900");
    assert_eq!(url(&said(None, Some("a.example"))).unwrap(), "http://a.example:61900");
    for wrong in [said(Some("localhost"), Some("a")), said(None, Some("a:1")), said(None, Some(""))]
    {
        assert_eq!(url(&wrong).unwrap_err().class(), Class::Usage, "{wrong:?}");
    }
}
