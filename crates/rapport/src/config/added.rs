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
    let all = group.as_object_mut().map(|group| group.entry("servers").or_insert_with(|| json!({})));
    match all.and_then(Value::as_object_mut) {
        Some(all) => change(all)?,
        None => anyhow::bail!("`mcp.servers` is no object"),
    }
    Ok(serde_json::to_string_pretty(&root)?)
}

/// What they say, as a source of settings; nothing when there is no file.
pub(super) fn layer(path: &Path, findings: &mut Findings) -> Layer {
    if !path.is_file() {
        return Layer::new();
    }
    let tree = file::read(path, findings);
    tree.map(|tree| layer::read_tree(path, &tree, findings).base).unwrap_or_default()
}

/// The text of the file with one more provider, from the text it has. `strict` refuses, when the
/// text is read, a variable that is not set; what is kept forgives that at a later start.
///
/// # Errors
/// When the file is not what was written there, in words for the log.
pub(crate) fn with(text: Option<&str>, added: &Added, strict: bool) -> anyhow::Result<String> {
    let mut root: Map<String, Value> = match text {
        Some(text) if !text.trim().is_empty() => serde_json::from_str(text)?,
        _ => Map::new(),
    };
    let mut one = serde_json::to_value(added)?;
    if let Some(members) = one.as_object_mut() {
        members.remove("name");
        if let Ok(Some(variable)) = added.variable() {
            let otherwise = if strict { "" } else { ":-" };
            members.insert("api_key".to_owned(), json!(format!("${{{variable}{otherwise}}}")));
        }
    }
    let all = root.entry("providers").or_insert_with(|| json!({}));
    match all.as_object_mut() {
        Some(all) => all.insert(added.name.clone(), one),
        None => anyhow::bail!("`providers` is no object"),
    };
    Ok(serde_json::to_string_pretty(&root)?)
}
