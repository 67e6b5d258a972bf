//! `rapport audit`: who changed what, and whether the record of it still holds.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Frame;
use super::reach::{Client, Reach};
use super::table::{cell, moment, table};
use crate::print::Exit;
use crate::remote::{Ask, Class, Failure, PathOf};

/// Flags of `audit`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Show changes, the oldest first
    List(List),
    /// Check the chain of hashes over all changes; exit 1 when it is broken
    Verify,
    /// Write all changes as JSON lines to standard output
    Export,
    /// Destroy the key of all encrypted contexts: nobody can read them any more
    EraseKey(EraseKey),
}

#[derive(Clone, Debug, Args)]
struct List {
    /// Only changes of this context
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    /// Only lines after this number
    #[arg(long, value_name = "LINE")]
    after: Option<u64>,
    /// At most so many, 1 to 500
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// Does what was asked.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| match &options.verb {
        Verb::List(list) => self::list(client, list).await,
        Verb::Verify => verify(client).await,
        Verb::Export => export(client).await,
        Verb::EraseKey(erase) => erase_key(client, erase).await,
    })
}

/// Flags of `audit erase-key`.
#[derive(Clone, Debug, Args)]
struct EraseKey {
    /// Really
    #[arg(long)]
    yes: bool,
}

async fn erase_key(client: &mut Client<'_>, erase: &EraseKey) -> Result<(), Failure> {
    if !erase.yes {
        let text = "nothing brings back what the key sealed";
        return Err(
            Failure::new(Class::Usage, text).hint("repeat it with `--yes` if that is meant")
        );
    }
    let reply = client.server.json(&Ask::delete("/api/v1/encryption/key")).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        let count = cell(&reply.value, "/contexts");
        client.printer.line(&format!("{count} contexts cannot be read any more"));
    }
    Ok(())
}

async fn list(client: &mut Client<'_>, list: &List) -> Result<(), Failure> {
    let path = PathOf::new("/api/v1/audit")
        .query("context", list.context.as_deref())
        .query("after", list.after.map(|line| line.to_string()).as_deref())
        .query("limit", list.limit.map(|limit| limit.to_string()).as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let mut rows = table(&["line", "when", "who", "what", "context"]);
    for change in reply.value.get("changes").and_then(Value::as_array).into_iter().flatten() {
        rows.add_row([
            cell(change, "/line"),
            moment(change, "/at"),
            cell(change, "/who"),
            cell(change, "/what"),
            cell(change, "/context_id"),
        ]);
    }
    if rows.row_count() == 0 {
        client.printer.note("Nothing was changed, or `contexts.audit` is off.");
        return Ok(());
    }
    client.printer.line(&rows.trim_fmt());
    let next = cell(&reply.value, "/next_after");
    if !next.is_empty() {
        client.printer.note(&format!("There are more: rapport audit list --after {next}"));
    }
    Ok(())
}

async fn verify(client: &mut Client<'_>) -> Result<(), Failure> {
    let reply = client.server.json(&Ask::get("/api/v1/audit/verify")).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    }
    let at = |path: &str| cell(&reply.value, path);
    if at("/sound") != "true" {
        let text =
            format!("the audit is broken at line {}: {}", at("/broken/line"), at("/broken/why"));
        return Err(Failure::new(Class::Problem, text)
            .hint("somebody wrote into the database; compare with an earlier export or backup"));
    }
    if !client.is_json() {
        client.printer.line(&format!("{} lines, all as they were written", at("/lines")));
        if !at("/newest").is_empty() {
            client.printer.line(&format!("newest: {}", at("/newest")));
        }
    }
    Ok(())
}

async fn export(client: &mut Client<'_>) -> Result<(), Failure> {
    let mut after = None;
    loop {
        let path = PathOf::new("/api/v1/audit")
            .query("limit", Some("500"))
            .query("after", after.as_deref());
        let reply = client.server.json(&Ask::get(path)).await?;
        for change in reply.value.get("changes").and_then(Value::as_array).into_iter().flatten() {
            client.printer.line(&change.to_string());
        }
        let next = cell(&reply.value, "/next_after");
        if next.is_empty() {
            return Ok(());
        }
        after = Some(next);
    }
}
