//! `rapport provider`: who is known by name, and who is configured.

use clap::{Args, Subcommand};
use gateway::model::Models;
use gateway::provider::{Providers, Row};
use serde_json::{Value, json};

use super::Frame;
use super::table::table;
use crate::print::Exit;

/// Flags of `provider`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// The providers that this configuration has, and with `--all` everyone who is known by name
    List {
        /// Everyone who is known by name
        #[arg(long)]
        all: bool,
    },
    /// Print the table of docs/providers.md
    #[command(hide = true)]
    Docs,
}

/// Does what was asked.
///
/// # Errors
/// When a provider of the configuration cannot work.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let Verb::List { all } = options.verb else {
        frame.printer.piece(&page());
        return Ok(Exit::Fine);
    };
    if all {
        return known(frame);
    }
    let inputs = frame.inputs();
    let loaded = match frame.load(&inputs) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let providers = Models::new(&loaded.config.gateway)?.providers();
    if frame.printer.is_json() {
        frame.printer.json(&json!({"providers": providers}))?;
        return Ok(Exit::Fine);
    }
    let mut lines = table(&["provider", "dialect", "address", "auth", "key", "ready"]);
    for provider in &providers {
        lines.add_row([
            provider.name.clone(),
            provider.dialect.clone(),
            provider.base_url.clone(),
            provider.auth.clone(),
            provider.key_source.clone().unwrap_or_default(),
            if provider.configured { "yes" } else { "no" }.to_owned(),
        ]);
    }
    frame.printer.line(&lines.to_string());
    if providers.is_empty() {
        frame
            .printer
            .hint("`rapport provider list --all` shows who is known and by which variable");
    }
    Ok(Exit::Fine)
}

fn known(frame: &mut Frame) -> anyhow::Result<Exit> {
    let rows = Providers::embedded().rows();
    if frame.printer.is_json() {
        let rows: Vec<Value> = rows.iter().map(shown).collect();
        frame.printer.json(&json!({"providers": rows}))?;
        return Ok(Exit::Fine);
    }
    let mut lines = table(&["provider", "who", "dialect", "variable"]);
    for row in rows {
        let variable = row.key.first().or(row.base.as_ref()).cloned().unwrap_or_default();
        lines.add_row([row.name.clone(), row.title.clone(), row.dialect.clone(), variable]);
    }
    frame.printer.line(&lines.to_string());
    Ok(Exit::Fine)
}

fn shown(row: &Row) -> Value {
    json!({
        "name": row.name, "title": row.title, "docs": row.docs, "base_url": row.base_url,
        "dialect": row.dialect, "auth": row.auth.to_string(), "key_variables": row.key,
        "base_variable": row.base, "models": row.models, "local": row.local, "paths": row.paths,
    })
}

/// The end of docs/providers.md: a table of everyone who is known.
fn page() -> String {
    let rows = Providers::embedded().rows();
    let mut page = String::from(
        "| name | who | dialect | auth | variables | address |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let variables: Vec<String> =
            row.key.iter().chain(&row.base).map(|name| format!("`{name}`")).collect();
        let who = format!("[{}]({})", row.title, row.docs);
        page.push_str(&format!(
            "| `{}` | {who} | {} | {} | {} | `{}` |\n",
            row.name,
            row.dialect,
            row.auth,
            variables.join(" "),
            row.base_url
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_ends_with_the_table_of_all_providers() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/providers.md");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        let (_, table) = committed.split_once("compares them -->\n\n").unwrap_or_default();
        assert!(
            table == page(),
            "docs/providers.md is old: put the output of `rapport provider docs` at its end"
        );
    }
}
