//! `rapport inspect`: stand between a program and its server and show what goes over the wire.

mod file;
mod live;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use doctor::port;
use inspect::{Filter, Rule, Target};

use super::{Frame, block_on};
use crate::print::Exit;

/// Where it listens without `--listen`.
const HOME: u16 = 8888;

/// Flags of `inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    rapport inspect --to localhost:61900      (your program then asks http://127.0.0.1:8888)\n  \
    rapport inspect --to https://api.anthropic.com --record calls.jsonl\n  \
    rapport inspect --to :3000 --rule 'path=/v1/* status=529 every=3'\n  \
    rapport inspect --stdio -- npx some-mcp-server\n  \
    rapport inspect --open calls.jsonl --show 4\n  \
    rapport inspect --open calls.jsonl --replay 4 --to localhost:61900\n\n\
    While it runs, http://127.0.0.1:8888/__rapport__/ shows the same in a browser.")]
pub(super) struct Options {
    /// The server that everything goes to: a URL, HOST:PORT or a port
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    to: Option<String>,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8888")]
    listen: String,
    /// Start a program and stand between its input and output and ours
    #[arg(long, requires = "command", conflicts_with_all = ["to", "open"])]
    stdio: bool,
    /// Write every finished exchange to this file, one line each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Do something to the traffic, such as `path=/v1/* status=529 every=3` (can be repeated)
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<String>,
    /// Show only what fits, such as `status:5xx`, `model:claude`, `slow:2s`, `bad`
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// The `Host` the server gets: `keep`, or a name; without it, kept for this machine and
    /// the server's own elsewhere
    #[arg(long, value_name = "NAME")]
    host_header: Option<String>,
    /// Show heads, bodies and events of each exchange
    #[arg(long, short)]
    verbose: bool,
    /// Leave keys and tokens in what is shown and written
    #[arg(long)]
    show_secrets: bool,
    /// Read a recording instead of listening
    #[arg(long, value_name = "FILE", conflicts_with = "listen")]
    open: Option<PathBuf>,
    /// Of a recording: show one exchange whole
    #[arg(long, value_name = "N", requires = "open")]
    show: Option<u64>,
    /// Of a recording: send a request again, to its server or to `--to`
    #[arg(long, value_name = "N", requires = "open")]
    replay: Option<u64>,
    /// Of a recording: say what is different between two exchanges
    #[arg(long, num_args = 2, value_names = ["A", "B"], requires = "open")]
    diff: Option<Vec<u64>>,
    /// Of a recording: write an HTTP archive that other tools open
    #[arg(long, value_name = "FILE", requires = "open")]
    har: Option<PathBuf>,
    /// The program for `--stdio`
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// Runs `inspect`.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let filter = match Filter::parse(&options.filter) {
        Ok(filter) => filter,
        Err(why) => return Ok(usage(frame, &why, "")),
    };
    if let Some(path) = &options.open {
        return file::run(frame, options, (path, &filter));
    }
    if options.stdio {
        return block_on(live::stdio(frame, options))?;
    }
    let Some(text) = &options.to else {
        let hint = "say which server: `rapport inspect --to localhost:61900`, or a program: \
                    `rapport inspect --stdio -- CMD`";
        return Ok(usage(frame, "nothing to inspect was named", hint));
    };
    let target = match target(frame, text, "--to") {
        Ok(target) => target,
        Err(exit) => return Ok(exit),
    };
    let Some(listen) = listen(frame, &options.listen) else { return Ok(Exit::Usage) };
    let mut rules = Vec::new();
    for text in &options.rules {
        match Rule::parse(text) {
            Ok(rule) => rules.push(rule),
            Err(why) => return Ok(usage(frame, &why.to_string(), "")),
        }
    }
    block_on(live::proxy(frame, options, (listen, target, rules, filter)))?
}

fn usage(frame: &mut Frame, text: &str, hint: &str) -> Exit {
    frame.printer.error(text);
    if !hint.is_empty() {
        frame.printer.hint(hint);
    }
    Exit::Usage
}

/// Reads the server's address as `doctor` does: a number that is no port is named as such.
pub(super) fn target(frame: &mut Frame, text: &str, from: &str) -> Result<Target, Exit> {
    let text = text.strip_prefix(':').unwrap_or(text);
    let read = match doctor::target::Target::parse(text) {
        Ok(read) => read,
        Err(bad) => {
            frame.printer.error(&bad.to_string());
            return Err(Exit::Usage);
        }
    };
    let tls = read.scheme.is_some_and(doctor::target::Scheme::is_tls);
    let number = match &read.port {
        Some(text) => {
            let place = port::Place::Flag(from.to_owned());
            match port::parse(text, place.clone()).and_then(|port| port::for_client(port, place)) {
                Ok(number) => number,
                Err(invalid) => {
                    frame.printer.error(&invalid.to_string());
                    return Err(Exit::InvalidPort);
                }
            }
        }
        None => match read.scheme.and_then(doctor::target::Scheme::default_port) {
            Some(number) => number,
            None => {
                frame.printer.error(&format!("`{text}` names no port"));
                frame.printer.hint(&format!("write `{text}:61900`, or a URL with `https://`"));
                return Err(Exit::Usage);
            }
        },
    };
    if let Some(path) = read.path.filter(|path| path != "/") {
        let text = format!("paths are passed on as the caller writes them; `{path}` is left out");
        frame.printer.warn(&text);
    }
    Ok(Target::new(&read.host, number, tls))
}

fn listen(frame: &mut Frame, text: &str) -> Option<SocketAddr> {
    let with_host = match text.parse::<u64>() {
        Ok(_) => format!("127.0.0.1:{text}"),
        Err(_) => text.replace("localhost", "127.0.0.1"),
    };
    let (_, number) = with_host.rsplit_once(':')?;
    if let Err(invalid) = port::parse(number, port::Place::Flag("--listen".to_owned())) {
        frame.printer.error(&invalid.to_string());
        return None;
    }
    if let Ok(address) = with_host.parse() {
        return Some(address);
    }
    frame.printer.error(&format!("`{text}` is no address to listen on"));
    frame.printer.hint(&format!("write `127.0.0.1:{HOME}` or a port"));
    None
}
