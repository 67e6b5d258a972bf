//! Calls that go on after their answer. A task stays with the server that has it; here it gets a
//! name that is its caller's alone, and whoever asks for it hears of it in the words of its own
//! era. Who knows no tasks waits, and the task is the gateway's own.

mod ask;
mod book;
mod form;
mod held;
mod told;
mod wait;

use std::sync::Arc;

use mcp::client::Failure;
use mcp::rpc::{Refusal, code};
use mcp::server::Stop;
use serde_json::{Map, Value, json};

pub(crate) use ask::TaskAsk;
pub(super) use book::SHELF;
pub(crate) use book::{Book, Noted, Where};
pub(super) use held::AllHeld;
pub(super) use wait::capabilities;

use super::joint::Joint;
use super::pass::{End, Passing};

/// What a server knows of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knows {
    /// Nothing.
    Nothing,
    /// It makes tasks of calls for callers that know them: the modern era.
    Makes,
    /// It makes tasks where it is asked to: the legacy era.
    Takes,
}

impl Joint {
    /// What it knows of tasks.
    pub(crate) fn knows_tasks(&self) -> Knows {
        let listing = self.listing();
        let can = &listing.capabilities;
        if self.is_modern() {
            let known = can.get("extensions").and_then(|all| all.get(mcp::server::TASKS));
            if known.is_some() { Knows::Makes } else { Knows::Nothing }
        } else {
            let known =
                can.get("tasks").and_then(|all| all.get("requests")?.get("tools")?.get("call"));
            if known.is_some() { Knows::Takes } else { Knows::Nothing }
        }
    }

    pub(super) fn is_modern(&self) -> bool {
        let revision = self.listing().revision.as_deref().and_then(mcp::Revision::parse);
        revision.is_some_and(mcp::Revision::is_modern)
    }

    /// What a tool says of tasks: `required`, `optional` or anything else.
    fn task_support(&self, tool: &str) -> String {
        let listing = self.listing();
        let tool = listing.tools.iter().find(|one| super::listing::name_of(one) == Some(tool));
        let says = tool.and_then(|tool| tool.get("execution")?.get("taskSupport")?.as_str());
        says.unwrap_or_default().to_owned()
    }

    fn place<'a>(&'a self, of: &'a str, theirs: &'a str) -> Where<'a> {
        Where { server: self.name(), of, theirs }
    }
}

impl Passing<'_> {
    /// Calls a tool; what becomes a task is one under a name of ours, or is waited for.
    pub(super) async fn call(self, mut params: Map<String, Value>) -> Result<Value, End> {
        let tool = params.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let knows = self.joint.knows_tasks();
        let wished = params.get("task").is_some();
        let support =
            if knows == Knows::Takes { self.joint.task_support(&tool) } else { String::new() };
        let is_asked = wished && !self.down.modern;
        if is_asked && !matches!(support.as_str(), "required" | "optional") {
            let text = format!("the tool `{tool}` cannot be called as a task: leave `task` out");
            return Err(End::Stop(Refusal::new(code::METHOD, text).into()));
        }
        if !is_asked {
            params.shift_remove("task");
        }
        if support == "required" && !is_asked {
            params.insert("task".to_owned(), json!({}));
        }
        let takes = is_asked || self.takes_tasks();
        // Only where it may have to be asked anew are the parameters kept.
        let again = (knows == Knows::Makes && !self.down.modern).then(|| params.clone());
        let first = self.with(takes && self.down.modern).run(params).await;
        let answer = match (first, again) {
            (Err(End::Failed(Failure::Refused(refusal))), Some(params))
                if wants_tasks(&refusal) =>
            {
                self.with(true).run(params).await?
            }
            (other, _) => other?,
        };
        let is_modern = knows == Knows::Makes;
        let Some(begun) = form::begun(&answer, is_modern) else { return Ok(answer) };
        let theirs = form::text(begun, "taskId").to_owned();
        if !takes {
            return self.outcome_of(&theirs, is_modern).await;
        }
        let noted = self.noted(&theirs).await;
        let begun = form::named(begun.clone(), &noted.id);
        Ok(match (is_modern, self.down.modern) {
            (true, true) => begun,
            (false, true) => {
                let mut task = form::modern(&begun);
                if let Value::Object(map) = &mut task {
                    map.insert("resultType".to_owned(), "task".into());
                }
                task
            }
            (true, false) => json!({"task": form::legacy(&begun)}),
            (false, false) => {
                let mut answer = answer.clone();
                if let Value::Object(map) = &mut answer {
                    map.insert("task".to_owned(), begun);
                }
                answer
            }
        })
    }

    /// Whether the one who asks knows tasks that it did not ask for.
    fn takes_tasks(&self) -> bool {
        self.down.modern && self.down.back.is_some_and(|back| back.client().tasks)
    }

    /// Notes a task of the server, on disk before anybody hears of it.
    async fn noted(&self, theirs: &str) -> Arc<Noted> {
        let joined = self.gate.joined();
        let of = self.joint.settings.mark();
        let noted = joined.book().note(self.joint.place(&of, theirs), self.whose);
        joined.keep_book().await;
        noted
    }
}

/// Whether a refusal says that only a caller who knows tasks gets an answer.
fn wants_tasks(refusal: &Refusal) -> bool {
    let required = refusal.data.as_deref().and_then(|data| data.get("requiredCapabilities"));
    let extensions = required.and_then(|required| required.get("extensions"));
    refusal.code == code::CAPABILITY
        && extensions.is_some_and(|all| all.get(mcp::server::TASKS).is_some())
}

/// The refusal of a task that is not there, or not the caller's.
pub(crate) fn no_task(id: &str) -> Refusal {
    let shown: String = id.chars().take(100).collect();
    Refusal::params(format!("there is no task `{shown}`"))
}

/// What a stop means where nobody can be asked.
fn refused(end: End, joint: &Joint) -> Refusal {
    match end {
        End::Stop(Stop::Refuse(refusal)) | End::Failed(Failure::Refused(refusal)) => refusal,
        End::Stop(Stop::Input(..) | Stop::Later) => Refusal::request("this cannot ask back"),
        End::Failed(failure) => Refusal::from(&super::pass::down_fault(joint, &failure)),
    }
}
