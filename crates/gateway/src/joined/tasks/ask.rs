//! What a caller asks about its task: how far it is, what it came to, that it shall end.

use std::sync::Arc;

use mcp::rpc::Refusal;
use serde_json::{Map, Value, json};

use super::super::joint::{Joint, Link};
use super::super::pass::{Down, Passing, whose};
use super::wait::WAIT_MAX;
use super::{Knows, Noted, form, refused};
use crate::auth::Caller;
use crate::gate::Gateway;

/// A request about a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TaskAsk<'a> {
    /// The gateway.
    pub(crate) gate: &'a Gateway,
    /// The server that has the task.
    pub(crate) joint: &'a Arc<Joint>,
    /// The task.
    pub(crate) noted: &'a Noted,
    /// Who asks.
    pub(crate) caller: &'a Caller,
    /// The way back.
    pub(crate) down: Down<'a>,
}

impl TaskAsk<'_> {
    /// Answers it in the words of the era of the one who asks.
    ///
    /// # Errors
    /// The server's refusal, or that it is not there.
    pub(crate) async fn answer(
        self,
        method: &str,
        params: &Map<String, Value>,
    ) -> Result<Value, Refusal> {
        let theirs_modern = self.joint.knows_tasks() == Knows::Makes;
        match (method, self.down.modern) {
            ("tasks/get", true) if theirs_modern => self.plain("tasks/get").await,
            ("tasks/get", true) => self.detailed().await,
            ("tasks/get", false) => self.brief(theirs_modern).await,
            ("tasks/update", true) => {
                let none = Map::new();
                let answers = params.get("inputResponses").and_then(Value::as_object);
                let answers = answers.unwrap_or(&none);
                if theirs_modern {
                    let mut params = self.named();
                    params.insert("inputResponses".to_owned(), Value::Object(answers.clone()));
                    return self.send("tasks/update", params).await;
                }
                self.gate.joined().held().answer(&self.noted.id, answers);
                Ok(json!({}))
            }
            ("tasks/result", false) => {
                let passing = self.passing("tasks/result");
                let result = passing.waited(&self.noted.theirs, theirs_modern).await;
                let result = result.map_err(|end| refused(end, self.joint))?;
                Ok(form::related(result, &self.noted.id))
            }
            ("tasks/cancel", true) => match self.send("tasks/cancel", self.named()).await {
                // A task that is over is as good as cancelled: the modern era does not complain.
                Err(_) if !theirs_modern => self.plain("tasks/get").await.map(|_| json!({})),
                other => other.map(|_| json!({})),
            },
            ("tasks/cancel", false) => {
                self.send("tasks/cancel", self.named()).await?;
                self.brief(theirs_modern).await
            }
            _ => Err(Refusal::method(method)),
        }
    }

    fn passing(&self, method: &'static str) -> Passing<'_> {
        let (gate, joint, down) = (self.gate, self.joint, self.down);
        let silence = joint.settings.silence;
        Passing { gate, joint, method, whose: whose(self.caller), down, silence, tasks: true }
    }

    fn named(&self) -> Map<String, Value> {
        Map::from_iter([("taskId".to_owned(), Value::from(self.noted.theirs.as_str()))])
    }

    async fn send(
        &self,
        method: &'static str,
        params: Map<String, Value>,
    ) -> Result<Value, Refusal> {
        let sent = self.passing(method).once(&params).await;
        sent.map_err(|end| refused(end, self.joint))
    }

    /// What the server says, under the task's name here.
    async fn plain(&self, method: &'static str) -> Result<Value, Refusal> {
        let task = self.send(method, self.named()).await?;
        Ok(form::named(task, &self.noted.id))
    }

    /// The task for a session of the legacy era.
    pub(super) async fn brief(&self, theirs_modern: bool) -> Result<Value, Refusal> {
        let task = self.plain("tasks/get").await?;
        Ok(if theirs_modern { form::legacy(&task) } else { task })
    }

    /// A task of a server of the legacy era with its questions and its outcome.
    pub(super) async fn detailed(&self) -> Result<Value, Refusal> {
        let (id, held) = (&self.noted.id, self.gate.joined().held());
        let task = self.plain("tasks/get").await?;
        let status = form::text(&task, "status").to_owned();
        let mut task = form::modern(&task);
        match status.as_str() {
            "completed" | "failed" => {
                held.forget(id);
                let asked = Passing { silence: WAIT_MAX, ..self.passing("tasks/result") };
                let outcome = asked.once(&self.named()).await;
                let outcome = outcome.map_err(|end| refused(end, self.joint));
                task = form::outcome(task, outcome);
            }
            "input_required" => {
                let start = async || match self.joint.link(whose(self.caller)).await {
                    Ok(link @ Link::Mcp(_)) => {
                        let asking = Passing { silence: WAIT_MAX, ..self.passing("tasks/result") };
                        Some(asking.start(link, self.named()))
                    }
                    Ok(Link::Api(_)) | Err(_) => None,
                };
                let asked = held.questions(id, self.down.back, start).await;
                if let Value::Object(map) = &mut task {
                    map.insert("inputRequests".to_owned(), asked.into());
                }
            }
            "cancelled" => held.forget(id),
            _ => {}
        }
        Ok(task)
    }
}
