//! Rung 5: each interface of the Context API answers a minimal request in its documented shape.
//!
//! Invariant: without `--ask` nothing is created; what `--ask` creates is named after the doctor
//! and deleted before the check ends.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::dial::open;
use crate::probe::first::Protocol;
use crate::probe::http::Answer;
use crate::probe::talk::{Line, Question};
use crate::report::{Fix, Verdict};
use crate::sockets::redact;

/// See the module.
pub(crate) struct Interfaces;

/// Limit: an answer that asks no model.
const QUICK: Duration = Duration::from_millis(1500);

/// Limit: an answer of a model.
const SLOW: Duration = Duration::from_secs(6);

/// Limit: one line of an answer.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// What is said to the model, and found again in the answer.
const MESSAGE: &str = "ping";

/// What a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Object,
    List,
}

use Kind::{List, Number, Object, Text};

/// The documented fields of `GET /health`.
const HEALTH: &[(&str, Kind)] = &[
    ("/status", Text),
    ("/version", Text),
    ("/checks", Object),
    ("/checks/store", Object),
    ("/checks/provider", Object),
];

/// The documented fields of `GET /api/mcp/status`.
const STATUS: &[(&str, Kind)] = &[
    ("/status", Text),
    ("/version", Text),
    ("/protocol_versions", List),
    ("/uptime_seconds", Number),
    ("/listen", List),
    ("/sessions", Number),
    ("/contexts", Number),
    ("/messages", Number),
    ("/store", Object),
    ("/store/kind", Text),
    ("/model", Object),
    ("/model/default", Text),
    ("/auth", Object),
    ("/limits", Object),
];

/// The documented fields of an answer in a session, over HTTP and as a line.
const INTERACT: &[(&str, Kind)] = &[
    ("/sessionId", Text),
    ("/response", Text),
    ("/updatedContext", Object),
    ("/updatedContext/last_message", Text),
    ("/updatedContext/made_by", Text),
];

impl Check for Interfaces {
    fn about(&self) -> About {
        About {
            id: "interfaces",
            title: "replies of the Context API, field by field",
            proves: "health, status and a line (with `--ask`: a turn) are answered as documented",
            rung: 5,
            budget: Duration::from_secs(9),
            verdicts: &["api.shape"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        let Some(spoken) = &case.facts.spoken else { return Some("no connection".to_owned()) };
        let lines = spoken.protocol == Some(Protocol::JsonLines) && case.ask.is_some();
        let is_ours = case.facts.answer().is_some_and(Answer::is_rapport);
        (!is_ours && !lines && !is_status(case))
            .then(|| "the server does not say that it has the Context API".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// Whether the address is that of a status, whoever's server it is.
fn is_status(case: &Case) -> bool {
    let path = case.address().and_then(|target| target.path.as_deref()).unwrap_or_default();
    path.trim_end_matches('/').ends_with("/api/mcp/status")
}

/// What one interface came to.
enum Found {
    Fine(String),
    /// It wants a key, or is busy: nothing is proved.
    Unknown(String),
    Wrong(Box<Verdict>),
}

async fn look(case: &Case) -> Step {
    let Some(line) = case.line() else { return Step::cannot_tell("no connection") };
    let spoken = case.facts.spoken.as_ref();
    let speaks = |protocol| {
        spoken.is_some_and(|s| s.protocol == Some(protocol) || s.also.contains(&protocol))
    };
    let mut found = Vec::new();
    if case.facts.answer().is_some() {
        if !is_status(case) {
            found.push(got(&line, "/health", HEALTH).await);
        }
        found.push(got(&line, "/api/mcp/status", STATUS).await);
    }
    let has_lines = speaks(Protocol::JsonLines) && line.peer.is_none();
    if has_lines {
        found.push(refusal(&line).await);
    }
    if let Some(model) = &case.ask {
        found.extend(turns(&line, model, case.facts.answer().is_some(), has_lines).await);
    }
    let (mut fine, mut unknown) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Found::Wrong(verdict) => return Step::name(*verdict),
            Found::Fine(text) => fine.push(text),
            Found::Unknown(text) => unknown.push(text),
        }
    }
    if fine.is_empty() {
        return Step::cannot_tell(unknown.join("; "));
    }
    let asked = if case.ask.is_some() { "" } else { " (no turn: --ask MODEL makes one)" };
    Step::pass(format!("{} answer as documented{asked}", fine.join(", "))).seen(unknown)
}

async fn got(line: &Line, path: &str, shape: &[(&str, Kind)]) -> Found {
    let headers: &[(&str, &str)] = &[("Accept", "application/json")];
    let question = Question { method: "GET", path, headers, body: "", limit: QUICK };
    let (_, answer) = line.ask(&question).await;
    judge(&format!("GET {path}"), answer.as_ref(), shape, |_| None)
}

/// One turn over HTTP and one as a line, each in a context of its own that is deleted afterwards.
async fn turns(line: &Line, model: &str, http: bool, lines: bool) -> Vec<Found> {
    let moment = jiff::Timestamp::now().as_nanosecond();
    let body = |session: &str| {
        let context = json!({ "made_by": "rapport doctor" });
        json!({ "sessionId": session, "message": MESSAGE, "context": context, "model": model })
            .to_string()
    };
    let mut found = Vec::new();
    let mut made = Vec::new();
    if http {
        let session = format!("rapport-doctor-{moment:x}-http");
        let (body, path) = (body(&session), "/api/mcp/interact");
        let headers: &[(&str, &str)] = &[("Content-Type", "application/json")];
        let question = Question { method: "POST", path, headers, body: &body, limit: SLOW };
        let (_, answer) = line.ask(&question).await;
        found.push(judge("POST /api/mcp/interact", answer.as_ref(), INTERACT, |value| {
            said(value, &session)
        }));
        made.push(session);
    }
    if lines {
        let session = format!("rapport-doctor-{moment:x}-line");
        let reply = tell(line, &body(&session), SLOW).await;
        let value = reply.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
        found.push(match value {
            Some(value) if value.get("error").is_some() && value.get("response").is_none() => {
                Found::Unknown(format!("the line is refused: {}", brief(&value.to_string())))
            }
            Some(value) => shaped("the TCP line", &value, INTERACT, said(&value, &session)),
            None => Found::Wrong(Box::new(no_shape("the TCP line", reply.as_deref()))),
        });
        made.push(session);
    }
    for session in made.iter().filter(|_| http) {
        let path = format!("/mcp/context/{session}");
        let question =
            Question { method: "DELETE", path: &path, headers: &[], body: "", limit: QUICK };
        let (_, answer) = line.ask(&question).await;
        // Where nothing was made there is nothing to delete.
        if !answer.is_some_and(|answer| matches!(answer.status, 200 | 204 | 404)) {
            found.push(Found::Unknown(format!(
                "the context {session} could not be deleted: rapport context delete {session}"
            )));
        }
    }
    if !http && let Some(session) = made.first() {
        found.push(Found::Unknown(format!("the session {session} stays: a line deletes none")));
    }
    found
}

/// What an answer must say besides its shape: the same session, and the message it was told.
fn said(value: &Value, session: &str) -> Option<String> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if text("/sessionId") != session {
        let other = brief(text("/sessionId"));
        return Some(format!("`sessionId` is {other} and not the one that was sent"));
    }
    if text("/updatedContext/last_message") != MESSAGE {
        return Some("`updatedContext.last_message` is not the message that was sent".to_owned());
    }
    text("/response").trim().is_empty().then(|| "`response` is empty".to_owned())
}

/// The answer to a line that is no JSON: a line that says so, and the connection stays.
async fn refusal(line: &Line) -> Found {
    match tell(line, "rapport-doctor asks for the refusal of this line", QUICK).await {
        Some(text) if text.starts_with("ERROR: Invalid JSON format") || is_error(&text) => {
            Found::Fine("a TCP line".to_owned())
        }
        other => Found::Wrong(Box::new(no_shape("a TCP line that is no JSON", other.as_deref()))),
    }
}

fn is_error(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|value| value.get("error").is_some())
}

/// Sends one line and reads one.
async fn tell(line: &Line, text: &str, limit: Duration) -> Option<String> {
    let (_, stream) = open(line.address, QUICK).await;
    let mut stream = stream?;
    let work = async {
        stream.write_all(format!("{text}\n").as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        let mut part = [0_u8; 4096];
        while !bytes.contains(&b'\n') && bytes.len() < LINE_BYTES_MAX {
            let count = stream.read(&mut part).await.ok()?;
            if count == 0 {
                break;
            }
            bytes.extend_from_slice(part.get(..count)?);
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        text.lines().next().map(str::to_owned)
    };
    tokio::time::timeout(limit, work).await.ok().flatten()
}

fn judge(
    name: &str,
    answer: Option<&Answer>,
    shape: &[(&str, Kind)],
    more: impl FnOnce(&Value) -> Option<String>,
) -> Found {
    let Some(answer) = answer else {
        return Found::Unknown(format!("{name} was not answered in time"));
    };
    match answer.status {
        200..=299 => {}
        404 | 405 => {
            let verdict = wrong(format!("the server does not have {name}"));
            return Found::Wrong(Box::new(verdict.because(answer.line())));
        }
        401 | 403 => return Found::Unknown(format!("{name} wants a key, and none is sent")),
        status => return Found::Unknown(format!("{name} is answered with HTTP {status}")),
    }
    match answer.json() {
        Some(value) => {
            let more = more(&value);
            shaped(name, &value, shape, more)
        }
        None => Found::Wrong(Box::new(no_shape(name, Some(&answer.body)))),
    }
}

fn shaped(name: &str, value: &Value, shape: &[(&str, Kind)], more: Option<String>) -> Found {
    let faults = shape.iter().filter_map(|(path, kind)| fault(value, path, *kind));
    let faults: Vec<String> = faults.collect();
    let fault = faults.first().cloned().or(more);
    let Some(fault) = fault else { return Found::Fine(name.to_owned()) };
    let verdict = wrong(format!("the reply to {name} is not as documented: {fault}"));
    let others = faults.into_iter().skip(1);
    let said = format!("it is {}", brief(&value.to_string()));
    Found::Wrong(Box::new(verdict.because_all(others).because(said)))
}

/// What is wrong with one field.
fn fault(value: &Value, path: &str, kind: Kind) -> Option<String> {
    let name = path.trim_start_matches('/').replace('/', ".");
    let Some(field) = value.pointer(path) else {
        return Some(format!("the field `{name}` is missing"));
    };
    let (is, wanted) = match kind {
        Text => (field.is_string(), "text"),
        Number => (field.is_number(), "a number"),
        Object => (field.is_object(), "an object"),
        List => (field.is_array(), "a list"),
    };
    let really = match field {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    (!is).then(|| format!("the field `{name}` is {really} and not {wanted}"))
}

fn no_shape(name: &str, said: Option<&str>) -> Verdict {
    let said =
        said.map_or_else(|| "nothing came".to_owned(), |text| format!("it is {}", brief(text)));
    wrong(format!("the reply to {name} is not as documented: it is no JSON object")).because(said)
}

fn wrong(sentence: String) -> Verdict {
    Verdict::likely("api.shape", sentence)
        .fix(Fix::run(
            "see the shape that is documented",
            "curl http://localhost:61900/openapi.json",
        ))
        .fix(Fix::say(
            "server and clients may be of different versions, or a proxy between them changes \
             replies: update the older one, or ask the server itself",
        ))
}

/// The beginning of a reply, without secrets.
fn brief(text: &str) -> String {
    let mut shown = String::new();
    let _infallible = write!(shown, "`{}`", redact::line(text));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_checked_by_name_and_kind() {
        let value = json!({ "status": "ok", "version": 1, "checks": { "store": {} } });
        let Found::Wrong(verdict) = shaped("GET /health", &value, HEALTH, None) else {
            panic!("it is not as documented")
        };
        assert!(verdict.sentence.ends_with("the field `version` is a number and not text"));
        assert_eq!(verdict.evidence[0], "the field `checks.provider` is missing");
        let said = json!({ "sessionId": "b", "response": "x", "updatedContext":
                           { "last_message": MESSAGE, "made_by": "y" } });
        assert!(super::said(&said, "a").unwrap().contains("`sessionId` is `b`"));
        assert_eq!(super::said(&said, "b"), None);
    }
}
