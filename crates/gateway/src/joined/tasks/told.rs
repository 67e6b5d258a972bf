//! How far tasks are, told to those whose they are.

use std::sync::Arc;

use mcp::client::{Call, Upstream};
use mcp::server::{Subject, TaskChange};
use serde_json::{Map, Value};

use super::super::joint::{Joint, Link};
use super::super::merged::ours;
use super::{Noted, form};
use crate::tasks;

impl Joint {
    /// A task of the server is further.
    pub(in crate::joined) fn moved(&self, change: &TaskChange) {
        let Some(inside) = self.inside.upgrade() else { return };
        let of = self.settings.mark();
        for noted in inside.book.at(self.place(&of, &change.id)) {
            match (&change.modern, &change.legacy) {
                (Some(task), _) => {
                    let task = form::named(task.clone(), &noted.id);
                    let legacy = form::legacy(&task);
                    self.tell(&noted, (Some(task), legacy));
                }
                (None, Some(task)) => {
                    let task = form::named(task.clone(), &noted.id);
                    self.tell_legacy(&noted, task);
                }
                (None, None) => {}
            }
        }
    }

    /// The modern era tells of an outcome together with its end, which has to be fetched first.
    fn tell_legacy(&self, noted: &Arc<Noted>, task: Value) {
        let Some(inside) = self.inside.upgrade() else { return };
        let Some(Link::Mcp(upstream)) = self.seen().link else { return };
        let subject = Subject::Task(noted.id.clone());
        let is_over = matches!(form::text(&task, "status"), "completed" | "failed");
        if !is_over || !inside.is_heard(self.name(), &subject) {
            return self.tell(noted, (Some(form::modern(&task)), task));
        }
        let Some(joint) = inside.joint(self.name()) else { return };
        let noted = Arc::clone(noted);
        tasks::detach("task outcome", async move {
            let outcome = fetched(&upstream, &noted.theirs);
            let within = joint.settings.silence;
            let outcome = tokio::time::timeout(within, outcome).await.ok().flatten();
            joint.tell(&noted, (outcome.map(|o| form::outcome(form::modern(&task), o)), task));
        });
    }

    fn tell(&self, noted: &Noted, (modern, legacy): (Option<Value>, Value)) {
        let Some(inside) = self.inside.upgrade() else { return };
        let change =
            |modern| TaskChange { id: noted.id.clone(), modern, legacy: Some(legacy.clone()) };
        let whole = modern.clone().map(|mut task| {
            if let Some(result) = task.get_mut("result") {
                *result = ours(result.take(), self.name());
            }
            task
        });
        inside.moved(self.name(), (change(whole), change(modern)));
    }
}

/// What a task of a server of the legacy era came to.
async fn fetched(upstream: &Upstream, theirs: &str) -> Option<Result<Value, mcp::rpc::Refusal>> {
    let params = Map::from_iter([("taskId".to_owned(), Value::from(theirs))]);
    let call = Call { method: "tasks/result".to_owned(), params, ..Call::default() };
    match upstream.call(call).await {
        Ok(value) => Some(Ok(value)),
        Err(mcp::client::Failure::Refused(refusal)) => Some(Err(refusal)),
        Err(_) => None,
    }
}
