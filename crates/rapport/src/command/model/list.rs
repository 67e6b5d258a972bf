//! `rapport model list`: one line for each model.

use comfy_table::{ColumnConstraint, Table};
use gateway::model::{Models, Price};
use serde_json::json;

use super::super::Frame;
use super::super::table::table;
use super::tokens;
use crate::config::Loaded;
use crate::print::Exit;

/// Columns of a terminal in which a line has room for what a model can do.
const WIDE: u16 = 120;

const TITLES: &[&str] = &["model", "provider", "window", "$/M in", "$/M out", "can", "ready"];
/// The place of the column that a narrow terminal leaves out.
const CAN: usize = 5;

/// The models of this configuration, the offline ones first.
pub(super) fn configured(frame: &mut Frame, models: &Models) -> anyhow::Result<Exit> {
    let list = models.list();
    if frame.printer.is_json() {
        frame.printer.json(&json!({"models": list}))?;
        return Ok(Exit::Fine);
    }
    let mut lines = table(TITLES);
    for model in &list {
        let window = if model.offline { String::new() } else { tokens(model.window_tokens.into()) };
        let (input, output) = price(model.price.as_ref());
        let ready = if model.configured { "yes" } else { "no" };
        lines.add_row([
            model.name.clone(),
            model.provider.clone(),
            window,
            input,
            output,
            model.capabilities.join(" "),
            ready.to_owned(),
        ]);
    }
    fit(frame, &mut lines);
    frame.printer.line(&lines.to_string());
    if list.iter().all(|model| model.offline) {
        frame
            .printer
            .hint("set the key of a provider, such as ANTHROPIC_API_KEY: docs/providers.md");
    }
    Ok(Exit::Fine)
}

/// Every row of the table of models.
pub(super) fn all(frame: &mut Frame, loaded: &Loaded) -> anyhow::Result<Exit> {
    let rows = loaded.config.gateway.prices.models().iter();
    let rows = rows.filter(|row| !row.id.ends_with('*'));
    if frame.printer.is_json() {
        let rows: Vec<_> = rows.map(super::show::known).collect();
        frame.printer.json(&json!({"models": rows}))?;
        return Ok(Exit::Fine);
    }
    let mut lines = table(TITLES.split_last().map_or(TITLES, |(_, titles)| titles));
    for row in rows {
        let (input, output) = price(Price::of(row).as_ref());
        let can: Vec<&str> = row.can.iter().map(|can| can.as_str()).collect();
        lines.add_row([
            row.id.clone(),
            row.provider.clone(),
            row.window.map(|count| tokens(count.into())).unwrap_or_default(),
            input,
            output,
            can.join(" "),
        ]);
    }
    fit(frame, &mut lines);
    frame.printer.line(&lines.to_string());
    Ok(Exit::Fine)
}

/// A narrow terminal gets a line for each model, without what it can do.
fn fit(frame: &mut Frame, lines: &mut Table) {
    let is_narrow = lines.is_tty() && lines.width().is_some_and(|width| width < WIDE);
    if let Some(can) = lines.column_mut(CAN).filter(|_| is_narrow) {
        can.set_constraint(ColumnConstraint::Hidden);
        frame.printer.hint("`rapport model show NAME` says what a model can do");
    }
}

fn price(price: Option<&Price>) -> (String, String) {
    let text = |usd: Option<f64>| usd.map(|usd| usd.to_string()).unwrap_or_default();
    price.map_or_else(Default::default, |price| (text(price.input), text(price.output)))
}
