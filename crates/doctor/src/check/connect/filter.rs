//! Names the rule behind a failure that only a packet filter explains.

use std::time::Duration;

use super::Scene;
use super::judge::worst;
use crate::check::Step;
use crate::firewall::{Culprit, Deed, Look, Way, look};
use crate::probe::dial::{Dial, dial};
use crate::report::{Confidence, Verdict};

/// Limit: one more connection, while the counters of the rules are watched.
const AGAIN: Duration = Duration::from_millis(600);

/// Verdicts that say "a firewall does it", for which the rule is wanted.
const OF_FIREWALLS: &[&str] = &["firewall.drop", "firewall.intermittent", "firewall.reject"];

/// Verdicts about other machines, which a rule of this machine would explain better.
const OF_NETWORKS: &[&str] = &["net.timeout", "net.unreachable", "tcp.refused"];

/// Looks for the rule, when the verdict is one that a rule explains.
pub(super) async fn named(mut step: Step, scene: &Scene<'_>) -> Step {
    let Some(verdict) = step.verdict.take() else { return step };
    let is_near = OF_FIREWALLS.contains(&verdict.id);
    let Some(failed) = worst(&scene.dials).filter(|_| is_near || OF_NETWORKS.contains(&verdict.id))
    else {
        step.verdict = Some(verdict);
        return step;
    };
    let verdict = explain(verdict, scene, failed, is_near).await;
    step.summary.clone_from(&verdict.sentence);
    step.verdict = Some(verdict);
    step
}

async fn explain(verdict: Verdict, scene: &Scene<'_>, failed: &Dial, is_near: bool) -> Verdict {
    let way =
        Way { to: failed.address.ip(), port: scene.port, is_local: scene.is_local, length: None };
    let (rules, culprits, notes) = match read(way).await {
        Some(Look::Read { rules, culprits, notes }) => (rules, culprits, notes),
        Some(Look::Hidden { reason, notes }) if is_near => {
            return verdict
                .because(format!("which rule it is cannot be seen: {reason}"))
                .because_all(notes);
        }
        Some(Look::Hidden { .. }) | None => return verdict,
    };
    let counted = if culprits.iter().any(|one| one.counter.is_some()) {
        dial(failed.address, AGAIN).await;
        match read(way).await {
            Some(Look::Read { culprits, .. }) => culprits,
            Some(Look::Hidden { .. }) | None => Vec::new(),
        }
    } else {
        Vec::new()
    };
    match pick(&culprits, &counted, is_near) {
        Some((culprit, growth)) => blame(verdict, scene, culprit, growth),
        None if is_near => {
            let seen =
                format!("{rules} rules of nftables were read, and none ends this connection");
            verdict.because(seen).because_all(notes)
        }
        None => verdict,
    }
}

async fn read(way: Way) -> Option<Look> {
    tokio::task::spawn_blocking(move || look(way)).await.ok()
}

/// The rule that surely did it, or whose counter grew; else one that may have done it.
fn pick<'a>(
    before: &'a [Culprit],
    after: &[Culprit],
    also_unsure: bool,
) -> Option<(&'a Culprit, Option<(u64, u64)>)> {
    let growth = |one: &Culprit| {
        let same = after.iter().find(|later| later.place == one.place && later.rule == one.rule)?;
        let (first, then) = (one.counter?, same.counter?);
        (then > first).then_some((first, then))
    };
    let sure = before.iter().rfind(|one| one.is_sure && one.deed != Deed::Hand);
    let grown = || before.iter().find(|one| growth(one).is_some());
    // The first one that may drop or reject: what comes after it may never be reached.
    let unsure = || before.iter().find(|_| also_unsure);
    let found = sure.or_else(grown).or_else(unsure)?;
    Some((found, growth(found)))
}

fn blame(
    mut verdict: Verdict,
    scene: &Scene<'_>,
    culprit: &Culprit,
    growth: Option<(u64, u64)>,
) -> Verdict {
    let place = &culprit.place;
    let port = scene.port;
    let to = if scene.is_local { String::new() } else { format!(" to {}", scene.host) };
    let (id, does) = match culprit.deed {
        Deed::Redirect(Some(other)) => ("firewall.redirect", format!("sends it to port {other}")),
        Deed::Redirect(None) => ("firewall.redirect", "sends it elsewhere".to_owned()),
        Deed::Reject if verdict.id == "firewall.intermittent" => {
            (verdict.id, "rejects some of the connections".to_owned())
        }
        Deed::Reject => ("firewall.reject", "rejects it".to_owned()),
        Deed::Drop => ("firewall.drop", "drops its packets".to_owned()),
        Deed::Hand => (verdict.id, "hands it to a program".to_owned()),
    };
    let listens = if scene.rows.as_ref().is_some_and(|rows| !rows.is_empty()) && scene.is_local {
        format!("a server listens on port {port}, but ")
    } else {
        String::new()
    };
    verdict.id = id;
    verdict.sentence = format!("{listens}a firewall rule in {place} {does} (TCP port {port}{to})");
    verdict.evidence.insert(0, culprit.line());
    if let Some((first, then)) = growth {
        let seen = format!("its counter went from {first} to {then} packets with one more try");
        verdict.evidence.insert(1, seen);
    }
    if (culprit.is_sure || growth.is_some()) && id != "firewall.intermittent" {
        verdict.confidence = Confidence::Certain;
    }
    if !culprit.fixes.is_empty() {
        verdict.fix.clone_from(&culprit.fixes);
    }
    verdict
}
