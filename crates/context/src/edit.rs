//! Changes of a context: merge patch, shallow merge, replacement.

use std::time::Duration;

use serde_json::Value;

use crate::Map;

/// A change of a context; absent fields stay as they are.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// A new title; `Some(None)` removes it.
    pub title: Option<Option<String>>,
    /// A new user; `Some(None)` removes them.
    pub user: Option<Option<String>>,
    /// New instructions; `Some(None)` removes them.
    pub system: Option<Option<String>>,
    /// A merge patch for the settings.
    pub settings: Option<Map>,
    /// A merge patch for the metadata.
    pub metadata: Option<Map>,
    /// A change of the state.
    pub state: Option<StateEdit>,
    /// A new time to live from now on; `Some(None)` is for ever.
    pub expires_in: Option<Option<Duration>>,
    /// A new time to live after the last change; `Some(None)` is for ever.
    pub idle_for: Option<Option<Duration>>,
}

/// A change of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum StateEdit {
    /// RFC 7396: objects merge, `null` removes, everything else replaces.
    MergePatch(Map),
    /// Key by key at the top level: a new value wins, also `null`; absent keys stay.
    Shallow(Map),
    /// The state becomes this.
    Replace(Map),
}

impl StateEdit {
    /// Applies the change; says whether there was anything to apply.
    pub(crate) fn apply(self, state: &mut Map) -> bool {
        match self {
            Self::MergePatch(patch) => {
                let any = !patch.is_empty();
                merge_patch(state, patch);
                any
            }
            Self::Shallow(new) => {
                let any = !new.is_empty();
                state.extend(new);
                any
            }
            Self::Replace(new) => {
                *state = new;
                true
            }
        }
    }
}

/// Applies an RFC 7396 merge patch. Keys that stay keep their place, new ones come last.
///
/// The depth is bounded by the reader of the JSON (128 levels).
pub fn merge_patch(target: &mut Map, patch: Map) {
    for (key, value) in patch {
        match value {
            Value::Null => {
                // `remove` would move the last key into the gap.
                target.shift_remove(&key);
            }
            Value::Object(inner) => {
                let slot = target.entry(key).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(object) = slot {
                    merge_patch(object, inner);
                }
            }
            other => {
                target.insert(key, other);
            }
        }
    }
}
