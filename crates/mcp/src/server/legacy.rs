//! The era of sessions: `initialize`, levels, subscriptions, answers to our questions.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::link::{Level, Link, Out, Way};
use super::replay::Replay;
use super::serve::{Ask, Serve, Stop};
use super::session::Session;
use super::{Server, methods};
use crate::revision::Revision;
use crate::rpc::{self, Id, Params, Refusal};

impl<S: Serve> Server<S> {
    /// Begins a session as `initialize` asks for it.
    pub(crate) fn initialize(&self, params: &Params) -> Result<(Arc<Session>, Value), Refusal> {
        let wanted = params.required("protocolVersion")?;
        let revision = Revision::agreed(wanted);
        let client = params.object("capabilities").map(Client::read).unwrap_or_default();
        let session = Session::new(revision, client);
        let about = self.about();
        let mut result = json!({
            "protocolVersion": revision.name(),
            "capabilities": self.offers().capabilities(),
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
        if let Some(out) = self.session_method(session, method, params) {
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
        match methods::answer(self.inner(), &ask, method, params).await {
            Some(Ok(value)) => Out::Result(value),
            Some(Err(Stop::Refuse(refusal))) => Out::Refused(refusal),
            Some(Err(Stop::Input(..) | Stop::Later)) => {
                Out::Refused(Refusal::request("this needs a client of the revision 2026-07-28"))
            }
            None => Out::Refused(Refusal::method(method)),
        }
    }

    /// The methods that concern the session itself.
    fn session_method(&self, session: &Session, method: &str, params: &Params) -> Option<Out> {
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
