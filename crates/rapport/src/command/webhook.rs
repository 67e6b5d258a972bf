//! `rapport webhook`: addresses that are told when contexts change.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Frame;
use super::reach::{Client, Reach};
use super::table::{cell, moment, short, table};
use crate::print::Exit;
use crate::remote::{Ask, Failure, PathOf, Reply};

/// Flags of `webhook`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Make a webhook; its secret is shown this once
    Create(Create),
    /// Show the webhooks
    List,
    /// Send a webhook an event that says nothing
    Test(Numbered),
    /// Switch a webhook off, or on again
    Switch(Switch),
    /// Show what a webhook was not told yet, or never
    Deliveries(Deliveries),
    /// Try again at once what a webhook was not told
    Retry(Retry),
    /// Delete a webhook and what waits for it
    Delete(Numbered),
}

#[derive(Clone, Debug, Args)]
struct Create {
    /// Where it is told, https://…
    #[arg(value_name = "URL")]
    address: String,
    /// What it is told, such as turn.completed,context.deleted; everything when left out
    #[arg(long, value_name = "EVENTS", value_delimiter = ',')]
    events: Vec<String>,
    /// Only changes of this context
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct Numbered {
    /// The number of the webhook
    number: u64,
}

#[derive(Clone, Debug, Args)]
struct Switch {
    /// The number of the webhook
    number: u64,
    /// on or off
    #[arg(value_parser = ["on", "off"])]
    to: String,
}

#[derive(Clone, Debug, Args)]
struct Deliveries {
    /// The number of the webhook
    number: u64,
    /// waiting, or dead: those that were given up
    #[arg(long, default_value = "waiting", value_parser = ["waiting", "dead"])]
    status: String,
    /// The same as --status dead
    #[arg(long, conflicts_with = "status")]
    dead: bool,
}

#[derive(Clone, Debug, Args)]
struct Retry {
    /// The number of the webhook
    number: u64,
    /// Only this delivery
    #[arg(long, value_name = "NUMBER")]
    delivery: Option<u64>,
}

/// Does what was asked.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| match &options.verb {
        Verb::Create(create) => make(client, create).await,
        Verb::List => list(client).await,
        Verb::Test(hook) => {
            let reply = client.server.json(&Ask::bare_post(path(hook.number).then("test"))).await?;
            let number = hook.number;
            let look = format!("on its way; `rapport webhook deliveries {number}` shows failures");
            told(client, &reply, &look)
        }
        Verb::Switch(switch) => {
            let body = json!({"enabled": switch.to == "on"});
            let reply = client.server.json(&Ask::patch(path(switch.number), &body)).await?;
            told(client, &reply, &format!("webhook {} is {}", switch.number, switch.to))
        }
        Verb::Deliveries(wanted) => deliveries(client, wanted).await,
        Verb::Retry(retry) => {
            let mut body = Map::new();
            body.extend(retry.delivery.map(|number| ("delivery".to_owned(), json!(number))));
            let ask = Ask::post(path(retry.number).then("retry"), &Value::Object(body));
            let reply = client.server.json(&ask).await?;
            told(client, &reply, &format!("tried again: {}", cell(&reply.value, "/retried")))
        }
        Verb::Delete(hook) => {
            let reply = client.server.json(&Ask::delete(path(hook.number))).await?;
            told(client, &reply, &format!("deleted webhook {}", hook.number))
        }
    })
}

fn path(number: u64) -> PathOf {
    PathOf::new("/api/v1/webhooks").then(&number.to_string())
}

async fn make(client: &mut Client<'_>, create: &Create) -> Result<(), Failure> {
    let mut body = Map::from_iter([("url".to_owned(), json!(create.address))]);
    if !create.events.is_empty() {
        body.insert("events".to_owned(), json!(create.events));
    }
    for (name, value) in [("context", &create.context), ("name", &create.name)] {
        body.extend(value.iter().map(|value| (name.to_owned(), json!(value))));
    }
    let ask = Ask::post("/api/v1/webhooks", &Value::Object(body));
    let reply = client.server.json(&ask).await?;
    if !client.is_json() {
        let number = cell(&reply.value, "/webhook");
        client.printer.note(&format!(
            "Webhook {number}. Its secret is shown this once; check the header \
             `webhook-signature` with it:"
        ));
    }
    told(client, &reply, reply.text("secret"))
}

async fn list(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get("/api/v1/webhooks")).await?;
    let mut rows = table(&["webhook", "url", "events", "context", "is", "waiting", "dead"]);
    for hook in items(&reply, "webhooks") {
        let events = hook.get("events").and_then(Value::as_array).into_iter().flatten();
        let events: Vec<&str> = events.filter_map(Value::as_str).collect();
        rows.add_row([
            cell(hook, "/webhook"),
            cell(hook, "/url"),
            if events.is_empty() { "all".to_owned() } else { events.join(" ") },
            cell(hook, "/context"),
            if cell(hook, "/enabled") == "true" { "on".to_owned() } else { "off".to_owned() },
            cell(hook, "/waiting"),
            cell(hook, "/dead"),
        ]);
    }
    if rows.row_count() == 0 && !client.is_json() {
        client.printer.note("There are none. Make one: rapport webhook create https://…");
        return Ok(());
    }
    told(client, &reply, &rows.trim_fmt())
}

async fn deliveries(client: &mut Client<'_>, wanted: &Deliveries) -> Result<(), Failure> {
    let status = if wanted.dead { "dead" } else { wanted.status.as_str() };
    let path = path(wanted.number).then("deliveries").query("status", Some(status));
    let reply = client.server.json(&Ask::get(path)).await?;
    let mut rows = table(&["delivery", "event", "happened", "tries", "next try", "error"]);
    for delivery in items(&reply, "deliveries") {
        rows.add_row([
            cell(delivery, "/delivery"),
            cell(delivery, "/event"),
            moment(delivery, "/happened_at"),
            cell(delivery, "/tries"),
            moment(delivery, "/next_try_at"),
            short(&cell(delivery, "/error"), 80),
        ]);
    }
    if rows.row_count() == 0 && !client.is_json() {
        client.printer.note("There are none.");
        return Ok(());
    }
    told(client, &reply, &rows.trim_fmt())
}

fn items<'r>(reply: &'r Reply, name: &str) -> &'r [Value] {
    reply.value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[expect(clippy::unnecessary_wraps, reason = "it is the last word of every verb")]
fn told(client: &mut Client<'_>, reply: &Reply, text: &str) -> Result<(), Failure> {
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(text);
    }
    Ok(())
}
