//! Waiting for a task, for callers that know none: its questions reach them as any others do.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use mcp::client::{Call, Failure};
use mcp::server::Question;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::joint::{Joint, Link};
use super::super::pass::{End, Passing, unheard};
use super::form;
use crate::tasks;

/// Limit: how long a task is waited for.
pub(super) const WAIT_MAX: Duration = Duration::from_hours(1);
/// How often a server is asked that names no pace, and the limits of the one it names.
const PACE: u64 = 500;
const PACE_MIN: u64 = 50;
const PACE_MAX: u64 = 10_000;
/// Limit: how long the word that nobody waits any more may take.
const LEAVING: Duration = Duration::from_secs(5);

/// Who waits for a task of its own; when nobody waits any more the task is cancelled.
struct Waiting {
    joint: Arc<Joint>,
    whose: u64,
    theirs: Option<String>,
}

impl Waiting {
    fn over(mut self) {
        self.theirs = None;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(theirs) = self.theirs.take() else { return };
        let (joint, whose) = (Arc::clone(&self.joint), self.whose);
        tasks::detach("task left", async move {
            let leaving = async {
                if let Ok(Link::Mcp(upstream)) = joint.link(whose).await {
                    let mut call = Call { method: "tasks/cancel".to_owned(), ..Call::default() };
                    call.params.insert("taskId".to_owned(), theirs.into());
                    call.capabilities = capabilities();
                    drop(upstream.call(call).await);
                }
            };
            drop(tokio::time::timeout(LEAVING, leaving).await);
        });
    }
}

/// What is said of a caller that knows tasks.
pub(in crate::joined) fn capabilities() -> Map<String, Value> {
    Map::from_iter([("extensions".to_owned(), json!({mcp::server::TASKS: {}}))])
}

impl Passing<'_> {
    /// The outcome of a task that is nobody's but this call's.
    pub(super) async fn outcome_of(&self, theirs: &str, is_modern: bool) -> Result<Value, End> {
        let waiting = Waiting {
            joint: Arc::clone(self.joint),
            whose: self.whose,
            theirs: Some(theirs.to_owned()),
        };
        let outcome = self.waited(theirs, is_modern).await;
        if matches!(outcome, Ok(_) | Err(End::Stop(_))) {
            // It ended, or its question is under way to the caller.
            waiting.over();
        }
        outcome
    }

    /// Waits for a task; its questions go to whoever asks.
    pub(super) async fn waited(&self, theirs: &str, is_modern: bool) -> Result<Value, End> {
        if !is_modern {
            let params = Map::from_iter([("taskId".to_owned(), theirs.into())]);
            let asking = Passing { method: "tasks/result", silence: WAIT_MAX, ..*self };
            return asking.run(params).await;
        }
        let until = Instant::now() + WAIT_MAX;
        let mut answered = HashSet::new();
        loop {
            let task = self.step("tasks/get", theirs, None).await?;
            match form::text(&task, "status") {
                "completed" => return Ok(task.get("result").cloned().unwrap_or_default()),
                "failed" => {
                    let error = task.get("error").cloned().unwrap_or_default();
                    return Err(Failure::of_error(&error).into());
                }
                "cancelled" => return Err(Failure::lost("the task was cancelled there").into()),
                "input_required" => {
                    let answers = self.answers(&task, &mut answered).await?;
                    if !answers.is_empty() {
                        self.step("tasks/update", theirs, Some(answers)).await?;
                        continue;
                    }
                }
                _ => {}
            }
            if Instant::now() >= until {
                return Err(Failure::Late(WAIT_MAX).into());
            }
            let pace = task.get("pollIntervalMs").and_then(Value::as_u64).unwrap_or(PACE);
            tokio::time::sleep(Duration::from_millis(pace.clamp(PACE_MIN, PACE_MAX))).await;
        }
    }

    async fn step(
        &self,
        method: &'static str,
        theirs: &str,
        answers: Option<Map<String, Value>>,
    ) -> Result<Value, End> {
        let mut params = Map::from_iter([("taskId".to_owned(), Value::from(theirs))]);
        if let Some(answers) = answers {
            params.insert("inputResponses".to_owned(), Value::Object(answers));
        }
        Passing { method, tasks: true, ..*self }.once(&params).await
    }

    /// The answers to the questions of a task that were not answered yet.
    async fn answers(
        &self,
        task: &Value,
        answered: &mut HashSet<String>,
    ) -> Result<Map<String, Value>, End> {
        let Some(back) = self.down.back else {
            return Err(unheard());
        };
        let asked = task.get("inputRequests").and_then(Value::as_object);
        let mut answers = Map::new();
        for (key, asked) in asked.into_iter().flatten() {
            if !answered.insert(key.clone()) {
                continue;
            }
            let question = Question {
                key: key.clone(),
                method: form::text(asked, "method").to_owned(),
                params: asked.get("params").cloned().unwrap_or_else(|| json!({})),
            };
            answers.insert(key.clone(), back.ask(question).await.map_err(End::Stop)?);
        }
        Ok(answers)
    }
}
