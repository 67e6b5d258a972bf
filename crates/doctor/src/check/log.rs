//! Rung 6: what the server wrote to its log before it failed.

use std::time::Duration;

use super::note::fails;
use super::{About, Check, Pending, Step};
use crate::case::{Case, Learned};
use crate::log::{Said, Source, expected, outputs, read};
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Log;

/// Limit: logs that are read.
const LOGS_MAX: usize = 6;

/// A log that was written longer ago tells nothing of a server that fails now.
const RECENT: Duration = Duration::from_secs(15 * 60);

/// A server that is not there may have ended some time ago.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Verdicts that only say that the server is not there: its log says why.
const ABSENT: &[&str] = &["listen.none", "listen.not_yet", "listen.other_port"];

/// Verdicts of a server that is there and fails.
const FAILS: &[&str] = &[
    "http.500",
    "http.503",
    "http.empty",
    "http.no_response",
    "process.single_threaded",
    "start.crash_loop",
    "tcp.closed_at_once",
    "tcp.reset",
    "unknown",
    "upstream.refused",
    "upstream.unknown",
];

impl Check for Log {
    fn about(&self) -> About {
        About {
            id: "log",
            title: "log of the server",
            proves: "the last lines of the server's log tell of no fault",
            rung: 6,
            budget: Duration::from_secs(2),
            verdicts: &["start.failed"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.target.is_err() || case.facts.invalid_port.is_some() {
            return Some("the address has no port".to_owned());
        }
        let is_here = case.facts.names.as_ref().is_some_and(|names| names.is_local);
        if case.logs.is_empty() && !is_here {
            return Some("the server is not on this machine (--log FILE names a log)".to_owned());
        }
        (!case.log_is_named && !fails(case)).then(|| "the server answers as it should".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let (named, port) = (case.logs.clone(), case.facts.port);
    let (owner, absent) = (case.owner().cloned(), case.facts.nothing_listens);
    let read = tokio::task::spawn_blocking(move || {
        let process = owner.or_else(|| port.filter(|_| absent).and_then(expected));
        let own = process.iter().flat_map(outputs);
        let sources = named.iter().map(|path| Source::named(path)).chain(own);
        sources.take(LOGS_MAX).filter_map(|source| read(&source)).collect::<Vec<Said>>()
    });
    let said = read.await.unwrap_or_default();
    let limit = if absent { REMEMBERED } else { RECENT };
    let recent = |said: &&Said| said.age.is_none_or(|age| age <= limit) || case.log_is_named;
    let said: Vec<&Said> = said.iter().filter(recent).collect();
    let known = said.iter().find(|said| said.trouble.as_ref().is_some_and(|t| t.meaning.is_some()));
    let other = || said.iter().find(|said| said.trouble.is_some());
    let Some(found) = known.or_else(other).or(said.first()).copied() else {
        return Step::cannot_tell("no log of it is known here: --log FILE names one");
    };
    let Some(line) = found.line() else {
        return Step::pass(format!("{} is empty", found.place));
    };
    let step = match &found.trouble {
        Some(trouble) => match &trouble.meaning {
            Some(meaning) => Step::warn(format!("its log: {}", meaning.cause)),
            None => Step::warn("its log tells of a fault"),
        },
        None => Step::pass("its log tells of no fault that is known"),
    };
    step.seen([line]).learned(Learned::Log(Box::new(found.clone())))
}

/// The verdict with what the log says: the cause itself, when the server is not there.
pub(crate) fn completed(verdict: Verdict, case: &Case, also: &mut Vec<Verdict>) -> Verdict {
    let Some(said) = &case.facts.log else { return verdict };
    let Some(line) = said.line() else { return verdict };
    let meaning = said.trouble.as_ref().and_then(|trouble| trouble.meaning.as_ref());
    match meaning {
        Some(meaning) if ABSENT.contains(&verdict.id) => {
            let port = case.facts.port.unwrap_or_default();
            let cause = meaning.cause.trim_end_matches('.');
            let sentence = format!(
                "nothing listens on port {port}, and the log of the server says why: {cause}"
            );
            let mut named = Verdict::likely("start.failed", sentence)
                .because(line)
                .because(format!("the cause is one of {}", meaning.id))
                .because_all(verdict.evidence.clone());
            named.fix.clone_from(&meaning.steps);
            named.fix.push(Fix::say("then start the server again"));
            also.insert(0, verdict);
            named
        }
        Some(meaning) if FAILS.contains(&verdict.id) => {
            let mut verdict =
                verdict.because(line).because(format!("that means: {}", meaning.cause));
            verdict.fix.splice(0..0, meaning.steps.clone());
            verdict
        }
        _ if ABSENT.contains(&verdict.id) || FAILS.contains(&verdict.id) => verdict.because(line),
        _ => verdict,
    }
}
