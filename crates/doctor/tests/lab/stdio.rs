//! MCP servers that are commands: scripts that are broken on purpose, and the same ones mended.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doctor::Report;
use doctor::stdio::{Command, diagnose};

use super::{fix, verbose};

/// A right answer to `initialize`.
const HELLO: &str = concat!(
    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","#,
    r#""capabilities":{"tools":{}},"serverInfo":{"name":"lab","version":"1"}}}"#
);

/// A server that is well: it answers each line that has an id.
const WELL: &str = concat!(
    r#"while read -r line; do case "$line" in *'"initialize"'*) echo '"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","#,
    r#""capabilities":{"tools":{}},"serverInfo":{"name":"lab","version":"1"}}}' ;; "#,
    r#"*'"tools/list"'*) echo '{"jsonrpc":"2.0","id":2,"result":{"tools":["#,
    r#"{"name":"add","inputSchema":{"type":"object"}}]}}' ;; esac; done"#
);

fn script(folder: &Path, text: &str) -> PathBuf {
    let file = folder.join("server.sh");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn shell(text: &str) -> Command {
    let words = ["sh", "-c", text].map(str::to_owned).to_vec();
    Command { words, deadline: Some(Duration::from_secs(3)), ..Command::default() }
}

async fn broken(command: &Command, id: &str, evidence: &str) -> Report {
    let report = diagnose(command).await;
    let text = verbose(&report);
    assert_eq!(report.verdict.id, id, "{text}");
    assert_eq!(report.exit_code(), 1, "{text}");
    let proof = format!("{}\n{}", report.verdict.sentence, report.verdict.evidence.join("\n"));
    assert!(proof.contains(evidence), "`{evidence}` is not among the evidence:\n{text}");
    report
}

async fn well(command: &Command) -> Report {
    let report = diagnose(command).await;
    assert_eq!(report.verdict.id, "ok", "{}", verbose(&report));
    assert_eq!(report.exit_code(), 0);
    report
}

#[tokio::test]
async fn a_server_that_is_well_says_who_it_is() {
    let report = well(&shell(WELL)).await;
    assert!(report.verdict.sentence.contains("`lab 1`, 1 tools"), "{}", report.verdict.sentence);
}

#[tokio::test]
async fn much_on_standard_error_is_no_fault() {
    let mut noisy = String::from("i=0; while [ $i -lt 3000 ]; do ");
    write!(noisy, "echo 'a line of a log that says what is going on' >&2; ").unwrap();
    write!(noisy, "i=$((i+1)); done; {WELL}").unwrap();
    well(&Command { deadline: None, ..shell(&noisy) }).await;
}

#[tokio::test]
async fn text_between_the_messages_is_named_and_belongs_on_standard_error() {
    for banner in ["echo 'Starting server v1.0'", "echo; echo 'INFO: ready'"] {
        let report = broken(&shell(&format!("{banner}; {WELL}")), "stdio.noise", "it wrote").await;
        fix(&report, "standard error");
        well(&shell(&format!("({banner}) >&2; {WELL}"))).await;
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_is_told_apart() {
    let report = broken(&shell2("uvx-not-here"), "stdio.command_not_found", "`uvx-not-here`").await;
    fix(&report, "which uvx-not-here");
    let folder = tempfile::tempdir().unwrap();
    let file = script(folder.path(), &format!("#!/bin/sh\n{WELL}"));
    let name = file.display().to_string();
    well(&shell2(&name)).await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let report = broken(&shell2(&name), "stdio.not_executable", "may not be executed").await;
    fix(&report, &format!("chmod +x {name}"));
    let file = script(folder.path(), &format!("#!/bin/sh\r\n{WELL}"));
    let report = broken(&shell2(&name), "stdio.bad_interpreter", r"#!/bin/sh\r").await;
    fix(&report, "sed -i");
    let text = std::fs::read_to_string(&file).unwrap().replace('\r', "");
    std::fs::write(&file, text).unwrap();
    well(&shell2(&name)).await;
    script(folder.path(), "#!/opt/no-such-program\n");
    let report = broken(&shell2(&name), "stdio.bad_interpreter", "no-such-program").await;
    fix(&report, "install that program");
}

fn shell2(program: &str) -> Command {
    let words = vec![program.to_owned()];
    Command { words, deadline: Some(Duration::from_secs(5)), ..Command::default() }
}

#[tokio::test]
async fn a_server_that_ends_says_why() {
    let cases = [
        (
            "echo \"ModuleNotFoundError: No module named 'mcp.server'\" >&2; exit 1",
            "stdio.missing_dependency",
            "mcp.server",
            "python -m pip install mcp",
        ),
        (
            "echo \"Error: Cannot find module '@scope/pkg'\" >&2; exit 1",
            "stdio.missing_dependency",
            "@scope/pkg",
            "npm install @scope/pkg",
        ),
        (
            "test -n \"$GITHUB_TOKEN_X\" || { echo 'GITHUB_TOKEN_X is not set' >&2; exit 2; }",
            "stdio.missing_env",
            "GITHUB_TOKEN_X",
            "set GITHUB_TOKEN_X",
        ),
        ("echo 'boom' >&2; exit 7", "stdio.exits", "code 7", "by hand"),
        ("exit 0", "stdio.exits", "code 0", "by hand"),
    ];
    for (text, id, evidence, words) in cases {
        let report = broken(&shell(&format!("{text}; {WELL}")), id, evidence).await;
        fix(&report, words);
        if id == "stdio.missing_env" {
            let variables = vec![("GITHUB_TOKEN_X".to_owned(), "x".to_owned())];
            well(&Command { variables, ..shell(&format!("{text}; {WELL}")) }).await;
        }
    }
}

#[tokio::test]
async fn a_relative_path_is_found_wanting_in_another_folder() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = script(here.path(), WELL);
    let mut command = shell2("sh");
    command.words.push("server.sh".to_owned());
    command.folder = Some(there.path().to_owned());
    let report = broken(&command, "stdio.relative_path", "`server.sh`").await;
    fix(&report, "whole path");
    command.words[1] = file.display().to_string();
    well(&command).await;
}

#[tokio::test]
async fn messages_in_the_wrong_form_are_named() {
    let answer = HELLO.replace("\"tools\":{}", "");
    let lsp = format!("read -r x; printf 'Content-Length: 9\\r\\n\\r\\n{answer}'; cat >/dev/null");
    let spread = answer.replace(',', ",\n").replace('{', "{\n");
    let spread = format!("read -r x; echo '{spread}'; cat >/dev/null");
    let held = format!("read -r x; cat >/dev/null; echo '{answer}'");
    let cases = [
        (lsp, "stdio.lsp_framing", "Content-Length", "one JSON message per line"),
        (spread, "stdio.multiline_json", "`{`", "one line"),
        (held, "stdio.buffered", "buffer", "flush"),
    ];
    for (text, id, evidence, words) in cases {
        let report = broken(&shell(&text), id, evidence).await;
        fix(&report, words);
    }
    well(&shell(&format!("read -r x; echo '{answer}'; cat >/dev/null"))).await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_with_its_last_words() {
    let waits = "echo 'waiting for browser login' >&2; cat >/dev/null";
    let report = broken(&shell(waits), "stdio.no_answer", "waiting for browser login").await;
    fix(&report, "login");
    let http = "echo 'INFO: Uvicorn running on http://127.0.0.1:8000' >&2; cat >/dev/null";
    let report = broken(&shell(http), "stdio.wrong_transport", "Uvicorn").await;
    fix(&report, "--transport stdio");
}

#[tokio::test]
async fn faults_of_the_protocol_are_the_same_over_pipes() {
    let answers = [
        (r#"{"id":1,"result":{}}"#, "mcp.bad_jsonrpc"),
        (r#"{"jsonrpc":"2.0","id":"x","result":{}}"#, "mcp.id_mismatch"),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2099-01-01"}}"#,
            "mcp.version_mismatch",
        ),
    ];
    for (answer, id) in answers {
        let text = format!("read -r x; echo '{answer}'; cat >/dev/null");
        let report = broken(&shell(&text), id, "").await;
        assert!(!report.verdict.fix.is_empty());
    }
}

#[tokio::test]
async fn nothing_of_the_command_is_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("pid");
    let text = format!("sleep 600 & echo $! > {}; {WELL}", mark.display());
    well(&shell(&text)).await;
    let pid = std::fs::read_to_string(&mark).unwrap();
    // A process that was ended takes a moment to go.
    for _ in 0..500 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        if stat.is_err() || stat.is_ok_and(|stat| stat.contains(") Z ")) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("process {pid} is still there");
}

#[tokio::test]
async fn a_byte_order_mark_before_the_first_message_is_named() {
    let marked = format!("printf '\\357\\273\\277'; {WELL}");
    let report = broken(&shell(&marked), "stdio.bom", "EF BB BF").await;
    fix(&report, "UTF-8 without it");
    well(&shell(WELL)).await;
}

#[tokio::test]
async fn a_server_that_dies_after_its_first_answer_is_not_well() {
    let dying = format!("read -r line; echo '{HELLO}'; echo 'database is locked' >&2; exit 3");
    let report = broken(&shell(&dying), "stdio.dies_after_init", "with code 3").await;
    assert!(verbose(&report).contains("database is locked"), "{}", verbose(&report));
}
