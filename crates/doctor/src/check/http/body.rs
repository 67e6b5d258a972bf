//! What is wrong with the body of an answer whose status is fine.

use serde_json::Value;

use super::Seen;
use crate::probe::http::Answer;
use crate::report::{Fix, Verdict};
use crate::sockets::redact;

/// Limit: how much of a server's own words is shown.
const SHOWN_MAX: usize = 160;

/// What the server itself says, in one short line.
pub(super) fn said(answer: &Answer) -> Option<String> {
    message(answer).map(|line| format!("the server says: {line}"))
}

/// The message of an error, or the first line of the body.
pub(super) fn message(answer: &Answer) -> Option<String> {
    let json = answer.json();
    let text = json.as_ref().and_then(in_json).unwrap_or_else(|| words(&answer.body));
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(redact::line(line).chars().take(SHOWN_MAX).collect())
}

/// A text, or the title of a web page: its first line is a tag.
fn words(body: &str) -> String {
    let start = body.trim_start();
    if !start.starts_with('<') {
        return body.to_owned();
    }
    let lower = start.to_ascii_lowercase();
    let from = lower.find("<title>").map(|at| at + "<title>".len());
    let title = from.and_then(|from| start.get(from..lower.find("</title>")?));
    title.map_or_else(String::new, str::to_owned)
}

fn in_json(value: &Value) -> Option<String> {
    let error = value.get("error").unwrap_or(value);
    if let Some(list) = value.get("detail").and_then(Value::as_array) {
        let first = list.first()?;
        let place = first.get("loc").and_then(Value::as_array).map(|parts| {
            let parts = parts.iter().map(|part| match part {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            parts.collect::<Vec<String>>().join(".")
        });
        let message = first.get("msg").and_then(Value::as_str).unwrap_or_default();
        return Some(format!("{}: {message}", place.unwrap_or_default()));
    }
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let own = error.as_str().map(str::to_owned);
    own.or_else(|| text("message")).or_else(|| text("detail")).or_else(|| text("title"))
}

/// Whether programs rather than people ask for a path.
fn is_api(path: &str) -> bool {
    ["/v1", "/api/", "/mcp", ".json"].iter().any(|part| path.contains(part))
}

pub(super) fn fault(seen: &Seen<'_>) -> Option<Verdict> {
    let answer = seen.answer;
    if !(200..300).contains(&answer.status) || answer.status == 204 || !seen.path_was_asked {
        return None;
    }
    let kind = answer.kind();
    if kind == "text/event-stream" || crate::check::stream::looks_like_events(&answer.body) {
        // The check of streams judges these, also when they are called something else.
        return None;
    }
    let is_json = kind == "application/json" || kind.ends_with("+json");
    if answer.raw.is_empty() {
        return (answer.status == 200 && (is_json || is_api(&answer.path))).then(|| {
            Verdict::likely("http.empty", "the server answers 200 without a body")
                .fix(Fix::say("look at its log; the handler of this path returns nothing"))
        });
    }
    encoding(answer, is_json).or_else(|| content(answer, &kind, is_json))
}

/// The bytes are not what the headers say.
fn encoding(answer: &Answer, is_json: bool) -> Option<Verdict> {
    let coding = answer.header("content-encoding").unwrap_or_default().to_ascii_lowercase();
    if coding.contains("gzip") && !answer.raw.starts_with(&[0x1f, 0x8b]) {
        let sentence = "the answer says that it is compressed (gzip), and it is not";
        return Some(
            Verdict::certain("http.bad_encoding", sentence)
                .fix(Fix::say("remove Content-Encoding from the server's or the proxy's answer")),
        );
    }
    if !is_json || !(coding.is_empty() || coding == "identity") {
        return None;
    }
    if answer.raw.starts_with(&[0xef, 0xbb, 0xbf]) {
        let sentence = "the JSON begins with a byte-order mark, which strict readers refuse";
        return Some(
            Verdict::certain("http.json_bom", sentence)
                .because("its first bytes are ef bb bf")
                .fix(Fix::say("let the server write UTF-8 without a byte-order mark")),
        );
    }
    let error = std::str::from_utf8(&answer.raw).err()?;
    // Bytes that are cut at the end of what was read are no fault.
    error.error_len()?;
    let at = error.valid_up_to();
    let byte = answer.raw.get(at).copied().unwrap_or_default();
    Some(
        Verdict::certain("http.bad_encoding", "the JSON is not UTF-8, as JSON must be")
            .because(format!("byte {at} is {byte:02x}"))
            .fix(Fix::say("let the server write UTF-8; single bytes above 7f are often Latin-1")),
    )
}

fn content(answer: &Answer, kind: &str, is_json: bool) -> Option<Verdict> {
    // A part of a body proves nothing.
    let whole = answer.raw.len() < 60_000;
    let parsed = serde_json::from_slice::<Value>(&answer.raw);
    match &parsed {
        Ok(Value::Object(_) | Value::Array(_)) if kind == "text/html" => {
            let sentence = "the answer is JSON, and the server calls it a web page (text/html)";
            Some(
                Verdict::certain("http.wrong_content_type", sentence)
                    .fix(Fix::say("set `Content-Type: application/json` in the server")),
            )
        }
        Ok(value) if is_json && is_error(value) => {
            let sentence = "the server answers 200 with an error inside";
            let said = in_json(value).unwrap_or_default();
            Some(
                Verdict::likely("http.error_in_200", sentence)
                    .because(format!("the server says: {said}"))
                    .fix(Fix::say("mend what the message says; a model that stopped is restarted")),
            )
        }
        Err(error) if is_json && whole && answer.header("content-encoding").is_none() => Some(
            Verdict::certain("http.bad_json", "the answer says that it is JSON, and it is not")
                .because(format!("the reader says: {error}"))
                .fix(Fix::say("mend the server: it writes this text by hand, or was cut")),
        ),
        _ if kind == "text/html" && is_api(&answer.path) => {
            let sentence = format!("a web page answers at {}, where an API was meant", answer.path);
            Some(Verdict::likely("http.html_not_json", sentence).fix(Fix::say(
                "use the API's own port and path: a front end answers every path with its page",
            )))
        }
        _ => None,
    }
}

fn is_error(value: &Value) -> bool {
    match value.get("error") {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(fields)) => fields.contains_key("message"),
        _ => false,
    }
}
