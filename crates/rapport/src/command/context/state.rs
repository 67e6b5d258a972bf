//! The state of a context: shown, changed, and as it was.

use clap::Args;
use serde_json::{Value, json};

use super::super::given;
use super::super::reach::Client;
use super::super::table::{cell, moment, table};
use super::{find, path};
use crate::remote::{Ask, Failure};

/// Characters of a value that a line of the history shows.
const SHOWN: usize = 60;

/// Flags of `context state`.
#[derive(Clone, Debug, Args)]
pub(super) struct State {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    #[command(flatten)]
    wish: Wish,
    /// With --history: so many changes
    #[arg(long, value_name = "N", requires = "history")]
    limit: Option<u32>,
    /// With --history: only changes before this one
    #[arg(long, value_name = "CHANGE", requires = "history")]
    before: Option<u32>,
}

/// What to do with it; it is shown without any of them.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
struct Wish {
    /// Merge patch as a JSON object; null removes a key
    #[arg(long, value_name = "JSON")]
    patch: Option<String>,
    /// New state as a JSON object
    #[arg(long, value_name = "JSON")]
    replace: Option<String>,
    /// List what changed it, the newest change first
    #[arg(long)]
    history: bool,
    /// Show it as it was while this message was the newest
    #[arg(long, value_name = "SEQ")]
    at: Option<u64>,
    /// Show it as it was after this change of the history
    #[arg(long, value_name = "CHANGE")]
    change: Option<u64>,
    /// Make it what it was after this change of the history
    #[arg(long, value_name = "CHANGE")]
    restore: Option<u64>,
}

/// Shows or changes the state; prints what it is then.
pub(super) async fn state(client: &mut Client<'_>, state: &State) -> Result<(), Failure> {
    let id = find(client, state.id.as_deref()).await?;
    if state.wish.history {
        return history(client, &id, state).await;
    }
    let path = path(&id).then("state");
    let wish = &state.wish;
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let ask = match (&wish.patch, &wish.replace, wish.restore) {
        (Some(text), ..) => Ask::patch(path, &given::object(text, "--patch")?),
        (None, Some(text), _) => Ask::put(path, &given::object(text, "--replace")?),
        (None, None, Some(change)) => Ask::post(path.then("restore"), &json!({ "change": change })),
        (None, None, None) => Ask::get(
            path.query("at", number(wish.at).as_deref())
                .query("change", number(wish.change).as_deref()),
        ),
    };
    let reply = client.server.json(&ask).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&format!("{:#}", reply.value));
    }
    Ok(())
}

/// Lists the changes.
async fn history(client: &mut Client<'_>, id: &str, state: &State) -> Result<(), Failure> {
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let path = path(id)
        .then("state")
        .then("history")
        .query("limit", number(state.limit).as_deref())
        .query("before", number(state.before).as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let changes = reply.value.get("changes").and_then(Value::as_array);
    let changes = changes.map(Vec::as_slice).unwrap_or_default();
    if changes.is_empty() {
        client.printer.note("The state has not changed.");
        return Ok(());
    }
    let mut rows = table(&["change", "message", "when", "cause", "what"]);
    for change in changes {
        rows.add_row([
            cell(change, "/change"),
            cell(change, "/seq"),
            moment(change, "/at"),
            cell(change, "/cause"),
            told(change),
        ]);
    }
    client.printer.line(&rows.trim_fmt());
    if let Some(next) = reply.value.get("next").and_then(Value::as_str) {
        client.printer.note(&format!("More: rapport context state {id} --history --before {next}"));
    }
    Ok(())
}

/// A change in one line: `/a = 1, - /b`.
fn told(change: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(Value::Object(set)) = change.get("set") {
        for (path, value) in set {
            let text = value.to_string();
            let mut shown: String = text.chars().take(SHOWN).collect();
            if shown.len() < text.len() {
                shown.push('…');
            }
            parts.push(format!("{path} = {shown}"));
        }
    }
    if let Some(Value::Array(removed)) = change.get("removed") {
        parts.extend(removed.iter().filter_map(Value::as_str).map(|path| format!("- {path}")));
    }
    parts.join(", ")
}
