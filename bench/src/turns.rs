//! Turns of the echo model: how many, how fast, how flat, and what they weigh.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::program::Program;
use crate::report::{Goal, Report, percentile};
use crate::wire::Line;

const FAST: &[(&str, &str)] = &[("RAPPORT_DATA_DURABILITY", "fast")];
const GROUP: &[(&str, &str)] = &[("RAPPORT_DATA_DURABILITY", "group")];

/// How long each throughput is measured.
const SPAN: Duration = Duration::from_secs(5);

/// Starts a task; a measurement lives and dies with its own process.
#[expect(clippy::disallowed_methods, reason = "nothing has to be waited for at the end")]
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

/// From the start of the process to its first answer.
pub(crate) async fn start(binary: &Path, report: &mut Report) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        let program = Program::start(binary, &[]).await?;
        let mut line = Line::open(&program.address).await?;
        line.exchange("{\"sessionId\":\"a\",\"message\":\"m\"}\n").await?;
        times.push(ms(began.elapsed()));
        report.add("start to ready line", (ms(program.ready), "ms"), None);
    }
    let median = percentile(&mut times, 0.5);
    report.add("start to first answer, median of 10", (median, "ms"), Some(Goal::AtMost(100.0)));
    Ok(())
}

/// Memory of a program that has nothing to do.
pub(crate) async fn idle(binary: &Path, report: &mut Report) -> Result<()> {
    let program = Program::start(binary, &[]).await?;
    let mut line = Line::open(&program.address).await?;
    line.exchange("{\"sessionId\":\"a\",\"message\":\"m\"}\n").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    report.add("idle memory", (program.memory_mib()?, "MiB"), Some(Goal::AtMost(30.0)));
    Ok(())
}

/// Turns a second at 64 connections, per durability class and door.
pub(crate) async fn throughput(binary: &Path, report: &mut Report) -> Result<()> {
    for (class, variables, goal) in [("fast", FAST, 15_000.0), ("group", GROUP, 5_000.0)] {
        for door in [Door::Lines, Door::Http] {
            let program = Program::start(binary, variables).await?;
            let rate = rate(&program.address, door, 64).await?;
            let what = format!("turns/s, {class}, 64 connections, {door:?}");
            report.add(what, (rate, "/s"), Some(Goal::AtLeast(goal)));
            report.add(format!("  memory after it, {class}"), (program.memory_mib()?, "MiB"), None);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Door {
    Lines,
    Http,
}

async fn rate(address: &str, door: Door, connections: usize) -> Result<f64> {
    let until = Instant::now() + SPAN;
    let mut tasks = Vec::new();
    for number in 0..connections {
        let mut line = Line::open(address).await?;
        tasks.push(spawn(async move {
            let mut count = 0_u32;
            while Instant::now() < until {
                one(&mut line, door, &format!("s{number}")).await?;
                count += 1;
            }
            anyhow::Ok(count)
        }));
    }
    let mut total = 0.0;
    for task in tasks {
        total += f64::from(task.await??);
    }
    Ok(total / SPAN.as_secs_f64())
}

async fn one(line: &mut Line, door: Door, session: &str) -> Result<Vec<u8>> {
    let body = format!("{{\"sessionId\":\"{session}\",\"message\":\"how do you do today?\"}}");
    match door {
        Door::Lines => line.exchange(&format!("{body}\n")).await,
        Door::Http => line.post("/api/mcp/interact", &body).await,
    }
}

/// Round trip of one caller, beside a bare round trip to the same server (`/health`).
pub(crate) async fn latency(binary: &Path, report: &mut Report) -> Result<()> {
    for (class, variables, goal) in
        [("fast", FAST, Some(Goal::AtMost(200.0))), ("group", GROUP, None)]
    {
        let program = Program::start(binary, variables).await?;
        let mut line = Line::open(&program.address).await?;
        let mut times = Vec::new();
        for _ in 0..2_000 {
            let began = Instant::now();
            one(&mut line, Door::Http, "s").await?;
            times.push(us(began.elapsed()));
        }
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        report.add(format!("turn p50, {class}, 1 connection, Http"), (p50, "us"), goal);
        report.add(format!("turn p99, {class}, 1 connection, Http"), (p99, "us"), None);
    }
    Ok(())
}

/// One context from turn 10 to turn 100,000: the last tenth against the first.
pub(crate) async fn flat(binary: &Path, report: &mut Report) -> Result<()> {
    const TURNS: usize = 100_000;
    let program = Program::start(binary, FAST).await?;
    let mut line = Line::open(&program.address).await?;
    let mut times = Vec::with_capacity(TURNS);
    for _ in 0..TURNS {
        let began = Instant::now();
        one(&mut line, Door::Lines, "long").await?;
        times.push(us(began.elapsed()));
    }
    let tenth = TURNS / 10;
    let mut first = times.get(10..tenth).unwrap_or_default().to_vec();
    let mut last = times.get(TURNS - tenth..).unwrap_or_default().to_vec();
    let (first, last) = (percentile(&mut first, 0.5), percentile(&mut last, 0.5));
    report.add("turn p50, first tenth of 100,000", (first, "us"), None);
    report.add("turn p50, last tenth of 100,000", (last, "us"), None);
    report.add("last tenth / first tenth", (last / first, ""), Some(Goal::AtMost(1.2)));
    report.add("memory after 100,000 turns", (program.memory_mib()?, "MiB"), None);
    Ok(())
}

/// What the store weighs per byte of text.
pub(crate) async fn disk(binary: &Path, report: &mut Report) -> Result<()> {
    const TURNS: usize = 1_000;
    // The record of model calls is bounded, and no part of a conversation.
    let settings = [FAST, &[("RAPPORT_REQUESTS_ROWS", "0")]].concat();
    let mut program = Program::start(binary, &settings).await?;
    let mut line = Line::open(&program.address).await?;
    let mut raw = 0.0;
    let text = "All that is gold does not glitter, and all of it has to be stored. ".repeat(10);
    for _ in 0..TURNS {
        let body = format!("{{\"sessionId\":\"disk\",\"message\":\"{text}\"}}\n");
        let reply: serde_json::Value = serde_json::from_slice(&line.exchange(&body).await?)?;
        let said = reply.get("response").and_then(|r| r.as_str()).map_or(0, str::len);
        raw += count(text.len()) + count(said);
    }
    program.stop().await?;
    let mut size = 0.0;
    for entry in std::fs::read_dir(&program.data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("rapport.db") {
            #[expect(clippy::cast_precision_loss, reason = "a file of some megabytes")]
            let length = entry.metadata()?.len() as f64;
            size += length;
        }
    }
    report.add("store / raw text, 1,000 turns", (size / raw, ""), Some(Goal::AtMost(1.5)));
    Ok(())
}

fn count(length: usize) -> f64 {
    f64::from(u32::try_from(length).unwrap_or(u32::MAX))
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// Microseconds.
pub(crate) fn us(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}
