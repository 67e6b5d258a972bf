//! How records lie in tables; every function runs inside a transaction of its caller.

pub(crate) mod audit;
pub(crate) mod branches;
pub(crate) mod chain;
pub(crate) mod ctx;
pub(crate) mod cut;
pub(crate) mod entry;
pub(crate) mod epochs;
pub(crate) mod figures;
pub(crate) mod hooks;
pub(crate) mod idem;
pub(crate) mod list;
pub(crate) mod mounts;
pub(crate) mod nodes;
pub(crate) mod notes;
pub(crate) mod parts;
pub(crate) mod ranges;
pub(crate) mod rank;
pub(crate) mod seal;
pub(crate) mod search;
pub(crate) mod states;
pub(crate) mod summaries;
pub(crate) mod vectors;
pub(crate) mod winds;

/// A count that is stored as SQLite's signed integer; never negative in a sound row.
pub(crate) fn unsigned(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

/// The other way: counts never come near the limit.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A length as a count.
pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
