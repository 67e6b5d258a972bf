//! Who is to blame for a call that failed, so that the right thing is done about it.

use serde_json::Value;

use super::{Blame, Code, Fault};

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
    "context size",
    "maximum context",
    "context window",
    "max_model_len",
    "maximum model length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "too many tokens",
    "too many input tokens",
    "exceeds the maximum number of tokens",
    "exceeds the limit of tokens",
    "input token count",
    "maximum input length",
    "reduce the length",
    "reduce your message size",
    "too large for model",
];
/// What they write when money is missing.
const NO_MONEY: &[&str] = &[
    "credit balance",
    "insufficient_quota",
    "insufficient quota",
    "insufficient balance",
    "insufficient credits",
    "insufficient funds",
    "used all available credits",
    "run out of credits",
    "out of credits",
    "billing_hard_limit",
    "billing hard limit",
    "billing to be enabled",
    "billing disabled",
    "reached its monthly spending limit",
    "spending limit",
    "requires more credits",
    "prepayment credits",
];
/// What they write for missing money and for too many requests alike: a time to wait tells.
const MAYBE_MONEY: &[&str] = &["exceeded your current quota", "quota exceeded"];
/// What they write when a key is wrong, where the status does not say it.
const BAD_KEY: &[&str] = &[
    "api key not valid",
    "invalid api key",
    "invalid_api_key",
    "incorrect api key",
    "api_key_invalid",
    "api key expired",
    "security token included in the request is invalid",
    "authentication_error",
    "unauthenticated",
];
/// What they write when a model is missing, where the status does not say it.
const NO_MODEL: &[&str] = &[
    "model_not_found",
    "unknown model",
    "unknown_model",
    "not a valid model",
    "no such model",
    "model_not_available",
    "invalid model",
    "model identifier is invalid",
    "access to the model",
    "no endpoints found",
    "deploymentnotfound",
];
/// The same after the word `model`.
const GONE: &[&str] = &[
    "does not exist",
    "not found",
    "is not supported",
    "not available",
    "decommissioned",
    "have access to",
    "has been deprecated",
];
/// What they write when a request was judged by its content, where the status says otherwise.
const FLAGGED: &[&str] = &["moderation", "flagged", "content policy", "content_policy"];
/// What they write when too much came in too short a time, where there is no status.
const TOO_FAST: &[&str] = &[
    "rate_limit",
    "rate limit",
    "ratelimit",
    "throttl",
    "resource_exhausted",
    "too many requests",
    "too_many_requests",
];

/// Finds the culprit in a fault of an upstream call: by the status, and by words where the status
/// says too little.
#[must_use]
pub fn culprit(fault: &Fault) -> Culprit {
    let detail = |name: &str| fault.detail_values().and_then(|details| details.get(name));
    let word = |name: &str| detail(name).and_then(Value::as_str).unwrap_or_default();
    // What stays in the log counts too.
    let said = format!("{} {} {}", word("upstream_type"), word("upstream_code"), fault.chain());
    let said = Said(said.to_lowercase());
    if fault.code() == Code::ConfigurationError {
        return Culprit::Key;
    }
    match detail("upstream_status").and_then(Value::as_u64) {
        Some(status) => by_status(status, fault, &said),
        None => by_words(fault, &said),
    }
}

fn by_status(status: u64, fault: &Fault, said: &Said) -> Culprit {
    match status {
        402 => Culprit::Quota,
        400..=499 if said.any(NO_MONEY) => Culprit::Quota,
        429 if said.any(MAYBE_MONEY) && fault.wait().is_none() => Culprit::Quota,
        429 => Culprit::Limit,
        401 => Culprit::Key,
        403 if said.lacks_model() => Culprit::Model,
        403 if said.any(FLAGGED) => Culprit::Request,
        403 => Culprit::Key,
        // Nobody there speaks of models: the address is wrong.
        404 | 410 if fault.blame() == Blame::Us => Culprit::Provider,
        404 | 410 => Culprit::Model,
        408 | 409 | 424 | 425 | 499 => Culprit::Provider,
        400..=499 if said.any(TOO_LONG) => Culprit::Window,
        400..=499 if said.any(BAD_KEY) => Culprit::Key,
        400..=499 if said.lacks_model() => Culprit::Model,
        400..=499 => Culprit::Request,
        // Servers in between make one status of all.
        500 if said.any(TOO_LONG) => Culprit::Window,
        _ => Culprit::Provider,
    }
}

/// For what came in mid-stream, or never came.
fn by_words(fault: &Fault, said: &Said) -> Culprit {
    match fault.code() {
        Code::UpstreamError | Code::UpstreamUnavailable if said.any(NO_MONEY) => Culprit::Quota,
        Code::UpstreamError | Code::UpstreamUnavailable if said.any(TOO_FAST) => Culprit::Limit,
        Code::UpstreamError => match fault.blame() {
            Blame::Caller if said.any(TOO_LONG) => Culprit::Window,
            Blame::Caller if said.any(BAD_KEY) => Culprit::Key,
            Blame::Caller if said.lacks_model() => Culprit::Model,
            Blame::Caller => Culprit::Request,
            Blame::Us if said.any(BAD_KEY) || said.any(&["credentials"]) => Culprit::Key,
            Blame::Us | Blame::Upstream => Culprit::Provider,
        },
        Code::UpstreamUnavailable
        | Code::UpstreamInvalid
        | Code::Timeout
        | Code::Overloaded
        | Code::InternalError => Culprit::Provider,
        Code::RateLimited | Code::QuotaExceeded => Culprit::Limit,
        Code::ContextTooLong => Culprit::Window,
        Code::ModelNotFound => Culprit::Model,
        _ => Culprit::Request,
    }
}

/// The phrases of our own lists that a text has, so that it can be judged without being repeated.
pub(crate) fn known_words(text: &str) -> Vec<&'static str> {
    let said = Said(text.to_lowercase());
    let lists = [TOO_LONG, NO_MONEY, MAYBE_MONEY, BAD_KEY, NO_MODEL, FLAGGED, TOO_FAST];
    let words = lists.into_iter().flatten().copied();
    let mut found: Vec<&str> = words.filter(|word| said.0.contains(word)).collect();
    if !said.any(NO_MODEL) && said.lacks_model() {
        found.push("model does not exist");
    }
    found
}

/// What an upstream said, in small letters.
struct Said(String);

impl Said {
    fn any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    fn lacks_model(&self) -> bool {
        let after = || self.0.split_once("model").map(|(_, after)| after);
        let is_gone = || after().is_some_and(|after| GONE.iter().any(|word| after.contains(word)));
        self.any(NO_MODEL) || is_gone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_reached_an_upstream_is_its_own_kind() {
        let of = |code: Code| culprit(&Fault::new(code, "x"));
        assert_eq!(of(Code::UpstreamUnavailable), Culprit::Provider);
        assert_eq!(of(Code::ConfigurationError), Culprit::Key);
        assert_eq!(of(Code::RateLimited), Culprit::Limit);
        assert_eq!(of(Code::ContextTooLong), Culprit::Window);
        assert_eq!(of(Code::ModelNotFound), Culprit::Model);
        assert_eq!(of(Code::InvalidInput), Culprit::Request);
        assert!(Culprit::Window.is_elsewhere() && !Culprit::Request.is_elsewhere());
        assert!(Culprit::Limit.is_of_the_key() && !Culprit::Provider.is_of_the_key());
    }
}
