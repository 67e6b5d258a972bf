//! A model that fails in every way: each is answered as documented, and no question is lost.

use std::net::TcpListener;

use mock::{Mock, Reply, Script};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::program::{Home, Server, soon};
use super::talk::{Answer, Wire, request};

/// What a caller reads when the model cannot answer.
const APOLOGY: &str = "I'm sorry, I'm having trouble connecting to the AI at the moment.";

/// Starts a model server with this script, and ours in front of it.
pub(crate) async fn with_model(home: &Home, script: &str, env: &[(&str, &str)]) -> (Mock, Server) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let server = before(home, &mock.url(), env).await;
    (mock, server)
}

/// Our server in front of a model at this address, without retries unless `env` says otherwise.
pub(crate) async fn before(home: &Home, url: &str, env: &[(&str, &str)]) -> Server {
    let mut all = vec![
        ("ANTHROPIC_API_KEY", "sk-ant-test"),
        ("ANTHROPIC_BASE_URL", url),
        ("RAPPORT_PROVIDERS_ANTHROPIC_RETRIES", "0"),
    ];
    all.extend(env);
    home.serve(&all).await
}

async fn say(server: &Server, id: &str, text: &str) -> Answer {
    server.post(&format!("/mcp/context/{id}/message"), &json!({"message": text})).await
}

/// What every failed turn of a model has to look like.
#[track_caller]
fn check(answer: &Answer, status: u16, code: &str, case: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{case}: {answer:?}");
    let body = answer.json();
    assert_eq!(body["ai_response"], APOLOGY, "{case}: {answer:?}");
    assert_eq!(body["blame"], "upstream", "{case}: {answer:?}");
    assert!(!answer.body.contains("sk-ant-test"), "{case}: {answer:?}");
}

/// The question is kept as failed, is answered by a retry, and then stands as if nothing had been.
async fn retried(server: &Server, mock: &Mock, id: &str, case: &str) {
    let kept = server.messages(id).await;
    assert_eq!(
        (&kept[0]["role"], &kept[0]["status"]),
        (&json!("user"), &json!("failed")),
        "{case}"
    );
    let partial = kept.get(1).is_none_or(|message| message["status"] == "partial");
    assert!(partial && kept.len() <= 2, "{case}: {kept:?}");
    mock.set_script(Script::always(Reply::text("well again")));
    let again = server.send(request("POST", &format!("/api/v1/contexts/{id}/turns/retry"), "{}"));
    let again = again.await;
    assert_eq!(again.status, 200, "{case}: {again:?}");
    let next = say(server, id, "and now?").await;
    assert_eq!(next.json()["ai_response"], "well again", "{case}: {next:?}");
    // Neither the apology nor what came of a broken reply was ever shown to the model.
    let sent = mock.requests().last().unwrap().json();
    let said: Vec<&Value> =
        sent["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
    assert_eq!(said, [&json!("question"), &json!("well again"), &json!("and now?")], "{case}");
}

#[tokio::test]
async fn every_failure_of_a_model_is_typed_and_its_question_can_be_retried() {
    let home = Home::new();
    let times = [
        ("RAPPORT_PROVIDERS_ANTHROPIC_FIRST_BYTE_SECONDS", "300ms"),
        ("RAPPORT_PROVIDERS_ANTHROPIC_IDLE_SECONDS", "300ms"),
    ];
    let (mock, server) = with_model(&home, "", &times).await;
    for (case, script, status, code) in [
        ("hangs", "fault = \"hang\"", 504, "timeout"),
        ("stalls in the body", "stall_at = 20", 504, "timeout"),
        ("hangs up", "fault = \"drop\"", 503, "upstream_unavailable"),
        ("cuts the body", "cut_at = 20", 503, "upstream_unavailable"),
        ("sends HTML", "fault = \"html\"", 502, "upstream_invalid"),
        ("sends broken JSON", "fault = \"malformed_json\"", 502, "upstream_invalid"),
        (
            "lies about its type",
            "headers = {content-type = \"text/plain\"}",
            502,
            "upstream_invalid",
        ),
        (
            "says it streams",
            "headers = {content-type = \"text/event-stream\"}",
            502,
            "upstream_invalid",
        ),
        ("sends nothing", "body = \"\"", 502, "upstream_invalid"),
        ("sends another shape", "body = \"[1, 2]\"", 502, "upstream_invalid"),
        (
            "redirects",
            "status = 302\nheaders = {location = \"http://evil.example/\"}",
            502,
            "upstream_invalid",
        ),
        ("is overloaded", "status = 529", 503, "upstream_unavailable"),
        ("is unavailable", "status = 503", 503, "upstream_unavailable"),
    ] {
        let default = format!("[default]\n{script}\n");
        mock.set_script(Script::parse(&default).unwrap());
        let id = server.context().await;
        let answer = say(&server, &id, "question").await;
        check(&answer, status, code, case);
        retried(&server, &mock, &id, case).await;
    }
}

#[tokio::test]
async fn a_model_that_refuses_connections_is_503_at_every_door() {
    let home = Home::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = before(&home, &format!("http://{free}"), &[]).await;
    let id = server.context().await;
    check(&say(&server, &id, "question").await, 503, "upstream_unavailable", "refused");
    let health = server.get("/health").await;
    assert_eq!((health.status, &health.json()["status"]), (200, &json!("degraded")));
    let turns = format!("/api/v1/contexts/{id}/turns");
    for (path, body) in [
        ("/api/mcp/interact", json!({"sessionId": id, "message": "question"})),
        ("/v1/predict", json!({"session_id": id, "input": "question"})),
        (turns.as_str(), json!({"message": "question"})),
    ] {
        let answer = server.post(path, &body).await;
        let found = (answer.status, answer.code());
        assert_eq!(found, (503, "upstream_unavailable".to_owned()), "{path}: {answer:?}");
    }
    // A stream has begun when the model is asked: its last event says so.
    let stream = json!({"message": "question", "stream": true});
    let streamed = server.post(&turns, &stream).await;
    let (_, last) = streamed.body.rsplit_once("event: ").unwrap();
    assert!(last.starts_with("error\n"), "{streamed:?}");
    assert!(last.contains("\"code\":\"upstream_unavailable\""), "{streamed:?}");
    let mut wire = server.connect().await;
    for _ in 0..2 {
        let line = json!({"sessionId": id, "message": "question"});
        wire.say(format!("{line}\n").as_bytes()).await;
        assert_eq!(wire.json().await["code"], "upstream_unavailable");
    }
    let kept = server.messages(&id).await;
    assert_eq!(kept.len(), 7);
    assert!(kept.iter().all(|message| message["status"] == "failed"), "{kept:?}");
    // Offline models do not need it, and the server is as alive as before.
    let offline = json!({"message": "hello", "model": "echo"});
    assert_eq!(server.post("/api/mcp/interact", &offline).await.status, 200);
}

#[tokio::test]
async fn a_limited_model_says_when_to_come_back_and_is_obeyed() {
    let home = Home::new();
    let limited = "[default]\nstatus = 429\nretry_after = \"90\"\n";
    let (mock, server) = with_model(&home, limited, &[]).await;
    let id = server.context().await;
    let answer = say(&server, &id, "question").await;
    check(&answer, 429, "rate_limited", "429");
    assert_eq!(answer.header("retry-after"), "90");
    assert_eq!(answer.json()["retry_after_seconds"], 90);
    // The next call does not even try: it would only make things worse.
    let second = say(&server, &id, "me too").await;
    check(&second, 429, "rate_limited", "within the pause");
    let wait: u64 = second.header("retry-after").parse().unwrap();
    assert!((60..=90).contains(&wait), "{second:?}");
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn a_short_limit_is_waited_for_and_the_caller_never_knows() {
    let home = Home::new();
    let script = "default.text = \"patience\"\n[[rule]]\ntimes = 1\nreply = { status = 429, \
                  retry_after = \"1\" }\n[[rule]]\ntimes = 1\nreply = { status = 529 }\n";
    let retries = [("RAPPORT_PROVIDERS_ANTHROPIC_RETRIES", "2")];
    let (mock, server) = with_model(&home, script, &retries).await;
    let id = server.context().await;
    let answer = say(&server, &id, "question").await;
    assert_eq!((answer.status, &answer.json()["ai_response"]), (200, &json!("patience")));
    let bodies: Vec<_> = mock.requests().iter().map(|sent| sent.body.clone()).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]), "a retry changed the request");
    assert_eq!(server.messages(&id).await.len(), 2);
}

#[tokio::test]
async fn the_apology_alone_is_sent_where_that_is_configured() {
    let home = Home::new();
    let apology = [("RAPPORT_UPSTREAM_FAILURE", "apology")];
    let (mock, server) = with_model(&home, "[default]\nstatus = 503\n", &apology).await;
    let id = server.context().await;
    let answer = say(&server, &id, "question").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json(), json!({"context_id": id, "ai_response": APOLOGY}));
    retried(&server, &mock, &id, "apology").await;
}

/// Asks for a stream and reads its head.
async fn streamed(server: &Server, id: &str) -> Wire {
    let body = json!({"message": "question", "stream": true}).to_string();
    let mut wire = server.connect().await;
    let head = format!(
        "POST /api/v1/contexts/{id}/turns HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    wire.say(format!("{head}{body}").as_bytes()).await;
    assert_eq!(wire.line().await, "HTTP/1.1 200 OK");
    wire
}

/// Reads on until a line contains `text`; the chunks' sizes stand between the lines.
async fn until(wire: &mut Wire, text: &str) -> String {
    let mut seen = String::new();
    loop {
        let line = wire.line().await;
        if line.contains(text) {
            return line;
        }
        seen.push_str(&line);
        seen.push('\n');
        // Two streams end at their last chunk, the connection does not.
        assert!(!seen.ends_with("\n0\n"), "`{text}` never came: {seen}");
    }
}

#[tokio::test]
async fn events_come_one_by_one_while_the_model_still_speaks() {
    let home = Home::new();
    // The second piece comes in ten minutes: only a stream that is not held back shows the first.
    let script = "default.fragments = [\"first \", \"second\"]\ndefault.pause_ms = 600000";
    let (_mock, server) = with_model(&home, script, &[]).await;
    let id = server.context().await;
    let mut wire = streamed(&server, &id).await;
    assert!(until(&mut wire, "content-type").await.contains("text/event-stream"));
    until(&mut wire, "event: start").await;
    until(&mut wire, "event: delta").await;
    assert_eq!(until(&mut wire, "data: ").await, "data: {\"text\":\"first \"}");
    // The question is durable before the model is asked: a power cut now loses no word of it.
    server.kill().await;
    let server = home.serve(&[]).await;
    let kept = server.messages(&id).await;
    assert_eq!((&kept[0]["content"], &kept[0]["status"]), (&json!("question"), &json!("failed")));
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_event_and_can_be_retried() {
    let home = Home::new();
    let idle = [("RAPPORT_PROVIDERS_ANTHROPIC_IDLE_SECONDS", "300ms")];
    let (mock, server) = with_model(&home, "", &idle).await;
    for (case, script, code) in [
        ("cut", "cut_at = 650", "upstream_unavailable"),
        ("stalled", "stall_at = 650", "timeout"),
        ("failed", "stream_error = {after = 1}", "upstream_unavailable"),
    ] {
        let script = format!(
            "[default]\nfragments = [\"one \", \"two \", \"three \", \"four\"]\n{script}\n"
        );
        mock.set_script(Script::parse(&script).unwrap());
        let id = server.context().await;
        let mut wire = streamed(&server, &id).await;
        until(&mut wire, "event: delta").await;
        until(&mut wire, "event: error").await;
        let data = until(&mut wire, "data: ").await;
        let error: Value = serde_json::from_str(data.trim_start_matches("data: ")).unwrap();
        assert_eq!((&error["code"], &error["blame"]), (&json!(code), &json!("upstream")), "{case}");
        let kept = server.messages(&id).await;
        assert_eq!(kept[1]["status"], "partial", "{case}: {kept:?}");
        assert!(kept[1]["content"].as_str().unwrap().starts_with("one "), "{case}: {kept:?}");
        retried(&server, &mock, &id, case).await;
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_loses_nothing_even_when_the_server_is_stopped_then() {
    let home = Home::new();
    let script = "default.fragments = [\"slow \", \"but \", \"whole\"]\ndefault.pause_ms = 200";
    let (mock, server) = with_model(&home, script, &[]).await;
    let streaming = server.context().await;
    let mut wire = streamed(&server, &streaming).await;
    until(&mut wire, "event: delta").await;
    drop(wire);
    let waiting = server.context().await;
    let mut wire = server.connect().await;
    let line = json!({"sessionId": waiting, "message": "question"});
    wire.say(format!("{line}\n").as_bytes()).await;
    soon("the call to the model", mock.seen(2)).await;
    drop(wire);
    let ended = server.stop().await;
    assert!(ended.status.success(), "{:?}", ended.status);
    let server = home.serve(&[]).await;
    for id in [streaming, waiting] {
        let kept = server.messages(&id).await;
        assert_eq!(kept[1]["content"], "slow but whole", "{kept:?}");
        assert!(kept.iter().all(|message| message["status"] == "complete"), "{kept:?}");
    }
}

#[tokio::test]
async fn a_stop_waits_for_a_turn_and_no_longer_than_it_says() {
    let home = Home::new();
    let script = "[[rule]]\nwhen = { message = \"quick\" }\nreply = { fragments = [\"on \", \
                  \"time\"], pause_ms = 300 }\n[default]\nfault = \"hang\"\n";
    let (mock, server) = with_model(&home, script, &[]).await;
    let (quick, endless) = (server.context().await, server.context().await);
    let stop = async {
        soon("both calls to the model", mock.seen(2)).await;
        server.signal(Signal::TERM);
    };
    let ask = request("POST", &format!("/mcp/context/{endless}/message"), r#"{"message":"x"}"#);
    let lost = super::talk::try_send(server.addr, ask);
    let (answer, lost, ()) = tokio::join!(say(&server, &quick, "quick"), lost, stop);
    assert_eq!(answer.json()["ai_response"], "on time", "{answer:?}");
    // The other caller is cut off, or told; it is not answered as if all were well.
    assert!(lost.is_err() || lost.is_ok_and(|answer| answer.status >= 500));
    assert!(server.ended().await.status.success());
    let server = home.serve(&[]).await;
    assert_eq!(server.messages(&quick).await[1]["content"], "on time");
    let kept = server.messages(&endless).await;
    assert_eq!((kept.len(), &kept[0]["status"]), (1, &json!("failed")), "{kept:?}");
}
