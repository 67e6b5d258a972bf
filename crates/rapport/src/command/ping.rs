//! `rapport ping`: how long a connection takes, and what answers it.

use std::time::Duration;

use clap::Args;
use inspect::measure::{Answer, Spread, ping};
use serde_json::json;

use super::{Frame, block_on};
use crate::print::Exit;

/// Flags of `ping`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A URL, HOST:PORT or a port; this machine's server when left out
    #[arg(allow_negative_numbers = true)]
    target: Option<String>,
    /// How many connections
    #[arg(long, short, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// Seconds between two
    #[arg(long, short, value_name = "SECONDS", default_value = "0.25")]
    #[arg(value_parser = super::inspect::seconds, allow_negative_numbers = true)]
    interval: Duration,
}

/// Runs `ping`.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let target = match super::inspect::addressed(frame, options.target.as_deref()) {
        Ok(target) => target,
        Err(exit) => return Ok(exit),
    };
    let (pause, count) = (options.interval, options.count);
    block_on(async {
        let (mut times, mut speaks, mut why) = (Vec::new(), None, None);
        for number in 0..count {
            if number > 0 {
                tokio::time::sleep(pause).await;
            }
            match ping(&target, number == 0).await {
                Ok(answer) => {
                    if !frame.printer.is_json() {
                        frame.printer.line(&line(&target.to_string(), &answer));
                    }
                    times.push(Duration::from_micros(answer.connect_us));
                    speaks = speaks.or(Some(answer.speaks));
                }
                Err(cause) => {
                    if !frame.printer.is_json() {
                        frame.printer.line(&format!("{target}: {cause}"));
                    }
                    why = Some(cause);
                }
            }
        }
        let spread = Spread::of(&mut times);
        if frame.printer.is_json() {
            frame.printer.json(&json!({
                "target": target.to_string(), "sent": count, "connected": spread.count,
                "connect_us": spread, "speaks": speaks, "error": why,
            }))?;
        } else {
            frame.printer.line(&sum(spread, count));
        }
        let Some(why) = why else { return Ok(Exit::Fine) };
        Ok(super::inspect::unanswered(frame, &target, &why))
    })?
}

/// How it went, in a line; without times where there were none.
fn sum(spread: Spread, count: u32) -> String {
    let text = format!("{} of {count} connected", spread.count);
    if spread.count == 0 {
        return text;
    }
    let (min, middle, max) = (ms(spread.min), ms(spread.p50), ms(spread.max));
    format!("{text}; {min:.2} / {middle:.2} / {max:.2} ms (min / median / max)")
}

fn ms(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64() * 1e3
}

fn line(target: &str, answer: &Answer) -> String {
    let mut text = format!("{target}: connected in {:.2} ms", ms(answer.connect_us));
    if let Some(first) = answer.first_byte_us {
        text.push_str(&format!(", first byte after {:.2} ms", ms(first)));
    }
    if !answer.speaks.is_empty() {
        text.push_str(&format!(": {}", answer.speaks));
    }
    text
}
