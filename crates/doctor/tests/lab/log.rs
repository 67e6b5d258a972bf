//! Servers that failed and whose log says why.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use doctor::Request;

use super::held::Held;
use super::servers::{closed_port, http};
use super::{broken, fix, request, well};

fn with_log(target: &str, log: &Path) -> Request {
    Request { logs: vec![log.to_owned()], log_is_named: true, ..request(target) }
}

#[tokio::test]
async fn a_server_that_did_not_start_is_explained_by_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    let text = "starting, OPENAI_API_KEY=abcdefghijkl\nTraceback (most recent call last):\n\
                ModuleNotFoundError: No module named 'flask'\n";
    std::fs::write(&log, text).unwrap();
    let asked = with_log(&format!("http://127.0.0.1:{}/", closed_port()), &log);
    let report = broken(&asked, "start.failed", "line 3, written 0 s ago: ModuleNotFound").await;
    fix(&report, "python -m pip install flask");
    assert_eq!(report.also.first().map(|also| also.id), Some("listen.none"));
    assert!(!super::verbose(&report).contains("abcdefghijkl"));
    // Installed and started: the old line of the log is no fault of a server that answers.
    let server = http("200 OK");
    well(&with_log(&format!("http://127.0.0.1:{}/", server.port), &log)).await;
}

#[tokio::test]
async fn a_server_that_was_started_elsewhere_is_explained_by_its_output() {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("out.log")).unwrap();
    let port = closed_port();
    let mut command = Command::new("bash");
    command.args(["-c", "echo 'OSError: [Errno 98] Address already in use' >&2; read -r _"]);
    command.args(["server", "--port", &port.to_string()]);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(file);
    let _held = Held(command.spawn().unwrap());
    let target = format!("http://127.0.0.1:{port}/");
    let said = || std::fs::read_to_string(folder.path().join("out.log")).unwrap();
    while !said().contains("98") {
        tokio::task::yield_now().await;
    }
    let report = broken(&request(&target), "start.failed", "out.log (output of PID").await;
    fix(&report, "rapport ports end");
}

#[tokio::test]
async fn a_failing_answer_is_explained_by_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("server.log");
    std::fs::write(&log, "listening on port 1\nOSError: [Errno 28] No space left on device\n")
        .unwrap();
    let server = http("500 Internal Server Error");
    let asked = with_log(&format!("http://127.0.0.1:{}/", server.port), &log);
    let report = broken(&asked, "http.500", "that means: The disk is full").await;
    fix(&report, "df -h");
}
