//! The long parts of a context, beside its row: state, instructions, settings, metadata.

use serde_json::Value;
use storage::rusqlite::{Connection, OptionalExtension, params};
use storage::{Durability, Stored, prepare_insert};
use wire::Fault;

use super::ctx::Row;
use super::length;
use super::seal::{self, Opened};
use crate::{Context, Map, Settings, refuse};

/// What changes only by an edit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doc {
    pub(crate) system: Option<String>,
    pub(crate) settings: Settings,
    pub(crate) metadata: Map,
}

/// Reads the whole context of a row.
pub(crate) fn context(connection: &Connection, row: &Row) -> Result<Context, Fault> {
    whole(connection, row, state(connection, row)?, doc(connection, row)?)
}

/// The whole context of a row whose long parts are at hand.
pub(crate) fn whole(
    connection: &Connection,
    row: &Row,
    state: Map,
    doc: Doc,
) -> Result<Context, Fault> {
    let parent = match row.parent {
        None => None,
        Some((parent, _)) => super::ctx::id_of(connection, parent)?,
    };
    Ok(Context { parent, ..row.context(state, doc) })
}

/// Reads the state; no row is an empty one.
pub(crate) fn state(connection: &Connection, row: &Row) -> Result<Map, Fault> {
    let sql = "SELECT state FROM ctx_state WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut rows = statement.query([row.n]).stored()?;
    match rows.next().stored()? {
        None => Ok(Map::new()),
        Some(found) => {
            // Borrowed from the page: parsed without a copy of the text, unless it is sealed.
            let bytes = found.get_ref(0).stored()?.as_bytes().unwrap_or_default();
            let plain = seal::open(bytes).unwrap_or_default();
            parse(std::str::from_utf8(&plain).unwrap_or_default(), "state", row)
        }
    }
}

/// Writes the state.
///
/// # Errors
/// `context_too_long` when it is larger than `limit` bytes.
pub(crate) fn save_state(
    connection: &Connection,
    row: &Row,
    state: &Map,
    limit: usize,
) -> Result<(), Fault> {
    let text = to_text(state)?;
    bounded("the state", &text, limit)?;
    let sql = "INSERT INTO ctx_state(n, state) VALUES (?1, ?2)
               ON CONFLICT(n) DO UPDATE SET state = ?2";
    let mut statement = prepare_insert(connection, sql)?;
    statement.execute(params![row.n, seal::text(row.owner(), &text)?]).stored()?;
    Ok(())
}

/// Reads the rarely changed part; no row is an empty one.
pub(crate) fn doc(connection: &Connection, row: &Row) -> Result<Doc, Fault> {
    let sql = "SELECT system, settings, metadata FROM ctx_doc WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found: Option<(Option<String>, String, String)> = statement
        .query_row([row.n], |found| {
            let metadata: Opened = found.get(2)?;
            Ok((Opened::maybe(found, 0)?, found.get(1)?, metadata.0))
        })
        .optional()
        .stored()?;
    let Some((system, settings, metadata)) = found else { return Ok(Doc::default()) };
    Ok(Doc {
        system,
        settings: Settings::parse(parse(&settings, "settings", row)?)?,
        metadata: parse(&metadata, "metadata", row)?,
    })
}

/// Writes the rarely changed part.
///
/// # Errors
/// `context_too_long` when one of them is larger than `limit` bytes.
pub(crate) fn save_doc(
    connection: &Connection,
    row: &Row,
    doc: &Doc,
    limit: usize,
) -> Result<(), Fault> {
    let settings = to_text(&doc.settings.to_map())?;
    let metadata = to_text(&doc.metadata)?;
    bounded("the system text", doc.system.as_deref().unwrap_or(""), limit)?;
    bounded("the settings", &settings, limit)?;
    bounded("the metadata", &metadata, limit)?;
    let sql = "INSERT INTO ctx_doc(n, system, settings, metadata) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT(n) DO UPDATE SET system = ?2, settings = ?3, metadata = ?4";
    let mut statement = prepare_insert(connection, sql)?;
    let system = doc.system.as_deref().map(|text| seal::text(row.owner(), text)).transpose()?;
    let metadata = seal::text(row.owner(), &metadata)?;
    statement.execute(params![row.n, system, settings, metadata]).stored()?;
    Ok(())
}

impl Doc {
    pub(crate) fn is_empty(&self) -> bool {
        self.system.is_none() && self.settings == Settings::default() && self.metadata.is_empty()
    }

    pub(crate) fn durability(&self) -> Option<Durability> {
        self.settings.durability
    }
}

/// A map as JSON, keys in their order.
pub(crate) fn to_text(map: &Map) -> Result<String, Fault> {
    serde_json::to_string(map)
        .map_err(|error| Fault::internal("a JSON object cannot be written").because(error))
}

fn parse(text: &str, what: &str, row: &Row) -> Result<Map, Fault> {
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        _ => {
            tracing::error!(context = %row.key.id, part = what, "a stored record is damaged");
            Err(refuse::damaged(what, &row.key.id))
        }
    }
}

pub(crate) fn bounded(what: &str, text: &str, limit: usize) -> Result<(), Fault> {
    if text.len() > limit {
        return Err(refuse::too_long(what, length(text.len()), length(limit)));
    }
    Ok(())
}
