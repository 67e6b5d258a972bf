//! `rapport bench`: many questions at once, and how long each took.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use inspect::Target;
use inspect::measure::{Load, Outcome, Speech, load};
use serde_json::{Map, Value};

use super::{Frame, block_on};
use crate::print::Exit;

/// Flags of `bench`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// A URL, HOST:PORT or a port; this machine's server when left out
    #[arg(allow_negative_numbers = true)]
    target: Option<String>,
    /// The path that is asked: /health, with `--websocket` /ws, with `--mcp` /mcp
    #[arg(long, value_name = "PATH", value_parser = super::inspect::path)]
    path: Option<String>,
    /// A body to send (a POST then), or `@FILE`; for lines and sockets the message, such as
    /// `{"message": "hi"}`. Without it lines say `MCP_HELLO_REQUEST`, and sockets ping
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// A header, such as `Authorization: Bearer KEY` (can be repeated)
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Speak JSON lines over bare TCP
    #[arg(long, conflicts_with_all = ["websocket", "headers", "mcp", "path"])]
    lines: bool,
    /// Speak to a WebSocket at `--path`
    #[arg(long, conflicts_with_all = ["headers", "mcp"])]
    websocket: bool,
    /// Open sessions of MCP over HTTP and call `ping`, or `--body`'s `method` with its `params`
    #[arg(long, conflicts_with = "headers")]
    mcp: bool,
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
    let speech = match speech(options, &target)? {
        Ok(speech) => speech,
        Err((text, hint)) => {
            frame.printer.error(&text);
            frame.printer.hint(hint);
            return Ok(Exit::Usage);
        }
    };
    let amount = Load {
        // No more than there are questions.
        connections: usize::try_from(options.count)
            .unwrap_or(usize::MAX)
            .min(usize::from(options.connections)),
        count: options.count,
        within: Duration::from_secs(options.within),
    };
    let outcome = block_on(load(&target, &speech, amount))?;
    if frame.printer.is_json() {
        frame.printer.json(&outcome)?;
    } else {
        print(frame, &outcome, amount);
    }
    if outcome.good > 0 {
        return Ok(if outcome.failures.is_empty() { Exit::Fine } else { Exit::Problem });
    }
    // Nothing came: the cause that was met most often is the one to tell.
    let worst = outcome.failures.iter().max_by_key(|(_, count)| **count);
    Ok(match worst {
        Some((why, _)) => super::inspect::unanswered(frame, &target, why),
        None => Exit::Timeout,
    })
}

/// What is wrong with a flag, and what would be right.
type Wrong = (String, &'static str);

fn speech(options: &Options, target: &Target) -> anyhow::Result<Result<Speech, Wrong>> {
    let body = match options.body.as_deref().map(|body| body.strip_prefix('@').ok_or(body)) {
        Some(Ok(file)) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("cannot read `{file}`"))?)
        }
        Some(Err(text)) => Some(text.to_owned()),
        None => None,
    };
    let path = |usual: &str| options.path.clone().unwrap_or_else(|| usual.to_owned());
    if options.lines {
        // Asks whether somebody is there: it makes no context and asks no model.
        let line = body.unwrap_or_else(|| "MCP_HELLO_REQUEST: SESSION_ID=bench".to_owned());
        let line = line.trim_end_matches(['\r', '\n']);
        if line.contains('\n') {
            let text = "`--body` has several lines, and each would be a question of its own";
            return Ok(Err((text.to_owned(), "write one line of JSON")));
        }
        return Ok(Ok(Speech::Lines(format!("{line}\n").into_bytes())));
    }
    if options.websocket {
        return Ok(Ok(Speech::WebSocket(path("/ws"), body)));
    }
    if options.mcp {
        let body = body.unwrap_or_else(|| "{\"method\":\"ping\"}".to_owned());
        return Ok(question(&body).map(|question| Speech::Mcp(path("/mcp"), question)));
    }
    Ok(request(options, (target, &path("/health")), body))
}

/// A request of JSON-RPC from its method and parameters.
fn question(body: &str) -> Result<String, Wrong> {
    let hint = "write `--body '{\"method\": \"tools/list\"}'`";
    let read: Option<Map<String, Value>> = serde_json::from_str(body).ok();
    let read = read.filter(|fields| fields.get("method").is_some_and(Value::is_string));
    let mut fields = read.ok_or_else(|| (format!("`{body}` is no call of a method"), hint))?;
    fields.insert("jsonrpc".to_owned(), "2.0".into());
    fields.entry("id").or_insert_with(|| 1.into());
    Ok(Value::from(fields).to_string())
}

fn request(
    options: &Options,
    (target, path): (&Target, &str),
    body: Option<String>,
) -> Result<Speech, Wrong> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let mut said = Vec::new();
    for header in &options.headers {
        let name = header.split_once(':').map(|(name, _)| name.trim());
        let name = name.filter(|name| {
            let is_word = |c: char| c.is_ascii_graphic() && !"\"(),/:;<=>?@[\\]{}".contains(c);
            !name.is_empty() && name.chars().all(is_word) && !header.contains(['\r', '\n'])
        });
        let Some(name) = name else {
            return Err((format!("`{header}` is no header"), "write `NAME: VALUE`"));
        };
        said.push(name.to_ascii_lowercase());
        head.push_str(&format!("{header}\r\n"));
    }
    let mut usual = |name: &str, value: &str| {
        if !said.iter().any(|said| *said == name.to_ascii_lowercase()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    };
    usual("Host", &target.authority());
    let body = body.unwrap_or_default();
    if method == "POST" {
        usual("Content-Type", "application/json");
        usual("Content-Length", &body.len().to_string());
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
    if outcome.good > 0 {
        frame.printer.line(&format!(
            "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            ms(times.p50),
            ms(times.p90),
            ms(times.p99),
            ms(times.max)
        ));
    }
    for (why, count) in &outcome.failures {
        frame.printer.line(&format!("{count} times: {why}"));
    }
}
