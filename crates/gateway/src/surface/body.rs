//! Reads request bodies: media type, size, encoding, depth, JSON, and errors that name the field.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wire::fault::unread;
use wire::{Code, Fault};

use super::problem::Failed;
use crate::gate::Gateway;
use crate::settings::Limits;

/// Limit: bytes reserved because a caller said that so many would come. Pages that nobody writes to
/// cost nothing.
const RESERVED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A JSON body, checked and read into `T`, with the bytes it came from.
#[derive(Debug)]
pub struct Json<T> {
    /// What the body says.
    pub value: T,
    /// The exact bytes, for idempotency.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned> FromRequest<Gateway> for Json<T> {
    type Rejection = Failed;

    async fn from_request(request: Request, gate: &Gateway) -> Result<Self, Failed> {
        let snapshot = gate.now();
        let limits = &snapshot.settings.limits;
        let (head, body) = request.into_parts();
        let bytes = collect(body, limits).await?;
        // Nothing was said: every field is absent. Where the body is what is written, as in a PUT,
        // that would be a slip that empties something.
        if head.method == http::Method::POST && bytes.iter().all(u8::is_ascii_whitespace) {
            let value = parse_object(b"{}", limits.json_depth)?;
            return Ok(Self { value, bytes });
        }
        media_type(&head.headers)?;
        let value = parse_object(&bytes, limits.json_depth)?;
        Ok(Self { value, bytes })
    }
}

/// Reads a whole body within `limits.body_bytes`, with `limits.body_read` between two pieces.
///
/// # Errors
/// `payload_too_large`, `timeout` (stage `body_read`), `invalid_input` when the caller hung up.
pub async fn collect(mut body: Body, limits: &Limits) -> Result<Bytes, Fault> {
    let told = http_body::Body::size_hint(&body)
        .lower()
        .min(limits.body_bytes as u64)
        .min(RESERVED_BYTES_MAX);
    if http_body::Body::size_hint(&body).lower() > limits.body_bytes as u64 {
        return Err(too_large(limits.body_bytes));
    }
    let mut all = BytesMut::new();
    let mut first: Option<Bytes> = None;
    loop {
        let left = http_body::Body::size_hint(&body).lower();
        let frame = match tokio::time::timeout(limits.body_read, body.frame()).await {
            // Some bodies come in one piece, and tell meanwhile that less is to come.
            Err(_) if http_body::Body::size_hint(&body).lower() < left => continue,
            Err(_) => return Err(slow(limits.body_read)),
            Ok(None) => break,
            Ok(Some(Err(error))) => return Err(broken(error)),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        let so_far = all.len().max(first.as_ref().map_or(0, Bytes::len));
        if so_far.saturating_add(data.len()) > limits.body_bytes {
            return Err(too_large(limits.body_bytes));
        }
        // Most bodies are one piece, which is then kept as it is.
        if first.is_none() && all.is_empty() {
            first = Some(data);
        } else {
            if let Some(head) = first.take() {
                // Growing by doubling would move a long body as often as it doubles.
                all.reserve(usize::try_from(told).unwrap_or(0));
                all.extend_from_slice(&head);
            }
            all.extend_from_slice(&data);
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

/// Why a body could not be read to its end, as its reader says it.
fn broken(error: axum::Error) -> Fault {
    let inner = error.into_inner();
    let framing = inner.downcast_ref::<std::io::Error>();
    let framing = framing.filter(|error| error.kind() == std::io::ErrorKind::InvalidData);
    match framing.map(ToString::to_string) {
        Some(text) => Fault::new(Code::InvalidInput, text)
            .hint("send each chunk as its length in hexadecimal digits, CR LF, its bytes, CR LF"),
        None => Fault::new(Code::InvalidInput, "the body ended early")
            .because(std::io::Error::other(inner)),
    }
}

/// Requires `application/json` (or a `+json` type), not compressed: pages of other origins cannot
/// send it unasked.
///
/// # Errors
/// `unsupported_media_type`, naming the type or the compression that came.
pub fn media_type(headers: &HeaderMap) -> Result<(), Fault> {
    let packed = headers.get(CONTENT_ENCODING).map(|v| v.to_str().unwrap_or("?"));
    if let Some(name) = packed.filter(|name| !name.eq_ignore_ascii_case("identity")) {
        let text = format!("the body is encoded as `{}`, not read here", name.escape_default());
        return Err(Fault::new(Code::UnsupportedMediaType, text)
            .hint("send it as it is, without `Content-Encoding`")
            .details(json!({"expected": "identity", "got": name})));
    }
    let came = headers.get(CONTENT_TYPE).map(|v| v.to_str().unwrap_or("?")).unwrap_or_default();
    let media = came.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = media == "application/json"
        || (media.starts_with("application/") && media.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let text = if came.is_empty() {
        "the body has no media type".to_owned()
    } else {
        format!("the media type `{}` is not read here", came.escape_default())
    };
    Err(Fault::new(Code::UnsupportedMediaType, text)
        .hint("send `Content-Type: application/json`")
        .details(json!({"expected": "application/json", "got": came})))
}

/// Parses JSON into `T`.
///
/// # Errors
/// `invalid_encoding`, `invalid_json` or `invalid_input`, with field, line and column.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|cause| unread::not_text(&cause))?;
    nesting(bytes, depth)?;
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

/// Refuses JSON that is nested too deep.
///
/// # Errors
/// `invalid_input`, naming the limit.
pub fn nesting(bytes: &[u8], depth: usize) -> Result<(), Fault> {
    if wire::frame::json_depth_ok(bytes, depth) { Ok(()) } else { Err(too_deep(depth)) }
}

/// The fault of JSON that is nested deeper than this limit.
pub fn too_deep(depth: usize) -> Fault {
    let text = format!("the body is nested deeper than {depth} levels");
    Fault::new(Code::InvalidInput, text).hint("raise `limits.json_depth`")
}

/// Parses a JSON object into `T`.
///
/// # Errors
/// As [`parse`]; `invalid_input` for JSON of another type.
pub fn parse_object<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, Fault> {
    // Derived readers would take a list for an object whose fields come in order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(no_object(&parse(bytes, depth)?));
    }
    parse(bytes, depth)
}

fn no_object(got: &Value) -> Fault {
    let text = format!("the body must be an object, got {}", super::fields::kind_of(got));
    Fault::new(Code::InvalidInput, text)
}

/// Turns a parser's error into one that names the field and the place.
fn explain(text: &str, error: &serde_json::Error) -> Fault {
    let (line, column) = (error.line(), error.column());
    if !error.is_data() {
        return unread::not_json(text.as_bytes(), error);
    }
    let plain = error.to_string();
    let said = plain.split(" at line ").next().unwrap_or(&plain);
    let mut path = path_at(text, offset(text, line, column));
    let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    if let (Some(_), Some(Step::Field(name))) = (missing, path.last_mut()) {
        // The error stands at the end of the object; the last field there is another one.
        name.clear();
    }
    let field = render(&path);
    if let Some(name) = missing {
        let full = join(&field, name);
        return Fault::new(Code::MissingField, format!("the field `{full}` is missing"))
            .details(json!({"field": full, "line": line, "column": column}));
    }
    if let Some(name) = said.strip_prefix("unknown field `").and_then(|s| s.split('`').next()) {
        // The reader stops behind the name, so that the path ends with it.
        let full = if field.ends_with(name) { field } else { join(&field, name) };
        return Fault::new(Code::InvalidInput, said)
            .hint("the shapes of all bodies are in /openapi.json")
            .details(json!({"field": full, "line": line, "column": column}));
    }
    let subject = if field.is_empty() { "the body".to_owned() } else { format!("`{field}`") };
    let text = match plainly(said) {
        Some((want, got)) => format!("{subject} must be {want}, got {got}"),
        None => format!("{subject}: {said}"),
    };
    Fault::new(Code::InvalidInput, text)
        .hint("the shapes of all bodies are in /openapi.json")
        .details(json!({"field": field, "line": line, "column": column}))
}

/// The name of a field below another one, which may be none.
fn join(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

/// What was to come and what came, of "invalid type: GOT, expected WANT", in words of JSON instead
/// of those of this program. Texts are not repeated: they may be what somebody said.
fn plainly(said: &str) -> Option<(String, String)> {
    let (got, want) = said.strip_prefix("invalid type: ")?.rsplit_once(", expected ")?;
    let want = match want {
        "a sequence" => "a list",
        "a map" => "an object",
        "a borrowed string" => "a string",
        _ if want.starts_with("struct ") => "an object",
        _ => want,
    };
    let got = match got {
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        _ if got.starts_with("string ") => "a string".to_owned(),
        _ => match got.split_once(" `") {
            Some((_, value)) => format!("`{value}"),
            None => got.to_owned(),
        },
    };
    Some((want.to_owned(), got))
}

fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    start.saturating_add(column).min(text.len())
}

/// The path of the value that ends at or contains `offset`, such as `messages[2].role`.
fn path_at(text: &str, offset: usize) -> Vec<Step> {
    let mut stack: Vec<Step> = Vec::new();
    let mut bytes = text.bytes().enumerate().take(offset).peekable();
    let mut last_string = (0, 0);
    let mut is_key = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let mut end = at + 1;
                let mut escaped = false;
                for (place, byte) in bytes.by_ref() {
                    end = place;
                    if byte == b'"' && !escaped {
                        break;
                    }
                    escaped = byte == b'\\' && !escaped;
                }
                last_string = (at + 1, end);
                is_key = true;
            }
            b':' if is_key => {
                if let Some(Step::Field(name)) = stack.last_mut() {
                    *name = text.get(last_string.0..last_string.1).unwrap_or("?").to_owned();
                }
                is_key = false;
            }
            b',' => match stack.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                Some(Step::Field(name)) if at + 1 < offset => name.clear(),
                _ => {}
            },
            b'{' => stack.push(Step::Field(String::new())),
            b'[' => stack.push(Step::Index(0)),
            // The closing bracket of the bad value itself still belongs to its path.
            b'}' | b']' if at + 1 < offset => {
                stack.pop();
            }
            _ => {}
        }
    }
    stack
}

enum Step {
    Field(String),
    Index(usize),
}

fn render(stack: &[Step]) -> String {
    let mut out = String::new();
    for step in stack {
        match step {
            Step::Field(name) if name.is_empty() => {}
            Step::Field(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

pub(super) fn slow(limit: Duration) -> Fault {
    let text = format!("no byte of the body came for {} s", limit.as_secs());
    Fault::new(Code::Timeout, text)
        .details(json!({"stage": "body_read"}))
        .hint("send the whole body, or raise `limits.body_read`")
}

fn too_large(limit: usize) -> Fault {
    Fault::new(Code::PayloadTooLarge, format!("the body is larger than {limit} bytes"))
        .hint("send less, or raise `limits.body_bytes`")
        .details(json!({"limit_bytes": limit}))
}

/// A JSON object, empty when the body is empty, `null` or whitespace.
///
/// # Errors
/// As [`parse`]; `invalid_input` for JSON of another type.
pub fn object_or_empty(
    bytes: &[u8],
    depth: usize,
) -> Result<serde_json::Map<String, Value>, Fault> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(serde_json::Map::new());
    }
    match parse(bytes, depth)? {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(serde_json::Map::new()),
        other => Err(no_object(&other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors matter")]
    struct Turn {
        message: String,
        list: Option<Vec<Inner>>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors matter")]
    struct Inner {
        role: String,
    }

    #[track_caller]
    fn check(body: &str, code: Code, field: &str) {
        let fault = parse_object::<Turn>(body.as_bytes(), 10).unwrap_err();
        assert_eq!(fault.code(), code, "{fault:?}");
        let found = fault.detail_values().and_then(|d| d.get("field")).and_then(Value::as_str);
        assert_eq!(found.unwrap_or(""), field, "{fault:?}");
    }

    #[test]
    fn an_error_names_the_field() {
        check(r#"{"message": 5}"#, Code::InvalidInput, "message");
        check(r#"{"message": null}"#, Code::InvalidInput, "message");
        check(r#"{"list": null}"#, Code::MissingField, "message");
        check(
            r#"{"message":"a","list":[{"role":"b"},{"role":7}]}"#,
            Code::InvalidInput,
            "list[1].role",
        );
        check(
            r#"{"message": "a", "list": [{"role": "b", "more": 1}]}"#,
            Code::InvalidInput,
            "list[0].more",
        );
        check(r#"{"message": "a", "other": {}}"#, Code::InvalidInput, "other");
        check(r#"{"message": "a""#, Code::InvalidJson, "");
        check("not json", Code::InvalidJson, "");
        check(r#" ["message", []]"#, Code::InvalidInput, "");
        check(r#"["message""#, Code::InvalidJson, "");
        check(r#"{"a":[[[[[[[[[[[[1]]]]]]]]]]]]}"#, Code::InvalidInput, "");
    }

    #[test]
    fn an_error_speaks_of_json_and_repeats_no_text() {
        let said = |body: &str| parse::<Turn>(body.as_bytes(), 10).unwrap_err().text().to_owned();
        assert_eq!(said("null"), "the body must be an object, got null");
        assert_eq!(said(r#""secret""#), "the body must be an object, got a string");
        assert_eq!(said(r#"{"message":5}"#), "`message` must be a string, got `5`");
        assert_eq!(said(r#"{"message":{}}"#), "`message` must be a string, got an object");
        assert_eq!(said(r#"{"message":"a","list":true}"#), "`list` must be a list, got `true`");
        let secret = said(r#"{"message":"a","list":"secret"}"#);
        assert_eq!(secret, "`list` must be a list, got a string");
    }

    #[test]
    fn a_compressed_body_is_refused_by_the_name_of_its_compression() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("Identity"));
        assert!(media_type(&headers).is_ok());
        headers.insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        let fault = media_type(&headers).unwrap_err();
        assert_eq!(fault.code(), Code::UnsupportedMediaType);
        assert!(fault.text().contains("`gzip`"), "{fault:?}");
    }
}
