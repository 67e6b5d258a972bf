//! Which models answer where.

use super::Change::Live;
use super::Kind::{Bool, Choice, Text};
use super::{Key, key};

/// The keys of models.
pub(super) const KEYS: &[Key] = &[
    key(
        "models.default",
        Text,
        "",
        Live,
        "The model that answers when a caller names none, such as `anthropic/claude-sonnet-5-5`.",
    ),
    key(
        "models.interact",
        Text,
        "echo",
        Live,
        "The model of interact and raw TCP while `models.default` is not set.",
    ),
    key(
        "models.context",
        Text,
        "demo",
        Live,
        "The model of all other doors while `models.default` is not set.",
    ),
    key(
        "models.embed",
        Text,
        "",
        Live,
        "What turns messages into vectors, so that recall also finds what is said in other words: \
         a model such as `openai/text-embedding-3-small`, or the built-in `hash-embed`. Nothing \
         unless set.",
    ),
    key("models.mock", Bool, "false", Live, "Every door answers with the built-in mock model."),
    key(
        "models.unsupported",
        Choice(&["drop", "error", "pass"]),
        "drop",
        Live,
        "What becomes of fields that a provider's API does not have; `x-rapport-unsupported` says \
         it for one call.",
    ),
];
