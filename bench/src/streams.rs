//! What the gateway adds to the first byte of a model's stream, beside a direct call.

use std::path::Path;

use anyhow::Result;
use mock::{Mock, Script};
use tokio::time::Instant;

use crate::program::Program;
use crate::report::{Goal, Report, percentile};
use crate::turns::us;
use crate::wire::Line;

/// Time to the first text, direct and through the program, turn about in one run.
pub(crate) async fn first_byte(binary: &Path, report: &mut Report) -> Result<()> {
    const ROUNDS: usize = 500;
    let script = Script::parse("default.text = \"a short answer of the model\"")?;
    let mock = Mock::start("127.0.0.1:0".parse()?, script).await?;
    let fast = ("RAPPORT_DATA_DURABILITY", "fast");
    let program = Program::before(binary, mock.addr(), fast).await?;
    let (mut direct, mut passed, mut turns) = (Vec::new(), Vec::new(), Vec::new());
    let ask = "{\"model\":\"claude-sonnet-5\",\"max_tokens\":100,\"stream\":true,\
               \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    for round in 0..ROUNDS {
        // A fresh connection each: a stream's end is not read, only its beginning counts.
        let mut line = Line::open(&mock.addr().to_string()).await?;
        let began = Instant::now();
        line.until("/v1/messages", ask, b"text_delta").await?;
        direct.push(us(began.elapsed()));
        let mut line = Line::open(&program.address).await?;
        let began = Instant::now();
        line.until("/v1/messages", ask, b"text_delta").await?;
        passed.push(us(began.elapsed()));
        let mut line = Line::open(&program.address).await?;
        line.post("/api/v1/contexts", &format!("{{\"id\":\"c{round}\"}}")).await?;
        let path = format!("/api/v1/contexts/c{round}/turns");
        let began = Instant::now();
        line.until(&path, "{\"message\":\"hi\",\"stream\":true}", b"event: delta").await?;
        turns.push(us(began.elapsed()));
    }
    let near = percentile(&mut direct, 0.5);
    report.add("first text of a stream, direct, p50", (near, "us"), None);
    let far = percentile(&mut passed, 0.5);
    let goal = Some(Goal::AtMost(300.0));
    report.add("added by the pass-through, p50", (far - near, "us"), goal);
    let far = percentile(&mut turns, 0.5);
    report.add(
        "added by a turn of a context (question stored first), p50",
        (far - near, "us"),
        None,
    );
    let near = percentile(&mut direct, 0.99);
    let far = percentile(&mut passed, 0.99);
    report.add("added by the pass-through, p99", (far - near, "us"), None);
    mock.shutdown().await;
    Ok(())
}
