//! The closed vocabulary of error codes, and what each says about kind and blame.

/// What went wrong, coarsely: few kinds, because metrics and log levels hang on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request itself is wrong.
    BadRequest,
    /// Nobody knows who is asking.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// The named thing does not exist.
    NotFound,
    /// A limit was reached.
    Limited,
    /// A model or another service behind us failed.
    Upstream,
    /// A stage took longer than it may.
    Timeout,
    /// We failed.
    Internal,
}

impl Kind {
    /// The kind as a metrics label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Limited => "limited",
            Self::Upstream => "upstream",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
        }
    }
}

/// Whose fault it is: decides whether another upstream may be tried and who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The caller has to change something.
    Caller,
    /// The upstream has to recover or be replaced.
    Upstream,
    /// The operator or this program has to change something.
    Us,
}

impl Blame {
    /// The blame as it is printed in errors and logs: `caller`, `upstream` or `server`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Upstream => "upstream",
            Self::Us => "server",
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident, $blame:ident;)*) => {
        /// The stable code of an error, the same on every transport.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code as it is written on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The coarse kind of the code.
            #[must_use]
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }

            /// Whose fault it is unless the fault itself says otherwise.
            #[must_use]
            pub fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }
        }
    };
}

codes! {
    /// A number that is not a TCP port.
    InvalidPort = "invalid_port", BadRequest, Caller;
    /// The bytes are not JSON.
    InvalidJson = "invalid_json", BadRequest, Caller;
    /// The text is not valid UTF-8.
    InvalidEncoding = "invalid_encoding", BadRequest, Caller;
    /// A field has the wrong type or value.
    InvalidInput = "invalid_input", BadRequest, Caller;
    /// A field that must be there is absent.
    MissingField = "missing_field", BadRequest, Caller;
    /// No context has this id.
    ContextNotFound = "context_not_found", NotFound, Caller;
    /// The context was there and has expired.
    ContextExpired = "context_expired", NotFound, Caller;
    /// The context was ended and is kept read-only.
    ContextClosed = "context_closed", BadRequest, Caller;
    /// The message or the context exceeds its size limit.
    ContextTooLong = "context_too_long", BadRequest, Caller;
    /// Nobody knows this caller.
    Unauthorized = "unauthorized", Unauthenticated, Caller;
    /// The caller is known and may not do this.
    Forbidden = "forbidden", Forbidden, Caller;
    /// No such path or object.
    NotFound = "not_found", NotFound, Caller;
    /// No such model.
    ModelNotFound = "model_not_found", NotFound, Caller;
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", BadRequest, Caller;
    /// The body has a media type we do not read.
    UnsupportedMediaType = "unsupported_media_type", BadRequest, Caller;
    /// The body is larger than the limit.
    PayloadTooLarge = "payload_too_large", BadRequest, Caller;
    /// The object is busy or already exists.
    Conflict = "conflict", BadRequest, Caller;
    /// The turn was stopped before it was answered.
    Cancelled = "cancelled", BadRequest, Caller;
    /// `If-Match` names another revision.
    PreconditionFailed = "precondition_failed", BadRequest, Caller;
    /// The idempotency key was used with another body.
    IdempotencyMismatch = "idempotency_mismatch", BadRequest, Caller;
    /// Too many requests in this time.
    RateLimited = "rate_limited", Limited, Caller;
    /// The quota of the period is used up.
    QuotaExceeded = "quota_exceeded", Limited, Caller;
    /// The model cannot be reached or is overloaded.
    UpstreamUnavailable = "upstream_unavailable", Upstream, Upstream;
    /// The model answered with an error.
    UpstreamError = "upstream_error", Upstream, Upstream;
    /// The model's answer cannot be read.
    UpstreamInvalid = "upstream_invalid", Upstream, Upstream;
    /// A stage took too long; `details.stage` names it.
    Timeout = "timeout", Timeout, Caller;
    /// The protocol version is not spoken here.
    VersionMismatch = "version_mismatch", BadRequest, Caller;
    /// The bytes are of another protocol than this port expects.
    ProtocolMismatch = "protocol_mismatch", BadRequest, Caller;
    /// The store cannot write or read.
    StorageError = "storage_error", Internal, Us;
    /// The operator has to configure something first.
    ConfigurationError = "configuration_error", Internal, Us;
    /// We failed.
    InternalError = "internal_error", Internal, Us;
    /// The program is starting.
    Initializing = "initializing", Internal, Us;
    /// The program has too much work.
    Overloaded = "overloaded", Limited, Us;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_lower_case_words() {
        let mut seen = std::collections::HashSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(seen.insert(text), "{text} stands twice");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{text}");
        }
    }
}
