//! Going back: checkpoints, rollback, undo.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::reach::Client;
use super::super::table::{cell, moment, table};
use super::{find, path, told};
use crate::remote::{Ask, Failure};

/// Flags of `context checkpoint`.
#[derive(Clone, Debug, Args)]
pub(super) struct Checkpoint {
    /// The context; `-` is the current one
    id: String,
    /// What to call it; without a name the checkpoints are listed
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT", requires = "name")]
    note: Option<String>,
    /// Forget the checkpoint of this name; the messages stay
    #[arg(long, requires = "name", conflicts_with = "note")]
    delete: bool,
}

/// Names the newest message, lists the names, or forgets one.
pub(super) async fn checkpoint(client: &mut Client<'_>, asked: &Checkpoint) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let place = path(&id).then("checkpoints");
    let Some(name) = &asked.name else { return list(client, &id).await };
    if asked.delete {
        let reply = client.server.json(&Ask::delete(place.then(name))).await?;
        return told(client, &reply, &format!("forgot the checkpoint `{name}`"));
    }
    let mut body = Map::from_iter([("name".to_owned(), json!(name))]);
    body.extend(asked.note.iter().map(|note| ("note".to_owned(), json!(note))));
    let reply = client.server.json(&Ask::post(place, &Value::Object(body))).await?;
    let seq = cell(&reply.value, "/seq");
    told(client, &reply, &format!("`{name}` is message {seq} of `{id}`"))
}

async fn list(client: &mut Client<'_>, id: &str) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get(path(id).then("checkpoints"))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let points = reply.value.get("checkpoints").and_then(Value::as_array);
    let points = points.map(Vec::as_slice).unwrap_or_default();
    if points.is_empty() {
        client
            .printer
            .note(&format!("There are none. Make one: rapport context checkpoint {id} NAME"));
        return Ok(());
    }
    let mut rows = table(&["name", "message", "made", "note"]);
    for point in points {
        let left = if cell(point, "/on_branch") == "false" { " (on another branch)" } else { "" };
        rows.add_row([
            cell(point, "/name"),
            format!("{}{left}", cell(point, "/seq")),
            moment(point, "/at"),
            cell(point, "/note"),
        ]);
    }
    client.printer.line(&rows.trim_fmt());
    Ok(())
}

/// Flags of `context rollback`.
#[derive(Clone, Debug, Args)]
#[group(id = "goal", required = true, multiple = false)]
pub(super) struct Goal {
    /// Keep the messages up to this one, 0 for none; the state stays without --state
    #[arg(long, value_name = "SEQ", group = "goal")]
    to: Option<u64>,
    /// Back to this checkpoint, with its state
    #[arg(long, value_name = "NAME", group = "goal")]
    checkpoint: Option<String>,
    /// Back to this branch, with the state it had
    #[arg(long, value_name = "NUMBER", group = "goal")]
    branch: Option<u32>,
}

/// Flags of `context rollback`.
#[derive(Clone, Debug, Args)]
pub(super) struct Rollback {
    /// The context; `-` is the current one
    id: String,
    #[command(flatten)]
    goal: Goal,
    /// With --to: bring back the state that the message saw last
    #[arg(long, requires = "to")]
    state: bool,
}

/// Takes a context back to an earlier place.
pub(super) async fn rollback(client: &mut Client<'_>, asked: &Rollback) -> Result<(), Failure> {
    let goal = &asked.goal;
    let body = match (goal.to, &goal.checkpoint, goal.branch) {
        (Some(to), _, _) if asked.state => json!({"to": to, "state": true}),
        (Some(to), _, _) => json!({"to": to}),
        (None, Some(name), _) => json!({"checkpoint": name}),
        (None, None, branch) => json!({"branch": branch}),
    };
    back(client, Some(&asked.id), &body).await
}

/// Takes the last rollback back.
pub(super) async fn undo(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    back(client, id, &json!({"undo": true})).await
}

async fn back(client: &mut Client<'_>, id: Option<&str>, body: &Value) -> Result<(), Failure> {
    let id = find(client, id).await?;
    let reply = client.server.json(&Ask::post(path(&id).then("rollback"), body)).await?;
    let left = match cell(&reply.value, "/size/messages").as_str() {
        "1" => "1 message".to_owned(),
        other => format!("{other} messages"),
    };
    let text = format!("`{id}` has {left} now; `rapport context undo {id}` takes it back");
    told(client, &reply, &text)
}
