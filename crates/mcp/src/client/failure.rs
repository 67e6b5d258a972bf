//! Why a server gave no result.

use std::time::Duration;

use serde_json::Value;

use crate::bridge::Lost;
use crate::rpc::Refusal;

/// Why a server gave no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// It answered with an error, which is passed on as it is.
    Refused(Refusal),
    /// It is not there, or went away.
    Lost(Lost),
    /// It wants to know who asks, and that is not known; why, where there is more to say.
    Unauthorized(Option<String>),
    /// It did not answer in time.
    Late(Duration),
}

impl Failure {
    /// The server is not there; it cannot have seen the request.
    #[must_use]
    pub fn unsent(why: impl Into<String>) -> Self {
        Self::Lost(Lost { why: why.into(), unsent: true })
    }

    /// The server went away, and may have seen the request.
    #[must_use]
    pub fn lost(why: impl Into<String>) -> Self {
        Self::Lost(Lost { why: why.into(), unsent: false })
    }

    /// Whether the same request may be sent again without being run twice.
    #[must_use]
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Lost(lost) if lost.unsent)
    }

    /// Reads the error object of an answer.
    #[must_use]
    pub fn of_error(error: &Value) -> Self {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or(crate::rpc::code::INTERNAL);
        let message = error.get("message").and_then(Value::as_str).unwrap_or("no reason given");
        let mut refusal = Refusal::new(code, message).status(200);
        if let Some(data) = error.get("data") {
            refusal = refusal.with(data.clone());
        }
        Self::Refused(refusal)
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        Self::Lost(lost)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(refusal) => {
                write!(f, "it refuses: {} ({})", shown(&refusal.message), refusal.code)
            }
            Self::Lost(lost) => f.write_str(&shown(&lost.why)),
            Self::Unauthorized(Some(why)) => f.write_str(&shown(why)),
            Self::Unauthorized(None) => f.write_str("it wants to know who asks (HTTP 401)"),
            Self::Late(after) => write!(f, "it did not answer within {after:?}"),
        }
    }
}

/// A bounded piece of a text from outside, on one line.
pub(super) fn shown(text: &str) -> String {
    // Limit: what a stranger says, in logs and states.
    let mut out: String = text.chars().take(300).collect();
    out = out.replace(['\n', '\r'], " ");
    out.trim().to_owned()
}
