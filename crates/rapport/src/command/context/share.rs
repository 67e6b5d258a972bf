//! Tokens that open one context for reading.

use clap::Args;
use serde_json::{Map, Value, json};

use super::super::given;
use super::super::reach::Client;
use super::super::table::{cell, moment, table};
use super::{find, path, told};
use crate::remote::{Ask, Failure};

/// Flags of `context share`.
#[derive(Clone, Debug, Args)]
pub(super) struct Share {
    /// The context; `-` is the current one
    id: String,
    /// Whom the token is for
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// The token opens nothing any more after this time, such as 30d, 12h or 600 (seconds)
    #[arg(long, value_name = "TIME", value_parser = given::span)]
    expires: Option<u64>,
    /// Show the messages up to this one only
    #[arg(long, value_name = "SEQ")]
    upto: Option<u32>,
    /// List the tokens instead, without showing them
    #[arg(long, conflicts_with_all = ["name", "expires", "upto", "end"])]
    list: bool,
    /// End the token with this number instead
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["name", "expires", "upto"])]
    end: Option<u32>,
}

/// Makes a token, lists the tokens, or ends one.
pub(super) async fn share(client: &mut Client<'_>, asked: &Share) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let place = path(&id).then("share");
    if asked.list {
        return list(client, &id).await;
    }
    if let Some(number) = asked.end {
        let reply = client.server.json(&Ask::delete(place.then(&number.to_string()))).await?;
        return told(client, &reply, &format!("token {number} of `{id}` opens nothing any more"));
    }
    let mut body = Map::new();
    body.extend(asked.name.iter().map(|name| ("name".to_owned(), json!(name))));
    body.extend(asked.expires.map(|s| ("expires_in_seconds".to_owned(), json!(s))));
    body.extend(asked.upto.map(|seq| ("upto".to_owned(), json!(seq))));
    let reply = client.server.json(&Ask::post(place, &Value::Object(body))).await?;
    if !client.is_json() {
        client.printer.note(
            "It is shown this once. It opens GET /api/v1/shared/context and /shared/messages as \
             `Authorization: Bearer`, and nothing else.",
        );
    }
    told(client, &reply, reply.text("token"))
}

async fn list(client: &mut Client<'_>, id: &str) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get(path(id).then("share"))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let mut rows = table(&["number", "name", "made", "expires", "upto"]);
    for share in reply.value.get("shares").and_then(Value::as_array).into_iter().flatten() {
        rows.add_row([
            cell(share, "/share"),
            cell(share, "/name"),
            moment(share, "/created_at"),
            moment(share, "/expires_at"),
            cell(share, "/upto"),
        ]);
    }
    if rows.row_count() == 0 {
        client.printer.note(&format!("There are none. Make one: rapport context share {id}"));
    } else {
        client.printer.line(&rows.trim_fmt());
    }
    Ok(())
}
