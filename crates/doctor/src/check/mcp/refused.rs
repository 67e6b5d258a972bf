//! What it means that a server does not take `initialize`.

use serde_json::Value;

use super::{Endpoint, TRY};
use crate::mcp;
use crate::probe::http::Answer;
use crate::probe::talk::Question;
use crate::report::{Fix, Verdict};

/// Where servers offer MCP when it is not at the address that was given.
const PATHS: &[&str] = &["/mcp", "/mcp/", "/"];

pub(super) async fn judge(endpoint: &Endpoint<'_>, answer: &Answer) -> Verdict {
    let text = answer.body.to_ascii_lowercase();
    let said: String = answer.body.chars().filter(|c| !c.is_control()).take(120).collect();
    let verdict = match answer.status {
        401 => login(endpoint, answer).await,
        403 | 421 if text.contains("host") || answer.status == 421 => host(endpoint),
        403 if text.contains("origin") => {
            Verdict::certain("mcp.origin_rejected", "the server refuses this client's Origin")
                .fix(Fix::say("add the client's origin to the server's allowed origins"))
        }
        406 => {
            let sentence = "the server does not see the Accept header that was sent to it";
            Verdict::certain("mcp.not_acceptable", sentence).fix(Fix::say(
                "let the proxy in front pass `Accept: application/json, text/event-stream`",
            ))
        }
        404 | 405 | 501 | 300..=399 => elsewhere(endpoint, answer).await,
        400 => match answer.json().map(|message| mcp::hello(&message)) {
            Some(Err(verdict)) if verdict.id != "mcp.bad_jsonrpc" => *verdict,
            Some(_) | None if text.contains("version") => {
                let sentence = format!("the server refuses MCP revision {}", mcp::OFFERED);
                Verdict::likely("mcp.version_mismatch", sentence)
                    .fix(Fix::say("update the server, or use a client that offers what it knows"))
            }
            Some(_) | None => failed(answer),
        },
        _ => failed(answer),
    };
    if said.is_empty() { verdict } else { verdict.because(format!("it says: {said}")) }
}

fn failed(answer: &Answer) -> Verdict {
    let sentence = format!("the server answers initialize with HTTP {}", answer.status);
    Verdict::certain("mcp.init_error", sentence)
        .fix(Fix::say("its log has the reason, at the time of this request"))
}

fn host(endpoint: &Endpoint<'_>) -> Verdict {
    let host = &endpoint.line.host;
    let other = format!("http://127.0.0.1:{}{}", endpoint.line.address.port(), endpoint.path);
    Verdict::certain("mcp.host_rejected", format!("the server does not accept the host `{host}`"))
        .fix(Fix::say(format!("use {other}, or add `{host}` to its allowed hosts")))
}

/// A 401: clients log in when the document it names is there.
async fn login(endpoint: &Endpoint<'_>, answer: &Answer) -> Verdict {
    let header = answer.header("www-authenticate").unwrap_or_default();
    let named = header.split("resource_metadata=").nth(1).map(|rest| {
        let rest = rest.trim_start_matches('"');
        rest.split(['"', ',', ' ']).next().unwrap_or_default().to_owned()
    });
    if let Some(url) = &named
        && let Some(path) = url.strip_prefix(&endpoint.base)
    {
        let question = Question { method: "GET", path, headers: &[], body: "", limit: TRY };
        let found = endpoint.line.ask(&question).await.1;
        if let Some(status) = found.map(|answer| answer.status).filter(|status| *status >= 400) {
            let sentence = "clients cannot log in: the document that says where is not there";
            return Verdict::certain("mcp.auth_metadata", sentence)
                .because(format!("{url} gives HTTP {status}"))
                .fix(Fix::say(format!("serve the OAuth resource metadata at {path}")));
        }
    }
    let sentence = "the server works and wants to know who asks";
    let asked = if header.is_empty() {
        "it does not say how (no `WWW-Authenticate`)".to_owned()
    } else {
        format!("it answers `WWW-Authenticate: {header}`")
    };
    Verdict::certain("mcp.auth_required", sentence)
        .because(asked)
        .fix(Fix::say("log in with the client, or give it `Authorization: Bearer TOKEN`"))
}

/// Nothing takes `initialize` here: MCP may be at another path, or be the old transport.
async fn elsewhere(endpoint: &Endpoint<'_>, answer: &Answer) -> Verdict {
    for path in PATHS.iter().filter(|path| **path != endpoint.path) {
        let other = Endpoint { line: endpoint.line.clone(), path, base: endpoint.base.clone() };
        let found = other.post(&[], &mcp::initialize(), TRY).await.1;
        let is_mcp = found.is_some_and(|answer| {
            answer.status < 300 && super::message(&answer).is_ok_and(|message| is_rpc(&message))
        });
        if is_mcp {
            let sentence = format!("there is no MCP server at {}, but at {path}", endpoint.path);
            return Verdict::certain("mcp.wrong_path", sentence)
                .fix(Fix::say(format!("use {}{path}", endpoint.base)));
        }
    }
    let question = Question {
        method: "GET",
        path: "/sse",
        headers: &[("Accept", "text/event-stream")],
        body: "",
        limit: TRY,
    };
    let stream = endpoint.line.ask(&question).await.1;
    if stream.is_some_and(|answer| {
        answer.kind() == "text/event-stream" && answer.body.contains("event: endpoint")
    }) {
        let sentence = "the server speaks only the old transport, HTTP+SSE of 2024-11-05";
        return Verdict::certain("mcp.legacy_transport", sentence)
            .because("GET /sse opens a stream with the event `endpoint`")
            .fix(Fix::say(format!("use {}/sse with the transport `sse`", endpoint.base)));
    }
    let sentence = format!("there is no MCP server at {} (HTTP {})", endpoint.path, answer.status);
    Verdict::likely("mcp.wrong_path", sentence)
        .fix(Fix::say("check the path in the server's documentation; /mcp is usual"))
}

fn is_rpc(message: &Value) -> bool {
    message.get("jsonrpc").is_some()
}
