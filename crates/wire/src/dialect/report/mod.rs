//! An upstream's error answers, as faults: what it says, whose fault it is, when to try again.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::excerpt::{excerpt, sentence};
use super::fields::{self, Fields};
use crate::fault::{Blame, Code, Fault};

/// Limit: no upstream makes us wait longer than a day.
const WAIT_SECONDS_MAX: f64 = 86_400.0;

/// What an upstream says about an error, in any of the shapes in use.
#[derive(Debug, Default)]
pub(super) struct Report {
    kind: Option<String>,
    code: Option<String>,
    message: Option<String>,
}

impl Report {
    /// Reads `{"error": {"type", "code", "message"}}`, `{"error": "…"}` or the bare object with a
    /// `message`, `Message` or `detail`; `None` when the value is nothing of the kind.
    pub(super) fn read(body: &RawValue) -> Option<Self> {
        let body = Fields::read(body)?;
        let Some(error) = body.find("error") else {
            let names = ["message", "Message", "detail"];
            let message = names.iter().find_map(|name| body.string(name))?;
            return Some(Self { message: Some(message.into_owned()), ..Self::of(&body) });
        };
        if let Some(message) = fields::string(error) {
            return Some(Self { message: Some(message.into_owned()), ..Self::default() });
        }
        Some(Self::of(&Fields::read(error)?))
    }

    fn of(error: &Fields<'_>) -> Self {
        let own = |name: &str| error.string(name).map(Cow::into_owned);
        // The code is a word at OpenAI and a number at most of those who follow it.
        let number = || error.find("code").map(|raw| raw.get().to_owned());
        // Some write the name of a type behind that of its house.
        let bare = |name: String| name.rsplit('#').next().map(str::to_owned);
        let kind = own("type").or_else(|| own("__type").and_then(bare));
        Self { kind, code: own("code").or_else(number), message: own("message") }
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
        judge(self.status().unwrap_or(500), &name, self).details(Value::Object(details))
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
        let excerpt = Some(excerpt(body)).filter(|text| !text.is_empty());
        return timed(kept(judge_bare(status), excerpt), header, details);
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
    timed(judge(status, &name, &report), header, details)
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

/// Adds what the headers say about another try.
fn timed(
    mut fault: Fault,
    header: &dyn Fn(&str) -> Option<String>,
    mut details: Map<String, Value>,
) -> Fault {
    let seconds = |text: &str, scale: f64| {
        let value: f64 = text.trim().parse().ok()?;
        let value = (value / scale).clamp(0.0, WAIT_SECONDS_MAX);
        Duration::try_from_secs_f64(value).ok()
    };
    let after = header("retry-after");
    let wait = header("retry-after-ms")
        .and_then(|text| seconds(&text, 1000.0))
        .or_else(|| seconds(after.as_deref()?, 1.0));
    if let Some(wait) = wait {
        fault = fault.retry_after(wait);
    } else if let Some(date) = after {
        details.insert("retry_after".to_owned(), sentence(&date).into());
    }
    if let Some(retry) = header("x-should-retry").and_then(|text| text.trim().parse().ok()) {
        details.insert("should_retry".to_owned(), Value::Bool(retry));
    }
    if let Some(id) = header("request-id").or_else(|| header("x-request-id")) {
        details.insert("upstream_request_id".to_owned(), sentence(&id).into());
    }
    fault.details(Value::Object(details))
}
