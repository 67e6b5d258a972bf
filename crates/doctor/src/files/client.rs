//! Lists of MCP servers as the desktop programs keep them: `mcpServers`, or `servers` in VS Code.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{json, verdict};
use crate::report::{Fix, Verdict};
use crate::stdio::{Command, DEADLINE};

/// A server of the list.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) command: Option<Command>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) servers: Vec<Server>,
    pub(super) verdict: Option<Verdict>,
}

impl Judged {
    fn bad(verdict: Verdict) -> Self {
        Self { servers: Vec::new(), verdict: Some(verdict) }
    }
}

/// Judges a JSON file; other files have no list of servers.
pub(super) fn judge(path: &Path, text: &str, search: &[PathBuf]) -> Judged {
    let shown = path.display().to_string();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.ends_with(".json") {
        return Judged::default();
    }
    // VS Code and its relatives allow comments in theirs.
    let is_loose = shown.contains(".vscode") || name == "settings.json";
    let value = match json::parse(&shown, text) {
        Ok(value) => value,
        Err(_) if is_loose => return Judged::default(),
        Err(verdict) => return Judged::bad(*verdict),
    };
    if let Some(verdict) = no_settings(&shown, &name, &value) {
        return Judged::bad(verdict);
    }
    if let Some(twice) = json::doubled(text).into_iter().next() {
        return Judged::bad(verdict(
            "config.duplicate_key",
            format!("the file {shown} has `{twice}` twice, and only the last one counts"),
            &format!("{shown}: {twice}"),
            Fix::say("give one of them another name, or remove it"),
        ));
    }
    let Some(list) = list(&value, &name) else {
        return Judged { servers: Vec::new(), verdict: missing(&shown, &name, &value) };
    };
    let mut judged = Judged::default();
    for (server, entry) in list {
        let place = Place { shown: &shown, server, search };
        match read(&place, entry) {
            Ok(server) => judged.servers.push(server),
            Err(verdict) => return Judged::bad(*verdict),
        }
    }
    judged.verdict = readable_secret(path, &shown, list);
    judged
}

/// JSON that is no object holds no setting; other programs' lists may be arrays.
fn no_settings(shown: &str, name: &str, value: &Value) -> Option<Verdict> {
    let what = match value {
        Value::Object(_) => return None,
        Value::Array(_) if !CLIENTS.contains(&name) => return None,
        Value::Array(_) => "a list",
        Value::Null => "`null`",
        Value::Bool(_) => "`true` or `false`",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
    };
    let sentence = format!("the file {shown} is {what}, and a configuration is an object: {{…}}");
    let fix = match CLIENTS.contains(&name) {
        true => "write {\"mcpServers\": {}}, and the servers in it",
        false => "write the settings as {\"name\": value}, or take the file away",
    };
    Some(verdict("config.wrong_type", sentence, shown, Fix::say(fix)))
}

/// Files in which programs look for MCP servers.
const CLIENTS: &[&str] =
    &["claude_desktop_config.json", ".mcp.json", "mcp.json", "mcp_config.json"];

/// Where a fault is.
struct Place<'a> {
    shown: &'a str,
    server: &'a str,
    search: &'a [PathBuf],
}

impl Place<'_> {
    fn fault(&self, id: &'static str, what: &str, fix: Fix) -> Box<Verdict> {
        let place = format!("{}: mcpServers.{}", self.shown, self.server);
        let sentence = format!("the server `{}` of {}: {what}", self.server, self.shown);
        Box::new(verdict(id, sentence, &place, fix))
    }
}

fn list<'a>(value: &'a Value, name: &str) -> Option<&'a Map<String, Value>> {
    let own = value.get("mcpServers").and_then(Value::as_object);
    // The key of VS Code counts in its own file only.
    let code = || value.get("servers").and_then(Value::as_object).filter(|_| name == "mcp.json");
    own.or_else(code)
}

fn missing(shown: &str, name: &str, value: &Value) -> Option<Verdict> {
    if !CLIENTS.contains(&name) {
        return None;
    }
    let other = ["servers", "mcp_servers", "mcpservers", "mcp"];
    let other = other.into_iter().find(|key| value.get(key).is_some());
    let (sentence, fix) = match other {
        Some(key) => (
            format!(
                "the file {shown} has its servers under `{key}`, and programs read `mcpServers`"
            ),
            format!("rename the key `{key}` to `mcpServers`"),
        ),
        // Other settings may stand there alone.
        None => return None,
    };
    Some(verdict("config.missing_key", sentence, shown, Fix::say(fix)))
}

fn read(place: &Place<'_>, entry: &Value) -> Result<Server, Box<Verdict>> {
    let name = place.server.to_owned();
    let Some(fields) = entry.as_object() else {
        let fix = Fix::say("write {\"command\": …, \"args\": […]} or {\"url\": …}");
        return Err(place.fault("config.wrong_type", "it must be an object", fix));
    };
    if let Some(url) = fields.get("url").or_else(|| fields.get("serverUrl")) {
        let Some(url) = url.as_str() else {
            let fix = Fix::say("write it in quotation marks");
            return Err(place.fault("config.wrong_type", "`url` must be a text", fix));
        };
        let local = crate::target::Target::parse(url)
            .is_ok_and(|target| crate::check::is_loopback_host(&target.host));
        return Ok(Server { name, url: local.then(|| url.to_owned()), command: None });
    }
    let Some(program) = fields.get("command").and_then(Value::as_str) else {
        let fix = Fix::say("give it `command` (a text) and `args` (a list), or `url`");
        return Err(place.fault("config.wrong_type", "it has neither command nor url", fix));
    };
    let mut words = vec![program.to_owned()];
    words.extend(args(place, fields.get("args"))?);
    let variables = variables(place, fields.get("env"))?;
    program_is_there(place, program, &words)?;
    let command = Command {
        words,
        variables,
        // Desktop programs start servers in a folder that is not the user's.
        folder: Some(PathBuf::from("/")),
        deadline: Some(DEADLINE),
    };
    Ok(Server { name, url: None, command: Some(command) })
}

fn args(place: &Place<'_>, value: Option<&Value>) -> Result<Vec<String>, Box<Verdict>> {
    let fault =
        |what: &str, fix: String| Err(place.fault("config.wrong_type", what, Fix::say(fix)));
    let list = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(other) => return fault("`args` must be a list", format!("write [{other}]")),
    };
    let mut words = Vec::new();
    for word in list {
        let Some(text) = word.as_str() else {
            return fault("every entry of `args` must be a text", format!("write \"{word}\""));
        };
        if text.starts_with("~/") {
            let fix =
                Fix::say(format!("write the whole path: {}", text.replacen('~', "/home/YOU", 1)));
            let what = format!("`{text}` begins with ~, which only a shell expands");
            return Err(place.fault("config.tilde", &what, fix));
        }
        words.push(text.to_owned());
    }
    Ok(words)
}

fn variables(
    place: &Place<'_>,
    value: Option<&Value>,
) -> Result<Vec<(String, String)>, Box<Verdict>> {
    let fields = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(fields)) => fields,
        Some(_) => {
            let fix = Fix::say("write {\"NAME\": \"value\"}");
            return Err(place.fault("config.wrong_type", "`env` must be an object", fix));
        }
    };
    let mut variables = Vec::new();
    for (name, value) in fields {
        let Some(text) = value.as_str() else {
            let fix = Fix::say(format!("write \"{name}\": \"{value}\", in quotation marks"));
            let what = format!("the variable `{name}` must be a text");
            return Err(place.fault("config.wrong_type", &what, fix));
        };
        variables.push((name.clone(), text.to_owned()));
    }
    Ok(variables)
}

/// Programs whose first argument is a file.
const RUNNERS: &[&str] = &["python", "python3", "node", "sh", "bash", "ruby", "php", "deno", "bun"];

fn program_is_there(
    place: &Place<'_>,
    program: &str,
    words: &[String],
) -> Result<(), Box<Verdict>> {
    if program.starts_with("~/") {
        let fix = Fix::say("write the whole path, from the root");
        let what = format!("`{program}` begins with ~, which only a shell expands");
        return Err(place.fault("config.tilde", &what, fix));
    }
    let found = |name: &str| {
        if name.contains('/') {
            return Path::new(name).is_file();
        }
        place.search.iter().any(|folder| folder.join(name).is_file())
    };
    if !found(program) {
        if let Some((first, rest)) = program.split_once(' ')
            && found(first)
        {
            let list: Vec<String> = rest.split(' ').map(|word| format!("\"{word}\"")).collect();
            let fix = format!("write \"command\": \"{first}\", \"args\": [{}]", list.join(", "));
            let what = "`command` has arguments in it";
            return Err(place.fault("config.command_has_args", what, Fix::say(fix)));
        }
        let (lack, fix) = crate::own::absent(program);
        let what = format!("the command `{program}` {lack}");
        return Err(place.fault("config.command_not_found", &what, fix));
    }
    let runner = Path::new(program).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let file = words.iter().skip(1).find(|word| !word.starts_with('-'));
    if RUNNERS.contains(&runner.as_str())
        && let Some(file) = file.filter(|file| file.starts_with('/'))
        && !words.iter().any(|word| word == "-m" || word == "-c" || word == "-e")
        && !Path::new(file).exists()
    {
        let what = format!("`{file}` does not exist");
        let fix = Fix::say("correct the path in `args`");
        return Err(place.fault("config.file_not_found", &what, fix));
    }
    Ok(())
}

/// A key in a file that every user of the machine can read.
#[cfg(unix)]
fn readable_secret(path: &Path, shown: &str, list: &Map<String, Value>) -> Option<Verdict> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    if mode & 0o044 == 0 {
        return None;
    }
    let is_secret = |name: &str, value: &Value| {
        let name = name.to_ascii_uppercase();
        let named = ["KEY", "TOKEN", "SECRET", "PASSWORD"].iter().any(|word| name.ends_with(word));
        named && value.as_str().is_some_and(|text| text.len() >= 8 && !text.starts_with('$'))
    };
    let (server, name) = list.iter().find_map(|(server, entry)| {
        let fields = entry.get("env")?.as_object()?;
        let (name, _) = fields.iter().find(|(name, value)| is_secret(name, value))?;
        Some((server, name))
    })?;
    Some(verdict(
        "config.secret_readable",
        format!(
            "the file {shown} holds a secret, and other users of this machine can read the file"
        ),
        &format!("{shown}: mcpServers.{server}.env.{name}, mode {:o}", mode & 0o777),
        Fix::run("let only its owner read it", format!("chmod 600 {shown}")),
    ))
}

#[cfg(not(unix))]
fn readable_secret(_path: &Path, _shown: &str, _list: &Map<String, Value>) -> Option<Verdict> {
    None
}
