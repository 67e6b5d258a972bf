//! `rapport context fork` and `search`: branch off from a conversation, find what was said.

use clap::Args;
use serde_json::{Map, Value};

use super::{find, path};
use crate::command::reach::Client;
use crate::remote::{Ask, Failure, PathOf};

/// Flags of `context fork`.
#[derive(Clone, Debug, Args)]
pub(super) struct Fork {
    /// The context; `-` is the current one
    id: String,
    /// The last message that both share; the newest when left out
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
    /// From this checkpoint on, with the state it had
    #[arg(long, value_name = "NAME", conflicts_with = "at")]
    checkpoint: Option<String>,
    /// The new context's id; made by the server when left out
    #[arg(long = "id", value_name = "ID", alias = "new-id")]
    new: Option<String>,
    /// A line for people; the parent's when left out
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

/// Flags of `context search`.
#[derive(Clone, Debug, Args)]
pub(super) struct Search {
    /// Words that a message must hold, in any order
    #[arg(required = true)]
    words: Vec<String>,
    /// At most so many, 1 to 100
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

/// Makes a context that goes on from another one, and prints its id.
pub(super) async fn fork(client: &mut Client<'_>, fork: &Fork) -> Result<(), Failure> {
    let id = find(client, Some(&fork.id)).await?;
    let mut body = Map::new();
    if let Some(at) = fork.at {
        body.insert("at".to_owned(), at.into());
    }
    for (name, value) in
        [("checkpoint", &fork.checkpoint), ("id", &fork.new), ("title", &fork.title)]
    {
        body.extend(value.iter().map(|value| (name.to_owned(), value.clone().into())));
    }
    let ask = Ask::post(path(&id).then("fork"), &Value::Object(body)).once();
    let reply = client.server.json(&ask).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(reply.text("id"));
    }
    Ok(())
}

/// Prints the messages that hold all the words, the best first.
pub(super) async fn search(client: &mut Client<'_>, search: &Search) -> Result<(), Failure> {
    let words = search.words.join(" ");
    let limit = search.limit.to_string();
    let path = PathOf::new("/api/v1/search").query("q", Some(&words));
    let reply = client.server.json(&Ask::get(path.query("limit", Some(&limit)))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let hits = reply.value.get("hits").and_then(Value::as_array).cloned().unwrap_or_default();
    if hits.is_empty() {
        client.printer.line(&format!("nothing was said with `{words}`"));
    }
    for hit in &hits {
        let text = |name: &str| hit.get(name).and_then(Value::as_str).unwrap_or_default();
        let seq = hit.get("seq").and_then(Value::as_u64).unwrap_or_default();
        let excerpt = text("excerpt").replace('\n', " ");
        client.printer.line(&format!("{} {seq} {}: {excerpt}", text("context_id"), text("role")));
    }
    Ok(())
}
