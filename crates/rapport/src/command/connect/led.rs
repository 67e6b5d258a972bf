//! Entries of other programs' lists that lead to a port of this machine, led to another one.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::apps::{APPS, App};
use super::edit::Format;
use super::file::{self, Change};
use super::machine::Machine;
use super::{edit, entry};
use crate::config::Environment;

/// Members that hold an address.
const ADDRESSES: &[&str] = &["url", "httpUrl", "serverUrl"];

/// How texts of an entry change.
pub(in crate::command) struct Way<'w> {
    /// The text with the new port in the places of the old one.
    pub(in crate::command) text: &'w dyn Fn(&str) -> String,
    /// The number as it may stand alone, as after `--port`.
    pub(in crate::command) number: &'w dyn Fn(&str) -> Option<String>,
    /// Whether the entry of this name, in this file, stays as it is.
    pub(in crate::command) stays: &'w dyn Fn(&Path, &str) -> bool,
}

/// A list and what it is to become.
#[derive(Debug)]
pub(in crate::command) struct Led {
    pub(in crate::command) change: Change,
    /// The entries that change, and the address of each that has one.
    pub(in crate::command) entries: Vec<(String, Option<String>)>,
    /// Whose it is, and what makes it read its file again.
    pub(in crate::command) reload: String,
}

/// The lists of this user, and of the project in `folder`, that change.
///
/// # Errors
/// A list that leads there and cannot be read, in words for the user.
pub(in crate::command) fn lists(
    env: &Environment,
    folder: &Path,
    way: &Way<'_>,
) -> Result<Vec<Led>, String> {
    let machine = Machine::here(env);
    let mut found: Vec<Led> = Vec::new();
    for app in APPS {
        let own = (app.files)(&machine).into_iter();
        let files = own.chain(app.project.map(|name| folder.join(name)));
        for path in files.filter(|path| path.is_file()) {
            let is_known = found.iter().any(|led| led.change.path == path);
            if !is_known && let Some(led) = list(app, path, way)? {
                found.push(led);
            }
        }
    }
    Ok(found)
}

fn list(app: &App, path: PathBuf, way: &Way<'_>) -> Result<Option<Led>, String> {
    let Ok(before) = file::read(&path) else { return Ok(None) };
    let refused = |why: &str| {
        let shown = path.display();
        format!("`{shown}` leads to the port and cannot be changed: {why}; mend it first")
    };
    let mut places = vec![vec![app.group.to_owned()]];
    let projects = match app.format.find(&before, &["projects"]) {
        Ok(projects) => projects,
        // What does not lead there need not be readable.
        Err(_) if (way.text)(&before) == before => return Ok(None),
        Err(wrong) => return Err(refused(&wrong.to_string())),
    };
    let projects = projects.as_ref().and_then(Value::as_object).into_iter().flatten();
    places.extend(
        projects.map(|(name, _)| vec!["projects".to_owned(), name.clone(), app.group.to_owned()]),
    );
    let (mut after, mut entries) = (before.clone(), Vec::new());
    for place in &places {
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let group = app.format.find(&before, &place).ok().flatten();
        for (name, old) in group.as_ref().and_then(Value::as_object).into_iter().flatten() {
            let Some(old) = old.as_object() else { continue };
            let new = entry_led(old, way);
            if new == *old || (way.stays)(&path, name) {
                continue;
            }
            let whole: Vec<&str> = place.iter().copied().chain([name.as_str()]).collect();
            after = set(app.format, &after, &whole, (old, &new)).map_err(|why| refused(&why))?;
            let url = ADDRESSES.iter().find_map(|member| old.get(*member)?.as_str());
            entries.push((name.clone(), url.map(str::to_owned)));
        }
    }
    let reload = format!("{}: {}", app.name, app.reload);
    let change = Change { path, before, after };
    Ok((!entries.is_empty()).then_some(Led { change, entries, reload }))
}

/// The text with the members of an entry that differ.
fn set(
    format: Format,
    text: &str,
    path: &[&str],
    (old, new): (&Map<String, Value>, &Map<String, Value>),
) -> Result<String, String> {
    let edited = match format {
        Format::Toml => format.set(text, path, new).map_err(|why| why.to_string())?,
        Format::Json => {
            let changed = new.iter().filter(|(name, value)| old.get(*name) != Some(*value));
            changed.map(|(name, value)| (name.as_str(), value)).try_fold(
                text.to_owned(),
                |text, (name, value)| {
                    let member: Vec<&str> = path.iter().copied().chain([name]).collect();
                    edit::set_value(&text, &member, value).map_err(|why| why.to_string())
                },
            )?
        }
    };
    let is_there = format.find(&edited, path).ok().flatten() == Some(Value::Object(new.clone()));
    is_there.then_some(edited).ok_or_else(|| "it is written in an unusual way".to_owned())
}

fn entry_led(entry: &Map<String, Value>, way: &Way<'_>) -> Map<String, Value> {
    let is_ours = entry::is_ours(&Value::Object(entry.clone())).is_ok();
    let member = |(name, value): (&String, &Value)| {
        let new = match (name.as_str(), value) {
            ("args", Value::Array(words)) => Value::Array(words_led(words, is_ours, way)),
            ("env", Value::Object(variables)) => {
                let led = variables.iter().map(|(name, value)| {
                    let alone = value.as_str().filter(|_| name == "RAPPORT_PORT");
                    let new = alone.and_then(|text| (way.number)(text)).map(Value::String);
                    (name.clone(), new.unwrap_or_else(|| text_led(value, way)))
                });
                Value::Object(led.collect())
            }
            (name, value) if ADDRESSES.contains(&name) => text_led(value, way),
            (_, value) => value.clone(),
        };
        (name.clone(), new)
    };
    entry.iter().map(member).collect()
}

/// In an entry of ours the word after `--port` is our port.
fn words_led(words: &[Value], is_ours: bool, way: &Way<'_>) -> Vec<Value> {
    let before = std::iter::once(None).chain(words.iter().map(Some));
    let led = words.iter().zip(before).map(|(word, before)| {
        let is_port = is_ours && before.and_then(Value::as_str) == Some("--port");
        let alone = word.as_str().filter(|_| is_port).and_then(|text| (way.number)(text));
        alone.map_or_else(|| text_led(word, way), Value::String)
    });
    led.collect()
}

fn text_led(value: &Value, way: &Way<'_>) -> Value {
    value.as_str().map_or_else(|| value.clone(), |text| Value::String((way.text)(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_that_lead_to_the_port_change_and_no_other_byte() {
        let home = tempfile::tempdir().unwrap();
        let env = Environment::with(&[("HOME", home.path().to_str().unwrap())]);
        let write = |name: &str, text: &str| {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
        };
        let cursor = "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\"url\": \
                      \"http://localhost:61900/mcp\"},\n    \"b\": {\"url\": \
                      \"http://localhost:7000/mcp\"},\n    \"kept\": {\"url\": \
                      \"http://localhost:61900/other\"}\n  }\n}\n";
        write(".cursor/mcp.json", cursor);
        let claude = "{\"history\": [\"see http://localhost:61900\"], \"projects\": {\"/p\": \
                      {\"mcpServers\": {\"r\": {\"command\": \"/usr/bin/rapport\", \"args\": \
                      [\"mcp\",\"--port\",\"61900\"]}}}}}";
        write(".claude.json", claude);
        write(".codex/config.toml", "[mcp_servers.r]\nurl = \"http://127.0.0.1:61900/mcp\"\n");
        let way = Way {
            text: &|text| text.replace(":61900", ":8001"),
            number: &|text| (text == "61900").then(|| "8001".to_owned()),
            stays: &|_, name| name == "kept",
        };
        let led = lists(&env, home.path(), &way).unwrap();
        let after = |end: &str| {
            let found = led.iter().find(|led| led.change.path.ends_with(end));
            found.unwrap_or_else(|| panic!("{end}: {led:#?}")).change.after.clone()
        };
        assert_eq!(after("mcp.json"), cursor.replacen("61900", "8001", 1));
        assert_eq!(after(".claude.json"), claude.replace("\"61900\"", "\"8001\""));
        assert!(after("config.toml").contains("http://127.0.0.1:8001/mcp"));
        assert_eq!(led.len(), 3, "{led:#?}");
        // A broken list that leads there stops everything, one that does not is no matter.
        write(".gemini/settings.json", "{\"mcpServers\": ");
        assert_eq!(lists(&env, home.path(), &way).unwrap().len(), 3);
        write(".gemini/settings.json", "{\"mcpServers\": {\"url\": \"http://localhost:61900/");
        let error = lists(&env, home.path(), &way).unwrap_err();
        assert!(error.contains("settings.json` leads to the port"), "{error}");
    }
}
