//! What the doctor found: one verdict, its evidence and fix, and every check with its outcome.

#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use serde::Serialize;

use crate::by_hand::ByHand;

/// The version of the JSON form; it changes when a field changes its meaning or goes away.
pub const SCHEMA: u32 = 1;

/// The verdict id of an address at which everything works.
pub const HEALTHY: &str = "ok";

/// The verdict id when the doctor itself was used wrongly.
pub const USAGE: &str = "usage";

/// The verdict id when something is wrong and no check could name it.
pub const UNKNOWN: &str = "unknown";

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The evidence allows no other reading.
    Certain,
    /// The usual reading of the evidence.
    Likely,
    /// The address does not work, and several causes fit.
    Uncertain,
}

/// One step of a cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What to do, in words.
    pub text: String,
    /// The exact command, when there is one.
    pub command: Option<String>,
    /// Whether the command needs administrator rights.
    pub needs_root: bool,
}

impl Fix {
    /// Something to do that is no command.
    #[must_use]
    pub fn say(text: impl Into<String>) -> Self {
        Self { text: text.into(), command: None, needs_root: false }
    }

    pub(crate) fn run(text: impl Into<String>, command: impl Into<String>) -> Self {
        Self { text: text.into(), command: Some(command.into()), needs_root: false }
    }

    pub(crate) fn run_as_root(text: impl Into<String>, command: impl Into<String>) -> Self {
        Self { text: text.into(), command: Some(command.into()), needs_root: true }
    }
}

/// The one cause, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// A stable name such as `listen.none`; see docs/doctor.md.
    pub id: &'static str,
    /// The cause in one sentence.
    pub sentence: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// What proves it: addresses, processes, system answers, bytes.
    pub evidence: Vec<String>,
    /// What to do, the best first.
    pub fix: Vec<Fix>,
}

impl Verdict {
    pub(crate) fn certain(id: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(id, Confidence::Certain, sentence.into())
    }

    pub(crate) fn likely(id: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(id, Confidence::Likely, sentence.into())
    }

    pub(crate) fn uncertain(id: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(id, Confidence::Uncertain, sentence.into())
    }

    fn new(id: &'static str, confidence: Confidence, sentence: String) -> Self {
        Self { id, sentence, confidence, evidence: Vec::new(), fix: Vec::new() }
    }

    pub(crate) fn because(mut self, evidence: impl Into<String>) -> Self {
        self.evidence.push(evidence.into());
        self
    }

    pub(crate) fn because_all(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    pub(crate) fn fix(mut self, fix: Fix) -> Self {
        self.fix.push(fix);
        self
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// What the check proves holds.
    Pass,
    /// It does not hold.
    Fail,
    /// It was not run, or could not tell; `reason` says why.
    Skip,
    /// It holds, and something deserves a look.
    Warn,
}

/// One check of the ladder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// The check's id, for `--only`.
    pub check: &'static str,
    /// What it looks at.
    pub title: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// One line; empty when it was skipped.
    pub summary: String,
    /// What was seen.
    pub evidence: Vec<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Why it was skipped.
    pub reason: Option<String>,
}

/// The address, as it was understood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The address without credentials and query.
    pub text: String,
    /// What was understood, in words.
    pub understood: String,
    /// The scheme, when one was written.
    pub scheme: Option<&'static str>,
    /// The host.
    pub host: String,
    /// The port as it was written, also when it is none.
    pub port_text: Option<String>,
    /// The real port used for the probes.
    pub port: Option<u16>,
    /// The path, when one was written.
    pub path: Option<String>,
}

/// A port that was looked at because it may have been meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The port.
    pub port: u16,
    /// Why it was looked at.
    pub reason: String,
    /// Whether something listens there.
    pub listening: bool,
    /// Who, when known.
    pub listeners: Vec<String>,
    /// What answers there: `rapport`, `mcp`, `http`, `silent`, `other` or `nothing`.
    pub answers: &'static str,
    /// The same in one line.
    pub summary: String,
}

impl Neighbour {
    /// The answer in a few words, for the evidence of a verdict.
    pub(crate) fn brief(&self) -> String {
        let said = match self.answers {
            "rapport" => "rapport answers there",
            "mcp" => "an MCP server answers there",
            "http" => "an HTTP server answers there",
            "other" => "a server answers there, and not with HTTP",
            "silent" => "a server listens there and says nothing",
            _ => "nothing answers there",
        };
        format!("port {}: {said}", self.port)
    }
}

/// The whole diagnosis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The address.
    pub target: Subject,
    /// The one cause.
    pub verdict: Verdict,
    /// Every check, in the order of the ladder.
    pub findings: Vec<Finding>,
    /// Faults that other checks named and that may be effects of the first.
    pub also: Vec<Verdict>,
    /// Other ports that were looked at.
    pub ports: Vec<Neighbour>,
    /// The commands to look without this program, when they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<ByHand>,
    /// How long it all took, in milliseconds.
    pub duration_ms: f64,
    /// Whether the text form shows the evidence of every check.
    #[serde(skip)]
    pub verbose: bool,
}

impl Report {
    /// The report of something that is judged in one step; `understood` says what it is.
    pub(crate) fn of(text: &str, understood: &str, verdict: Verdict) -> Self {
        let target = Subject {
            text: text.to_owned(),
            understood: understood.to_owned(),
            ..Subject::default()
        };
        let (findings, also, ports) = (Vec::new(), Vec::new(), Vec::new());
        let (by_hand, duration_ms, verbose) = (Vec::new(), 0.0, false);
        Self { target, verdict, findings, also, ports, by_hand, duration_ms, verbose }
    }

    /// Whether the address works; warnings are allowed.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.verdict.id == HEALTHY
    }

    /// 0 healthy, 1 a named fault, 2 wrong usage, 3 broken with an uncertain cause.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.verdict.id, self.verdict.confidence) {
            (HEALTHY, _) => 0,
            (USAGE, _) => 2,
            (_, Confidence::Uncertain) => 3,
            (_, Confidence::Certain | Confidence::Likely) => 1,
        }
    }

    /// The report for people: verdict, evidence, fix, ladder; at most 80 columns are not promised.
    #[must_use]
    pub fn to_text(&self, color: bool) -> String {
        text::render(self, color)
    }

    /// The report for programs; docs/doctor.md describes every field.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let head = serde_json::json!({
            "schema": SCHEMA,
            "ok": self.is_healthy(),
            "exit_code": self.exit_code(),
            "host": { "os": std::env::consts::OS },
        });
        match (head, serde_json::to_value(self)) {
            (serde_json::Value::Object(mut head), Ok(serde_json::Value::Object(body))) => {
                head.extend(body);
                serde_json::Value::Object(head)
            }
            (head, _) => head,
        }
    }
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}
