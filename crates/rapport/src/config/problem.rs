//! What is wrong with a configuration, and the place where it is written.

use std::fmt;
use std::path::{Path, PathBuf};

use super::load::Loaded;

/// Where a value was written, so that the user finds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// Nowhere: it is the built-in value.
    Default,
    /// A configuration file, with the line (from 1) where it is known.
    File(PathBuf, Option<u64>),
    /// A line of a `.env` file, with the variable's name.
    DotEnv(PathBuf, u64, String),
    /// An environment variable.
    Variable(String),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::DotEnv(path, line, name) => write!(f, "{}:{line} ({name})", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

impl Place {
    /// The same place in the doctor's words, for its verdicts on ports.
    pub(crate) fn for_port(&self) -> doctor::port::Place {
        use doctor::port::Place as Port;
        match self {
            Self::Default => Port::Field("server.port".to_owned()),
            Self::File(path, line) => {
                Port::File { path: path.clone(), line: line.and_then(|l| usize::try_from(l).ok()) }
            }
            Self::DotEnv(path, line, _) => {
                Port::File { path: path.clone(), line: usize::try_from(*line).ok() }
            }
            Self::Variable(name) => Port::Variable(name.clone()),
            Self::Flag(name) => Port::Flag((*name).to_owned()),
        }
    }

    /// The file, when it is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path, _) | Self::DotEnv(path, ..) => Some(path),
            Self::Default | Self::Variable(_) | Self::Flag(_) => None,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where it is written; `None` when the text names the place itself.
    pub(crate) place: Option<Place>,
    /// What is wrong and what would have been right.
    pub(crate) text: String,
    /// It is a port that is no port: the program's exit code says so.
    pub(crate) port: bool,
    /// It is a value that only the server needs, and its variable is set where the server runs.
    pub(crate) server_only: bool,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Everything found while a configuration was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// What makes the configuration unusable.
    pub(crate) problems: Vec<Problem>,
    /// What the user should know, one line each.
    pub(crate) warnings: Vec<String>,
    /// Files that were read for their one secret.
    pub(crate) secrets: Vec<PathBuf>,
}

impl Findings {
    /// Notes a problem at `place`.
    pub(crate) fn problem(&mut self, place: &Place, text: impl Into<String>) {
        let place = Some(place.clone());
        self.problems.push(Problem { place, text: text.into(), port: false, server_only: false });
    }

    /// Notes a variable that is not set here, in the value of the key `path`.
    pub(crate) fn unset(&mut self, place: &Place, path: &str, text: &str) {
        let (place, text) = (Some(place.clone()), format!("`{path}`: {text}"));
        // Where a server is, and which one it is, a command must know.
        let server_only = !["server.", "data.", "tls."].iter().any(|own| path.starts_with(own));
        self.problems.push(Problem { place, text, port: false, server_only });
    }

    /// Notes that the value of the key `path` led to a fault.
    pub(crate) fn fault(&mut self, place: &Place, path: &str, fault: &wire::Fault) {
        let hint = fault.hint_text().map_or_else(String::new, |hint| format!(": {hint}"));
        self.problem(place, format!("`{path}`: {}{hint}", fault.text()));
    }

    /// Notes a port that is no port; its own text names the place.
    pub(crate) fn port(&mut self, invalid: &doctor::port::InvalidPort) {
        let text = invalid.to_string();
        self.problems.push(Problem { place: None, text, port: true, server_only: false });
    }

    /// Notes something the user should know, once.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// A configuration that cannot be used, with every reason.
#[derive(Clone, Debug)]
pub(crate) struct Refused {
    /// All problems, in the order of the places.
    pub(crate) problems: Vec<Problem>,
    /// Warnings found on the way.
    pub(crate) warnings: Vec<String>,
    /// What the rest says.
    pub(crate) rest: Box<Loaded>,
}

impl Refused {
    /// What is known without the values that only the server needs, when nothing else is wrong.
    pub(crate) fn for_commands(self) -> Result<Loaded, Self> {
        let all = self.problems.iter().all(|problem| problem.server_only);
        if all { Ok(*self.rest) } else { Err(self) }
    }

    /// Whether a port is among the problems.
    pub(crate) fn has_port(&self) -> bool {
        self.problems.iter().any(|problem| problem.port)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}
