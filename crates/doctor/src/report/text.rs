//! The report as a person reads it: verdict, evidence, fix, ladder.

use super::{Confidence, Finding, Outcome, Report};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Writes with or without colour.
struct Page {
    text: String,
    color: bool,
}

impl Page {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }
}

pub(super) fn render(report: &Report, color: bool) -> String {
    let mut page = Page { text: String::new(), color };
    verdict(&mut page, report);
    let warned = report.findings.iter().any(|finding| finding.outcome == Outcome::Warn);
    if report.is_healthy() && !report.verbose {
        if warned {
            for finding in report.findings.iter().filter(|f| f.outcome == Outcome::Warn) {
                let mark = page.paint(YELLOW, "!");
                page.line(&format!("  {mark} {}: {}", finding.check, finding.summary));
            }
        }
        by_hand(&mut page, report);
        return page.text;
    }
    evidence(&mut page, report);
    fixes(&mut page, report);
    if report.verbose {
        ladder(&mut page, report);
    } else {
        short_ladder(&mut page, report);
    }
    by_hand(&mut page, report);
    page.text
}

fn by_hand(page: &mut Page, report: &Report) {
    if report.by_hand.is_empty() {
        return;
    }
    page.gap();
    page.line("  By hand");
    for look in &report.by_hand {
        let command = page.paint(BOLD, &look.command);
        page.line(&format!("    {}\n      $ {command}", look.shows));
    }
}

fn verdict(page: &mut Page, report: &Report) {
    let verdict = &report.verdict;
    let mark = match report.exit_code() {
        0 => page.paint(GREEN, "✓"),
        3 => page.paint(YELLOW, "?"),
        _ => page.paint(RED, "✗"),
    };
    let sentence = page.paint(BOLD, &capital(&verdict.sentence));
    let sure = match verdict.confidence {
        Confidence::Certain => "",
        Confidence::Likely => ", likely",
        Confidence::Uncertain => ", uncertain",
    };
    let id = page.paint(DIM, &format!("[{}{sure}]", verdict.id));
    // A sentence that ends with a question has its mark already.
    let stop = if verdict.sentence.ends_with('?') { "" } else { "." };
    page.line(&format!("{mark} {sentence}{stop} {id}"));
}

/// Sentences are kept without capital and full stop, so that they fit into others; an address at
/// their beginning stays as it is.
fn capital(sentence: &str) -> String {
    let first = sentence.split(' ').next().unwrap_or_default();
    if first == "localhost" || !first.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return sentence.to_owned();
    }
    let mut letters = sentence.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn evidence(page: &mut Page, report: &Report) {
    if !report.target.understood.is_empty() {
        let understood = page.paint(DIM, &format!("address: {}", report.target.understood));
        page.line(&format!("  {understood}"));
    }
    if !report.verdict.evidence.is_empty() {
        page.gap();
        page.line("  Why");
        for line in &report.verdict.evidence {
            page.line(&format!("    {line}"));
        }
    }
    if !report.ports.is_empty() {
        page.gap();
        page.line("  Ports");
        for port in &report.ports {
            page.line(&format!("    {:>5}  {}", port.port, port.summary));
        }
    }
}

fn fixes(page: &mut Page, report: &Report) {
    if report.verdict.fix.is_empty() {
        return;
    }
    page.gap();
    page.line("  Fix");
    for fix in &report.verdict.fix {
        let root = if fix.needs_root { " (needs root)" } else { "" };
        page.line(&format!("    {}{root}", fix.text));
        if let Some(command) = &fix.command {
            let command = page.paint(BOLD, command);
            page.line(&format!("      $ {command}"));
        }
    }
    for other in &report.also {
        page.gap();
        page.line(&format!("  Also: {} [{}]", other.sentence, other.id));
    }
}

fn word(page: &Page, finding: &Finding) -> String {
    match finding.outcome {
        Outcome::Pass => page.paint(GREEN, "pass"),
        Outcome::Fail => page.paint(RED, "FAIL"),
        Outcome::Warn => page.paint(YELLOW, "warn"),
        Outcome::Skip => page.paint(DIM, "skip"),
    }
}

fn short_ladder(page: &mut Page, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    page.gap();
    let steps: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.check, word(page, finding)))
        .collect();
    page.line(&format!("  {}", steps.join("  ")));
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for finding in &report.findings {
        let Some(reason) = finding.reason.as_deref() else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, checks)) => checks.push(finding.check),
            None => reasons.push((reason, vec![finding.check])),
        }
    }
    for (reason, checks) in reasons {
        let line = page.paint(DIM, &format!("skipped {}: {reason}", checks.join(", ")));
        page.line(&format!("  {line}"));
    }
}

fn ladder(page: &mut Page, report: &Report) {
    if report.findings.is_empty() {
        return;
    }
    page.gap();
    page.line("  Checks");
    for finding in &report.findings {
        let said = match &finding.reason {
            Some(reason) => reason,
            None => &finding.summary,
        };
        let word = word(page, finding);
        let time = page.paint(DIM, &format!("{:.1} ms", finding.duration_ms));
        page.line(&format!("    {word} {:<9} {said} {time}", finding.check));
        for line in &finding.evidence {
            page.line(&format!("           {line}"));
        }
    }
    page.gap();
    page.line(&format!("  {:.1} ms in all", report.duration_ms));
}
