//! Streams arrive as they come, survive every cut with what is worth keeping, and bind nobody.

use std::time::Duration;

use gateway::model::{Failed, Upstream};
use mock::{Mock, Reply, Rule, Script, StreamError, Thinking, ToolUse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use wire::Code;
use wire::event::{Event, Part};
use wire::reply::{Reply as Whole, Stop};

use crate::provider::{always, models, prompt, row, scripted, upstream, upstream_of};

/// The result of a streamed call, and its events as short words.
async fn streamed(upstream: &Upstream, room: usize) -> (Result<Whole, Failed>, Vec<String>) {
    let (events, mut came) = mpsc::channel(room);
    let question = prompt("x");
    let read = async {
        let mut words = Vec::new();
        while let Some(event) = came.recv().await {
            words.push(word(&event));
        }
        words
    };
    tokio::join!(upstream.stream(&question, events), read)
}

fn word(event: &Event) -> String {
    match event {
        Event::Start { model, .. } => format!("start {model}"),
        Event::Open { index, part: Part::Text } => format!("{index} text"),
        Event::Open { index, part: Part::Thinking } => format!("{index} thinking"),
        Event::Open { index, part: Part::Tool { name, .. } } => format!("{index} tool {name}"),
        Event::Open { index, part: Part::Other(kind) } => format!("{index} {kind}"),
        Event::Text { text, .. } | Event::Thinking { text, .. } => format!("+{text}"),
        Event::Input { json, .. } => format!("+{json}"),
        Event::Close { index } => format!("{index} over"),
        Event::Ping => "ping".to_owned(),
        Event::Done(_) | Event::Fault(_) => panic!("the last event is the result"),
    }
}

fn fragments() -> Reply {
    let fragments = ["Once ", "upon ", "a ", "time."].map(str::to_owned).into();
    Reply { fragments, ..Reply::default() }
}

#[tokio::test]
async fn events_come_in_order_however_the_bytes_are_split() {
    for dialect in ["anthropic", "openai_chat"] {
        for chunk_bytes in [None, Some(1), Some(7)] {
            let mock = always(Reply { chunk_bytes, ..fragments() }).await;
            let (reply, words) = streamed(&upstream(dialect, &mock.url()), 4).await;
            let reply = reply.unwrap();
            assert_eq!(reply.message.plain(), "Once upon a time.");
            assert_eq!(reply.stop, Stop::End);
            assert!(reply.usage.output > 0);
            let words: Vec<_> = words.into_iter().filter(|word| word != "ping").collect();
            let expected = ["start m-1", "0 text", "+Once ", "+upon ", "+a ", "+time.", "0 over"];
            assert_eq!(words, expected, "{dialect} {chunk_bytes:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_is_asked_for_and_begins_before_it_ends() {
    let mock = always(Reply { stall_at: Some(400), ..fragments() }).await;
    let upstream = upstream("anthropic", &mock.url());
    let (events, mut came) = mpsc::channel(16);
    let question = prompt("x");
    let mut call = Box::pin(upstream.stream(&question, events));
    let first = tokio::select! {
        outcome = &mut call => panic!("{outcome:?}"),
        event = came.recv() => event.unwrap(),
    };
    assert_eq!(word(&first), "start m-1");
    let seen = &mock.requests()[0];
    assert_eq!(seen.json()["stream"], true);
    assert_eq!(seen.header("accept"), Some("text/event-stream"));
    // Dropping the call ends it at the upstream too.
    drop(call);
    mock.left(1).await;
}

#[tokio::test]
async fn thoughts_and_tools_are_forwarded_and_kept() {
    let mock = always(Reply {
        thinking: Some(Thinking { text: "hm".to_owned(), signature: "sig==".to_owned() }),
        tools: vec![ToolUse { name: "clock".to_owned(), ..ToolUse::default() }],
        ..Reply::text("Let me see.")
    })
    .await;
    let (reply, words) = streamed(&upstream("anthropic", &mock.url()), 64).await;
    let reply = reply.unwrap();
    assert_eq!(reply.stop, Stop::ToolUse);
    assert!(reply.message.raw.unwrap().json.get().contains("sig=="));
    assert!(words.contains(&"0 thinking".to_owned()), "{words:?}");
    assert!(words.contains(&"2 tool clock".to_owned()), "{words:?}");
}

#[track_caller]
fn text_of(failed: &Failed) -> String {
    failed.partial.as_ref().expect("something came").plain()
}

/// The byte behind the first `needle` in the stream that this reply would be.
async fn place_of(needle: &str, reply: &Reply) -> usize {
    let mock = always(reply.clone()).await;
    let body = r#"{"model":"m-1","max_tokens":9,"stream":true,
        "messages":[{"role":"user","content":"x"}]}"#;
    let mut stream = tokio::net::TcpStream::connect(mock.addr()).await.unwrap();
    let request = format!(
        "POST /v1/messages HTTP/1.0\r\nhost: m\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, events) = answer.split_once("\r\n\r\n").unwrap();
    let at = events.find(needle).unwrap();
    // The event ends with its blank line.
    at + events.get(at..).unwrap().find("\n\n").unwrap() + 2
}

#[tokio::test]
async fn a_cut_stream_leaves_what_came_and_is_not_asked_for_again() {
    let cut_at = Some(place_of("upon ", &fragments()).await);
    let mock = always(Reply { cut_at, ..fragments() }).await;
    let (outcome, words) = streamed(&upstream("anthropic", &mock.url()), 4).await;
    let failed = outcome.unwrap_err();
    assert_eq!(text_of(&failed), "Once upon ");
    assert!(matches!(failed.fault.code(), Code::UpstreamUnavailable | Code::UpstreamInvalid));
    assert_eq!(words.last().unwrap(), "+upon ");
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn silence_in_the_middle_is_a_timeout_with_what_came() {
    let stall_at = Some(place_of("upon ", &fragments()).await);
    let mock = always(Reply { stall_at, ..fragments() }).await;
    let mut row = row("anthropic", &mock.url());
    row.deadlines.idle = Duration::from_millis(80);
    let (outcome, _) = streamed(&upstream_of(&models(row)), 4).await;
    let failed = outcome.unwrap_err();
    assert_eq!(failed.fault.code(), Code::Timeout);
    assert_eq!(failed.fault.detail_values().unwrap()["stage"], "idle");
    assert_eq!(text_of(&failed), "Once upon ");
}

#[tokio::test]
async fn an_error_in_mid_stream_is_passed_on_with_what_came() {
    let stream_error = Some(StreamError { after: 2, ..StreamError::default() });
    let mock = always(Reply { stream_error, ..fragments() }).await;
    let (outcome, _) = streamed(&upstream("anthropic", &mock.url()), 4).await;
    let failed = outcome.unwrap_err();
    assert_eq!(failed.fault.code(), Code::UpstreamUnavailable);
    assert_eq!(text_of(&failed), "Once upon ");
    assert_eq!(mock.requests().len(), 1, "what was shown cannot be taken back");
}

#[tokio::test]
async fn a_stream_that_ends_before_its_first_event_is_asked_for_again() {
    for wrong in [
        Reply { cut_at: Some(0), ..fragments() },
        Reply {
            headers: [("retry-after-ms".to_owned(), "1".to_owned())].into(),
            ..Reply::status(529)
        },
    ] {
        let rule = Rule { times: Some(1), reply: wrong, ..Rule::default() };
        let mock = scripted(Script::always(fragments()).rule(rule)).await;
        let (reply, words) = streamed(&upstream("anthropic", &mock.url()), 4).await;
        assert_eq!(reply.unwrap().message.plain(), "Once upon a time.");
        assert_eq!(words.iter().filter(|word| word.starts_with("start")).count(), 1);
        assert_eq!(mock.requests().len(), 2);
    }
}

#[tokio::test]
async fn a_reader_that_left_does_not_end_the_call() {
    let mock = always(fragments()).await;
    let (events, came) = mpsc::channel(1);
    drop(came);
    let question = prompt("x");
    let reply = upstream("anthropic", &mock.url()).stream(&question, events).await.unwrap();
    assert_eq!(reply.message.plain(), "Once upon a time.");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_waited_for_until_the_deadline() {
    let mock = always(fragments()).await;
    let mut row = row("anthropic", &mock.url());
    row.deadlines.total = Duration::from_millis(200);
    let models = models(row);
    let upstream = upstream_of(&models);
    let (events, came) = mpsc::channel(1);
    let failed = upstream.stream(&prompt("x"), events).await.unwrap_err();
    assert_eq!(failed.fault.code(), Code::Timeout);
    assert_eq!(failed.fault.blame(), wire::Blame::Caller);
    assert_eq!(models.providers()[0].reachable, None, "that says nothing about the upstream");
    drop(came);
}

async fn whole_instead_of_stream(dialect: &str) -> Mock {
    let body = match dialect {
        "anthropic" => {
            r#"{"id":"m","type":"message","role":"assistant","model":"m-1",
            "content":[{"type":"text","text":"all at once"}],"stop_reason":"end_turn",
            "usage":{"input_tokens":1,"output_tokens":2}}"#
        }
        _ => {
            r#"{"id":"c","object":"chat.completion","model":"m-1","choices":[{"index":0,"message":
            {"role":"assistant","content":"all at once"},"finish_reason":"stop"}]}"#
        }
    };
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    always(Reply { body: Some(body.to_owned()), headers: headers.into(), ..Reply::default() }).await
}

#[tokio::test]
async fn a_server_that_cannot_stream_is_played_as_a_stream() {
    for dialect in ["anthropic", "openai_chat"] {
        let mock = whole_instead_of_stream(dialect).await;
        let (reply, words) = streamed(&upstream(dialect, &mock.url()), 2).await;
        assert_eq!(reply.unwrap().message.plain(), "all at once");
        assert_eq!(words, ["start m-1", "0 text", "+all at once", "0 over"], "{dialect}");
    }
}

#[tokio::test]
async fn a_page_instead_of_a_stream_is_invalid() {
    let mock = always(Reply::fault(mock::Fault::Html)).await;
    let (outcome, words) = streamed(&upstream("anthropic", &mock.url()), 4).await;
    assert_eq!(outcome.unwrap_err().fault.code(), Code::UpstreamInvalid);
    assert!(words.is_empty());
}
