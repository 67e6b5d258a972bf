//! The logical endpoints: numbers that are no ports, used as names for real ones.

use std::collections::BTreeMap;
use std::fmt;

/// Identifier to real port; `619009` is the home port unless the user says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalMap {
    entries: BTreeMap<String, u16>,
}

impl Default for LogicalMap {
    fn default() -> Self {
        Self { entries: BTreeMap::from([(super::IMPOSSIBLE.to_owned(), super::HOME)]) }
    }
}

/// An entry the map does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidMapping {
    /// The identifier has something else than digits in it.
    NotANumber(String),
    /// The identifier is a real port, and a real port always means itself.
    RealPort(u16),
    /// The identifier would stand for port 0, to which nothing can connect.
    PortZero(String),
}

impl fmt::Display for InvalidMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotANumber(identifier) => write!(
                f,
                "logical endpoint `{identifier}` is not a number: write digits that are more than \
                 65535"
            ),
            Self::RealPort(port) => write!(
                f,
                "logical endpoint `{port}` is a real port and means itself: use a number above \
                 65535"
            ),
            Self::PortZero(identifier) => write!(
                f,
                "logical endpoint `{identifier}` cannot stand for port 0: name a port from 1 to \
                 65535"
            ),
        }
    }
}

impl std::error::Error for InvalidMapping {}

impl LogicalMap {
    /// Gives `identifier` (decimal digits above 65535) the real port `port`; the last word counts.
    ///
    /// # Errors
    /// [`InvalidMapping`] when the identifier is no number, is a real port, or the port is 0.
    pub fn insert(&mut self, identifier: &str, port: u16) -> Result<(), InvalidMapping> {
        let Ok(digits) = super::digits(identifier) else {
            return Err(InvalidMapping::NotANumber(identifier.to_owned()));
        };
        if let Ok(real) = digits.parse::<u16>() {
            return Err(InvalidMapping::RealPort(real));
        }
        if port == 0 {
            return Err(InvalidMapping::PortZero(identifier.to_owned()));
        }
        self.entries.insert(digits.to_owned(), port);
        Ok(())
    }

    /// The real port `text` stands for; `None` for anything that is not in the map.
    #[must_use]
    pub fn port(&self, text: &str) -> Option<u16> {
        self.entries.get(super::digits(text).ok()?).copied()
    }

    /// All entries, by identifier.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u16)> {
        self.entries.iter().map(|(identifier, port)| (identifier.as_str(), *port))
    }
}

/// The one line a program prints when it was given a logical name.
pub(super) fn warning(identifier: &str, port: u16) -> String {
    let wrapped = super::wrapped(identifier).unwrap_or_default();
    format!(
        "{identifier} is no TCP port (ports end at 65535): using {port}; software that cuts it to \
         16 bits lands on {wrapped}"
    )
}
