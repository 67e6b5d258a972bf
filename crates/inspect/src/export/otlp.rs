//! Exchanges as spans of OpenTelemetry, in the JSON of OTLP over HTTP, named by its conventions for
//! generative AI and for MCP.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use serde_json::{Value, json};

use crate::capture::Exchange;
use crate::decode::{ModelCall, View};
use crate::http::Head;
use crate::redact;

/// Kind of a span that stands for a call to another process.
const CLIENT: u8 = 3;

/// The body of a request to `/v1/traces`.
#[must_use]
pub fn spans(seen: &[(Exchange, View)]) -> Value {
    let spans: Vec<Value> = seen.iter().map(|(exchange, view)| span(exchange, view)).collect();
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", "rapport-inspect")]},
        "scopeSpans": [{
            "scope": {"name": "rapport inspect", "version": env!("CARGO_PKG_VERSION")},
            "spans": spans,
        }],
    }]})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn number(key: &str, value: u64) -> Value {
    // 64 bits are a text in the JSON of protocol buffers.
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn span(exchange: &Exchange, view: &View) -> Value {
    let begun = u128::try_from(exchange.begun.as_nanosecond()).unwrap_or(0);
    let took = exchange.times.over.unwrap_or_default().as_nanos();
    let (trace, parent) = exchange
        .ask
        .as_ref()
        .and_then(|ask| parent(ask.header("traceparent")?))
        .unwrap_or_else(|| (format!("{:016x}{:016x}", chance(), chance()), String::new()));
    let is_error = view.status >= 400
        || view.findings.iter().any(|one| one.severity == crate::decode::Severity::Error);
    let mut status = json!({"code": if is_error { 2 } else { 0 }});
    if let (true, Some(worst), Some(fields)) =
        (is_error, view.findings.first(), status.as_object_mut())
    {
        fields.insert("message".to_owned(), redact::text(&worst.text).into());
    }
    json!({
        "traceId": trace, "spanId": format!("{:016x}", chance().max(1)), "parentSpanId": parent,
        "name": name(exchange, view), "kind": CLIENT,
        "startTimeUnixNano": begun.to_string(), "endTimeUnixNano": (begun + took).to_string(),
        "attributes": attributes(exchange, view, is_error), "status": status,
    })
}

/// Trace and span of whoever asked: `00-TRACE-SPAN-FLAGS`.
fn parent(header: &str) -> Option<(String, String)> {
    let mut words = header.trim().split('-').skip(1);
    let (trace, span) = (words.next()?, words.next()?);
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let fits = is_hex(trace, 32) && is_hex(span, 16) && trace.bytes().any(|byte| byte != b'0');
    fits.then(|| (trace.to_ascii_lowercase(), span.to_ascii_lowercase()))
}

/// Eight bytes that no other span has, as far as chance can tell.
fn chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn name(exchange: &Exchange, view: &View) -> String {
    if let Some(model) = &view.model {
        return format!("chat {}", model.model);
    }
    let request = view.rpc.iter().find(|rpc| rpc.from_caller && rpc.method.is_some());
    if let Some(request) = request {
        let method = request.method.as_deref().unwrap_or_default();
        return match &request.name {
            Some(name) => format!("{method} {name}"),
            None => method.to_owned(),
        };
    }
    // A path has too many values to be a name.
    exchange.ask.as_ref().map_or(view.speaks, Head::method).to_owned()
}

fn attributes(exchange: &Exchange, view: &View, is_error: bool) -> Vec<Value> {
    let authority = exchange.target.rsplit("://").next().unwrap_or_default();
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
    let mut all = vec![text("server.address", host)];
    if let Ok(port) = port.parse() {
        all.push(number("server.port", port));
    }
    if let Some(ask) = &exchange.ask {
        let path = redact::path(ask.path());
        let path = path.split('?').next().unwrap_or_default();
        all.push(text("http.request.method", ask.method()));
        all.push(text("url.path", path));
    }
    if view.status > 0 {
        all.push(number("http.response.status_code", u64::from(view.status)));
    }
    if is_error {
        let id = view.findings.first().map(|finding| finding.id.to_owned());
        all.push(text("error.type", &id.unwrap_or_else(|| view.status.to_string())));
    }
    if let Some(model) = &view.model {
        all.extend(of_model(model));
    }
    if let Some(rpc) = view.rpc.iter().find(|rpc| rpc.from_caller && rpc.method.is_some()) {
        all.push(text("rpc.system", "jsonrpc"));
        all.push(text("mcp.method.name", rpc.method.as_deref().unwrap_or_default()));
        if let Some(name) = &rpc.name {
            all.push(text("gen_ai.tool.name", name));
        }
    }
    if let Some(session) = exchange.ask.as_ref().and_then(|ask| ask.header("mcp-session-id")) {
        all.push(text("mcp.session.id", session));
    }
    all
}

fn of_model(model: &ModelCall) -> Vec<Value> {
    let provider = match model.dialect {
        "anthropic" => "anthropic",
        "gemini" => "gcp.gemini",
        "openai_chat" | "openai_responses" | "openai_completions" => "openai",
        other => other,
    };
    let mut all = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", provider),
        text("gen_ai.request.model", &model.model),
        number("gen_ai.usage.input_tokens", model.tokens_in),
        number("gen_ai.usage.output_tokens", model.tokens_out),
    ];
    if let Some(stop) = &model.stop {
        let reasons = json!({"arrayValue": {"values": [{"stringValue": stop}]}});
        all.push(json!({"key": "gen_ai.response.finish_reasons", "value": reasons}));
    }
    if let Some(cost) = model.cost {
        all.push(number("rapport.cost.micro_usd", cost.micro_usd));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::parent;

    #[test]
    fn the_span_belongs_to_the_trace_of_whoever_asked() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let (trace, span) = parent(header).unwrap();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span, "b7ad6b7169203331");
        for bad in [
            "",
            "00-12-34-01",
            &header.replace("0af", "xyz"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        ] {
            assert_eq!(parent(bad), None, "{bad}");
        }
    }
}
