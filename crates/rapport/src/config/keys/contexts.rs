//! How contexts are kept, and who is told of their changes.

use super::Change::{Live, Restart};
use super::Kind::{Bool, Choice, Count, Duration, List, Secret};
use super::{Key, key};

/// The keys of contexts, mounts and webhooks.
pub(super) const KEYS: &[Key] = &[
    key(
        "contexts.audit",
        Choice(&["off", "changes", "all"]),
        "changes",
        Live,
        "Which changes are written into the audit, whose lines are chained by their hashes: none, \
         all but what is said, or every message and turn too.",
    ),
    key(
        "contexts.audit_days",
        Count(0, 36_500),
        "0",
        Live,
        "Days after which lines of the audit are removed; `0` keeps them for ever. What is left \
         can still be checked.",
    ),
    key(
        "contexts.age_days",
        Count(0, 36_500),
        "0",
        Live,
        "Days after which a context is removed that was made without a lifetime of its own; `0` \
         keeps it. It holds for contexts that are made from then on.",
    ),
    key(
        "contexts.idle_days",
        Count(0, 36_500),
        "0",
        Live,
        "The same, counted from the last change instead; only one of the two can be set.",
    ),
    key(
        "contexts.redact",
        Choice(&["off", "write", "render"]),
        "off",
        Live,
        "When secrets and personal data in messages are replaced by marks, unless a context's \
         settings say otherwise: never, before they are stored, or before a model is told.",
    ),
    key(
        "contexts.redact_patterns",
        List,
        "private_key, key, email, card, iban",
        Live,
        "What is looked for: `private_key`, `key`, `email`, `card`, `iban`, `ssn`, `phone`, `ip`.",
    ),
    key(
        "contexts.redact_own",
        List,
        "",
        Live,
        "Regular expressions that are looked for too, each as `NAME=REGEX`.",
    ),
    key(
        "contexts.encrypt",
        Bool,
        "false",
        Restart,
        "New contexts are encrypted at rest, each tenant's with a key of its own. They are not \
         found by full-text search. Contexts that exist stay as they are.",
    ),
    key(
        "contexts.vault_key",
        Secret,
        "",
        Restart,
        "The master key, 64 hexadecimal digits, which seals the secrets of webhooks and the keys \
         of encrypted tenants. Without it, `vault.key` in the data folder is made and used.",
    ),
    key(
        "mounts.private",
        Bool,
        "false",
        Live,
        "Contexts may be mounted from servers on this machine and in private networks, and without \
         TLS. Whoever may mount can then look around behind the firewall.",
    ),
    key(
        "mounts.refresh",
        Duration,
        "60s",
        Live,
        "How often the other server of a mounted context is asked for what is new, beside every \
         reading; after failures twice as long each time, 10 min at most.",
    ),
    key(
        "mounts.timeout",
        Duration,
        "10s",
        Live,
        "How long one question to such a server may take.",
    ),
    key(
        "webhooks.private",
        Bool,
        "false",
        Live,
        "Webhooks may lead to this machine and to private networks, and may do without TLS there. \
         Whoever may make webhooks can then look around behind the firewall.",
    ),
    key("webhooks.timeout", Duration, "10s", Live, "How long one attempt to tell may take."),
    key(
        "webhooks.attempts",
        Count(1, 20),
        "10",
        Live,
        "Attempts before an event is given up. The waits are 5 s, 20 s, 80 s and so on, 6 h at \
         most.",
    ),
];
