//! The one printer: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};
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
    /// Nothing accepts connections there.
    Refused = 4,
    /// It took longer than it may.
    Timeout = 5,
    /// The other side speaks something else.
    Protocol = 6,
    /// The key is missing or wrong.
    Key = 7,
    /// The server or the model behind it failed.
    Server = 8,
    /// Something on this side could not be read or written.
    Unchecked = 9,
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
    out: io::Stdout,
    err: io::Stderr,
    out_colour: bool,
    err_colour: bool,
    /// Why a result could not be written.
    lost: Option<io::Error>,
}

impl Printer {
    /// A printer for this process; `json` was asked for.
    pub(crate) fn new(json: bool) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let never = anstream::ColorChoice::Never;
        let out_colour = out.is_terminal() && anstream::AutoStream::choice(&out) != never;
        let err_colour = anstream::AutoStream::choice(&err) != never;
        Self { json, out, err, out_colour, err_colour, lost: None }
    }

    /// Whether the user wants JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether results go to a terminal that shows colours.
    pub(crate) fn has_colour(&self) -> bool {
        self.out_colour
    }

    /// Writes a result and sends it off at once.
    pub(crate) fn line(&mut self, text: &str) {
        self.write(format_args!("{text}\n"));
    }

    /// Writes a piece of a result as it is, and sends it off at once.
    pub(crate) fn piece(&mut self, text: &str) {
        self.write(format_args!("{text}"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        let mut out = self.out.lock();
        match out.write_fmt(text).and_then(|()| out.flush()) {
            // Nobody reads any more: the work itself may still matter.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.lost = Some(error),
            Ok(()) | Err(_) => {}
        }
    }

    /// Says that results were lost, as by a full disk; whether they were.
    pub(crate) fn has_lost(&mut self) -> bool {
        let Some(error) = self.lost.take() else { return false };
        self.error(&format!("what was to be printed could not be written: {error}"));
        true
    }

    /// Asks for the next line; beside the results, so that these can go into a file.
    pub(crate) fn prompt(&mut self, text: &str) {
        let mut err = self.err.lock();
        let _closed = write!(err, "{text}").and_then(|()| err.flush());
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
        let _closed = writeln!(self.err.lock(), "{text}");
    }

    fn say(&mut self, word: &str, colour: AnsiColor, text: &str) {
        let style = if self.err_colour {
            Style::new().fg_color(Some(colour.into())).bold()
        } else {
            Style::new()
        };
        self.note(&format!("{style}{word}:{style:#} {text}"));
    }
}
