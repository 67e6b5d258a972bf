//! Logs: standard error for whoever watches, rotating files for whoever asks later.
//!
//! Invariant: bodies and secrets never reach a log at `info`; writing a log line never waits for a
//! slow terminal or disk, and lines beyond the queue are dropped and counted instead.

mod batch;
mod level;
mod panic;
mod rotate;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use batch::{Sink, Takes, Tee, Writer};
pub(crate) use level::check as check_level;
use rotate::Rotating;

use crate::config::{Log, LogFormat};

/// The target of lines that were printed already: they go to the files alone.
pub(crate) const SAID: &str = "rapport::said";

/// The log of everything that matters.
const ALL: &str = "server.log";

/// The log of errors alone.
const ERRORS: &str = "error.log";

/// The running logs; dropping them writes out what waits.
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    dir: Option<PathBuf>,
    _writers: Vec<Writer>,
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
        let mut writers = Vec::new();
        let mut layers: Vec<Boxed> = Vec::new();
        let terminal = std::io::stderr();
        let colour = terminal.is_terminal() && log.format == LogFormat::Text;
        let (sink, writer) = Sink::start("log-stderr", terminal)?;
        writers.push(writer);
        // Sinks of one wording share it; only colours are a wording of their own.
        let (mut plain, mut coloured) = (Tee::default(), Tee::default());
        if colour { &mut coloured } else { &mut plain }.add(sink, Takes::Unsaid);
        if let Some(dir) = &log.dir {
            crate::data::private_folder(dir)?;
            for (name, takes) in [(ALL, Takes::All), (ERRORS, Takes::Errors)] {
                let path = dir.join(name);
                let file = Rotating::open(&path)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                let (sink, writer) = Sink::start("log-file", file)?;
                writers.push(writer);
                plain.add(sink, takes);
            }
        }
        if !coloured.is_empty() {
            layers.push(fmt::layer().with_writer(coloured).with_ansi(true).boxed());
        }
        if !plain.is_empty() {
            layers.push(match log.format {
                LogFormat::Text => fmt::layer().with_writer(plain).with_ansi(false).boxed(),
                LogFormat::Json => fmt::layer().json().with_writer(plain).boxed(),
            });
        }
        let (filter, handle) = reload::Layer::new(level::filter(&log.level)?);
        tracing_subscriber::registry()
            .with(filter)
            .with(layers)
            .try_init()
            .context("logs were started before")?;
        panic::log_panics();
        Ok(Self { filter: handle, dir: log.dir.clone(), _writers: writers })
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
