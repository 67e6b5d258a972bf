//! What is wrong with an exchange: one rule each, none of them needs more than its bytes.

use serde::Serialize;
use serde_json::Value;

use super::{Item, ModelCall, Rpc};
use crate::capture::{Ending, Exchange, Kind, unpacked};
use crate::http::{Framing, Head, Unpacker};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It does not work.
    Error,
    /// It works, and is not as it should be.
    Warning,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its name, for programs.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in one sentence.
    pub text: String,
}

/// From when on a stream that came in one piece is one that was held back.
const SLOW_MS: f64 = 500.0;

struct Found(Vec<Finding>);

impl Found {
    fn error(&mut self, id: &'static str, text: impl Into<String>) {
        self.0.push(Finding { id, severity: Severity::Error, text: text.into() });
    }

    fn warn(&mut self, id: &'static str, text: impl Into<String>) {
        self.0.push(Finding { id, severity: Severity::Warning, text: text.into() });
    }
}

/// All that is wrong, the worst first.
pub(super) fn all(
    exchange: &Exchange,
    items: &[Item],
    rpc: &[Rpc],
    model: Option<&ModelCall>,
) -> Vec<Finding> {
    let mut found = Found(Vec::new());
    ending(exchange, &mut found);
    if exchange.kind == Kind::Http {
        bodies(exchange, &mut found);
        stream(exchange, items, &mut found);
        grpc(exchange, &mut found);
        mcp_over_http(exchange, rpc, &mut found);
    }
    if matches!(exchange.kind, Kind::Stdio) {
        noise(items, &mut found);
    }
    calls(exchange, rpc, &mut found);
    if let Some(model) = model {
        model_call(exchange, model, &mut found);
    }
    found.0.sort_by_key(|finding| finding.severity);
    found.0
}

fn ending(exchange: &Exchange, found: &mut Found) {
    match &exchange.ending {
        Ending::Unreached(why) => found.error("unreached", format!("the target {why}")),
        Ending::CutByTarget if exchange.answered.total() == 0 => {
            found.error("no_answer", "the target closed the connection without an answer");
        }
        Ending::CutByTarget => {
            let text = match exchange.answer_framing {
                Framing::Length(length) => {
                    let came = exchange.answer_raw().len();
                    format!("the answer broke off: {came} of {length} bytes came")
                }
                Framing::Chunked => "the answer broke off before its last chunk".to_owned(),
                _ => "the target broke the connection off".to_owned(),
            };
            found.error("answer_cut", text);
        }
        Ending::CutByCaller if exchange.kind == Kind::Http => {
            found.warn("caller_left", "the caller hung up before the end");
        }
        _ => {}
    }
    if let Some(head) = &exchange.answer
        && head.status() >= 500
    {
        found.error("server_error", format!("the target answered {}", head.status()));
    }
    if exchange.kind == Kind::Http
        && exchange.answer.is_none()
        && exchange.answered.total() > 0
        && !exchange.is_open()
    {
        found.error("not_http", "the target answered something that is not HTTP/1");
    }
}

fn is_json(head: Option<&Head>) -> bool {
    let media = head.map(Head::media_type).unwrap_or_default();
    media == "application/json" || media.ends_with("+json")
}

fn bodies(exchange: &Exchange, found: &mut Found) {
    let asked = unpacked(exchange.ask.as_ref(), exchange.ask_framing.payload(exchange.ask_raw()));
    let answered =
        unpacked(exchange.answer.as_ref(), exchange.answer_framing.payload(exchange.answer_raw()));
    let sides = [
        ("request", exchange.ask.as_ref(), exchange.asked.is_whole(), asked),
        ("answer", exchange.answer.as_ref(), exchange.answered.is_whole(), answered),
    ];
    for (side, head, whole, (body, broken)) in sides {
        let packed = head.and_then(|head| head.header("content-encoding")).unwrap_or_default();
        if whole
            && !exchange.is_open()
            && let Some(why) = &broken
        {
            let text = format!("the {side} says it is packed as {packed}, and {why}");
            found.error("broken_encoding", text);
            continue;
        }
        let is_packed = head.is_some_and(|head| Unpacker::of(head).is_none())
            && !matches!(packed, "" | "identity");
        if is_packed {
            found.warn("unknown_encoding", format!("the {side} is packed as `{packed}`"));
            continue;
        }
        let known = whole && !exchange.is_open() && !body.is_empty();
        if known
            && is_json(head)
            && let Err(cause) = serde_json::from_slice::<serde::de::IgnoredAny>(&body)
        {
            let text = format!("the {side} says it is JSON and is none: {cause}");
            found.error("broken_json", text);
        }
        if known && head.is_some_and(|head| head.header("content-type").is_none()) {
            found.warn("no_content_type", format!("the {side} has a body and no Content-Type"));
        }
    }
}

fn stream(exchange: &Exchange, items: &[Item], found: &mut Found) {
    let is_stream =
        exchange.answer.as_ref().is_some_and(|head| head.media_type() == "text/event-stream");
    if !is_stream || exchange.is_open() {
        return;
    }
    // A fast server may well write all at once; one that took its time did not mean to.
    if let [first, .., last] = items
        && (last.at_ms - first.at_ms).abs() < f64::EPSILON
        && items.len() >= 5
        && last.at_ms >= SLOW_MS
    {
        let text = format!("all {} events came at once: something buffers the stream", items.len());
        found.warn("buffered", text);
    }
    let mut longest = (0.0_f64, 0.0_f64);
    for pair in items.windows(2) {
        if let [one, two] = pair
            && two.at_ms - one.at_ms > longest.0
        {
            longest = (two.at_ms - one.at_ms, one.at_ms);
        }
    }
    if longest.0 > 15_000.0 {
        let text = format!("nothing came for {:.0} s within the stream", longest.0 / 1e3);
        found.warn("stalled", text);
    }
}

/// The status of gRPC stands behind the answer, or in its head when there is nothing else.
fn grpc(exchange: &Exchange, found: &mut Found) {
    if !super::events::is_grpc(exchange) || exchange.is_open() {
        return;
    }
    let of = |name: &str| {
        let trailer = exchange.trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let trailer = trailer.map(|(_, value)| value.as_str());
        trailer.or_else(|| exchange.answer.as_ref()?.header(name)).map(ToOwned::to_owned)
    };
    match of("grpc-status") {
        Some(code) if code != "0" => {
            let text = of("grpc-message").unwrap_or_default();
            let name = super::frames::grpc_status(&code);
            found.error("grpc_error", format!("gRPC status {code} {name}: {text}"));
        }
        Some(_) => {}
        None if exchange.answer.is_some() => {
            found.error("grpc_no_status", "the answer of gRPC ended without `grpc-status`");
        }
        None => {}
    }
}

/// What Streamable HTTP demands of both sides.
fn mcp_over_http(exchange: &Exchange, rpc: &[Rpc], found: &mut Found) {
    let Some(ask) = exchange.ask.as_ref().filter(|ask| ask.method() == "POST" && !rpc.is_empty())
    else {
        return;
    };
    let accept = ask.header("accept").unwrap_or_default();
    let takes = |kind: &str| accept.contains(kind) || accept.contains("*/*");
    if !(takes("application/json") && takes("text/event-stream")) {
        let text = "an MCP client must send `Accept: application/json, text/event-stream`";
        found.warn("mcp_accept", text);
    }
    if !is_json(Some(ask)) {
        found.error("mcp_content_type", "an MCP request must be `Content-Type: application/json`");
    }
    if let Some(answer) = &exchange.answer {
        let media = answer.media_type();
        let fits = is_json(Some(answer)) || media == "text/event-stream";
        if answer.status() == 200 && !fits {
            let text = format!("an MCP answer is JSON or an event stream, and this is `{media}`");
            found.error("mcp_answer_type", text);
        }
        let told = match answer.status() {
            401 => Some("the MCP server wants a token: see its `WWW-Authenticate`"),
            403 => Some("the MCP server refuses this Origin or caller"),
            404 if ask.header("mcp-session-id").is_some() => {
                Some("the MCP session is gone: the client has to `initialize` anew")
            }
            404 | 405 => Some("nothing speaks MCP at this path: most servers have it at /mcp"),
            406 => Some("the MCP server wants other types in `Accept`"),
            _ => None,
        };
        if let Some(text) = told {
            found.error("mcp_refused", text);
        }
    }
    // The modern era repeats the method and the name in headers, and servers compare.
    if let Some(said) = ask.header("mcp-method")
        && let Some(request) = rpc.iter().find(|rpc| rpc.from_caller)
        && request.method.as_deref() != Some(said)
    {
        let text = format!("the header `Mcp-Method: {said}` and the body disagree");
        found.error("mcp_header", text);
    }
}

fn noise(items: &[Item], found: &mut Found) {
    let is_noise = |item: &&Item| {
        let said = item.name.as_deref();
        !item.from_caller
            && said != Some("stderr")
            && (said.is_some() || serde_json::from_str::<Value>(&item.text).is_err())
    };
    if let Some(item) = items.iter().find(is_noise) {
        let text: String = item.text.chars().take(60).collect();
        found.error(
            "stdout_noise",
            format!(
                "the program wrote `{text}` to its standard output, which is for messages alone"
            ),
        );
    }
}

fn calls(exchange: &Exchange, rpc: &[Rpc], found: &mut Found) {
    for one in rpc {
        for text in super::schema::message(one) {
            found.error("mcp_schema", text);
        }
        if let Some(error) = &one.error {
            let method = one.method.as_deref().unwrap_or("a call");
            found.error("rpc_error", format!("{method}: {error}"));
        }
    }
    if exchange.is_open() {
        return;
    }
    for request in rpc.iter().filter(|one| one.kind == "request") {
        let is_answered = rpc.iter().any(|one| {
            matches!(one.kind, "result" | "error")
                && one.id == request.id
                && one.from_caller != request.from_caller
        });
        let refused = exchange.answer.as_ref().is_some_and(|head| head.status() >= 400);
        if !is_answered && !refused {
            let method = request.method.as_deref().unwrap_or("a request");
            found.error("rpc_unanswered", format!("{method} was never answered"));
        }
    }
}

fn model_call(exchange: &Exchange, model: &ModelCall, found: &mut Found) {
    if let Some(bad) = &model.bad_request {
        let text = format!("the request is none of {}: {bad}", model.dialect);
        found.error("bad_request", text);
    }
    for text in &model.violations {
        found.error("model_schema", text.clone());
    }
    if model.dialect == "anthropic"
        && exchange.ask.as_ref().is_some_and(|head| head.header("anthropic-version").is_none())
    {
        let text = "the request has no `anthropic-version` header, which Anthropic demands";
        found.warn("no_version", text);
    }
    match &model.failed {
        Some(failed) if model.unfinished => {
            found
                .error("stream_unfinished", format!("the stream did not end as it must: {failed}"));
        }
        Some(failed) => found.error("model_error", failed.clone()),
        None => {}
    }
    if model.stop.as_deref() == Some("max_tokens") {
        found.warn("max_tokens", "the answer was cut at max_tokens");
    }
}
