//! `rapport debug`: look into a server that runs, and hold its calls at named points.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Frame;
use super::reach::{Client, Reach};
use super::table::{cell, moment, short, table};
use crate::print::Exit;
use crate::remote::{Ask, Class, Failure, PathOf};

const STEPS: &str = "/api/v1/debug/steps";

/// Flags of `debug`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "The server needs `debug: true` (or DEBUG_MODE=true), and answers only on \
                        its own machine, to administrators.\n\n\
    Examples:\n  \
    rapport debug dump --context support-17\n  \
    rapport debug step at=prompt            (holds every call before its model is asked)\n  \
    rapport debug step at=answer path=/v1/messages body=weather\n  \
    rapport debug waiting\n  \
    rapport debug show 1\n  \
    rapport debug go 1\n  \
    rapport debug step off")]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Print what is in memory, the last used contexts and the last model calls
    Dump(Dump),
    /// Hold calls that fit a rule at the points `parsed`, `joined`, `prompt`, `answer`
    Step(Step),
    /// List the calls that wait, and the rules
    Waiting,
    /// Print what a call that waits is about to do
    Show(One),
    /// Let a call that waits go on, or all of them
    Go {
        /// Its number; all when left out
        number: Option<u64>,
    },
    /// End a call that waits
    Drop(One),
}

#[derive(Clone, Debug, Args)]
struct Dump {
    /// Contexts, the last used first
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    contexts: Option<u32>,
    /// Messages of each, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=50))]
    messages: Option<u32>,
    /// Model calls, the newest
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=200))]
    exchanges: Option<u32>,
    /// Only this context
    #[arg(long, value_name = "ID")]
    context: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct Step {
    /// The words of one rule, such as `at=prompt path=/v1/*`, or `off`
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// Keep the rules that there are
    #[arg(long)]
    add: bool,
}

#[derive(Clone, Debug, Args)]
struct One {
    /// Its number
    number: u64,
}

/// Does what was asked.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| match &options.verb {
        Verb::Dump(wanted) => dump(client, wanted).await,
        Verb::Step(step) => self::step(client, step).await,
        Verb::Waiting => waiting(client).await,
        Verb::Show(one) => show(client, one.number).await,
        Verb::Go { number: Some(number) } => decide(client, *number, "go").await,
        Verb::Go { number: None } => all_go(client).await,
        Verb::Drop(one) => decide(client, one.number, "drop").await,
    })
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Prints all that is said there.
async fn whole(client: &mut Client<'_>, path: PathOf) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&pretty(&reply.value));
    }
    Ok(())
}

async fn dump(client: &mut Client<'_>, wanted: &Dump) -> Result<(), Failure> {
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let path = PathOf::new("/api/v1/debug")
        .query("contexts", number(wanted.contexts).as_deref())
        .query("messages", number(wanted.messages).as_deref())
        .query("exchanges", number(wanted.exchanges).as_deref())
        .query("context", wanted.context.as_deref());
    whole(client, path).await
}

async fn step(client: &mut Client<'_>, step: &Step) -> Result<(), Failure> {
    let rule = step.words.join(" ");
    let mut rules: Vec<Value> = Vec::new();
    if step.add {
        let known = client.server.json(&Ask::get(STEPS)).await?;
        rules.extend(
            known.value.get("rules").and_then(Value::as_array).into_iter().flatten().cloned(),
        );
    }
    if rule != "off" {
        rules.push(rule.into());
    }
    let reply = client.server.json(&Ask::put(STEPS, &json!({"rules": rules}))).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else if rules.is_empty() {
        client.printer.line("all calls pass");
    } else {
        client.printer.line("calls that fit are held now, a minute at most");
        client.printer.note("`rapport debug waiting` lists them; `rapport debug step off` ends it");
    }
    Ok(())
}

async fn waiting(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get(STEPS)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let list = |name: &str| reply.value.get(name).and_then(Value::as_array);
    let rules: Vec<&str> = list("rules").into_iter().flatten().filter_map(Value::as_str).collect();
    if rules.is_empty() {
        client.printer.note("no rule: all calls pass");
    }
    for rule in rules {
        client.printer.note(&format!("rule: {rule}"));
    }
    let mut rows = table(&["number", "point", "path", "turn", "model", "since"]);
    for call in list("waiting").into_iter().flatten() {
        rows.add_row([
            cell(call, "/number"),
            cell(call, "/point"),
            short(&cell(call, "/path"), 48),
            cell(call, "/turn"),
            short(&cell(call, "/model"), 40),
            moment(call, "/since"),
        ]);
    }
    if rows.row_count() == 0 {
        client.printer.note("No call waits.");
    } else {
        client.printer.line(&rows.trim_fmt());
    }
    Ok(())
}

async fn show(client: &mut Client<'_>, number: u64) -> Result<(), Failure> {
    let path = PathOf::new(STEPS).then(&number.to_string());
    whole(client, path).await
}

async fn decide(client: &mut Client<'_>, number: u64, how: &str) -> Result<(), Failure> {
    let path = PathOf::new(STEPS).then(&number.to_string()).then(how);
    let reply = client.server.json(&Ask::bare_post(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        let done = if how == "go" { "goes on" } else { "was ended" };
        client.printer.line(&format!("call {number} {done}"));
    }
    Ok(())
}

async fn all_go(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get(STEPS)).await?;
    let waiting = reply.value.get("waiting").and_then(Value::as_array);
    let numbers: Vec<u64> = waiting
        .into_iter()
        .flatten()
        .filter_map(|call| call.get("number").and_then(Value::as_u64))
        .collect();
    for number in &numbers {
        match decide(client, *number, "go").await {
            // It went on by itself meanwhile; the others still wait.
            Err(failure) if matches!(failure.class(), Class::Problem) => {}
            decided => decided?,
        }
    }
    if numbers.is_empty() {
        client.printer.note("No call waits.");
    }
    Ok(())
}
