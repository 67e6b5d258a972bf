//! The era of sessions: `initialize`, levels, subscriptions, answers to our questions.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::client::Client;
use super::interest::{Interest, Subject};
use super::link::{Level, Link, Out, Way};
use super::replay::Replay;
use super::serve::{Ask, Serve, Stop};
use super::session::Session;
use super::{Server, methods};
use crate::revision::Revision;
use crate::rpc::{self, Id, Params, Refusal};

impl<S: Serve> Server<S> {
    /// Begins a session as `initialize` asks for it.
    pub(crate) fn initialize(
        &self,
        caller: &S::Caller,
        params: &Params,
    ) -> Result<(Arc<Session>, Value), Refusal> {
        let wanted = params.required("protocolVersion")?;
        let revision = Revision::agreed(wanted);
        let client = params.object("capabilities").map(Client::read).unwrap_or_default();
        let session = Session::new(revision, client);
        let about = self.about();
        let mut capabilities = self.offers().capabilities();
        let has_tasks = revision >= Revision::V2025_11_25 && self.has_session_tasks(caller);
        if let (Value::Object(map), true) = (&mut capabilities, has_tasks) {
            let requests = json!({"tools": {"call": {}}});
            map.insert("tasks".to_owned(), json!({"list": {}, "cancel": {}, "requests": requests}));
        }
        let mut result = json!({
            "protocolVersion": revision.name(),
            "capabilities": capabilities,
            "serverInfo": about.info(),
        });
        if let (Value::Object(map), Some(text)) = (&mut result, about.instructions) {
            map.insert("instructions".to_owned(), text.into());
        }
        Ok((session, result))
    }

    /// Runs a request of a session; everything it sends goes into `replay`.
    pub(crate) async fn run_legacy(
        &self,
        (session, caller): (Arc<Session>, S::Caller),
        (id, method, params): (Id, String, Params),
        replay: Arc<Replay>,
    ) {
        let cancelled = session.runs(&id);
        let out = tokio::select! {
            out = self.legacy((&session, caller), (&method, &params), (&replay, &cancelled)) => {
                Some(out)
            }
            // A cancelled request gets no answer.
            () = cancelled.cancelled() => None,
        };
        session.ran(&id);
        replay.end(out.map(|out| match out {
            Out::Result(value) => rpc::result(&id, &methods::legacy(value)),
            Out::Refused(refusal) => rpc::error(Some(&id), &refusal),
        }));
    }

    async fn legacy(
        &self,
        (session, caller): (&Arc<Session>, S::Caller),
        (method, params): (&str, &Params),
        (replay, cancelled): (&Arc<Replay>, &CancellationToken),
    ) -> Out {
        if let Some(out) = self.session_method((session, &caller), method, params) {
            return out;
        }
        let link = Link {
            replay: Arc::clone(replay),
            way: Way::Legacy(Arc::clone(session)),
            client: session.client,
            progress: params.meta("progressToken").cloned(),
            // Nothing was said: what matters is worth a line.
            level: Some(session.level().unwrap_or(Level::Info)),
            cancelled: cancelled.clone(),
        };
        let ask = Ask { caller, revision: session.revision, link };
        if method.starts_with("tasks/") {
            return match self.task(&ask, method, &params.0).await {
                Some(Ok(value)) => Out::Result(value),
                Some(Err(refusal)) => Out::Refused(refusal),
                None => Out::Refused(Refusal::method(method)),
            };
        }
        match methods::answer(self.inner(), &ask, method, params).await {
            Some(Ok(value)) => Out::Result(value),
            Some(Err(Stop::Refuse(refusal))) => Out::Refused(refusal),
            Some(Err(Stop::Input(..) | Stop::Later)) => {
                Out::Refused(Refusal::request("this needs a client of the revision 2026-07-28"))
            }
            None => Out::Refused(Refusal::method(method)),
        }
    }

    /// What a session listens to, counted as long as this is held.
    pub(crate) fn heard_by(&self, session: &Session, caller: &S::Caller) -> Interest {
        self.interest(self.subjects(session, caller))
    }

    /// What a session listens to and may hear.
    pub(crate) fn subjects(&self, session: &Session, caller: &S::Caller) -> HashSet<Subject> {
        let all = session.listened(|is_meant| self.recall(caller, is_meant));
        let all = all.into_iter().map(Subject::Resource);
        all.filter(|subject| self.hears(caller, subject)).collect()
    }

    /// What a session is told of a change, if anything.
    pub(crate) fn told_of(
        &self,
        (session, caller): (&Session, &S::Caller),
        change: &Change,
    ) -> Option<String> {
        let wanted = match change {
            Change::Resource(uri) => {
                session.listens_to(uri) && self.hears(caller, &Subject::Resource(uri.clone()))
            }
            // A task is told of to its owner, who need not ask for that.
            Change::Task(task) => {
                session.revision >= Revision::V2025_11_25
                    && self.hears(caller, &Subject::Task(task.id.clone()))
            }
            Change::Tools | Change::Prompts | Change::Resources => true,
        };
        change.legacy().filter(|_| wanted)
    }

    /// The methods that concern the session itself.
    fn session_method(
        &self,
        (session, caller): (&Session, &S::Caller),
        method: &str,
        params: &Params,
    ) -> Option<Out> {
        let done = |outcome: Result<(), Refusal>| match outcome {
            Ok(()) => Out::Result(json!({})),
            Err(refusal) => Out::Refused(refusal),
        };
        Some(match method {
            "ping" => Out::Result(json!({})),
            "logging/setLevel" => done(params.required("level").and_then(|name| {
                let level = Level::parse(name)
                    .ok_or_else(|| Refusal::params(format!("there is no level `{name}`")))?;
                session.set_level(level);
                Ok(())
            })),
            "resources/subscribe" if self.offers().resources => {
                done(params.required("uri").and_then(|uri| {
                    if !self.hears(caller, &Subject::Resource(uri.to_owned())) {
                        return Err(unheard(uri));
                    }
                    let room = session.subscribe(uri);
                    room.then_some(()).ok_or_else(|| Refusal::request("too many subscriptions"))
                }))
            }
            "resources/unsubscribe" if self.offers().resources => {
                done(params.required("uri").map(|uri| session.unsubscribe(uri)))
            }
            _ => return None,
        })
    }
}

/// The refusal of a resource that cannot be listened to.
fn unheard(uri: &str) -> Refusal {
    let shown: String = uri.chars().take(200).collect();
    Refusal::params(format!("there is no resource `{shown}` that can be listened to"))
}
