//! TOML, with the line of every key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Broken, Node, What};

pub(super) fn read(text: &str) -> Result<Node, Broken> {
    let table = DeTable::parse(text).map_err(|error| {
        let start = error.span().map(|span| span.start);
        Broken {
            line: start.map(|at| super::line_of(text, at)),
            column: start.map(|at| super::column_of(text, at)),
            problem: error.message().lines().collect::<Vec<_>>().join(", "),
        }
    })?;
    Ok(Node { line: Some(1), what: map(table.get_ref(), text) })
}

fn map(table: &DeTable<'_>, text: &str) -> What {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let entries = entries.into_iter().map(|(name, value)| {
        let line = Some(super::line_of(text, name.span().start));
        (name.get_ref().to_string(), Node { line, what: what(value, text) })
    });
    What::Map(entries.collect())
}

fn what(value: &Spanned<DeValue<'_>>, text: &str) -> What {
    match value.get_ref() {
        DeValue::String(value) => What::Text(value.to_string()),
        DeValue::Boolean(value) => What::Text(value.to_string()),
        // The source keeps every digit, whatever the number would fit into.
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => {
            let source = text.get(value.span()).unwrap_or_default();
            What::Text(source.replace('_', ""))
        }
        DeValue::Array(items) => {
            let node = |item: &Spanned<DeValue<'_>>| Node {
                line: Some(super::line_of(text, item.span().start)),
                what: what(item, text),
            };
            What::List(items.iter().map(node).collect())
        }
        DeValue::Table(table) => map(table, text),
    }
}
