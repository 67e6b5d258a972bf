//! Why a command got no answer, or not the one it wanted, in classes that scripts can tell apart.

use std::fmt;

use serde_json::{Map, Value, json};

/// The cause of a failure; each has an exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The server understood the request and said no, or an answer shows a problem.
    Problem,
    /// The command itself cannot be meant so.
    Usage,
    /// The port is no port.
    InvalidPort,
    /// Nothing accepts connections there.
    Refused,
    /// The host name has no address.
    Unresolved,
    /// There is no way to the host.
    Unreachable,
    /// It took longer than it may.
    Timeout,
    /// The TLS handshake failed.
    Tls,
    /// The other side does not speak HTTP, or not our API.
    Protocol,
    /// The key is missing, wrong, or may not do this.
    Auth,
    /// The server or the model behind it failed.
    Server,
    /// Something on this side could not be read or written.
    Unchecked,
    /// Nothing failed: the request was shown instead of sent.
    Shown,
}

impl Class {
    /// The exit code, as docs/cli.md lists them.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Shown => 0,
            Self::Problem => 1,
            Self::Usage => 2,
            Self::InvalidPort => 3,
            Self::Refused | Self::Unresolved | Self::Unreachable => 4,
            Self::Timeout => 5,
            Self::Tls | Self::Protocol => 6,
            Self::Auth => 7,
            Self::Server => 8,
            Self::Unchecked => 9,
        }
    }

    /// The class as it is printed and logged.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Usage => "usage",
            Self::InvalidPort => "invalid port",
            Self::Refused => "connection refused",
            Self::Unresolved => "name not resolved",
            Self::Unreachable => "host unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "TLS",
            Self::Protocol => "protocol",
            Self::Auth => "authentication",
            Self::Server => "server error",
            Self::Unchecked => "could not check",
            Self::Shown => "shown",
        }
    }

    /// The doctor can say more about it.
    pub(crate) fn is_of_the_connection(self) -> bool {
        match self {
            Self::Refused
            | Self::Unresolved
            | Self::Unreachable
            | Self::Timeout
            | Self::Tls
            | Self::Protocol => true,
            Self::Problem
            | Self::Usage
            | Self::InvalidPort
            | Self::Auth
            | Self::Server
            | Self::Unchecked
            | Self::Shown => false,
        }
    }
}

/// How far the request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// There is an answer, or another reason not to ask again.
    End,
    /// No connection came about: the server cannot have seen it.
    Nothing,
    /// The connection ended before the answer did: it may have been acted on.
    Something,
}

/// A failure with its class, its text and what to do next.
#[derive(Clone)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Clone)]
struct Inner {
    class: Class,
    text: String,
    hint: Option<String>,
    /// The server's own error object.
    answer: Map<String, Value>,
    reached: Reached,
}

impl Failure {
    /// A failure without further advice.
    pub(crate) fn new(class: Class, text: impl Into<String>) -> Self {
        let (text, answer) = (text.into(), Map::new());
        Self(Box::new(Inner { class, text, hint: None, answer, reached: Reached::End }))
    }

    /// The request was printed, and that was all there was to do.
    pub(crate) fn shown() -> Self {
        Self::new(Class::Shown, "shown, not sent")
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Marks a failure before anything was sent.
    pub(super) fn before_sending(mut self) -> Self {
        self.0.reached = Reached::Nothing;
        self
    }

    /// The connection ended in the middle.
    pub(super) fn cut(text: impl Into<String>) -> Self {
        let mut failure = Self::new(Class::Protocol, text);
        failure.0.reached = Reached::Something;
        failure
    }

    /// The failure in an error object of the server, which came with `status` or in a stream.
    pub(crate) fn answered(status: Option<u16>, object: Map<String, Value>) -> Self {
        let word = |name: &str| object.get(name).and_then(Value::as_str);
        let class = match (status, word("code")) {
            (Some(401 | 403), _) | (_, Some("unauthorized" | "forbidden")) => Class::Auth,
            (Some(500..), _) => Class::Server,
            (None, _) if word("blame") != Some("caller") => Class::Server,
            _ => Class::Problem,
        };
        let said = word("error").or_else(|| word("detail")).map(ToOwned::to_owned);
        let text = said.unwrap_or_else(|| match status {
            Some(status) => format!("the server answered `{status}` without saying why"),
            None => "the server broke off without saying why".to_owned(),
        });
        let mut failure = Self::new(class, text);
        failure.0.hint = word("hint").map(ToOwned::to_owned);
        failure.0.answer = object;
        failure
    }

    /// Its class.
    pub(crate) fn class(&self) -> Class {
        self.0.class
    }

    /// What to do next.
    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The server's code for it, such as `context_not_found`.
    pub(crate) fn code(&self) -> Option<&str> {
        self.0.answer.get("code").and_then(Value::as_str)
    }

    /// The server names the request so in its log.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.0.answer.get("request_id").and_then(Value::as_str)
    }

    /// What the server's code means in this case, such as `in_progress` for a `conflict`.
    fn reason(&self) -> Option<&str> {
        self.0.answer.get("details")?.get("reason")?.as_str()
    }

    /// The server says the same request is being answered right now.
    pub(super) fn is_in_progress(&self) -> bool {
        self.code() == Some("conflict") && self.reason() == Some("in_progress")
    }

    /// Asking again may help: at once for a request that never arrived, and for one that may have
    /// arrived only if it may be `repeated` without harm.
    pub(crate) fn may_be_retried(&self, repeated: bool) -> bool {
        let connects = matches!(self.class(), Class::Refused | Class::Unreachable);
        match self.0.reached {
            Reached::End => false,
            Reached::Nothing => connects,
            Reached::Something => repeated,
        }
    }

    /// The failure for machines: the server's own object where there is one, and the exit code.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = self.0.answer.clone();
        if !object.contains_key("error") {
            object.insert("error".to_owned(), json!(self.0.text));
        }
        if let Some(hint) = &self.0.hint {
            object.insert("hint".to_owned(), json!(hint));
        }
        object.insert("class".to_owned(), json!(self.0.class.label()));
        object.insert("exit_code".to_owned(), json!(self.0.class.exit_code()));
        Value::Object(object)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failure({:?}, {:?})", self.0.class, self.0.text)
    }
}

impl std::error::Error for Failure {}
