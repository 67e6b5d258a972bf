//! Contexts of other servers, mounted for reading.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::given;
use super::super::reach::Client;
use super::super::table::{cell, moment, table};
use super::told;
use crate::remote::{Ask, Failure, PathOf, Reply};

/// Flags of `context mount`.
#[derive(Clone, Debug, Args)]
pub(super) struct Mount {
    /// The other server, https://… or http://… and its port
    #[arg(value_name = "URL")]
    address: String,
    /// The token that `rapport context share` printed there; `-` reads it from standard input
    #[arg(value_name = "TOKEN")]
    share: String,
    /// The id of the context here; the one it has over there when left out
    #[arg(long = "as", value_name = "ID")]
    id: Option<String>,
    /// The key of the other server; the first that answers is pinned when left out
    #[arg(long, value_name = "ed25519:…")]
    key: Option<String>,
}

/// Flags of `context mounts`.
#[derive(Clone, Debug, Args)]
pub(super) struct Mounts {
    /// Ask the other server of this mount now
    #[arg(long, value_name = "ID", conflicts_with = "check")]
    refresh: Option<String>,
    /// Prove once more what is here of this mount, without the other server
    #[arg(long, value_name = "ID")]
    check: Option<String>,
}

/// Flags of `context unmount`.
#[derive(Clone, Debug, Args)]
pub(super) struct Unmount {
    /// The mounted context
    id: String,
}

fn path(id: &str) -> PathOf {
    PathOf::new("/api/v1/mounts").then(id)
}

/// Mounts a context.
pub(super) async fn mount(client: &mut Client<'_>, asked: &Mount) -> Result<(), Failure> {
    let share = match asked.share.as_str() {
        "-" => given::text(&["-".to_owned()])?,
        share => share.to_owned(),
    };
    let mut body = Map::new();
    body.insert("url".to_owned(), json!(asked.address));
    body.insert("token".to_owned(), json!(share.trim()));
    body.extend(asked.id.iter().map(|id| ("id".to_owned(), json!(id))));
    body.extend(asked.key.iter().map(|key| ("key".to_owned(), json!(key))));
    let reply = client.server.json(&Ask::post("/api/v1/mounts", &Value::Object(body))).await?;
    if !client.is_json() && asked.key.is_none() {
        let text = format!("Pinned the key of the other server: {}", reply.text("key"));
        client.printer.note(&text);
    }
    let text = format!("mounted as `{}`: {}", reply.text("id"), stands(&reply.value));
    told(client, &reply, &text)
}

/// Shows the mounts, or looks after one.
pub(super) async fn mounts(client: &mut Client<'_>, asked: &Mounts) -> Result<(), Failure> {
    if let Some(id) = &asked.refresh {
        let reply = post(client, id, "refresh").await?;
        return told(client, &reply, &format!("`{id}`: {}", stands(&reply.value)));
    }
    if let Some(id) = &asked.check {
        let reply = post(client, id, "check").await?;
        let proven = reply.value.get("proven").and_then(Value::as_u64).unwrap_or(0);
        return told(client, &reply, &format!("`{id}`: {proven} messages are proven"));
    }
    let reply = client.server.json(&Ask::get(PathOf::new("/api/v1/mounts"))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let mut rows = table(&["id", "state", "messages", "checked", "from", "why"]);
    for mount in reply.value.get("mounts").and_then(Value::as_array).into_iter().flatten() {
        rows.add_row([
            cell(mount, "/id"),
            cell(mount, "/state"),
            cell(mount, "/messages"),
            moment(mount, "/checked_at"),
            cell(mount, "/url"),
            cell(mount, "/error"),
        ]);
    }
    if rows.row_count() == 0 {
        client.printer.note("There are none. Mount one: rapport context mount URL TOKEN");
    } else {
        client.printer.line(&rows.trim_fmt());
    }
    Ok(())
}

/// Unmounts a context.
pub(super) async fn unmount(client: &mut Client<'_>, asked: &Unmount) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::delete(path(&asked.id))).await?;
    told(client, &reply, &format!("`{}` is unmounted", asked.id))
}

async fn post(client: &Client<'_>, id: &str, what: &str) -> Result<Reply, Failure> {
    client.server.json(&Ask::post(path(id).then(what), &json!({}))).await
}

/// How a mount stands, in a few words.
fn stands(mount: &Value) -> String {
    let text = |name: &str| mount.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| mount.get(name).and_then(Value::as_u64).unwrap_or(0);
    let mut out = format!("{}, {} messages", text("state"), number("messages"));
    if number("behind") > 0 {
        out.push_str(&format!(", {} more are coming", number("behind")));
    }
    if !text("error").is_empty() {
        out.push_str(&format!(": {}", text("error")));
    }
    out
}
