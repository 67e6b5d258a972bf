//! `rapport doctor`: why an address does not work, and how to fix it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use doctor::{Environment, Request};

use super::{Frame, doctor_store, examine, given};
use crate::config::load;
use crate::print::Exit;

/// Flags of `doctor`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The address: a URL, host:port, a port; the server's own when left out. Or configuration
    /// files; `explain` and the text of an error; `run` and a command; `claude-desktop`
    #[arg(allow_negative_numbers = true)]
    target: Option<String>,
    /// After `explain`: the text of an error, as it was shown; `-` reads it from standard input.
    /// After `run --`: the command to start and to watch
    #[arg(value_name = "TEXT")]
    text: Vec<String>,
    /// Run one check, with those it builds on
    #[arg(long, value_name = "CHECK")]
    only: Option<String>,
    /// Show the evidence of every check
    #[arg(long)]
    verbose: bool,
    /// A PEM file of certificates to trust besides those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The longest the whole run may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    deadline: f64,
    /// Verify the store of a data folder instead of an address; the configured one when left out.
    /// The server may be running
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["target", "only"])]
    store: Option<Option<PathBuf>>,
    #[command(flatten)]
    more: examine::More,
}

/// Runs the ladder of checks. Its exit codes are its own: 0 healthy, 1 a named fault, 2 usage,
/// 3 broken for an uncertain reason.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    if let Some(folder) = &options.store {
        return doctor_store::run(frame, folder.as_deref());
    }
    match (options.target.as_deref(), options.text.is_empty()) {
        (Some("claude-desktop"), true) => return super::connect::claude_desktop(frame),
        (Some("explain"), false) => return explain(frame, &given::text(&options.text)?),
        (Some("explain"), true) => {
            frame.printer.error("explain what? Put the error's text after it, in quotes");
            return Ok(Exit::Usage);
        }
        (Some("tables"), _) => return tables(frame, &options.text),
        (Some("run"), _) => {}
        (target, false)
            if examine::are_files(
                target.into_iter().chain(options.text.iter().map(String::as_str)),
            ) => {}
        (_, false) => {
            let more = options.text.join(" ");
            frame.printer.error(&format!("one address at a time: `{more}` is one more"));
            return Ok(Exit::Usage);
        }
        (_, true) => {}
    }
    let mut request = Request {
        target: options.target.clone(),
        environment: Environment::from_variables(
            frame.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())),
        ),
        only: options.only.clone(),
        verbose: options.verbose,
        roots: options.ca.clone(),
        ..Request::default()
    };
    if (0.1..=3600.0).contains(&options.deadline) {
        request.deadline = Duration::from_secs_f64(options.deadline);
    } else {
        frame.printer.error("--deadline: write seconds from 0.1 to 3600");
        return Ok(Exit::Usage);
    }
    // A broken configuration is no reason not to look: its port is just not known then.
    match load(&frame.inputs()) {
        Ok(loaded) => {
            request.default_port = loaded.config.ports.port;
            request.strict_ports = loaded.config.ports.strict;
            request.logical = loaded.config.ports.logical;
        }
        Err(refused) => {
            for problem in &refused.problems {
                frame.printer.warn(&problem.to_string());
            }
        }
    }
    if options.target.as_deref() == Some("run") {
        return examine::start(frame, &request, &options.text, options.more.trace);
    }
    if options.more.trace {
        frame.printer.error("--trace follows a command: rapport doctor run --trace -- COMMAND");
        return Ok(Exit::Usage);
    }
    examine::run(frame, &request, &options.more, &options.text)
}

/// Prints the tables of symptoms: for a terminal, as JSON, or as Markdown.
fn tables(frame: &mut Frame, form: &[String]) -> anyhow::Result<Exit> {
    let words: Vec<&str> = form.iter().map(String::as_str).collect();
    if frame.printer.is_json() {
        frame.printer.json(&doctor::knowledge::symptoms_json())?;
        return Ok(Exit::Fine);
    }
    let text = match words.as_slice() {
        [] | ["text"] => doctor::knowledge::symptoms_text(),
        ["markdown"] => doctor::knowledge::symptoms_markdown(),
        other => {
            let other = other.join(" ");
            let known = "`text` and `markdown` (and --json)";
            frame.printer.error(&format!("tables as `{other}`: there are {known}"));
            return Ok(Exit::Usage);
        }
    };
    frame.printer.line(text.trim_end());
    Ok(Exit::Fine)
}

/// Says what the text of an error means: its cause, and what to do. 3 when nobody here knows it.
fn explain(frame: &mut Frame, text: &str) -> anyhow::Result<Exit> {
    if text.trim().is_empty() {
        frame.printer.error("explain what? The text is empty: put the error's text there");
        return Ok(Exit::Usage);
    }
    let Some(found) = doctor::knowledge::explain_text(text) else {
        frame.printer.error("this text is not known here");
        frame.printer.hint("look at the address itself: rapport doctor HOST:PORT");
        return Ok(Exit::InvalidPort);
    };
    if frame.printer.is_json() {
        frame.printer.json(&serde_json::json!({
            "id": found.id, "tool": found.tool, "recognised": found.recognised,
            "cause": found.cause, "steps": found.steps, "port": found.port,
        }))?;
        return Ok(Exit::Fine);
    }
    frame.printer.line(&found.cause);
    frame.printer.line("");
    frame.printer.line(&format!("  recognised  {} (said by {})", found.recognised, found.tool));
    if let Some(port) = &found.port {
        frame.printer.line(&format!("  port        {port}"));
    }
    for (number, step) in (1..).zip(&found.steps) {
        frame.printer.line(&format!("  {number}. {step}"));
    }
    Ok(Exit::Fine)
}
