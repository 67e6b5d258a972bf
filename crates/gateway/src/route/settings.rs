//! Routes as the configuration writes them.

use std::time::Duration;

/// How the targets of a route share its calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The first that works, in the order of the list.
    #[default]
    Ordered,
    /// One after the other, a call each.
    RoundRobin,
    /// By their weights.
    Weighted,
    /// The one with the fewest calls under way.
    LeastInFlight,
    /// Of two taken at random the one that will likely answer first.
    Latency,
    /// The one that costs least for this prompt.
    Cheapest,
}

impl Strategy {
    /// Every strategy by its name in the configuration.
    pub const NAMES: &'static [(&'static str, Self)] = &[
        ("ordered", Self::Ordered),
        ("round_robin", Self::RoundRobin),
        ("weighted", Self::Weighted),
        ("least_in_flight", Self::LeastInFlight),
        ("latency", Self::Latency),
        ("cheapest", Self::Cheapest),
    ];

    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, known)| *known == self).map_or("ordered", |(name, _)| name)
    }
}

/// When a target may be used; what is not said holds always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Request headers and their values.
    pub headers: Vec<(String, String)>,
    /// Tags of the request, from `x-rapport-tags`: all of these.
    pub tags: Vec<String>,
    /// Only for this tenant.
    pub tenant: Option<u32>,
    /// Only prompts of fewer tokens, as estimated.
    pub tokens_below: Option<u64>,
    /// Only prompts of at least so many tokens, as estimated.
    pub tokens_from: Option<u64>,
    /// Only so many calls of a hundred; the same conversation is always on the same side.
    pub percent: Option<u8>,
}

/// One target of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetSettings {
    /// A model as callers name it: `provider/model`, or one that a provider lists.
    pub model: String,
    /// Its share among the targets.
    pub weight: u32,
    /// When it may be used.
    pub when: When,
}

/// A second copy of a slow call, at the next target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// How long the first may take before it is sent.
    pub after: Duration,
    /// Limit: of a hundred calls at most so many are sent twice.
    pub percent: u8,
}

/// A name that stands for several models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteSettings {
    /// The name callers use as a model's.
    pub name: String,
    /// How the targets share the calls.
    pub strategy: Strategy,
    /// The targets.
    pub targets: Vec<TargetSettings>,
    /// Tried before all others by those calls that fit its conditions.
    pub canary: Option<TargetSettings>,
    /// Get copies whose answers are thrown away.
    pub shadow: Vec<TargetSettings>,
    /// A conversation stays with the target that answered it, for the sake of its prompt cache.
    pub sticky: bool,
    /// A second copy of a slow call.
    pub hedge: Option<Hedge>,
    /// When a target breaks off in mid-answer the next goes on from there.
    pub continues: bool,
}

/// Why a text is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoTarget(pub String);

impl std::fmt::Display for NoTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TargetSettings {
    /// Reads `anthropic/claude-haiku-5-5 weight=9 tokens<100000 tag=fast header:x-team=blue`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, NoTarget> {
        let mut words = text.split_whitespace();
        let model = words.next().ok_or_else(|| NoTarget("a target begins with a model".into()))?;
        let mut target = Self { model: model.to_owned(), weight: 1, when: When::default() };
        for word in words {
            target.word(word)?;
        }
        Ok(target)
    }

    fn word(&mut self, word: &str) -> Result<(), NoTarget> {
        let wrong = || {
            NoTarget(format!(
                "`{word}` is no condition: write weight=N, percent=N, tenant=N, tag=NAME, \
                 tokens<N, tokens>=N or header:NAME=VALUE"
            ))
        };
        let number = |text: &str| text.replace('_', "").parse::<u64>().map_err(|_none| wrong());
        if let Some(rest) = word.strip_prefix("tokens<") {
            self.when.tokens_below = Some(number(rest)?);
        } else if let Some(rest) = word.strip_prefix("tokens>=") {
            self.when.tokens_from = Some(number(rest)?);
        } else if let Some((name, value)) = word.split_once('=') {
            let count = || number(value).and_then(|n| u32::try_from(n).map_err(|_big| wrong()));
            match name {
                "weight" => self.weight = count()?,
                "tenant" => self.when.tenant = Some(count()?),
                "percent" => {
                    let percent = u8::try_from(count()?).map_err(|_big| wrong())?;
                    self.when.percent = Some(percent).filter(|p| *p <= 100);
                    self.when.percent.ok_or_else(wrong)?;
                }
                "tag" => self.when.tags.push(value.to_owned()),
                _ => {
                    let name = name.strip_prefix("header:").ok_or_else(wrong)?;
                    let legal = http::HeaderName::from_bytes(name.as_bytes()).is_ok();
                    if !legal || value.is_empty() {
                        return Err(wrong());
                    }
                    self.when.headers.push((name.to_ascii_lowercase(), value.to_owned()));
                }
            }
        } else {
            return Err(wrong());
        }
        Ok(())
    }
}

impl Hedge {
    /// Reads `after=800ms percent=5`.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(
        text: &str,
        duration: &dyn Fn(&str) -> Option<Duration>,
    ) -> Result<Self, NoTarget> {
        let wrong = || NoTarget(format!("`{text}` is no hedge: write after=800ms percent=5"));
        let mut hedge = Self { after: Duration::from_millis(800), percent: 5 };
        for word in text.split_whitespace() {
            match word.split_once('=').ok_or_else(wrong)? {
                ("after", value) => hedge.after = duration(value).ok_or_else(wrong)?,
                ("percent", value) => {
                    let percent: u8 = value.parse().map_err(|_none| wrong())?;
                    hedge.percent = Some(percent).filter(|p| *p <= 100).ok_or_else(wrong)?;
                }
                _ => return Err(wrong()),
            }
        }
        Ok(hedge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_line() {
        let text = "anthropic/claude-x weight=9 tokens<100_000 tag=fast header:X-Team=blue \
                    percent=5 tenant=2 tokens>=10";
        let target = TargetSettings::parse(text).expect("a target");
        assert_eq!((target.model.as_str(), target.weight), ("anthropic/claude-x", 9));
        assert_eq!(
            target.when,
            When {
                headers: vec![("x-team".into(), "blue".into())],
                tags: vec!["fast".into()],
                tenant: Some(2),
                tokens_below: Some(100_000),
                tokens_from: Some(10),
                percent: Some(5),
            }
        );
        for broken in ["", "m weight=x", "m fast", "m percent=101", "m header:=1", "m a=1"] {
            assert!(TargetSettings::parse(broken).is_err(), "{broken}");
        }
        let said = TargetSettings::parse("m color=blue").expect_err("no condition").to_string();
        assert!(said.contains("`color=blue`") && said.contains("weight=N"), "{said}");
    }

    #[test]
    fn a_hedge_is_one_line() {
        let duration = |text: &str| {
            text.strip_suffix("ms").and_then(|n| n.parse().ok()).map(Duration::from_millis)
        };
        let hedge = Hedge::parse("after=20ms percent=50", &duration).expect("a hedge");
        assert_eq!(hedge, Hedge { after: Duration::from_millis(20), percent: 50 });
        assert!(Hedge::parse("after=soon", &duration).is_err());
        assert!(Hedge::parse("percent=200", &duration).is_err());
    }
}
