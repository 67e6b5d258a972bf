//! `rapport inspect`: stand between a program and its server and show what goes over the wire.

mod attach;
mod checks;
pub(super) mod file;
mod live;
mod piped;
mod price;
mod record;
mod show;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use doctor::port;
use inspect::{Filter, Rule, Target};

use super::reach::Reach;
use super::{Frame, block_on};
use crate::config::load;
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
    rapport inspect run --to :3000 --assert 'no errors' --assert 'p95 < 2s' -- pytest\n  \
    rapport inspect --open calls.jsonl --show 4\n  \
    rapport inspect --open calls.jsonl --replay 4 --to localhost:61900\n\n\
    While it runs, http://127.0.0.1:8888/__rapport__/ shows the same in a browser.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Options {
    /// `run`: start a program whose base URLs lead here, and end with it
    #[arg(value_name = "run", requires = "command", conflicts_with_all = ["stdio", "open"])]
    verb: Option<Verb>,
    /// With `run`: what the traffic must be, such as `no errors`, `p95 < 2s`, `cost <= 0.05`,
    /// `count[path:/v1/*] >= 1` (can be repeated)
    #[arg(long = "assert", value_name = "CLAIM", requires = "verb")]
    claims: Vec<String>,
    /// With `run`: write how the claims held to this file: `JUnit` for `.xml`, else JSON
    #[arg(long, value_name = "FILE", requires = "verb")]
    report: Option<PathBuf>,
    /// Send every exchange as a span to this collector of `OpenTelemetry` (OTLP over HTTP)
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["stdio", "open"])]
    otlp: Option<String>,
    /// The server that everything goes to: a URL, HOST:PORT or a port
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    to: Option<String>,
    /// Where to listen; without it `--host` and `--port`, else 127.0.0.1:8888
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Point a configuration file, or the one of an application such as `cursor`, at the
    /// inspector while it runs; at the end it is as it was
    #[arg(long, value_name = "FILE|CLIENT", conflicts_with_all = ["stdio", "open"])]
    attach_config: Option<String>,
    /// Of the file: the MCP server whose address is meant
    #[arg(long, value_name = "NAME", requires = "attach_config")]
    server: Option<String>,
    /// Put back the files that an inspector which was killed had changed, and end
    #[arg(long, conflicts_with_all = ["to", "stdio", "open", "attach_config", "verb"])]
    detach: bool,
    /// With `--stdio`: show it in the inspector that listens there too
    #[arg(long, value_name = "ADDRESS", requires = "stdio", hide = true)]
    tell: Option<String>,
    /// Start a program and stand between its input and output and ours
    #[arg(long, requires = "command", conflicts_with_all = ["to", "open"])]
    stdio: bool,
    /// Write every finished exchange to this file, one line each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Begin the recording anew when it is this long, in MiB; the one before stays as FILE.1
    #[arg(long, value_name = "MIB", requires = "record")]
    record_max: Option<u64>,
    /// Do something to the traffic, such as `path=/v1/* status=529 every=3` (can be repeated)
    #[arg(long = "rule", value_name = "RULE", conflicts_with_all = ["stdio", "open"])]
    rules: Vec<String>,
    /// Show only what fits, such as `status:5xx`, `model:claude`, `slow:2s`, `bad`
    #[arg(long, value_name = "FILTER", default_value = "")]
    filter: String,
    /// The `Host` the server gets: `keep`, or a name; without it, kept for this machine and
    /// the server's own elsewhere
    #[arg(long, value_name = "NAME")]
    host_header: Option<String>,
    /// Speak TLS with callers too, with a certificate made for this machine
    #[arg(long, conflicts_with_all = ["stdio", "open"])]
    tls: bool,
    /// Print lines on a terminal too, instead of the live view
    #[arg(long)]
    no_tui: bool,
    /// Show heads, bodies and events of each exchange, line by line
    #[arg(long, short)]
    verbose: bool,
    /// Leave keys and tokens in what is shown and written
    #[arg(long)]
    show_secrets: bool,
    /// Read a recording, or an HTTP archive (HAR), instead of listening
    #[arg(long, value_name = "FILE", conflicts_with = "listen")]
    open: Option<PathBuf>,
    /// Of a recording: show one exchange whole
    #[arg(long, value_name = "N", requires = "open")]
    show: Option<u64>,
    /// With `--show`: print the curl command that sends its request again
    #[arg(long, requires = "show")]
    curl: bool,
    /// Of a recording: send a request again, to its server or to `--to`
    #[arg(long, value_name = "N", requires = "open")]
    replay: Option<u64>,
    /// With `--replay`: set a header, such as `Authorization: Bearer KEY` (can be repeated);
    /// without a value it is taken away
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "replay")]
    headers: Vec<String>,
    /// Of a recording: say what is different between two exchanges
    #[arg(long, num_args = 2, value_names = ["A", "B"], requires = "open")]
    diff: Option<Vec<u64>>,
    /// Of a recording: write an HTTP archive that other tools open
    #[arg(long, value_name = "FILE", requires = "open")]
    har: Option<PathBuf>,
    /// Of a recording: write a packet capture (pcapng) that Wireshark opens
    #[arg(long, value_name = "FILE", requires = "open")]
    pcap: Option<PathBuf>,
    /// The program for `--stdio` and `run`
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// What is done beside inspecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Verb {
    /// A program is started, and the inspector ends with it.
    Run,
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
    if options.detach {
        return Ok(attach::detach(frame));
    }
    if options.stdio {
        return block_on(piped::stdio(frame, options))?;
    }
    let place = match attach::place(frame, options) {
        Ok(place) => place,
        Err(why) => return Ok(usage(frame, &format!("{why:#}"), "")),
    };
    let leads_to = place.as_ref().and_then(|place| place.leads_to.as_ref());
    let target = match (options.to.as_ref().or(leads_to), &place) {
        (Some(text), _) => match target(frame, text, &port::Place::Flag("--to".to_owned())) {
            Ok(target) => target,
            Err(exit) => return Ok(exit),
        },
        // Only programs are looked at; they tell by themselves what is said.
        (None, Some(_)) => Target::nothing(),
        (None, None) => {
            let hint = "say which server: `rapport inspect --to localhost:61900`, or a program: \
                        `rapport inspect --stdio -- CMD`";
            return Ok(usage(frame, "nothing to inspect was named", hint));
        }
    };
    let listen = match listen(frame, options.listen.as_deref()) {
        Ok(listen) => listen,
        Err(exit) => return Ok(exit),
    };
    let mut rules = Vec::new();
    for text in &options.rules {
        match Rule::parse(text) {
            Ok(rule) => rules.push(rule),
            Err(why) => return Ok(usage(frame, &why.to_string(), "")),
        }
    }
    // What is shown must not hold up what goes by: the traffic has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("inspect")
        .enable_all()
        .build()?;
    let checks = match checks::read(frame, options) {
        Ok(checks) => checks,
        Err(exit) => return Ok(exit),
    };
    let wanted = live::Wanted { listen, target, rules, filter, place, checks };
    let shown = runtime.block_on(live::proxy(frame, options, wanted));
    runtime.shutdown_timeout(super::BLOCKED_MAX);
    shown
}

fn usage(frame: &mut Frame, text: &str, hint: &str) -> Exit {
    frame.printer.error(text);
    if !hint.is_empty() {
        frame.printer.hint(hint);
    }
    Exit::Usage
}

/// The address of a command that talks to a server: the one that was written, else what `--host`
/// and `--port` say, else the server that runs here, else what the configuration says.
pub(super) fn addressed(frame: &mut Frame, text: Option<&str>) -> Result<Target, Exit> {
    if let Some(text) = text {
        return target(frame, text, &port::Place::Argument);
    }
    if frame.globals.host.is_none() && frame.globals.port.is_none() {
        let (_, found) = Reach::plain(None).found(frame).map_err(|failure| {
            super::reach::complain(&mut frame.printer, &failure);
            super::reach::exit(failure.class())
        })?;
        if !found.guessed {
            // Only where it is: these commands look at the server, not at one of its paths.
            let mut address = found.address;
            address.path.clear();
            return target(frame, &address.to_string(), &port::Place::Argument);
        }
    }
    let host = frame.globals.host.clone().unwrap_or_else(|| "localhost".to_owned());
    let host =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let said = frame.globals.port.clone();
    let configured = || load(&frame.inputs()).map_or(port::HOME, |loaded| loaded.config.ports.port);
    // A server that was told to take any free port has none that could be known here.
    let known = |port: u16| if port == 0 { port::HOME } else { port };
    let number = said.unwrap_or_else(|| known(configured()).to_string());
    target(frame, &format!("{host}:{number}"), &port::Place::Flag("--port".to_owned()))
}

/// The exit code of a server that did not answer as it should, and where to look for the reason.
pub(super) fn unanswered(frame: &mut Frame, target: &Target, why: &str) -> Exit {
    frame.printer.hint(&format!("see why: `rapport doctor {}`", target.authority()));
    exit_of(why)
}

/// The exit code of a cause, in the words of [`inspect::measure`].
pub(super) fn exit_of(why: &str) -> Exit {
    let status = why.strip_prefix("status ").and_then(|rest| rest.parse::<u16>().ok());
    match status {
        Some(401 | 403) => Exit::Key,
        Some(500..) => Exit::Server,
        Some(_) => Exit::Problem,
        // A server's own words, whatever stands in them.
        None if why.starts_with("error") || why.starts_with("the answer is") => Exit::Problem,
        None if why.contains("refused the connection") => Exit::Refused,
        None if why.contains(" within ") => Exit::Timeout,
        None if ["refused TLS", "no WebSocket", "no HTTP", "no MCP"]
            .iter()
            .any(|words| why.contains(words)) =>
        {
            Exit::Protocol
        }
        None => Exit::Problem,
    }
}

/// A time in seconds, as flags take it.
///
/// # Errors
/// When it is none, below nothing or above a day.
pub(super) fn seconds(text: &str) -> Result<std::time::Duration, String> {
    let value: Option<f64> = text.parse().ok();
    let value = value.filter(|value| (0.0..=86_400.0).contains(value));
    value
        .and_then(|value| std::time::Duration::try_from_secs_f64(value).ok())
        .ok_or_else(|| "must be seconds from 0 to 86400, such as 0.5".to_owned())
}

/// A path as it stands in a request.
///
/// # Errors
/// When it does not begin with `/`, or has a blank or an end of line in it.
pub(super) fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("must begin with `/` and have no blanks in it, such as `/v1/models`".to_owned())
}

/// Why a text is no address of a server.
pub(super) struct NoTarget {
    /// What is wrong.
    pub(super) text: String,
    /// What would be right.
    hint: String,
    exit: Exit,
}

/// Reads the server's address as `doctor` does: a number that is no port is named as such.
pub(super) fn target(frame: &mut Frame, text: &str, from: &port::Place) -> Result<Target, Exit> {
    let text = &real(frame, text);
    match read_target(text, from) {
        Ok(target) => {
            if let Some(path) = path_of(text) {
                let text =
                    format!("paths are passed on as the caller writes them; `{path}` is left out");
                frame.printer.warn(&text);
            }
            Ok(target)
        }
        Err(bad) => {
            frame.printer.error(&bad.text);
            if !bad.hint.is_empty() {
                frame.printer.hint(&bad.hint);
            }
            Err(bad.exit)
        }
    }
}

/// The address with a number that is a name for a port, such as 619009, in the port's own number.
fn real(frame: &mut Frame, text: &str) -> String {
    // A broken configuration is no reason to refuse; the usual names are known without it.
    let (strict, logical) = match load(&frame.inputs()) {
        Ok(loaded) => (loaded.config.ports.strict, loaded.config.ports.logical),
        Err(_) => (frame.globals.strict_ports, port::LogicalMap::default()),
    };
    let read = doctor::target::Target::parse(text.strip_prefix(':').unwrap_or(text)).ok();
    let Some(written) = read.and_then(|read| read.port) else { return text.to_owned() };
    match port::resolve(&written, port::Place::Argument, strict, &logical) {
        Ok(port::Resolved { port, warning: Some(warning) }) => {
            frame.printer.warn(&warning);
            if text == written {
                return port.to_string();
            }
            text.replacen(&format!(":{written}"), &format!(":{port}"), 1)
        }
        Ok(_) | Err(_) => text.to_owned(),
    }
}

fn path_of(text: &str) -> Option<String> {
    let read = doctor::target::Target::parse(text.strip_prefix(':').unwrap_or(text)).ok()?;
    read.path.filter(|path| path != "/")
}

fn read_target(text: &str, from: &port::Place) -> Result<Target, NoTarget> {
    let text = text.strip_prefix(':').unwrap_or(text);
    let usage = |text: String, hint: String| NoTarget { text, hint, exit: Exit::Usage };
    let read =
        doctor::target::Target::parse(text).map_err(|bad| usage(bad.to_string(), String::new()))?;
    let tls = read.scheme.is_some_and(doctor::target::Scheme::is_tls);
    let number = match &read.port {
        Some(text) => {
            let number = port::parse(text, from.clone())
                .and_then(|port| port::for_client(port, from.clone()));
            number.map_err(|invalid| NoTarget {
                text: invalid.to_string(),
                hint: String::new(),
                exit: Exit::InvalidPort,
            })?
        }
        None => read.scheme.and_then(doctor::target::Scheme::default_port).ok_or_else(|| {
            let hint = format!("write `{text}:61900`, or a URL with `https://`");
            usage(format!("`{text}` names no port"), hint)
        })?,
    };
    Ok(Target::new(&read.host, number, tls))
}

fn listen(frame: &mut Frame, said: Option<&str>) -> Result<SocketAddr, Exit> {
    let flag = |name: &str| port::Place::Flag(name.to_owned());
    let (text, place) = match (said, &frame.globals.host, &frame.globals.port) {
        (Some(text), ..) => (text.to_owned(), flag("--listen")),
        (None, host, port) => {
            let host = host.as_deref().unwrap_or("127.0.0.1");
            let bare = host.contains(':') && !host.starts_with('[');
            let host = if bare { format!("[{host}]") } else { host.to_owned() };
            let port = port.clone().unwrap_or_else(|| HOME.to_string());
            (format!("{host}:{port}"), flag("--port"))
        }
    };
    let with_host = match text.parse::<u64>() {
        Ok(_) => format!("127.0.0.1:{text}"),
        Err(_) => text.replace("localhost", "127.0.0.1"),
    };
    let number = with_host.rsplit_once(':').map(|(_, number)| number);
    if let Some(number) = number
        && let Err(invalid) = port::parse(number, place)
    {
        frame.printer.error(&invalid.to_string());
        return Err(Exit::InvalidPort);
    }
    with_host.parse().map_err(|_error| {
        frame.printer.error(&format!("`{text}` is no address to listen on"));
        frame.printer.hint(&format!("write `127.0.0.1:{HOME}` or a port"));
        Exit::Usage
    })
}
