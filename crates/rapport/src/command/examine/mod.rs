//! What `rapport doctor` can look at besides an address, and how often it looks.

mod start;
mod write;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use doctor::files::File;
use doctor::{Report, Request, diagnose, files, stdio};
use tokio::time::Instant;

use super::{Frame, block_on};
use crate::print::Exit;

pub(super) use start::run as start;

/// How long a second look is waited for.
const PAUSE: Duration = Duration::from_secs(1);

/// Flags of `doctor` that say what is looked at, and how often.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct More {
    /// Start this command and judge it as an MCP server over its pipes
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["target", "only", "store"])]
    stdio: Option<String>,
    /// The address is an MCP server's, whatever its path says
    #[arg(long)]
    mcp: bool,
    /// Start the commands that stand in a configuration file, as its program would
    #[arg(long)]
    run: bool,
    /// Look again every second until it works, and print what changes
    #[arg(long)]
    watch: bool,
    /// Look again, for so many seconds at most, until it works; then print one report
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30",
          conflicts_with = "watch")]
    wait: Option<f64>,
    /// Also write the report to this file, without secrets, to show it to others
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Show the safe changes that mend a configuration file, or make them with `--yes`
    #[arg(long)]
    fix: bool,
    /// Make the changes of `--fix`
    #[arg(long, requires = "fix")]
    yes: bool,
}

/// What is looked at.
#[derive(Debug)]
enum Patient {
    Address,
    Command(stdio::Command),
    File(File),
}

/// Looks as often as it was told to, prints the reports, and gives the exit code.
pub(super) fn run(frame: &mut Frame, request: &Request, more: &More) -> anyhow::Result<Exit> {
    let patient = match patient(frame, request, more) {
        Ok(patient) => patient,
        Err(text) => {
            frame.printer.error(&text);
            return Ok(Exit::Usage);
        }
    };
    if let Some(file) = request.roots.as_deref().filter(|file| !has_certificate(file)) {
        frame.printer.error(&format!("--ca: there is no certificate in `{}`", file.display()));
        return Ok(Exit::Usage);
    }
    let wait = more
        .wait
        .map_or(Duration::ZERO, |seconds| Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0)));
    let request = Request { mcp: more.mcp, ..request.clone() };
    let mut report = block_on(async {
        let until = Instant::now() + wait;
        let mut said = String::new();
        loop {
            let mut report = look(&patient, &request).await;
            report.verbose = request.verbose;
            let is_over = report.is_healthy() || (!more.watch && Instant::now() >= until);
            if more.watch && !is_over && said != report.verdict.id {
                said = report.verdict.id.to_owned();
                print(frame, &report)?;
            }
            if is_over {
                return anyhow::Ok(report);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })??;
    if more.fix
        && let Patient::File(file) = &patient
        && super::config::mend(frame, &file.path, more.yes)?
    {
        report = block_on(look(&patient, &request))?;
    }
    print(frame, &report)?;
    if let Some(path) = &more.report {
        write::to(frame, path, &report)?;
    }
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    match report.exit_code() {
        0 => Exit::Fine,
        1 => Exit::Problem,
        2 => Exit::Usage,
        // The doctor's own 3 has the number of another meaning elsewhere.
        _ => Exit::InvalidPort,
    }
}

async fn look(patient: &Patient, request: &Request) -> Report {
    match patient {
        Patient::Address => diagnose(request).await,
        Patient::Command(command) => stdio::diagnose(command).await,
        Patient::File(file) => files::diagnose(file, request).await,
    }
}

fn print(frame: &mut Frame, report: &Report) -> anyhow::Result<()> {
    if frame.printer.is_json() {
        return frame.printer.json(&report.to_json());
    }
    let colour = frame.printer.has_colour();
    frame.printer.line(report.to_text(colour).trim_end());
    Ok(())
}

fn patient(frame: &Frame, request: &Request, more: &More) -> Result<Patient, String> {
    if let Some(text) = &more.stdio {
        let command = stdio::Command::parse(text).map_err(|error| format!("--stdio: {error}"))?;
        return Ok(Patient::Command(stdio::Command {
            deadline: Some(request.deadline),
            ..command
        }));
    }
    let named = request.target.as_deref().filter(|text| is_file(text)).map(PathBuf::from);
    let configured = || frame.globals.config.clone().filter(|_| request.target.is_none());
    let Some(path) = named.or_else(configured) else {
        if more.fix {
            return Err("--fix mends configuration files: name one, or use --config".to_owned());
        }
        return Ok(Patient::Address);
    };
    let search = frame.env.get("PATH").unwrap_or_default();
    let search = std::env::split_paths(search).collect();
    Ok(Patient::File(File { path, run: more.run, search }))
}

/// Whether a target is a file and no address: it is there, or it is written as a path.
fn is_file(text: &str) -> bool {
    let path = Path::new(text);
    path.is_file() || (!text.contains("://") && (text.contains('/') || text.ends_with(".json")))
}

fn has_certificate(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("-----BEGIN CERTIFICATE-----"))
}
