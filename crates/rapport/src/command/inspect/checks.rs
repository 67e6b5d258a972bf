//! What is done with every exchange that is over, beside showing it: claims are judged, spans sent.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use doctor::port;
use gateway::provider::Providers;
use inspect::decode::View;
use inspect::{Claim, Collector, Exchange, Judgement, Target, junit};
use serde_json::json;
use tokio::process::{Child, Command};

use super::super::Frame;
use super::Options;
use crate::print::Exit;

/// The path of the standard, for collectors that are named without one.
const TRACES: &str = "/v1/traces";

/// What the flags ask for.
#[derive(Default)]
pub(super) struct Checks {
    claims: Vec<Claim>,
    collector: Option<(Target, String)>,
}

/// The same while it runs.
pub(super) struct Running {
    claims: Vec<Claim>,
    collector: Option<Collector>,
    begun: tokio::time::Instant,
}

/// Reads claims and the collector's address.
///
/// # Errors
/// The exit code, after what is wrong was said.
pub(super) fn read(frame: &mut Frame, options: &Options) -> Result<Checks, Exit> {
    let mut claims = Vec::new();
    for text in &options.claims {
        match Claim::parse(text) {
            Ok(claim) => claims.push(claim),
            Err(why) => return Err(super::usage(frame, &why, "")),
        }
    }
    let Some(text) = &options.otlp else { return Ok(Checks { claims, collector: None }) };
    match super::read_target(text, &port::Place::Flag("--otlp".to_owned())) {
        Ok(target) => {
            let path = super::path_of(text).unwrap_or_else(|| TRACES.to_owned());
            Ok(Checks { claims, collector: Some((target, path)) })
        }
        Err(bad) => {
            let hint = "a collector of OpenTelemetry usually listens at http://localhost:4318";
            Err(super::usage(frame, &bad.text, hint))
        }
    }
}

impl Checks {
    /// Begins.
    pub(super) fn start(self) -> Running {
        let collector = self.collector.map(|(target, path)| Collector::start(target, &path));
        Running { claims: self.claims, collector, begun: tokio::time::Instant::now() }
    }
}

impl Running {
    /// Whether anybody wants to know of exchanges.
    pub(super) fn wants(&self) -> bool {
        !self.claims.is_empty() || self.collector.is_some()
    }

    /// Looks at an exchange that is over.
    pub(super) fn take(&mut self, exchange: &Exchange, view: &View) {
        for claim in &mut self.claims {
            claim.take(exchange, view);
        }
        if let Some(collector) = &self.collector {
            collector.take(exchange.clone(), view.clone());
        }
    }

    /// Says how it went; whether every claim held.
    ///
    /// # Errors
    /// When the report cannot be written.
    pub(super) async fn finish(self, frame: &mut Frame, options: &Options) -> anyhow::Result<bool> {
        if let Some(collector) = self.collector {
            match collector.finish().await {
                Ok(said) => frame.printer.note(&said),
                Err(why) => frame.printer.error(&why),
            }
        }
        let judged: Vec<Judgement> = self.claims.iter().map(Claim::judge).collect();
        let holds = judged.iter().all(|one| one.holds);
        for one in &judged {
            let word = if one.holds { "holds" } else { "fails" };
            frame.printer.note(&format!("{word}: {}: {}", one.claim, one.found));
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let value = json!({"holds": holds, "seconds": seconds, "claims": judged});
        if let Some(path) = &options.report {
            let is_junit = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("xml"));
            let text = if is_junit { junit(&judged, seconds) } else { format!("{value:#}\n") };
            write(path, &text)?;
        }
        if frame.printer.is_json() && options.verb.is_some() {
            frame.printer.json(&value)?;
        }
        Ok(holds)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Starts the program of `run`, with the variables in which programs look for base URLs.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start(
    options: &Options,
    target: &Target,
    address: SocketAddr,
) -> anyhow::Result<Option<Child>> {
    if options.verb.is_none() {
        return Ok(None);
    }
    let (program, arguments) =
        options.command.split_first().context("name a command after `--`")?;
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true).env("INSPECT_URL", format!("http://{address}"));
    for (name, value) in bases(target, address) {
        command.env(name, value);
    }
    let child = command.spawn().with_context(|| format!("`{program}` cannot be started"))?;
    Ok(Some(child))
}

/// The variables that name a provider's base URL, leading here: those of the provider that is
/// asked, and of all when a server on this machine is.
fn bases(target: &Target, address: SocketAddr) -> Vec<(String, String)> {
    let authority = target.authority();
    let host = authority.split(':').next().unwrap_or_default();
    let rows = Providers::embedded().rows().iter();
    let asked = rows.filter(|row| target.is_loopback() || row.host() == host);
    let pairs = asked.filter_map(|row| {
        let name = row.base.as_ref()?;
        let rest = row.base_url.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
        Some((name.clone(), format!("http://{address}{path}")))
    });
    pairs.collect()
}

/// Waits a moment for exchanges that are not over yet.
pub(super) async fn settled(book: &inspect::Book) {
    let until = tokio::time::Instant::now() + Duration::from_secs(2);
    let is_open = || {
        let mut is_open = false;
        book.each(0, |exchange| {
            // A connection of HTTP/2 stays; its streams are what is waited for.
            is_open |= exchange.is_open() && exchange.kind == inspect::Kind::Http;
            !is_open
        });
        is_open
    };
    while is_open() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
