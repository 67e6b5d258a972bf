//! The signals of the system: stop, stop at once, read the configuration again.

/// What somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To stop; holds the signal's name.
    Stop(&'static str),
    /// To read the configuration again.
    Reload,
}

/// The signals, caught from now on.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Catches the signals.
    pub(super) fn new() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next thing somebody asks for.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }
}

/// The signals, caught from now on.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Catches the signals.
    #[expect(clippy::unnecessary_wraps, reason = "on Unix it can fail")]
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self)
    }

    /// The next thing somebody asks for.
    pub(super) async fn next(&mut self) -> Asked {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Asked::Stop("Ctrl-C"),
            Err(_) => std::future::pending().await,
        }
    }
}

impl Signals {
    /// Ends the process at the next stop signal, whatever still runs.
    pub(super) async fn end_at_next_stop(mut self) {
        while !matches!(self.next().await, Asked::Stop(_)) {}
        tracing::warn!("stopped at once by a second signal");
        // The user does not want to wait for anything.
        std::process::exit(130);
    }
}
