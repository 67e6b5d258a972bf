//! The providers and servers that the API added: files in the data folder, below every other
//! source.

use std::path::{Path, PathBuf};

use gateway::joined::AddedServer;
use gateway::provider::Added;
use serde_json::{Map, Value, json};

use super::file;
use super::layer::{self, Layer};
use super::problem::Findings;

const FILE: &str = "providers.json";
const SERVERS: &str = "mcp.json";

/// Where they are kept.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// Where servers of the Model Context Protocol are kept.
pub(crate) fn servers(data: &Path) -> PathBuf {
    data.join(SERVERS)
}

/// Whether a file is that of servers that were added.
pub(super) fn is_servers(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == SERVERS)
}

/// The text of the file of servers with one more, from the text it has.
///
/// # Errors
/// When the file is not what was written there.
pub(crate) fn with_server(text: Option<&str>, added: &AddedServer) -> anyhow::Result<String> {
    change_servers(text, |all| {
        all.insert(added.name.clone(), serde_json::to_value(added)?);
        Ok(())
    })
}

/// A server of the file, if it is there.
///
/// # Errors
/// When the file is not what was written there.
pub(crate) fn server(text: Option<&str>, name: &str) -> anyhow::Result<Option<Value>> {
    let mut found = None;
    change_servers(text, |all| {
        found = all.get(name).cloned();
        Ok(())
    })?;
    Ok(found)
}

/// The text of the file of servers without one; `None` when it is not there.
///
/// # Errors
/// When the file is not what was written there.
pub(crate) fn without_server(text: Option<&str>, name: &str) -> anyhow::Result<Option<String>> {
    let mut found = false;
    let text = change_servers(text, |all| {
        found = all.shift_remove(name).is_some();
        Ok(())
    })?;
    Ok(found.then_some(text))
}

fn change_servers(
    text: Option<&str>,
    change: impl FnOnce(&mut Map<String, Value>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut root: Map<String, Value> = match text {
        Some(text) if !text.trim().is_empty() => serde_json::from_str(text)?,
        _ => Map::new(),
    };
    let group = root.entry("mcp").or_insert_with(|| json!({}));
    let all =
        group.as_object_mut().map(|group| group.entry("servers").or_insert_with(|| json!({})));
    match all.and_then(Value::as_object_mut) {
        Some(all) => change(all)?,
        None => anyhow::bail!("`mcp.servers` is no object"),
    }
    Ok(serde_json::to_string_pretty(&root)?)
}

/// The names of the providers in a file, in the order in which they were added.
pub(super) fn order(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).ok();
    let mut names = Vec::new();
    // A file that cannot be read is reported by whoever reads its settings.
    let _read = change_providers(text.as_deref(), |all| names = all.keys().cloned().collect());
    names
}

/// What they say, as a source of settings; nothing when there is no file.
pub(super) fn layer(path: &Path, findings: &mut Findings) -> Layer {
    if !path.is_file() {
        return Layer::new();
    }
    let tree = file::read(path, findings);
    tree.map(|tree| layer::read_tree(path, &tree, findings).base).unwrap_or_default()
}

/// A provider as the file has it, with its key as it is kept.
///
/// # Errors
/// When it is no JSON.
pub(crate) fn entry(added: &Added, key: Option<&str>) -> anyhow::Result<Map<String, Value>> {
    let mut members = match serde_json::to_value(added)? {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.remove("name");
    members.remove("api_key");
    // A check that says nothing of itself is one with all defaults.
    if let Some(health) = members.get_mut("health").and_then(Value::as_object_mut)
        && health.is_empty()
    {
        health.insert("every".to_owned(), "30s".into());
    }
    members.extend(key.map(|key| ("api_key".to_owned(), key.into())));
    Ok(members)
}

/// How the file refers to a variable. `strict` refuses, when it is read, one that is not set; what
/// is kept forgives that at a later start.
pub(crate) fn reference(variable: &str, strict: bool) -> String {
    format!("${{{variable}{}}}", if strict { "" } else { ":-" })
}

/// A provider of the file, if it is there.
///
/// # Errors
/// When the file is not what was written there, in words for the log.
pub(crate) fn provider(
    text: Option<&str>,
    name: &str,
) -> anyhow::Result<Option<Map<String, Value>>> {
    let mut found = None;
    change_providers(text, |all| {
        found = all.get(name).and_then(Value::as_object).cloned();
    })?;
    Ok(found)
}

/// The text of the file with this provider in the place of one of the same name, or without it.
///
/// # Errors
/// When the file is not what was written there, in words for the log.
pub(crate) fn with(
    text: Option<&str>,
    name: &str,
    entry: Option<Map<String, Value>>,
) -> anyhow::Result<String> {
    change_providers(text, |all| {
        match entry {
            Some(entry) => all.insert(name.to_owned(), entry.into()),
            None => all.shift_remove(name),
        };
    })
}

fn change_providers(
    text: Option<&str>,
    change: impl FnOnce(&mut Map<String, Value>),
) -> anyhow::Result<String> {
    let mut root: Map<String, Value> = match text {
        Some(text) if !text.trim().is_empty() => serde_json::from_str(text)?,
        _ => Map::new(),
    };
    match root.entry("providers").or_insert_with(|| json!({})).as_object_mut() {
        Some(all) => change(all),
        None => anyhow::bail!("`providers` is no object"),
    }
    Ok(serde_json::to_string_pretty(&root)?)
}
