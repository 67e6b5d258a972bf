//! The lab: states that are broken on purpose, each diagnosed, mended as the fix says, and well.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests may panic"
)]

#[cfg(unix)]
mod config;
#[cfg(target_os = "linux")]
mod confined;
mod credentials;
#[cfg(unix)]
mod engine;
#[cfg(target_os = "linux")]
mod firewall;
#[cfg(target_os = "linux")]
mod gateway;
#[cfg(target_os = "linux")]
mod guards;
#[cfg(target_os = "linux")]
mod healthy;
#[cfg(target_os = "linux")]
mod held;
mod http;
mod interfaces;
#[cfg(target_os = "linux")]
mod journal;
#[cfg(target_os = "linux")]
mod lent;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod log;
mod mcp;
#[cfg(target_os = "linux")]
mod net;
#[cfg(target_os = "linux")]
mod odd;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod programs;
mod proxy;
#[cfg(target_os = "linux")]
mod restarts;
#[cfg(target_os = "linux")]
mod rights;
#[path = "../it/servers.rs"]
#[expect(dead_code, reason = "the other tests use what the lab does not")]
mod servers;
#[cfg(target_os = "linux")]
mod split;
#[cfg(target_os = "linux")]
mod stdio;
mod stream;
mod switch;
mod tls;
mod web;

use doctor::{Report, Request, diagnose};

/// What is diagnosed, with nothing of this machine's own environment.
fn request(target: &str) -> Request {
    Request { target: Some(target.to_owned()), ..Request::default() }
}

/// Demands a fault with its verdict id, a piece of its evidence or sentence, and a fix.
async fn broken(request: &Request, id: &str, evidence: &str) -> Report {
    let report = diagnose(request).await;
    let text = verbose(&report);
    assert_eq!(report.verdict.id, id, "{text}");
    assert_ne!(report.exit_code(), 0, "{text}");
    let proof = format!("{}\n{}", report.verdict.sentence, report.verdict.evidence.join("\n"));
    assert!(proof.contains(evidence), "`{evidence}` is not among the evidence:\n{text}");
    assert!(!report.verdict.fix.is_empty(), "no fix: {text}");
    report
}

/// Demands that the fix says `words`: what the test does next is what a person would do.
#[track_caller]
fn fix(report: &Report, words: &str) {
    let lines = report.verdict.fix.iter();
    let said: Vec<String> = lines
        .map(|fix| format!("{} {}", fix.text, fix.command.as_deref().unwrap_or_default()))
        .collect();
    assert!(said.iter().any(|line| line.contains(words)), "`{words}` is not in {said:#?}");
}

/// Demands that the target is healthy.
async fn well(request: &Request) -> Report {
    let report = diagnose(request).await;
    assert_eq!(report.verdict.id, "ok", "{}", verbose(&report));
    assert_eq!(report.exit_code(), 0);
    report
}

fn verbose(report: &Report) -> String {
    let mut report = report.clone();
    report.verbose = true;
    report.to_text(false)
}
