//! `rapport interact`: says something in a session, which comes into being on first use.

use clap::Args;
use serde_json::json;

use super::reach::{Client, Reach};
use super::{Frame, given};
use crate::print::Exit;
use crate::remote::{Ask, Failure};

/// Flags of `interact`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The session
    session: String,
    /// What to say; `-` reads it from standard input
    #[arg(required = true)]
    message: Vec<String>,
    /// Facts to put into the session's state, as a JSON object
    #[arg(long, value_name = "JSON")]
    context: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// Sends the message.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| interact(client, options).await)
}

async fn interact(client: &mut Client<'_>, options: &Options) -> Result<(), Failure> {
    let mut body = json!({"sessionId": options.session, "message": given::text(&options.message)?});
    if let Some(text) = &options.context
        && let Some(body) = body.as_object_mut()
    {
        body.insert("context".to_owned(), given::object(text, "--context")?);
    }
    let ask = Ask::post("/api/mcp/interact", &body).once();
    let reply = client.server.json(&ask).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(reply.text("response"));
    }
    Ok(())
}
