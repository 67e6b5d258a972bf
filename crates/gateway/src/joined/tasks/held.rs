//! The questions of tasks at servers of the legacy era, which ask while somebody waits for the
//! outcome: here somebody does, until a caller of the modern era brings the answers.

use std::collections::HashMap;
use std::time::Duration;

use mcp::client::Told;
use mcp::rpc::Refusal;
use mcp::server::{Link as Back, Question};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::pass::Run;

/// Limit: tasks whose questions wait, and how long they do.
const HELD_MAX: usize = 1_000;
const HELD_FOR: Duration = Duration::from_hours(1);
/// How long a server may take to ask what it said it would, and how long it may go on asking.
const ASKS_WITHIN: Duration = Duration::from_secs(2);
const ASKS_ON: Duration = Duration::from_millis(50);

/// A task whose outcome is waited for here.
#[derive(Debug)]
struct Held {
    run: Run,
    asked: HashMap<String, (Question, oneshot::Sender<Result<Value, Refusal>>)>,
    since: Instant,
}

/// The tasks whose outcome is waited for here, by their names.
#[derive(Debug, Default)]
pub(crate) struct AllHeld(Mutex<HashMap<String, Held>>);

impl AllHeld {
    /// What a task asks, by the key of each answer. `start` begins to wait for its outcome, where
    /// nobody does yet; what the caller cannot be asked is refused for it.
    pub(super) async fn questions(
        &self,
        id: &str,
        back: Option<&Back>,
        start: impl AsyncFnOnce() -> Option<Run>,
    ) -> Map<String, Value> {
        let held = self.0.lock().remove(id);
        let mut held = match held.filter(|held| !held.run.is_finished()) {
            Some(held) => held,
            None => match start().await {
                Some(run) => {
                    Held { run: run.aside(), asked: HashMap::new(), since: Instant::now() }
                }
                None => return Map::new(),
            },
        };
        let first = if held.asked.is_empty() { ASKS_WITHIN } else { ASKS_ON };
        let mut until = Instant::now() + first;
        while let Ok(Some(told)) = tokio::time::timeout_at(until, held.run.told.recv()).await {
            let Told::Question { method, params, answer } = told else { continue };
            until = Instant::now() + ASKS_ON;
            let question = Question { key: super::super::pass::handle(), method, params };
            let refusal = match back {
                Some(back) => back.may_ask(&question).err(),
                None => Some(Refusal::request("nobody is there to answer")),
            };
            match refusal {
                Some(refusal) => drop(answer.send(Err(refusal))),
                None => drop(held.asked.insert(question.key.clone(), (question, answer))),
            }
        }
        let asked = held.asked.values().map(|(question, _)| {
            let said = json!({"method": question.method, "params": question.params});
            (question.key.clone(), said)
        });
        let asked = asked.collect();
        let mut all = self.0.lock();
        all.retain(|_, held| held.since.elapsed() < HELD_FOR);
        if all.len() < HELD_MAX {
            all.insert(id.to_owned(), held);
        }
        asked
    }

    /// Brings answers; those to questions that nobody asked are of no use.
    pub(super) fn answer(&self, id: &str, answers: &Map<String, Value>) {
        let mut all = self.0.lock();
        let Some(held) = all.get_mut(id) else { return };
        for (key, answer) in answers {
            if let Some((_, tell)) = held.asked.remove(key) {
                // The server may be gone.
                drop(tell.send(Ok(answer.clone())));
            }
        }
    }

    /// The task is over.
    pub(super) fn forget(&self, id: &str) {
        self.0.lock().remove(id);
    }
}
