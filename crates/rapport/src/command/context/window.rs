//! What goes to a model, and how that changed: window, epochs, summaries, pins, recall.

use clap::Args;
use serde_json::Value;

use super::super::reach::Client;
use super::super::table::{cell, moment, said, short, table};
use super::{find, path, told};
use crate::remote::{Ask, Failure, Reply};

/// Flags of `context window`.
#[derive(Clone, Debug, Args)]
pub(super) struct Window {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Preview it for this model, as NAME or PROVIDER/NAME
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// budget, full, last, summary or hierarchical
    #[arg(long, value_name = "WORD")]
    strategy: Option<String>,
    /// With the strategy last: how many turns
    #[arg(long, value_name = "N")]
    turns: Option<u32>,
    /// Tokens that messages may fill
    #[arg(long, value_name = "N")]
    tokens: Option<u32>,
    /// Tell so many older messages again that fit the newest one
    #[arg(long, value_name = "N")]
    recall: Option<u32>,
    /// Preview the turn that says this: its request, to the byte
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// Shows the request that would go out, and why.
pub(super) async fn window(client: &mut Client<'_>, asked: &Window) -> Result<(), Failure> {
    let id = find(client, asked.id.as_deref()).await?;
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let path = path(&id)
        .then("window")
        .query("model", asked.model.as_deref())
        .query("strategy", asked.strategy.as_deref())
        .query("turns", number(asked.turns).as_deref())
        .query("tokens", number(asked.tokens).as_deref())
        .query("recall", number(asked.recall).as_deref())
        .query("message", asked.message.as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let Value::Object(facts) = &reply.value else { return Ok(()) };
    for (name, value) in facts {
        let text = cell(value, "");
        if name != "body" && !text.is_empty() {
            client.printer.line(&format!("{name:<17} {text}"));
        }
    }
    if let Some(body) = facts.get("body").filter(|body| !body.is_null()) {
        client.printer.line(&format!("\n{body:#}"));
    }
    Ok(())
}

/// Shows the epochs of a context with what they cost.
pub(super) async fn epochs(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let Some(reply) = ask(client, id, "epochs").await? else { return Ok(()) };
    let mut rows =
        table(&["epoch", "reason", "model", "from", "turns", "prompt", "cached", "began"]);
    for epoch in items(&reply, "epochs") {
        rows.add_row([
            cell(epoch, "/epoch"),
            cell(epoch, "/reason"),
            cell(epoch, "/model"),
            cell(epoch, "/first_seq"),
            cell(epoch, "/turns"),
            cell(epoch, "/prompt_tokens"),
            cell(epoch, "/cached_tokens"),
            moment(epoch, "/at"),
        ]);
    }
    show(client, &rows, "There are none: nothing was sent to a model outside this server.");
    Ok(())
}

/// Shows the summaries that stand for older messages.
pub(super) async fn summaries(client: &mut Client<'_>, id: Option<&str>) -> Result<(), Failure> {
    let Some(reply) = ask(client, id, "summaries").await? else { return Ok(()) };
    let mut rows = table(&["summary", "from", "upto", "by", "written", "text"]);
    for summary in items(&reply, "summaries") {
        rows.add_row([
            cell(summary, "/summary"),
            cell(summary, "/first_seq"),
            cell(summary, "/upto"),
            cell(summary, "/by"),
            moment(summary, "/at"),
            short(&cell(summary, "/text"), 80),
        ]);
    }
    show(client, &rows, "There are none.");
    Ok(())
}

/// Flags of `context pin`.
#[derive(Clone, Debug, Args)]
pub(super) struct Pin {
    /// The context; `-` is the current one
    id: String,
    /// The message; without a number the pinned ones are listed
    seq: Option<u64>,
    /// Release the message instead
    #[arg(long, requires = "seq")]
    release: bool,
}

/// Lets every window carry a message, releases one, or lists them.
pub(super) async fn pin(client: &mut Client<'_>, asked: &Pin) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let place = path(&id).then("pins");
    let Some(seq) = asked.seq else {
        let reply = client.server.json(&Ask::get(place)).await?;
        let pins: Vec<String> = items(&reply, "pins").iter().map(|pin| cell(pin, "")).collect();
        let text = if pins.is_empty() { "nothing is pinned".to_owned() } else { pins.join(" ") };
        return told(client, &reply, &text);
    };
    let place = place.then(&seq.to_string());
    let (ask, done) = if asked.release {
        (Ask::delete(place), "released")
    } else {
        (Ask::put(place, &Value::Object(serde_json::Map::new())), "pinned")
    };
    let reply = client.server.json(&ask).await?;
    told(client, &reply, &format!("{done} message {seq} of `{id}`"))
}

/// Flags of `context recall`.
#[derive(Clone, Debug, Args)]
pub(super) struct Recall {
    /// The context; `-` is the current one
    id: String,
    /// A question, or a few words; a message need not hold all of them
    #[arg(required = true)]
    question: Vec<String>,
    /// At most so many, 1 to 50
    #[arg(long, value_name = "N", default_value_t = 5)]
    limit: u32,
    /// Only messages before this number
    #[arg(long, value_name = "SEQ")]
    before: Option<u32>,
}

/// Shows the messages of a context that have to do with a question.
pub(super) async fn recall(client: &mut Client<'_>, asked: &Recall) -> Result<(), Failure> {
    let id = find(client, Some(&asked.id)).await?;
    let path = path(&id)
        .then("recall")
        .query("q", Some(&asked.question.join(" ")))
        .query("limit", Some(&asked.limit.to_string()))
        .query("before", asked.before.map(|seq| seq.to_string()).as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let found = items(&reply, "recalled");
    if found.is_empty() {
        client.printer.note("Nothing in it has to do with that.");
    }
    for hit in found {
        let best = cell(hit, "/seq");
        for message in hit.get("messages").and_then(Value::as_array).into_iter().flatten() {
            let seq = cell(message, "/seq");
            let mark = if seq == best { "*" } else { " " };
            let role = cell(message, "/role");
            let text = short(&said(message.get("content").unwrap_or(&Value::Null)), 200);
            client.printer.line(&format!("{mark} {seq} {role}: {text}"));
        }
    }
    Ok(())
}

/// Asks for a list below a context; `None` when it was printed as JSON.
async fn ask(
    client: &mut Client<'_>,
    id: Option<&str>,
    name: &str,
) -> Result<Option<Reply>, Failure> {
    let id = find(client, id).await?;
    let reply = client.server.json(&Ask::get(path(&id).then(name))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(None);
    }
    Ok(Some(reply))
}

fn items<'r>(reply: &'r Reply, name: &str) -> &'r [Value] {
    reply.value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn show(client: &mut Client<'_>, rows: &comfy_table::Table, none: &str) {
    if rows.row_count() == 0 {
        client.printer.note(none);
    } else {
        client.printer.line(&rows.trim_fmt());
    }
}
