//! `rapport bench`: many questions at once, and how long each took.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use inspect::Target;
use inspect::measure::{Load, Outcome, Speech, load};

use super::{Frame, block_on};
use crate::print::Exit;

/// Flags of `bench`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A URL, HOST:PORT or a port; this machine's server when left out
    #[arg(allow_negative_numbers = true)]
    target: Option<String>,
    /// The path that is asked
    #[arg(long, value_name = "PATH", default_value = "/health")]
    path: String,
    /// A body to send (a POST then), or `@FILE`; for lines and sockets the message
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A header, such as `Authorization: Bearer KEY` (can be repeated)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Speak JSON lines over bare TCP
    #[arg(long, conflicts_with_all = ["websocket", "headers"])]
    lines: bool,
    /// Speak to a WebSocket at `--path`
    #[arg(long, conflicts_with = "headers")]
    websocket: bool,
    /// Connections at the same time
    #[arg(long, short, value_name = "N", default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Questions in all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// The longest it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    within: u64,
}

/// Runs `bench`.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let target = match super::inspect::addressed(frame, options.target.as_deref()) {
        Ok(target) => target,
        Err(exit) => return Ok(exit),
    };
    for header in &options.headers {
        if !header.contains(':') {
            frame.printer.error(&format!("`{header}` is no header"));
            frame.printer.hint("write `NAME: VALUE`");
            return Ok(Exit::Usage);
        }
    }
    let speech = speech(options, &target)?;
    let amount = Load {
        connections: usize::from(options.connections),
        count: options.count,
        within: Duration::from_secs(options.within),
    };
    let outcome = block_on(load(&target, &speech, amount))?;
    if frame.printer.is_json() {
        frame.printer.json(&outcome)?;
    } else {
        print(frame, &outcome, amount);
    }
    Ok(if outcome.good == 0 || !outcome.failures.is_empty() { Exit::Problem } else { Exit::Fine })
}

fn speech(options: &Options, target: &Target) -> anyhow::Result<Speech> {
    let body = match options.body.as_deref().map(|body| body.strip_prefix('@').ok_or(body)) {
        Some(Ok(file)) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"))?)
        }
        Some(Err(text)) => Some(text.to_owned()),
        None => None,
    };
    if options.lines {
        let mut line = body.unwrap_or_else(|| "{\"type\":\"ping\"}".to_owned());
        line.push('\n');
        return Ok(Speech::Lines(line.into_bytes()));
    }
    if options.websocket {
        let text = body.unwrap_or_else(|| "{\"type\":\"ping\"}".to_owned());
        let path = if options.path == "/health" { "/ws" } else { &options.path };
        return Ok(Speech::WebSocket(path.to_owned(), text));
    }
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head =
        format!("{method} {} HTTP/1.1\r\nHost: {}\r\n", options.path, target.authority());
    for header in &options.headers {
        head.push_str(&format!("{header}\r\n"));
    }
    let body = body.unwrap_or_default();
    if method == "POST" {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    Ok(Speech::Http(format!("{head}\r\n{body}").into_bytes()))
}

fn print(frame: &mut Frame, outcome: &Outcome, amount: Load) {
    let ms = |us: u64| Duration::from_micros(us).as_secs_f64() * 1e3;
    let times = outcome.times;
    frame.printer.line(&format!(
        "{} answers in {:.2} s over {} connections: {:.0} a second",
        outcome.good, outcome.seconds, amount.connections, outcome.per_second
    ));
    frame.printer.line(&format!(
        "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
        ms(times.p50),
        ms(times.p90),
        ms(times.p99),
        ms(times.max)
    ));
    for (why, count) in &outcome.failures {
        frame.printer.line(&format!("{count} times: {why}"));
    }
}
