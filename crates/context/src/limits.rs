//! How large contexts may become.

/// Sizes beyond which a write is refused before anything of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message. Default: 32 MiB, the largest request of the model APIs.
    pub message_bytes: usize,
    /// Bytes of all messages of one context. Default: 1 GiB.
    pub context_bytes: u64,
    /// Bytes of the state as JSON; also of the metadata, the settings and the system text, each.
    /// Default: 1 MiB.
    pub state_bytes: usize,
    /// Contexts of all tenants. Default: 10 million.
    pub contexts: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 32 * 1024 * 1024,
            context_bytes: 1024 * 1024 * 1024,
            state_bytes: 1024 * 1024,
            contexts: 10_000_000,
        }
    }
}
