//! What `rapport doctor` can look at besides an address, and how often it looks.

mod conversation;
mod everything;
mod mend;
mod start;
mod subjects;
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
    /// Also ask this model for a few words, streamed; that may cost a fraction of a cent
    #[arg(long, value_name = "MODEL")]
    ask: Option<String>,
    /// The origin of a page that is to call the server from a browser: `http://localhost:3000`
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
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
    /// Show the safe changes that mend configuration files, and make them when you agree
    #[arg(long)]
    fix: bool,
    /// Make the changes of `--fix` without asking
    #[arg(long, requires = "fix")]
    yes: bool,
    /// Only show the changes of `--fix`
    #[arg(long, requires = "fix", conflicts_with = "yes")]
    dry_run: bool,
}

/// What is looked at.
#[derive(Debug)]
enum Patient {
    Address,
    /// All that is configured here.
    Everything,
    Command(stdio::Command),
    File(File),
}

/// Looks as often as it was told to, prints the reports, and gives the exit code.
pub(super) fn run(frame: &mut Frame, request: &Request, more: &More) -> anyhow::Result<Exit> {
    if let Some(id) = request.target.as_deref().filter(|text| conversation::is_id(text)) {
        return of_context(frame, request, id);
    }
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
    let request = Request {
        mcp: more.mcp,
        ask: more.ask.clone(),
        origin: more.origin.as_deref().map(|page| page.trim_end_matches('/').to_owned()),
        ..request.clone()
    };
    let request = &request;
    let mut seen = block_on(async {
        let until = Instant::now() + wait;
        let mut said = String::new();
        loop {
            let seen = look(frame, &patient, request).await;
            let is_over = seen.is_healthy() || (!more.watch && Instant::now() >= until);
            if more.watch && !is_over && said != seen.mark() {
                said = seen.mark();
                seen.print(frame)?;
            }
            if is_over {
                return anyhow::Ok(seen);
            }
            tokio::time::sleep(PAUSE).await;
        }
    })??;
    if more.fix && mend::run(frame, &files(frame, &patient), mend::How::of(more.yes, more.dry_run))?
    {
        seen = block_on(look(frame, &patient, request))?;
    }
    seen.print(frame)?;
    if let Some(path) = &more.report {
        write::to(frame, path, &seen)?;
    }
    Ok(seen.exit())
}

/// Judges one context; when its server does not answer, judges that.
fn of_context(frame: &mut Frame, request: &Request, id: &str) -> anyhow::Result<Exit> {
    use conversation::Outcome;
    let report = match conversation::look(frame, request, id)? {
        Outcome::Judged(report) => report,
        Outcome::NoServer(address) => {
            let request = Request { target: Some(address), ..request.clone() };
            Box::new(block_on(diagnose(&request))?)
        }
        Outcome::Failed(failure) => {
            super::reach::complain(&mut frame.printer, &failure);
            return Ok(super::reach::exit(failure.class()));
        }
    };
    print(frame, &report)?;
    Ok(exit(&report))
}

/// What one look came to.
enum Seen {
    One(Box<Report>),
    All(everything::Found),
}

impl Seen {
    fn is_healthy(&self) -> bool {
        match self {
            Self::One(report) => report.is_healthy(),
            Self::All(found) => found.is_healthy(),
        }
    }

    /// What changes when the verdict does.
    fn mark(&self) -> String {
        match self {
            Self::One(report) => report.verdict.id.to_owned(),
            Self::All(found) => found.mark(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::One(report) => exit(report),
            Self::All(found) => found.worst().map_or(Exit::Fine, exit),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::One(report) => report.to_json(),
            Self::All(found) => found.json(),
        }
    }

    fn text(&self, colour: bool, verbose: bool) -> String {
        match self {
            Self::One(report) => {
                let mut report = report.clone();
                report.verbose |= verbose;
                report.to_text(colour)
            }
            Self::All(found) => found.text(colour, verbose),
        }
    }

    fn print(&self, frame: &mut Frame) -> anyhow::Result<()> {
        if frame.printer.is_json() {
            return frame.printer.json(&self.json());
        }
        let colour = frame.printer.has_colour();
        let verbose = matches!(self, Self::All(found) if found.verbose);
        frame.printer.line(self.text(colour, verbose).trim_end());
        Ok(())
    }
}

/// The files that may be mended.
fn files(frame: &Frame, patient: &Patient) -> Vec<PathBuf> {
    match patient {
        Patient::File(file) => vec![file.path.clone()],
        Patient::Everything => {
            let clients = super::connect::client_files(&frame.env);
            let clients = clients.into_iter().map(|(_, path)| path);
            super::config::own_file(frame).into_iter().chain(clients).collect()
        }
        Patient::Address | Patient::Command(_) => Vec::new(),
    }
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

async fn look(frame: &Frame, patient: &Patient, request: &Request) -> Seen {
    let mut report = match patient {
        Patient::Everything => return Seen::All(everything::look(frame, request).await),
        Patient::Address => diagnose(request).await,
        Patient::Command(command) => stdio::diagnose(command).await,
        Patient::File(file) => files::diagnose(file, request).await,
    };
    report.verbose = request.verbose;
    Seen::One(Box::new(report))
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
        if more.fix && (request.target.is_some() || request.only.is_some()) {
            return Err("--fix mends configuration files: name one, or leave the address out to \
                        mend those of this product and of the applications that are found here"
                .to_owned());
        }
        let all = request.target.is_none() && request.only.is_none();
        return Ok(if all { Patient::Everything } else { Patient::Address });
    };
    let search = frame.env.get("PATH").unwrap_or_default();
    let search = std::env::split_paths(search).collect();
    Ok(Patient::File(File { path, run: more.run, search }))
}

/// Whether a target is a file and no address: it is there, or it is written as a path or has the
/// ending of a configuration.
fn is_file(text: &str) -> bool {
    let is_path = ["/", "./", "../", "~/"].iter().any(|start| text.starts_with(start));
    let endings = [".json", ".yaml", ".yml", ".toml", ".env", ".properties", ".conf"];
    let has_ending = endings.iter().any(|ending| text.ends_with(ending));
    let is_address = text.contains("://");
    Path::new(text).is_file() || (!is_address && (is_path || has_ending))
}

fn has_certificate(path: &Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains("-----BEGIN CERTIFICATE-----"))
}
