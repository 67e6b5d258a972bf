//! Rung 5: the server opens a session of the Model Context Protocol and lists its tools.

mod refused;

use std::time::Duration;

use serde_json::Value;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::credential;
use crate::mcp;
use crate::probe::http::{Answer, End, Reply};
use crate::probe::talk::{Line, Question, events};
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Mcp;

/// Limit: the answer to `initialize`; clients wait longer, people do not.
const LIMIT: Duration = Duration::from_millis(4000);

/// Limit: each further request.
const TRY: Duration = Duration::from_millis(1500);

const ACCEPT: (&str, &str) = ("Accept", "application/json, text/event-stream");
const CONTENT: (&str, &str) = ("Content-Type", "application/json");
const REVISION: &str = "MCP-Protocol-Version";
const SESSION: &str = "Mcp-Session-Id";

impl Check for Mcp {
    fn about(&self) -> About {
        About {
            id: "mcp",
            title: "Model Context Protocol",
            proves: "the server answers initialize and tools/list as MCP clients expect",
            rung: 5,
            budget: Duration::from_millis(7000),
            verdicts: VERDICTS,
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if !case.expects_mcp() {
            return Some("the address does not ask for MCP over HTTP".to_owned());
        }
        let spoken = case.facts.spoken.as_ref();
        let nothing = spoken.is_none_or(|spoken| spoken.answer.is_none() && spoken.reply.is_none());
        nothing.then(|| "no HTTP answer".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// Every verdict of this check.
const VERDICTS: &[&str] = &[
    "auth.clock_skew",
    "auth.key_quoted",
    "auth.key_whitespace",
    "auth.token_expired",
    "mcp.auth_metadata",
    "mcp.auth_required",
    "mcp.bad_initialize",
    "mcp.bad_json",
    "mcp.bad_jsonrpc",
    "mcp.bad_tool_schema",
    "mcp.host_rejected",
    "mcp.html",
    "mcp.id_mismatch",
    "mcp.init_error",
    "mcp.legacy_transport",
    "mcp.method_not_found",
    "mcp.modern_only",
    "mcp.not_acceptable",
    "mcp.origin_rejected",
    "mcp.session_header_lost",
    "mcp.session_lost",
    "mcp.slow_init",
    "mcp.version_mismatch",
    "mcp.wrong_content_type",
    "mcp.wrong_path",
];

/// One MCP endpoint and how to reach it.
#[derive(Debug)]
pub(super) struct Endpoint<'a> {
    pub(super) line: Line,
    pub(super) path: &'a str,
    /// `http://host:port`, without a path.
    pub(super) base: String,
}

async fn look(case: &Case) -> Step {
    let (Some(target), Some(line)) = (case.address(), case.line()) else {
        return Step::cannot_tell("there is no connection");
    };
    let scheme = if line.peer.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{}", line.host);
    let path = target.path.as_deref().unwrap_or("/");
    let endpoint = Endpoint { line, path, base };
    if let Some(step) = old_transport(case) {
        return step;
    }
    let (reply, answer) = endpoint.post(&[], &mcp::initialize(), LIMIT).await;
    let Some(answer) = answer else { return Step::name(no_answer(&reply)) };
    match open(&endpoint, &answer).await {
        Ok(hello) => session(&endpoint, &answer, hello).await,
        Err(verdict) => {
            let verdict = credential::named(verdict, case.environment.credentials());
            Step::name(verdict.because(line_of(&answer)))
        }
    }
}

fn line_of(answer: &Answer) -> String {
    answer.line().replacen("GET", "POST initialize to", 1)
}

/// The address is that of the old transport, which clients still speak when they are told so.
fn old_transport(case: &Case) -> Option<Step> {
    let answer = case.facts.answer()?;
    let is_old = answer.kind() == "text/event-stream" && answer.path.ends_with("/sse");
    is_old.then(|| Step::warn("the old transport HTTP+SSE of 2024-11-05; newer clients leave it"))
}

fn no_answer(reply: &Reply) -> Verdict {
    if reply.stop == End::Silent {
        let sentence = format!("the server does not answer initialize within {LIMIT:?}");
        return Verdict::likely("mcp.slow_init", sentence).fix(Fix::say(
            "see what it does when it starts (a download, a login), or raise MCP_TIMEOUT",
        ));
    }
    Verdict::certain("mcp.init_error", "the server hangs up on initialize")
        .fix(Fix::say("its log has the reason, at the time of this request"))
}

/// Judges the answer to `initialize`.
async fn open(endpoint: &Endpoint<'_>, answer: &Answer) -> Result<mcp::Hello, Verdict> {
    if answer.status >= 300 {
        return Err(refused::judge(endpoint, answer).await);
    }
    let message = message(answer).map_err(|verdict| *verdict)?;
    let hello = mcp::hello(&message).map_err(|verdict| *verdict)?;
    let kind = answer.kind();
    if !matches!(kind.as_str(), "application/json" | "text/event-stream") {
        let sentence = format!("the answer has the content type `{kind}`, which clients refuse");
        return Err(Verdict::certain("mcp.wrong_content_type", sentence)
            .fix(Fix::say("answer with application/json or text/event-stream")));
    }
    Ok(hello)
}

/// The JSON-RPC message in an answer, as JSON or as the first event that answers.
fn message(answer: &Answer) -> Result<Value, Box<Verdict>> {
    if answer.kind() == "text/html" {
        let sentence = format!("a web page answers at {}, and no MCP server", answer.path);
        let fix = Fix::say("use the address of the MCP server; this is a page for people");
        return Err(Box::new(Verdict::certain("mcp.html", sentence).fix(fix)));
    }
    let text = if answer.kind() == "text/event-stream" {
        let events = events(&answer.body);
        let answers = |data: &&String| data.contains("\"id\"");
        events.iter().find(answers).or(events.first()).cloned().unwrap_or_default()
    } else {
        answer.body.clone()
    };
    serde_json::from_str(&text).map_err(|error| {
        let shown: String = text.chars().take(80).collect();
        let fix = "mend the server: it writes JSON by hand, or something cuts the answer";
        let verdict = Verdict::certain("mcp.bad_json", "the answer to initialize is no valid JSON")
            .because(format!("the reader says: {error}; it begins {shown}"));
        Box::new(verdict.fix(Fix::say(fix)))
    })
}

/// Goes on as a client would: the notification, then the list of tools, then the end.
async fn session(endpoint: &Endpoint<'_>, answer: &Answer, hello: mcp::Hello) -> Step {
    let id = answer.header("mcp-session-id").map(str::to_owned);
    let mut headers: Vec<(&str, &str)> = vec![(REVISION, &hello.revision)];
    if let Some(id) = &id {
        headers.push((SESSION, id));
    }
    let note = endpoint.post(&headers, &mcp::initialized(), TRY).await.1;
    let listed = match note.as_ref().and_then(|answer| lost(answer, id.is_some())) {
        Some(verdict) => Err(verdict),
        None if hello.has_tools => list(endpoint, &headers, id.is_some()).await,
        None => Ok(None),
    };
    if id.is_some() {
        let question = Question {
            method: "DELETE",
            path: endpoint.path,
            headers: &headers,
            body: "",
            limit: TRY,
        };
        endpoint.line.ask(&question).await;
    }
    let tools = match listed {
        Ok(Some(number)) => format!(", {number} tools"),
        Ok(None) => String::new(),
        Err(verdict) => return Step::name(verdict),
    };
    let summary = format!("MCP {} of `{}`{tools}", hello.revision, hello.server);
    if refuses_browsers(endpoint).await {
        // The protocol demands it, against pages that reach for local ports.
        return Step::pass(format!(
            "{summary}; pages of other origins are turned away, as they should be"
        ));
    }
    Step::pass(summary)
}

async fn list(
    endpoint: &Endpoint<'_>,
    headers: &[(&str, &str)],
    has_id: bool,
) -> Result<Option<usize>, Verdict> {
    let Some(answer) = endpoint.post(headers, &mcp::tools(), TRY).await.1 else {
        return Ok(None);
    };
    if let Some(verdict) = lost(&answer, has_id) {
        return Err(verdict);
    }
    let Ok(message) = message(&answer) else { return Ok(None) };
    mcp::tool_list(&message).map(Some).map_err(|verdict| *verdict)
}

/// The session that was opened is not known any more.
fn lost(answer: &Answer, has_id: bool) -> Option<Verdict> {
    let text = answer.body.to_ascii_lowercase();
    if !matches!(answer.status, 400 | 404) || !text.contains("session") {
        return None;
    }
    let said: String = answer.body.chars().take(120).collect();
    let said = format!("the second request gave HTTP {}: {said}", answer.status);
    Some(if has_id {
        let sentence = "the server forgets its sessions at once: several workers, or restarts";
        Verdict::likely("mcp.session_lost", sentence).because(said).fix(Fix::say(
            "run one worker, or send a session always to the same one, or serve without sessions",
        ))
    } else {
        let sentence = "the server demands a session id, and its first answer carries none";
        Verdict::certain("mcp.session_header_lost", sentence).because(said).fix(Fix::say(
            "let the proxy in front pass the header Mcp-Session-Id in both directions",
        ))
    })
}

/// Whether a page of another local port (the MCP Inspector) is turned away.
async fn refuses_browsers(endpoint: &Endpoint<'_>) -> bool {
    let origin = [("Origin", "http://localhost:6274")];
    let answer = endpoint.post(&origin, &mcp::initialize(), TRY).await.1;
    answer.is_some_and(|answer| answer.status == 403)
}

impl Endpoint<'_> {
    pub(super) async fn post(
        &self,
        headers: &[(&str, &str)],
        body: &str,
        limit: Duration,
    ) -> (Reply, Option<Answer>) {
        let mut all = vec![ACCEPT, CONTENT];
        all.extend_from_slice(headers);
        let question = Question { method: "POST", path: self.path, headers: &all, body, limit };
        self.line.ask(&question).await
    }
}
