//! The way back to the client while its request runs: progress, log lines, questions.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::replay::Replay;
use super::serve::Stop;
use super::session::Session;
use super::task::{self, Task};
use crate::rpc::{self, Id, Refusal, code};

/// Limit: how long a client's user may think about a question.
const ANSWER_WITHIN: Duration = Duration::from_mins(10);

/// The levels of log lines, as the protocol names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the one who looks for a mistake.
    Debug,
    /// What happens.
    Info,
    /// What happens and matters.
    Notice,
    /// Something is not as it should be.
    Warning,
    /// Something failed.
    Error,
    /// Something important failed.
    Critical,
    /// Somebody has to act.
    Alert,
    /// Nothing works.
    Emergency,
}

impl Level {
    const ALL: [Self; 8] = [
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// Finds a level by its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// A question to the client.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The name by which the answer comes back.
    pub key: String,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

/// What a message on its way out is.
#[derive(Debug)]
pub(crate) enum Out {
    /// The answer.
    Result(Value),
    /// The refusal.
    Refused(Refusal),
}

/// How questions reach the client.
#[derive(Debug)]
pub(crate) enum Way {
    /// As requests, on the stream of the request that needs them.
    Legacy(Arc<Session>),
    /// With the answer `input_required`; the client asks again with these.
    Modern {
        /// The answers it brought along.
        answers: Map<String, Value>,
        /// What it carried for us.
        state: Option<String>,
    },
    /// In a task, where the client finds them and leaves the answers.
    Task(Arc<Task>),
}

/// The way back to the client.
#[derive(Debug)]
pub struct Link {
    pub(crate) replay: Arc<Replay>,
    pub(crate) way: Way,
    pub(crate) client: Client,
    pub(crate) progress: Option<Value>,
    pub(crate) level: Option<Level>,
    pub(crate) cancelled: CancellationToken,
}

impl Link {
    /// What the client can do.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client
    }

    /// Ends when the client wants no answer any more.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Tells how far the request is, if the client wants to know.
    pub fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        let Some(token) = &self.progress else { return };
        let mut params = json!({"progressToken": token, "progress": done});
        if let Value::Object(map) = &mut params {
            if let Some(total) = total {
                map.insert("total".to_owned(), total.into());
            }
            if let Some(message) = message {
                map.insert("message".to_owned(), message.into());
            }
        }
        self.replay.push(rpc::notification("notifications/progress", &params));
    }

    /// Sends a log line, if the client wants lines of this level.
    pub fn log(&self, level: Level, logger: &str, data: &Value) {
        if self.level.is_some_and(|least| level >= least) {
            let params = json!({"level": level.name(), "logger": logger, "data": data});
            self.replay.push(rpc::notification("notifications/message", &params));
        }
    }

    /// Passes a notification on as it is.
    pub fn notify(&self, method: &str, params: &Value) {
        self.replay.push(rpc::notification(method, params));
    }

    /// From which level on the client wants log lines.
    #[must_use]
    pub fn level(&self) -> Option<Level> {
        self.level
    }

    /// Passes on what another server says while it works for this request: progress under the
    /// client's own token, log lines as far as they are wanted, the rest as it is.
    pub fn relay(&self, method: &str, mut params: Value) {
        match method {
            "notifications/progress" => {
                let Some(token) = &self.progress else { return };
                if let Value::Object(map) = &mut params {
                    map.insert("progressToken".to_owned(), token.clone());
                }
            }
            "notifications/message" => {
                let level = params.get("level").and_then(Value::as_str).and_then(Level::parse);
                let wanted = self.level.zip(level).is_some_and(|(least, level)| level >= least);
                if !wanted {
                    return;
                }
            }
            _ => {}
        }
        self.replay.push(rpc::notification(method, &params));
    }

    /// What the client carried for us since we asked it something; modern era only.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        match &self.way {
            Way::Modern { state, .. } => state.as_deref(),
            Way::Legacy(_) | Way::Task(_) => None,
        }
    }

    /// The answers that the client brought along; modern era only.
    #[must_use]
    pub fn answers(&self) -> Option<&Map<String, Value>> {
        match &self.way {
            Way::Modern { answers, .. } => Some(answers),
            Way::Task(task) => Some(task.answers()),
            Way::Legacy(_) => None,
        }
    }

    /// Ends the stream of this request for now: the client comes back for the rest.
    pub fn hang_up(&self) {
        self.replay.cut();
    }

    /// What follows takes its time: a client that knows tasks gets one now, and the call begins
    /// anew within it; for any other client it goes on as it is.
    ///
    /// # Errors
    /// [`Stop::Later`], to be passed up with `?`.
    pub fn later(&self) -> Result<(), Stop> {
        match self.way {
            Way::Modern { .. } if self.client.tasks => Err(Stop::Later),
            Way::Modern { .. } | Way::Legacy(_) | Way::Task(_) => Ok(()),
        }
    }

    /// As [`Link::later`], for what cannot be done in any other way.
    ///
    /// # Errors
    /// Also a refusal of clients that do not know tasks.
    pub fn only_later(&self) -> Result<(), Stop> {
        self.later()?;
        match self.way {
            Way::Task(_) => Ok(()),
            Way::Modern { .. } | Way::Legacy(_) => Err(task::lacking().into()),
        }
    }

    /// Asks the client and waits for its answer; in the modern era it may have to ask again first.
    ///
    /// # Errors
    /// [`Stop::Refuse`] when the client cannot be asked that, refuses or stays silent;
    /// [`Stop::Input`] to be passed up with `?`.
    pub async fn ask(&self, question: Question) -> Result<Value, Stop> {
        self.may_ask(&question)?;
        match &self.way {
            Way::Modern { answers, .. } => match answers.get(&question.key) {
                Some(answer) => Ok(answer.clone()),
                None => Err(Stop::Input(vec![question], None)),
            },
            Way::Legacy(session) => Ok(self.wait(session, question).await?),
            Way::Task(task) => Ok(task.ask(question).await?),
        }
    }

    /// Whether the client said that it can be asked this.
    ///
    /// # Errors
    /// Says which capability it lacks.
    pub fn may_ask(&self, question: &Question) -> Result<(), Refusal> {
        let is_url = question.params.get("mode").and_then(Value::as_str) == Some("url");
        let tools = question.params.get("tools").is_some();
        let (has, required) = match question.method.as_str() {
            "elicitation/create" if is_url => {
                (self.client.elicitation_url, json!({"elicitation": {"url": {}}}))
            }
            "elicitation/create" => (self.client.elicitation, json!({"elicitation": {}})),
            "sampling/createMessage" if tools => {
                (self.client.sampling_tools, json!({"sampling": {"tools": {}}}))
            }
            "sampling/createMessage" => (self.client.sampling, json!({"sampling": {}})),
            "roots/list" => (self.client.roots, json!({"roots": {}})),
            _ => return Ok(()),
        };
        if has {
            return Ok(());
        }
        let text = format!("this needs a client that answers `{}`", question.method);
        Err(Refusal::new(code::CAPABILITY, text).with(json!({"requiredCapabilities": required})))
    }

    async fn wait(&self, session: &Session, question: Question) -> Result<Value, Refusal> {
        let number = session.number();
        let told = session.expect(number);
        let id = Id::number(number);
        self.replay.push(rpc::request(&id, &question.method, &question.params));
        let outcome = tokio::select! {
            outcome = tokio::time::timeout(ANSWER_WITHIN, told) => outcome,
            () = self.cancelled.cancelled() => {
                session.forget(number);
                return Err(Refusal::new(code::INTERNAL, "the request was cancelled"));
            }
        };
        session.forget(number);
        match outcome {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => {
                let text = error.get("message").and_then(Value::as_str).unwrap_or("no reason");
                Err(Refusal::new(code::INTERNAL, format!("the client refused: {text}")))
            }
            Ok(Err(_)) | Err(_) => {
                let text = format!("the client gave no answer to `{}`", question.method);
                Err(Refusal::new(code::INTERNAL, text))
            }
        }
    }
}
