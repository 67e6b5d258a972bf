//! Contexts begun, changed, chosen, ended and deleted.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::reach::Client;
use super::super::{given, speech};
use super::{find, path, told};
use crate::remote::{Ask, Failure};

/// Flags of `context new`.
#[derive(Clone, Debug, Args)]
pub(super) struct New {
    /// Id of your own, 1 to 256 characters
    #[arg(long)]
    id: Option<String>,
    /// Name for people
    #[arg(long)]
    title: Option<String>,
    /// Whose conversation it is
    #[arg(long)]
    user: Option<String>,
    /// Instructions for the model
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Model that answers, as NAME or PROVIDER/NAME
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Settings beside the model, as a JSON object
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// First state, as a JSON object
    #[arg(long, value_name = "JSON")]
    state: Option<String>,
    /// What the application keeps beside it, as a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// It is gone after this time, such as 30d, 12h or 600 (seconds)
    #[arg(long, value_name = "TIME", value_parser = given::span, conflicts_with = "idle")]
    expires: Option<u64>,
    /// It is gone after this time without a change
    #[arg(long, value_name = "TIME", value_parser = given::span)]
    idle: Option<u64>,
}

/// Makes a context, which becomes the current one.
pub(super) async fn new(client: &mut Client<'_>, new: &New) -> Result<(), Failure> {
    let mut body = Map::new();
    let words =
        [("id", &new.id), ("title", &new.title), ("user", &new.user), ("system", &new.system)];
    for (name, value) in words {
        body.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
    }
    for (name, flag, value) in
        [("state", "--state", &new.state), ("metadata", "--metadata", &new.metadata)]
    {
        if let Some(text) = value {
            body.insert(name.to_owned(), given::object(text, flag)?);
        }
    }
    let mut settings = match &new.settings {
        Some(text) => given::object(text, "--settings")?,
        None => json!({}),
    };
    if let (Some(model), Some(settings)) = (&new.model, settings.as_object_mut()) {
        settings.insert("model".to_owned(), json!(model));
    }
    if settings.as_object().is_some_and(|settings| !settings.is_empty()) {
        body.insert("settings".to_owned(), settings);
    }
    body.extend(new.expires.map(|seconds| ("expires_in_seconds".to_owned(), json!(seconds))));
    body.extend(new.idle.map(|seconds| ("idle_seconds".to_owned(), json!(seconds))));
    let ask = Ask::post("/api/v1/contexts", &Value::Object(body)).once();
    let reply = client.server.json(&ask).await?;
    client.remember(reply.text("id"));
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(reply.text("id"));
    }
    Ok(())
}

/// Flags of `context append`.
#[derive(Clone, Debug, Args)]
pub(super) struct Append {
    /// The context; `-` is the current one
    id: String,
    /// user, assistant, system or tool
    #[arg(long, value_name = "ROLE", default_value = "user")]
    role: String,
    /// What was said; `-` reads it from standard input
    #[arg(required = true)]
    message: Vec<String>,
}

/// Stores a message without asking a model.
pub(super) async fn append(client: &mut Client<'_>, asked: &Append) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let body = json!({"role": asked.role, "content": given::text(&asked.message)?});
    let reply = client.server.json(&Ask::post(path(&id).then("messages"), &body).once()).await?;
    let seq = reply.value.pointer("/messages/0/seq").and_then(Value::as_u64).unwrap_or_default();
    told(client, &reply, &format!("message {seq} of `{id}`"))
}

/// Flags of `context retry`.
#[derive(Clone, Debug, Args)]
pub(super) struct Retry {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Ask this model instead, as NAME or PROVIDER/NAME
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

/// Answers the last failed turn again.
pub(super) async fn retry(client: &mut Client<'_>, asked: &Retry) -> Result<(), Failure> {
    let id = find(client, asked.id.as_deref()).await?;
    let mut body = Map::new();
    body.extend(asked.model.iter().map(|model| ("model".to_owned(), json!(model))));
    let path = path(&id).then("turns").then("retry");
    speech::speak(client, &Ask::post(path, &Value::Object(body)).streaming()).await.map(drop)
}

/// Stops the running turn.
pub(super) async fn cancel(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let id = find(client, id).await?;
    let ask = Ask::bare_post(path(&id).then("turns").then("cancel"));
    let reply = client.server.json(&ask).await?;
    let ran = reply.value.get("cancelled") == Some(&json!(true));
    let text = if ran { "the running turn is stopped" } else { "no turn was running" };
    told(client, &reply, text)
}

/// Flags of `context edit`.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Changes {
    /// Name for people; empty removes it
    #[arg(long)]
    title: Option<String>,
    /// Whose conversation it is; empty removes them
    #[arg(long)]
    user: Option<String>,
    /// Instructions for the model; empty removes them
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Merge patch for the settings, as a JSON object
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// Merge patch for the metadata, as a JSON object
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// It is gone after this time from now, such as 30d, 12h or 600 (seconds); 0 is never
    #[arg(long, value_name = "TIME", value_parser = given::span_or_never, conflicts_with = "idle")]
    expires: Option<u64>,
    /// It is gone after this time without a change; 0 is never
    #[arg(long, value_name = "TIME", value_parser = given::span_or_never)]
    idle: Option<u64>,
}

/// Flags of `context edit`.
#[derive(Clone, Debug, Args)]
pub(super) struct Edit {
    /// The context; `-` is the current one
    id: String,
    #[command(flatten)]
    changes: Changes,
}

/// Changes what a context is beside its messages.
pub(super) async fn edit(client: &mut Client<'_>, asked: &Edit) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let changes = &asked.changes;
    let mut body = Map::new();
    let words = [("title", &changes.title), ("user", &changes.user), ("system", &changes.system)];
    for (name, value) in words {
        let shown =
            value.as_deref().map(|text| if text.is_empty() { Value::Null } else { json!(text) });
        body.extend(shown.map(|value| (name.to_owned(), value)));
    }
    let objects = [("settings", &changes.settings), ("metadata", &changes.metadata)];
    for (name, value) in objects {
        if let Some(text) = value {
            body.insert(name.to_owned(), given::object(text, &format!("--{name}"))?);
        }
    }
    let times = [("expires_in_seconds", changes.expires), ("idle_seconds", changes.idle)];
    for (name, value) in times {
        let shown = value.map(|seconds| if seconds == 0 { Value::Null } else { json!(seconds) });
        body.extend(shown.map(|value| (name.to_owned(), value)));
    }
    let reply = client.server.json(&Ask::patch(path(&id), &Value::Object(body))).await?;
    let revision = reply.value.get("revision").and_then(Value::as_u64).unwrap_or_default();
    told(client, &reply, &format!("`{id}` has revision {revision} now"))
}

/// Makes a context the current one; without an id it says which one that is.
pub(super) async fn choose(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let id = find(client, id).await?;
    let reply = super::get(client, &id).await?;
    client.remember(&id);
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&id);
    }
    Ok(())
}

/// Makes a context read-only.
pub(super) async fn close(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let id = find(client, id).await?;
    let reply = client.server.json(&Ask::bare_post(path(&id).then("close"))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("closed `{id}`"));
    }
    Ok(())
}

/// Deletes a context.
pub(super) async fn delete(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let id = find(client, id).await?;
    let reply = client.server.json(&Ask::delete(path(&id))).await?;
    client.forget(&id);
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("deleted `{id}`"));
    }
    Ok(())
}
