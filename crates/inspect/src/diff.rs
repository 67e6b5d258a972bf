//! What is different between two exchanges, by meaning: heads, prompts, tools, answers.

use serde::Serialize;
use serde_json::Value;

use crate::capture::{Exchange, Kind};
use crate::decode;
use crate::http::Head;
use crate::redact;

/// Limit: differences that are listed.
const DIFFERENCES_MAX: usize = 500;
/// Limit: characters of a value that are shown.
const SHOWN_MAX: usize = 200;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where: `request.header accept`, `request.body /messages/3/content`, `answer.status` …
    pub place: String,
    /// What stands in the first; nothing where it has none.
    pub first: Option<String>,
    /// What stands in the second.
    pub second: Option<String>,
}

/// All differences between two exchanges; what differs by its nature (dates, ids of requests) is
/// left out.
#[must_use]
pub fn diff(first: &Exchange, second: &Exchange) -> Vec<Difference> {
    let mut all = Vec::new();
    let one = |head: Option<&Head>, read: fn(&Head) -> String| head.map(read);
    let line = |head: &Head| format!("{} {}", head.method(), redact::path(head.path()));
    put(&mut all, "request.line", one(first.ask.as_ref(), line), one(second.ask.as_ref(), line));
    headers(&mut all, "request", first.ask.as_ref(), second.ask.as_ref());
    let (view_a, view_b) = (decode::view(first), decode::view(second));
    let talks = |exchange: &Exchange| exchange.kind != Kind::Http && exchange.kind != Kind::Tls;
    let status = |head: &Head| head.status().to_string();
    let (a, b) = (first.answer.as_ref(), second.answer.as_ref());
    if talks(first) || talks(second) {
        put(&mut all, "answer.status", one(a, status), one(b, status));
        headers(&mut all, "answer", a, b);
        for (side, from_caller) in [("request", true), ("answer", false)] {
            messages(&mut all, side, (&said(&view_a, from_caller), &said(&view_b, from_caller)));
        }
        return all;
    }
    bodies(&mut all, "request", &first.ask_body(), &second.ask_body());
    put(&mut all, "answer.status", one(a, status), one(b, status));
    headers(&mut all, "answer", a, b);
    match (&view_a.model, &view_b.model) {
        (Some(a), Some(b)) => {
            let pairs = [
                ("answer.model", &a.model, &b.model),
                ("answer.said", &a.said, &b.said),
                ("answer.thought", &a.thought, &b.thought),
            ];
            for (place, a, b) in pairs {
                put(&mut all, place, Some(a.clone()), Some(b.clone()));
            }
            put(&mut all, "answer.calls", Some(a.calls.join("; ")), Some(b.calls.join("; ")));
            put(&mut all, "answer.stop", a.stop.clone(), b.stop.clone());
        }
        _ => bodies(&mut all, "answer", &first.answer_body(), &second.answer_body()),
    }
    all.truncate(DIFFERENCES_MAX);
    all
}

/// What one side of a connection said, message by message; pings come and go as they please.
fn said(view: &decode::View, from_caller: bool) -> Vec<String> {
    let is_said = |item: &&decode::Item| {
        item.from_caller == from_caller && !matches!(item.name.as_deref(), Some("ping" | "pong"))
    };
    let items = view.items.iter().filter(is_said);
    items.map(|item| item.text.clone()).collect()
}

/// Messages one by one, in their order.
fn messages(all: &mut Vec<Difference>, side: &str, (first, second): (&[String], &[String])) {
    for place in 0..first.len().max(second.len()) {
        let (a, b) = (first.get(place), second.get(place));
        let place = format!("{side}.message {}", place + 1);
        let read = |text: Option<&String>| serde_json::from_str::<Value>(text?).ok();
        match (read(a), read(b)) {
            (Some(a), Some(b)) => values(all, (&place, ""), Some(&a), Some(&b)),
            _ => put(all, &place, a.cloned(), b.cloned()),
        }
    }
}

/// All differences between the bodies of two requests.
pub(crate) fn differing(first: &[u8], second: &[u8]) -> Vec<Difference> {
    let mut all = Vec::new();
    bodies(&mut all, "request", first, second);
    all
}

fn put(all: &mut Vec<Difference>, place: &str, first: Option<String>, second: Option<String>) {
    if first != second && all.len() < DIFFERENCES_MAX {
        let is_secret = place.rsplit_once('/').is_some_and(|(_, name)| redact::is_secret(name));
        let short = |text: String| match is_secret {
            true => redact::HIDDEN.to_owned(),
            false => redact::text(&text).chars().take(SHOWN_MAX).collect(),
        };
        let (first, second) = (first.map(short), second.map(short));
        all.push(Difference { place: place.to_owned(), first, second });
    }
}

fn headers(all: &mut Vec<Difference>, side: &str, first: Option<&Head>, second: Option<&Head>) {
    const BY_NATURE: &[&str] = &["date", "x-request-id", "request-id", "age", "content-length"];
    let names = |head: Option<&Head>| -> Vec<String> {
        head.map(|head| head.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect())
            .unwrap_or_default()
    };
    let mut known = names(first);
    known.extend(names(second));
    known.sort();
    known.dedup();
    for name in known.iter().filter(|name| !BY_NATURE.contains(&name.as_str())) {
        let value = |head: Option<&Head>| {
            head.and_then(|head| head.header(name)).map(|value| redact::header(name, value))
        };
        put(all, &format!("{side}.header {name}"), value(first), value(second));
    }
}

fn bodies(all: &mut Vec<Difference>, side: &str, first: &[u8], second: &[u8]) {
    let read = |bytes| serde_json::from_slice::<Value>(bytes);
    match (read(first), read(second)) {
        (Ok(first), Ok(second)) => {
            values(all, (&format!("{side}.body"), ""), Some(&first), Some(&second));
        }
        _ if first != second => {
            let text = |bytes| Some(String::from_utf8_lossy(bytes).into_owned());
            put(all, &format!("{side}.body"), text(first), text(second));
        }
        _ => {}
    }
}

fn values(
    all: &mut Vec<Difference>,
    (place, path): (&str, &str),
    first: Option<&Value>,
    second: Option<&Value>,
) {
    if all.len() >= DIFFERENCES_MAX || first == second {
        return;
    }
    match (first, second) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                values(all, (place, &format!("{path}/{key}")), a.get(key), b.get(key));
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for at in 0..a.len().max(b.len()) {
                values(all, (place, &format!("{path}/{at}")), a.get(at), b.get(at));
            }
        }
        (first, second) => {
            let text = |value: Option<&Value>| value.map(ToString::to_string);
            put(all, format!("{place} {path}").trim_end(), text(first), text(second));
        }
    }
}
