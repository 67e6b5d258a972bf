//! What changes while clients are connected, and who hears of it.

use serde_json::{Value, json};
use tokio::sync::broadcast;

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The content of one resource.
    Resource(String),
}

impl Change {
    /// The notification's method.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Tools => "notifications/tools/list_changed",
            Self::Prompts => "notifications/prompts/list_changed",
            Self::Resources => "notifications/resources/list_changed",
            Self::Resource(_) => "notifications/resources/updated",
        }
    }

    /// The notification's parameters.
    pub(crate) fn params(&self) -> Value {
        match self {
            Self::Tools | Self::Prompts | Self::Resources => json!({}),
            Self::Resource(uri) => json!({"uri": uri}),
        }
    }
}

/// Limit: changes that a slow listener may be behind; then it is told that every list changed.
const BEHIND_MAX: usize = 256;

/// The changes, as they come.
#[derive(Debug)]
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Changes {
    pub(crate) fn tell(&self, change: Change) {
        // Nobody may be listening.
        drop(self.0.send(change));
    }

    pub(crate) fn is_heard(&self) -> bool {
        self.0.receiver_count() > 0
    }

    pub(crate) fn listen(&self) -> Listening {
        Listening { came: self.0.subscribe(), owed: Vec::new() }
    }
}

/// One listener's view.
#[derive(Debug)]
pub(crate) struct Listening {
    came: broadcast::Receiver<Change>,
    owed: Vec<Change>,
}

impl Listening {
    /// The next change; `None` when the server is gone.
    pub(crate) async fn next(&mut self) -> Option<Change> {
        if let Some(change) = self.owed.pop() {
            return Some(change);
        }
        match self.came.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Closed) => None,
            Err(broadcast::error::RecvError::Lagged(_)) => {
                self.owed = vec![Change::Resources, Change::Prompts];
                Some(Change::Tools)
            }
        }
    }
}
