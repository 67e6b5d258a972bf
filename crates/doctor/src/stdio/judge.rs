//! From what a server wrote to what is wrong with it.

use std::path::{Path, PathBuf};

use super::Command;
use super::child::Heard;
use crate::check::Step;
use crate::log::{dependency, meaning, variable};
use crate::mcp;
use crate::report::{Fix, Verdict};

/// Limit: how much of a line is shown.
const SHOWN_MAX: usize = 160;

/// Limit: lines of standard error that are shown.
const STDERR_LINES_MAX: usize = 3;

pub(super) fn judge(command: &Command, heard: &Heard) -> Step {
    // A server that is well may log a lot; of one that is not, the last lines have the reason.
    let count = if heard.hello.is_some() { 1 } else { STDERR_LINES_MAX };
    let last = last_lines(&heard.stderr, count);
    let seen: Vec<String> = last.iter().map(|line| format!("standard error: {line}")).collect();
    if let Some(verdict) = fault(command, heard) {
        return Step::name(verdict.because_all(seen));
    }
    let hello = heard.hello.as_ref().and_then(|value| mcp::hello(value).ok());
    let (revision, server) =
        hello.map_or_else(Default::default, |hello| (hello.revision, hello.server));
    let count = heard.tools.as_ref().and_then(|value| mcp::tool_list(value).ok());
    let tools = count.map_or_else(String::new, |count| format!(", {count} tools"));
    let took = crate::report::milliseconds(heard.waited);
    Step::pass(format!("MCP {revision} of `{server}`{tools}, first answer after {took} ms"))
        .seen(seen)
}

fn fault(command: &Command, heard: &Heard) -> Option<Verdict> {
    if let Some(verdict) = headers(heard).or_else(|| marked(heard)) {
        return Some(verdict);
    }
    let Some(hello) = &heard.hello else {
        return Some(
            spread(heard)
                .or_else(|| transport(heard))
                .or_else(|| heard.ended.map(|code| ended(command, heard, code)))
                .or_else(|| noise(heard))
                .unwrap_or_else(|| silent(heard)),
        );
    };
    if let Err(verdict) = mcp::hello(hello) {
        return Some(*verdict);
    }
    if heard.only_at_the_end {
        let sentence = "the server keeps its answer in a buffer until its input ends";
        return Some(Verdict::certain("stdio.buffered", sentence).fix(Fix::say(
            "flush after each message (Python: print(…, flush=True), or start it with python -u)",
        )));
    }
    if let Some(code) = heard.died {
        let sentence = format!("the server answers `initialize`, and then ends {}", how(code));
        return Some(
            Verdict::certain("stdio.dies_after_init", sentence)
                .because("its output ended before it answered `tools/list`")
                .fix(Fix::run("run it by hand and read what it says", command.line())),
        );
    }
    let tools = heard.tools.as_ref().and_then(|value| mcp::tool_list(value).err());
    tools.map(|verdict| *verdict).or_else(|| noise(heard))
}

/// Messages come with headers, as in the protocol of language servers.
fn headers(heard: &Heard) -> Option<Verdict> {
    let first = heard.lines.iter().find(|line| !line.trim().is_empty())?;
    if !first.to_ascii_lowercase().starts_with("content-length:") {
        return None;
    }
    let sentence = "the server frames its messages with Content-Length, as LSP does";
    Some(
        Verdict::certain("stdio.lsp_framing", sentence)
            .because(format!("its first line is `{}`", shown(first)))
            .fix(Fix::say("write one JSON message per line, and nothing around it")),
    )
}

/// Its first line begins with a byte-order mark, which most clients refuse.
fn marked(heard: &Heard) -> Option<Verdict> {
    let first = heard.lines.first()?;
    first.starts_with(mcp::BYTE_ORDER_MARK).then(|| {
        let sentence = "the server's output begins with a byte-order mark, which is no JSON";
        Verdict::certain("stdio.bom", sentence)
            .because("its first bytes are EF BB BF, before its first message")
            .fix(Fix::say("write UTF-8 without it (Python: encoding=\"utf-8\", not utf-8-sig)"))
    })
}

fn how(code: Option<i32>) -> String {
    code.map_or("by a signal".to_owned(), |code| format!("with code {code}"))
}

fn spread(heard: &Heard) -> Option<Verdict> {
    let text = heard.lines.join("\n");
    let text = text.get(text.find('{')?..)?;
    let first = text.lines().next()?;
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let value = values.next()?.ok()?;
    let spread = value.get("jsonrpc").is_some() && heard.lines.len() > 1;
    spread.then(|| {
        let sentence = "the server writes one message over several lines";
        Verdict::certain("stdio.multiline_json", sentence)
            .because(format!("its first line is `{}`", shown(first)))
            .fix(Fix::say("write each message on one line (Python: json.dumps without indent)"))
    })
}

/// Words of programs that started to serve HTTP.
const SERVES: &[&str] = &[
    "uvicorn running on",
    "running on http",
    "listening on http",
    "listening on port",
    "serving http on",
    "server started on http",
];

fn transport(heard: &Heard) -> Option<Verdict> {
    let all = heard.lines.iter().map(String::as_str).chain(heard.stderr.lines());
    let line = all.into_iter().find(|line| {
        let line = line.to_ascii_lowercase();
        SERVES.iter().any(|words| line.contains(words))
    })?;
    let sentence = "the command starts an HTTP server and does not speak over its pipes";
    Some(
        Verdict::certain("stdio.wrong_transport", sentence)
            .because(format!("it says: {}", shown(line)))
            .fix(Fix::say("start it with its stdio transport (--transport stdio), or use its URL")),
    )
}

fn noise(heard: &Heard) -> Option<Verdict> {
    let is_message = |line: &str| {
        line.trim().is_empty() || serde_json::from_str::<serde_json::Value>(line).is_ok()
    };
    let line = heard.lines.iter().find(|line| !is_message(line))?;
    let sentence = "the server writes other text to standard output, where only messages belong";
    Some(
        Verdict::certain("stdio.noise", sentence)
            .because(format!("it wrote `{}`", shown(line)))
            .fix(Fix::say(
                "send it to standard error (Python: file=sys.stderr; Node: console.error)",
            )),
    )
}

fn silent(heard: &Heard) -> Verdict {
    let says = last_lines(&heard.stderr, 1).pop();
    let seconds = heard.waited.as_secs_f64();
    let sentence = format!("the server reads and does not answer within {seconds:.0} s");
    let fix = match says {
        None => {
            "it said nothing on standard error either: look whether it waits for a login, a \
             download, or another service, or for its input to end"
        }
        Some(_) => "what it says last is above: a login, a download, another service?",
    };
    Verdict::likely("stdio.no_answer", sentence).fix(Fix::say(fix))
}

fn ended(command: &Command, heard: &Heard, code: Option<i32>) -> Verdict {
    let how = how(code);
    let lower = heard.stderr.to_ascii_lowercase();
    let missing_file = lower.contains("no such file")
        || lower.contains("can't open file")
        || lower.contains("cannot find module");
    if missing_file && let Some(word) = relative(command) {
        let sentence = format!("`{word}` is a relative path, and it is not in the folder");
        let folder = folder(command);
        return Verdict::likely("stdio.relative_path", sentence)
            .because(format!("the command is started in {}", folder.display()))
            .fix(Fix::say(format!("write the whole path of `{word}`, from the root")));
    }
    if let Some((what, install)) = dependency(&heard.stderr) {
        let sentence = format!("the server ends {how}: it needs `{what}`, which is not installed");
        return Verdict::certain("stdio.missing_dependency", sentence)
            .fix(Fix::run("install it where the server runs", install));
    }
    if let Some(name) = variable(&heard.stderr) {
        let sentence = format!("the server ends {how}: it needs the variable {name}");
        return Verdict::likely("stdio.missing_env", sentence)
            .fix(Fix::say(format!("set {name}, under `env` of this server in the configuration")));
    }
    let sentence = format!("the server ends {how} before it answers");
    let mut verdict = Verdict::certain("stdio.exits", sentence);
    if let Some(known) = heard.stderr.lines().rev().find_map(meaning) {
        verdict = verdict.because(format!("what it says means: {}", known.cause));
        verdict.fix.extend(known.steps);
    }
    verdict.fix(Fix::run("run it by hand and read what it says", command.line()))
}

fn folder(command: &Command) -> PathBuf {
    let current = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    command.folder.clone().unwrap_or_else(current)
}

/// An argument that looks like a file and is not there.
fn relative(command: &Command) -> Option<&str> {
    const ENDINGS: &[&str] = &[".py", ".js", ".mjs", ".cjs", ".ts", ".sh", ".rb", ".jar", ".json"];
    let folder = folder(command);
    command.words.iter().skip(1).map(String::as_str).find(|word| {
        ENDINGS.iter().any(|ending| word.ends_with(ending))
            && Path::new(word).is_relative()
            && !folder.join(word).exists()
    })
}

/// The command could not be started.
pub(super) fn not_started(command: &Command, error: &std::io::Error) -> Verdict {
    const ENOEXEC: i32 = 8;
    let name = command.words.first().map_or("", String::as_str);
    let said = format!("the system says: {error}");
    let file = folder(command).join(name);
    let is_path = name.contains('/');
    match error.kind() {
        std::io::ErrorKind::NotFound if is_path && file.is_file() => {
            let first = first_line(&file);
            let sentence =
                format!("the program that `{name}` names in its first line is not there");
            let fix = if first.ends_with('\r') {
                let remove = format!("sed -i 's/\\r$//' {name}");
                Fix::run("its lines end as on Windows: remove the \\r", remove)
            } else {
                Fix::say("install that program, or correct the first line (#!/usr/bin/env …)")
            };
            let line = format!("its first line is `{}`", first.escape_debug());
            Verdict::certain("stdio.bad_interpreter", sentence).because(line).fix(fix)
        }
        std::io::ErrorKind::NotFound => {
            let sentence = format!("the command `{name}` was not found");
            Verdict::certain("stdio.command_not_found", sentence)
                .because(said)
                .fix(crate::own::absent(name).1)
                .fix(Fix::say("a desktop program does not have the PATH of your shell"))
        }
        std::io::ErrorKind::PermissionDenied => {
            let sentence = format!("`{name}` may not be executed");
            Verdict::certain("stdio.not_executable", sentence)
                .because(said)
                .fix(Fix::run("make it executable", format!("chmod +x {name}")))
        }
        _ if error.raw_os_error() == Some(ENOEXEC) => {
            let sentence = format!("`{name}` has no first line that names its program (#!)");
            Verdict::certain("stdio.bad_interpreter", sentence)
                .because(said)
                .fix(Fix::say(format!("name the program before it, for example: python3 {name}")))
        }
        _ => {
            let sentence = format!("the command `{name}` cannot be started");
            Verdict::likely("stdio.exits", sentence)
                .because(said)
                .fix(Fix::run("run it by hand and read what it says", command.line()))
        }
    }
}

fn first_line(file: &Path) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    String::from_utf8_lossy(line).chars().take(SHOWN_MAX).collect()
}

fn last_lines(text: &str, count: usize) -> Vec<String> {
    let lines = text.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let mut last: Vec<String> = lines.take(count).map(shown).collect();
    last.reverse();
    last
}

fn shown(line: &str) -> String {
    line.chars().filter(|c| !c.is_control()).take(SHOWN_MAX).collect()
}
