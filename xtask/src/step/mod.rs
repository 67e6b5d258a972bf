//! A chore is a list of steps: this runs them in order, times them and sums them up.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::bail;

use crate::clock::Stopwatch;
use crate::options::Options;
use crate::program;
use crate::say;

// Limit: lines of a step's own report that are repeated in the summary.
const CLOSING_LINES_MAX: usize = 3;
const FAILED_LINES_MAX: usize = 12;

/// One step of a chore.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// What `--only` calls it.
    pub(crate) name: &'static str,
    /// One line for `--list`.
    pub(crate) about: &'static str,
    /// Steps that run before it; when one of them fails, this one cannot run.
    pub(crate) after: &'static [&'static str],
    /// Whether the tree has what the step is about.
    pub(crate) applies: fn(&Path) -> bool,
    /// Does it.
    pub(crate) run: fn(&Path) -> anyhow::Result<Outcome>,
}

/// How a step ended; the lines are the runner's own closing words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All good.
    Passed(Vec<String>),
    /// Something is wrong in the tree.
    Failed(Vec<String>),
    /// A program is missing here and could not be installed.
    Missing(Vec<String>),
    /// A step before it failed.
    Blocked(String),
}

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed(_) => "passed",
            Self::Failed(_) => "FAILED",
            Self::Missing(_) => "missing",
            Self::Blocked(_) => "not run",
        }
    }

    fn lines(&self) -> Vec<String> {
        match self {
            Self::Passed(lines) | Self::Failed(lines) | Self::Missing(lines) => lines.clone(),
            Self::Blocked(why) => vec![why.clone()],
        }
    }

    fn is_bad(&self, options: &Options) -> bool {
        match self {
            Self::Passed(_) => false,
            Self::Missing(_) => !options.allow_missing,
            Self::Failed(_) | Self::Blocked(_) => true,
        }
    }
}

/// A step that ran, or could not.
#[derive(Debug)]
struct Done {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// A step applies to every tree.
pub(crate) fn always(_root: &Path) -> bool {
    true
}

/// Runs the steps that were asked for, prints the summary; false when one went wrong.
///
/// # Errors
/// When `--only` names a step that does not exist or has nothing to run.
pub(crate) fn run_all(root: &Path, steps: &[Step], options: &Options) -> anyhow::Result<bool> {
    let chosen = choose(root, steps, options)?;
    if options.list {
        for step in chosen {
            say::line(&format!("{:<10} {}", step.name, step.about));
        }
        return Ok(true);
    }
    let mut done: Vec<Done> = Vec::new();
    for step in &chosen {
        say::line(&format!("\n== {}: {}", step.name, step.about));
        let watch = Stopwatch::start();
        let outcome = blocked(step, &done).unwrap_or_else(|| {
            (step.run)(root).unwrap_or_else(|error| Outcome::Failed(vec![format!("{error:#}")]))
        });
        let took = watch.elapsed();
        say::line(&format!("== {}: {} in {}", step.name, outcome.word(), seconds(took)));
        let stop = outcome.is_bad(options) && !options.keep_going;
        done.push(Done { name: step.name, outcome, took });
        if stop {
            break;
        }
    }
    for line in summary(&done, chosen.len(), options) {
        say::line(&line);
    }
    Ok(done.len() == chosen.len() && !done.iter().any(|step| step.outcome.is_bad(options)))
}

/// Runs a command as a step: its closing lines are picked from what it printed.
pub(crate) fn outcome_of(command: Command) -> anyhow::Result<Outcome> {
    let ran = program::stream(command)?;
    let pick = |wanted: fn(&str) -> bool| {
        let mut lines: Vec<String> = ran.tail.iter().filter(|line| wanted(line)).cloned().collect();
        lines.dedup();
        lines
    };
    Ok(if ran.success {
        Outcome::Passed(last(&pick(is_closing), CLOSING_LINES_MAX))
    } else {
        let telling = pick(|line| is_closing(line) || is_complaint(line));
        let lines = if telling.is_empty() { &ran.tail } else { &telling };
        Outcome::Failed(last(lines, FAILED_LINES_MAX))
    })
}

/// The words with which cargo and nextest name what failed.
fn is_complaint(line: &str) -> bool {
    let line = line.trim();
    ["FAIL [", "TIMEOUT [", "SIGABRT [", "error"].iter().any(|start| line.starts_with(start))
}

fn last(lines: &[String], count: usize) -> Vec<String> {
    lines
        .iter()
        .skip(lines.len().saturating_sub(count))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// The words with which cargo, nextest, libtest, unittest, cargo-deny and our own runners end.
fn is_closing(line: &str) -> bool {
    let line = line.trim();
    let starts = ["Finished ", "Summary [", "test result:", "Ran ", "OK", "FAILED", "bans ok"];
    starts.iter().any(|start| line.starts_with(start)) || is_count(line)
}

/// `N passed, N failed`, with whatever follows.
fn is_count(line: &str) -> bool {
    line.split_once(" passed")
        .is_some_and(|(count, _)| !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit()))
}

/// The steps to run, in the order of the list: all that apply, or those named and what they need.
fn choose<'s>(root: &Path, steps: &'s [Step], options: &Options) -> anyhow::Result<Vec<&'s Step>> {
    let known = |name: &str| steps.iter().find(|step| step.name == name);
    let mut wanted: Vec<&str> = options.only.iter().map(String::as_str).collect();
    for name in &wanted {
        let Some(step) = known(name) else {
            let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
            bail!("`{name}` is no step; there are {}", names.join(", "));
        };
        if !(step.applies)(root) {
            bail!("`{name}` has nothing to run in this tree");
        }
    }
    let mut next = 0;
    while let Some(step) = wanted.get(next).and_then(|name| known(name)) {
        wanted.extend(step.after);
        next = next.saturating_add(1);
    }
    let asked = |step: &&Step| options.only.is_empty() || wanted.contains(&step.name);
    Ok(steps.iter().filter(asked).filter(|step| (step.applies)(root)).collect())
}

fn blocked(step: &Step, done: &[Done]) -> Option<Outcome> {
    let bad = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Blocked(_));
    done.iter()
        .find(|before| step.after.contains(&before.name) && bad(&before.outcome))
        .map(|before| Outcome::Blocked(format!("needs `{}`, which did not pass", before.name)))
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

/// The table of steps, then one line of counts.
fn summary(done: &[Done], chosen: usize, options: &Options) -> Vec<String> {
    let mut lines = vec![String::new()];
    for step in done {
        let took = seconds(step.took);
        let closing = step.outcome.lines();
        let mut closing = closing.iter();
        let first = closing.next().map_or("", String::as_str);
        let row = format!("{:<10} {:>9}  {:<8} {first}", step.name, took, step.outcome.word());
        lines.push(row.trim_end().to_owned());
        lines.extend(closing.map(|line| format!("{:32}{line}", "")));
    }
    let count = |word: &str| done.iter().filter(|step| step.outcome.word() == word).count();
    let mut total = format!("{} passed, {} failed", count("passed"), count("FAILED"));
    let not_run = count("not run") + chosen.saturating_sub(done.len());
    if not_run > 0 {
        total.push_str(&format!(", {not_run} not run"));
    }
    if count("missing") > 0 {
        let tail = if options.allow_missing { " (allowed)" } else { "" };
        total.push_str(&format!(", {} with something missing{tail}", count("missing")));
    }
    if !options.only.is_empty() {
        total.push_str(&format!(" (of --only {})", options.only.join(",")));
    }
    lines.push(total);
    lines
}

#[cfg(test)]
mod tests;
