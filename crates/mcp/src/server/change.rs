//! What changes while clients are connected, and who hears of it.

use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::rpc;

/// Something changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The content of one resource.
    Resource(String),
    /// How far a task is.
    Task(Box<TaskChange>),
}

/// How far a task is, in the words of the eras that are to hear of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskChange {
    /// Which one.
    pub id: String,
    /// The task as the modern era tells it.
    pub modern: Option<Value>,
    /// The task as the legacy era tells it.
    pub legacy: Option<Value>,
}

impl Change {
    /// The notification's method and parameters, where the era has one.
    pub(crate) fn said(&self, is_modern: bool) -> Option<(&'static str, Value)> {
        Some(match self {
            Self::Tools => ("notifications/tools/list_changed", json!({})),
            Self::Prompts => ("notifications/prompts/list_changed", json!({})),
            Self::Resources => ("notifications/resources/list_changed", json!({})),
            Self::Resource(uri) => ("notifications/resources/updated", json!({"uri": uri})),
            Self::Task(task) if is_modern => ("notifications/tasks", task.modern.clone()?),
            Self::Task(task) => ("notifications/tasks/status", task.legacy.clone()?),
        })
    }

    /// The whole notification for a session.
    pub(crate) fn legacy(&self) -> Option<String> {
        let (method, params) = self.said(false)?;
        Some(rpc::notification(method, &params))
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
