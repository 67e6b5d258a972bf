//! The settings file of a desktop client, `~/.claude_desktop/config.json`: it may name the server.

use std::path::{Path, PathBuf};

use doctor::port::{LogicalMap, Place};
use doctor::target::Target;
use serde_json::{Map, Value};

use super::address::{Address, Rules, read_port};
use super::failure::{Class, Failure};
use crate::config::Environment;

/// Below the home folder, on every system but Windows.
const JSON: &str = ".claude_desktop/config.json";
/// Below the folder of roaming settings, on Windows.
const YAML: &str = "Claude Desktop/settings.yaml";
/// Limit: a larger file holds no settings of a client.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// A setting by the name it has here, and by every name that clients have for it, plain.
const NAMES: &[(&str, &[&str])] = &[
    (
        "server_address",
        &["serveraddress", "serverurl", "apiendpoint", "mcpserveraddress", "mcpserverurl"],
    ),
    ("mcp_port", &["mcpport", "serverport", "port"]),
    ("api_key", &["apikey"]),
];

/// What may stand behind the server's own address in the address of one of its APIs.
const PATHS: &[&str] = &["/mcp", "/api", "/v1"];

/// One setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    /// `server_address`, `mcp_port` or `api_key`.
    pub(crate) name: &'static str,
    /// Its name in the file.
    pub(crate) written: String,
    /// Its value; `api_key` is a secret.
    pub(crate) value: String,
    /// The file.
    pub(crate) file: PathBuf,
}

/// The files that are read, the one of this system first: that one is written.
pub(crate) fn files(env: &Environment) -> Vec<PathBuf> {
    let Some(home) = env.home() else { return Vec::new() };
    let roaming = env.get("APPDATA").map(PathBuf::from).filter(|path| path.is_absolute());
    let roaming = roaming.unwrap_or_else(|| home.join("AppData/Roaming"));
    let mut files = vec![home.join(JSON), roaming.join(YAML)];
    if cfg!(windows) {
        files.reverse();
    }
    files
}

/// Every setting that counts: of each name the first one. Beside them what cannot be used, in
/// words: a broken file of a client is no reason to do nothing.
pub(crate) fn settings(env: &Environment) -> (Vec<Setting>, Option<String>) {
    let (mut found, mut warning) = (Vec::<Setting>::new(), None);
    for file in files(env) {
        match members(&file) {
            Ok(members) => {
                for setting in of_members(&members, &file) {
                    if found.iter().all(|other| other.name != setting.name) {
                        found.push(setting);
                    }
                }
            }
            Err(why) => {
                let text = format!("`{}` is not used: {why}", file.display());
                warning.get_or_insert(text);
            }
        }
    }
    (found, warning)
}

/// The server that the settings name, with a warning where one is due.
///
/// # Errors
/// [`Class::Usage`] or [`Class::InvalidPort`] for an address or a port that is none; the file is
/// named.
pub(super) fn address(
    settings: &[Setting],
    rules: Rules<'_>,
) -> Result<Option<(Address, Option<String>)>, Failure> {
    let of = |name: &str| settings.iter().find(|setting| setting.name == name);
    let (named, port) = (of("server_address"), of("mcp_port"));
    let Some(first) = named.or(port) else { return Ok(None) };
    let wrong = |failure: Failure| {
        let place = format!("`{}` of `{}`", first.written, first.file.display());
        let class = failure.class();
        Failure::new(class, format!("{place}: {failure}"))
            .hint("correct it, or name the server with `--url` or RAPPORT_URL")
    };
    let (mut address, mut warning) = match named {
        Some(setting) => Address::parse(&setting.value, rules).map_err(wrong)?,
        None => (Address::local(doctor::port::HOME), None),
    };
    let has_port = named
        .is_some_and(|named| Target::parse(&named.value).is_ok_and(|target| target.port.is_some()));
    if let Some(port) = port.filter(|_| !has_port) {
        let place = Place::Field(port.written.clone());
        (address.port, warning) = read_port(&port.value, place, rules).map_err(wrong)?;
    }
    let api = PATHS.iter().filter_map(|path| cut(&address.path, path)).min();
    if let Some(at) = api {
        address.path.truncate(at);
    }
    Ok(Some((address, warning)))
}

/// Where this path begins within a longer one.
fn cut(whole: &str, path: &str) -> Option<usize> {
    let at = whole.find(path)?;
    let rest = whole.get(at + path.len()..)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(at)
}

fn members(file: &Path) -> Result<Map<String, Value>, String> {
    let Ok(found) = std::fs::metadata(file) else { return Ok(Map::new()) };
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err("it is no file of settings".to_owned());
    }
    let text = std::fs::read_to_string(file).map_err(|cause| cause.to_string())?;
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    // What is JSON is YAML, too.
    let read = serde_saphyr::from_str::<Value>(text);
    match read.map_err(|error| error.without_snippet().to_string())? {
        Value::Object(members) => Ok(members),
        Value::Null => Ok(Map::new()),
        _ => Err("an object was expected".to_owned()),
    }
}

fn of_members(members: &Map<String, Value>, file: &Path) -> Vec<Setting> {
    let mut found = Vec::new();
    for (name, plain) in NAMES {
        let is_it = |written: &str| {
            let letters = written.chars().filter(char::is_ascii_alphanumeric);
            plain.contains(&letters.collect::<String>().to_ascii_lowercase().as_str())
        };
        let first = members.iter().find_map(|(written, value)| {
            let value = match value {
                Value::String(text) if !text.trim().is_empty() => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            is_it(written).then(|| (written.clone(), value))
        });
        if let Some((written, value)) = first {
            found.push(Setting { name, written, value, file: file.to_owned() });
        }
    }
    found
}

/// The class of what a user wrote wrong.
pub(crate) fn refused(text: String) -> Failure {
    Failure::new(Class::Usage, text).hint("these are: server_address, mcp_port, api_key")
}

/// The name under which a setting is written, and the one it has in this file already.
///
/// # Errors
/// [`Class::Usage`] for a name that is none.
pub(crate) fn name(said: &str, file: &Path) -> Result<String, Failure> {
    let letters: String = said.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = letters.to_ascii_lowercase();
    let known = NAMES.iter().find(|(_, names)| names.contains(&plain.as_str()));
    let Some((name, _)) = known else {
        return Err(refused(format!("`{said}` is no setting of a client")));
    };
    let there = members(file).map_err(|why| {
        Failure::new(Class::Usage, format!("`{}` cannot be read: {why}", file.display()))
            .hint("correct it by hand, or move it away")
    })?;
    let there = of_members(&there, file).into_iter().find(|setting| setting.name == *name);
    Ok(there.map_or_else(|| (*name).to_owned(), |setting| setting.written))
}

/// The value that is written for a setting, if it is one.
///
/// # Errors
/// [`Class::Usage`] or [`Class::InvalidPort`] for an address or a port that is none.
pub(crate) fn checked(name: &str, value: &str) -> Result<Value, Failure> {
    let mut members = Map::new();
    members.insert(name.to_owned(), value.into());
    let settings = of_members(&members, Path::new("the settings of the client"));
    let Some(setting) = settings.first() else {
        return Err(refused(format!("`{name}` needs a value")));
    };
    let logical = LogicalMap::default();
    address(&settings, Rules { strict: false, logical: &logical })?;
    let number = if setting.name == "mcp_port" { value.parse::<u64>().ok() } else { None };
    Ok(number.map_or_else(|| value.into(), Value::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        let at = home.path().display().to_string();
        let env = Environment::with(&[("HOME", &at), ("USERPROFILE", &at)]);
        for file in files(&env) {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        }
        (home, env)
    }

    fn found(env: &Environment) -> Result<String, String> {
        let logical = LogicalMap::default();
        let rules = Rules { strict: false, logical: &logical };
        let found = address(&settings(env).0, rules).map_err(|failure| failure.to_string())?;
        Ok(found.map(|(address, _)| address.to_string()).unwrap_or_default())
    }

    #[track_caller]
    fn check(env: &Environment, text: &str, expected: &str) {
        std::fs::write(&files(env)[0], text).unwrap();
        assert_eq!(found(env).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn every_name_that_clients_have_for_it_names_the_server() {
        let (_home, env) = home();
        check(&env, "", "");
        check(&env, "{}", "");
        check(&env, r#"{"mcpServers": {"a": {"url": "http://x"}}}"#, "");
        check(&env, r#"{"server_address": "localhost:7001"}"#, "http://localhost:7001");
        check(
            &env,
            r#"{"Server URL": "https://far.example:7001/ai"}"#,
            "https://far.example:7001/ai",
        );
        check(&env, r#"{"api_endpoint": "http://h:7001/v1/predict"}"#, "http://h:7001");
        check(&env, r#"{"API Endpoint": "http://h:7001/ai/mcp"}"#, "http://h:7001/ai");
        check(&env, r#"{"mcp_port": 7001}"#, "http://localhost:7001");
        check(&env, r#"{"mcp_port": 7001, "server_address": "http://h"}"#, "http://h:7001");
        check(&env, r#"{"mcp_port": 7001, "server_address": "h:7002"}"#, "http://h:7002");
        check(&env, "MCP Server Address: h:7003\n", "http://h:7003");
    }

    #[test]
    fn the_file_of_this_system_counts_first_and_a_broken_one_is_left_out() {
        let (_home, env) = home();
        std::fs::write(&files(&env)[1], "server_address: second:7002\napi_key: k\n").unwrap();
        check(&env, r#"{"server_address": "first:7001"}"#, "http://first:7001");
        let (all, warning) = settings(&env);
        assert_eq!((all.len(), warning), (2, None));
        check(&env, "{", "http://second:7002");
        let warning = settings(&env).1.unwrap();
        assert!(warning.contains("config") || warning.contains("settings"), "{warning}");
    }

    #[test]
    fn a_wrong_port_is_refused_with_its_file() {
        let (_home, env) = home();
        std::fs::write(&files(&env)[0], r#"{"mcp_port": 99999}"#).unwrap();
        let refused = found(&env).unwrap_err();
        assert!(refused.contains("`mcp_port` of `") && refused.contains("99999"), "{refused}");
    }

    #[test]
    fn a_setting_is_written_under_the_name_it_has() {
        let (_home, env) = home();
        let file = &files(&env)[0];
        assert_eq!(name("server-address", file).unwrap(), "server_address");
        std::fs::write(file, r#"{"API Endpoint": "x"}"#).unwrap();
        assert_eq!(name("server_url", file).unwrap(), "API Endpoint");
        assert!(name("colour", file).unwrap_err().to_string().contains("`colour`"));
    }
}
