//! Names that stand for several models.

use super::Change::Live;
use super::Kind::{Bool, Choice, List, Text};
use super::{Key, key};

/// The keys of routes.
pub(super) const KEYS: &[Key] = &[
    key(
        "routes.NAME.targets",
        List,
        "",
        Live,
        "Who answers calls for the model NAME: one line each, a model and what holds for it, such \
         as `anthropic/claude-haiku-5-5 weight=9 tokens<100000 tag=fast header:x-team=blue`.",
    ),
    key(
        "routes.NAME.strategy",
        Choice(&["ordered", "round_robin", "weighted", "least_in_flight", "latency", "cheapest"]),
        "ordered",
        Live,
        "How the targets share the calls. Whoever fails is followed by the others.",
    ),
    key(
        "routes.NAME.sticky",
        Bool,
        "true",
        Live,
        "A conversation stays with the target that answered it while the provider's prompt cache \
         lives.",
    ),
    key(
        "routes.NAME.canary",
        Text,
        "",
        Live,
        "A target for some calls, such as `openai/gpt-6.1-sol percent=5` or \
         `openai/gpt-6.1-sol header:x-canary=1`.",
    ),
    key(
        "routes.NAME.shadow",
        List,
        "",
        Live,
        "Targets that get copies whose answers are thrown away, such as `ollama/qwen3 percent=10`.",
    ),
    key(
        "routes.NAME.hedge",
        Text,
        "",
        Live,
        "Sends a second copy of a slow call to the next target: `after=800ms percent=5`.",
    ),
    key(
        "routes.NAME.continue",
        Bool,
        "false",
        Live,
        "When a target breaks off in mid-answer the next one goes on from there.",
    ),
];
