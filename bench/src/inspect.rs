//! What the inspector adds to a request and to the first text of a stream, beside a direct call.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use mock::{Mock, Script};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::Instant;

use crate::report::{Goal, Report, percentile};
use crate::turns::us;
use crate::wire::Line;

/// Requests and streams, direct and through the inspector, turn about in one run.
pub(crate) async fn added(binary: &Path, report: &mut Report) -> Result<()> {
    const ROUNDS: usize = 1_000;
    let script = Script::parse("default.text = \"a short answer of the model\"")?;
    let mock = Mock::start("127.0.0.1:0".parse()?, script).await?;
    let near = mock.addr().to_string();
    let mut child = Command::new(binary)
        .args(["inspect", "--to", &near, "--listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("no output")?).lines();
    let line = lines.next_line().await?.context("the inspector ended at once")?;
    let far = line.rsplit("http://").next().context("no address in its line")?.trim().to_owned();
    let ask = |stream: bool| {
        format!(
            "{{\"model\":\"claude-sonnet-5\",\"max_tokens\":100,\"stream\":{stream},\
             \"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
        )
    };
    let (whole, streamed) = (ask(false), ask(true));
    let (mut requests, mut firsts) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    let mut open = [Line::open(&near).await?, Line::open(&far).await?];
    for _ in 0..ROUNDS {
        for (line, times) in open.iter_mut().zip(&mut requests) {
            let began = Instant::now();
            line.answered("/v1/messages", &whole).await?;
            times.push(us(began.elapsed()));
        }
        for (address, times) in [&near, &far].into_iter().zip(&mut firsts) {
            let mut line = Line::open(address).await?;
            let began = Instant::now();
            line.until("/v1/messages", &streamed, b"text_delta").await?;
            times.push(us(began.elapsed()));
        }
    }
    let [mut near, mut far] = requests;
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let added = percentile(&mut far, share) - percentile(&mut near, share);
        let goal = (share < 0.9).then_some(Goal::AtMost(300.0));
        report.add(format!("the inspector adds to a request, {name}"), (added, "us"), goal);
    }
    let [mut near, mut far] = firsts;
    let added = percentile(&mut far, 0.5) - percentile(&mut near, 0.5);
    let goal = Some(Goal::AtMost(1_000.0));
    report.add("the inspector adds to the first text of a stream, p50", (added, "us"), goal);
    mock.shutdown().await;
    Ok(())
}
