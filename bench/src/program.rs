//! The program under measurement, started on a free port with a fresh data folder.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A limit that no run reaches.
pub(crate) const UNLIMITED: (&str, &str) = ("RAPPORT_LIMITS_REQUESTS_PER_MINUTE", "100000000");

/// A running program; it is killed and its folder removed when this drops.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
    /// Its data folder.
    pub(crate) data: PathBuf,
    /// From the start of the process to its ready line.
    pub(crate) ready: Duration,
}

impl Program {
    /// Starts `rapport serve` with further environment variables.
    pub(crate) async fn start(binary: &Path, variables: &[(&str, &str)]) -> Result<Self> {
        let name = format!("rapport-bench-{}-{}", std::process::id(), unique());
        let data = std::env::temp_dir().join(name);
        let began = tokio::time::Instant::now();
        let mut child = Command::new(binary)
            .args(["serve", "--port", "0", "--data"])
            .arg(&data)
            .envs(variables.iter().copied())
            .env("RAPPORT_LOG_LEVEL", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = lines.next_line().await?.context("the program ended before it was ready")?;
        let ready = began.elapsed();
        let address = line.rsplit("http://").next().context("no address in the ready line")?;
        let address = address.trim().to_owned();
        // The pipe must be read on, or the program blocks when it is full.
        drop(crate::turns::spawn(
            async move { while let Ok(Some(_)) = lines.next_line().await {} },
        ));
        Ok(Self { child, address, data, ready })
    }

    /// Starts it before a model server at this address, which plays Anthropic's.
    pub(crate) async fn before(
        binary: &Path,
        server: std::net::SocketAddr,
        more: (&str, &str),
    ) -> Result<Self> {
        let base = format!("http://{server}");
        let key = ("ANTHROPIC_API_KEY", "sk-bench");
        Self::start(binary, &[key, ("ANTHROPIC_BASE_URL", &base), more]).await
    }

    /// Resident memory in MiB.
    pub(crate) fn memory_mib(&self) -> Result<f64> {
        let pid = self.child.id().context("the program has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it politely, so that the store is written back.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        let pid = self.child.id().context("the program has ended")?;
        let mut kill = Command::new("kill");
        kill.args(["-TERM", &pid.to_string()]).status().await?;
        self.child.wait().await?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.start_kill());
        drop(std::fs::remove_dir_all(&self.data));
    }
}

/// Microseconds of CPU that a process and its children have used, user and system together.
pub(crate) fn cpu_us(pid: u32) -> Result<f64> {
    /// Linux counts in hundredths of a second, whatever its own clock.
    const TICK_US: f64 = 10_000.0;
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let children = children.unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let mut total = 0.0;
    for pid in std::iter::once(pid).chain(pids) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name before it may have blanks.
        let rest = stat.rsplit(')').next().context("no figures of the process")?;
        for field in rest.split_whitespace().skip(11).take(2) {
            total += field.parse::<f64>()? * TICK_US;
        }
    }
    Ok(total)
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
