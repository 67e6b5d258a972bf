//! What the surroundings add to a verdict that another check has given.

use crate::case::Case;
use crate::report::{Confidence, Fix, Verdict};

/// Something that was seen beside the address, for some verdicts only.
#[derive(Debug, Clone)]
pub(crate) struct Note {
    /// The ids of the verdicts that it belongs to.
    pub(crate) verdicts: &'static [&'static str],
    /// Whether it says nothing where the rule of a firewall is proved to be the cause.
    pub(crate) only_unproved: bool,
    /// A verdict that says more than the one that was given, and takes its place.
    pub(crate) instead: Option<Verdict>,
    pub(crate) evidence: Vec<String>,
    /// Steps that come after those of the verdict.
    pub(crate) fix: Vec<Fix>,
}

impl Note {
    /// Nothing yet, for these verdicts.
    pub(crate) fn on(verdicts: &'static [&'static str]) -> Self {
        let (evidence, fix) = (Vec::new(), Vec::new());
        Self { verdicts, only_unproved: false, instead: None, evidence, fix }
    }
}

/// Verdicts of a server that is not there, or that is and fails.
pub(super) const FAILED: &[&str] = &[
    "container.backend_dead",
    "container.loopback_bind",
    "container.not_published",
    "http.500",
    "http.503",
    "http.no_response",
    "listen.none",
    "listen.not_yet",
    "process.single_threaded",
    "start.crash_loop",
    "start.failed",
    "tcp.closed_at_once",
    "tcp.reset",
    "unknown",
    "upstream.refused",
    "upstream.unknown",
];

/// Whether anything was seen that the surroundings of the server could explain.
pub(super) fn fails(case: &Case) -> bool {
    let facts = &case.facts;
    let answers = facts.spoken.as_ref().is_some_and(|spoken| spoken.protocol.is_some());
    facts.connected.is_none() || !answers || facts.answer().is_some_and(|a| a.status >= 500)
}

/// The verdict with everything that belongs to it.
pub(crate) fn noted(mut verdict: Verdict, case: &Case) -> Verdict {
    for note in &case.facts.notes {
        let is_proved =
            verdict.confidence == Confidence::Certain && verdict.id.starts_with("firewall.");
        let is_open = !(note.only_unproved && is_proved);
        if !is_open || !note.verdicts.contains(&verdict.id) {
            continue;
        }
        let mut evidence = note.evidence.clone();
        if let Some(instead) = &note.instead {
            evidence.splice(0..0, std::mem::take(&mut verdict.evidence));
            verdict = instead.clone();
        }
        verdict.evidence.extend(evidence);
        verdict.fix.extend(note.fix.iter().cloned());
    }
    verdict
}
