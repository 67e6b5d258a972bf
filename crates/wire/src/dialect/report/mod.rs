//! An upstream's error answers, as faults: what it says, whose fault it is, when to try again.

#[cfg(test)]
mod tests;
mod wait;

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::excerpt::{sentence, shape};
use super::fields::{self, Fields};
use crate::fault::{Blame, Code, Fault};

/// Limit: objects around the text of an error.
const TEXT_DEPTH: u32 = 3;

/// What an upstream says about an error, in any of the shapes in use.
#[derive(Debug, Default)]
pub(super) struct Report {
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
    wait: Option<Duration>,
}

impl Report {
    /// Reads `{"error": {"type", "code", "message"}}`, `{"error": "…"}`, a list of `errors`, or
    /// the bare object with a `message` or `detail`; `None` when the value is nothing of the kind.
    pub(super) fn read(body: &RawValue) -> Option<Self> {
        if let Some(items) = fields::items(body) {
            // Some send what would have been a stream as a list.
            return items
                .into_iter()
                .next()
                .filter(|raw| raw.get().starts_with('{'))
                .and_then(Self::read);
        }
        let body = Fields::read(body)?;
        let first = |raw| fields::items(raw).and_then(|items| items.into_iter().next());
        let error = body.find("error").or_else(|| body.find("errors"));
        let report = match error.map(|error| first(error).unwrap_or(error)) {
            Some(error) => match fields::string(error) {
                Some(message) => {
                    let wait = wait::by_words(&message);
                    Self { message: Some(message.into_owned()), wait, ..Self::of(&body) }
                }
                None => Self::of(&Fields::read(error)?),
            },
            None => {
                let report = Self::of(&body);
                report.message.is_some().then_some(report)?
            }
        };
        Some(report)
    }

    fn of(error: &Fields<'_>) -> Self {
        let own = |name: &str| error.string(name).map(Cow::into_owned);
        let any = |names: &[&str]| names.iter().find_map(|name| own(name));
        // The code is a word at OpenAI and a number at most of those who follow it.
        let number = || error.find("code").map(|raw| raw.get().to_owned());
        // Some write the name of a type behind that of its house.
        let bare = |name: String| name.rsplit('#').next().map(str::to_owned);
        let kind = any(&["type", "error_type"]).or_else(|| own("__type").and_then(bare));
        let message = ["message", "Message", "detail", "msg", "error_message"];
        let message = message.iter().find_map(|name| text(error.find(name)?, TEXT_DEPTH));
        // Who asks others for us says what they answered.
        let inner = error.find("metadata").and_then(Fields::read);
        let inner = inner.and_then(|inner| inner.string("raw"));
        let message = match (message, inner) {
            (Some(message), Some(inner)) => Some(format!("{message}: {inner}")),
            (message, inner) => message.or(inner.map(Cow::into_owned)),
        };
        let delay = error.find("details").and_then(fields::items).unwrap_or_default();
        let delay = delay.into_iter().find_map(|raw| Fields::read(raw)?.string("retryDelay"));
        Self {
            kind: kind.or_else(|| own("status")),
            code: any(&["code", "error_code"]).or_else(number),
            wait: delay
                .and_then(|text| wait::span(&text))
                .or_else(|| wait::by_words(message.as_deref()?)),
            message,
        }
    }

    /// The same with the name that stood elsewhere, where it had none.
    pub(super) fn named(mut self, name: &str) -> Self {
        if self.kind.is_none() && self.code.is_none() {
            self.kind = Some(name.to_owned()).filter(|name| !name.is_empty());
        }
        self
    }

    /// The status that says the same as the report's words, where they are known.
    fn status(&self) -> Option<u16> {
        let words = [self.code.as_deref(), self.kind.as_deref()];
        words.into_iter().flatten().find_map(|word| {
            Some(match word {
                "ValidationException" | "validationException" => 400,
                "AccessDeniedException" => 403,
                "ResourceNotFoundException" => 404,
                "ThrottlingException" | "throttlingException" => 429,
                "ServiceUnavailableException" | "serviceUnavailableException" => 503,
                "invalid_request_error" | "context_length_exceeded" => 400,
                "INVALID_ARGUMENT" | "FAILED_PRECONDITION" => 400,
                "UNAUTHENTICATED" => 401,
                "PERMISSION_DENIED" => 403,
                "NOT_FOUND" => 404,
                "RESOURCE_EXHAUSTED" => 429,
                "UNAVAILABLE" => 503,
                "DEADLINE_EXCEEDED" => 504,
                "authentication_error" | "invalid_api_key" => 401,
                "billing_error" => 402,
                "permission_error" => 403,
                "not_found_error" | "model_not_found" => 404,
                "conflict_error" => 409,
                "request_too_large" => 413,
                "rate_limit_error" | "rate_limit_exceeded" | "insufficient_quota" => 429,
                "api_error" | "server_error" | "internal_server_error" => 500,
                "timeout_error" => 504,
                "overloaded_error" => 529,
                _ => word.parse().ok().filter(|status| (400..600).contains(status))?,
            })
        })
    }

    /// What the upstream calls the error, its message apart.
    fn name(&self) -> Option<String> {
        self.kind.as_deref().or(self.code.as_deref()).map(sentence).filter(|name| !name.is_empty())
    }

    /// The fault of an error that came in mid-stream, after a good status.
    pub(super) fn streamed(&self) -> Fault {
        let name = self.name().unwrap_or_else(|| "error".to_owned());
        let mut details = Map::new();
        self.describe(&mut details);
        // An error without a name that means anything ends the stream as an overload would: the
        // request was accepted, so it cannot be at fault.
        let fault = judge(self.status().unwrap_or(500), &name, self);
        patient(fault, self.wait).details(Value::Object(details))
    }

    fn describe(&self, details: &mut Map<String, Value>) {
        if let Some(kind) = &self.kind {
            details.insert("upstream_type".to_owned(), sentence(kind).into());
        }
        if let Some(code) = &self.code {
            details.insert("upstream_code".to_owned(), sentence(code).into());
        }
    }
}

/// Reads an error answer of any of the dialects.
///
/// The details name `upstream_status`, and where known `upstream_type`, `upstream_code`,
/// `upstream_request_id`, `should_retry` (the upstream's own word on it) and `retry_after` (the
/// header as it came, when it is a date: only the reader has a clock).
pub(super) fn answer(status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
    let json: Option<&RawValue> = serde_json::from_slice(body).ok();
    let report = json.and_then(Report::read);
    let mut details = Map::new();
    details.insert("upstream_status".to_owned(), status.into());
    let Some(report) = report else {
        let shape = Some(shape(body)).filter(|text| !text.is_empty());
        return timed(kept(judge_bare(status), shape), header, (details, None));
    };
    // Some services name the type of an error in a header, maybe with an address behind it.
    let named = header("x-amzn-errortype").unwrap_or_default();
    let report = report.named(named.split(':').next().unwrap_or_default());
    report.describe(&mut details);
    if report.code.as_deref() == Some("insufficient_quota") {
        // Waiting does not help: the account has to be topped up.
        details.insert("should_retry".to_owned(), false.into());
    }
    let name = match report.name() {
        Some(name) => format!("{status} {name}"),
        None => status.to_string(),
    };
    timed(judge(status, &name, &report), header, (details, report.wait))
}

/// Sorts an error by its status.
fn judge(status: u16, name: &str, report: &Report) -> Fault {
    let says = report.message.as_deref().map(sentence).filter(|text| !text.is_empty());
    let tail = says.as_ref().map_or_else(String::new, |text| format!(": {text}"));
    match status {
        // The message may repeat parts of our key, so it stays in the log.
        401 | 403 => {
            let text = format!("the upstream refuses our credentials (`{name}`)");
            let fault = Fault::new(Code::UpstreamError, text).blamed(Blame::Us).hint(
                "check the key of this provider (its environment variable or configuration) and \
                 what the key may use",
            );
            kept(fault, says)
        }
        402 => {
            let text = format!("the upstream wants payment (`{name}`)");
            let fault = Fault::new(Code::UpstreamError, text).blamed(Blame::Us);
            kept(fault.hint("check the billing of the provider's account"), says)
        }
        408 | 424 | 429 | 500.. => {
            let text = format!("the upstream is not available (`{name}`){tail}");
            Fault::new(Code::UpstreamUnavailable, text)
        }
        400..500 => {
            let text = format!("the upstream refuses the request (`{name}`){tail}");
            Fault::new(Code::UpstreamError, text).blamed(Blame::Caller)
        }
        _ => unexpected(status),
    }
}

/// Keeps the upstream's message for the log only.
fn kept(fault: Fault, says: Option<String>) -> Fault {
    match says {
        Some(says) => fault.because(says),
        None => fault,
    }
}

/// Sorts an answer that is not an error report of a model API.
fn judge_bare(status: u16) -> Fault {
    match status {
        // A proxy in between, or a server that is no model API.
        404 | 405 | 501 => {
            let text = format!("the upstream has no model API at this address (`{status}`)");
            Fault::new(Code::UpstreamError, text)
                .blamed(Blame::Us)
                .hint("check the base URL of this provider")
        }
        400..=599 => judge(status, &status.to_string(), &Report::default()),
        _ => unexpected(status),
    }
}

fn unexpected(status: u16) -> Fault {
    Fault::new(Code::UpstreamError, format!("the upstream answered with status `{status}`"))
        .blamed(Blame::Us)
        .hint("check the base URL of this provider")
}

/// Adds the time to wait, if there is one and waiting helps.
fn patient(fault: Fault, wait: Option<Duration>) -> Fault {
    match wait.filter(|_| fault.code() == Code::UpstreamUnavailable) {
        Some(wait) => fault.retry_after(wait),
        None => fault,
    }
}

/// Adds what the headers say about another try, and what the report says where they are silent.
fn timed(
    mut fault: Fault,
    header: &dyn Fn(&str) -> Option<String>,
    (mut details, said): (Map<String, Value>, Option<Duration>),
) -> Fault {
    let wait = wait::by_headers(header);
    if let Some(wait) = wait {
        fault = fault.retry_after(wait);
    } else if let Some(date) = header("retry-after") {
        details.insert("retry_after".to_owned(), sentence(&date).into());
    } else {
        fault = patient(fault, said);
    }
    if let Some(retry) = header("x-should-retry").and_then(|text| text.trim().parse().ok()) {
        details.insert("should_retry".to_owned(), Value::Bool(retry));
    }
    let id = ["request-id", "x-request-id", "x-amzn-requestid", "apim-request-id"];
    if let Some(id) = id.into_iter().find_map(header) {
        details.insert("upstream_request_id".to_owned(), sentence(&id).into());
    }
    fault.details(Value::Object(details))
}

/// The text of a value: a string, or what a checker of requests found wrong.
fn text(raw: &RawValue, depth: u32) -> Option<String> {
    if let Some(text) = fields::string(raw) {
        return Some(text.into_owned());
    }
    if let Some(items) = fields::items(raw) {
        let wrong = Fields::read(items.into_iter().next()?)?;
        let place = wrong.find("loc").and_then(fields::items).unwrap_or_default();
        let place: Vec<String> = place
            .into_iter()
            .map(|part| fields::string(part).map_or_else(|| part.get().to_owned(), Cow::into_owned))
            .collect();
        let says = wrong.string("msg").or_else(|| wrong.string("message"))?;
        return Some(match place.as_slice() {
            [] => says.into_owned(),
            place => format!("{}: {says}", place.join(".")),
        });
    }
    let inner = Fields::read(raw)?;
    let names = ["detail", "message", "msg", "error"];
    let depth = depth.checked_sub(1)?;
    names.into_iter().find_map(|name| text(inner.find(name)?, depth))
}
