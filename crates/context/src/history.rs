//! The past of a state: what changed it, and what it was.

use jiff::Timestamp;
use serde_json::Value;

/// One change of the state.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// Its number in the context, from 1.
    pub number: u32,
    /// The newest message when it was made; the message of the turn that made it.
    pub seq: u32,
    /// The revision of the context with it.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// On whose behalf; `None` when nobody known.
    pub who: Option<String>,
    /// `created`, `edit`, `turn`, `fork`, `merge`, `rollback`, `restore`, `redacted`, or `before`
    /// for what was there before changes were kept.
    pub cause: String,
    /// Values that were set, each with its JSON Pointer.
    pub set: Vec<(String, Value)>,
    /// The JSON Pointers of what was removed.
    pub removed: Vec<String>,
}

/// A point in the past of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// While this message was the newest; the last such time, if there were several.
    Seq(u64),
    /// After the change of this number.
    Change(u64),
}
