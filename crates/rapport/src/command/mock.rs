//! `rapport mock`: a model server that does what its script says.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use doctor::port;
use mock::{Mock, Script};

use super::{Frame, block_on};
use crate::print::Exit;

/// Flags of `mock`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// What to answer (TOML or JSON)
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Print a commented script to begin with
    #[arg(long)]
    example: bool,
}

/// Serves the mock until a signal ends it.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    if options.example {
        frame.printer.line(mock::EXAMPLE.trim_end());
        return Ok(Exit::Fine);
    }
    let place = port::Place::Flag("--port".to_owned());
    let number = match frame.globals.port.as_deref().map_or(Ok(0), |text| port::parse(text, place))
    {
        Ok(number) => number,
        Err(invalid) => {
            frame.printer.error(&invalid.to_string());
            return Ok(Exit::InvalidPort);
        }
    };
    let script = match &options.script {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read `{}`", path.display()))?;
            Script::parse(&text).with_context(|| format!("`{}`", path.display()))?
        }
        None => Script::default(),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
    block_on(async {
        let mock = Mock::start(address, script)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let url = mock.url();
        frame.printer.line(&format!("mock is listening on {url}"));
        frame.printer.line(&format!(
            "try next:\n  ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY=test rapport serve\n  \
             OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY=test rapport serve\n  \
             curl {url}/__mock/requests"
        ));
        crate::serve::stop_asked().await?;
        mock.shutdown().await;
        Ok(Exit::Fine)
    })?
}
