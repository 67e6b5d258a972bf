//! `rapport mcp call`: one tool of a joined server, called by hand.

use clap::Args;
use serde_json::{Value, json};

use super::super::given;
use super::super::reach::Client;
use super::super::table::said;
use crate::remote::{Ask, Class, Failure, PathOf};

/// Flags of `mcp call`.
#[derive(Clone, Debug, Args)]
pub(super) struct Call {
    /// The joined server
    server: String,
    /// The tool, by the name it has there
    tool: String,
    /// Its arguments as a JSON object; `-` reads them from standard input
    arguments: Option<String>,
}

/// Calls the tool at the running server and shows what it says.
pub(super) async fn call(client: &mut Client<'_>, call: &Call) -> Result<(), Failure> {
    let arguments = match &call.arguments {
        Some(text) => given::object(&given::text(std::slice::from_ref(text))?, "ARGUMENTS")?,
        None => json!({}),
    };
    let path = PathOf::new("/api/v1/mcp/servers").then(&call.server).then("tools").then(&call.tool);
    let reply = client.server.json(&Ask::post(path, &arguments)).await?;
    let field = |name: &str| reply.value.get(name).unwrap_or(&Value::Null);
    let failed = field("is_error") == &Value::Bool(true);
    let words = match said(field("content")) {
        words if words.is_empty() => field("structured_content").to_string(),
        words => words,
    };
    if client.is_json() {
        client.raw(&reply.raw);
    } else if !failed {
        client.printer.line(&words);
    }
    if failed {
        let text = format!("`{}` of `{}` failed: {words}", call.tool, call.server);
        return Err(Failure::new(Class::Problem, text));
    }
    Ok(())
}
