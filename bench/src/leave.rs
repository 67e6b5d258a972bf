//! How soon the model server hears of a caller that has left.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mock::{Mock, Script};
use tokio::time::{Instant, timeout};

use crate::program::{Program, UNLIMITED};
use crate::report::{Goal, Report, percentile};
use crate::turns::us;
use crate::wire::Line;

/// Callers that leave, of each kind.
const ROUNDS: u64 = 100;
/// Limit: a server that has not heard of it by then never will.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time in which the server is to hear of it, in milliseconds.
const GOAL: f64 = 100.0;
/// A word of the answer, after which the server thinks for ten minutes.
const STREAMED: &str = "default.fragments = [\"once \", \"upon \"]\ndefault.pause_ms = 600000";
/// A server that takes the question and says nothing.
const WHOLE: &str = "default.fault = \"hang\"";

/// Which calls are left, by name and path.
const CALLS: &[(&str, &str)] = &[
    ("passed", "/v1/messages"),
    ("translated", "/v1/chat/completions"),
    ("in a context", "/api/v1/contexts"),
];

/// Leaves calls of every kind, whole ones and streams.
pub(crate) async fn leave(binary: &Path, report: &mut Report) -> Result<()> {
    for (streamed, kind, script) in [(false, "whole", WHOLE), (true, "streamed", STREAMED)] {
        let mock = Mock::start("127.0.0.1:0".parse()?, Script::parse(script)?).await?;
        let program = Program::before(binary, mock.addr(), UNLIMITED).await?;
        let mut gone = 0;
        for (name, path) in CALLS {
            let mut waits = Vec::new();
            for round in 0..ROUNDS {
                let (path, body) = ask(&program, (path, round), streamed).await?;
                gone += 1;
                let wait = one(&program, &mock, (&path, &body, streamed), gone);
                let wait = wait.await.with_context(|| format!("{kind}, {name}"))?;
                waits.push(us(wait) / 1_000.0);
            }
            let title = |what: &str| format!("left {kind}, {name}: the server hears of it, {what}");
            report.add(title("p50"), (percentile(&mut waits, 0.5), "ms"), None);
            let goal = Some(Goal::AtMost(GOAL));
            report.add(title("p99"), (percentile(&mut waits, 0.99), "ms"), goal);
        }
        mock.shutdown().await;
    }
    Ok(())
}

/// The path and body of a call; for a turn its context is made, which says that it ends with its
/// caller.
async fn ask(
    program: &Program,
    (path, round): (&str, u64),
    streamed: bool,
) -> Result<(String, String)> {
    if path == "/api/v1/contexts" {
        let mut line = Line::open(&program.address).await?;
        let id = format!("c{round}");
        let made = format!("{{\"id\":\"{id}\",\"settings\":{{\"on_hang_up\":\"cancel\"}}}}");
        line.post(path, &made).await?;
        let body = format!("{{\"message\":\"hi\",\"stream\":{streamed}}}");
        return Ok((format!("{path}/{id}/turns"), body));
    }
    let body = format!(
        "{{\"model\":\"claude-sonnet-5\",\"max_tokens\":100,\"stream\":{streamed},\
         \"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
    );
    Ok((path.to_owned(), body))
}

/// Asks, leaves in the middle, and waits until the server sees its own connection close.
async fn one(
    program: &Program,
    mock: &Mock,
    (path, body, streamed): (&str, &str, bool),
    gone: u64,
) -> Result<Duration> {
    let mut line = Line::open(&program.address).await?;
    if streamed {
        line.until(path, body, b"once").await?;
    } else {
        line.send(path, body).await?;
        timeout(PATIENCE, mock.seen(gone)).await.context("the question did not arrive")?;
    }
    let began = Instant::now();
    drop(line);
    timeout(PATIENCE, mock.left(gone)).await.context("the server still works for nobody")?;
    Ok(began.elapsed())
}
