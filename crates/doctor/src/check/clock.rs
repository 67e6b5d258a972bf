//! Rung 5: the clock of the server and the clock of this machine say the same.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::http::Answer;
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Clock;

/// Seconds by which clocks may differ: tokens are usually allowed this much.
const SKEW_MAX: i64 = 300;

impl Check for Clock {
    fn about(&self) -> About {
        About {
            id: "clock",
            title: "clocks",
            proves: "the server's clock and this machine's differ by less than five minutes",
            rung: 5,
            budget: Duration::from_millis(100),
            verdicts: &["time.skew"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        match case.facts.answer().map(date) {
            Some(Some(_)) => None,
            Some(None) => Some("the answer has no date".to_owned()),
            None => Some("no HTTP answer".to_owned()),
        }
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(async move { look(case) })
    }
}

/// The moment in the `Date` header of an answer that nobody has kept for later.
fn date(answer: &Answer) -> Option<Timestamp> {
    if answer.header("age").is_some() {
        return None;
    }
    let text = answer.header("date")?.replace("GMT", "+0000");
    rfc2822::parse(&text).ok().map(|zoned| zoned.timestamp())
}

fn look(case: &Case) -> Step {
    let Some(theirs) = case.facts.answer().and_then(date) else {
        return Step::cannot_tell("the answer has no date");
    };
    let ours = Timestamp::now();
    let skew = theirs.as_second().saturating_sub(ours.as_second());
    if skew.abs() <= SKEW_MAX {
        return Step::pass(format!("the clocks differ by {} s", skew.abs()));
    }
    let (long, order) = (span(skew.abs()), if skew > 0 { "ahead of" } else { "behind" });
    let sentence = format!("the server works, and its clock is {long} {order} this machine's");
    Step::name(
        Verdict::certain("time.skew", sentence)
            .because(format!("its answer is dated {theirs:.0}, and here it is {ours:.0}"))
            .because(
                "tokens and certificates fail between them: one calls them expired or too early",
            )
            .fix(Fix::run(
                "set the clock that is wrong by the network",
                "sudo timedatectl set-ntp true",
            )),
    )
}

/// "3 h 5 min", for people: to the nearest minute, since the answer was dated a moment before.
fn span(seconds: i64) -> String {
    let seconds = seconds.saturating_add(30);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::span;

    #[test]
    fn differences_are_said_in_two_units() {
        let said = [360, 10_799, 10_800, 11_100, 90_000, 172_800].map(span);
        assert_eq!(said, ["6 min", "3 h", "3 h", "3 h 5 min", "1 d 1 h", "2 d"]);
    }
}
