//! Claims about traffic, for tests: `no errors`, `p95 < 2s`, `count[path:/v1/* status:5xx] == 0`.

use std::time::Duration;

use serde::Serialize;

use crate::Filter;
use crate::capture::Exchange;
use crate::decode::{Severity, View, dollars};

/// Limit: times of one claim; from then on only every other is kept.
const TIMES_MAX: usize = 1 << 20;

/// Findings that say that a message is none of its protocol.
const VIOLATIONS: &[&str] = &[
    "bad_request",
    "broken_json",
    "broken_encoding",
    "mcp_accept",
    "mcp_answer_type",
    "mcp_content_type",
    "mcp_header",
    "mcp_schema",
    "model_schema",
    "no_version",
    "not_http",
    "rpc_unanswered",
    "stdout_noise",
    "stream_unfinished",
];

const NAMES: &str = "count, errors, findings, violations, status, p50, p90, p95, p99, max, first, \
                     cost, tokens, tokens_in, tokens_out";

/// A claim, and what was seen of it.
#[derive(Clone, Debug)]
pub struct Claim {
    text: String,
    metric: Metric,
    filter: Filter,
    is: Is,
    value: f64,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Count,
    Errors,
    Findings,
    Violations,
    /// Of every exchange.
    Status,
    /// A share of the times, in hundredths.
    Time(f64),
    First,
    Cost,
    TokensIn,
    TokensOut,
    Tokens,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    sum: f64,
    unpriced: u64,
    times: Vec<f64>,
    /// The exchange and the value that the claim does not hold for.
    broken_by: Option<(u64, f64)>,
    /// What the worst of them said.
    example: Option<String>,
}

/// Whether a claim held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The claim as it was written.
    pub claim: String,
    /// Whether it held.
    pub holds: bool,
    /// What was found, in one sentence.
    pub found: String,
}

impl Claim {
    /// Reads a claim.
    ///
    /// # Errors
    /// One sentence about what is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |why: &str| {
            format!(
                "the claim `{text}` {why}; such as `no errors`, `p95 < 2s`, `cost <= 0.05`, \
                     `count[status:5xx] == 0`; there are: {NAMES}"
            )
        };
        let long = match text.strip_prefix("no ") {
            Some(what) => match what.trim().split_once('[') {
                Some((what, filter)) => format!("{}[{filter} == 0", plural(what)),
                None => format!("{} == 0", plural(what.trim())),
            },
            None => text.to_owned(),
        };
        let (name, filter, rest) = match long.split_once('[') {
            Some((name, rest)) => {
                let (filter, rest) = rest.rsplit_once(']').ok_or_else(|| wrong("has no `]`"))?;
                (name.to_owned(), filter.to_owned(), rest.to_owned())
            }
            None => {
                let end = long.find(['<', '>', '=', '!']).unwrap_or(long.len());
                let (name, rest) = long.split_at_checked(end).unwrap_or((&long, ""));
                (name.to_owned(), String::new(), rest.to_owned())
            }
        };
        let metric = metric(name.trim()).ok_or_else(|| wrong("measures nothing that is known"))?;
        let filter = Filter::parse(&filter)?;
        let (is, value) = operator(rest.trim()).ok_or_else(|| wrong("has no `<`, `==` or `>`"))?;
        let value = number(metric, value.trim()).map_err(|why| wrong(&why))?;
        Ok(Self { text: text.to_owned(), metric, filter, is, value, seen: Seen::default() })
    }

    /// Looks at an exchange that is over.
    pub fn take(&mut self, exchange: &Exchange, view: &View) {
        if !self.filter.takes(exchange, view) {
            return;
        }
        let worst = view.findings.first();
        let is_error = view.status >= 400
            || (view.status == 0 && exchange.ask.is_some())
            || worst.is_some_and(|finding| finding.severity == Severity::Error);
        let count = |is: bool| if is { 1.0 } else { 0.0 };
        let model = view.model.as_ref();
        let violation = view.findings.iter().find(|one| VIOLATIONS.contains(&one.id));
        let value = match self.metric {
            Metric::Count => 1.0,
            Metric::Errors => count(is_error),
            Metric::Findings => view.findings.iter().map(|_| 1.0).sum(),
            Metric::Violations => count(violation.is_some()),
            Metric::Status => f64::from(view.status),
            Metric::Time(_) => return self.time(exchange.times.over),
            Metric::First => return self.time(exchange.times.first),
            Metric::Cost => {
                let cost = model.and_then(|model| model.cost);
                self.seen.unpriced += u64::from(model.is_some() && cost.is_none());
                cost.map_or(0.0, |cost| millionths(cost.micro_usd))
            }
            Metric::TokensIn => model.map_or(0.0, |model| whole(model.tokens_in)),
            Metric::TokensOut => model.map_or(0.0, |model| whole(model.tokens_out)),
            Metric::Tokens => {
                model.map_or(0.0, |model| whole(model.tokens_in) + whole(model.tokens_out))
            }
        };
        let said = match self.metric {
            Metric::Violations => violation,
            _ => worst,
        };
        let is_fault =
            matches!(self.metric, Metric::Errors | Metric::Findings | Metric::Violations);
        if is_fault && value > 0.0 && self.seen.example.is_none() {
            let said = said.map_or(view.line.clone(), |finding| finding.text.clone());
            self.seen.example = Some(format!("#{}: {said}", exchange.number));
        }
        if self.metric == Metric::Status {
            if !self.is.holds(value, self.value) && self.seen.broken_by.is_none() {
                self.seen.broken_by = Some((exchange.number, value));
            }
        } else {
            self.seen.sum += value;
        }
    }

    fn time(&mut self, time: Option<Duration>) {
        let Some(time) = time else { return };
        self.seen.times.push(time.as_secs_f64());
        if self.seen.times.len() >= TIMES_MAX {
            let mut place = 0_usize;
            self.seen.times.retain(|_| {
                place += 1;
                place.is_multiple_of(2)
            });
        }
    }

    /// Whether it held for all that was seen.
    #[must_use]
    pub fn judge(&self) -> Judgement {
        let (holds, found) = match self.metric {
            Metric::Status => match self.seen.broken_by {
                Some((number, status)) => (false, format!("#{number} was answered {status}")),
                None => (true, "every answer was so".to_owned()),
            },
            Metric::Time(share) => self.timed(share),
            Metric::First => self.timed(95.0),
            Metric::Cost => {
                let cost = dollars(micros(self.seen.sum));
                let unpriced = match self.seen.unpriced {
                    0 => String::new(),
                    count => format!(", and {count} calls have no known price"),
                };
                (self.is.holds(self.seen.sum, self.value), format!("{cost} was spent{unpriced}"))
            }
            _ => {
                let holds = self.is.holds(self.seen.sum, self.value);
                let example = self.seen.example.as_ref().filter(|_| !holds);
                let example = example.map(|text| format!(" ({text})")).unwrap_or_default();
                (holds, format!("it is {}{example}", self.seen.sum))
            }
        };
        Judgement { claim: self.text.clone(), holds, found }
    }

    fn timed(&self, share: f64) -> (bool, String) {
        let mut times = self.seen.times.clone();
        times.sort_by(f64::total_cmp);
        let below = times.iter().enumerate().filter(|(place, _)| {
            // The smallest time that this share of all does not exceed.
            whole(*place as u64) < (share / 100.0 * whole(times.len() as u64)).ceil()
        });
        match below.max_by_key(|(place, _)| *place) {
            Some((_, time)) => {
                (self.is.holds(*time, self.value), format!("it is {:.1} ms", time * 1e3))
            }
            None => (false, "nothing was measured".to_owned()),
        }
    }
}

impl Is {
    fn holds(self, found: f64, value: f64) -> bool {
        let order = found.total_cmp(&value);
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Greater => order.is_gt(),
        }
    }
}

fn plural(what: &str) -> String {
    if what.ends_with('s') { what.to_owned() } else { format!("{what}s") }
}

fn metric(name: &str) -> Option<Metric> {
    Some(match name {
        "count" => Metric::Count,
        "errors" => Metric::Errors,
        "findings" => Metric::Findings,
        "violations" => Metric::Violations,
        "status" => Metric::Status,
        "p50" => Metric::Time(50.0),
        "p90" => Metric::Time(90.0),
        "p95" => Metric::Time(95.0),
        "p99" => Metric::Time(99.0),
        "max" => Metric::Time(100.0),
        "first" => Metric::First,
        "cost" => Metric::Cost,
        "tokens" => Metric::Tokens,
        "tokens_in" => Metric::TokensIn,
        "tokens_out" => Metric::TokensOut,
        _ => return None,
    })
}

fn operator(text: &str) -> Option<(Is, &str)> {
    let all = [
        ("<=", Is::LessOrEqual),
        (">=", Is::GreaterOrEqual),
        ("==", Is::Equal),
        ("!=", Is::NotEqual),
        ("<", Is::Less),
        (">", Is::Greater),
        ("=", Is::Equal),
    ];
    all.into_iter().find_map(|(sign, is)| Some((is, text.strip_prefix(sign)?)))
}

/// A value: seconds for times, dollars for costs.
fn number(metric: Metric, text: &str) -> Result<f64, String> {
    let is_time = matches!(metric, Metric::Time(_) | Metric::First);
    let (digits, factor) = match (metric, text.strip_suffix("ms"), text.strip_suffix('s')) {
        _ if !is_time => {
            (if metric == Metric::Cost { text.trim_start_matches('$') } else { text }, 1.0)
        }
        (_, Some(digits), _) => (digits, 1e-3),
        (_, _, Some(digits)) => (digits, 1.0),
        _ => (text, 0.0),
    };
    if text.is_empty() {
        return Err("compares with nothing: a value is missing at its end".to_owned());
    }
    let value: Option<f64> = digits.trim().parse().ok();
    match value.filter(|value| value.is_finite() && *value >= 0.0) {
        Some(_) if is_time && factor == 0.0 => Err(format!(
            "compares a time with `{text}`, which has no unit: write `{text}s` or `{text}ms`"
        )),
        Some(value) => Ok(value * factor),
        None if is_time => Err(format!("compares a time with `{text}`, which is none")),
        None => Err(format!("compares with `{text}`, which is no number from 0 on")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn whole(count: u64) -> f64 {
    count as f64
}

fn millionths(count: u64) -> f64 {
    whole(count) / 1e6
}

fn micros(dollars: f64) -> u64 {
    Duration::try_from_secs_f64(dollars)
        .map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Judgements as `JUnit` writes them, for the pipelines that read it.
#[must_use]
pub fn junit(judgements: &[Judgement], seconds: f64) -> String {
    let failures = judgements.iter().filter(|one| !one.holds).count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  \
         <testsuite name=\"rapport inspect\" tests=\"{}\" failures=\"{failures}\" \
         time=\"{seconds:.3}\">\n",
        judgements.len()
    );
    for one in judgements {
        let name = escaped(&one.claim);
        out.push_str(&format!("    <testcase classname=\"traffic\" name=\"{name}\""));
        if one.holds {
            out.push_str("/>\n");
        } else {
            let found = escaped(&one.found);
            out.push_str(&format!(">\n      <failure message=\"{found}\"/>\n    </testcase>\n"));
        }
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn escaped(text: &str) -> String {
    crate::visible(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Claim, junit};
    use crate::capture::{Book, Ending, Exchange, Kind, Room, Way};
    use crate::decode;
    use crate::http::{Head, Side};

    fn exchange(path: &str, status: u16, ms: u64) -> Exchange {
        let book = Book::new(Room::default());
        let entry = book.open(Kind::Http, "a".into(), "b".into());
        let head = |text: String, side| Head::read(text.as_bytes(), side).unwrap();
        let ask = head(format!("GET {path} HTTP/1.1\r\n\r\n"), Side::Ask);
        let answer = head(format!("HTTP/1.1 {status} X\r\n\r\n"), Side::Answer);
        entry.push(Way::Answered, b"HTTP/1.1");
        entry.change(|page| (page.ask, page.answer) = (ask, answer));
        entry.end(Ending::Whole);
        let mut exchange = book.get(1).unwrap();
        exchange.times.over = Some(Duration::from_millis(ms));
        exchange
    }

    fn judged(claim: &str) -> super::Judgement {
        let mut claim = Claim::parse(claim).unwrap();
        let all = (1..=20).map(|number| exchange("/v1/x", 200, number * 100));
        for exchange in all.chain([exchange("/other", 503, 9_000)]) {
            claim.take(&exchange, &decode::view(&exchange));
        }
        claim.judge()
    }

    #[test]
    fn claims_hold_or_say_what_was_found() {
        for good in [
            "count == 21",
            "count >= 1",
            "errors == 1",
            "no errors[path:/v1/*]",
            "status[path:/v1/*] == 200",
            "p50 < 1100.5ms",
            "p95[path:/v1/*] <= 1900 ms",
            "max[path:/v1/*] = 2s",
            "cost < $0.05",
            "tokens == 0",
        ] {
            assert!(judged(good).holds, "{good}: {}", judged(good).found);
        }
        for (bad, found) in [
            ("no error", "it is 1 (#1: the target answered 503)"),
            ("status == 200", "#1 was answered 503"),
            ("max < 2s", "it is 9000.0 ms"),
            ("count[path:/nothing] > 0", "it is 0"),
            ("p95[path:/nothing] < 1s", "nothing was measured"),
        ] {
            let judgement = judged(bad);
            assert_eq!((judgement.holds, judgement.found.as_str()), (false, found), "{bad}");
        }
    }

    #[test]
    fn what_is_no_claim_is_named() {
        for bad in ["p95", "p95 < 2", "speed > 1", "count[x == 1", "count == many", "", "no"] {
            assert!(Claim::parse(bad).is_err(), "{bad}");
        }
        let error = |claim: &str| Claim::parse(claim).unwrap_err();
        for (claim, why) in [
            ("p95 < 2", "a time with `2`, which has no unit: write `2s` or `2ms`"),
            ("first < soon", "a time with `soon`, which is none"),
            ("count == many", "with `many`, which is no number"),
            ("errors == -1", "with `-1`, which is no number from 0 on"),
            ("max <", "a value is missing"),
            ("count[speaks:mcpp] > 0", "did you mean `speaks:mcp`?"),
        ] {
            assert!(error(claim).contains(why), "{claim}: {}", error(claim));
        }
        let error = Claim::parse("count[status:9] == 1").unwrap_err();
        assert!(error.contains("`status:9`"), "{error}");
    }

    #[test]
    fn a_pipeline_can_read_it() {
        let text = junit(&[judged("no errors"), judged("count[find:\"<\"] >= 0")], 1.5);
        assert!(text.contains("tests=\"2\" failures=\"1\" time=\"1.500\""), "{text}");
        assert!(text.contains("name=\"count[find:&quot;&lt;&quot;] &gt;= 0\"/>"), "{text}");
        assert!(text.contains("<failure message=\"it is 1 (#1: the target answered 503)\"/>"));
    }
}
