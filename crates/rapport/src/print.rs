//! The one printer: results to standard output, everything else to standard error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything went well.
    Fine = 0,
    /// A problem was found, or the work could not be done.
    Problem = 1,
    /// Wrong usage, or a configuration that cannot be used.
    Usage = 2,
    /// A port that is no port.
    InvalidPort = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Writes for people on a terminal, for programs in a pipe.
#[derive(Debug)]
pub(crate) struct Printer {
    json: bool,
    colour: bool,
}

impl Printer {
    /// A printer for this process; `json` was asked for.
    pub(crate) fn new(json: bool) -> Self {
        let colour = anstream::AutoStream::choice(&std::io::stderr());
        Self { json, colour: colour != anstream::ColorChoice::Never }
    }

    /// Whether the user wants JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether results go to a terminal that shows colours.
    pub(crate) fn has_colour(&self) -> bool {
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        choice != anstream::ColorChoice::Never && std::io::stdout().is_terminal()
    }

    /// Writes a result and sends it off at once.
    pub(crate) fn line(&mut self, text: &str) {
        let mut out = std::io::stdout().lock();
        // Nobody reads any more: the work itself may still matter.
        let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Writes a result as JSON.
    ///
    /// # Errors
    /// When the value has no JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        self.line(&text);
        Ok(())
    }

    /// Says why something did not work.
    pub(crate) fn error(&mut self, text: &str) {
        self.say("error", AnsiColor::Red, text);
    }

    /// Says what the user should know.
    pub(crate) fn warn(&mut self, text: &str) {
        self.say("warning", AnsiColor::Yellow, text);
    }

    /// Says what to do.
    pub(crate) fn hint(&mut self, text: &str) {
        self.say("hint", AnsiColor::Cyan, text);
    }

    /// Says something beside the results, such as progress.
    pub(crate) fn note(&mut self, text: &str) {
        let _closed = writeln!(std::io::stderr().lock(), "{text}");
    }

    fn say(&mut self, word: &str, colour: AnsiColor, text: &str) {
        let style = if self.colour {
            Style::new().fg_color(Some(colour.into())).bold()
        } else {
            Style::new()
        };
        self.note(&format!("{style}{word}:{style:#} {text}"));
    }
}
