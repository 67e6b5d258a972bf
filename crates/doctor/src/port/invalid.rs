//! The error for text that is no port: it names the value, its place, the range and what was meant.

use std::fmt;
use std::path::PathBuf;

/// Where a port was written, so that the user finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A command-line flag, for example `--port`.
    Flag(String),
    /// An environment variable, by name.
    Variable(String),
    /// A file, with the line (from 1) when it is known.
    File {
        /// The file as the user named it.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<usize>,
    },
    /// An address; credentials in it are never kept.
    Url(String),
    /// A positional argument of a command.
    Argument,
    /// A field of a message or a key of a configuration, by its path.
    Field(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Url(url) => write!(f, "address {url}"),
            Self::Argument => f.write_str("argument"),
            Self::Field(path) => write!(f, "field {path}"),
        }
    }
}

/// What is wrong with the text of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No character at all.
    Empty,
    /// Digits with white space around them.
    Whitespace,
    /// A minus sign before the digits.
    Negative,
    /// A plus sign before the digits.
    PlusSign,
    /// Hexadecimal digits after `0x`.
    Hex,
    /// Something else than digits.
    NotDigits,
    /// Digits, but more than 65535.
    OutOfRange,
    /// Port 0 where a real port is needed.
    Zero,
}

/// Text that is no TCP port, with everything a user needs to correct it.
///
/// Its `Display` is one sentence without a full stop; it names the value, the place, the valid
/// range, the candidates and, for a number above 65535, what software that keeps 16 bits uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPort {
    /// The text as it was written, at most 40 characters of it.
    pub value: String,
    /// Where it was written.
    pub place: Box<Place>,
    /// Ports that may have been meant, the most probable first.
    pub candidates: Box<[u16]>,
    /// The number modulo 65536, only for numbers above 65535.
    pub wrapped: Option<u16>,
    /// What is wrong with it.
    pub problem: Problem,
}

/// Limit: how much of a wrong value is repeated to the user.
const VALUE_CHARS_MAX: usize = 40;

impl InvalidPort {
    pub(super) fn new(text: &str, place: Place, problem: Problem) -> Self {
        let mut value: String =
            text.chars().take(VALUE_CHARS_MAX).flat_map(char::escape_debug).collect();
        if text.chars().nth(VALUE_CHARS_MAX).is_some() {
            value.push('…');
        }
        let wrapped = match problem {
            Problem::OutOfRange => super::wrapped(text),
            Problem::Empty
            | Problem::Whitespace
            | Problem::Negative
            | Problem::PlusSign
            | Problem::Hex
            | Problem::NotDigits
            | Problem::Zero => None,
        };
        let candidates = super::candidates(text).into_boxed_slice();
        Self { value, place: Box::new(place), candidates, wrapped, problem }
    }

    /// Puts `port` first among the candidates.
    pub(super) fn prefer(mut self, port: u16) -> Self {
        let rest = self.candidates.iter().copied().filter(|other| *other != port);
        self.candidates = std::iter::once(port).chain(rest).collect();
        self
    }

    /// The verdict id the doctor gives this mistake.
    #[must_use]
    pub fn verdict_id(&self) -> &'static str {
        match self.problem {
            Problem::OutOfRange => "address.port_out_of_range",
            Problem::Zero => "address.port_zero",
            Problem::Whitespace => "address.whitespace",
            Problem::Empty
            | Problem::Negative
            | Problem::PlusSign
            | Problem::Hex
            | Problem::NotDigits => "address.bad_port",
        }
    }
}

impl fmt::Display for InvalidPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}) {}", self.value, self.place, why(self.problem))?;
        if !self.candidates.is_empty() {
            write!(f, "; did you mean {}?", either(&self.candidates))?;
        }
        match self.wrapped {
            Some(port) => write!(f, " software that keeps 16 bits would really use {port}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for InvalidPort {}

fn why(problem: Problem) -> &'static str {
    match problem {
        Problem::Empty => "is empty: write a TCP port from 0 to 65535 in digits",
        Problem::Whitespace => {
            "has white space in it: write a TCP port from 0 to 65535 in digits only"
        }
        Problem::Negative => "is negative: TCP ports are 0-65535",
        Problem::PlusSign => "has a plus sign: write a TCP port from 0 to 65535 in digits only",
        Problem::Hex => "is hexadecimal: write a TCP port from 0 to 65535 in decimal digits",
        Problem::NotDigits => "is not a number: write a TCP port from 0 to 65535 in digits",
        Problem::OutOfRange => "is no TCP port: ports are 0-65535",
        Problem::Zero => {
            "means any free port and can only be bound, never connected to: write a TCP port from \
             1 to 65535, the one the server printed at its start"
        }
    }
}

/// "61900, 61909 or 61009", at most four of them.
fn either(candidates: &[u16]) -> String {
    let shown: Vec<String> = candidates.iter().take(4).map(u16::to_string).collect();
    match shown.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
