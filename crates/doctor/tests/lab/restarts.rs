//! A server that ends soon after each start, and is started again.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use super::servers::closed_port;
use super::{broken, fix, request, verbose, well};
use doctor::{Report, Request, diagnose};

/// A loop in a shell with all that it started.
struct Loop(Child);

impl Loop {
    /// Runs `server` again and again; it writes to a file, as servers under a manager do.
    fn of(server: &str, port: u16, log: &Path) -> Self {
        let mut command = Command::new("bash");
        let script = format!("while :; do {server}; sleep 0.2; done");
        command.args(["-c", &script, "loop", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(log).unwrap()).process_group(0);
        Self(command.spawn().unwrap())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let group = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let _ended = group.map(|group| kill_process_group(group, Signal::KILL));
        drop(self.0.wait());
    }
}

const DIES: &str = "import http.server, sys, threading, os\n\
                    server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[2])), \
                    http.server.SimpleHTTPRequestHandler)\n\
                    def end():\n    print('MemoryError', file=sys.stderr)\n    os._exit(1)\n\
                    threading.Timer(float(sys.argv[3]), end).start()\nserver.serve_forever()\n";

/// A look may fall between two starts on a busy machine.
async fn named(target: &Request, evidence: &str) -> Report {
    for _ in 0..4 {
        let report = diagnose(target).await;
        if report.verdict.id == "start.crash_loop" {
            let said = report.verdict.evidence.join("\n");
            assert!(said.contains(evidence), "{}", verbose(&report));
            return report;
        }
    }
    broken(target, "start.crash_loop", evidence).await
}

#[tokio::test]
async fn a_server_that_is_started_again_and_again_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (log, script) = (folder.path().join("log"), folder.path().join("app.py"));
    std::fs::write(&script, DIES).unwrap();
    let port = closed_port();
    let server = |seconds: &str| format!("python3 {} --port {port} {seconds}", script.display());
    let target = request(&format!("http://127.0.0.1:{port}/"));
    let held = Loop::of(&server("1"), port, &log);
    let report = named(&target, "came in its place").await;
    fix(&report, "last lines say why");
    let said = report.verdict.evidence.join("\n");
    assert!(said.contains("it is started by `bash -c"), "{said}");
    drop(held);
    // It never opens its port, and is started again all the same.
    let held = Loop::of("python3 -c 'import time; time.sleep(0.4)' --port $1", port, &log);
    let report = named(&target, "with this command").await;
    fix(&report, "rapport doctor run --");
    drop(held);
    // It stays up: a loop alone is no fault.
    let _held = Loop::of(&server("60"), port, &log);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        tokio::task::yield_now().await;
    }
    well(&target).await;
}
