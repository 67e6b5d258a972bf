//! What an exchange says: events, messages, models, tokens, and what is wrong with it.

mod body;
mod events;
mod finding;
mod frames;
mod model;
mod picture;
mod price;
mod rpc;
mod schema;

use std::time::Duration;

use serde::Serialize;

pub use body::{Body, body};
pub use events::Item;
pub use finding::{Finding, Severity};
pub use model::ModelCall;
pub use price::{Cost, Priced, Prices, dollars};
pub use rpc::Rpc;

use crate::capture::{Exchange, Kind};

/// An exchange, read.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    /// Its number.
    pub number: u64,
    /// What is spoken: `http`, `sse`, `websocket`, `lines`, `mcp`, `model` …
    pub speaks: &'static str,
    /// The line that is shown of it.
    pub line: String,
    /// The status; 0 where there is none.
    pub status: u16,
    /// The events or messages of a stream, in their order.
    pub items: Vec<Item>,
    /// Messages of JSON-RPC.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rpc: Vec<Rpc>,
    /// What it was about, in a few words.
    pub about: String,
    /// A call of a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelCall>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Reads an exchange.
#[must_use]
pub fn view(exchange: &Exchange) -> View {
    priced(exchange, &Prices::default())
}

/// Reads an exchange, and says what a call of a model cost where its price is known.
#[must_use]
pub fn priced(exchange: &Exchange, prices: &Prices) -> View {
    let items = events::items(exchange);
    let rpc = rpc::read(exchange, &items);
    let model = call(exchange, prices);
    let findings = finding::all(exchange, &items, &rpc, model.as_ref());
    let speaks = match (&model, rpc.is_empty(), exchange.kind) {
        (Some(_), ..) => "model",
        (None, false, _) => "mcp",
        (None, true, Kind::Http) if events::is_grpc(exchange) => "grpc",
        (None, true, Kind::Http) if is_stream(exchange) => "sse",
        (None, true, kind) => kind.as_str(),
    };
    let status = exchange.answer.as_ref().map_or(0, crate::http::Head::status);
    let line = line(exchange, (&items, &rpc, model.as_ref()), &findings);
    let about = about(&items, &rpc, model.as_ref());
    View { number: exchange.number, speaks, line, status, items, rpc, about, model, findings }
}

/// The call of a model that an exchange is, with what it cost; nothing when it is none.
pub(crate) fn call(exchange: &Exchange, prices: &Prices) -> Option<ModelCall> {
    let mut call = model::read(exchange)?;
    if !exchange.is_open() {
        call.cost = prices.of(&exchange.target, &call);
    }
    Some(call)
}

/// What the prompt of a call of a model says: who, and what; nothing when it is none.
#[must_use]
pub fn prompt(exchange: &Exchange) -> Vec<(String, String)> {
    model::prompt(exchange)
}

fn is_stream(exchange: &Exchange) -> bool {
    exchange.answer.as_ref().is_some_and(|head| head.media_type() == "text/event-stream")
}

type Read<'a> = (&'a [Item], &'a [Rpc], Option<&'a ModelCall>);

/// One line: what was asked, how it was answered, how long it took, and what it was about.
fn line(exchange: &Exchange, (items, rpc, model): Read<'_>, findings: &[Finding]) -> String {
    let status = match &exchange.answer {
        Some(head) => head.status().to_string(),
        None => exchange.ending.as_str().replace('_', " "),
    };
    let mut text = format!("#{} {}", exchange.number, crate::redact::path(&exchange.title()));
    text.push_str(&format!("  {status}"));
    if let Some(over) = exchange.times.over {
        text.push_str(&format!("  {}", shown(over)));
    }
    if let Some(first) = exchange.times.first_body.filter(|_| is_stream(exchange)) {
        text.push_str(&format!(" (first {})", shown(first)));
    }
    text.push_str(&format!(
        "  {} up, {} down",
        size(exchange.asked.passed()),
        size(exchange.answered.passed())
    ));
    let about = about(items, rpc, model);
    if !about.is_empty() {
        text.push_str(&format!("  {about}"));
    }
    if let Some(worst) = findings.first() {
        text.push_str(&format!("  ! {}", worst.text));
    }
    text
}

fn about(items: &[Item], rpc: &[Rpc], model: Option<&ModelCall>) -> String {
    if let Some(model) = model {
        return model.line();
    }
    if rpc.is_empty() {
        return if items.is_empty() { String::new() } else { format!("{} messages", items.len()) };
    }
    let names: Vec<String> = rpc.iter().take(4).map(Rpc::line).collect();
    let more = if rpc.len() > 4 { format!(" and {} more", rpc.len() - 4) } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// A time as people read it.
#[must_use]
pub fn shown(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1e3)
    }
}

/// A size as people read it.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNIT: u64 = 1024;
    match bytes {
        0..UNIT => format!("{bytes} B"),
        _ if bytes < UNIT * UNIT => format!("{}.{} KiB", bytes / UNIT, bytes % UNIT * 10 / UNIT),
        _ => {
            let kib = bytes / UNIT;
            format!("{}.{} MiB", kib / UNIT, kib % UNIT * 10 / UNIT)
        }
    }
}
