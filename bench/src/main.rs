//! Measures the real program from outside: turns, latency, flatness, disk, memory, start, streams.
//!
//! `cargo run --profile dist -p bench -- target/dist/rapport [WHAT…]`; without WHAT everything.

mod gateway;
mod inspect;
mod joined;
mod leave;
mod litellm;
mod program;
mod report;
mod streams;
mod turns;
mod wire;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::report::Report;

/// What can be measured, in the order of a full run.
const ALL: &[&str] = &[
    "start", "idle", "turns", "latency", "flat", "disk", "stream", "gateway", "inspect", "joined",
];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let usage = format!("usage: bench PATH-OF-RAPPORT [{} …]", ALL.join("|"));
    let binary = PathBuf::from(words.next().context(usage)?);
    let mut wanted: Vec<String> = words.collect();
    if wanted.is_empty() {
        wanted = ALL.iter().map(|name| (*name).to_owned()).collect();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::default();
    for name in &wanted {
        runtime.block_on(measure(name, &binary, &mut report)).with_context(|| name.clone())?;
    }
    report.print()
}

async fn measure(name: &str, binary: &std::path::Path, report: &mut Report) -> Result<()> {
    match name {
        "start" => turns::start(binary, report).await,
        "idle" => turns::idle(binary, report).await,
        "turns" => turns::throughput(binary, report).await,
        "latency" => turns::latency(binary, report).await,
        "flat" => turns::flat(binary, report).await,
        "disk" => turns::disk(binary, report).await,
        "stream" => streams::first_byte(binary, report).await,
        "gateway" => gateway::beside(binary, report, true).await,
        "passed" => gateway::beside(binary, report, false).await,
        "leave" => leave::leave(binary, report).await,
        "inspect" => inspect::added(binary, report).await,
        "joined" => joined::joined(binary, report).await,
        other => bail!("`{other}` cannot be measured; one of {}, passed, leave", ALL.join(", ")),
    }
}
