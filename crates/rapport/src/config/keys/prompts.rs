//! Prompts that are kept by name.

use super::Change::Live;
use super::Kind::{List, Text};
use super::{Key, key};

/// The keys of prompts.
pub(super) const KEYS: &[Key] = &[
    key(
        "prompts.NAME.text",
        Text,
        "",
        Live,
        "What the prompt NAME says to the model, with places for arguments such as `{{city}}`.",
    ),
    key(
        "prompts.NAME.arguments",
        List,
        "",
        Live,
        "What it is given, one line each: `city Which city`, or with a default `days=3 For how \
         long`. Every place is one that must be given when none is listed.",
    ),
    key("prompts.NAME.title", Text, "", Live, "What people read in a list of prompts."),
    key("prompts.NAME.description", Text, "", Live, "What it is for."),
    key("prompts.NAME.system", Text, "", Live, "The instructions, with places, too."),
    key(
        "prompts.NAME.model",
        Text,
        "",
        Live,
        "The model or route that answers it; keys that may not use that do not see the prompt.",
    ),
];
