//! The `LiteLLM` proxy before the model server, where `bench/peers/litellm.py` has installed it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::wire::Line;

/// Where the script puts it, beside the folder of the program that is measured.
const INSTALLED: &str = "venv-litellm/bin/litellm";
/// It starts slowly.
const START: Duration = Duration::from_secs(180);
/// It serves nobody without a key, as we do when there is one.
const KEY: &str = "sk-0d6b7e0f5c9a4f1e8b2a7c3d9e5f1a0b6c4d8e2f";
/// The key as its callers show it.
pub(crate) const HEADERS: &str =
    "authorization: Bearer sk-0d6b7e0f5c9a4f1e8b2a7c3d9e5f1a0b6c4d8e2f\r\n";
/// As many as the other programs have.
const WORKERS: &str = "2";

/// A running proxy; it is killed when this drops.
pub(crate) struct LiteLlm {
    /// Host and port.
    pub(crate) address: String,
    child: Child,
    folder: tempfile::TempDir,
}

impl LiteLlm {
    /// Starts it before an Anthropic upstream; none where it is not installed.
    pub(crate) async fn start(binary: &Path, upstream: &str, ask: &str) -> Result<Option<Self>> {
        let Some(program) = installed(binary) else { return Ok(None) };
        let folder = tempfile::tempdir()?;
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = free.local_addr()?;
        drop(free);
        let file = folder.path().join("config.yaml");
        let page = format!(
            "model_list:\n  - model_name: claude-sonnet-5\n    litellm_params:\n      \
             model: anthropic/claude-sonnet-5\n      api_base: {upstream}\n      \
             api_key: sk-bench\nlitellm_settings:\n  telemetry: false\n  num_retries: 0\n"
        );
        std::fs::write(&file, page)?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new(&program);
        // Its workers are a group of their own, which ends as one.
        #[cfg(unix)]
        command.process_group(0);
        let child = command
            .arg("--config")
            .arg(&file)
            .args(["--host", "127.0.0.1", "--num_workers", WORKERS, "--port"])
            .arg(address.port().to_string())
            // Its own table of prices: nothing is fetched from anywhere.
            .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            .env("LITELLM_MASTER_KEY", KEY)
            .env("LITELLM_LOG", "ERROR")
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut proxy = Self { address: address.to_string(), child, folder };
        proxy.ready(ask).await?;
        Ok(Some(proxy))
    }

    /// Waits until it answers a call.
    async fn ready(&mut self, ask: &str) -> Result<()> {
        let until = Instant::now() + START;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(self.folder.path().join("log"))?;
                let end = log.len().saturating_sub(2_000);
                bail!("LiteLLM ended with {status}: {}", log.get(end..).unwrap_or_default());
            }
            if let Ok(mut line) = Line::open_with(&self.address, HEADERS).await {
                let answered = line.answered("/v1/messages", ask);
                if tokio::time::timeout(START, answered).await.is_ok_and(|done| done.is_ok()) {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("LiteLLM does not answer within {START:?}")
    }
}

impl Drop for LiteLlm {
    fn drop(&mut self) {
        if let Some(group) = self.child.id() {
            let ended = std::process::Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .status();
            drop(ended);
        }
    }
}

fn installed(binary: &Path) -> Option<PathBuf> {
    let binary = binary.canonicalize().ok()?;
    let program = binary.ancestors().nth(2)?.join(INSTALLED);
    program.is_file().then_some(program)
}
