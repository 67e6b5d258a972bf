//! What is told of a change: to the audit, and to those who subscribed.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{Map, Tenant};

/// Which changes the audit keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditMode {
    /// None.
    Off,
    /// All but what is said: contexts made, changed, shared, ended, removed.
    #[default]
    Changes,
    /// Also every message and every turn.
    All,
}

impl AuditMode {
    /// The modes as they are written in the configuration.
    pub const WORDS: [(&'static str, Self); 3] =
        [("off", Self::Off), ("changes", Self::Changes), ("all", Self::All)];
}

/// What happened to a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// It was made.
    Created,
    /// It was made as a fork.
    Forked,
    /// Title, user, instructions, settings, metadata, state or lifetime changed.
    Updated,
    /// It was ended.
    Closed,
    /// It was removed.
    Deleted,
    /// Its time was over, and it was removed.
    Expired,
    /// Messages were stored without a model.
    Appended,
    /// A question was stored and a model is asked.
    Asked,
    /// A turn was answered.
    Answered,
    /// A turn failed.
    Failed,
    /// It went back to an earlier place.
    RolledBack,
    /// A checkpoint was made or forgotten.
    Checkpoint,
    /// Another context was brought in.
    Merged,
    /// A token for reading was made or ended.
    Shared,
    /// A message was pinned or released.
    Pinned,
    /// A note was kept or forgotten.
    Noted,
    /// Messages were redacted.
    Redacted,
    /// The key of a tenant was destroyed.
    Erased,
    /// What is known of a user changed.
    Profiled,
    /// What was known of a user is forgotten.
    Unprofiled,
    /// A webhook was made.
    HookMade,
    /// A webhook changed.
    HookChanged,
    /// A webhook was removed.
    HookRemoved,
}

impl What {
    /// Every kind with its name.
    pub const ALL: [(Self, &'static str); 23] = [
        (Self::Created, "context.created"),
        (Self::Forked, "context.forked"),
        (Self::Updated, "context.updated"),
        (Self::Closed, "context.closed"),
        (Self::Deleted, "context.deleted"),
        (Self::Expired, "context.expired"),
        (Self::Appended, "message.appended"),
        (Self::Asked, "turn.started"),
        (Self::Answered, "turn.completed"),
        (Self::Failed, "turn.failed"),
        (Self::RolledBack, "context.rolled_back"),
        (Self::Checkpoint, "context.checkpoint"),
        (Self::Merged, "context.merged"),
        (Self::Shared, "context.shared"),
        (Self::Pinned, "context.pinned"),
        (Self::Noted, "context.noted"),
        (Self::Redacted, "context.redacted"),
        (Self::Erased, "tenant.erased"),
        (Self::Profiled, "profile.updated"),
        (Self::Unprofiled, "profile.deleted"),
        (Self::HookMade, "webhook.created"),
        (Self::HookChanged, "webhook.updated"),
        (Self::HookRemoved, "webhook.deleted"),
    ];

    /// The name, as it is written in events and in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(what, _)| *what == self).map_or("context.updated", |(_, n)| n)
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(what, _)| *what)
    }

    /// It is about webhooks.
    pub(crate) fn is_of_hooks(self) -> bool {
        matches!(self, Self::HookMade | Self::HookChanged | Self::HookRemoved)
    }

    /// It is about what is said.
    fn is_talk(self) -> bool {
        matches!(self, Self::Appended | Self::Asked | Self::Answered | Self::Failed)
    }

    pub(crate) fn is_kept(self, mode: AuditMode) -> bool {
        match mode {
            AuditMode::Off => false,
            AuditMode::Changes => !self.is_talk(),
            AuditMode::All => true,
        }
    }
}

/// A line of the audit.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its number in the tenant's chain, from 1 without gaps.
    pub number: u64,
    /// Whose context it was.
    pub tenant: Tenant,
    /// The context; empty for what belongs to none, such as a profile.
    pub context: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// On whose behalf; `None` when nobody known.
    pub who: Option<String>,
    /// What, such as `context.updated`.
    pub what: String,
    /// The fingerprint of the context before, in hexadecimal digits; `None` when there was none.
    pub before: Option<String>,
    /// The fingerprint after; `None` when there is none any more.
    pub after: Option<String>,
    /// Figures such as `revision` and `turn`.
    pub detail: Map,
    /// The link of the chain: over the link before and everything above.
    pub hash: String,
}

/// Which lines of the audit to read.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Only those of this context.
    pub context: Option<String>,
    /// Lines after this number.
    pub after: u64,
    /// At most so many, 1 to 500; 0 is 100.
    pub limit: u32,
}

/// What a check of a tenant's chain found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainCheck {
    /// Lines that were looked at.
    pub lines: u64,
    /// The number of the first line that is not as it was written, and why.
    pub broken: Option<(u64, String)>,
    /// The newest link, in hexadecimal digits: keep it elsewhere, and a chain that was written
    /// anew can be told from this one.
    pub newest: Option<String>,
}
