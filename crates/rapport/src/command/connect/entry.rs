//! An application's entry for this program: what it should be, what it is, and whose it is.

use std::path::{Path, PathBuf};

use doctor::port::{self, InvalidPort, LogicalMap};
use serde_json::{Map, Value, json};

use super::apps::App;
use super::edit::Wrong;
use super::machine::Machine;
use crate::command::Frame;

/// The variable that names the file of a key.
pub(super) const KEY_FILE: &str = "RAPPORT_API_KEY_FILE";
/// Members that are ours to write; everything else in an entry stays.
const OWN: &[&str] = &[
    "type",
    "source",
    "command",
    "args",
    "url",
    "httpUrl",
    "serverUrl",
    "headers",
    "http_headers",
];
/// Flags that an entry of ours may carry.
const FLAGS: &[&str] = &["--config", "--data", "--host", "--port", "--profile", "--strict-ports"];

/// What an application has under our name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Absent,
    /// What it should have.
    Connected,
    /// An entry of this program that would be written otherwise now; why.
    Differs(String),
    /// An entry of somebody's own.
    Foreign(String),
    /// The file cannot be read.
    Broken(Wrong),
}

/// The entry as this program writes it: starting a command, which works wherever the server is.
pub(super) fn command(app: &App, binary: &Path, args: &[String], key: Option<&Path>) -> Value {
    let env = key.map_or_else(|| json!({}), |file| json!({KEY_FILE: file.display().to_string()}));
    Value::Object(app.shape.command(&binary.display().to_string(), args, env))
}

/// A port in an entry has to be one when a client starts it, long after this.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_port(frame: &Frame) -> Result<(), InvalidPort> {
    let Some(text) = &frame.globals.port else { return Ok(()) };
    let place = port::Place::Flag("--port".to_owned());
    let logical = LogicalMap::default();
    let found = port::resolve(text, place.clone(), frame.globals.strict_ports, &logical)?;
    port::for_client(found.port, place).map(drop)
}

/// The words behind the program's name: `mcp`, and the flags that were given to `connect`.
pub(super) fn words(frame: &Frame) -> Vec<String> {
    let globals = &frame.globals;
    let mut words = vec!["mcp".to_owned()];
    let mut flag = |name: &str, value: Option<String>| {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    // The client starts it in a folder of its own.
    let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path).display().to_string();
    flag("--config", globals.config.clone().map(whole));
    flag("--data", globals.data.clone().map(|data| whole(PathBuf::from(data))));
    flag("--host", globals.host.clone());
    flag("--port", globals.port.clone());
    flag("--profile", globals.profile.clone());
    words
}

/// The entry that is there, looked at.
pub(super) fn look(found: Result<Option<Value>, Wrong>, wanted: &Value) -> State {
    let there = match found {
        Ok(None) => return State::Absent,
        Ok(Some(there)) => there,
        Err(wrong) => return State::Broken(wrong),
    };
    if let Err(why) = is_ours(&there) {
        return State::Foreign(why);
    }
    let merged = merged(&there, wanted);
    if merged.as_ref() == there.as_object() {
        return State::Connected;
    }
    let command = |value: &Value| value.get("command").and_then(Value::as_str).map(str::to_owned);
    State::Differs(match (command(&there), command(wanted)) {
        (Some(old), Some(new)) if old != new => format!("it starts `{old}`"),
        _ => "it is written otherwise".to_owned(),
    })
}

/// Whether an entry was written by this program; why not.
pub(super) fn is_ours(entry: &Value) -> Result<(), String> {
    let Some(entry) = entry.as_object() else { return Err("it is no object".to_owned()) };
    for name in ["url", "httpUrl", "serverUrl"] {
        if let Some(url) = entry.get(name).and_then(Value::as_str) {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            let host = rest.and_then(|rest| rest.strip_suffix("/mcp")).unwrap_or_default();
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            let near = ["127.0.0.1", "localhost", "[::1]"].contains(&name);
            return if near { Ok(()) } else { Err(format!("it leads to `{url}`")) };
        }
    }
    let Some(command) = entry.get("command").and_then(Value::as_str) else {
        return Err("it has neither `command` nor an address".to_owned());
    };
    let name = command.rsplit(['/', '\\']).next().unwrap_or_default().to_lowercase();
    if name.strip_suffix(".exe").unwrap_or(&name) != "rapport" {
        return Err(format!("it starts `{command}`"));
    }
    let empty = Vec::new();
    let args = entry.get("args").and_then(Value::as_array).unwrap_or(&empty);
    let mut args = args.iter().map(|arg| arg.as_str().unwrap_or_default());
    if args.next() != Some("mcp") {
        return Err("its `args` do not begin with `mcp`".to_owned());
    }
    match args.find(|arg| arg.starts_with('-') && !FLAGS.contains(arg)) {
        Some(flag) => Err(format!("its `args` have `{flag}`")),
        None => Ok(()),
    }
}

/// The entry that is to be written over one that is there: what is not ours stays.
pub(super) fn merged(there: &Value, wanted: &Value) -> Option<Map<String, Value>> {
    let wanted = wanted.as_object()?;
    let mut merged = there.as_object().cloned().unwrap_or_default();
    merged.retain(|name, _| !OWN.contains(&name.as_str()) || wanted.contains_key(name));
    let mut env = merged.get("env").and_then(Value::as_object).cloned().unwrap_or_default();
    let had_env = merged.contains_key("env");
    env.shift_remove(KEY_FILE);
    env.extend(wanted.get("env").and_then(Value::as_object).cloned().unwrap_or_default());
    for (name, value) in wanted {
        merged.insert(name.clone(), value.clone());
    }
    if had_env || !env.is_empty() {
        merged.insert("env".to_owned(), Value::Object(env));
    }
    Some(merged)
}

/// The path of this program that an application can start: absolute, and the one on `PATH` where
/// that leads here, since it stays when a new version comes.
///
/// # Errors
/// When the system does not say where this program is.
pub(super) fn binary(machine: &Machine) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let real = std::fs::canonicalize(&own).unwrap_or_else(|_| own.clone());
    let on_path = machine.program("rapport");
    let same = on_path.filter(|path| std::fs::canonicalize(path).is_ok_and(|path| path == real));
    Ok(same.unwrap_or(own))
}

/// Why a path will not be there for long; `None` for a good one.
pub(super) fn is_passing(binary: &Path) -> Option<&'static str> {
    let text = binary.display().to_string().replace('\\', "/");
    if ["/target/debug/", "/target/release/", "/target/dist/"]
        .iter()
        .any(|part| text.contains(part))
    {
        return Some("a build folder");
    }
    let temporary = std::env::temp_dir();
    binary.starts_with(&temporary).then_some("a temporary folder")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::connect::apps;

    #[track_caller]
    fn check(there: &Value, expected: &State) {
        let app = apps::find("claude-code").unwrap();
        let wanted = command(app, Path::new("/new/rapport"), &["mcp".to_owned()], None);
        assert_eq!(look(Ok(Some(there.clone())), &wanted), *expected, "{there}");
    }

    #[test]
    fn an_entry_is_ours_when_it_starts_us_as_we_would() {
        let ours = json!({"type": "stdio", "command": "/new/rapport", "args": ["mcp"]});
        check(&ours, &State::Connected);
        let mut with_more = ours.clone();
        with_more["disabled"] = json!(true);
        with_more["env"] = json!({"LANG": "C"});
        check(&with_more, &State::Connected);
        let old = json!({"command": "C:\\P\\Rapport.exe", "args": ["mcp", "--data", "/d"]});
        check(&old, &State::Differs("it starts `C:\\P\\Rapport.exe`".to_owned()));
        let http = json!({"type": "http", "url": "http://127.0.0.1:61900/mcp"});
        check(&http, &State::Differs("it is written otherwise".to_owned()));
    }

    #[test]
    fn everything_else_is_somebody_s_own() {
        for (there, why) in [
            (json!({"command": "npx", "args": ["mcp"]}), "it starts `npx`"),
            (
                json!({"command": "/rapport", "args": ["serve"]}),
                "its `args` do not begin with `mcp`",
            ),
            (
                json!({"command": "/rapport", "args": ["mcp", "--url", "http://x"]}),
                "its `args` have `--url`",
            ),
            (json!({"url": "https://team.example/mcp"}), "it leads to `https://team.example/mcp`"),
            (json!({}), "it has neither `command` nor an address"),
            (json!(7), "it is no object"),
        ] {
            check(&there, &State::Foreign(why.to_owned()));
        }
    }

    #[test]
    fn what_is_not_ours_stays_in_an_entry() {
        let there = json!({"url": "http://localhost:61900/mcp", "headers": {"Authorization": "x"},
            "disabledTools": ["a"], "env": {"A": "1", KEY_FILE: "/old"}});
        let app = apps::find("cursor").unwrap();
        let wanted = command(app, Path::new("/r/rapport"), &["mcp".to_owned()], None);
        let merged = Value::Object(merged(&there, &wanted).unwrap());
        assert_eq!(
            merged,
            json!({"disabledTools": ["a"], "env": {"A": "1"}, "command": "/r/rapport",
                   "args": ["mcp"]})
        );
    }

    #[test]
    fn a_path_that_will_not_stay_is_named() {
        assert!(is_passing(Path::new("/usr/local/bin/rapport")).is_none());
        assert_eq!(is_passing(Path::new("/src/target/debug/rapport")), Some("a build folder"));
        assert!(is_passing(&std::env::temp_dir().join("rapport")).is_some());
    }
}
