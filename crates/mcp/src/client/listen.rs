//! Listening to single resources and tasks of a server, in the way of its era.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::desk::Call;
use super::failure::Failure;
use super::upstream::{Upstream, Way, meta};
use crate::rpc::{self, Id};

/// Limit: how long a new subscription may take before the one that it replaces is given up.
const REPLACES: Duration = Duration::from_secs(5);

/// A subscription of the modern era.
#[derive(Debug)]
pub(super) enum Special {
    /// A stream of its own, until the token is cancelled.
    Stream(CancellationToken),
    /// A request on the pipe.
    Request(u64),
}

impl Upstream {
    /// Listens to a resource, or not any more; for servers of the legacy era.
    ///
    /// # Errors
    /// [`Failure`], a refusal of the server among them.
    pub async fn watch(&self, uri: &str, wanted: bool) -> Result<(), Failure> {
        let method = if wanted { "resources/subscribe" } else { "resources/unsubscribe" };
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        let call = Call { method: method.to_owned(), params, ..Call::default() };
        self.call(call).await.map(drop)
    }

    /// Listens to these resources and tasks instead of those before; for servers of the modern
    /// era. The old subscription ends when the new one is there, so that nothing is missed.
    pub async fn watch_only(&self, uris: &[String], tasks: &[String]) {
        let mut taken = self.desk.acknowledged.subscribe();
        taken.mark_unchanged();
        let next =
            if uris.is_empty() && tasks.is_empty() { None } else { self.begin(uris, tasks).await };
        let waits = next.is_some();
        let before = std::mem::replace(&mut *self.special.lock(), next);
        let Some(before) = before else { return };
        if waits {
            // Without a word of the new one the old one ends all the same.
            drop(tokio::time::timeout(REPLACES, taken.changed()).await);
        }
        match (before, &self.way) {
            (Special::Stream(token), _) => token.cancel(),
            (Special::Request(number), Way::Pipe(pipe)) => {
                let params = json!({"requestId": number, "reason": "another one replaces it"});
                pipe.hint(rpc::notification("notifications/cancelled", &params));
            }
            (Special::Request(_), _) => {}
        }
    }

    async fn begin(&self, uris: &[String], tasks: &[String]) -> Option<Special> {
        let mut wanted = Map::new();
        let mut capabilities = Map::new();
        if !uris.is_empty() {
            wanted.insert("resourceSubscriptions".to_owned(), uris.into());
        }
        if !tasks.is_empty() {
            wanted.insert("taskIds".to_owned(), tasks.into());
            capabilities.insert("extensions".to_owned(), json!({crate::server::TASKS: {}}));
        }
        let meta = meta(self.hello().revision, &self.about, (&capabilities, None));
        let params = json!({"notifications": wanted, "_meta": meta});
        match &self.way {
            Way::Http(endpoint) => {
                let token = CancellationToken::new();
                endpoint.listen_until(Some(params), &token);
                Some(Special::Stream(token))
            }
            Way::Pipe(pipe) => {
                let number = self.desk.number();
                let line = rpc::request(&Id::number(number), "subscriptions/listen", &params);
                pipe.send(line).await.ok()?;
                Some(Special::Request(number))
            }
            Way::Old(_) => None,
        }
    }
}
