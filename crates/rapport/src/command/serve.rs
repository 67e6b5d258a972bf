//! `rapport serve`: the server in the foreground.

use clap::Args;

use super::Frame;
use crate::config::{Flag, Inputs};
use crate::log::Logs;
use crate::print::Exit;
use crate::serve;

/// Flags of `serve`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Options {
    /// Take the next free port when the port is taken, and say so
    #[arg(long)]
    port_fallback: bool,
    /// Take the first free port of a range
    #[arg(long, value_name = "FIRST-LAST")]
    port_range: Option<String>,
    /// off, optional or required
    #[arg(long, value_name = "MODE")]
    tls: Option<String>,
}

impl Options {
    /// The settings, with these flags among them.
    pub(super) fn inputs(&self, frame: &Frame) -> Inputs {
        let mut inputs = frame.inputs();
        let fallback = self.port_fallback.then(|| "true".to_owned());
        for (key, name, value) in [
            ("server.port_fallback", "--port-fallback", &fallback),
            ("server.port_range", "--port-range", &self.port_range),
            ("tls.mode", "--tls", &self.tls),
        ] {
            inputs.flags.extend(value.clone().map(|value| Flag { key, name, value }));
        }
        inputs
    }

    /// These flags as they are written, for a server in the background.
    pub(super) fn written(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.port_fallback {
            words.push("--port-fallback".to_owned());
        }
        for (name, value) in [("--port-range", &self.port_range), ("--tls", &self.tls)] {
            if let Some(value) = value {
                words.push(format!("{name}={value}"));
            }
        }
        words
    }
}

/// Serves until a signal ends it.
///
/// # Errors
/// Why the server could not start.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let inputs = options.inputs(frame);
    let loaded = match frame.load(&inputs) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    let logs = Logs::start(&loaded.config.log)?;
    for warning in &loaded.warnings {
        // Said on the terminal already.
        tracing::warn!(target: crate::log::SAID, "{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve::run(loaded, inputs, &logs, &mut frame.printer));
    // Whatever blocks now has had its time.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    match &served {
        Ok(()) => tracing::info!("the server has stopped"),
        Err(error) => tracing::error!(target: crate::log::SAID, "{error:#}"),
    }
    served.map(|()| Exit::Fine)
}
