//! Where models are.

use super::Change::Live;
use super::Kind::{Bool, Choice, Count, Duration, List, Secret, Text, Url};
use super::{Key, key};

/// The keys of providers.
pub(super) const KEYS: &[Key] = &[
    key(
        "providers.NAME.dialect",
        Choice(&["anthropic", "openai_chat"]),
        "",
        Live,
        "What the upstream speaks. `anthropic` and `openai` know theirs; others are openai_chat.",
    ),
    key(
        "providers.NAME.base_url",
        Url,
        "",
        Live,
        "Where its API begins, such as `http://127.0.0.1:11434/v1`.",
    ),
    key(
        "providers.NAME.api_key",
        Secret,
        "",
        Live,
        "Its key: `${ANTHROPIC_API_KEY}`, or `file:/run/secrets/key`.",
    ),
    key(
        "providers.NAME.bearer",
        Bool,
        "false",
        Live,
        "Sends the key as `Authorization: Bearer` instead of in the dialect's own header.",
    ),
    key(
        "providers.NAME.version",
        Text,
        "",
        Live,
        "The API version it is asked for (the `anthropic-version` header).",
    ),
    key(
        "providers.NAME.models",
        List,
        "",
        Live,
        "Its models; the first is the default. Others may still be named as `provider/model`.",
    ),
    key(
        "providers.NAME.window_tokens",
        Count(256, 100_000_000),
        "",
        Live,
        "Tokens its models can take, where you know better than the built-in table.",
    ),
    key("providers.NAME.headers.NAME", Secret, "", Live, "A further request header."),
    key(
        "providers.NAME.retries",
        Count(0, 10),
        "2",
        Live,
        "Tries after the first, on faults that may pass.",
    ),
    key("providers.NAME.connect_seconds", Duration, "5s", Live, "Name resolution, TCP and TLS."),
    key(
        "providers.NAME.first_byte_seconds",
        Duration,
        "120s",
        Live,
        "From the end of the request to the headers of the response.",
    ),
    key("providers.NAME.idle_seconds", Duration, "60s", Live, "Silence inside the response."),
    key(
        "providers.NAME.total_seconds",
        Duration,
        "600s",
        Live,
        "The whole call with all its tries.",
    ),
];
