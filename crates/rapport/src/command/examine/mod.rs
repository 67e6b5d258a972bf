//! What `rapport doctor` can look at besides an address, and how often it looks.

mod conversation;
mod everything;
mod folder;
mod kid;
mod logs;
mod mend;
mod search;
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
    /// Judge a conversation of this product's server, whatever its id looks like
    #[arg(long, value_name = "ID", conflicts_with_all = ["target", "only", "store", "stdio"])]
    context: Option<String>,
    /// The address is an MCP server's, whatever its path says
    #[arg(long)]
    mcp: bool,
    /// Also ask this model for a few words, streamed; that may cost a fraction of a cent
    #[arg(long, value_name = "MODEL")]
    ask: Option<String>,
    /// The origin of a page that is to call the server from a browser: `http://localhost:3000`
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    origin: Option<String>,
    /// The server's log, or what it wrote to its standard error: its last lines are read
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Also print the commands with which to look at the port without this program
    #[arg(long)]
    by_hand: bool,
    /// With `run`: print the command's calls of bind, listen, accept and connect, and what their
    /// errors mean (Linux)
    #[arg(long)]
    pub(super) trace: bool,
    /// Start the commands that stand in a configuration file, as its program would
    #[arg(long)]
    run: bool,
    /// Look again every second until it works, and print what changes
    #[arg(long)]
    watch: bool,
    /// Look again, for so many seconds at most, until it works; then print one report
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "30",
          conflicts_with = "watch", value_parser = seconds)]
    wait: Option<Duration>,
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
    /// Several files.
    Files(Vec<File>),
    /// The configurations in a folder.
    Folder(PathBuf, bool),
}

impl Patient {
    /// The files that were named on the command line.
    fn named(&self) -> Vec<PathBuf> {
        match self {
            Self::File(file) => vec![file.path.clone()],
            Self::Files(files) => files.iter().map(|file| file.path.clone()).collect(),
            Self::Folder(path, _) => folder::files(path),
            Self::Address | Self::Command(_) | Self::Everything => Vec::new(),
        }
    }
}

/// Reads how long to wait.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| {
        "write seconds from 0 to 86400, as in `--wait 60`; an address stands before `--wait`"
            .to_owned()
    })
}

/// Reads the origin of a page: a scheme, a host and perhaps a port, and no path.
fn origin(text: &str) -> Result<String, String> {
    let wrong = |why: &str| {
        Err(format!("{why}: an origin is what browsers send, such as http://localhost:3000"))
    };
    let page = text.trim_end_matches('/');
    let Some((scheme, place)) = page.split_once("://") else {
        return wrong("it does not begin with http:// or https://");
    };
    let is_scheme = !scheme.is_empty()
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme || place.is_empty() {
        return wrong("it has no scheme or no host");
    }
    if place.contains(['/', '?', '#', '@']) || place.contains(char::is_whitespace) {
        return wrong("it has more than a scheme, a host and a port");
    }
    let read = doctor::target::Target::parse(&format!("http://{place}"));
    let port = read.as_ref().ok().and_then(|target| target.port.clone());
    match (read, port) {
        (Err(_), _) => wrong("its host or its port cannot be read"),
        (_, Some(port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            wrong(&format!("its port `{port}` is none from 1 to 65535"))
        }
        _ => Ok(page.to_owned()),
    }
}

/// Looks as often as it was told to, prints the reports, and gives the exit code.
pub(super) fn run(
    frame: &mut Frame,
    request: &Request,
    more: &More,
    others: &[String],
) -> anyhow::Result<Exit> {
    let is_id = |text: &&str| !Path::new(text).exists() && conversation::is_id(text);
    let named = request.target.as_deref().filter(is_id);
    if let Some(id) = more.context.as_deref().or(named) {
        return of_context(frame, request, id);
    }
    if let Some(report) = conversation::perhaps(frame, request)? {
        print(frame, &report)?;
        return Ok(exit(&report));
    }
    let patient = match patient(frame, request, more, others) {
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
    if let Some(log) = more.log.as_deref()
        && let Err(error) = logs::readable(log)
    {
        frame.printer.error(&format!("--log: `{}` cannot be read: {error}", log.display()));
        frame.printer.hint("name the file to which the server writes its log");
        return Ok(Exit::Usage);
    }
    let wait = more.wait.unwrap_or_default();
    let request = Request {
        mcp: more.mcp,
        by_hand: more.by_hand,
        ask: more.ask.clone(),
        origin: more.origin.clone(),
        logs: more.log.clone().map_or_else(|| logs::of(frame, request), |log| vec![log]),
        log_is_named: more.log.is_some(),
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
    let how = mend::How::of(more.yes, more.dry_run);
    if more.fix && mend::run(frame, &files(frame, &patient), &patient.named(), how)? {
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
        Patient::Everything => {
            let clients = super::connect::client_files(&frame.env);
            let clients = clients.into_iter().map(|(_, path)| path);
            super::config::own_file(frame).into_iter().chain(clients).collect()
        }
        _ => patient.named(),
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
        Patient::Folder(path, run) => {
            let subjects = folder::subjects(path, &search::folders(frame), *run);
            let place = format!("in the folder {}", path.display());
            return Seen::All(everything::of(subjects, request, place).await);
        }
        Patient::Command(command) => {
            let mut report = stdio::diagnose(command).await;
            let program = command.words.first().map_or("", String::as_str);
            search::complete(&mut report, program, &search::folders(frame));
            report
        }
        Patient::File(file) => files::diagnose(file, request).await,
        Patient::Files(files) => {
            let subjects = files.iter().map(subjects::of_file).collect();
            let place = "in the files that were named".to_owned();
            return Seen::All(everything::of(subjects, request, place).await);
        }
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

/// Whether all these words are files, so that more than one of them makes sense.
pub(super) fn are_files<'t>(mut words: impl Iterator<Item = &'t str>) -> bool {
    words.all(is_file)
}

fn patient(
    frame: &Frame,
    request: &Request,
    more: &More,
    others: &[String],
) -> Result<Patient, String> {
    if !others.is_empty() {
        let words = request.target.iter().chain(others);
        let file = |path: &String| {
            let path = PathBuf::from(path);
            File { path, run: more.run, search: search::folders(frame) }
        };
        return Ok(Patient::Files(words.map(file).collect()));
    }
    if let Some(text) = &more.stdio {
        let command = stdio::Command::parse(text).map_err(|error| format!("--stdio: {error}"))?;
        return Ok(Patient::Command(stdio::Command {
            deadline: Some(request.deadline),
            ..command
        }));
    }
    if let Some(folder) = request.target.as_deref().filter(|text| folder::is_folder(text)) {
        let path = PathBuf::from(folder);
        if folder::subjects(&path, &[], false).is_empty() {
            return Err(folder::nothing(&path));
        }
        return Ok(Patient::Folder(path, more.run));
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
    Ok(Patient::File(File { path, run: more.run, search: search::folders(frame) }))
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
