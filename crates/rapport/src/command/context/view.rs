//! One context and its messages, as people and programs read them.

use anstyle::Style;
use clap::Args;
use serde_json::Value;

use super::super::reach::Client;
use super::super::table::{cell, moment, said};
use super::{find, path};
use crate::remote::{Ask, Failure};

/// Flags of `context show`.
#[derive(Clone, Debug, Args)]
pub(super) struct Show {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Show so many of the last messages
    #[arg(long, value_name = "N", default_value_t = 10)]
    last: u32,
}

/// Shows a context; with JSON without its messages, as the API does.
pub(super) async fn show(client: &mut Client<'_>, show: &Show) -> Result<(), Failure> {
    let id = find(client, show.id.as_deref()).await?;
    if client.is_json() {
        let reply = super::get(client, &id).await?;
        client.raw(&reply.raw);
        return Ok(());
    }
    show_one(client, &id).await?;
    if show.last > 0 {
        client.printer.line("");
        print_messages(client, &id, show.last).await?;
    }
    Ok(())
}

/// Prints what is known of a context, without its messages.
///
/// # Errors
/// Of every class.
pub(in crate::command) async fn show_one(client: &mut Client<'_>, id: &str) -> Result<(), Failure> {
    let context = super::get(client, id).await?.value;
    let at = |path: &str| cell(&context, path);
    let size = format!(
        "{} messages in {} turns, about {} tokens",
        at("/size/messages"),
        at("/size/turns"),
        at("/size/tokens")
    );
    let rows = [
        ("context", at("/id")),
        ("title", at("/title")),
        ("user", at("/user")),
        ("status", at("/status")),
        ("model", at("/settings/model")),
        ("system", at("/system")),
        ("size", size),
        ("state", at("/state")),
        ("metadata", at("/metadata")),
        ("created", moment(&context, "/created_at")),
        ("last used", moment(&context, "/last_updated")),
        ("expires", moment(&context, "/expires_at")),
    ];
    for (name, text) in rows {
        if !text.is_empty() && text != "{}" {
            client.printer.line(&format!("{name:<10} {text}"));
        }
    }
    if !at("/open_turn").is_empty() {
        client.printer.line("A turn of it is running now.");
    }
    Ok(())
}

/// Flags of `context messages`.
#[derive(Clone, Debug, Args)]
pub(super) struct Messages {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// The last so many
    #[arg(long, value_name = "N")]
    last: Option<u32>,
    /// At most so many, 1 to 1000
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Only messages after this number
    #[arg(long, value_name = "SEQ")]
    after: Option<u32>,
    /// Only messages before this number
    #[arg(long, value_name = "SEQ")]
    before: Option<u32>,
    /// user, assistant, system or tool
    #[arg(long)]
    role: Option<String>,
    /// Only messages since this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// asc or desc
    #[arg(long)]
    order: Option<String>,
}

/// Shows a page of messages.
pub(super) async fn messages(client: &mut Client<'_>, messages: &Messages) -> Result<(), Failure> {
    let id = find(client, messages.id.as_deref()).await?;
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let path = path(&id)
        .then("messages")
        .query("last", number(messages.last).as_deref())
        .query("limit", number(messages.limit).as_deref())
        .query("after", number(messages.after).as_deref())
        .query("before", number(messages.before).as_deref())
        .query("role", messages.role.as_deref())
        .query("since", messages.since.as_deref())
        .query("order", messages.order.as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        print(client, &reply.value);
    }
    Ok(())
}

/// Prints the last messages of a context.
///
/// # Errors
/// Of every class.
pub(in crate::command) async fn print_messages(
    client: &mut Client<'_>,
    id: &str,
    last: u32,
) -> Result<(), Failure> {
    let path = path(id).then("messages").query("last", Some(&last.to_string()));
    let reply = client.server.json(&Ask::get(path)).await?;
    print(client, &reply.value);
    Ok(())
}

fn print(client: &mut Client<'_>, page: &Value) {
    let messages = page.get("messages").and_then(Value::as_array).map(Vec::as_slice);
    let bold = if client.printer.has_colour() { Style::new().bold() } else { Style::new() };
    for message in messages.unwrap_or_default() {
        let status = cell(message, "/status");
        let mark = if status == "complete" { String::new() } else { format!(" ({status})") };
        let text = said(message.get("content").unwrap_or(&Value::Null));
        let (seq, role) = (cell(message, "/seq"), cell(message, "/role"));
        client.printer.line(&format!("{bold}{seq} {role}{mark}:{bold:#} {text}"));
    }
    let next = cell(page, "/next_cursor");
    if !next.is_empty() {
        client.printer.note(&format!("There are more: --after {next}"));
    }
}
