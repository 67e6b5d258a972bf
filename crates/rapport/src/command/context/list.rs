//! The contexts of a server, filtered and in pages.

use clap::Args;
use serde_json::Value;

use super::super::reach::Client;
use super::super::table::{cell, moment, short, table};
use crate::remote::{Ask, Failure, PathOf};

/// Flags of `context list`.
#[derive(Clone, Debug, Args)]
pub(super) struct List {
    /// At most so many, 1 to 500
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
    /// Only this user's
    #[arg(long)]
    user: Option<String>,
    /// open or closed
    #[arg(long)]
    status: Option<String>,
    /// Only those answered by this model
    #[arg(long)]
    model: Option<String>,
    /// Only those whose id begins so
    #[arg(long, value_name = "TEXT")]
    id_prefix: Option<String>,
    /// Only those with this in their title
    #[arg(long)]
    title: Option<String>,
    /// Only those changed after this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    after: Option<String>,
    /// updated, created or size
    #[arg(long)]
    sort: Option<String>,
    /// desc or asc
    #[arg(long)]
    order: Option<String>,
}

/// Prints a page of contexts.
pub(super) async fn list(client: &mut Client<'_>, list: &List) -> Result<(), Failure> {
    let limit = list.limit.map(|limit| limit.to_string());
    let path = PathOf::new("/api/v1/contexts")
        .query("limit", limit.as_deref())
        .query("cursor", list.cursor.as_deref())
        .query("user", list.user.as_deref())
        .query("status", list.status.as_deref())
        .query("model", list.model.as_deref())
        .query("id_prefix", list.id_prefix.as_deref())
        .query("title", list.title.as_deref())
        .query("updated_after", list.after.as_deref())
        .query("sort", list.sort.as_deref())
        .query("order", list.order.as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let contexts = reply.value.get("contexts").and_then(Value::as_array);
    let contexts = contexts.map(Vec::as_slice).unwrap_or_default();
    if contexts.is_empty() {
        client.printer.note("There are none. Begin one: rapport context new");
        return Ok(());
    }
    let current = client.context(None).ok();
    let mut rows = table(&["", "id", "title", "messages", "model", "state", "last used"]);
    for context in contexts {
        let id = cell(context, "/id");
        rows.add_row([
            if current.as_ref() == Some(&id) { "*".to_owned() } else { String::new() },
            id,
            short(&cell(context, "/title"), 40),
            cell(context, "/size/messages"),
            cell(context, "/settings/model"),
            cell(context, "/status"),
            moment(context, "/last_updated"),
        ]);
    }
    client.printer.line(&rows.trim_fmt());
    let next = cell(&reply.value, "/next_cursor");
    if !next.is_empty() {
        client.printer.note(&format!("There are more: rapport context list --cursor {next}"));
    }
    Ok(())
}
