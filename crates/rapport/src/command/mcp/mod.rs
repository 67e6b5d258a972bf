//! `rapport mcp`: the server's tools for a program that speaks MCP over a pipe, and the servers
//! that are joined to it.
//!
//! The command holds nothing: no port, no lock, no store. It finds the running server, starts one
//! if there is none, and carries lines; when the server is restarted, the client does not notice.

mod call;
mod carrier;
mod differs;
mod login;
mod servers;

use std::time::Duration;

use clap::{Args, Subcommand};
use mcp::bridge::End;

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
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Join a server: `add NAME -- COMMAND ARGS`, `add NAME --url URL`
    Add(Box<servers::Add>),
    /// Show the joined servers and how each is doing
    List,
    /// Leave a server that was added
    Remove(Named),
    /// Reach a server from here and show what it says
    Test(Named),
    /// Call a tool of a joined server: `call SERVER TOOL '{"path":"/tmp"}'`
    Call(call::Call),
    /// Take the changed tools of a server as they are
    Accept(Named),
    /// Log in to a server that wants it, with a browser
    Login(login::Login),
    /// Give a log-in back and forget it
    Logout(Named),
    /// End the children of a server that is gone
    #[command(hide = true)]
    Guard,
}

#[derive(Clone, Debug, Args)]
struct Named {
    /// The server's name
    name: String,
}

/// Does what was asked; without a verb, carries messages.
///
/// # Errors
/// When there is no runtime to work in, or a file cannot be written.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let reach = &options.reach;
    match &options.verb {
        None => bridge(frame, options),
        Some(Verb::Add(add)) => servers::add(frame, reach, add),
        Some(Verb::List) => reach.run(frame, async |client| servers::list(client).await),
        Some(Verb::Remove(named)) => servers::remove(frame, &named.name),
        Some(Verb::Test(named)) => servers::test(frame, &named.name),
        Some(Verb::Call(call)) => reach.run(frame, async |client| call::call(client, call).await),
        Some(Verb::Accept(named)) => {
            reach.run(frame, async |client| servers::accept(client, &named.name).await)
        }
        Some(Verb::Login(login)) => {
            let screen = login::has_screen(frame);
            reach.run(frame, async |client| login::login(client, login, screen).await)
        }
        Some(Verb::Logout(named)) => {
            reach.run(frame, async |client| login::logout(client, &named.name).await)
        }
        Some(Verb::Guard) => {
            mcp::client::watch(std::io::stdin().lock());
            Ok(Exit::Fine)
        }
    }
}

/// Carries messages until standard input ends, or whoever started us is gone.
///
/// # Errors
/// When there is no runtime to work in.
fn bridge(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let home = Home::new(frame, &options.reach, !options.no_start);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        let bridge = mcp::bridge::run(home, (input, tokio::io::stdout()));
        tokio::select! {
            // A broken pipe is the client's way to leave, too.
            ended = bridge => ended.unwrap_or(End::Fine),
            () = orphaned() => End::Fine,
        }
    });
    // A read of standard input that nobody will ever answer must not keep us.
    runtime.shutdown_background();
    Ok(match ended {
        End::Fine => Exit::Fine,
        End::Unreached => Exit::Problem,
    })
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

/// Ends when whoever started us is gone: some systems leave the pipe open then.
#[cfg(windows)]
async fn orphaned() {
    use native::windows::process::{all, is_running};
    let own = std::process::id();
    let Some(own) = all().into_iter().find(|entry| entry.pid == own) else {
        return std::future::pending().await;
    };
    while is_running(own.parent) {
        tokio::time::sleep(LOOK).await;
    }
}
