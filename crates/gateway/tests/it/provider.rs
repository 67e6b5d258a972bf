//! What is sent to providers, byte for byte, and how their answers are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::client::Tls;
use gateway::model::{Door, Models, Target, Upstream};
use gateway::settings::{KeySettings, ProviderSettings, Secret, Settings};
use hyper::body::Incoming;
use hyper::service::service_fn;
use mock::{Mock, Reply, Script};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use wire::Code;
use wire::prompt::{Knobs, Message, Prompt, Role};

/// The key of every provider here; it must never turn up anywhere but in its header.
pub(crate) const KEY: &str = "sk-secret-4711";

/// A provider at this address.
pub(crate) fn row(dialect: &str, base_url: &str) -> ProviderSettings {
    ProviderSettings {
        keys: vec![KeySettings::new(Secret::new(KEY), "environment UP_KEY")],
        models: vec!["m-1".to_owned()],
        ..ProviderSettings::new("up", dialect, base_url)
    }
}

/// The models of this provider alone.
pub(crate) fn models(row: ProviderSettings) -> Models {
    Models::new(&Settings { providers: vec![row], ..Settings::default() }).unwrap()
}

/// The first model of this provider.
pub(crate) fn upstream_of(models: &Models) -> Arc<Upstream> {
    match models.resolve(None, Door::Context).unwrap() {
        Target::Upstream(upstream) => upstream,
        Target::Offline(model) => panic!("{model:?} answers"),
    }
}

/// The first model of a provider at this address.
pub(crate) fn upstream(dialect: &str, base_url: &str) -> Arc<Upstream> {
    upstream_of(&models(row(dialect, base_url)))
}

/// A prompt of one question.
pub(crate) fn prompt(text: &str) -> Prompt {
    Prompt {
        model: "m-1".to_owned(),
        system: None,
        messages: vec![Message::text(Role::User, text)],
        tools: Vec::new(),
        system_raw: None,
        private: None,
        knobs: Knobs::default(),
    }
}

/// A model server that answers everything like this.
pub(crate) async fn always(reply: Reply) -> Mock {
    scripted(Script::always(reply)).await
}

/// A model server with this script.
pub(crate) async fn scripted(script: Script) -> Mock {
    Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap()
}

#[tokio::test]
async fn anthropic_is_asked_with_its_headers_and_the_whole_history() {
    let mock = always(Reply::text("Paris.")).await;
    let upstream = upstream("anthropic", &mock.url());
    let mut prompt = prompt("What is the capital of France?");
    prompt.messages.push(Message::text(Role::Assistant, "Let me think."));
    prompt.messages.push(Message::text(Role::User, "Well?"));
    prompt.system = Some("Be short.".to_owned());
    let reply = upstream.send(&prompt).await.unwrap();
    assert_eq!(reply.message.plain(), "Paris.");
    assert!(reply.usage.output > 0);

    let seen = &mock.requests()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/v1/messages"));
    assert_eq!(seen.header("x-api-key"), Some(KEY));
    assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("accept"), Some("application/json"));
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
    assert!(seen.header("user-agent").unwrap().starts_with("rapport/"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(
        seen.json(),
        json!({
            "model": "m-1", "max_tokens": 1024, "system": "Be short.", "messages": [
                {"role": "user", "content": "What is the capital of France?"},
                {"role": "assistant", "content": "Let me think."},
                {"role": "user", "content": "Well?"},
            ]
        })
    );
    let (url, headers, body) = upstream.render(&prompt, false);
    assert_eq!(url, format!("{}/v1/messages", mock.url()));
    assert_eq!(body, seen.body, "the preview shows what was sent");
    for (name, value) in headers {
        let sent = seen.header(&name).unwrap();
        assert!(value == sent || (value == "[hidden]" && sent == KEY), "{name}: {value}");
    }
}

#[tokio::test]
async fn an_openai_compatible_server_is_asked_with_a_bearer_key_or_none() {
    let mock = always(Reply::text("Hi.")).await;
    for (suffix, key) in [("", Some(KEY)), ("/v1", None)] {
        let mut row = row("openai_chat", &format!("{}{suffix}", mock.url()));
        row.keys =
            key.map(|key| KeySettings::new(Secret::new(key), "a test")).into_iter().collect();
        row.headers = vec![("x-team".to_owned(), "blue".to_owned())];
        let reply = upstream_of(&models(row)).send(&prompt("hello")).await.unwrap();
        assert_eq!(reply.message.plain(), "Hi.");
    }
    let seen = mock.requests();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| request.path == "/v1/chat/completions"));
    assert_eq!(seen[0].header("authorization"), Some("Bearer sk-secret-4711"));
    assert_eq!(seen[1].header("authorization"), None);
    assert_eq!(seen[1].header("x-team"), Some("blue"));
    assert_eq!(seen[0].json()["messages"], json!([{"role": "user", "content": "hello"}]));
}

#[tokio::test]
async fn statuses_show_what_real_calls_showed() {
    let mock = always(Reply::text("ok")).await;
    let models = models(row("anthropic", &mock.url()));
    let upstream = upstream_of(&models);
    let model = || models.list().into_iter().find(|model| model.name == "m-1").unwrap();
    assert_eq!(model().reachable, None);
    upstream.send(&prompt("x")).await.unwrap();
    assert_eq!(model().reachable, Some(true));
    assert!(model().latency_ms.is_some() && model().since.is_some());
    assert_eq!(model().version.as_deref(), Some("m-1"));

    mock.set_script(Script::always(Reply {
        headers: [("x-should-retry".to_owned(), "false".to_owned())].into(),
        ..Reply::status(500)
    }));
    upstream.send(&prompt("x")).await.unwrap_err();
    assert_eq!(model().reachable, Some(true), "it did answer");
    assert!(model().last_error.unwrap().contains("500"));
    assert!(models.providers()[0].last_error.is_some());

    mock.set_script(Script::always(Reply::status(400)));
    upstream.send(&prompt("x")).await.unwrap_err();
    assert!(model().last_error.unwrap().contains("500"), "a wrong request is not its error");
}

/// Reads one request of HTTP/1.1; `None` when the connection was closed instead.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    Some(head)
}

const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":
[{"type":"text","text":"yes"}],"stop_reason":"end_turn",
"usage":{"input_tokens":1,"output_tokens":1}}"#;

fn answer(kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn connections_are_used_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    drop(gateway::tasks::detach("test server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut stream = BufReader::new(stream);
            while read_request(&mut stream).await.is_some() {
                let text = answer("application/json; charset=utf-8", ANSWER);
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    }));
    let upstream = upstream("anthropic", &url);
    for _ in 0..5 {
        assert_eq!(upstream.send(&prompt("x")).await.unwrap().message.plain(), "yes");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

/// Streams one reply per request; its body ends a moment after the reply is complete.
async fn stream_replies(stream: TcpStream) {
    let start = ANSWER.replace('\n', "");
    let start = format!("data: {{\"type\":\"message_start\",\"message\":{start}}}\n\n");
    let text = answer(
        "text/event-stream",
        &format!("{start}data: {{\"type\":\"message_stop\"}}\n\n: over\n\n"),
    );
    let (head, tail) = text.split_at(text.len() - 3);
    let mut stream = BufReader::new(stream);
    while read_request(&mut stream).await.is_some() {
        stream.write_all(head.as_bytes()).await.unwrap();
        // Late enough that nobody finds the end by chance when the reply is complete.
        tokio::time::sleep(Duration::from_millis(5)).await;
        stream.write_all(tail.as_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_streamed_call_gives_its_connection_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    drop(gateway::tasks::detach("test server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            drop(gateway::tasks::detach("test connection", stream_replies(stream)));
        }
    }));
    let upstream = upstream("anthropic", &url);
    // The rest of a body is read behind the caller's back, so the very next call may be too early.
    let mut calls = 0;
    while accepted.load(Ordering::SeqCst) >= calls {
        let (events, came) = tokio::sync::mpsc::channel(64);
        upstream.stream(&prompt("x"), events).await.unwrap();
        drop(came);
        calls += 1;
        assert!(calls < 500, "every call needed a connection of its own");
    }
}

/// A TLS server of HTTP/2 and HTTP/1.1 that tells the version it was asked in.
async fn tls_server() -> (u16, rustls::ClientConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    drop(gateway::tasks::detach("test server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            drop(gateway::tasks::detach("test connection", async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request: http::Request<Incoming>| async move {
                    let text = ANSWER.replace("yes", &format!("{:?}", request.version()));
                    let body = http_body_util::Full::new(bytes::Bytes::from(text));
                    let mut response = http::Response::new(body);
                    let kind = http::HeaderValue::from_static("application/json");
                    response.headers_mut().insert("content-type", kind);
                    Ok::<_, std::convert::Infallible>(response)
                });
                let exec = hyper_util::rt::TokioExecutor::new();
                hyper_util::server::conn::auto::Builder::new(exec)
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await
                    .ok();
            }));
        }
    }));
    (port, client)
}

#[tokio::test]
async fn tls_is_spoken_with_the_trusted_roots_and_prefers_http_2() {
    let (port, client) = tls_server().await;
    let row = row("anthropic", &format!("https://localhost:{port}"));
    let settings = Settings { providers: vec![row], ..Settings::default() };
    let models = Models::trusting(&settings, &Tls::trusting(client)).unwrap();
    let reply = upstream_of(&models).send(&prompt("x")).await.unwrap();
    assert_eq!(reply.message.plain(), "HTTP/2.0");
}

#[tokio::test]
async fn an_unknown_certificate_is_refused_once_and_named() {
    let (port, _) = tls_server().await;
    // The machine's own roots, which cannot know a certificate that is seconds old.
    let models = models(row("anthropic", &format!("https://localhost:{port}")));
    let begun = tokio::time::Instant::now();
    let fault = upstream_of(&models).send(&prompt("x")).await.unwrap_err();
    assert_eq!(fault.code(), Code::UpstreamUnavailable);
    assert!(fault.text().contains("TLS failed"), "{fault}");
    assert!(fault.hint_text().unwrap().contains(&format!("rapport doctor localhost:{port}")));
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(models.providers()[0].reachable, Some(false));
}
