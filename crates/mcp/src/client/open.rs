//! Reaching a server, and agreeing on a revision with it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Uri};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::desk::{Call, Desk};
use super::failure::Failure;
use super::guard::Guard;
use super::old::Old;
use super::pipe::{Pipe, Program};
use super::pulse::Pulse;
use super::streamable::Endpoint;
use super::upstream::{Hello, Upstream, Way, meta};
use super::web::{Login, Out, Web};
use crate::revision::Revision;
use crate::rpc::{Params, Refusal, code};
use crate::server::{About, Change};

/// Limit: how long a server that may know no modern request is given to say so.
const PROBE_WITHIN: Duration = Duration::from_secs(5);

/// Which transport an address speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP, and the old one where that is refused.
    #[default]
    Auto,
    /// Streamable HTTP.
    Http,
    /// HTTP with a stream of events, as the first revision had it.
    Sse,
}

/// Where a server is.
#[derive(Clone, Debug)]
pub enum Place {
    /// It is started.
    Program(Program, Option<Arc<Guard>>),
    /// It is behind an address.
    Address {
        /// How addresses are reached.
        web: Arc<dyn Web>,
        /// The whole address.
        url: Uri,
        /// Headers of every request.
        headers: HeaderMap,
        /// Who we say we are.
        login: Option<Arc<dyn Login>>,
        /// What it speaks.
        transport: Transport,
    },
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Who we are.
    pub about: About,
    /// Where it is.
    pub place: Place,
    /// Limit: how long all of it may take.
    pub within: Duration,
    /// The revision it spoke before, if it is known: it saves the question.
    pub before: Option<Revision>,
    /// Where its signs of life are felt before it has said who it is.
    pub pulse: Pulse,
}

/// Reaches a server and agrees on a revision with it.
///
/// # Errors
/// Why it could not be reached, or what it speaks instead.
pub async fn open(opening: &Opening) -> Result<Upstream, Failure> {
    let opened = match &opening.place {
        Place::Program(program, guard) => program_opened(opening, program, guard.as_ref()).await,
        Place::Address { transport: Transport::Sse, .. } => old_opened(opening).await,
        Place::Address { .. } => match tokio::time::timeout(opening.within, web(opening)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Failure::Late(opening.within)),
        },
    };
    let upstream = opened?;
    listen(&upstream).await;
    Ok(upstream.whole(opening.about.info()))
}

/// A connection whose server has said who it is.
struct Opened {
    desk: Arc<Desk>,
    changes: mpsc::Receiver<Change>,
    way: Way,
    hello: Hello,
    about: Value,
}

impl Opened {
    fn whole(self, about: Value) -> Upstream {
        Upstream::new((self.desk, self.changes), self.way, (self.hello, about))
    }
}

async fn program_opened(
    opening: &Opening,
    program: &Program,
    guard: Option<&Arc<Guard>>,
) -> Result<Opened, Failure> {
    let mut before = opening.before;
    // A server that dies of a question it does not know is started once more without it.
    for attempt in 0..2 {
        let (desk, changes) = Desk::new(opening.pulse.clone());
        let pipe = Pipe::start(program, guard, &desk)?;
        let way = Way::Pipe(pipe);
        let agreed = tokio::time::timeout(opening.within, agree(&way, &desk, opening, before));
        match agreed.await {
            Ok(Ok(hello)) => {
                return Ok(Opened { desk, changes, way, hello, about: opening.about.info() });
            }
            Ok(Err(failure)) => {
                let died = desk.gone.is_cancelled();
                let failure = explained(failure, &way);
                desk.lose(failure.clone());
                if attempt == 0 && died && before.is_none_or(Revision::is_modern) {
                    before = Some(Revision::LEGACY);
                    continue;
                }
                return Err(failure);
            }
            Err(_) => {
                let failure = explained(Failure::Late(opening.within), &way);
                desk.lose(failure.clone());
                return Err(failure);
            }
        }
    }
    Err(Failure::lost("it ends whenever it is started"))
}

/// Says what came instead of an answer.
fn explained(failure: Failure, way: &Way) -> Failure {
    let Way::Pipe(pipe) = way else { return failure };
    match (&failure, pipe.garbage()) {
        (Failure::Late(_) | Failure::Lost(_), Some(garbage)) => Failure::lost(format!(
            "{failure}; its output is no messages, it begins with `{garbage}`: a server over a \
             pipe writes messages to standard output and everything else to standard error"
        )),
        _ => failure,
    }
}

async fn web(opening: &Opening) -> Result<Opened, Failure> {
    let Place::Address { web, url, headers, login, transport } = &opening.place else {
        return Err(Failure::lost("no address"));
    };
    let (desk, changes) = Desk::new(opening.pulse.clone());
    let out = Out { web: Arc::clone(web), login: login.clone() };
    let endpoint = Endpoint::new(out, (url.clone(), headers.clone()), &desk);
    let way = Way::Http(endpoint);
    match agree(&way, &desk, opening, opening.before).await {
        Ok(hello) => Ok(Opened { desk, changes, way, hello, about: opening.about.info() }),
        Err(Failure::Refused(refusal)) if *transport == Transport::Auto => {
            // Only the old transport refuses a POST to its address by an HTTP status.
            let status = refusal.data.as_deref().and_then(|d| d.get("status")?.as_u64());
            match status {
                Some(400..=499) => old_opened(opening).await.map_err(|old| {
                    let text = format!("{}; as a stream of events: {old}", refusal.message);
                    Failure::lost(text)
                }),
                _ => Err(Failure::Refused(refusal)),
            }
        }
        Err(failure) => Err(failure),
    }
}

async fn old_opened(opening: &Opening) -> Result<Opened, Failure> {
    let Place::Address { web, url, headers, login, .. } = &opening.place else {
        return Err(Failure::lost("no address"));
    };
    let (desk, changes) = Desk::new(opening.pulse.clone());
    let out = Out { web: Arc::clone(web), login: login.clone() };
    let opened = async {
        let way = Way::Old(Old::open(out, (url, headers), &desk).await?);
        // It is of the first era by its transport.
        let hello = initialize(&way, &desk, opening).await?;
        Ok((way, hello))
    };
    let outcome = tokio::time::timeout(opening.within, opened).await;
    match outcome.unwrap_or(Err(Failure::Late(opening.within))) {
        Ok((way, hello)) => Ok(Opened { desk, changes, way, hello, about: opening.about.info() }),
        Err(failure) => {
            desk.lose(failure.clone());
            Err(failure)
        }
    }
}

/// Agrees on a revision: the modern question first, unless it is known to be in vain.
async fn agree(
    way: &Way,
    desk: &Arc<Desk>,
    opening: &Opening,
    before: Option<Revision>,
) -> Result<Hello, Failure> {
    if before.is_none_or(Revision::is_modern) {
        let asked = discover(way, desk, opening);
        match tokio::time::timeout(PROBE_WITHIN.min(opening.within), asked).await {
            Ok(Ok(Some(hello))) => return Ok(hello),
            // It speaks, and knows no such thing.
            Ok(Ok(None) | Err(Failure::Refused(_))) => {}
            // A server over HTTP that cannot be reached need not be asked twice.
            Ok(Err(failure)) => {
                let is_pipe = matches!(way, Way::Pipe(_));
                if is_pipe || failure.is_unsent() || matches!(failure, Failure::Unauthorized(_)) {
                    return Err(failure);
                }
            }
            // It keeps silent, as some do before `initialize`.
            Err(_) => {}
        }
    }
    initialize(way, desk, opening).await
}

/// Asks in the words of the modern era; `None` when the server speaks another revision.
async fn discover(
    way: &Way,
    desk: &Arc<Desk>,
    opening: &Opening,
) -> Result<Option<Hello>, Failure> {
    let revision = Revision::NEWEST;
    let ask = async || {
        let mut call = Call { method: "server/discover".to_owned(), ..Call::default() };
        let said = meta(revision, &opening.about.info(), (&Map::new(), None));
        call.params.insert("_meta".to_owned(), said);
        way.ask(desk, call).await
    };
    let answer = match ask().await {
        // It speaks it after all: what it refused may have been its first word of the day.
        Err(Failure::Refused(refusal)) if is_spoken(&refusal, revision) => ask().await,
        other => other,
    };
    let found = Params(match answer? {
        Value::Object(map) => map,
        _ => return Ok(None),
    });
    let versions = found.0.get("supportedVersions").and_then(Value::as_array);
    let speaks = versions.is_some_and(|all| all.iter().any(|v| v == revision.name()));
    if !speaks {
        return Ok(None);
    }
    if let Way::Http(endpoint) = way {
        endpoint.agreed(revision);
    }
    let info = found.meta("io.modelcontextprotocol/serverInfo").cloned();
    Ok(Some(Hello {
        revision,
        capabilities: found.object("capabilities").cloned().unwrap_or_default(),
        info: info.unwrap_or(Value::Null),
        instructions: found.text("instructions").map(ToOwned::to_owned),
    }))
}

/// Whether a server that refuses a revision names it among those that it speaks.
fn is_spoken(refusal: &Refusal, revision: Revision) -> bool {
    let data = refusal.data.as_deref().filter(|_| refusal.code == code::VERSION);
    let spoken = data.and_then(|data| data.get("supported")).and_then(Value::as_array);
    spoken.is_some_and(|all| all.iter().any(|name| name == revision.name()))
}

/// Begins a session in the words of the legacy era.
async fn initialize(way: &Way, desk: &Arc<Desk>, opening: &Opening) -> Result<Hello, Failure> {
    let wanted = opening.before.filter(|before| !before.is_modern()).unwrap_or(Revision::LEGACY);
    let params = json!({
        "protocolVersion": wanted.name(),
        // Whoever a call is for may be asked; who cannot be is refused for.
        "capabilities": {"elicitation": {"form": {}, "url": {}}, "sampling": {"tools": {}}},
        "clientInfo": opening.about.info(),
    });
    let mut call = Call { method: "initialize".to_owned(), ..Call::default() };
    if let Value::Object(params) = params {
        call.params = params;
    }
    let answer = Params(match way.ask(desk, call).await? {
        Value::Object(map) => map,
        _ => return Err(Failure::lost("its answer to `initialize` is no object")),
    });
    let Some(version) = answer.text("protocolVersion") else {
        return Err(Failure::lost("its answer to `initialize` has no `protocolVersion`"));
    };
    let Some(revision) = Revision::parse(version).filter(|revision| !revision.is_modern()) else {
        let shown: String = version.chars().take(40).collect();
        let all = Revision::names().join(", ");
        return Err(Failure::lost(format!("it speaks `{shown}`, and we speak {all}")));
    };
    if let Way::Http(endpoint) = way {
        endpoint.agreed(revision);
    }
    way.tell("notifications/initialized", &json!({})).await?;
    Ok(Hello {
        revision,
        capabilities: answer.object("capabilities").cloned().unwrap_or_default(),
        info: answer.0.get("serverInfo").cloned().unwrap_or(Value::Null),
        instructions: answer.text("instructions").map(ToOwned::to_owned),
    })
}

/// Listens to what changes, in the way of the era.
async fn listen(opened: &Opened) {
    let modern = opened.hello.revision.is_modern();
    let params = json!({
        "notifications": {"toolsListChanged": true, "promptsListChanged": true,
                          "resourcesListChanged": true},
        "_meta": meta(opened.hello.revision, &opened.about, (&Map::new(), None)),
    });
    match &opened.way {
        Way::Http(endpoint) => endpoint.listen(modern.then_some(params)),
        Way::Pipe(pipe) if modern => {
            let id = crate::rpc::Id::number(opened.desk.number());
            let line = crate::rpc::request(&id, "subscriptions/listen", &params);
            // A pipe that is closed by now says so itself.
            drop(pipe.send(line).await);
        }
        Way::Pipe(_) | Way::Old(_) => {}
    }
}
