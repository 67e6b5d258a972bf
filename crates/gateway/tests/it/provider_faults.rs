//! Everything an upstream can do wrong has its own code, blame, stage and number of tries.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::settings::Deadlines;
use mock::{ErrorText, Fault as Wrong, Reply, Rule, Script, When};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing_subscriber::fmt::MakeWriter;
use wire::{Blame, Code, Fault};

use crate::provider::{KEY, always, models, prompt, row, scripted, upstream, upstream_of};

/// The first `times` requests get `reply`, the others an answer.
fn first(times: u64, reply: Reply) -> Script {
    Script::default().rule(Rule { times: Some(times), reply, ..Rule::default() })
}

/// A refusal that asks for hardly any pause, so that tests are quick.
fn soon(status: u16) -> Reply {
    let headers = [("retry-after-ms".to_owned(), "1".to_owned())];
    Reply { headers: headers.into(), ..Reply::status(status) }
}

fn stage(fault: &Fault) -> &str {
    assert_eq!((fault.code(), fault.blame()), (Code::Timeout, Blame::Upstream), "{fault:?}");
    fault.detail_values().unwrap()["stage"].as_str().unwrap()
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_it_has_passed() {
    for status in [408, 409, 429, 500, 502, 503, 504, 529] {
        let mock = scripted(first(2, soon(status))).await;
        let reply = upstream("anthropic", &mock.url()).send(&prompt("x")).await;
        assert_eq!(reply.unwrap().message.plain(), "Hello, how can I help?", "{status}");
        assert_eq!(mock.requests().len(), 3, "{status}");
    }
}

#[tokio::test]
async fn tries_are_bounded_and_the_last_fault_is_passed_on() {
    let mock = always(soon(529)).await;
    let mut row = row("anthropic", &mock.url());
    row.retries = 1;
    let fault = upstream_of(&models(row)).send(&prompt("x")).await.unwrap_err();
    assert_eq!(mock.requests().len(), 2);
    assert_eq!((fault.code(), fault.blame()), (Code::UpstreamUnavailable, Blame::Upstream));
    assert_eq!(fault.wait(), Some(Duration::from_millis(1)));
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    for (status, blame) in [(400, Blame::Caller), (404, Blame::Caller), (401, Blame::Us)] {
        let mock = always(Reply::status(status)).await;
        let fault = upstream("openai_chat", &mock.url()).send(&prompt("x")).await.unwrap_err();
        assert_eq!((fault.code(), fault.blame()), (Code::UpstreamError, blame), "{status}");
        assert_eq!(mock.requests().len(), 1, "{status}");
    }
    let headers = [("x-should-retry".to_owned(), "false".to_owned())];
    let mock = always(Reply { headers: headers.into(), ..Reply::status(500) }).await;
    upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap_err();
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn the_pause_that_the_upstream_names_is_kept() {
    let headers = [("retry-after-ms".to_owned(), "80".to_owned())];
    let limited = Reply { headers: headers.into(), ..Reply::status(429) };
    let mock = scripted(first(1, limited)).await;
    let begun = Instant::now();
    upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(80), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_limit_beyond_the_deadline_is_passed_on_and_spares_the_upstream() {
    let mock = always(Reply { retry_after: Some("30".to_owned()), ..Reply::status(429) }).await;
    let mut row = row("anthropic", &mock.url());
    row.deadlines.total = Duration::from_secs(5);
    let models = models(row);
    let upstream = upstream_of(&models);
    let begun = Instant::now();
    let fault = upstream.send(&prompt("x")).await.unwrap_err();
    assert_eq!((fault.code(), fault.blame()), (Code::RateLimited, Blame::Upstream));
    assert_eq!(fault.wait(), Some(Duration::from_secs(30)));
    assert_eq!(fault.detail_values().unwrap()["upstream_status"], 429);

    let fault = upstream.send(&prompt("again")).await.unwrap_err();
    assert_eq!(fault.code(), Code::RateLimited);
    assert!(fault.wait().unwrap() > Duration::from_secs(20));
    assert_eq!(mock.requests().len(), 1, "nobody is asked during the pause");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(models.providers()[0].reachable, Some(true));
}

#[tokio::test]
async fn each_stage_has_its_deadline_and_its_name() {
    let hang = always(Reply::fault(Wrong::Hang)).await;
    let stall = always(Reply { stall_at: Some(10), ..Reply::text("long enough") }).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = format!("https://{}", silent.local_addr().unwrap());
    let short = Duration::from_millis(60);
    let long = Deadlines::default();
    for (url, deadlines, expected) in [
        (hang.url(), Deadlines { first_byte: short, ..long }, "first_byte"),
        (hang.url(), Deadlines { total: short, ..long }, "total"),
        (stall.url(), Deadlines { idle: short, ..long }, "idle"),
        (stall.url(), Deadlines { total: short, ..long }, "total"),
        (tls.clone(), Deadlines { connect: short, ..long }, "connect"),
        // The wait for the first byte begins when the request is out, not before.
        (tls, Deadlines { connect: 3 * short, first_byte: short, ..long }, "connect"),
    ] {
        let mut row = row("anthropic", &url);
        (row.deadlines, row.retries) = (deadlines, 0);
        let models = models(row);
        let fault = upstream_of(&models).send(&prompt("x")).await.unwrap_err();
        assert_eq!(stage(&fault), expected);
        assert_eq!(models.providers()[0].reachable, Some(false), "{expected}");
    }
}

#[tokio::test]
async fn a_page_instead_of_an_answer_is_invalid_and_not_asked_for_again() {
    for dialect in ["anthropic", "openai_chat"] {
        for wrong in [Wrong::Html, Wrong::MalformedJson] {
            let mock = always(Reply::fault(wrong)).await;
            let fault = upstream(dialect, &mock.url()).send(&prompt("x")).await.unwrap_err();
            assert_eq!(fault.code(), Code::UpstreamInvalid, "{wrong:?}: {fault:?}");
            assert_eq!(mock.requests().len(), 1, "{wrong:?}");
        }
    }
    let mock = always(Reply::fault(Wrong::Html)).await;
    let fault = upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap_err();
    assert!(fault.text().contains("`text/html`"), "{fault}");
    assert!(fault.hint_text().unwrap().contains("base_url"));
}

#[tokio::test]
async fn a_redirect_and_a_strange_encoding_are_not_followed() {
    let elsewhere = [("location".to_owned(), "https://elsewhere.example/".to_owned())];
    let mock = always(Reply { headers: elsewhere.into(), ..Reply::status(307) }).await;
    let fault = upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap_err();
    assert_eq!(fault.code(), Code::UpstreamInvalid);
    assert!(fault.text().contains("https://elsewhere.example/"), "{fault}");
    let packed = [("content-encoding".to_owned(), "gzip".to_owned())];
    let mock = always(Reply { headers: packed.into(), ..Reply::text("x") }).await;
    let fault = upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap_err();
    assert!(fault.text().contains("`gzip`"), "{fault}");
}

#[tokio::test]
async fn a_closed_port_is_explained_with_the_next_step() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let models = models(row("anthropic", &format!("http://{address}")));
    let fault = upstream_of(&models).send(&prompt("x")).await.unwrap_err();
    assert_eq!((fault.code(), fault.blame()), (Code::UpstreamUnavailable, Blame::Upstream));
    assert!(fault.text().contains("refused"), "{fault}");
    let hint = fault.hint_text().unwrap();
    assert!(hint.contains("base_url") && hint.contains(&format!("rapport doctor {address}")));
    assert_eq!(models.providers()[0].reachable, Some(false));
    assert!(models.providers()[0].last_error.as_ref().unwrap().contains("refused"));
}

#[tokio::test]
async fn a_name_without_address_is_told_apart_from_a_closed_port() {
    let mut row = row("anthropic", "http://does-not-exist.invalid");
    row.retries = 0;
    let fault = upstream_of(&models(row)).send(&prompt("x")).await.unwrap_err();
    // Some resolvers answer late or not at all; both are told apart from a refusal.
    assert!(!fault.text().contains("refused"), "{fault}");
    assert!(matches!(fault.code(), Code::UpstreamUnavailable | Code::Timeout), "{fault:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_tried_again() {
    let mock = scripted(first(1, Reply::fault(Wrong::Drop))).await;
    upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap();
    assert_eq!(mock.requests().len(), 2);
    let mock = scripted(first(1, Reply { cut_at: Some(9), ..Reply::text("some text") })).await;
    upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap();
    assert_eq!(mock.requests().len(), 2);
}

#[tokio::test]
async fn a_server_of_another_protocol_is_invalid() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(gateway::tasks::detach("test server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.ok();
        }
    }));
    let fault = upstream("anthropic", &url).send(&prompt("x")).await.unwrap_err();
    assert!(matches!(fault.code(), Code::UpstreamInvalid | Code::UpstreamUnavailable), "{fault:?}");
    assert!(fault.hint_text().unwrap().contains("rapport doctor 127.0.0.1:"));
}

/// Log lines, kept for reading.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_hold_the_exact_payload_and_never_a_secret() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(lines.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let says = Some(format!("the key {KEY} is not known here"));
    let error = ErrorText { message: says, ..ErrorText::default() };
    let rule = Rule {
        when: When { message: Some("fail".to_owned()), ..When::default() },
        reply: Reply { error, ..Reply::status(400) },
        ..Rule::default()
    };
    let mock = scripted(Script::default().rule(rule)).await;
    let models = models(row("anthropic", &mock.url()));
    let upstream = upstream_of(&models);
    upstream.send(&prompt("a very particular question")).await.unwrap();
    let fault = upstream.send(&prompt("now fail")).await.unwrap_err();
    let (events, came) = tokio::sync::mpsc::channel(64);
    upstream.stream(&prompt("as a stream"), events).await.unwrap();
    drop((guard, came));

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let body = upstream.render(&prompt("a very particular question"), false).2;
    assert!(text.contains(&String::from_utf8(body).unwrap()), "the payload is missing");
    assert!(text.contains("as a stream") && text.contains("upstream call"));
    assert!(text.contains("[hidden] is not known here"), "the error is missing");
    assert!(!text.contains(KEY), "the key is in the log");
    let shown = format!("{fault:?} {} {:?} {models:?}", fault.chain(), fault.detail_values());
    assert!(!shown.contains(KEY), "{shown}");
}

#[tokio::test]
async fn a_refused_key_names_where_it_came_from() {
    let mock = always(Reply::status(401)).await;
    let fault = upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap_err();
    assert!(fault.hint_text().unwrap().contains("environment UP_KEY"), "{fault:?}");
}

#[tokio::test]
async fn an_upstream_whose_limit_is_used_up_is_left_alone_before_it_has_to_refuse() {
    let reset = jiff::Timestamp::now() + Duration::from_secs(3_000);
    let headers = [
        ("anthropic-ratelimit-requests-remaining".to_owned(), "0".to_owned()),
        ("anthropic-ratelimit-requests-reset".to_owned(), reset.to_string()),
    ];
    let mock = always(Reply { headers: headers.into(), ..Reply::text("the last one") }).await;
    let upstream = upstream("anthropic", &mock.url());
    upstream.send(&prompt("x")).await.unwrap();
    let fault = upstream.send(&prompt("x")).await.unwrap_err();
    assert_eq!(fault.code(), Code::RateLimited);
    assert!(fault.wait().unwrap() > Duration::from_secs(2_900));
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_without_end_is_not_kept_in_memory() {
    let body = Some("x".repeat(64 * 1024 * 1024 + 1));
    let mock = always(Reply { body, ..Reply::default() }).await;
    let fault = upstream("anthropic", &mock.url()).send(&prompt("x")).await.unwrap_err();
    assert_eq!(fault.code(), Code::UpstreamInvalid);
    assert!(fault.text().contains("67108864 bytes"), "{fault}");
    assert_eq!(mock.requests().len(), 1);
}
