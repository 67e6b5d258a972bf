//! Filters: `path:/v1/* status:5xx model:claude slow:2s find:"rate limit"`.

use wire::pattern::stars;

use crate::capture::Exchange;
use crate::decode::View;
use crate::rule::{contains, words};

/// What an exchange can speak.
const SPOKEN: &[&str] =
    &["model", "mcp", "grpc", "sse", "http", "websocket", "http2", "tls", "lines", "stdio"];

/// Which exchanges are shown: those that fit every word.
#[derive(Clone, Debug, Default)]
pub struct Filter(Vec<Word>);

#[derive(Clone, Debug)]
enum Word {
    Path(String),
    Method(String),
    Status(String),
    Speaks(String),
    Model(String),
    Tool(String),
    Find(String),
    Slow(f64),
    Bad,
}

const WORDS: &str = "path:GLOB, method:NAME, status:404 or 5xx, speaks:model, model:NAME, \
                     tool:NAME, find:TEXT, slow:2s, bad, or a text to look for";

impl Filter {
    /// Reads a filter; an empty one takes everything.
    ///
    /// # Errors
    /// One sentence about the word that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(words(text).iter().map(|text| word(text)).collect::<Result<_, _>>()?))
    }

    /// Whether an exchange is shown.
    #[must_use]
    pub fn takes(&self, exchange: &Exchange, view: &View) -> bool {
        self.0.iter().all(|word| word.takes(exchange, view))
    }
}

fn word(text: &str) -> Result<Word, String> {
    let Some((name, value)) = text.split_once(':') else {
        return Ok(if text == "bad" { Word::Bad } else { Word::Find(text.to_owned()) });
    };
    let owned = value.to_owned();
    Ok(match name {
        "path" => Word::Path(owned),
        "method" => Word::Method(value.to_ascii_uppercase()),
        "status" if is_status(value) => Word::Status(owned),
        "status" => {
            return Err(format!(
                "`{text}` in the filter must be like `status:404` or `status:5xx`"
            ));
        }
        "speaks" if SPOKEN.contains(&value) => Word::Speaks(owned),
        "speaks" => return Err(unspoken(text, value)),
        "model" => Word::Model(owned),
        "tool" => Word::Tool(owned),
        "find" => Word::Find(owned),
        "slow" => {
            let (digits, factor) = match value.strip_suffix("ms") {
                Some(digits) => (digits, 1.0),
                None => (value.strip_suffix('s').unwrap_or(value), 1e3),
            };
            let count: Option<f64> = digits.parse().ok();
            let count = count.filter(|count| count.is_finite() && *count >= 0.0);
            let count =
                count.ok_or_else(|| format!("`{text}` in the filter must be like `slow:2s`"))?;
            Word::Slow(count * factor)
        }
        _ => {
            // A text to look for may have a colon in it, and says so.
            let hint = format!("a text with a colon is `find:{text}`");
            return Err(format!("`{text}` is no word of a filter; there are: {WORDS}; {hint}"));
        }
    })
}

fn unspoken(text: &str, value: &str) -> String {
    let near = wire::nearest(value, SPOKEN.iter().copied());
    let near = near.map(|name| format!("; did you mean `speaks:{name}`?")).unwrap_or_default();
    format!(
        "`{text}` in the filter is nothing that is spoken; there are: {}{near}",
        SPOKEN.join(", ")
    )
}

/// Whether a value can be a status: three places, each a digit or `x`.
fn is_status(value: &str) -> bool {
    value.len() == 3 && value.chars().all(|place| place == 'x' || place.is_ascii_digit())
}

impl Word {
    fn takes(&self, exchange: &Exchange, view: &View) -> bool {
        match self {
            Self::Path(glob) => exchange.ask.as_ref().is_some_and(|head| stars(glob, head.path())),
            Self::Method(method) => {
                exchange.ask.as_ref().is_some_and(|head| head.method() == method)
            }
            Self::Status(wanted) => {
                let status = view.status.to_string();
                status.len() == wanted.len()
                    && status
                        .chars()
                        .zip(wanted.chars())
                        .all(|(is, want)| want == 'x' || is == want)
            }
            Self::Speaks(name) => view.speaks == name,
            Self::Model(name) => {
                view.model.as_ref().is_some_and(|model| model.model.contains(name.as_str()))
            }
            Self::Tool(name) => {
                let called = |model: &crate::decode::ModelCall| {
                    model.calls.iter().any(|call| call.starts_with(name.as_str()))
                };
                view.model.as_ref().is_some_and(called)
                    || view.rpc.iter().any(|rpc| rpc.name.as_deref() == Some(name))
            }
            Self::Find(text) => {
                let has = |bytes: &[u8]| contains(bytes, text.as_bytes());
                has(exchange.asked.bytes()) || has(exchange.answered.bytes())
            }
            Self::Slow(limit) => {
                exchange.times.over.is_some_and(|over| over.as_secs_f64() * 1e3 >= *limit)
            }
            Self::Bad => !view.findings.is_empty() || view.status >= 400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn a_status_that_no_answer_can_have_is_refused() {
        for good in ["status:404", "status:5xx", "status:xxx", "status:000"] {
            assert!(Filter::parse(good).is_ok(), "{good}");
        }
        for bad in ["status:zz", "status:", "status:5", "status:5XX", "status:4040", "status:é1"] {
            let error = Filter::parse(bad).expect_err(bad);
            assert!(error.contains(bad) && error.contains("`status:5xx`"), "{error}");
        }
    }

    #[test]
    fn what_nobody_speaks_is_refused_with_what_was_meant() {
        for good in super::SPOKEN {
            assert!(Filter::parse(&format!("speaks:{good}")).is_ok(), "{good}");
        }
        let error = Filter::parse("speaks:websockt").expect_err("no such name");
        assert!(error.contains("`speaks:websockt`"), "{error}");
        assert!(error.contains("did you mean `speaks:websocket`?"), "{error}");
        let error = Filter::parse("speaks:zzz").expect_err("no such name");
        assert!(error.contains("there are: model, mcp,") && !error.contains("mean"), "{error}");
        for bad in ["slow:nan", "slow:-1s", "slow:inf", "slow:soon"] {
            assert!(Filter::parse(bad).expect_err(bad).contains("`slow:2s`"), "{bad}");
        }
    }

    #[test]
    fn quotes_hold_a_text_together() {
        assert_eq!(Filter::parse("find:\"rate limit\" bad").expect("two words").0.len(), 2);
    }
}
