//! What the Model Context Protocol demands of an answer, whatever carried it.
//!
//! Asks `initialize` and `tools/list` only: no tool is called, and nothing is made.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::report::{Fix, Verdict};

/// What some programs write before their first word: EF BB BF.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// The revisions that clients know, the oldest first.
pub(crate) const REVISIONS: &[&str] =
    &["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// The revision that is offered: the newest with `initialize`.
pub(crate) const OFFERED: &str = "2025-11-25";

/// The code of a server that does not speak the offered revision.
const UNSUPPORTED_REVISION: i64 = -32022;

/// The code of a method that does not exist.
const NO_METHOD: i64 = -32601;

/// Limit: tools that are looked at.
const TOOLS_MAX: usize = 500;

/// The request that opens a session.
pub(crate) fn initialize() -> String {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": OFFERED,
            "capabilities": {},
            "clientInfo": { "name": "rapport-doctor", "version": env!("CARGO_PKG_VERSION") },
        },
    })
    .to_string()
}

/// The notification that follows the answer.
pub(crate) fn initialized() -> String {
    json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string()
}

/// The request for the list of tools.
pub(crate) fn tools() -> String {
    json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }).to_string()
}

/// What a server says of itself in a right answer to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) revision: String,
    pub(crate) server: String,
    pub(crate) has_tools: bool,
}

/// Reads the answer to `initialize`.
pub(crate) fn hello(answer: &Value) -> Result<Hello, Box<Verdict>> {
    let result = result(answer, 1).map_err(|verdict| Box::new(refused(*verdict, answer)))?;
    let Some(revision) = result.get("protocolVersion").and_then(Value::as_str) else {
        let sentence = "the answer to initialize has no protocolVersion";
        return Err(Box::new(
            Verdict::certain("mcp.bad_initialize", sentence)
                .because(brief(answer))
                .fix(Fix::say("mend the server: the result needs protocolVersion, as a text")),
        ));
    };
    if !REVISIONS.contains(&revision) {
        return Err(Box::new(strange_revision(revision)));
    }
    let server = result.get("serverInfo").unwrap_or(&Value::Null);
    let text = |key: &str| server.get(key).and_then(Value::as_str).unwrap_or_default();
    let server = format!("{} {}", text("name"), text("version")).trim().to_owned();
    let has_tools = result.pointer("/capabilities/tools").is_some();
    Ok(Hello { revision: revision.to_owned(), server, has_tools })
}

fn strange_revision(revision: &str) -> Verdict {
    let sentence = format!("the server answers with MCP revision `{revision}`, unknown to clients");
    Verdict::certain("mcp.version_mismatch", sentence)
        .because(format!("{OFFERED} was offered; known are {}", REVISIONS.join(", ")))
        .fix(Fix::say("update the client, or pin the server to a version with a known revision"))
}

/// An error in the place of a session.
fn refused(verdict: Verdict, answer: &Value) -> Verdict {
    let error = answer.get("error").unwrap_or(&Value::Null);
    let code = error.get("code").and_then(Value::as_i64);
    let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let lower = message.to_ascii_lowercase();
    let supported: Vec<&str> = error
        .pointer("/data/supported")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    if code == Some(UNSUPPORTED_REVISION) && !supported.iter().any(|one| *one < "2026") {
        let sentence = "the server speaks only the revision without sessions (2026-07-28)";
        return Verdict::certain("mcp.modern_only", sentence)
            .because(format!("it refuses initialize: {message} ({UNSUPPORTED_REVISION})"))
            .fix(Fix::say("use a client that knows the revision 2026-07-28 (server/discover)"));
    }
    if code == Some(UNSUPPORTED_REVISION) || lower.contains("version") && code.is_some() {
        let sentence = format!("the server refuses MCP revision {OFFERED}");
        let only = if supported.is_empty() { String::new() } else { supported.join(", ") };
        return Verdict::certain("mcp.version_mismatch", sentence)
            .because(format!("it says: {message} {only}").trim().to_owned())
            .fix(Fix::say("use a client that offers what it supports, or update the server"));
    }
    verdict
}

/// Takes the result out of an answer to request `id`.
pub(crate) fn result(answer: &Value, id: i64) -> Result<&Value, Box<Verdict>> {
    let bug = |id: &'static str, sentence: String| {
        Box::new(
            Verdict::certain(id, sentence)
                .because(brief(answer))
                .fix(Fix::say("mend the server: clients drop such an answer and wait for ever")),
        )
    };
    if answer.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        let sentence = "the answer lacks \"jsonrpc\": \"2.0\"".to_owned();
        return Err(bug("mcp.bad_jsonrpc", sentence));
    }
    if let Some(error) = answer.get("error") {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
        let verdict = if code == NO_METHOD && id != 1 {
            let sentence = "the server announces tools and does not know tools/list";
            Verdict::certain("mcp.method_not_found", sentence)
                .fix(Fix::say("mend the server: it must answer what it announces"))
        } else {
            let sentence = format!("the server fails on its first request: {message} ({code})");
            Verdict::certain("mcp.init_error", sentence)
                .fix(Fix::say("its log has the reason, at the time of this request"))
        };
        return Err(Box::new(verdict.because(format!("it says: {message} ({code})"))));
    }
    match answer.get("id") {
        Some(Value::Number(number)) if number.as_i64() == Some(id) => {}
        other => {
            let shown = other.map_or_else(|| "none".to_owned(), Value::to_string);
            let sentence = format!("the answer carries the id {shown} for the request {id}");
            return Err(bug("mcp.id_mismatch", sentence));
        }
    }
    answer.get("result").ok_or_else(|| {
        bug("mcp.bad_initialize", "the answer has neither a result nor an error".to_owned())
    })
}

/// Reads the answer to `tools/list`: how many there are, or what clients refuse about them.
pub(crate) fn tool_list(answer: &Value) -> Result<usize, Box<Verdict>> {
    let result = result(answer, 2)?;
    let Some(tools) = result.get("tools").and_then(Value::as_array) else {
        return Err(bad_tools(vec!["the result has no list `tools`".to_owned()]));
    };
    let faults: Vec<String> = tools.iter().take(TOOLS_MAX).filter_map(tool_fault).collect();
    if faults.is_empty() { Ok(tools.len()) } else { Err(bad_tools(faults)) }
}

fn bad_tools(faults: Vec<String>) -> Box<Verdict> {
    let first = faults.first().cloned().unwrap_or_default();
    let sentence = format!("clients refuse the list of tools: {first}");
    let fix = "give each tool a name of letters, digits, `_`, `-`, `.`, and an inputSchema with \
               \"type\": \"object\"";
    Box::new(
        Verdict::certain("mcp.bad_tool_schema", sentence)
            .because_all(faults.into_iter().take(5))
            .fix(Fix::say(fix)),
    )
}

fn tool_fault(tool: &Value) -> Option<String> {
    let Some(name) = tool.get("name").and_then(Value::as_str) else {
        return Some("a tool has no name".to_owned());
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if name.is_empty() || name.len() > 128 || !name.chars().all(legal) {
        return Some(format!("the tool `{}` has an illegal name", name.escape_debug()));
    }
    let kind = tool.pointer("/inputSchema/type").and_then(Value::as_str);
    (kind != Some("object"))
        .then(|| format!("the inputSchema of the tool `{name}` is not of type object"))
}

/// A message, cut to what fits on a line.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    let short: String = text.chars().take(120).collect();
    if short.len() < text.len() {
        format!("it answered {short}…")
    } else {
        format!("it answered {short}")
    }
}
