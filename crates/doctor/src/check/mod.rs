//! The checks, each in its file, in the order of the ladder.

mod address;
mod clock;
mod connect;
mod container;
mod cors;
mod elsewhere;
mod filter;
mod guard;
mod http;
mod interfaces;
mod journal;
mod limits;
mod listen;
mod log;
mod loopback;
mod mcp;
mod name;
mod note;
mod process;
mod protocol;
mod proxy;
mod relay;
mod restarts;
mod room;
mod size;
mod stream;
mod tls;
mod websocket;

pub(crate) use elsewhere::{answers_as_ours, was_started_for};
pub(crate) use log::completed;
pub(crate) use note::{Note, noted};

use std::pin::Pin;
use std::time::Duration;

use crate::case::{Case, Learned};
use crate::report::{Outcome, Verdict};

/// Every check; those of one rung run together, and a rung waits for the one before.
pub(crate) const CHECKS: &[&dyn Check] = &[
    &address::Address,
    &room::Room,
    &name::Name,
    &loopback::Loopback,
    &listen::Listen,
    &connect::Connect,
    &elsewhere::Elsewhere,
    &filter::Filter,
    &protocol::Protocol,
    &tls::Tls,
    &process::OfProcess,
    &limits::Limits,
    &restarts::Restarts,
    &http::Http,
    &interfaces::Interfaces,
    &mcp::Mcp,
    &stream::Streams,
    &websocket::WebSocket,
    &cors::Cors,
    &clock::Clock,
    &size::Size,
    &proxy::Proxy,
    &container::Container,
    &guard::Guards,
    &journal::Journal,
    &log::Log,
];

/// What a check is, for the list of checks and its documentation.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name for `--only` and in reports.
    pub id: &'static str,
    /// What it looks at, in a few words.
    pub title: &'static str,
    /// What is proved when it passes.
    pub proves: &'static str,
    /// Its place in the ladder, from 0.
    pub rung: u8,
    /// The longest it may take.
    pub budget: Duration,
    /// The verdicts it can give.
    pub verdicts: &'static [&'static str],
}

/// One check of the ladder.
pub(crate) trait Check: Sync {
    /// What it is.
    fn about(&self) -> About;

    /// Why it cannot add anything to this case; `None` runs it.
    fn skip(&self, case: &Case) -> Option<String>;

    /// Looks, and says what it saw.
    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a>;
}

/// A step that is being made.
pub(crate) type Pending<'a> = Pin<Box<dyn Future<Output = Step> + Send + 'a>>;

/// What one check saw.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) outcome: Outcome,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<String>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) learned: Learned,
}

impl Step {
    pub(crate) fn pass(summary: impl Into<String>) -> Self {
        Self::new(Outcome::Pass, summary.into())
    }

    pub(crate) fn warn(summary: impl Into<String>) -> Self {
        Self::new(Outcome::Warn, summary.into())
    }

    /// Failed, and left to another check to name.
    pub(crate) fn fail(summary: impl Into<String>) -> Self {
        Self::new(Outcome::Fail, summary.into())
    }

    /// Failed, and this is why.
    pub(crate) fn name(verdict: Verdict) -> Self {
        let summary = verdict.sentence.clone();
        Self { verdict: Some(verdict), ..Self::new(Outcome::Fail, summary) }
    }

    /// Could not tell.
    pub(crate) fn cannot_tell(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Skip, reason.into())
    }

    fn new(outcome: Outcome, summary: String) -> Self {
        Self { outcome, summary, evidence: Vec::new(), verdict: None, learned: Learned::Nothing }
    }

    pub(crate) fn seen(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    pub(crate) fn learned(mut self, learned: Learned) -> Self {
        self.learned = learned;
        self
    }
}

/// The reason every later check gives when the address itself is wrong.
pub(crate) fn no_address(case: &Case) -> Option<String> {
    match (&case.target, &case.facts.invalid_port) {
        (Err(_), _) => Some("the address cannot be read".to_owned()),
        (_, Some(invalid)) => Some(format!("{} is no port", invalid.value)),
        (Ok(_), None) => None,
    }
}

/// The reason of checks that look at the server's process and its surroundings, where there is none
/// of this machine.
fn not_here(case: &Case) -> Option<String> {
    if case.target.is_err() || case.facts.invalid_port.is_some() {
        return Some("the address has no port".to_owned());
    }
    let is_here = case.facts.names.as_ref().is_some_and(|names| names.is_local);
    (!is_here).then(|| "the server is not on this machine".to_owned())
}

/// Whether a host is `localhost`, a loopback address, or the address that means "here".
pub(crate) fn is_loopback_host(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}
