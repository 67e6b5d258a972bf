//! Webhooks: addresses that are told of changes.

use jiff::Timestamp;

use crate::{Tenant, What};

/// A webhook to be made.
#[derive(Clone, Debug)]
pub struct NewHook {
    /// Where it is told.
    pub url: String,
    /// What is told; empty is everything.
    pub events: Vec<What>,
    /// Only of this context; of all of the tenant when absent.
    pub context: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// What signatures are made with; fresh random bytes when absent.
    pub secret: Option<Vec<u8>>,
}

/// A change of a webhook; absent fields stay.
#[derive(Clone, Debug, Default)]
pub struct HookEdit {
    /// A new address.
    pub url: Option<String>,
    /// What is told from now on.
    pub events: Option<Vec<What>>,
    /// Whether anything is told.
    pub enabled: Option<bool>,
}

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Hook {
    /// Its number.
    pub number: u64,
    /// Whose changes it is told.
    pub tenant: Tenant,
    /// Where it is told.
    pub url: String,
    /// What is told; empty is everything.
    pub events: Vec<What>,
    /// Only of this context.
    pub context: Option<String>,
    /// For people.
    pub name: Option<String>,
    /// Whether anything is told.
    pub enabled: bool,
    /// When it was made.
    pub at: Timestamp,
    /// Events that wait to be told.
    pub waiting: u64,
    /// Events that were given up.
    pub dead: u64,
    /// Events that were left out because too many were waiting.
    pub dropped: u64,
}

/// An event on its way to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub number: u64,
    /// The webhook.
    pub hook: u64,
    /// The id of the message, the same in every attempt.
    pub id: String,
    /// Such as `turn.completed`.
    pub kind: String,
    /// The JSON text that is sent.
    pub body: String,
    /// When it happened.
    pub at: Timestamp,
    /// When it is tried next.
    pub due: Timestamp,
    /// Attempts so far.
    pub tries: u32,
    /// It was given up.
    pub dead: bool,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// A delivery that is due, with what is needed for it.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// What is sent.
    pub delivery: Delivery,
    /// Where.
    pub url: String,
    /// What it is signed with.
    pub secret: HookSecret,
}

/// What signatures are made with; no debug output shows it.
#[derive(Clone)]
pub struct HookSecret(Vec<u8>);

impl HookSecret {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that signs, and the one answer that shows them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It was taken.
    Taken,
    /// It failed and is tried again after this time; `None` gives it up.
    Failed(String, Option<std::time::Duration>),
    /// The other side wants nothing any more: the webhook is switched off.
    Gone(String),
}
