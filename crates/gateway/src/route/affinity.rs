//! Which target a conversation was answered by, for as long as its provider's cache lives.
//!
//! Providers keep the prompt they have read for some minutes and charge a tenth for it: a
//! conversation that moves pays in full, and waits. So it stays, without the caller's doing: by the
//! context's id, by the session that known tools send, by the provider's own cache key, else by the
//! beginning of the prompt.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use wire::prompt::{Prompt, Role};

/// Limit: conversations that are remembered.
const OWNERS_MAX: u64 = 100_000;
/// How long the providers' caches live after the last use.
const TTL: Duration = Duration::from_mins(5);

/// Headers in which tools name their session.
const SESSIONS: &[&str] = &[
    "x-claude-code-session-id",
    "x-session-id",
    "session_id",
    "session-id",
    "x-opencode-session",
    "x-session-affinity",
    "conversation_id",
];

/// A conversation, whatever names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner([u8; 16]);

impl Owner {
    /// The conversation of a tenant that goes by this name.
    pub(crate) fn named(tenant: u32, kind: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&tenant.to_le_bytes()).update(kind.as_bytes()).update(&[0]);
        hasher.update(name.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(hasher.finalize().as_bytes().first_chunk::<16>().unwrap_or(&[0; 16]));
        Self(short)
    }

    /// The conversation of a call: by a session in its headers, by what the caller says to the
    /// provider's cache, else by how the prompt begins.
    pub(crate) fn of(tenant: u32, headers: &HeaderMap, prompt: &Prompt) -> Self {
        let session = SESSIONS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
        if let Some(session) = session {
            return Self::named(tenant, "session", session);
        }
        let private = |name: &str| {
            let fields = &prompt.private.as_ref()?.fields;
            let field = fields.iter().find(|field| field.name == name)?;
            serde_json::from_str::<Value>(field.json.get()).ok()
        };
        if let Some(Value::String(key)) = private("prompt_cache_key") {
            return Self::named(tenant, "cache", &key);
        }
        let user = private("metadata").and_then(|m| Some(m.get("user_id")?.as_str()?.to_owned()));
        // Claude Code puts its session here; a plain user has many conversations.
        if let Some(user) = user.filter(|user| user.contains("session")) {
            return Self::named(tenant, "session", &user);
        }
        let mut beginning = prompt.system.clone().unwrap_or_default();
        for tool in &prompt.tools {
            beginning.push_str(&tool.name);
            beginning.push('\0');
        }
        let first = prompt.messages.iter().find(|message| message.role == Role::User);
        beginning.push_str(&first.map(|message| message.plain()).unwrap_or_default());
        Self::named(tenant, "prompt", &beginning)
    }

    /// The conversation as a name of its own.
    pub(crate) fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A number from 0 to 99 that is always the same for this conversation.
    pub(crate) fn percentile(self) -> u8 {
        let [first, second, ..] = self.0;
        u8::try_from(u16::from_le_bytes([first, second]) % 100).unwrap_or(0)
    }
}

/// Who answered whom.
#[derive(Debug)]
pub(crate) struct Affinity {
    owners: moka::sync::Cache<Owner, Arc<str>>,
    hits: AtomicU64,
    /// Whose turn it is, by the route; routes are configured, so there are few.
    rounds: parking_lot::Mutex<HashMap<String, usize>>,
}

impl Default for Affinity {
    fn default() -> Self {
        let owners =
            moka::sync::Cache::builder().max_capacity(OWNERS_MAX).time_to_idle(TTL).build();
        Self { owners, hits: AtomicU64::new(0), rounds: parking_lot::Mutex::default() }
    }
}

impl Affinity {
    /// The target that answered this conversation last, as `provider/model`.
    pub(crate) fn find(&self, owner: Owner) -> Option<Arc<str>> {
        self.owners.get(&owner)
    }

    /// A conversation stayed where it was.
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How often one did.
    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// How many calls of this route took their turn before this one.
    pub(crate) fn round(&self, route: &str) -> usize {
        let mut rounds = self.rounds.lock();
        match rounds.get_mut(route) {
            Some(count) => {
                *count = count.wrapping_add(1);
                *count
            }
            None => rounds.insert(route.to_owned(), 0).unwrap_or(0),
        }
    }

    /// This target answered.
    pub(crate) fn keep(&self, owner: Owner, provider: &str, model: &str) {
        let name = format!("{provider}/{model}");
        if self.owners.get(&owner).as_deref() != Some(name.as_str()) {
            self.owners.insert(owner, name.into());
        }
    }
}
