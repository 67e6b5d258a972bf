//! What a key may do: read, write, manage.

use std::fmt;

use serde_json::json;
use wire::{Code, Fault};

/// What a key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes {
    /// Read contexts and figures.
    pub read: bool,
    /// Change contexts and call models.
    pub write: bool,
    /// Change keys and settings.
    pub admin: bool,
}

impl Scopes {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, admin: true };
    const NAMES: [&'static str; 3] = ["read", "write", "admin"];

    /// Reads names separated by commas or spaces: `read`, `write`, `admin`.
    ///
    /// # Errors
    /// `invalid_input` when a name is unknown or there is none.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut out = Self::default();
        for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word {
                "read" => out.read = true,
                "write" => out.write = true,
                "admin" => out.admin = true,
                _ => return Err(wrong(&format!("`{word}` is no scope"))),
            }
        }
        if out == Self::default() {
            return Err(wrong("the key has no scope"));
        }
        Ok(out)
    }

    /// The names of the scopes it holds.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let held = [self.read, self.write, self.admin];
        Self::NAMES.into_iter().zip(held).filter(|(_, held)| *held).map(|(name, _)| name).collect()
    }

    pub(crate) fn bits(self) -> i64 {
        i64::from(self.read) | i64::from(self.write) << 1 | i64::from(self.admin) << 2
    }

    pub(crate) fn from_bits(bits: i64) -> Self {
        Self { read: bits & 1 != 0, write: bits & 2 != 0, admin: bits & 4 != 0 }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

fn wrong(text: &str) -> Fault {
    Fault::new(Code::InvalidInput, text)
        .hint("scopes are `read`, `write` and `admin`")
        .details(json!({ "field": "scopes" }))
}
