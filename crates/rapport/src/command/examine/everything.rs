//! `rapport doctor` without an address: looks at all that is configured, and shows the worst first.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use doctor::{Report, Request, diagnose, files, own};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::subjects::{Subject, Work, all};
use crate::command::Frame;

/// One line of the table.
#[derive(Debug)]
struct Row {
    name: String,
    place: String,
    report: Report,
}

/// What was found, the worst first; never empty.
#[derive(Debug)]
pub(super) struct Found {
    rows: Vec<Row>,
    took: Duration,
    /// Where they are, in words that follow "that is" and "that are".
    place: String,
    /// The evidence of every check was asked for.
    pub(super) verbose: bool,
}

/// Looks at everything at the same time.
pub(super) async fn look(frame: &Frame, request: &Request) -> Found {
    of(all(frame, request), request, "configured here".to_owned()).await
}

/// Looks at these at the same time; `place` says in words where they are.
pub(super) async fn of(subjects: Vec<Subject>, request: &Request, place: String) -> Found {
    let started = Instant::now();
    let looked = subjects.into_iter().map(|subject| one(subject, request));
    let mut rows = Box::pin(join_all(looked)).await;
    // The order in which they were found is the order of what depends on what.
    rows.sort_by_key(|row| weight(&row.report));
    Found { rows, took: started.elapsed(), place, verbose: request.verbose }
}

async fn one(subject: Subject, request: &Request) -> Row {
    let Subject { name, place, work } = subject;
    let report = match work {
        Work::Done(report) => *report,
        Work::File(file) => files::diagnose(&file, request).await,
        Work::Home(port, request) => match own::port(port) {
            Some(taken) if !own::answers_at(port).await => taken,
            Some(_) | None => diagnose(&request).await,
        },
        Work::Address(request) => {
            let report = diagnose(&request).await;
            let is_base = request.target.is_some() && !request.mcp;
            if is_base { forgiving(report) } else { report }
        }
    };
    Row { name, place, report }
}

/// A server that wants a key works: the doctor sends none.
fn forgiving(mut report: Report) -> Report {
    if report.verdict.id == "auth.missing" {
        let sentence = format!("{} answers and wants a key", report.target.text);
        report.verdict.id = doctor::report::HEALTHY;
        report.verdict.sentence = sentence;
        report.verdict.confidence = doctor::report::Confidence::Certain;
        report.verdict.fix.clear();
    }
    report
}

fn weight(report: &Report) -> u8 {
    match report.exit_code() {
        1 => 0,
        3 => 1,
        2 => 2,
        _ => 3,
    }
}

impl Found {
    /// Whether all is well.
    pub(super) fn is_healthy(&self) -> bool {
        self.rows.iter().all(|row| row.report.is_healthy())
    }

    /// The worst, which is also the first in the table.
    pub(super) fn worst(&self) -> Option<&Report> {
        self.rows.first().map(|row| &row.report)
    }

    /// What changes when anything does.
    pub(super) fn mark(&self) -> String {
        self.rows.iter().map(|row| format!("{} {}\n", row.name, row.report.verdict.id)).collect()
    }

    /// The report of the worst with the table beside it.
    pub(super) fn json(&self) -> Value {
        let mut whole = self.worst().map_or_else(|| json!({}), Report::to_json);
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name, "place": row.place, "ok": row.report.is_healthy(),
                "exit_code": row.report.exit_code(), "id": row.report.verdict.id,
                "sentence": row.report.verdict.sentence, "fix": row.report.verdict.fix,
                "evidence": row.report.verdict.evidence,
            })
        });
        let rows: Vec<Value> = rows.collect();
        if let Some(fields) = whole.as_object_mut() {
            fields.insert("subjects".to_owned(), rows.into());
            let took = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX);
            fields.insert("duration_ms".to_owned(), took.into());
        }
        whole
    }

    /// One sentence, the table, and the worst in full.
    pub(super) fn text(&self, colour: bool, verbose: bool) -> String {
        let paint = |colour_of: AnsiColor, text: &str| {
            let style = Style::new().fg_color(Some(colour_of.into()));
            if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
        };
        let ill = self.rows.iter().filter(|row| !row.report.is_healthy()).count();
        let (count, seconds) = (self.rows.len(), self.took.as_secs_f64());
        let place = &self.place;
        let mut text = if ill == 0 {
            let mark = paint(AnsiColor::Green, "✓");
            format!("{mark} Everything that is {place} works: {count} looked at ")
        } else {
            let mark = paint(AnsiColor::Red, "✗");
            let work = if ill == 1 { "does not work" } else { "do not work" };
            format!("{mark} {ill} of the {count} things that are {place} {work} ")
        };
        text.push_str(&format!("in {seconds:.1} s.\n\n"));
        let wide = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
        for row in &self.rows {
            let mark = match weight(&row.report) {
                3 => paint(AnsiColor::Green, "✓"),
                1 => paint(AnsiColor::Yellow, "?"),
                _ => paint(AnsiColor::Red, "✗"),
            };
            let Row { name, place, report } = row;
            let told = if report.is_healthy() && !verbose {
                place.clone()
            } else {
                format!("{place}\n    {:wide$}  {}", "", report.verdict.sentence)
            };
            text.push_str(&format!("  {mark} {name:wide$}  {told}\n"));
        }
        if let Some(worst) = self.worst().filter(|worst| !worst.is_healthy()) {
            let mut worst = worst.clone();
            worst.verbose = verbose;
            text.push_str(&format!("\n{}", worst.to_text(colour)));
        }
        text
    }
}
