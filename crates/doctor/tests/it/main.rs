//! The doctor against real listeners on this machine, one of each kind.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of tests may panic, and a skipped test says why"
)]

mod faults;
mod frame;
mod healthy;
mod impossible;
#[cfg(target_os = "linux")]
mod namespaces;
mod page;
mod protocols;
mod schema;
mod servers;

use doctor::{Report, Request, diagnose};

/// Diagnoses `target` with an empty environment.
async fn report(target: &str) -> Report {
    diagnose(&Request { target: Some(target.to_owned()), ..Request::default() }).await
}

/// Diagnoses `target` and demands a verdict and an exit code.
async fn check(target: &str, id: &str, exit_code: u8) -> Report {
    let report = report(target).await;
    assert_eq!(report.verdict.id, id, "{}", verbose(&report));
    assert_eq!(report.exit_code(), exit_code, "{}", verbose(&report));
    report
}

fn verbose(report: &Report) -> String {
    let mut report = report.clone();
    report.verbose = true;
    report.to_text(false)
}
