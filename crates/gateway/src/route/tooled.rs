//! What is written down of a call to a tool of a joined server: the same list as model calls.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::case::{Case, Cases};

/// A call to a tool that is over.
#[derive(Debug)]
pub(crate) struct ToolCall<'a> {
    /// Whose it was.
    pub(crate) tenant: u32,
    /// The context in whose turn it was called.
    pub(crate) context: Option<Arc<str>>,
    /// The joined server.
    pub(crate) server: &'a str,
    /// The tool, by the server's own name.
    pub(crate) tool: &'a str,
    /// `ok`, `tool_error`, `refused` or the code of a fault.
    pub(crate) word: &'a str,
    /// From the request to the result.
    pub(crate) took: Duration,
}

impl Cases {
    /// Writes a call to a tool down.
    pub(crate) fn tool(&self, call: &ToolCall<'_>) {
        let took_ms = (call.took.as_secs_f64() * 1e6).round() / 1e3;
        // What the server did is its own; what did not reach it is its fault.
        let culprit = match call.word {
            "ok" | "tool_error" | "refused" => None,
            _ => Some("upstream"),
        };
        self.keep(Case {
            id: uuid::Uuid::now_v7().simple().to_string().into(),
            tenant: call.tenant,
            at: Timestamp::now(),
            dialect: "mcp",
            context: call.context.clone(),
            // `CONTEXT.TURN` names the call to the model, not those to its tools.
            turn: None,
            model_asked: None,
            stream: false,
            route: None,
            plan: Vec::new(),
            attempts: Vec::new(),
            outcome: call.word.to_owned(),
            culprit,
            provider: Some(call.server.to_owned()),
            model: Some(call.tool.to_owned()),
            took_ms,
            first_ms: None,
            usage: None,
            cost_usd: None,
            cost_note: "a tool of a joined server".to_owned(),
        });
    }
}
