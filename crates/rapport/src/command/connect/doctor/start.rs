//! Starts our own entry as Claude Desktop would, and looks what it answers and how fast.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::Instant;

use super::{Finding, Level};
use crate::command::connect::entry;
use crate::command::{Frame, block_on};

/// Limit: Claude Desktop itself gives a server 60 seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);
/// Slower starts are worth a word.
const SLOW: Duration = Duration::from_secs(5);

/// Starts the entry if it is one of ours; commands of others are left alone. It starts no server:
/// without one that runs there is nothing to ask.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn check(
    frame: &Frame,
    (name, entry): (&str, &Value),
) -> anyhow::Result<Option<Finding>> {
    let command = entry.get("command").and_then(Value::as_str).unwrap_or_default();
    if entry::is_ours(entry).is_err() || !Path::new(command).is_file() {
        return Ok(None);
    }
    let args = entry.get("args").and_then(Value::as_array).into_iter().flatten();
    let args: Vec<&str> = args.filter_map(Value::as_str).chain(["--no-start"]).collect();
    if !may_run(frame, &args) {
        let text = format!("no server runs: `{name}` starts one when it is needed");
        return Ok(Some(Finding::new(Level::Note, "start", text)));
    }
    let env = entry.get("env").and_then(Value::as_object).cloned().unwrap_or_default();
    let env =
        env.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let begun = Instant::now();
    let answer = block_on(answer(command, &args, env.collect()))?;
    let took = begun.elapsed();
    Ok(Some(judged(name, answer, took)))
}

/// Whether a server can be expected where the entry looks for it.
fn may_run(frame: &Frame, args: &[&str]) -> bool {
    let after = |flag: &str| args.iter().skip_while(|arg| **arg != flag).nth(1);
    if after("--host").is_some() || after("--port").is_some() {
        return true;
    }
    match after("--data") {
        Some(folder) => crate::runtime::of_folder(Path::new(folder)).is_some(),
        None => !crate::runtime::all(&frame.env).is_empty(),
    }
}

fn judged(name: &str, answer: Result<String, String>, took: Duration) -> Finding {
    let fault = |text: String| Finding::new(Level::Fault, "start", text);
    let line = match answer {
        Ok(line) => line,
        Err(why) => return fault(format!("`{name}` was started and {why}")),
    };
    let value: Option<Value> = serde_json::from_str(&line).ok();
    let Some(value) = value else {
        let shown: String = line.chars().take(80).collect();
        return fault(format!("`{name}` wrote `{shown}`, which is no message"));
    };
    if let Some(error) = value.pointer("/error/message").and_then(Value::as_str) {
        let finding = fault(format!("`{name}` answered: {error}"));
        return finding.fix("look at the server: rapport doctor");
    }
    let version = value.pointer("/result/protocolVersion").and_then(Value::as_str);
    let Some(version) = version else {
        return fault(format!("`{name}` did not answer `initialize`"));
    };
    let text = format!("`{name}` answers in {} ms, revision {version}", took.as_millis());
    if took > SLOW {
        let text = format!("{text}: slow; Claude Desktop gives up after 60 seconds");
        return Finding::new(Level::Warning, "start", text);
    }
    Finding::new(Level::Fine, "start", text)
}

async fn answer(
    command: &str,
    args: &[&str],
    env: Vec<(String, String)>,
) -> Result<String, String> {
    let mut child = tokio::process::Command::new(command)
        .args(args)
        .envs(env)
        .current_dir(if cfg!(windows) { "C:\\" } else { "/" })
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|cause| format!("could not be started: {cause}"))?;
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "rapport-doctor", "version": env!("CARGO_PKG_VERSION")}}});
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("has no pipes".to_owned());
    };
    let asked = input.write_all(format!("{ask}\n").as_bytes()).await;
    asked.map_err(|cause| format!("closed its input: {cause}"))?;
    let mut line = String::new();
    let read = BufReader::new(output);
    let mut read = tokio::io::AsyncReadExt::take(read, 4 * 1024 * 1024);
    match tokio::time::timeout(ANSWER_WITHIN, read.read_line(&mut line)).await {
        Ok(Ok(0)) => Err("ended without a word".to_owned()),
        Ok(Ok(_)) => Ok(line.trim().to_owned()),
        Ok(Err(cause)) => Err(format!("could not be read: {cause}")),
        Err(_) => Err(format!("was silent for {} seconds", ANSWER_WITHIN.as_secs())),
    }
}
