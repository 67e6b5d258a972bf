//! `rapport message`: sends a message to a context, or only stores one.

use clap::{Args, Subcommand};
use serde_json::json;

use super::reach::{Client, Reach};
use super::{Frame, given, speech};
use crate::print::Exit;
use crate::remote::{Ask, Failure, PathOf};

/// Flags of `message`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Send a message and print the model's reply as it comes
    Send(Send),
    /// Store a message without asking a model
    Add(Add),
}

#[derive(Clone, Debug, Args)]
struct Send {
    /// The context; `-` or nothing is the current one
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    #[command(flatten)]
    said: SaidTo,
}

/// A message and how it shall be answered.
#[derive(Clone, Debug, Args)]
pub(crate) struct SaidTo {
    /// What to say; `-` reads it from standard input
    #[arg(required = true)]
    message: Vec<String>,
    /// Model of this turn, as NAME or PROVIDER/NAME
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Instructions of this turn
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Merge patch over the state before the model answers, as a JSON object
    #[arg(long, value_name = "JSON")]
    state: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct Add {
    /// The context; `-` or nothing is the current one
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    /// user, assistant, system or tool
    #[arg(long, value_name = "ROLE", default_value = "user")]
    role: String,
    /// What was said; `-` reads it from standard input
    #[arg(required = true)]
    message: Vec<String>,
}

/// Sends or stores the message.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| match &options.verb {
        Verb::Send(send) => say(client, send.context.as_deref(), &send.said).await,
        Verb::Add(add) => store(client, add).await,
    })
}

/// Sends a message to a context and prints the reply.
///
/// # Errors
/// Of every class.
pub(super) async fn say(
    client: &mut Client<'_>,
    context: Option<&str>,
    said: &SaidTo,
) -> Result<(), Failure> {
    let id = client.context(context)?;
    let mut body = json!({"message": given::text(&said.message)?});
    if let Some(body) = body.as_object_mut() {
        let words = [("model", &said.model), ("system", &said.system)];
        for (name, value) in words {
            body.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
        }
        if let Some(text) = &said.state {
            body.insert("state".to_owned(), given::object(text, "--state")?);
        }
    }
    let path = PathOf::new("/api/v1/contexts").then(&id).then("turns");
    speech::speak(client, &Ask::post(path, &body).once().streaming()).await.map(drop)
}

async fn store(client: &mut Client<'_>, add: &Add) -> Result<(), Failure> {
    let id = client.context(add.context.as_deref())?;
    let body = json!({"role": add.role, "content": given::text(&add.message)?});
    let path = PathOf::new("/api/v1/contexts").then(&id).then("messages");
    let reply = client.server.json(&Ask::post(path, &body).once()).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("stored in `{id}`"));
    }
    Ok(())
}
