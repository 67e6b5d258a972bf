//! Repairs the entries of a list of MCP servers: shapes, paths, ports, programs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::command::connect::set_json;

/// What is known of the machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    pub(super) home: Option<PathBuf>,
    /// The folders of `PATH`, and those where programs usually are.
    pub(super) search: Vec<PathBuf>,
    /// Ports on which something listens; nothing when that is not known.
    pub(super) listening: Option<Vec<u16>>,
    /// The address of our own server, when exactly one runs.
    pub(super) own: Option<String>,
    /// Only this program's files allow comments; whether this file is one of those.
    pub(super) folder: PathBuf,
}

/// The text with its entries repaired, and what was done.
pub(super) fn repaired(text: &str, name: &str, machine: &Machine) -> (String, Vec<String>) {
    let (mut text, mut notes) = (text.to_owned(), Vec::new());
    let Ok(mut value) = serde_json::from_str::<Value>(&text) else { return (text, notes) };
    let reads_own_key = name != "mcp.json";
    if reads_own_key
        && value.get("mcpServers").is_none()
        && value.get("servers").is_some_and(Value::is_object)
        && text.matches("\"servers\"").count() == 1
    {
        text = text.replacen("\"servers\"", "\"mcpServers\"", 1);
        notes.push("renamed `servers` to `mcpServers`, which is read".to_owned());
        value = serde_json::from_str(&text).unwrap_or_default();
    }
    let group = if value.get("mcpServers").is_some() { "mcpServers" } else { "servers" };
    let Some(servers) = value.get(group).and_then(Value::as_object) else { return (text, notes) };
    for (server, entry) in servers {
        for (member, new, note) in changes(entry, machine) {
            if let Some(changed) = set_json(&text, &[group, server, member], &new) {
                text = changed;
                notes.push(format!("{server}: {note}"));
            }
        }
    }
    (text, notes)
}

/// The members of an entry that should be otherwise.
fn changes(entry: &Value, machine: &Machine) -> Vec<(&'static str, Value, String)> {
    let mut found = Vec::new();
    if let Some(url) = entry.get("url").and_then(Value::as_str)
        && let Some(better) = address(url, machine)
    {
        found.push(("url", json!(better), format!("`{url}` is now `{better}`")));
    }
    let Some(written) = entry.get("command").and_then(Value::as_str) else { return found };
    let mut command = written.to_owned();
    let mut args = match entry.get("args") {
        Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(list)) => list.iter().map(word).collect(),
        Some(_) | None => Vec::new(),
    };
    if machine.find(&command).is_none()
        && let Some((first, rest)) = written.split_once(' ')
        && machine.find(first).is_some()
    {
        let rest: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
        args.splice(0..0, rest);
        first.clone_into(&mut command);
    }
    command = machine.expanded(&command);
    if let Some(path) = machine.outside_of_path(&command) {
        command = path;
    }
    let args: Vec<String> = args.iter().map(|arg| machine.expanded(arg)).collect();
    let args = machine.absolute_script(&command, args);
    if command != written {
        found.push(("command", json!(command), format!("`command` is now `{command}`")));
    }
    let (old, new) = (entry.get("args").cloned(), json!(args));
    if old.as_ref() != Some(&new) && !(old.is_none() && args.is_empty()) {
        found.push(("args", new, "`args` is a list of texts, with whole paths".to_owned()));
    }
    if let Some(env) = entry.get("env").and_then(Value::as_object)
        && env.values().any(|value| value.is_number() || value.is_boolean())
    {
        let texts = env.iter().map(|(name, value)| (name.clone(), Value::String(word(value))));
        let note = "every value of `env` is a text".to_owned();
        found.push(("env", Value::Object(texts.collect()), note));
    }
    found
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A better address: ours, for one of an MCP server on this machine at which nothing listens.
fn address(url: &str, machine: &Machine) -> Option<String> {
    let (listening, own) = (machine.listening.as_ref()?, machine.own.as_ref()?);
    let rest = url.strip_prefix("http://")?;
    let (place, path) = rest.split_once('/')?;
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse::<u16>().ok()?;
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    let is_ours = path == "mcp" || path.starts_with("mcp/");
    (is_here && is_ours && !listening.contains(&port)).then(|| format!("{own}/{path}"))
}

/// Programs whose first argument is a file.
const RUNNERS: &[&str] = &["python", "python3", "node", "sh", "bash", "ruby", "deno", "bun"];

impl Machine {
    /// A program by its name in the folders of the search, or by its path.
    fn find(&self, program: &str) -> Option<PathBuf> {
        if program.contains('/') {
            let path = PathBuf::from(program);
            return path.is_file().then_some(path);
        }
        self.search.iter().map(|folder| folder.join(program)).find(|path| path.is_file())
    }

    /// A path without `~`, which only shells know.
    fn expanded(&self, text: &str) -> String {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest).display().to_string(),
            _ => text.to_owned(),
        }
    }

    /// The whole path of a program that desktop programs do not find by its name.
    fn outside_of_path(&self, program: &str) -> Option<String> {
        if Path::new(program).is_absolute() {
            return None;
        }
        if program.contains('/') {
            let path = self.folder.join(program);
            return path.is_file().then(|| path.display().to_string());
        }
        let path = self.find(program)?;
        let usual = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
        let is_usual =
            path.parent().is_some_and(|folder| usual.iter().any(|one| folder == Path::new(one)));
        (!is_usual).then(|| path.display().to_string())
    }

    /// A script that stands beside the file, by its whole path: programs start it elsewhere.
    fn absolute_script(&self, command: &str, mut args: Vec<String>) -> Vec<String> {
        let runner = Path::new(command).file_name().unwrap_or_default().to_string_lossy();
        if !RUNNERS.contains(&runner.as_ref()) {
            return args;
        }
        let script = args.iter_mut().find(|arg| !arg.starts_with('-'));
        if let Some(script) = script.filter(|script| !Path::new(script.as_str()).is_absolute()) {
            let path = self.folder.join(script.as_str());
            if path.is_file() {
                *script = path.display().to_string();
            }
        }
        args
    }
}

#[cfg(test)]
mod tests {
    use super::{Machine, repaired};

    #[test]
    fn entries_get_the_shapes_and_paths_that_programs_need() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for name in ["npx", "server.py"] {
            std::fs::write(place.join(name), "").unwrap();
        }
        let machine = Machine {
            home: Some("/home/ann".into()),
            search: vec![place.to_owned(), "/usr/bin".into(), "/bin".into()],
            listening: Some(vec![61900]),
            own: Some("http://127.0.0.1:61900".to_owned()),
            folder: place.to_owned(),
        };
        let text = "{\"servers\": {\n  \"a\": {\"command\": \"npx -y x\", \"env\": {\"P\": 1}},\n  \
                    \"b\": {\"command\": \"sh\", \"args\": \"server.py ~/x\"},\n  \
                    \"c\": {\"url\": \"http://localhost:8080/mcp\"},\n  \
                    \"d\": {\"url\": \"http://localhost:61900/mcp\"}\n}}";
        let (mended, notes) = repaired(text, "claude_desktop_config.json", &machine);
        let value: serde_json::Value = serde_json::from_str(&mended).unwrap();
        let at = |path: &str| value.pointer(path).unwrap().clone();
        let shown = place.display();
        assert_eq!(at("/mcpServers/a/command"), format!("{shown}/npx"));
        assert_eq!(at("/mcpServers/a/args"), serde_json::json!(["-y", "x"]));
        assert_eq!(at("/mcpServers/a/env/P"), "1");
        let script = format!("{shown}/server.py");
        assert_eq!(at("/mcpServers/b/args"), serde_json::json!([script, "/home/ann/x"]));
        assert_eq!(at("/mcpServers/c/url"), "http://127.0.0.1:61900/mcp");
        assert_eq!(at("/mcpServers/d/url"), "http://localhost:61900/mcp");
        assert_eq!(notes.len(), 6, "{notes:#?}");
        // Once is enough.
        assert_eq!(repaired(&mended, "claude_desktop_config.json", &machine), (mended, vec![]));
    }
}
