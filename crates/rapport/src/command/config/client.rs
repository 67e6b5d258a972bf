//! `rapport config client`: the settings file of a desktop client, shown and written.

use std::path::Path;

use serde_json::{Value, json};

use super::super::Frame;
use super::super::connect;
use super::super::reach::{complain, exit};
use crate::config::{Environment, show};
use crate::print::Exit;
use crate::remote::{Failure, client_file};

/// What stands for a secret.
const HIDDEN: &str = "[hidden]";

/// Shows what counts, after it wrote what was said as `NAME=VALUE`.
pub(super) fn run(frame: &mut Frame, said: &[String]) -> anyhow::Result<Exit> {
    if !said.is_empty() {
        let Some(file) = client_file::files(&frame.env).into_iter().next() else {
            anyhow::bail!("there is no home folder: set HOME");
        };
        for pair in said {
            if let Err(failure) = write(&file, pair)? {
                complain(&mut frame.printer, &failure);
                return Ok(exit(failure.class()));
            }
        }
    }
    let (settings, broken) = client_file::settings(&frame.env);
    if let Some(broken) = broken {
        frame.printer.warn(&broken);
    }
    let rows = rows(&settings);
    if frame.printer.is_json() {
        frame.printer.json(&rows)?;
    } else if rows.is_empty() {
        frame.printer.line("no settings of a client name a server");
        let files = client_file::files(&frame.env);
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        frame.printer.hint(&format!(
            "write one: `rapport config client server_address=http://localhost:61900`; read are {}",
            files.join(", ")
        ));
    } else {
        for row in rows {
            frame.printer.line(&format!("{} = {}  ({})", row.key, row.value, row.source));
        }
    }
    Ok(Exit::Fine)
}

/// What counts of the clients' settings, for `config show`.
pub(super) fn shown(env: &Environment) -> Vec<show::Row> {
    rows(&client_file::settings(env).0)
}

fn rows(settings: &[client_file::Setting]) -> Vec<show::Row> {
    let row = |setting: &client_file::Setting| {
        let is_secret = setting.name == "api_key";
        let value = if is_secret { HIDDEN.to_owned() } else { setting.value.clone() };
        let source = format!("{}: {}", setting.file.display(), setting.written);
        let key = format!("client.{}", setting.name);
        show::Row { key, value, source, overridden: Vec::new() }
    };
    settings.iter().map(row).collect()
}

/// Writes one setting; the inner error is what the user said wrong.
fn write(file: &Path, pair: &str) -> anyhow::Result<Result<(), Failure>> {
    let Some((name, value)) = pair.split_once('=') else {
        let text = format!("`{pair}` sets nothing: write NAME=VALUE");
        return Ok(Err(client_file::refused(text)));
    };
    let value = value.trim();
    let name = match client_file::name(name.trim(), file) {
        Ok(name) => name,
        Err(failure) => return Ok(Err(failure)),
    };
    let value = match client_file::checked(&name, value) {
        Ok(value) => value,
        Err(failure) => return Ok(Err(failure)),
    };
    if file.extension().is_some_and(|ending| ending == "json") {
        connect::set_member(file, &name, &value)?;
    } else {
        let before = connect::text_of(file)?;
        connect::replace_text(file, &before, &in_yaml(&before, &name, &value))?;
    }
    Ok(Ok(()))
}

/// The YAML with this member: its line replaced, or put at the end. Values are written as JSON.
fn in_yaml(text: &str, name: &str, value: &Value) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '));
    let shown = if plain { name.to_owned() } else { json!(name).to_string() };
    let new = format!("{shown}: {value}");
    let is_it = |line: &str| {
        let line = line.strip_prefix(['"', '\'']).unwrap_or(line);
        line.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|line| is_it(line)) {
        Some(at) => lines.splice(at..=at, [new.as_str()]).for_each(drop),
        None => lines.push(&new),
    }
    format!("{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_yaml_is_replaced_or_added_and_no_other_changes() {
        let text = "# mine\nother: 1\n";
        let with = in_yaml(text, "server_address", &json!("http://h:1"));
        assert_eq!(with, "# mine\nother: 1\nserver_address: \"http://h:1\"\n");
        let again = in_yaml(&with, "server_address", &json!("http://h:2"));
        assert_eq!(again, with.replace("h:1", "h:2"));
        assert_eq!(in_yaml("\"Server URL\": x\n", "Server URL", &json!(1)), "Server URL: 1\n");
    }

    #[test]
    fn a_setting_is_written_into_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        std::fs::write(&file, "{\n  \"theme\": \"dark\", // mine\n  \"mcp_port\": 1\n}\n").unwrap();
        write(&file, "port=61900").unwrap().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "{\n  \"theme\": \"dark\", // mine\n  \"mcp_port\": 61900\n}\n");
        for wrong in ["port=99999", "server_url=ftp://x", "server_url=", "colour=red", "port"] {
            assert!(write(&file, wrong).unwrap().is_err(), "{wrong}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
