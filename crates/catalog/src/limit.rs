//! Which models a key may use: patterns of their names.

use std::sync::Arc;

use serde_json::json;
use wire::pattern::wild as fits;
use wire::{Code, Fault};

/// Limit: patterns of one key.
const PATTERNS_MAX: usize = 100;
/// Limit: characters of one pattern.
const CHARACTERS_MAX: usize = 200;

/// The models a key may use; all of them when nothing is said.
///
/// A pattern is a name in which `*` stands for any characters and `?` for one. With a `/` it is
/// compared with `PROVIDER/MODEL`, without one with the model's name, whoever serves it, and with
/// the names of routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelLimit(Option<Arc<[Box<str>]>>);

impl ModelLimit {
    /// Reads patterns; none at all means no limit.
    ///
    /// # Errors
    /// `invalid_input` for an empty pattern, one with white space, a long one, or too many.
    pub fn parse(patterns: &[String]) -> Result<Self, Fault> {
        if patterns.is_empty() {
            return Ok(Self(None));
        }
        if patterns.len() > PATTERNS_MAX {
            let text = format!("`models` has {} patterns", patterns.len());
            return Err(wrong(text, &format!("{PATTERNS_MAX} are the most; use `*` in a pattern")));
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == ',';
        for pattern in patterns {
            if pattern.is_empty() || pattern.contains(odd) {
                let text = format!("`{}` is no pattern of a model's name", pattern.escape_debug());
                return Err(wrong(
                    text,
                    "write one like `claude-*`, `openai/gpt-5.4` or `ollama/*`",
                ));
            }
            if pattern.chars().count() > CHARACTERS_MAX {
                let shown: String = pattern.chars().take(40).collect();
                let text = format!("the pattern `{shown}…` is too long");
                return Err(wrong(
                    text,
                    &format!("a pattern has at most {CHARACTERS_MAX} characters"),
                ));
            }
        }
        Ok(Self(Some(patterns.iter().map(|pattern| pattern.as_str().into()).collect())))
    }

    /// Whether the key may use everything.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The patterns; none when there is no limit.
    #[must_use]
    pub fn patterns(&self) -> &[Box<str>] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether a route of this name may be used.
    #[must_use]
    pub fn allows_route(&self, name: &str) -> bool {
        self.any(|pattern| !pattern.contains('/') && fits(pattern, name))
    }

    /// Whether this model of this provider may be used.
    #[must_use]
    pub fn allows(&self, provider: &str, model: &str) -> bool {
        self.any(|pattern| match pattern.split_once('/') {
            // A model's own name may have a slash too, which is no provider's.
            Some((first, rest)) => fits(first, provider) && fits(rest, model),
            None => fits(pattern, model),
        })
    }

    /// Whether everything that this provider serves may be used.
    #[must_use]
    pub fn allows_all_of(&self, provider: &str) -> bool {
        self.any(|pattern| match pattern.split_once('/') {
            Some((first, "*")) => fits(first, provider),
            Some(_) => false,
            None => pattern == "*",
        })
    }

    /// The limit in the words of an error: what may be used.
    #[must_use]
    pub fn told(&self) -> String {
        self.patterns().join(", ")
    }

    fn any(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.0.as_deref().is_none_or(|patterns| patterns.iter().any(|pattern| fits(pattern)))
    }
}

fn wrong(text: String, hint: &str) -> Fault {
    Fault::new(Code::InvalidInput, text).hint(hint.to_owned()).details(json!({"field": "models"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(patterns: &[&str]) -> ModelLimit {
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        ModelLimit::parse(&patterns).unwrap()
    }

    #[test]
    fn a_slash_names_the_provider() {
        let some = limit(&["anthropic/*", "gpt-*", "fast"]);
        assert!(some.allows("anthropic", "anything"));
        assert!(some.allows("azure", "gpt-5.4"), "by whoever serves it");
        assert!(!some.allows("openrouter", "anthropic/claude-x"), "that is another provider");
        assert!(!some.allows("openai", "o3"));
        assert!(some.allows_route("fast") && !some.allows_route("slow"));
        assert!(some.allows_all_of("anthropic") && !some.allows_all_of("azure"));
        assert!(!limit(&["anthropic/claude-*"]).allows_all_of("anthropic"));
        assert!(limit(&["*"]).allows_all_of("x") && limit(&["*"]).allows("x", "y/z"));
        assert!(limit(&["open*/*"]).allows_all_of("openai"));
        assert!(!limit(&["openai/*"]).allows_route("openai"));
    }

    #[test]
    fn nothing_said_is_no_limit_and_nonsense_is_refused() {
        let none = ModelLimit::default();
        assert!(none.is_none() && none.allows("a", "b") && none.allows_route("r"));
        assert!(none.allows_all_of("a"));
        for bad in ["", "a b", "a,b", "a\n"] {
            let fault = ModelLimit::parse(&[bad.to_owned()]).unwrap_err();
            assert_eq!(fault.code(), Code::InvalidInput, "{bad:?}");
        }
        assert!(ModelLimit::parse(&["x".repeat(201)]).is_err());
        assert!(ModelLimit::parse(&vec!["x".to_owned(); 101]).is_err());
    }
}
