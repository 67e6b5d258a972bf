//! What is read out of the bytes: models, JSON-RPC, findings; files that lose nothing.

use std::sync::LazyLock;

use inspect::export::{Secrets, har, line, read};
use inspect::{Room, decode, diff};

use crate::house::{Server, over, proxy, say, with_room};

/// A whole answer of Anthropic's, streamed.
fn stream() -> &'static [u8] {
    static STREAM: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        format!("{head}{}", include_str!("answer.sse")).into_bytes()
    });
    &STREAM
}

/// A question of Anthropic's.
fn ask() -> Vec<u8> {
    let body = "{\"model\":\"claude-x\",\"max_tokens\":9,\"stream\":true,\
                \"messages\":[{\"role\":\"user\",\"content\":\"hello, who are you\"}]}";
    post("/v1/messages", "x-api-key: sk-ant-api03-secret-secret", body)
}

fn post(path: &str, header: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\n{header}\r\nanthropic-version: 2023-06-01\r\n\
         Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn answer(status: &str, body: &str) -> &'static [u8] {
    let head = "Content-Type: application/json\r\nContent-Length";
    format!("HTTP/1.1 {status}\r\n{head}: {}\r\n\r\n{body}", body.len()).into_bytes().leak()
}

#[tokio::test]
async fn a_streamed_answer_of_a_model_is_put_together() {
    let server = Server::start(b"]}", stream(), true).await;
    let proxy = proxy(server.address, &[]).await;
    assert_eq!(say(proxy.address(), &ask()).await, stream());
    let exchange = over(&proxy, 1).await;
    let view = decode::view(&exchange);
    let model = view.model.unwrap();
    assert_eq!(model.bad_request, None);
    assert_eq!((model.dialect, model.model.as_str(), model.messages), ("anthropic", "claude-x", 1));
    assert_eq!((model.said.as_str(), model.stop.as_deref()), ("Hello", Some("end_turn")));
    assert_eq!((model.tokens_in, model.tokens_out, model.estimated), (12, 5, false));
    assert!(view.line.contains("claude-x 12→5 tokens, end_turn"), "{}", view.line);
    assert!(view.findings.is_empty(), "{:?}", view.findings);
}

#[tokio::test]
async fn a_stream_that_stops_early_is_marked() {
    let half: &'static [u8] = stream().get(..stream().len() - 130).unwrap();
    let server = Server::start(b"]}", half, true).await;
    let proxy = proxy(server.address, &[]).await;
    say(proxy.address(), &ask()).await;
    let view = decode::view(&over(&proxy, 1).await);
    assert!(view.findings.iter().any(|f| f.id == "stream_unfinished"), "{:?}", view.findings);
    assert_eq!(view.model.unwrap().said, "Hello");
}

#[tokio::test]
async fn calls_of_mcp_are_paired_and_judged() {
    let body = "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"isError\":true,\
                \"content\":[{\"type\":\"text\",\"text\":\"no such row\"}]}}";
    let server = Server::start(b"}}", answer("200 OK", body), true).await;
    let proxy = proxy(server.address, &[]).await;
    let body = "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"tools/call\",\
                \"params\":{\"name\":\"look\"}}";
    say(proxy.address(), &post("/mcp", "X: y", body)).await;
    let view = decode::view(&over(&proxy, 1).await);
    assert_eq!(view.speaks, "mcp");
    assert_eq!((view.rpc[0].kind, view.rpc[1].kind), ("request", "result"));
    assert_eq!(view.rpc[1].name.as_deref(), Some("look"));
    let ids: Vec<&str> = view.findings.iter().map(|finding| finding.id).collect();
    assert!(ids.contains(&"rpc_error") && ids.contains(&"mcp_accept"), "{ids:?}");
    assert!(view.line.contains("tools/call look: the tool failed: no such row"), "{}", view.line);
}

#[tokio::test]
async fn a_recording_gives_everything_back_and_hides_secrets_unless_told() {
    let server = Server::start(b"]}", stream(), true).await;
    let proxy = proxy(server.address, &[]).await;
    say(proxy.address(), &ask()).await;
    let exchange = over(&proxy, 1).await;
    let kept = read(&line(&exchange, Secrets::Kept)).unwrap();
    assert_eq!(kept.asked.bytes(), exchange.asked.bytes());
    assert_eq!(kept.answered.arrivals().len(), exchange.answered.arrivals().len());
    assert_eq!((kept.ask, kept.answer), (exchange.ask.clone(), exchange.answer.clone()));
    let hidden = line(&exchange, Secrets::Hidden);
    assert!(!hidden.contains("secret-secret"), "{hidden}");
    let hidden = read(&hidden).unwrap();
    assert_eq!(hidden.ask.as_ref().unwrap().header("x-api-key"), Some("[hidden]"));
    assert_eq!(hidden.ask_body(), exchange.ask_body());
    assert_eq!(decode::view(&hidden).model.unwrap().said, "Hello");
    assert!(read("{\"number\":1}").is_err());
    let archive = har(std::slice::from_ref(&exchange), Secrets::Hidden);
    let entry = &archive["log"]["entries"][0];
    assert_eq!(entry["request"]["method"], "POST");
    assert_eq!(entry["_events"].as_array().unwrap().len(), 7);
    assert!(!archive.to_string().contains("secret-secret"));
}

#[tokio::test]
async fn a_request_is_sent_again_and_what_differs_is_named() {
    let first = Server::start(b"]}", stream(), true).await;
    let other = answer("429 Slow", "{}");
    let second = Server::start(b"]}", other, true).await;
    let proxy = with_room(first.address, &[], Room::default()).await;
    say(proxy.address(), &ask()).await;
    let exchange = over(&proxy, 1).await;
    let target = inspect::Target::new("127.0.0.1", second.address.port(), false);
    let number = inspect::replay(&exchange, &target, proxy.book()).await.unwrap();
    let again = over(&proxy, number).await;
    assert_eq!(again.ask_body(), exchange.ask_body());
    assert!(second.came().concat().ends_with(b"who are you\"}]}"));
    let differences = diff(&exchange, &again);
    let at = |place: &str| differences.iter().find(|d| d.place == place);
    assert_eq!(at("answer.status").unwrap().second.as_deref(), Some("429"));
    assert!(at("request.header host").is_some());
    assert!(at("request.body /model").is_none());
}

#[tokio::test]
async fn a_packed_stream_is_read_as_it_comes_and_kept_as_it_was_sent() {
    use std::io::Write as _;
    let text = include_str!("answer.sse").replace("\"Hel\"", "\"sk-ant-api03-0123456789-abcdef \"");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    let packed = packer.finish().unwrap();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\
         Content-Length: {}\r\n\r\n",
        packed.len()
    );
    let sent: &'static [u8] = [head.as_bytes(), &packed].concat().leak();
    let server = Server::start(b"]}", sent, true).await;
    let proxy = proxy(server.address, &[]).await;
    assert_eq!(say(proxy.address(), &ask()).await, sent);
    let exchange = over(&proxy, 1).await;
    assert_eq!(exchange.answered.bytes(), sent);
    let view = decode::view(&exchange);
    assert_eq!(view.items.len(), 7);
    assert_eq!(view.model.unwrap().said, "sk-ant-api03-0123456789-abcdef lo");
    assert!(view.findings.is_empty(), "{:?}", view.findings);
    let read_body = decode::body(&exchange, inspect::http::Side::Answer);
    assert_eq!((read_body.packed.as_deref(), read_body.kind), (Some("gzip"), "text"));
    assert_eq!(read_body.sent_bytes, packed.len() as u64);
    // A secret is hidden in a recording although its body was packed.
    let hidden = read(&line(&exchange, Secrets::Hidden)).unwrap();
    assert_eq!(decode::view(&hidden).model.unwrap().said, "[hidden] lo");
    assert_eq!(hidden.answer.unwrap().header("content-encoding"), None);
    // Without one, every byte stays.
    let kept = read(&line(&exchange, Secrets::Kept)).unwrap();
    assert_eq!(kept.answered.bytes(), sent);
}

#[tokio::test]
async fn exchanges_are_sent_to_a_collector_as_spans() {
    let model = Server::start(b"]}", stream(), true).await;
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    let collector = Server::start(b"]}]}]}", answer, false).await;
    let proxy = proxy(model.address, &[]).await;
    say(proxy.address(), &ask()).await;
    let exchange = over(&proxy, 1).await;
    let target = inspect::Target::new("127.0.0.1", collector.address.port(), false);
    let spans = inspect::Collector::start(target, "/v1/traces");
    let view = decode::view(&exchange);
    spans.take(exchange, view);
    assert_eq!(spans.finish().await, Ok("1 spans sent".to_owned()));
    let sent = String::from_utf8(collector.came().concat()).unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "chat claude-x");
    assert_eq!(span["traceId"].as_str().unwrap().len(), 32);
    let attribute = |key: &str| {
        let all = span["attributes"].as_array().unwrap();
        all.iter().find(|one| one["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(attribute("gen_ai.usage.input_tokens")["intValue"], "12");
    assert_eq!(attribute("gen_ai.provider.name")["stringValue"], "anthropic");
    assert_eq!(
        attribute("gen_ai.response.finish_reasons")["arrayValue"]["values"][0]["stringValue"],
        "end_turn"
    );
    let begun: u64 = span["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
    let ended: u64 = span["endTimeUnixNano"].as_str().unwrap().parse().unwrap();
    assert!(begun > 1_600_000_000_000_000_000 && ended >= begun);
    assert!(!sent.contains("secret-secret"));

    // One that is not there is named.
    let gone = inspect::Target::new("127.0.0.1", 1, false);
    let spans = inspect::Collector::start(gone, "/v1/traces");
    let exchange = over(&proxy, 1).await;
    let view = decode::view(&exchange);
    spans.take(exchange, view);
    let why = spans.finish().await.unwrap_err();
    assert!(why.contains("1 lost") && why.contains("nothing listens there"), "{why}");
}

#[tokio::test]
async fn a_prompt_that_providers_refuse_is_marked() {
    let server = Server::start(b"]}", stream(), true).await;
    let proxy = proxy(server.address, &[]).await;
    let body = "{\"model\":\"claude-x\",\"max_tokens\":9,\"stream\":true,\"messages\":[\
                {\"role\":\"user\",\"content\":\"hi\"},\
                {\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\
                \"name\":\"look\",\"input\":{}}]},{\"role\":\"user\",\"content\":\"and?\"},\
                {\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t9\",\
                \"content\":\"x\"}]}]}";
    say(proxy.address(), &post("/v1/messages", "X: y", body)).await;
    let view = decode::view(&over(&proxy, 1).await);
    let texts: Vec<&str> = view
        .findings
        .iter()
        .filter(|finding| finding.id == "model_schema")
        .map(|finding| finding.text.as_str())
        .collect();
    assert_eq!(texts.len(), 2, "{:?}", view.findings);
    assert!(texts[0].contains("the call `t1` of a tool has no answer"), "{texts:?}");
    assert!(texts[1].contains("answers the call `t9`"), "{texts:?}");
}
