//! What the proxy answers itself, below `/__rapport__/`: what it saw, as JSON.

use bytes::Buf as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use super::connection::{Caller, READ_BYTES};
use super::exchange::Next;
use super::held::Verdict;
use super::target::Target;
use crate::capture::{Exchange, Tape};
use crate::decode;
use crate::diff::diff;
use crate::export::{self, Secrets};
use crate::http::{Head, Meter, Side};
use crate::redact;
use crate::rule::Rule;

/// The path below which the proxy answers itself.
pub(super) const HERE: &str = "/__rapport__";
/// Limit: bytes of a request's body here.
const BODY_BYTES_MAX: usize = 32 << 20;
/// Limit: exchanges of one list.
const LIST_MAX: usize = 1_000;

/// What is answered.
enum Answer {
    Json(u16, Value),
    Bytes(&'static str, Vec<u8>),
    /// News as they come.
    Events,
}

/// Whether a request is for the proxy itself.
pub(super) fn is_ours(head: &Head) -> bool {
    head.path()
        .strip_prefix(HERE)
        .is_some_and(|rest| matches!(rest.get(..1), None | Some("/" | "?")))
}

/// Answers a request for the proxy itself.
pub(super) async fn answer(shared: &Shared, caller: &mut Caller, head: Head) -> Next {
    let Some(body) = body(caller, &head).await else { return Next::Close };
    let answer = if is_local(shared, &head) {
        respond(shared, &head, &body).await
    } else {
        let text = "only pages and programs of this machine may read what was recorded";
        Answer::Json(403, json!({"error": text, "hint": "call 127.0.0.1 or localhost by name"}))
    };
    let bytes = match answer {
        Answer::Json(status, value) => {
            whole(status, "application/json", value.to_string().as_bytes())
        }
        Answer::Bytes(kind, bytes) => whole(200, kind, &bytes),
        Answer::Events => return events(shared, caller).await,
    };
    if caller.stream.write_all(&bytes).await.is_err() || !head.keeps_alive() {
        return Next::Close;
    }
    Next::Again
}

/// A page of elsewhere that had its name resolved to this machine still shows its own name.
fn is_local(shared: &Shared, head: &Head) -> bool {
    let host = head.header("host").unwrap_or_default();
    let is_name = |name: &str| {
        name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback() || ip == shared.address.ip())
    };
    let origin = head.header("origin");
    let origin = origin.map(|origin| origin.split_once("://").map_or(origin, |(_, rest)| rest));
    is_name(name_of(host)) && origin.is_none_or(|origin| is_name(name_of(origin)))
}

/// The host of an authority, without its port and the brackets of IPv6.
fn name_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(name, _)| name),
    }
}

async fn body(caller: &mut Caller, head: &Head) -> Option<Vec<u8>> {
    caller.ahead.advance(head.length.min(caller.ahead.len()));
    let mut meter = Meter::new(head.ask_framing());
    let mut body = Vec::new();
    loop {
        let length = meter.take(&caller.ahead, &mut |piece, _| body.extend_from_slice(piece));
        caller.ahead.advance(length.min(caller.ahead.len()));
        if meter.is_over() {
            return Some(body);
        }
        caller.ahead.reserve(READ_BYTES);
        let read = caller.stream.read_buf(&mut caller.ahead).await.unwrap_or(0);
        if read == 0 || body.len() > BODY_BYTES_MAX {
            return None;
        }
    }
}

async fn respond(shared: &Shared, head: &Head, body: &[u8]) -> Answer {
    let path = head.path().strip_prefix(HERE).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).collect();
    match (head.method(), words.as_slice()) {
        ("GET", []) => Answer::Bytes("text/html; charset=utf-8", PAGE.into()),
        ("GET", ["exchanges"]) => list(shared, query),
        ("DELETE", ["exchanges"]) => {
            shared.book.clear();
            Answer::Json(200, json!({"cleared": true}))
        }
        ("GET", ["events"]) => Answer::Events,
        ("GET", ["pcap"]) => {
            Answer::Bytes("application/x-pcapng", export::pcap(&all(shared), secrets(shared)).0)
        }
        ("GET", ["har"]) => Answer::Json(200, export::har(&all(shared), secrets(shared))),
        ("GET", ["jsonl"]) => {
            let lines =
                all(shared).iter().map(|e| export::line(e, secrets(shared)) + "\n").collect();
            Answer::Bytes("application/x-ndjson", String::into_bytes(lines))
        }
        ("GET", ["diff"]) => differences(shared, query),
        ("GET", ["rules"]) => Answer::Json(200, rules_now(shared)),
        ("PUT", ["rules"]) => set_rules(shared, body),
        ("POST", ["told", key]) => told(shared, key, body),
        (method, ["exchanges", number, rest @ ..]) => {
            let found = number.parse().ok().and_then(|number| shared.book.get(number));
            match found {
                Some(exchange) => one(shared, (method, rest), &exchange, body).await,
                None => missing(&format!("there is no exchange `{number}`, or it was forgotten")),
            }
        }
        _ => missing(&format!("the inspector has no `{} {}`", head.method(), head.path())),
    }
}

/// What an inspector over a pipe saw, as it is now.
fn told(shared: &Shared, key: &str, body: &[u8]) -> Answer {
    match export::read(&String::from_utf8_lossy(body)) {
        Ok(exchange) => Answer::Json(200, json!({"number": shared.book.hear(key, exchange)})),
        Err(why) => wrong(&why.to_string()),
    }
}

fn missing(text: &str) -> Answer {
    let hint = "there are /__rapport__/exchanges, /exchanges/N, /exchanges/N/request, \
                /exchanges/N/response, /exchanges/N/curl, /events, /har, /pcap, /jsonl, \
                /diff?a=N&b=N and /rules";
    Answer::Json(404, json!({"error": text, "hint": hint}))
}

fn wrong(text: &str) -> Answer {
    Answer::Json(400, json!({"error": text}))
}

fn secrets(shared: &Shared) -> Secrets {
    if shared.shows_secrets { Secrets::Kept } else { Secrets::Hidden }
}

fn all(shared: &Shared) -> Vec<Exchange> {
    let mut all = Vec::new();
    shared.book.each(0, |exchange| {
        all.push(exchange.clone());
        true
    });
    all
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(decoded(value))
}

/// A value as pages and programs write it into an address: `%2F` is a slash, `+` a blank.
fn decoded(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match (first, byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                rest = after.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*first),
        }
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn list(shared: &Shared, query: &str) -> Answer {
    let after = parameter(query, "after").and_then(|text| text.parse().ok()).unwrap_or(0);
    let filter = parameter(query, "filter").unwrap_or_default();
    let filter = match crate::filter::Filter::parse(&filter) {
        Ok(filter) => filter,
        Err(why) => return wrong(&why),
    };
    let mut rows = Vec::new();
    shared.book.each(after, |exchange| {
        let view = decode::priced(exchange, &shared.prices);
        if filter.takes(exchange, &view) {
            rows.push(row(exchange, &view));
        }
        rows.len() < LIST_MAX
    });
    let (kept, forgotten, bytes) = shared.book.size();
    Answer::Json(
        200,
        json!({
            "target": shared.target.to_string(), "exchanges": rows, "kept": kept,
            "forgotten": forgotten, "bytes": bytes, "held": shared.held.numbers(),
            "spent": shared.purse.now(),
        }),
    )
}

fn row(exchange: &Exchange, view: &decode::View) -> Value {
    json!({
        "number": exchange.number, "begun": exchange.begun.to_string(), "speaks": view.speaks,
        "title": redact::path(&exchange.title()), "status": view.status,
        "ending": exchange.ending.as_str(), "took_ms": exchange.times.over.map(ms),
        "first_ms": exchange.times.first.map(ms), "up": exchange.asked.passed(),
        "down": exchange.answered.passed(), "line": view.line, "about": view.about,
        "rules": exchange.rules,
        "findings": view.findings,
    })
}

fn ms(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

async fn one(
    shared: &Shared,
    (method, rest): (&str, &[&str]),
    exchange: &Exchange,
    body: &[u8],
) -> Answer {
    match (method, rest) {
        ("GET", []) => detail(shared, exchange),
        ("GET", ["request"]) => {
            Answer::Bytes("application/octet-stream", clean(shared, exchange, true))
        }
        ("GET", ["response"]) => {
            Answer::Bytes("application/octet-stream", clean(shared, exchange, false))
        }
        ("GET", ["curl"]) => match export::curl(exchange, secrets(shared)) {
            Ok(command) => Answer::Bytes("text/plain; charset=utf-8", (command + "\n").into()),
            Err(why) => wrong(&why),
        },
        ("POST", ["go"]) => let_go(shared, exchange, body),
        ("POST", ["drop"]) => {
            if shared.held.decide(exchange.number, Verdict::Drop) {
                return Answer::Json(200, json!({"dropped": exchange.number}));
            }
            wrong(&format!("exchange {} is not held", exchange.number))
        }
        ("POST", ["replay"]) => match super::again::again(shared, exchange, body).await {
            Ok(number) => Answer::Json(200, json!({"number": number})),
            Err(why) => wrong(&why),
        },
        _ => missing(&format!("an exchange has no `{method} /{}`", rest.join("/"))),
    }
}

/// Lets a held request go; with a body the secrets that were numbered in it are put back.
fn let_go(shared: &Shared, exchange: &Exchange, body: &[u8]) -> Answer {
    let verdict = match std::str::from_utf8(body) {
        Ok("") => Verdict::Go,
        Ok(text) if !shared.shows_secrets => {
            let original = exchange.ask_body();
            match redact::put_back(text, &String::from_utf8_lossy(&original)) {
                Ok(whole) => Verdict::GoWith(whole.into_bytes()),
                Err(why) => return wrong(&why),
            }
        }
        Ok(_) | Err(_) => Verdict::GoWith(body.to_vec()),
    };
    if shared.held.decide(exchange.number, verdict) {
        return Answer::Json(200, json!({"let_go": exchange.number}));
    }
    wrong(&format!("exchange {} is not held", exchange.number))
}

/// The body of a held request as it may be edited; nothing where it is no text, or not known whole.
fn editable(shared: &Shared, exchange: &Exchange) -> Option<String> {
    let is_held = shared.held.numbers().contains(&exchange.number);
    let body = (is_held && exchange.asked.is_whole()).then(|| exchange.ask_body())?;
    let text = String::from_utf8(body).ok()?;
    Some(if shared.shows_secrets { text } else { redact::numbered(&text) })
}

/// The exchange as it may be shown.
fn shown(shared: &Shared, exchange: &Exchange) -> Exchange {
    if shared.shows_secrets {
        return exchange.clone();
    }
    let line = export::line(exchange, Secrets::Hidden);
    export::read(&line).unwrap_or_else(|_| {
        // Where no secret can be taken out nothing is shown.
        let nothing = Tape::default;
        let (asked, answered, aside) = (nothing(), nothing(), nothing());
        let trailers = Vec::new();
        Exchange { ask: None, answer: None, asked, answered, aside, trailers, ..exchange.clone() }
    })
}

fn clean(shared: &Shared, exchange: &Exchange, asked: bool) -> Vec<u8> {
    let shown = shown(shared, exchange);
    let tape = if asked { &shown.asked } else { &shown.answered };
    tape.bytes().to_vec()
}

fn detail(shared: &Shared, exchange: &Exchange) -> Answer {
    let edit = editable(shared, exchange);
    let exchange = shown(shared, exchange);
    let view = decode::priced(&exchange, &shared.prices);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let times = exchange.times;
    let mut value = row(&exchange, &view);
    if let Some(fields) = value.as_object_mut() {
        let head = |head: Option<&Head>| head.map(|head| head.headers.clone());
        fields.insert(
            "times_ms".to_owned(),
            json!({
                "connected": times.connected.map(ms), "sent": times.sent.map(ms),
                "first": times.first.map(ms), "first_body": times.first_body.map(ms),
                "over": times.over.map(ms),
            }),
        );
        fields.insert(
            "request".to_owned(),
            json!({
                "headers": head(exchange.ask.as_ref()), "body": text(&exchange.ask_body()),
                "whole": exchange.asked.is_whole(), "read": decode::body(&exchange, Side::Ask),
                "edit": edit,
            }),
        );
        fields.insert(
            "response".to_owned(),
            json!({
                "headers": head(exchange.answer.as_ref()), "body": text(&exchange.answer_body()),
                "whole": exchange.answered.is_whole(),
                "read": decode::body(&exchange, Side::Answer),
            }),
        );
        fields.insert("view".to_owned(), serde_json::to_value(&view).unwrap_or_default());
    }
    Answer::Json(200, value)
}

fn differences(shared: &Shared, query: &str) -> Answer {
    let exchange = |name: &str| {
        let number = parameter(query, name).and_then(|text| text.parse().ok());
        number.and_then(|number| shared.book.get(number))
    };
    match (exchange("a"), exchange("b")) {
        (Some(a), Some(b)) => Answer::Json(200, json!({"differences": diff(&a, &b)})),
        _ => wrong("`a` and `b` must be numbers of exchanges that are remembered"),
    }
}

fn rules_now(shared: &Shared) -> Value {
    let rules = shared.rules.lock().clone();
    json!({"rules": rules.iter().map(Rule::text).collect::<Vec<_>>()})
}

fn set_rules(shared: &Shared, body: &[u8]) -> Answer {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return wrong("the body must be JSON: {\"rules\": [\"path=/v1/* status=529\"]}");
    };
    let Some(texts) = value.get("rules").and_then(Value::as_array) else {
        return wrong("`rules` must be a list of texts");
    };
    let parsed: Result<Vec<Rule>, _> =
        texts.iter().map(|text| Rule::parse(text.as_str().unwrap_or_default())).collect();
    match parsed {
        Ok(rules) => {
            shared.rule(rules);
            Answer::Json(200, rules_now(shared))
        }
        Err(why) => wrong(&why.to_string()),
    }
}

/// Every change as a server-sent event, until the watcher leaves.
async fn events(shared: &Shared, caller: &mut Caller) -> Next {
    let mut ends = shared.book.ends();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
                Connection: close\r\n\r\n";
    if caller.stream.write_all(head.as_bytes()).await.is_err() {
        return Next::Close;
    }
    loop {
        let number = match ends.recv().await {
            Ok(number) => number,
            // What was missed is seen in the list.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return Next::Close,
        };
        let Some(exchange) = shared.book.get(number) else { continue };
        let value = row(&exchange, &decode::priced(&exchange, &shared.prices)).to_string();
        let event = wire::frame::sse::encode(Some("exchange"), Some(number), &value);
        if caller.stream.write_all(&event).await.is_err() {
            return Next::Close;
        }
    }
}

/// The page that shows all this.
const PAGE: &str = include_str!("page.html");

fn whole(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Content-Security-Policy: default-src 'self' 'unsafe-inline'; img-src data:; \
         frame-ancestors 'none'\r\n\r\n",
        reason(status),
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        529 => "Overloaded",
        _ => "Status",
    }
}

/// The answer to a request whose target cannot be reached.
pub(super) fn unreached(target: &Target, why: &str) -> Vec<u8> {
    let value = json!({
        "error": format!("the target {target} {why}"),
        "hint": format!("the inspector runs; run `rapport doctor {}`", target.authority()),
    });
    whole(502, "application/json", value.to_string().as_bytes())
}

/// A refusal as a rule wants it, in the words of the API that the path belongs to.
pub(super) fn refusal(head: &Head, status: u16, retry_after: Option<u64>) -> Vec<u8> {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    };
    let text = "this answer was made by a rule of rapport inspect";
    let value = if head.path().contains("/messages") {
        json!({"type": "error", "error": {"type": kind, "message": text}})
    } else {
        json!({"error": {"type": kind, "code": status, "message": text}})
    };
    let mut bytes = whole(status, "application/json", value.to_string().as_bytes());
    if let Some(seconds) = retry_after {
        let line = format!("Retry-After: {seconds}\r\n");
        let place = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes.splice(place..place, line.into_bytes());
    }
    bytes
}
