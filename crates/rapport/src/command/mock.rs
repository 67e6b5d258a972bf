//! `rapport mock`: a model server that does what its script says, or says what was recorded.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use doctor::port;
use inspect::{Fit, Pace, Player, Playing, Target};
use mock::{Mock, Script};

use super::inspect::file;
use super::{Frame, block_on};
use crate::print::Exit;

/// Limit: exchanges that cannot be played and are named one by one.
const LEFT_OUT_MAX: usize = 5;

/// Flags of `mock`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    rapport mock --port 8089\n  \
    rapport mock --port 8089 --as failing\n  \
    rapport mock --port 8089 --script replies.toml\n  \
    rapport inspect --to https://api.anthropic.com --record calls.jsonl    (records)\n  \
    rapport mock --port 8089 --replay calls.jsonl                          (says it again)")]
pub(super) struct Options {
    /// What to answer (TOML or JSON)
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Behave as a model that needs no script: `echo`, `demo`, `slow`, `failing` (five times, in
    /// five ways), `forgetful` (knows the last message only)
    #[arg(long = "as", value_name = "NAME", conflicts_with = "script", value_parser = names())]
    played: Option<String>,
    /// Answer as was recorded: a recording of `rapport inspect --record`, or an HTTP archive (HAR)
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// With `--replay`: answer at once, without the pauses that were recorded
    #[arg(long, requires = "replay")]
    at_once: bool,
    /// With `--replay`: a request is the same when its method and path are, whatever its body
    #[arg(long, requires = "replay")]
    by_path: bool,
    /// Print a commented script to begin with
    #[arg(long)]
    example: bool,
}

/// The names of the models that can be played.
fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(mock::CAST.iter().map(|(name, _, _)| *name))
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
    let script = script(options)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
    if let Some(path) = &options.replay {
        return replay(frame, options, (path, script, address));
    }
    block_on(async {
        let mock = Mock::start(address, script.unwrap_or_default())
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

/// What is answered; nothing where nothing was asked for.
fn script(options: &Options) -> anyhow::Result<Option<Script>> {
    if let Some(text) = options.played.as_deref().and_then(mock::cast) {
        return Ok(Some(Script::parse(text)?));
    }
    let Some(path) = &options.script else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    Ok(Some(Script::parse(&text).with_context(|| format!("`{}`", path.display()))?))
}

/// Serves a recording; what is not in it goes to the script, where there is one.
fn replay(
    frame: &mut Frame,
    options: &Options,
    (path, script, listen): (&Path, Option<Script>, SocketAddr),
) -> anyhow::Result<Exit> {
    let exchanges = file::load(frame, path)?;
    let pace = if options.at_once { Pace::AtOnce } else { Pace::Recorded };
    let fit = if options.by_path { Fit::Path } else { Fit::Body };
    block_on(async {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let behind = match script {
            Some(script) => Some(Mock::start(any, script).await.context("cannot listen")?),
            None => None,
        };
        let beyond = behind.as_ref().map(Mock::addr);
        let beyond = beyond.map(|at| Target::new(&at.ip().to_string(), at.port(), false));
        let playing = Playing { listen, exchanges, pace, fit, beyond };
        let player =
            Player::start(playing).await.with_context(|| format!("cannot listen on {listen}"))?;
        for one in player.left_out().iter().take(LEFT_OUT_MAX) {
            frame.printer.warn(&one.to_string());
        }
        let more = player.left_out().len().saturating_sub(LEFT_OUT_MAX);
        if more > 0 {
            frame.printer.warn(&format!("{more} more are left out"));
        }
        if player.count() == 0 {
            let text = format!("`{}` has no exchange that can be played", path.display());
            frame.printer.error(&text);
            let hint = "record some: `rapport inspect --to ADDRESS --record FILE`";
            frame.printer.hint(hint);
            return Ok(Exit::Problem);
        }
        let url = format!("http://{}", player.address());
        frame.printer.line(&format!("mock is listening on {url}"));
        let count = player.count();
        frame.printer.line(&format!(
            "{count} recorded exchanges are played; `curl {url}/__mock/replay` tells which were"
        ));
        crate::serve::stop_asked().await?;
        drop(player);
        if let Some(mock) = behind {
            mock.shutdown().await;
        }
        Ok(Exit::Fine)
    })?
}
