//! Contexts beside each other: branches, comparison, merge.

use clap::Args;
use serde_json::{Value, json};

use super::super::reach::Client;
use super::super::table::{cell, moment, short, table};
use super::{find, path, told};
use crate::remote::{Ask, Failure};

/// Shows the branches that a context left, and the contexts forked from it.
pub(super) async fn branches(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let id = find(client, id).await?;
    let reply = client.server.json(&Ask::get(path(&id).then("branches"))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let found = &reply.value;
    let parent = cell(found, "/current/parent");
    let of = if parent.is_empty() {
        String::new()
    } else {
        format!(", forked from `{parent}` at message {}", cell(found, "/current/fork_seq"))
    };
    let messages = cell(found, "/current/messages");
    client.printer.line(&format!("`{id}` has {messages} messages{of}"));
    let mut rows = table(&["branch", "messages", "shared", "title or cause", "when"]);
    for left in list(found, "left") {
        rows.add_row([
            cell(left, "/branch"),
            cell(left, "/messages"),
            cell(left, "/shared"),
            cell(left, "/cause"),
            moment(left, "/at"),
        ]);
    }
    for fork in list(found, "forks") {
        rows.add_row([
            cell(fork, "/id"),
            cell(fork, "/messages"),
            cell(fork, "/fork_seq"),
            short(&cell(fork, "/title"), 40),
            moment(fork, "/last_updated"),
        ]);
    }
    if rows.row_count() > 0 {
        client.printer.line(&rows.trim_fmt());
    }
    Ok(())
}

/// Two contexts.
#[derive(Clone, Debug, Args)]
pub(super) struct Compare {
    /// One context; `-` is the current one
    id: String,
    /// The other one
    with: String,
}

/// Shows how far two contexts share their messages, and where their states differ.
pub(super) async fn compare(client: &mut Client<'_>, asked: &Compare) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let with = find(client, Some(&asked.with)).await?;
    let path = path(&id).then("compare").query("with", Some(&with));
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let found = &reply.value;
    let (left, right) = (cell(found, "/left/own"), cell(found, "/right/own"));
    let shared = cell(found, "/shared");
    client.printer.line(&format!("shared messages: {shared}"));
    client.printer.line(&format!("only in `{id}`: {left}"));
    client.printer.line(&format!("only in `{with}`: {right}"));
    differences(client, list(found, "state"), ["left", "right"]);
    Ok(())
}

fn differences(client: &mut Client<'_>, found: &[Value], sides: [&str; 2]) {
    let side = |difference: &Value, name: &str| {
        difference.get(name).map_or_else(|| "nothing".to_owned(), ToString::to_string)
    };
    for difference in found {
        let [left, right] = sides.map(|name| side(difference, name));
        let place = cell(difference, "/path");
        client.printer.line(&format!("state {place}: {left} | {right}"));
    }
}

/// Flags of `context merge`.
#[derive(Clone, Debug, Args)]
pub(super) struct Merge {
    /// The context that takes the other one in; `-` is the current one
    id: String,
    /// The other one, which stays as it is
    from: String,
    /// Which value of the state wins where both changed it: ours, theirs or refuse
    #[arg(long, value_name = "WHOSE")]
    on_conflict: Option<String>,
}

/// Brings another context in.
pub(super) async fn merge(client: &mut Client<'_>, asked: &Merge) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let from = find(client, Some(&asked.from)).await?;
    let mut body = json!({"from": from});
    if let (Some(on), Some(body)) = (&asked.on_conflict, body.as_object_mut()) {
        body.insert("on_conflict".to_owned(), json!(on));
    }
    let reply = client.server.json(&Ask::post(path(&id).then("merge"), &body)).await?;
    told(client, &reply, &format!("`{id}` has taken `{from}` in"))?;
    if !client.is_json() {
        differences(client, list(&reply.value, "conflicts"), ["ours", "theirs"]);
    }
    Ok(())
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
