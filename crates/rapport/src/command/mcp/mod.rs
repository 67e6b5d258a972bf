//! `rapport mcp`: the server's tools for a program that speaks MCP over a pipe.
//!
//! The command holds nothing: no port, no lock, no store. It finds the running server, starts one
//! if there is none, and carries lines; when the server is restarted, the client does not notice.

mod carrier;

use std::time::Duration;

use clap::Args;

use super::Frame;
use super::reach::Reach;
use crate::print::Exit;
use carrier::Home;

/// How often we look whether whoever started us still lives.
const LOOK: Duration = Duration::from_secs(1);

/// Flags of `mcp`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Fail instead of starting a server when none runs
    #[arg(long)]
    no_start: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Carries messages until standard input ends, or whoever started us is gone.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let home = Home::new(frame, &options.reach, !options.no_start);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        let bridge = mcp::bridge::run(home, (input, tokio::io::stdout()));
        tokio::select! {
            // A broken pipe is the client's way to leave, too.
            _ended = bridge => {}
            () = orphaned() => {}
        }
    });
    // A read of standard input that nobody will ever answer must not keep us.
    runtime.shutdown_background();
    Ok(Exit::Fine)
}

/// Ends when whoever started us is gone: some systems leave the pipe open then.
#[cfg(unix)]
async fn orphaned() {
    let parent = rustix::process::getppid();
    loop {
        tokio::time::sleep(LOOK).await;
        if rustix::process::getppid() != parent {
            return;
        }
    }
}

#[cfg(not(unix))]
async fn orphaned() {
    std::future::pending().await
}
