//! `rapport model`: what models there are, what they can do and cost, and whether one answers.

mod list;
mod show;
mod test;

use clap::{Args, Subcommand};
use gateway::model::Models;

use super::Frame;
use crate::config::Loaded;
use crate::print::Exit;

/// Flags of `model`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// The models that this configuration has
    List {
        /// Every model that is known by name, configured or not
        #[arg(long)]
        all: bool,
    },
    /// What is known of one model
    Show {
        /// Its name, or `PROVIDER/NAME`
        name: String,
    },
    /// Make one small real call and say in one sentence whether it works
    Test {
        /// Its name, `PROVIDER/NAME`, or a provider's name
        name: String,
    },
}

/// Does what was asked, with the configuration as it is here; no server needs to run.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let inputs = frame.inputs();
    let loaded = match frame.load(&inputs) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    match &options.verb {
        Verb::List { all: true } => list::all(frame, &loaded),
        Verb::List { all: false } => list::configured(frame, &models(&loaded)?),
        Verb::Show { name } => show::run(frame, &loaded, &models(&loaded)?, name),
        Verb::Test { name } => test::run(frame, &models(&loaded)?, name),
    }
}

fn models(loaded: &Loaded) -> Result<Models, wire::Fault> {
    Models::new(&loaded.config.gateway)
}

/// A count of tokens as people say it: `200k`, `1.05M`.
fn tokens(count: u64) -> String {
    let short = |unit: u64, letter: char| {
        let hundredths = count.saturating_mul(100) / unit;
        let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        format!("{}{letter}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => short(1_000, 'k'),
        _ => short(1_000_000, 'M'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_people_say_them() {
        for (count, text) in
            [(999, "999"), (8_192, "8.19k"), (200_000, "200k"), (1_050_000, "1.05M")]
        {
            assert_eq!(tokens(count), text);
        }
    }
}
