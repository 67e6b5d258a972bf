//! One request to a joined server, and everything said on the way: whoever asked hears its progress
//! and answers its questions, whatever era the two of them speak.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mcp::client::{Call, Failure, Pending, Told};
use mcp::rpc::{Refusal, code};
use mcp::server::{Link as Back, Question, Stop};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wire::{Code, Fault};

use super::joint::{Joint, Link};
use super::tasks::capabilities as tasks_known;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::route::ToolCall;
use crate::tasks;

/// Limit: words of a server that wait for a slow caller.
const TOLD_MAX: usize = 64;
/// Limit: rounds of questions in one call.
const ROUNDS_MAX: usize = 16;
/// Limit: calls that wait for their callers' answers, and how long one waits.
const PARKED_MAX: usize = 1_000;
const PARKED_FOR: Duration = Duration::from_mins(10);
/// What a state of ours begins with, and one of the server's own.
const HERE: &str = "here:";
const THERE: &str = "there:";

/// A request to a joined server.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    /// Whom.
    pub(crate) joint: &'a Arc<Joint>,
    /// For whom.
    pub(crate) caller: &'a Caller,
    /// What.
    pub(crate) method: &'static str,
    /// With what, in the server's own names.
    pub(crate) params: Map<String, Value>,
    /// The context in whose turn it is called.
    pub(crate) context: Option<Arc<str>>,
}

/// The one who asked, as far as it can be told and asked things meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Down<'a> {
    /// The way back.
    pub(crate) back: Option<&'a Back>,
    /// It speaks the modern era: questions go out with the answer.
    pub(crate) modern: bool,
}

/// A call under way; who drops it cancels it.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) told: mpsc::Receiver<Told>,
    done: Under,
    /// A log or progress may still come.
    open: bool,
}

/// Who drives a call.
enum Under {
    /// Whoever waits for it: nobody else has to be woken for its answer.
    Here(Pending<'static, Result<Value, Failure>>),
    /// A task of its own: it goes on while nobody waits.
    Aside(JoinHandle<Result<Value, Failure>>),
}

impl std::fmt::Debug for Under {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "here",
            Self::Aside(_) => "aside",
        })
    }
}

impl Under {
    async fn outcome(&mut self) -> Result<Value, Failure> {
        match self {
            Self::Here(call) => call.await,
            Self::Aside(task) => match task.await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::lost("the call ended without a result")),
            },
        }
    }
}

impl Run {
    /// From now on it goes on while nobody waits for it.
    pub(super) fn aside(mut self) -> Self {
        let gone = || Under::Here(Box::pin(std::future::pending()));
        if let Under::Here(_) = self.done
            && let Under::Here(call) = std::mem::replace(&mut self.done, gone())
        {
            self.done = Under::Aside(tasks::spawn("joined call", call));
        }
        self
    }

    /// Whether its result is here, and nothing more comes.
    pub(super) fn is_finished(&self) -> bool {
        matches!(&self.done, Under::Aside(task) if task.is_finished())
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Under::Aside(task) = &self.done {
            task.abort();
        }
    }
}

/// A call that waits for the answer to its question.
#[derive(Debug)]
struct Waits {
    run: Run,
    answer: oneshot::Sender<Result<Value, Refusal>>,
    question: Question,
    whose: u64,
    since: Instant,
}

/// The calls that wait for answers which modern clients bring with another request.
#[derive(Debug, Default)]
pub(crate) struct Parked(Mutex<HashMap<String, Waits>>);

impl Parked {
    fn park(&self, handle: String, waits: Waits) {
        let mut all = self.0.lock();
        all.retain(|_, waits| waits.since.elapsed() < PARKED_FOR);
        if all.len() >= PARKED_MAX {
            let oldest = all.iter().max_by_key(|(_, w)| w.since.elapsed()).map(|(h, _)| h.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(handle, waits);
    }

    /// The call of this handle, for the one whose it is.
    fn take(&self, handle: &str, whose: u64) -> Option<Waits> {
        let mut all = self.0.lock();
        if all.get(handle)?.whose != whose {
            return None;
        }
        all.remove(handle)
    }
}

/// How a call ended without a result of the server.
pub(super) enum End {
    Stop(Stop),
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Why there is no result, for whoever tells the two apart.
#[derive(Debug)]
pub(crate) enum Ended {
    /// As the one who asked must hear it.
    Stop(Stop),
    /// What is wrong with the server.
    Down(Fault),
}

impl<'a> Wish<'a> {
    /// Sends the request and brings the result. What goes wrong with the server is a result that
    /// the model reads, where there is a model to read it.
    ///
    /// # Errors
    /// [`Stop`], as the one who asked must hear it.
    pub(crate) async fn pass(self, gate: &Gateway, down: Down<'_>) -> Result<Value, Stop> {
        let is_call = self.method == "tools/call";
        match self.plain(gate, down).await {
            Ok(value) => Ok(value),
            Err(Ended::Stop(stop)) => Err(stop),
            Err(Ended::Down(fault)) if is_call => Ok(failed(&fault)),
            Err(Ended::Down(fault)) => Err(Stop::Refuse(Refusal::from(&fault))),
        }
    }

    /// As [`Wish::pass`], for whoever has a status to say that the server is at fault.
    ///
    /// # Errors
    /// [`Ended`].
    pub(crate) async fn plain(self, gate: &Gateway, down: Down<'_>) -> Result<Value, Ended> {
        let started = Instant::now();
        let whose = whose(self.caller);
        let (joint, method) = (self.joint, self.method);
        let tool = self.params.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (tenant, context) = (self.caller.tenant.0, self.context.clone());
        let silence = joint.settings.silence;
        let passing = Passing { gate, joint, method, whose, down, silence, tasks: false };
        let outcome = match method {
            "tools/call" => Box::pin(passing.call(self.params)).await,
            _ => passing.run(self.params).await,
        };
        let stop = |refusal| Stop::Refuse(suited(refusal, (method, down.modern)));
        let refused = |refusal| Err(Ended::Stop(stop(refusal)));
        let (result, word) = match outcome {
            Ok(value) if value.get("isError") == Some(&Value::Bool(true)) => {
                (Ok(value), "tool_error")
            }
            Ok(value) => (Ok(value), "ok"),
            // It goes on with the next request.
            Err(End::Stop(stop @ (Stop::Input(..) | Stop::Later))) => {
                return Err(Ended::Stop(stop));
            }
            Err(End::Stop(Stop::Refuse(refusal)) | End::Failed(Failure::Refused(refusal))) => {
                (refused(refusal), "refused")
            }
            Err(End::Failed(failure)) => {
                let fault = down_fault(joint, &failure);
                let word = fault.code().as_str();
                (Err(Ended::Down(fault)), word)
            }
        };
        if method == "tools/call" {
            let took = started.elapsed();
            gate.metrics().tool((joint.name(), &tool), word, took);
            let call = ToolCall { tenant, context, server: joint.name(), tool: &tool, word, took };
            gate.cases().tool(&call);
        }
        result
    }
}

/// A request on its way, and who is told what on the way back.
#[derive(Clone, Copy)]
pub(super) struct Passing<'a> {
    pub(super) gate: &'a Gateway,
    pub(super) joint: &'a Arc<Joint>,
    pub(super) method: &'static str,
    pub(super) whose: u64,
    pub(super) down: Down<'a>,
    /// Limit: how long it may go without a sign of life.
    pub(super) silence: Duration,
    /// The server is told that tasks are known here.
    pub(super) tasks: bool,
}

impl Passing<'_> {
    /// The same, with or without the word that tasks are known here.
    pub(super) fn with(self, tasks: bool) -> Self {
        Passing { tasks, ..self }
    }

    pub(super) async fn run(&self, mut params: Map<String, Value>) -> Result<Value, End> {
        params.shift_remove("requestState");
        params.shift_remove("inputResponses");
        let back = self.down.back;
        let state = back.and_then(Back::state);
        if let Some(handle) = state.and_then(|state| state.strip_prefix(HERE)) {
            return self.resume(handle).await;
        }
        if let Some(state) = state.and_then(|state| state.strip_prefix(THERE)) {
            params.insert("requestState".to_owned(), state.into());
        }
        if let Some(answers) = back.and_then(Back::answers).filter(|answers| !answers.is_empty()) {
            params.insert("inputResponses".to_owned(), Value::Object(answers.clone()));
        }
        for _ in 0..ROUNDS_MAX {
            // A server that is gone was waited for already: that is not done twice.
            let link = self.joint.link(self.whose).await?;
            let value = match self.over(link, &params).await {
                // It was gone, and cannot have seen the request.
                Err(End::Failed(failure)) if failure.is_unsent() => self.once(&params).await?,
                other => other?,
            };
            if value.get("resultType").and_then(Value::as_str) != Some("input_required") {
                return Ok(value);
            }
            self.ask(&value, &mut params).await?;
        }
        let text = format!("it asks and asks: more than {ROUNDS_MAX} rounds in one call");
        Err(Failure::lost(text).into())
    }

    pub(super) async fn once(&self, params: &Map<String, Value>) -> Result<Value, End> {
        let link = self.joint.link(self.whose).await?;
        self.over(link, params).await
    }

    async fn over(&self, link: Link, params: &Map<String, Value>) -> Result<Value, End> {
        let run = self.start(link, params.clone());
        self.drive(run).await
    }

    pub(super) fn start(&self, link: Link, params: Map<String, Value>) -> Run {
        let (told, tells) = mpsc::channel(TOLD_MAX);
        let capabilities = self.down.back.map(|back| back.client().capabilities());
        let mut capabilities = capabilities.unwrap_or_default();
        capabilities.shift_remove("extensions");
        if self.tasks {
            capabilities.extend(tasks_known());
        }
        let call = Call {
            method: self.method.to_owned(),
            params,
            told: self.down.back.is_some().then_some(told),
            whose: self.whose,
            capabilities,
            level: self.down.back.and_then(Back::level),
        };
        let done: Pending<'static, _> = Box::pin(async move {
            match link {
                Link::Mcp(upstream) => upstream.call(call).await,
                Link::Api(api) => api.call(call).await,
            }
        });
        Run { told: tells, done: Under::Here(done), open: true }
    }

    /// Follows a call until its result, or until its caller has to be asked first.
    async fn drive(&self, mut run: Run) -> Result<Value, End> {
        let silence = self.silence;
        loop {
            let told = tokio::select! {
                biased;
                told = run.told.recv(), if run.open => told,
                outcome = run.done.outcome() => return outcome.map_err(End::Failed),
                () = tokio::time::sleep(silence) => return Err(Failure::Late(silence).into()),
            };
            match told {
                None => run.open = false,
                Some(Told::Notification { method, params }) => {
                    if let Some(back) = self.down.back {
                        back.relay(&method, params);
                    }
                }
                Some(Told::Question { method, params, answer }) => {
                    // A person may think about it for long, and the server may say more meanwhile.
                    run = run.aside();
                    let key = handle();
                    let question = Question { key: key.clone(), method, params };
                    let Some(back) = self.down.back else { continue };
                    match back.ask(question.clone()).await {
                        Ok(value) => drop(answer.send(Ok(value))),
                        Err(Stop::Refuse(refusal)) => drop(answer.send(Err(refusal))),
                        Err(Stop::Later) => return Err(End::Stop(Stop::Later)),
                        Err(Stop::Input(questions, _)) => {
                            let whose = self.whose;
                            let since = Instant::now();
                            let waits = Waits { run, answer, question, whose, since };
                            self.gate.joined().parked().park(key.clone(), waits);
                            return Err(End::Stop(Stop::Input(
                                questions,
                                Some(format!("{HERE}{key}")),
                            )));
                        }
                    }
                }
            }
        }
    }

    /// Goes on with a call that waited for an answer.
    async fn resume(&self, handle: &str) -> Result<Value, End> {
        let Some(waits) = self.gate.joined().parked().take(handle, self.whose) else {
            let text = "the question was asked too long ago: call again without `requestState`";
            return Err(End::Stop(Refusal::params(text).into()));
        };
        let answers = self.down.back.and_then(Back::answers);
        let Some(given) = answers.and_then(|answers| answers.get(handle)).cloned() else {
            // Without an answer the question stands.
            let questions = vec![waits.question.clone()];
            self.gate.joined().parked().park(handle.to_owned(), waits);
            return Err(End::Stop(Stop::Input(questions, Some(format!("{HERE}{handle}")))));
        };
        let Waits { run, answer, .. } = waits;
        drop(answer.send(Ok(given)));
        self.drive(run).await
    }

    /// Answers the questions of a modern server: with the caller's next request, or now.
    async fn ask(&self, value: &Value, params: &mut Map<String, Value>) -> Result<(), End> {
        let requests = value.get("inputRequests").and_then(Value::as_object);
        let state = value.get("requestState").and_then(Value::as_str);
        let question = |(key, asked): (&String, &Value)| Question {
            key: key.clone(),
            method: asked.get("method").and_then(Value::as_str).unwrap_or_default().to_owned(),
            params: asked.get("params").cloned().unwrap_or_else(|| json!({})),
        };
        let questions: Vec<Question> = requests.into_iter().flatten().map(question).collect();
        let Some(back) = self.down.back else {
            return Err(unheard());
        };
        if self.down.modern {
            let state = state.map(|state| format!("{THERE}{state}"));
            return Err(End::Stop(Stop::Input(questions, state)));
        }
        let mut answers = Map::new();
        for question in questions {
            let key = question.key.clone();
            answers.insert(key, back.ask(question).await.map_err(End::Stop)?);
        }
        params.insert("inputResponses".to_owned(), Value::Object(answers));
        match state {
            Some(state) => params.insert("requestState".to_owned(), state.into()),
            None => params.shift_remove("requestState"),
        };
        Ok(())
    }
}

/// A question that reaches nobody.
pub(super) fn unheard() -> End {
    End::Stop(Refusal::request("it has a question, and nobody is there to answer").into())
}

/// A name that nobody guesses.
pub(super) fn handle() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Whose a call is, as a number: questions of a server never reach anybody else.
pub(crate) fn whose(caller: &Caller) -> u64 {
    let key = caller.key.as_deref().unwrap_or("local");
    let hash = blake3::hash(format!("{}\0{key}", caller.tenant.0).as_bytes());
    let (first, _) = hash.as_bytes().split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    u64::from_le_bytes(*first)
}

/// What is wrong with a server, as a fault of ours.
pub(crate) fn down_fault(joint: &Joint, failure: &Failure) -> Fault {
    let name = joint.name();
    match failure {
        Failure::Late(after) => {
            let text = format!("the joined server `{name}` gave no sign of life within {after:?}");
            Fault::new(Code::Timeout, text)
                .hint(format!("`mcp.servers.{name}.silence_seconds` sets this limit"))
        }
        Failure::Unauthorized(_) => {
            let text = format!("the joined server `{name}` lets nobody in: {failure}");
            Fault::new(Code::UpstreamError, text).hint(joint.how_to_login())
        }
        Failure::Refused(refusal) => {
            let text = format!("the joined server `{name}` refused: {}", refusal.message);
            Fault::new(Code::UpstreamError, text)
        }
        Failure::Lost(lost) => {
            // What may have been seen may have been done: it is not asked a second time.
            let how = if lost.unsent { "is not there" } else { "gave no answer" };
            let text = format!("the joined server `{name}` {how}: {}", lost.why);
            Fault::new(Code::UpstreamUnavailable, text)
                .hint(format!("`rapport mcp test {name}` shows what it says"))
        }
    }
}

/// What went wrong, as a result that a model reads.
pub(crate) fn failed(fault: &Fault) -> Value {
    let text = match fault.hint_text() {
        Some(hint) => format!("{}: {} ({hint})", fault.code().as_str(), fault.text()),
        None => format!("{}: {}", fault.code().as_str(), fault.text()),
    };
    json!({"content": [{"type": "text", "text": text}], "isError": true})
}

/// A server's refusal in the words of the era of the one who asked.
fn suited(mut refusal: Refusal, (method, modern): (&str, bool)) -> Refusal {
    // The number that the modern era has no more: an address must be visited first.
    const URL_FIRST: i64 = -32042;
    if modern && matches!(refusal.code, code::RESOURCE | URL_FIRST) {
        refusal.code = code::PARAMS;
    } else if !modern && method == "resources/read" && refusal.code == code::PARAMS {
        refusal.code = code::RESOURCE;
    }
    refusal.status = match refusal.code {
        code::METHOD => 404,
        code::PARAMS | code::HEADERS | code::CAPABILITY | code::VERSION => 400,
        _ => 200,
    };
    refusal
}
