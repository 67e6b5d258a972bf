//! Climbs the ladder: rung after rung, the checks of one rung together, until the time is over.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::by_hand::{self, ByHand};
use crate::case::{Case, Facts, Learned};
use crate::check::{self, About, CHECKS, Check, Step};
use crate::report::{
    Finding, Fix, HEALTHY, Outcome, Report, Subject, UNKNOWN, USAGE, Verdict, milliseconds,
};
use crate::request::Request;
use crate::target::Target;

/// Every check, in the order of the ladder.
pub fn checks() -> impl Iterator<Item = About> {
    CHECKS.iter().map(|check| check.about())
}

/// Finds out why an address does not work, or that it does; never longer than the deadline.
///
/// Changes nothing, sends no credential, and opens at most a handful of connections. A lookup of a
/// name that hangs stays behind in the runtime's blocking pool, so a program that ends after this
/// should leave its runtime with `shutdown_background`.
pub async fn diagnose(request: &Request) -> Report {
    let started = Instant::now();
    let mut case = Case {
        target: match &request.target {
            Some(text) => Target::parse(text),
            None => Ok(Target::home(request.default_port)),
        },
        default_port: request.default_port,
        environment: request.environment.clone(),
        logical: request.logical.clone(),
        strict_ports: request.strict_ports,
        mcp: request.mcp,
        ask: request.ask.clone(),
        origin: request.origin.clone(),
        logs: request.logs.clone(),
        log_is_named: request.log_is_named,
        roots: request.roots.clone(),
        facts: Facts::default(),
    };
    let last = match last_rung(request.only.as_deref()) {
        Ok(last) => last,
        Err(verdict) => return finish(request, &case, started, Climb::stopped(*verdict)),
    };
    let mut climb = Climb::default();
    for rung in 0..=last {
        let wanted = |check: &&&dyn Check| {
            let about = check.about();
            about.rung == rung
                && (rung < last || request.only.as_deref().is_none_or(|only| only == about.id))
        };
        let checks: Vec<&dyn Check> = CHECKS.iter().filter(wanted).copied().collect();
        let until = started + request.deadline;
        let steps = join_all(checks.iter().map(|check| climb_one(*check, &case, until))).await;
        for (finding, verdict, learned) in steps {
            case.facts.learn(learned);
            climb.findings.push(finding);
            climb.verdicts.extend(verdict);
        }
    }
    finish(request, &case, started, climb)
}

/// What was found on the way.
#[derive(Debug, Default)]
struct Climb {
    findings: Vec<Finding>,
    verdicts: Vec<Verdict>,
}

impl Climb {
    fn stopped(verdict: Verdict) -> Self {
        Self { findings: Vec::new(), verdicts: vec![verdict] }
    }
}

fn last_rung(only: Option<&str>) -> Result<u8, Box<Verdict>> {
    let highest = checks().map(|about| about.rung).max().unwrap_or_default();
    let Some(only) = only else { return Ok(highest) };
    checks().find(|about| about.id == only).map(|about| about.rung).ok_or_else(|| {
        let names: Vec<&str> = checks().map(|about| about.id).collect();
        let verdict = Verdict::certain(USAGE, format!("there is no check called `{only}`"));
        Box::new(verdict.fix(Fix::say(format!("use one of {}", names.join(", ")))))
    })
}

async fn climb_one(
    check: &dyn Check,
    case: &Case,
    until: Instant,
) -> (Finding, Option<Verdict>, Learned) {
    let about = check.about();
    let started = Instant::now();
    let skipped = |reason: String, duration: Duration| Finding {
        check: about.id,
        title: about.title,
        outcome: Outcome::Skip,
        summary: String::new(),
        evidence: Vec::new(),
        duration_ms: milliseconds(duration),
        reason: Some(reason),
    };
    if let Some(reason) = check.skip(case) {
        return (skipped(reason, Duration::ZERO), None, Learned::Nothing);
    }
    let limit = until.min(started + about.budget);
    let Ok(step) = tokio::time::timeout_at(limit, check.run(case)).await else {
        let took = milliseconds(started.elapsed());
        let reason = format!("it did not end within {took} ms");
        return (skipped(reason, started.elapsed()), None, Learned::Nothing);
    };
    let Step { outcome, summary, evidence, verdict, learned } = step;
    debug_assert!(
        verdict.as_ref().is_none_or(|verdict| about.verdicts.contains(&verdict.id)),
        "{} gave a verdict that is not in its list",
        about.id
    );
    let duration = started.elapsed();
    let finding = if outcome == Outcome::Skip {
        Finding { evidence, ..skipped(summary, duration) }
    } else {
        Finding {
            check: about.id,
            title: about.title,
            outcome,
            summary,
            evidence,
            duration_ms: milliseconds(duration),
            reason: None,
        }
    };
    (finding, verdict, learned)
}

fn finish(request: &Request, case: &Case, started: Instant, climb: Climb) -> Report {
    let Climb { findings, verdicts } = climb;
    let mut verdicts = verdicts;
    // What a server that comes and goes answers depends on the moment.
    verdicts.sort_by_key(|verdict| verdict.id != "start.crash_loop");
    let mut verdicts = verdicts.into_iter();
    // The lowest rung that names a cause is the cause; what stands above it may be its effect.
    let verdict = verdicts.next().unwrap_or_else(|| without_name(request, case, &findings));
    let mut also = verdicts.filter(|other| other.id != verdict.id).collect();
    let verdict = check::noted(check::completed(verdict, case, &mut also), case);
    Report {
        target: subject(request, case),
        verdict,
        findings,
        also,
        ports: case.facts.neighbours.clone(),
        by_hand: by_hand(request, case),
        duration_ms: milliseconds(started.elapsed()),
        verbose: request.verbose,
    }
}

fn by_hand(request: &Request, case: &Case) -> Vec<ByHand> {
    if !request.by_hand {
        return Vec::new();
    }
    let port = case.facts.port.unwrap_or(request.default_port);
    by_hand::commands(std::env::consts::OS, case.host(), port)
}

/// No check named a cause: all is well, or nobody knows.
fn without_name(request: &Request, case: &Case, findings: &[Finding]) -> Verdict {
    let failed: Vec<&Finding> =
        findings.iter().filter(|finding| finding.outcome == Outcome::Fail).collect();
    if let Some(only) = &request.only {
        let own = findings.iter().find(|finding| finding.check == only);
        let reason = own.and_then(|finding| finding.reason.clone());
        return match (failed.is_empty(), reason) {
            (true, None) => {
                Verdict::certain(HEALTHY, format!("the check `{only}` found nothing wrong"))
            }
            (_, reason) => {
                Verdict::uncertain(UNKNOWN, format!("the check `{only}` could not tell"))
                    .because_all(reason)
                    .because_all(failed.iter().map(|finding| finding.summary.clone()))
            }
        };
    }
    if case.facts.connected.is_some() && case.facts.spoken.is_some() {
        return healthy(case);
    }
    let unfinished = findings.iter().filter(|finding| finding.outcome == Outcome::Skip);
    let reasons = unfinished.filter_map(|finding| {
        finding.reason.as_ref().map(|reason| format!("{}: {reason}", finding.check))
    });
    Verdict::uncertain(
        UNKNOWN,
        format!("{} does not work, and no check could name why", case.host()),
    )
    .because_all(failed.iter().map(|finding| format!("{}: {}", finding.check, finding.summary)))
    .because_all(reasons)
    .fix(Fix::say("run again with --verbose, and as root where a check needs more rights"))
}

fn healthy(case: &Case) -> Verdict {
    let facts = &case.facts;
    let place = facts.connected.map_or_else(String::new, |address| format!(" at {address}"));
    let tongues = facts.spoken.as_ref().map_or_else(String::new, |spoken| {
        let all = spoken.protocol.iter().chain(&spoken.also);
        all.map(|protocol| protocol.name()).collect::<Vec<_>>().join(", ")
    });
    let who = match facts.answer() {
        Some(answer) if answer.is_rapport() => "rapport answers",
        Some(_) | None => "a server answers",
    };
    let holder = facts.connected.and_then(|address| {
        let row = facts.listeners()?.iter().find(|row| row.port == address.port())?;
        row.owner.as_ref().map(|owner| format!(", PID {} `{}`", owner.pid, owner.command))
    });
    let name = case.address().map_or_else(String::new, ToString::to_string);
    let sentence =
        format!("{name} works: {who}{place} over {tongues}{}", holder.unwrap_or_default());
    Verdict::certain(HEALTHY, sentence)
}

fn subject(request: &Request, case: &Case) -> Subject {
    let Some(target) = case.address() else {
        // An address that cannot be read may hold anything, also a password.
        let text = request.target.as_deref().unwrap_or_default();
        let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
        let text = if text.contains('@') { "[not shown]".to_owned() } else { shown };
        return Subject { text, ..Subject::default() };
    };
    let assumed =
        if request.target.is_none() { " (none was given: the product's own)" } else { "" };
    Subject {
        text: target.to_string(),
        understood: format!("{}{assumed}", target.understood()),
        scheme: target.scheme.map(crate::target::Scheme::name),
        host: target.host.clone(),
        port_text: target.port.clone(),
        port: case.facts.port,
        path: target.path.clone(),
    }
}
