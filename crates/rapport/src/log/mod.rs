//! Logs: standard error for whoever watches, rotating files for whoever asks later.
//!
//! Invariant: bodies and secrets never reach a log at `info`; writing a log line never waits for a
//! slow terminal or disk, and lines beyond the queue are dropped and counted instead.

mod level;
mod panic;
mod rotate;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

pub(crate) use level::check as check_level;
use rotate::Rotating;

use crate::config::{Log, LogFormat};

/// The target of lines that were printed already: they go to the files alone.
pub(crate) const SAID: &str = "rapport::said";

/// Limit: log lines that wait for the terminal or the disk.
const LINES_MAX: usize = 8192;

/// The log of everything that matters.
const ALL: &str = "server.log";

/// The log of errors alone.
const ERRORS: &str = "error.log";

/// The running logs; dropping them writes out what waits.
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    dir: Option<PathBuf>,
    _workers: Vec<WorkerGuard>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").field("dir", &self.dir).finish_non_exhaustive()
    }
}

type Boxed = Box<dyn Layer<Layered> + Send + Sync>;
type Layered = tracing_subscriber::layer::Layered<reload::Layer<EnvFilter, Registry>, Registry>;

impl Logs {
    /// Starts the logs of the process. May be called once.
    ///
    /// # Errors
    /// When a log file cannot be opened.
    pub(crate) fn start(log: &Log) -> anyhow::Result<Self> {
        let mut workers = Vec::new();
        let mut layers: Vec<Boxed> = Vec::new();
        let terminal = std::io::stderr();
        let colour = terminal.is_terminal();
        let (writer, worker) = queue("log-stderr", terminal);
        workers.push(worker);
        let unsaid = filter_fn(|line| line.target() != SAID);
        layers.push(match log.format {
            LogFormat::Text => {
                fmt::layer().with_writer(writer).with_ansi(colour).with_filter(unsaid).boxed()
            }
            LogFormat::Json => fmt::layer().json().with_writer(writer).with_filter(unsaid).boxed(),
        });
        if let Some(dir) = &log.dir {
            crate::data::private_folder(dir)?;
            let (all, worker) = file(dir, ALL)?;
            workers.push(worker);
            layers.push(plain(all, log.format, LevelFilter::TRACE));
            let (errors, worker) = file(dir, ERRORS)?;
            workers.push(worker);
            layers.push(plain(errors, log.format, LevelFilter::ERROR));
        }
        let (filter, handle) = reload::Layer::new(level::filter(&log.level)?);
        tracing_subscriber::registry()
            .with(filter)
            .with(layers)
            .try_init()
            .context("logs were started before")?;
        panic::log_panics();
        Ok(Self { filter: handle, dir: log.dir.clone(), _workers: workers })
    }

    /// Changes the level while the program runs.
    ///
    /// # Errors
    /// When `directives` are none.
    pub(crate) fn set_level(&self, directives: &str) -> anyhow::Result<()> {
        self.filter.reload(level::filter(directives)?).context("the log level was not changed")
    }

    /// Where the log files are.
    pub(crate) fn dir(&self) -> Option<&Path> {
        self.dir.as_deref()
    }
}

fn queue(
    name: &str,
    writer: impl std::io::Write + Send + Sync + 'static,
) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_MAX)
        .lossy(true)
        .thread_name(name)
        .finish(writer)
}

fn file(dir: &Path, name: &str) -> anyhow::Result<(NonBlocking, WorkerGuard)> {
    let path = dir.join(name);
    let file = Rotating::open(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(queue("log-file", file))
}

fn plain(writer: NonBlocking, format: LogFormat, level: LevelFilter) -> Boxed {
    match format {
        LogFormat::Text => {
            fmt::layer().with_writer(writer).with_ansi(false).with_filter(level).boxed()
        }
        LogFormat::Json => fmt::layer().json().with_writer(writer).with_filter(level).boxed(),
    }
}
