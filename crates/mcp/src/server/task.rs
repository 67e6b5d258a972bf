//! Calls that go on after their answer: the extension `io.modelcontextprotocol/tasks`.
//!
//! The tool decides: where it says [`Link::later`](super::Link::later), a client that knows tasks
//! gets one, and the call runs on. Its questions wait in the task, and so does its result.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::change::{Change, TaskChange};
use super::interest::Subject;
use super::link::{Link, Question, Way};
use super::replay::Replay;
use super::serve::{Ask, Serve, Stop};
use super::{Server, methods};
use crate::rpc::{Params, Refusal, code};
use crate::{clock, tasks};

/// The name of the extension.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";
/// Limit: tasks that are kept; then the oldest that are over go, and else none is begun.
const TASKS_MAX: usize = 1_000;
/// Limit: how long a task is kept.
const KEPT: Duration = Duration::from_hours(1);
/// How often a client should look.
const LOOK: Duration = Duration::from_millis(500);

/// Says which capability a request lacks.
pub(crate) fn lacking() -> Refusal {
    let text = format!("this needs a client that knows the extension `{EXTENSION}`");
    let required = json!({"extensions": {EXTENSION: {}}});
    Refusal::new(code::CAPABILITY, text).with(json!({"requiredCapabilities": required}))
}

/// One call that goes on.
#[derive(Debug)]
pub(crate) struct Task {
    id: String,
    /// Whom it belongs to.
    owner: String,
    begun: Instant,
    created: String,
    /// The answers that were there before it became a task.
    answers: Map<String, Value>,
    state: Mutex<State>,
    /// Changes with its state.
    moves: watch::Sender<u64>,
    cancelled: CancellationToken,
}

#[derive(Debug)]
struct State {
    updated: String,
    end: Option<End>,
    /// What it waits for, by the key of the answer.
    asked: BTreeMap<String, (Question, oneshot::Sender<Value>)>,
}

#[derive(Debug)]
enum End {
    Completed(Value),
    Failed(Refusal),
    Cancelled,
}

impl Task {
    /// The task as `tools/call` answers with it.
    fn created(&self) -> Value {
        let mut value = self.basic();
        if let Value::Object(map) = &mut value {
            map.insert("resultType".to_owned(), "task".into());
        }
        value
    }

    fn basic(&self) -> Value {
        let state = self.state.lock();
        let status = match &state.end {
            None if state.asked.is_empty() => "working",
            None => "input_required",
            Some(End::Completed(_)) => "completed",
            Some(End::Failed(_)) => "failed",
            Some(End::Cancelled) => "cancelled",
        };
        json!({
            "taskId": self.id, "status": status, "createdAt": self.created,
            "lastUpdatedAt": state.updated, "ttlMs": milliseconds(KEPT),
            "pollIntervalMs": milliseconds(LOOK),
        })
    }

    /// The task with what it waits for, or came to.
    fn detailed(&self) -> Value {
        let mut value = self.basic();
        let state = self.state.lock();
        let Value::Object(map) = &mut value else { return value };
        match &state.end {
            None if state.asked.is_empty() => {}
            None => {
                let requests: Map<String, Value> = state
                    .asked
                    .iter()
                    .map(|(key, (q, _))| {
                        (key.clone(), json!({"method": q.method, "params": q.params}))
                    })
                    .collect();
                map.insert("inputRequests".to_owned(), requests.into());
            }
            Some(End::Completed(result)) => {
                map.insert("result".to_owned(), result.clone());
            }
            Some(End::Failed(refusal)) => {
                map.insert("error".to_owned(), refusal.object());
            }
            Some(End::Cancelled) => {}
        }
        value
    }

    fn is_over(&self) -> bool {
        self.state.lock().end.is_some()
    }

    /// Ends it, if it has not ended.
    fn end(&self, end: End) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
            state.asked.clear();
            state.updated = clock::now();
        }
        drop(state);
        self.moved();
    }

    fn moved(&self) {
        self.moves.send_modify(|version| *version += 1);
    }

    fn cancel(&self) {
        self.end(End::Cancelled);
        self.cancelled.cancel();
    }

    /// Takes answers; those to questions that nobody asked are of no use.
    fn update(&self, answers: &Map<String, Value>) {
        let mut state = self.state.lock();
        for (key, answer) in answers {
            if let Some((_, tell)) = state.asked.remove(key) {
                // Whoever asked may be gone.
                drop(tell.send(answer.clone()));
                state.updated = clock::now();
            }
        }
        drop(state);
        self.moved();
    }

    /// The answer to a question: the one that is there, or the one that comes.
    ///
    /// # Errors
    /// When the task ends before.
    pub(crate) async fn ask(&self, question: Question) -> Result<Value, Refusal> {
        if let Some(answer) = self.answers.get(&question.key) {
            return Ok(answer.clone());
        }
        let (tell, told) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.end.is_some() {
                return Err(over());
            }
            state.updated = clock::now();
            state.asked.insert(question.key.clone(), (question, tell));
        }
        self.moved();
        told.await.map_err(|_dropped| over())
    }

    /// The answers that were there before it began.
    pub(crate) fn answers(&self) -> &Map<String, Value> {
        &self.answers
    }
}

fn over() -> Refusal {
    Refusal::new(code::INTERNAL, "the task has ended")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The tasks of a server.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<VecDeque<Arc<Task>>>);

impl Tasks {
    /// Begins one; `None` when too many run.
    fn begin(&self, owner: String, answers: Map<String, Value>) -> Option<Arc<Task>> {
        let mut random = [0_u8; 16];
        getrandom::fill(&mut random).ok()?;
        let tail: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let now = clock::now();
        let task = Arc::new(Task {
            id: format!("task-{tail}"),
            owner,
            begun: Instant::now(),
            created: now.clone(),
            answers,
            state: Mutex::new(State { updated: now, end: None, asked: BTreeMap::new() }),
            moves: watch::Sender::new(0),
            cancelled: CancellationToken::new(),
        });
        let mut all = self.0.lock();
        all.retain(|task| task.begun.elapsed() < KEPT || !task.is_over());
        if all.len() >= TASKS_MAX {
            let over = all.iter().position(|task| task.is_over())?;
            all.remove(over);
        }
        all.push_back(Arc::clone(&task));
        Some(task)
    }

    fn owner(&self, id: &str) -> Option<String> {
        let all = self.0.lock();
        all.iter().find(|task| task.id == id).map(|task| task.owner.clone())
    }

    fn find(&self, id: &str, owner: &str) -> Option<Arc<Task>> {
        let all = self.0.lock();
        all.iter().find(|task| task.id == id && task.owner == owner).cloned()
    }
}

impl<S: Serve> Server<S> {
    /// Answers `tasks/get`, `tasks/update` and `tasks/cancel`; `None` for any other method.
    pub(crate) fn task_method(
        &self,
        caller: &S::Caller,
        (method, params): (&str, &Params),
    ) -> Option<Result<Value, Refusal>> {
        if !self.has_tasks(caller)
            || !matches!(method, "tasks/get" | "tasks/update" | "tasks/cancel")
        {
            return None;
        }
        Some(params.required("taskId").and_then(|id| {
            let found = self.inner().tasks.find(id, &self.owner(caller));
            let task = found.ok_or_else(|| {
                let shown: String = id.chars().take(100).collect();
                Refusal::params(format!("there is no task `{shown}`"))
            })?;
            Ok(match method {
                "tasks/get" => task.detailed(),
                "tasks/update" => {
                    task.update(params.object("inputResponses").unwrap_or(&Map::new()));
                    json!({})
                }
                _ => {
                    task.cancel();
                    json!({})
                }
            })
        }))
    }

    /// Makes a task of a call, and runs it.
    pub(crate) fn go_on(&self, ask: Ask<S::Caller>, params: Params) -> Result<Value, Refusal> {
        let answers = ask.link.answers().cloned().unwrap_or_default();
        let owner = self.owner(&ask.caller);
        let Some(task) = self.inner().tasks.begin(owner, answers) else {
            let text = format!("{TASKS_MAX} tasks are under way: wait for some of them");
            return Err(Refusal::new(code::INTERNAL, text));
        };
        let link = Link {
            // Nobody reads what goes out on the way: the answer was the last of this request.
            replay: Replay::new(0),
            way: Way::Task(Arc::clone(&task)),
            client: ask.link.client,
            progress: None,
            level: None,
            cancelled: task.cancelled.clone(),
        };
        let ask = Ask { caller: ask.caller, revision: ask.revision, link };
        let (server, running) = (self.clone(), Arc::clone(&task));
        tasks::spawn(async move {
            let mut moves = running.moves.subscribe();
            let call = server.inner().serve.call(&ask, &params.0);
            tokio::pin!(call);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut call => break outcome,
                    () = running.cancelled.cancelled() => return server.tell_of(&running),
                    // The task is held here: its sender lives.
                    Ok(()) = moves.changed() => server.tell_of(&running),
                }
            };
            running.end(match outcome {
                Ok(value) => {
                    End::Completed(methods::modern("tools/call", value, &server.about().info()))
                }
                Err(Stop::Refuse(refusal)) => End::Failed(refusal),
                Err(Stop::Input(..) | Stop::Later) => {
                    End::Failed(Refusal::new(code::INTERNAL, "the task asked in a way it cannot"))
                }
            });
            server.tell_of(&running);
        });
        Ok(task.created())
    }

    /// Tells whoever listens to a task how far it is.
    fn tell_of(&self, task: &Task) {
        let (id, modern) = (task.id.clone(), Some(task.detailed()));
        self.changed(Change::Task(Box::new(TaskChange { id, modern, legacy: None })));
    }

    /// Whether a task is a caller's: its own here, or one that its owner gives it.
    pub(crate) fn is_of(&self, id: &str, caller: &S::Caller) -> bool {
        match self.inner().tasks.owner(id) {
            Some(owner) => owner == self.owner(caller),
            None => self.hears(caller, &Subject::Task(id.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(key: &str) -> Question {
        let params = json!({"message": "?"});
        Question { key: key.to_owned(), method: "elicitation/create".to_owned(), params }
    }

    #[tokio::test]
    async fn a_task_waits_until_every_question_is_answered() {
        let all = Tasks::default();
        let task = all.begin("me".to_owned(), Map::new()).unwrap();
        let both = async { tokio::join!(task.ask(question("a")), task.ask(question("b"))) };
        let answered = async {
            while task.state.lock().asked.len() < 2 {
                tokio::task::yield_now().await;
            }
            assert_eq!(task.detailed()["status"], "input_required");
            let answer = |key: &str| [(key.to_owned(), json!(1))].into_iter().collect();
            task.update(&answer("a"));
            task.update(&answer("nobody"));
            let waiting = task.detailed();
            let left: Vec<&String> = waiting["inputRequests"].as_object().unwrap().keys().collect();
            assert_eq!(left, ["b"]);
            task.update(&answer("b"));
        };
        let ((a, b), ()) = tokio::join!(both, answered);
        assert_eq!((a.unwrap(), b.unwrap()), (json!(1), json!(1)));
        assert_eq!(task.detailed()["status"], "working");
        task.cancel();
        task.end(End::Completed(json!({})));
        assert_eq!(task.detailed()["status"], "cancelled", "what is over stays as it ended");
        assert!(task.ask(question("c")).await.is_err());
        assert!(all.find(&task.id, "me").is_some() && all.find(&task.id, "you").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_are_bounded_and_kept_for_their_time() {
        let all = Tasks::default();
        let first = all.begin(String::new(), Map::new()).unwrap();
        for _ in 1..TASKS_MAX {
            all.begin(String::new(), Map::new()).unwrap();
        }
        assert!(all.begin(String::new(), Map::new()).is_none(), "all of them run");
        first.cancel();
        assert!(all.begin(String::new(), Map::new()).is_some());
        assert!(all.find(&first.id, "").is_none(), "the one that was over went");
        let second = all.0.lock()[0].clone();
        second.end(End::Completed(json!({})));
        tokio::time::advance(KEPT - Duration::from_secs(1)).await;
        assert!(all.find(&second.id, "").is_some());
    }
}
