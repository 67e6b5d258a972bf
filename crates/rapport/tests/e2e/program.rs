//! Starts the real program in a folder of its own, and reads what it says.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// Limit: what takes longer than this hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that has to happen.
#[track_caller]
pub(crate) fn soon<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(PATIENCE, future).await {
            Ok(output) => output,
            Err(_) => panic!("{what}: nothing happened for {PATIENCE:?} ({place})"),
        }
    }
}

/// The folder of one test: the program's home, working folder and data.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A place in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Writes the configuration file that the program finds in its working folder.
    pub(crate) fn configure(&self, yaml: &str) {
        std::fs::write(self.path("rapport.yaml"), yaml).unwrap();
    }

    /// What the program said on standard error, all runs together.
    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(self.path("stderr")).unwrap_or_default()
    }

    /// The program with nothing in its environment but this folder.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rapport"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.0.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub(crate) async fn run(&self, args: &[&str]) -> std::process::Output {
        soon("the end of the program", self.command(args).output()).await.unwrap()
    }

    /// Serves on a free port with the folder's data.
    pub(crate) async fn serve(&self, env: &[(&str, &str)]) -> Server {
        self.serve_in(&self.data(), env).await
    }

    /// Serves on a free port with data in another place.
    pub(crate) async fn serve_in(&self, data: &Path, env: &[(&str, &str)]) -> Server {
        let mut child = self
            .command(&["serve", "--port", "0", "--data"])
            .arg(data)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(self.error_file())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        soon("the line that says where the server is", stdout.read_line(&mut said)).await.unwrap();
        let addr = said.trim().strip_prefix("rapport is listening on http://");
        let addr = addr.unwrap_or_else(|| panic!("{said}{}", self.errors())).parse().unwrap();
        Server { addr, child, stdout, said }
    }

    fn error_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.path("stderr")).unwrap()
    }
}

/// A running server; it is killed when this drops.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    child: Child,
    stdout: BufReader<ChildStdout>,
    said: String,
}

/// How a server ended.
pub(crate) struct Ended {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// Everything it said on standard output.
    pub(crate) said: String,
}

impl Server {
    /// The id of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Ended {
        let rest = self.stdout.read_to_string(&mut self.said);
        soon("the end of the server's output", rest).await.unwrap();
        let status = soon("the end of the server", self.child.wait()).await.unwrap();
        Ended { status, said: self.said }
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Kills it at once, as a power cut would.
    pub(crate) async fn kill(self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }
}
