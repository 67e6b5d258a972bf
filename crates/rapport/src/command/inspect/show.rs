//! One exchange for people: a line, or all of it.

use inspect::decode::{self, Body, Prices};
use inspect::export::{self, Secrets};
use inspect::http::Side;
use inspect::{Exchange, Kind, visible};
use serde_json::{Value, json};

/// Limit: characters of a body that are shown.
const BODY_MAX: usize = 16_000;
/// Limit: messages of a stream that are shown.
const ITEMS_MAX: usize = 200;

/// The exchange as it may be seen.
pub(super) fn seen(exchange: &Exchange, secrets: Secrets) -> Exchange {
    let line = export::line(exchange, secrets);
    export::read(&line).unwrap_or_else(|_unread| exchange.clone())
}

/// The exchange as JSON, on one line.
pub(super) fn json(
    exchange: &Exchange,
    secrets: Secrets,
    prices: &Prices,
) -> anyhow::Result<String> {
    let exchange = seen(exchange, secrets);
    let view = decode::priced(&exchange, prices);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ms = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    let value: Value = json!({
        "number": exchange.number,
        "begun": exchange.begun.to_string(),
        "peer": exchange.peer,
        "target": exchange.target,
        "title": exchange.title(),
        "ending": exchange.ending.as_str(),
        "took_ms": ms(exchange.times.over),
        "first_ms": ms(exchange.times.first),
        "request": text(&exchange.ask_body()),
        "response": text(&exchange.answer_body()),
        "rules": exchange.rules,
        "view": view,
    });
    Ok(serde_json::to_string(&value)?)
}

/// The exchange as lines of text; with its heads, bodies and events when `whole`. What a terminal
/// would take for a command is shown as what it is.
pub(super) fn lines(
    exchange: &Exchange,
    whole: bool,
    secrets: Secrets,
    prices: &Prices,
) -> Vec<String> {
    let exchange = seen(exchange, secrets);
    let view = decode::priced(&exchange, prices);
    let mut lines = vec![view.line.clone()];
    if whole {
        all(&exchange, &view, &mut lines);
    } else {
        // The worst stands in the line already.
        lines.extend(view.findings.iter().skip(1).map(|finding| format!("    ! {}", finding.text)));
    }
    lines.iter().map(|line| visible(line)).collect()
}

fn all(exchange: &Exchange, view: &decode::View, lines: &mut Vec<String>) {
    lines.extend(view.findings.iter().map(|finding| format!("    ! {}", finding.text)));
    lines.extend(exchange.rules.iter().map(|rule| format!("    rule: {rule}")));
    if let Some(head) = &exchange.ask {
        lines.push(format!("  > {} {}", head.method(), head.path()));
        lines.extend(head.headers.iter().map(|(name, value)| format!("  > {name}: {value}")));
        // What follows the head of a WebSocket is its messages, below.
        if exchange.kind != Kind::WebSocket {
            body(lines, "  > ", &decode::body(exchange, Side::Ask));
        }
    }
    if let Some(head) = &exchange.answer {
        lines.push(format!("  < {}", head.status()));
        lines.extend(head.headers.iter().map(|(name, value)| format!("  < {name}: {value}")));
        let read = decode::body(exchange, Side::Answer);
        if view.items.is_empty() {
            body(lines, "  < ", &read);
        }
        lines.extend(read.trailers.iter().map(|(name, value)| format!("  < {name}: {value}")));
    }
    for item in view.items.iter().take(ITEMS_MAX) {
        let way = if item.from_caller { '>' } else { '<' };
        let name = item.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
        lines.push(format!("  {way} {:>9.1} ms  {name}{}", item.at_ms, item.text));
    }
    if view.items.len() > ITEMS_MAX {
        lines.push(format!("    and {} more", view.items.len() - ITEMS_MAX));
    }
    if let Some(model) = &view.model {
        lines.push(format!("  = {} in {}", model.model, model.dialect));
        if !model.thought.is_empty() {
            lines.push(format!("  = thought: {}", model.thought));
        }
        if !model.said.is_empty() {
            lines.push(format!("  = said: {}", model.said));
        }
        lines.extend(model.calls.iter().map(|call| format!("  = calls {call}")));
    }
}

fn body(lines: &mut Vec<String>, mark: &str, read: &Body) {
    if read.bytes == 0 {
        return;
    }
    lines.push(mark.trim_end().to_owned());
    if let Some(packed) = &read.packed {
        lines.push(format!("{mark}({packed}: {} bytes of {})", read.sent_bytes, read.bytes));
    }
    let short: String = read.text.chars().take(BODY_MAX).collect();
    lines.extend(short.lines().map(|line| format!("{mark}{line}")));
    if short.len() < read.text.len() {
        lines.push(format!("{mark}… {} bytes more", read.text.len() - short.len()));
    }
    if let Some(why) = &read.broken {
        lines.push(format!("{mark}({why})"));
    }
}
