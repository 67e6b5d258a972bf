//! Faults on the way out: one table from code to status, one JSON form for all HTTP doors.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, StatusCode};
use serde_json::{Map, Value, json};
use wire::dialect::Dialect;
use wire::{Code, Fault};

use crate::model::{Culprit, culprit};

/// The status of each code: the only place that decides it.
#[must_use]
pub fn status(fault: &Fault) -> StatusCode {
    match fault.code() {
        Code::InvalidPort
        | Code::InvalidJson
        | Code::InvalidEncoding
        | Code::InvalidInput
        | Code::MissingField
        | Code::VersionMismatch
        | Code::ProtocolMismatch => StatusCode::BAD_REQUEST,
        Code::Unauthorized => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::ContextNotFound | Code::ContextExpired | Code::NotFound | Code::ModelNotFound => {
            StatusCode::NOT_FOUND
        }
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::Conflict | Code::Cancelled | Code::ContextClosed => StatusCode::CONFLICT,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::PayloadTooLarge if part(fault) == Some("head") => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Code::ContextTooLong | Code::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited | Code::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        Code::UpstreamError | Code::UpstreamInvalid => StatusCode::BAD_GATEWAY,
        Code::Timeout => timeout(fault),
        Code::UpstreamUnavailable | Code::Initializing | Code::Overloaded => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Code::StorageError => storage(fault),
        Code::ConfigurationError | Code::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The part of the request that is at fault, where that is said.
fn part(fault: &Fault) -> Option<&str> {
    fault.detail_values()?.get("part")?.as_str()
}

/// A slow caller is 408, a slow model 504, a full queue 503.
fn timeout(fault: &Fault) -> StatusCode {
    match fault.detail_values().and_then(|d| d.get("stage")).and_then(Value::as_str) {
        Some("header_read" | "body_read") => StatusCode::REQUEST_TIMEOUT,
        Some("queue") => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::GATEWAY_TIMEOUT,
    }
}

fn storage(fault: &Fault) -> StatusCode {
    match fault.detail_values().and_then(|d| d.get("reason")).and_then(Value::as_str) {
        Some("disk_full") => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Why a method is refused, and what would be right.
pub(super) fn not_allowed(method: &str, names: &[&str]) -> (String, String) {
    if names.contains(&method) {
        let text = format!("`{method}` is answered here within a session alone");
        let hint = "send POST with `initialize` first, then name its `mcp-session-id`, and for GET \
                    send `accept: text/event-stream`";
        return (text, hint.to_owned());
    }
    let text = format!("`{method}` is not a method of this path");
    (text, format!("use one of: {}", names.join(", ")))
}

/// The members that every JSON error of ours has, on every transport.
#[must_use]
pub fn object(fault: &Fault, request: &str) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("error".to_owned(), fault.text().into());
    out.insert("code".to_owned(), fault.code().as_str().into());
    out.insert("blame".to_owned(), fault.blame().label().into());
    out.insert("request_id".to_owned(), request.into());
    if let Some(hint) = fault.hint_text() {
        out.insert("hint".to_owned(), hint.into());
    }
    if let Some(details) = fault.detail_values() {
        out.insert("details".to_owned(), details.clone());
    }
    if let Some(wait) = fault.wait() {
        out.insert("retry_after_seconds".to_owned(), seconds(wait).into());
    }
    out
}

/// A fault on its way out of a handler; the door adds the request id and picks the form.
#[derive(Debug)]
pub struct Failed {
    /// What went wrong.
    pub fault: Fault,
    /// Further members of the error object, such as `ai_response`.
    pub extra: Option<Box<Map<String, Value>>>,
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self { fault, extra: None }
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let mut response = status(&self.fault).into_response();
        response.extensions_mut().insert(Shared(std::sync::Arc::new(self)));
        response
    }
}

/// A failed answer as a response extension (those must be `Clone`).
#[derive(Clone, Debug)]
pub(crate) struct Shared(pub(crate) std::sync::Arc<Failed>);

/// How a door writes its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// `application/problem+json` (RFC 9457).
    Native,
    /// The same members without those of RFC 9457.
    Plain,
    /// As the caller's dialect has them.
    Dialect(&'static dyn Dialect),
    /// As the APIs of Cohere, Jina and Voyage have them: one text.
    Message,
}

impl Form {
    /// The form of a door.
    pub(crate) fn of(surface: &str, headers: &http::HeaderMap) -> Self {
        let dialect = match surface {
            "native" => return Self::Native,
            "anthropic" => "anthropic",
            "models" | "openai" if headers.contains_key("anthropic-version") => "anthropic",
            "models" if headers.contains_key("x-goog-api-key") => "gemini",
            "openai" | "models" => "openai_chat",
            "gemini" => "gemini",
            "ollama" => "ollama_chat",
            "bedrock" => "bedrock_converse",
            "cohere" => return Self::Message,
            _ => return Self::Plain,
        };
        wire::dialect::named(dialect).map_or(Self::Plain, Self::Dialect)
    }
}

/// The upstream's own status, where a vendor's client must see it to do the right thing: what the
/// request itself got wrong must not look like an outage, or it is sent again and again. What is
/// ours to mend (the provider's key, its bill) stays a bad gateway.
fn passed_on(fault: &Fault) -> Option<StatusCode> {
    let details = fault.detail_values()?;
    let upstream = details.get("upstream_status")?.as_u64()?;
    let is_the_callers = match culprit(fault) {
        Culprit::Request | Culprit::Window | Culprit::Model | Culprit::Limit => true,
        Culprit::Key | Culprit::Quota | Culprit::Provider => false,
    };
    let status = StatusCode::from_u16(u16::try_from(upstream).ok()?).ok()?;
    (is_the_callers && status.is_client_error()).then_some(status)
}

/// Writes the error's body and headers.
pub(crate) fn write(failed: &Failed, request: &str, form: Form) -> Response {
    let fault = &failed.fault;
    let status = match form {
        Form::Dialect(_) | Form::Message => passed_on(fault).unwrap_or_else(|| status(fault)),
        Form::Native | Form::Plain => status(fault),
    };
    let mut out = Map::new();
    if matches!(form, Form::Native) {
        let code = fault.code().as_str();
        out.insert("type".to_owned(), format!("https://rapport.dev/errors/{code}").into());
        out.insert("title".to_owned(), status.canonical_reason().unwrap_or("Error").into());
        out.insert("status".to_owned(), status.as_u16().into());
        out.insert("detail".to_owned(), fault.text().into());
    }
    out.extend(object(fault, request));
    if let Some(extra) = &failed.extra {
        out.extend(Map::clone(extra));
    }
    let (body, media) = match form {
        Form::Native => (Value::Object(out).to_string().into(), "application/problem+json"),
        Form::Plain => (Value::Object(out).to_string().into(), "application/json"),
        Form::Dialect(dialect) => (dialect.refuse(status.as_u16(), fault), "application/json"),
        Form::Message => (message(fault), "application/json"),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    if let Some(wait) = fault.wait() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(wait)));
    }
    if fault.code() == Code::Unauthorized {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"rapport\""));
    }
    response
}

/// The text under both names that clients of these APIs look at.
fn message(fault: &Fault) -> Vec<u8> {
    let text = match fault.hint_text() {
        Some(hint) => format!("{} ({hint})", fault.text()),
        None => fault.text().to_owned(),
    };
    json!({"message": text, "detail": text, "code": fault.code().as_str()}).to_string().into()
}

/// Whole seconds, rounded up: a caller that waits so long is not too early.
fn seconds(wait: std::time::Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// The error object of transports without headers, on one line.
#[must_use]
pub fn line(fault: &Fault, request: &str) -> String {
    Value::Object(object(fault, request)).to_string()
}

/// The header that carries the request id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The table of codes as the documentation prints it.
#[must_use]
pub fn table() -> Value {
    let row = |code: &Code| {
        let fault = Fault::new(*code, "");
        json!({"code": code.as_str(), "kind": code.kind().label(),
               "blame": code.blame().label(), "status": status(&fault).as_u16()})
    };
    Code::ALL.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_codes_is_as_documented() {
        let rows: Vec<String> = table()
            .as_array()
            .unwrap()
            .iter()
            .map(|r| format!("{} {} {} {}", r["code"], r["kind"], r["blame"], r["status"]))
            .collect();
        insta::assert_snapshot!(rows.join("\n").replace('"', ""));
    }

    #[tokio::test]
    async fn no_error_shows_its_cause() {
        for code in Code::ALL {
            let fault = Fault::new(*code, "text").because(std::io::Error::other("sk-secret"));
            let response = write(&fault.into(), "r1", Form::Native);
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let body = String::from_utf8(body.to_vec()).unwrap();
            assert!(!body.contains("sk-secret"), "{body}");
            assert!(body.contains("\"request_id\":\"r1\""), "{body}");
        }
    }
}
