//! The entries of the list: what keeps Claude Desktop from starting a command.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Finding, Level};
use crate::command::connect::machine::Machine;

/// Looks at every entry.
pub(super) fn check(machine: &Machine, group: Option<&Value>) -> Vec<Finding> {
    match group {
        None => Vec::new(),
        Some(Value::Object(servers)) => {
            servers.iter().flat_map(|(name, entry)| one(machine, name, entry)).collect()
        }
        Some(_) => {
            let text = "`mcpServers` is no object of names and entries";
            vec![Finding::new(Level::Fault, "servers", text)]
        }
    }
}

fn one(machine: &Machine, name: &str, entry: &Value) -> Vec<Finding> {
    let fault = |text: String| Finding::new(Level::Fault, "entry", text);
    let Some(entry) = entry.as_object() else {
        return vec![fault(format!("`{name}` is no object"))];
    };
    if entry.contains_key("url") || entry.contains_key("serverUrl") {
        let text = format!("`{name}` has an address: this file takes only commands");
        let fix = "for a server on this machine start `rapport mcp`; remote ones are added in \
                   Settings > Connectors, and are reached from Anthropic's cloud, never from here";
        return vec![fault(text).fix(fix)];
    }
    let mut findings = shape(name, entry);
    if name.len() > 32 {
        let text = format!("the name `{name}` is long: it stands before every tool's, 64 at most");
        findings.push(Finding::new(Level::Warning, "entry", text).fix("choose a shorter one"));
    }
    match entry.get("command") {
        Some(Value::String(command)) => findings.extend(program(machine, name, command)),
        _ => findings.push(fault(format!("`{name}` has no `command`"))),
    }
    findings
}

fn shape(name: &str, entry: &Map<String, Value>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut fault = |text: String, fix: &str| {
        findings.push(Finding::new(Level::Fault, "entry", text).fix(fix));
    };
    let is_text = |value: &Value| value.is_string();
    match entry.get("args") {
        None => {}
        Some(Value::Array(args)) if args.iter().all(is_text) => {
            for arg in args.iter().filter_map(Value::as_str) {
                if arg.starts_with("~/") || arg.contains("$HOME") || arg.contains("%APPDATA%") {
                    let text = format!("`{name}` has the argument `{arg}`, which nobody expands");
                    fault(text, "write the whole path: no shell reads this line");
                }
            }
        }
        Some(_) => fault(format!("`args` of `{name}` is no list of texts"), "write [\"…\", \"…\"]"),
    }
    match entry.get("env") {
        None => {}
        Some(Value::Object(env)) if env.values().all(is_text) => {}
        Some(_) => fault(
            format!("`env` of `{name}` is no object of texts"),
            "put numbers and booleans in quotes",
        ),
    }
    findings
}

/// Applications of a desktop have a short `PATH` and `/` as their folder.
fn program(machine: &Machine, name: &str, command: &str) -> Option<Finding> {
    let fault = |text: String| Finding::new(Level::Fault, "command", text);
    let path = Path::new(command);
    if !path.is_absolute() {
        let found = machine.program(command);
        let has_folder = command.contains(['/', '\\']);
        return Some(match found {
            _ if has_folder => fault(format!("`{name}` starts `{command}`, a relative path"))
                .fix("write the whole path: the application's folder is another one"),
            Some(found) => {
                let text = format!(
                    "`{name}` starts `{command}`, which is looked for on the PATH \
                                    of the desktop, a shorter one than a terminal's"
                );
                Finding::new(Level::Warning, "command", text)
                    .fix(format!("write `{}`", found.display()))
            }
            None => fault(format!("`{name}` starts `{command}`, which is not on the PATH"))
                .fix("install it, and write its whole path"),
        });
    }
    let file: PathBuf = match std::fs::metadata(path) {
        Ok(found) if found.is_file() => path.to_owned(),
        Ok(_) => return Some(fault(format!("`{name}` starts `{command}`, which is no file"))),
        Err(_) => {
            let fix = if command.contains("rapport") {
                "rapport connect claude-desktop"
            } else {
                "install it, or write the path where it is now"
            };
            let text = format!("`{name}` starts `{command}`, which does not exist");
            return Some(fault(text).fix(fix));
        }
    };
    let fix = format!("chmod +x {command}");
    let text = format!("`{name}` starts `{command}`, which may not be executed");
    (!is_executable(&file)).then(|| fault(text).fix(fix))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
fn is_executable(_file: &Path) -> bool {
    true
}
