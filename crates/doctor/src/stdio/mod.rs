//! Judges an MCP server that is a command: starts it, greets it over its pipes, and ends it.
//!
//! Invariant: the command runs in a process group of its own, and the whole group is ended.

mod child;
mod judge;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

use crate::check::{About, Step};
use crate::report::Fix;
use crate::report::{Finding, HEALTHY, Outcome, Report, Subject, USAGE, Verdict, milliseconds};

/// Limit: how long a server may take to answer its first request.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// A command that is said to be an MCP server.
#[derive(Debug, Clone, Default)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Variables that are set for it, besides those of this program.
    pub variables: Vec<(String, String)>,
    /// Where it is started; the current folder when `None`.
    pub folder: Option<PathBuf>,
    /// The longest wait for its first answer.
    pub deadline: Option<Duration>,
}

impl Command {
    /// Takes a command line apart as a shell does, with quotes and backslashes; nothing is
    /// expanded.
    ///
    /// # Errors
    /// A sentence when a quote is not closed or nothing is left.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words = split(text)?;
        if words.is_empty() {
            return Err("the command is empty: write the program and its arguments".to_owned());
        }
        Ok(Self { words, ..Self::default() })
    }

    /// The command as one line, as a shell reads it.
    #[must_use]
    pub fn line(&self) -> String {
        let words = self.words.iter().map(|word| {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
            if !word.is_empty() && word.bytes().all(is_plain) {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            }
        });
        words.collect::<Vec<String>>().join(" ")
    }
}

/// What this module proves, for the list of checks.
#[must_use]
pub fn about() -> About {
    About {
        id: "stdio",
        title: "MCP over the pipes of a command",
        proves: "the command starts and speaks MCP on its standard output, and nothing else",
        rung: 0,
        budget: DEADLINE,
        verdicts: VERDICTS,
    }
}

/// Every verdict of a command.
const VERDICTS: &[&str] = &[
    "mcp.bad_initialize",
    "mcp.bad_jsonrpc",
    "mcp.bad_tool_schema",
    "mcp.id_mismatch",
    "mcp.init_error",
    "mcp.method_not_found",
    "mcp.modern_only",
    "mcp.version_mismatch",
    "stdio.bad_interpreter",
    "stdio.bom",
    "stdio.buffered",
    "stdio.command_not_found",
    "stdio.dies_after_init",
    "stdio.exits",
    "stdio.lsp_framing",
    "stdio.missing_dependency",
    "stdio.missing_env",
    "stdio.multiline_json",
    "stdio.no_answer",
    "stdio.noise",
    "stdio.not_executable",
    "stdio.relative_path",
    "stdio.wrong_transport",
];

/// Starts the command, speaks MCP with it, ends it, and says what is wrong with it.
pub async fn diagnose(command: &Command) -> Report {
    let started = Instant::now();
    if command.words.is_empty() {
        let verdict = Verdict::certain(USAGE, "there is no command to start")
            .fix(Fix::say("write the program and its arguments"));
        return report(command, Step::name(verdict), started);
    }
    let step = match child::talk(command).await {
        Ok(heard) => judge::judge(command, &heard),
        Err(error) => Step::name(judge::not_started(command, &error)),
    };
    report(command, step, started)
}

fn report(command: &Command, step: Step, started: Instant) -> Report {
    let Step { outcome, summary, evidence, verdict, .. } = step;
    let about = about();
    let duration_ms = milliseconds(started.elapsed());
    let ok = || {
        debug_assert!(outcome != Outcome::Fail, "a failure has a verdict");
        Verdict::certain(HEALTHY, format!("`{}` works: {summary}", command.line()))
    };
    let verdict = verdict.unwrap_or_else(ok);
    let finding = Finding {
        check: about.id,
        title: about.title,
        outcome,
        summary: summary.clone(),
        evidence,
        duration_ms,
        reason: None,
    };
    let target = Subject {
        text: command.line(),
        understood: "an MCP server that is started and spoken to over its pipes".to_owned(),
        ..Subject::default()
    };
    Report {
        target,
        verdict,
        findings: vec![finding],
        also: Vec::new(),
        ports: Vec::new(),
        by_hand: Vec::new(),
        duration_ms,
        verbose: false,
    }
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        None => return Err(format!("a quote ({letter}) is not closed: `{text}`")),
                        Some(end) if end == letter => break,
                        Some('\\') if letter == '"' => word.extend(letters.next()),
                        Some(inner) => word.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}
