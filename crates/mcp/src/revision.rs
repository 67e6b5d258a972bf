//! The revisions of the protocol and the two eras they belong to.

/// A revision of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// The first one.
    V2024_11_05,
    /// Streamable HTTP, batches.
    V2025_03_26,
    /// Structured results, elicitation; batches are gone.
    V2025_06_18,
    /// The last one with `initialize`.
    V2025_11_25,
    /// The first one without sessions.
    V2026_07_28,
}

impl Revision {
    /// All, the oldest first.
    pub const ALL: [Self; 5] = [
        Self::V2024_11_05,
        Self::V2025_03_26,
        Self::V2025_06_18,
        Self::V2025_11_25,
        Self::V2026_07_28,
    ];
    /// What a client gets that asks for a revision `initialize` cannot give.
    pub const LEGACY: Self = Self::V2025_11_25;
    /// The newest.
    pub const NEWEST: Self = Self::V2026_07_28;

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Finds a revision by its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.name() == name)
    }

    /// Whether every request says its revision by itself.
    #[must_use]
    pub fn is_modern(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// What `initialize` answers to a client that asked for `wanted`: the same where it is known
    /// and of the legacy era, else the last legacy one.
    #[must_use]
    pub fn agreed(wanted: &str) -> Self {
        Self::parse(wanted).filter(|revision| !revision.is_modern()).unwrap_or(Self::LEGACY)
    }

    /// The names of all, the newest first, as answers list them.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().rev().map(|revision| revision.name()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_own_legacy_revision_or_the_last_one() {
        assert_eq!(Revision::agreed("2024-11-05"), Revision::V2024_11_05);
        assert_eq!(Revision::agreed("2025-06-18"), Revision::V2025_06_18);
        assert_eq!(Revision::agreed("2026-07-28"), Revision::V2025_11_25);
        assert_eq!(Revision::agreed("2031-01-01"), Revision::V2025_11_25);
        assert_eq!(Revision::parse("2025-11-26"), None);
        assert!(Revision::V2026_07_28.is_modern() && !Revision::V2025_11_25.is_modern());
    }
}
