//! Who is to blame for a call that failed, so that the right thing is done about it.

use serde_json::Value;
use wire::{Code, Fault};

/// Who, or what, made a call fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The request itself: it fails everywhere.
    Request,
    /// The request is too long for this model: one with a larger window may take it.
    Window,
    /// The model is not there, or not for us.
    Model,
    /// The key does not count.
    Key,
    /// The key's money or plan is used up.
    Quota,
    /// Too much in too short a time.
    Limit,
    /// The provider, or the way to it.
    Provider,
}

impl Culprit {
    /// The word for it in answers and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Window => "window",
            Self::Model => "model",
            Self::Key => "key",
            Self::Quota => "quota",
            Self::Limit => "limit",
            Self::Provider => "provider",
        }
    }

    /// Whether the same request may succeed with another key of the same provider.
    #[must_use]
    pub fn is_of_the_key(self) -> bool {
        matches!(self, Self::Key | Self::Quota | Self::Limit)
    }

    /// Whether the same request may succeed at another provider or model.
    #[must_use]
    pub fn is_elsewhere(self) -> bool {
        self != Self::Request
    }
}

/// What upstreams write when a prompt is too long.
const TOO_LONG: &[&str] = &[
    "context length",
    "context_length",
    "maximum context",
    "context window",
    "prompt is too long",
    "input is too long",
    "too many tokens",
    "exceeds the maximum number of tokens",
    "input token count",
    "reduce the length",
];
/// What they write when money is missing.
const NO_MONEY: &[&str] = &[
    "credit balance",
    "insufficient_quota",
    "insufficient quota",
    "insufficient balance",
    "insufficient credits",
    "exceeded your current quota",
    "billing_hard_limit",
    "billing hard limit",
    "spending limit",
    "requires more credits",
];
/// What they write when a key is wrong, where the status does not say it.
const BAD_KEY: &[&str] =
    &["api key not valid", "invalid api key", "incorrect api key", "api_key_invalid"];
/// What they write when a model is missing, where the status does not say it.
const NO_MODEL: &[&str] = &[
    "model_not_found",
    "model not found",
    "does not exist",
    "unknown model",
    "not a valid model",
    "no such model",
    "model is not supported",
];

/// Finds the culprit in a fault of an upstream call.
#[must_use]
pub fn culprit(fault: &Fault) -> Culprit {
    let detail = |name: &str| fault.detail_values().and_then(|details| details.get(name));
    let status = detail("upstream_status").and_then(Value::as_u64);
    let word = |name: &str| detail(name).and_then(Value::as_str).unwrap_or_default();
    let said = format!("{} {} {}", word("upstream_type"), word("upstream_code"), fault.text());
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match status {
        _ if fault.code() == Code::ConfigurationError => Culprit::Key,
        _ if says(NO_MONEY) => Culprit::Quota,
        Some(402) => Culprit::Quota,
        Some(401 | 403) => Culprit::Key,
        Some(429) => Culprit::Limit,
        Some(404 | 410) => Culprit::Model,
        Some(400..=499) if says(TOO_LONG) => Culprit::Window,
        Some(400..=499) if says(BAD_KEY) => Culprit::Key,
        Some(400..=499) if says(NO_MODEL) => Culprit::Model,
        Some(408 | 409 | 425) => Culprit::Provider,
        Some(400..=499) => Culprit::Request,
        Some(_) => Culprit::Provider,
        None => match fault.code() {
            Code::UpstreamUnavailable
            | Code::UpstreamError
            | Code::UpstreamInvalid
            | Code::Timeout
            | Code::Overloaded
            | Code::InternalError => Culprit::Provider,
            Code::RateLimited | Code::QuotaExceeded => Culprit::Limit,
            Code::ContextTooLong => Culprit::Window,
            Code::ModelNotFound => Culprit::Model,
            _ => Culprit::Request,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(dialect: &str, status: u16, body: &str) -> Culprit {
        let dialect = wire::dialect::named(dialect).expect("a dialect");
        culprit(&dialect.fault(status, &|_| None, body.as_bytes()))
    }

    #[test]
    fn error_answers_of_many_upstreams_have_one_culprit_each() {
        use Culprit::{Key, Limit, Model, Provider, Quota, Request, Window};
        let openai = |kind: &str, code: &str, text: &str| {
            format!(
                "{{\"error\":{{\"message\":\"{text}\",\"type\":\"{kind}\",\"code\":\"{code}\"}}}}"
            )
        };
        let claude = |kind: &str, text: &str| {
            format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\"message\":\"{text}\"}}}}"
            )
        };
        let quota = openai("insufficient_quota", "insufficient_quota", "You exceeded your quota");
        let long = openai(
            "invalid_request_error",
            "context_length_exceeded",
            "This model's maximum context length is 8192 tokens",
        );
        let gone = openai("invalid_request_error", "model_not_found", "The model does not exist");
        let poor = claude("invalid_request_error", "Your credit balance is too low to access");
        let prompt = claude("invalid_request_error", "prompt is too long: 210000 tokens > 200000");
        let google = "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a \
                      valid API key.\",\"status\":\"INVALID_ARGUMENT\"}}";
        let cases: &[(&str, u16, &str, Culprit)] = &[
            ("openai_chat", 401, &openai("x", "invalid_api_key", "Incorrect API key"), Key),
            ("openai_chat", 403, "", Key),
            ("openai_chat", 429, &quota, Quota),
            ("openai_chat", 429, &openai("tokens", "rate_limit_exceeded", "slow down"), Limit),
            ("openai_chat", 400, &long, Window),
            ("openai_chat", 404, &gone, Model),
            ("openai_chat", 400, &gone, Model),
            ("openai_chat", 400, &openai("invalid_request_error", "x", "bad role"), Request),
            ("openai_chat", 422, "{\"detail\":\"field required\"}", Request),
            ("openai_chat", 500, "oops", Provider),
            ("openai_chat", 502, "<html>bad gateway</html>", Provider),
            ("openai_chat", 524, "", Provider),
            ("openai_chat", 402, "{\"error\":{\"message\":\"Insufficient Balance\"}}", Quota),
            ("anthropic", 529, &claude("overloaded_error", "Overloaded"), Provider),
            ("anthropic", 400, &poor, Quota),
            ("anthropic", 400, &prompt, Window),
            ("anthropic", 413, &claude("request_too_large", "too large"), Request),
            ("anthropic", 404, &claude("not_found_error", "model: claude-x"), Model),
            ("anthropic", 429, &claude("rate_limit_error", "slow down"), Limit),
            ("gemini", 400, google, Key),
            ("gemini", 503, "{\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}}", Provider),
            ("ollama_chat", 404, "{\"error\":\"model 'x' not found, try pulling it\"}", Model),
        ];
        for (dialect, status, body, wanted) in cases {
            assert_eq!(of(dialect, *status, body), *wanted, "{dialect} {status} {body}");
        }
        let lost = Fault::new(Code::UpstreamUnavailable, "refused");
        assert_eq!(culprit(&lost), Provider);
    }
}
