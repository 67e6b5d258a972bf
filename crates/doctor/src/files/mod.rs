//! Judges a configuration file, and then every address and command that stands in it.

mod client;
mod json;
mod scan;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::check::{About, Step};
use crate::credential::Credential;
use crate::report::{Finding, Fix, HEALTHY, Outcome, Report, Subject, Verdict, milliseconds};
use crate::request::Request;
use crate::stdio;

/// Limit: a larger file is no configuration.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Limit: addresses of one file that are looked at.
const ADDRESSES_MAX: usize = 8;

/// A configuration file to judge.
#[derive(Debug, Clone, Default)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// Whether the commands in it may be started.
    pub run: bool,
    /// The folders in which commands are looked for, as in `PATH`.
    pub search: Vec<PathBuf>,
}

/// What this module proves, for the list of checks.
#[must_use]
pub fn about() -> About {
    About {
        id: "file",
        title: "configuration file",
        proves: "the file can be read by the program it is for, and what stands in it exists",
        rung: 0,
        budget: Duration::from_secs(30),
        verdicts: VERDICTS,
    }
}

/// Every verdict about a file itself.
const VERDICTS: &[&str] = &[
    "auth.clock_skew",
    "auth.token_expired",
    "config.bad_json",
    "config.bom",
    "config.command_has_args",
    "config.command_not_found",
    "config.duplicate_key",
    "config.empty",
    "config.encoding",
    "config.file_not_found",
    "config.missing_key",
    "config.no_file",
    "config.port_out_of_range",
    "config.secret_readable",
    "config.tilde",
    "config.wrong_file_name",
    "config.wrong_type",
];

/// Reads the file, judges it, and goes on to what it names; `request` says how to look at
/// addresses, its target is not used.
pub async fn diagnose(file: &File, request: &Request) -> Report {
    let started = Instant::now();
    let mut book = Book { file: file.clone(), findings: Vec::new(), verdicts: Vec::new(), started };
    let (path, search) = (file.path.clone(), file.search.clone());
    let logical = request.logical.clone();
    let strict = request.strict_ports;
    let read = tokio::task::spawn_blocking(move || {
        text::read(&path).map(|text| {
            let is_ours =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("rapport."));
            let names = (is_ours && !strict).then_some(logical);
            let ports = scan::ports(&path, &text, names.as_ref());
            let parsed = client::judge(&path, &text, &search);
            let tokens = Credential::of_text(&path.display().to_string(), &text);
            (scan::addresses(&text), ports, parsed, tokens)
        })
    });
    let read = match read.await {
        Ok(Ok(read)) => read,
        Ok(Err(verdict)) => return book.close(Step::name(*verdict)),
        Err(error) => return book.close(Step::cannot_tell(error.to_string())),
    };
    let (mut addresses, ports, parsed, tokens) = read;
    let now = jiff::Timestamp::now().as_second();
    book.verdicts.extend(parsed.verdict);
    book.verdicts.extend(ports);
    book.verdicts.extend(tokens.iter().filter_map(|token| token.fault(now)));
    if !book.verdicts.is_empty() {
        let sentence = book.verdicts.first().map_or_else(String::new, |v| v.sentence.clone());
        return book.close(Step::fail(sentence));
    }
    let own = parsed.servers.iter().filter_map(|server| server.url.clone());
    let own: Vec<String> = own.collect();
    addresses.retain(|address| !own.contains(&address.url));
    addresses.truncate(ADDRESSES_MAX);
    let summary = format!("it can be read; it names {} servers", parsed.servers.len());
    book.note(
        "file",
        about().title,
        Step::pass(summary).seen(tokens.iter().filter_map(|one| one.line(now))),
        started,
    );
    book.visit(request, &parsed.servers, &addresses).await;
    book.finish()
}

/// What was found in one file.
struct Book {
    file: File,
    findings: Vec<Finding>,
    verdicts: Vec<Verdict>,
    started: Instant,
}

impl Book {
    fn note(&mut self, check: &'static str, title: &'static str, step: Step, since: Instant) {
        let skipped = step.outcome == Outcome::Skip;
        self.findings.push(Finding {
            check,
            title,
            outcome: step.outcome,
            summary: if skipped { String::new() } else { step.summary.clone() },
            evidence: step.evidence,
            duration_ms: milliseconds(since.elapsed()),
            reason: skipped.then_some(step.summary),
        });
    }

    /// Looks at every address, and starts every command when that is allowed.
    async fn visit(
        &mut self,
        request: &Request,
        servers: &[client::Server],
        addresses: &[scan::Address],
    ) {
        let of_servers = servers.iter().filter_map(|server| {
            Some((server.url.clone()?, format!("server `{}`", server.name), true))
        });
        let others = addresses
            .iter()
            .map(|found| (found.url.clone(), format!("line {} names it", found.line), false));
        let all: Vec<_> = of_servers.chain(others).take(ADDRESSES_MAX).collect();
        let looked = join_all(all.iter().map(|(url, _, mcp)| {
            let request =
                Request { target: Some(url.clone()), mcp: *mcp, only: None, ..request.clone() };
            async move { crate::ladder::diagnose(&request).await }
        }));
        for (report, (url, place, _)) in Box::pin(looked).await.into_iter().zip(&all) {
            self.take("address", "an address in the file", report, &format!("{url}: {place}"));
        }
        for server in servers.iter().filter(|server| server.command.is_some()) {
            let Some(command) = &server.command else { continue };
            if !self.file.run {
                let step = Step::cannot_tell(format!(
                    "`{}` is not started: --run starts it, as its program would",
                    command.line()
                ));
                self.note("command", "a command in the file", step, Instant::now());
                continue;
            }
            let report = stdio::diagnose(command).await;
            self.take("command", "a command in the file", report, &server.name);
        }
    }

    fn take(&mut self, check: &'static str, title: &'static str, report: Report, place: &str) {
        let file = self.file.path.display();
        let step = if report.is_healthy() {
            Step::pass(report.verdict.sentence)
        } else {
            let verdict = report.verdict.because(format!("{file}: {place}"));
            let step = Step::fail(format!("{place}: {}", verdict.sentence));
            self.verdicts.push(verdict);
            step
        };
        self.note(check, title, step, self.started);
    }

    fn close(mut self, step: Step) -> Report {
        self.verdicts.splice(0..0, step.verdict.clone());
        let started = self.started;
        self.note("file", about().title, step, started);
        self.finish()
    }

    fn finish(self) -> Report {
        let path = self.file.path.display();
        let mut verdicts = self.verdicts.into_iter();
        let verdict = verdicts.next().unwrap_or_else(|| healthy(&self.file.path, &self.findings));
        Report {
            target: Subject {
                text: path.to_string(),
                understood: "a configuration file and what it names".to_owned(),
                ..Subject::default()
            },
            verdict,
            also: verdicts.collect(),
            findings: self.findings,
            ports: Vec::new(),
            by_hand: Vec::new(),
            duration_ms: milliseconds(self.started.elapsed()),
            verbose: false,
        }
    }
}

fn healthy(path: &Path, findings: &[Finding]) -> Verdict {
    let count = |check: &str, outcome: Outcome| {
        findings.iter().filter(|one| one.check == check && one.outcome == outcome).count()
    };
    let skipped = count("command", Outcome::Skip);
    if !findings.iter().any(|one| matches!(one.check, "address" | "command")) {
        let sentence = format!(
            "the file {} can be read, and there is no address of this machine and no command in \
             it to look at",
            path.display()
        );
        return Verdict::certain(HEALTHY, sentence);
    }
    let not_run = if skipped > 0 {
        format!("; {skipped} commands were not started (--run starts them)")
    } else {
        String::new()
    };
    let sentence = format!(
        "the file {} is well: {} addresses and {} commands of it work{not_run}",
        path.display(),
        count("address", Outcome::Pass),
        count("command", Outcome::Pass)
    );
    Verdict::certain(HEALTHY, sentence)
}

/// A verdict with the place in the file and what to do.
fn verdict(id: &'static str, sentence: String, place: &str, fix: Fix) -> Verdict {
    Verdict::certain(id, sentence).because(place.to_owned()).fix(fix)
}
