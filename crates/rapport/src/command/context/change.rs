//! Contexts begun, changed, chosen, ended and deleted.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::given;
use super::super::reach::Client;
use super::path;
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
    /// Delete it after so many seconds without use
    #[arg(long, value_name = "SECONDS")]
    expires: Option<u64>,
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

/// Flags of `context state`.
#[derive(Clone, Debug, Args)]
pub(super) struct State {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Merge patch as a JSON object; null removes a key
    #[arg(long, value_name = "JSON", conflicts_with = "replace")]
    patch: Option<String>,
    /// New state as a JSON object
    #[arg(long, value_name = "JSON")]
    replace: Option<String>,
}

/// Shows or changes the state; prints what it is then.
pub(super) async fn state(client: &mut Client<'_>, state: &State) -> Result<(), Failure> {
    let id = client.context(state.id.as_deref())?;
    let path = path(&id).then("state");
    let ask = match (&state.patch, &state.replace) {
        (Some(text), _) => Ask::patch(path, &given::object(text, "--patch")?),
        (None, Some(text)) => Ask::put(path, &given::object(text, "--replace")?),
        (None, None) => Ask::get(path),
    };
    let reply = client.server.json(&ask).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("{:#}", reply.value));
    }
    Ok(())
}

/// Makes a context the current one; without an id it says which one that is.
pub(super) async fn choose(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let id = client.context(id)?;
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
    let id = client.context(id)?;
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
    let id = client.context(id)?;
    let reply = client.server.json(&Ask::delete(path(&id))).await?;
    client.forget(&id);
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("deleted `{id}`"));
    }
    Ok(())
}
