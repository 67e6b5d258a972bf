//! The one error that crosses crates: what went wrong, whose fault it is, and what to do next.

mod code;
pub mod culprit;
pub mod unread;

use std::error::Error;
use std::fmt;
use std::time::Duration;

pub use code::{Blame, Code, Kind};
pub use culprit::{Culprit, culprit};

/// An error with everything a caller, an operator and the router need to know about it.
///
/// One pointer wide. The public text and hint may reach the caller; the source never does: it is
/// for the log only.
pub struct Fault(Box<Inner>);

struct Inner {
    code: Code,
    blame: Blame,
    text: String,
    hint: Option<String>,
    details: Option<serde_json::Value>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// Makes a fault; the blame follows from the code until [`Fault::blamed`] says otherwise.
    ///
    /// `text` is lower case, without a full stop, with values in backticks.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            code,
            blame: code.blame(),
            text: text.into(),
            hint: None,
            details: None,
            retry_after: None,
            source: None,
        }))
    }

    /// Makes an internal fault whose cause is only logged.
    #[must_use]
    pub fn internal(text: impl Into<String>) -> Self {
        Self::new(Code::InternalError, text)
    }

    /// Adds what the reader can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Says whose fault it is when the code alone does not.
    #[must_use]
    pub fn blamed(mut self, blame: Blame) -> Self {
        self.0.blame = blame;
        self
    }

    /// Adds machine-readable facts, such as the field and the expected type.
    #[must_use]
    pub fn details(mut self, details: serde_json::Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Says when another try may succeed.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the cause for the log; it never reaches a caller.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The stable code, one of a closed vocabulary.
    #[must_use]
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The coarse kind, used for metrics labels and log levels.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.code.kind()
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        self.0.blame
    }

    /// The text a caller may read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// What the reader can do next, where something is known.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Machine-readable facts, where there are any.
    #[must_use]
    pub fn detail_values(&self) -> Option<&serde_json::Value> {
        self.0.details.as_ref()
    }

    /// How long to wait before another try, where it is known.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The text with every cause behind it, for the log only. What a cause says again is said once.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut out = self.0.text.clone();
        let mut next = self.0.source.as_deref().map(|e| e as &(dyn Error + 'static));
        while let Some(cause) = next {
            let said = cause.to_string();
            if !out.contains(&said) {
                out.push_str(": ");
                out.push_str(&said);
            }
            next = cause.source();
        }
        out
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("code", &self.0.code)
            .field("blame", &self.0.blame)
            .field("chain", &self.chain())
            .finish_non_exhaustive()
    }
}

impl Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_pointer_wide() {
        assert_eq!(size_of::<Fault>(), size_of::<usize>());
    }

    #[test]
    fn the_cause_is_in_the_chain_and_not_in_the_text() {
        let fault = Fault::internal("the store did not answer")
            .because(std::io::Error::other("sk-secret on disk 7"));
        assert!(!fault.to_string().contains("sk-secret"));
        assert_eq!(fault.chain(), "the store did not answer: sk-secret on disk 7");
    }
}
