//! Branches of a conversation: checkpoints, rollbacks, comparison, merge.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Context, Entry, Map};

/// A named place in a log, with the state as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Unique in its context.
    pub name: String,
    /// The newest entry it holds.
    pub seq: u32,
    /// The revision of the context when it was made.
    pub revision: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What it is for.
    pub note: Option<String>,
    /// The state that a rollback restores.
    pub state: Map,
    /// Whether it lies on the branch that the context shows now.
    pub on_branch: bool,
}

/// Where a rollback goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Keep the entries up to this one; the state stays as it is.
    Seq(u64),
    /// Keep the entries up to this one, and bring back the state that it saw last.
    Moment(u64),
    /// Back to a checkpoint, with its state.
    Checkpoint(String),
    /// Back to a branch that was left, with the state it had.
    Branch(u32),
    /// Take the last rollback back.
    Undo,
}

/// A branch that a context has left. Nothing of it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its number in the context, for [`To::Branch`].
    pub number: u32,
    /// Why it was left, such as `rollback to 4`.
    pub cause: String,
    /// When it was left.
    pub at: Timestamp,
    /// Its newest entry.
    pub head: u32,
    /// The last entry it shares with the branch that the context shows now.
    pub shared: u32,
}

/// A context that was forked from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its id.
    pub id: Arc<str>,
    /// A line for people.
    pub title: Option<String>,
    /// The last entry it shares.
    pub fork_seq: u32,
    /// Its newest entry.
    pub head: u32,
    /// When it changed last.
    pub last_updated: Timestamp,
}

/// Everything that hangs on one context.
#[derive(Clone, Debug)]
pub struct Branches {
    /// The context with its own branch.
    pub context: Context,
    /// Branches it left by a rollback, oldest first.
    pub left: Vec<Left>,
    /// Forks of it, the oldest first; at most 500.
    pub forks: Vec<Child>,
}

/// How two logs lie to each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The last entry that both read from the same place; 0 when they share nothing.
    pub shared: u32,
    /// The newest entry of the first.
    pub left_head: u32,
    /// The newest entry of the second.
    pub right_head: u32,
    /// Where the states differ.
    pub state: Vec<Difference>,
}

/// A value that is not the same on both sides; absent is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where it stands, as a JSON Pointer (RFC 6901).
    pub path: String,
    /// The value on the first side.
    pub left: Option<Value>,
    /// The value on the second side.
    pub right: Option<Value>,
}

/// What a merge does with values that both sides changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// The receiving side wins; the conflict is listed.
    #[default]
    Ours,
    /// The other side wins; the conflict is listed.
    Theirs,
    /// Nothing is merged.
    Refuse,
}

impl OnConflict {
    /// Reads `ours`, `theirs` or `refuse`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ours" => Some(Self::Ours),
            "theirs" => Some(Self::Theirs),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

/// What a merge did.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The context that received.
    pub context: Context,
    /// Values that both sides changed: `left` is ours, `right` is theirs.
    pub conflicts: Vec<Difference>,
    /// The entry that stands for the other branch; `None` when there was nothing new in it.
    pub entry: Option<Entry>,
}

/// Lists where two objects differ.
pub(crate) fn differences(left: &Map, right: &Map) -> Vec<Difference> {
    let mut out = Vec::new();
    differ("", left, right, &mut out);
    out
}

fn differ(path: &str, left: &Map, right: &Map, out: &mut Vec<Difference>) {
    let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
    for key in keys {
        let place = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        match (left.get(key), right.get(key)) {
            (Some(a), Some(b)) if a == b => {}
            (Some(Value::Object(a)), Some(Value::Object(b))) => differ(&place, a, b, out),
            (a, b) => out.push(Difference { path: place, left: a.cloned(), right: b.cloned() }),
        }
    }
}

/// Brings what changed from `base` to `theirs` into `ours`; hands out the conflicts.
pub(crate) fn merge_three(
    base: &Map,
    ours: &mut Map,
    theirs: &Map,
    theirs_win: bool,
) -> Vec<Difference> {
    let mut out = Vec::new();
    merge_at("", base, ours, (theirs, theirs_win), &mut out);
    out
}

fn merge_at(
    path: &str,
    base: &Map,
    ours: &mut Map,
    (theirs, theirs_win): (&Map, bool),
    out: &mut Vec<Difference>,
) {
    let empty = Map::new();
    let mut keys: Vec<String> = theirs.keys().cloned().collect();
    keys.extend(base.keys().filter(|key| !theirs.contains_key(*key)).cloned());
    for key in keys {
        let (was, new) = (base.get(&key), theirs.get(&key));
        if was == new || ours.get(&key) == new {
            continue;
        }
        let place = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        if let (Some(Value::Object(mine)), Some(Value::Object(new))) = (ours.get_mut(&key), new) {
            let was = was.and_then(Value::as_object).unwrap_or(&empty);
            merge_at(&place, was, mine, (new, theirs_win), out);
            continue;
        }
        let untouched = ours.get(&key) == was;
        if !untouched {
            let left = ours.get(&key).cloned();
            out.push(Difference { path: place, left, right: new.cloned() });
        }
        if untouched || theirs_win {
            match new {
                Some(value) => drop(ours.insert(key, value.clone())),
                None => drop(ours.shift_remove(&key)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(json: &str) -> Map {
        serde_json::from_str(json).unwrap()
    }

    #[track_caller]
    fn check(base: &str, ours: &str, theirs: &str, merged: &str, conflicts: &[&str]) {
        let mut into = map(ours);
        let found = merge_three(&map(base), &mut into, &map(theirs), false);
        assert_eq!(into, map(merged));
        assert_eq!(found.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), conflicts);
        // Merging into oneself changes nothing.
        let mut same = map(ours);
        assert!(merge_three(&map(base), &mut same, &map(ours), true).is_empty());
        assert_eq!(same, map(ours));
    }

    #[test]
    fn changes_of_one_side_are_taken_and_of_both_are_conflicts() {
        check(r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":2,"b":3}"#, r#"{"a":2,"b":3}"#, &[]);
        check(r#"{"a":1}"#, r#"{"a":5}"#, r#"{"a":1}"#, r#"{"a":5}"#, &[]);
        check(r#"{"a":1}"#, r#"{"a":5}"#, r#"{"a":6}"#, r#"{"a":5}"#, &["/a"]);
        check(r#"{"a":1,"b":2}"#, r#"{"a":1,"b":2}"#, r#"{"b":2}"#, r#"{"b":2}"#, &[]);
        check(r#"{"a":1}"#, r#"{"a":2}"#, "{}", r#"{"a":2}"#, &["/a"]);
        check(
            r#"{"o":{"x":1,"y":1}}"#,
            r#"{"o":{"x":2,"y":1}}"#,
            r#"{"o":{"x":1,"y":3,"z/~":4}}"#,
            r#"{"o":{"x":2,"y":3,"z/~":4}}"#,
            &[],
        );
        check("{}", r#"{"o":{"x":2}}"#, r#"{"o":{"x":3}}"#, r#"{"o":{"x":2}}"#, &["/o/x"]);
    }

    #[test]
    fn differences_name_every_value_that_is_not_the_same() {
        let found = differences(&map(r#"{"a":1,"o":{"x":1}}"#), &map(r#"{"o":{"x":2},"c":3}"#));
        let paths: Vec<_> = found.iter().map(|d| d.path.as_str()).collect();
        assert_eq!(paths, ["/a", "/o/x", "/c"]);
    }
}
