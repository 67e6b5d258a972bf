//! `rapport ports`: free ports, what a number means, and which of our servers run where.

mod end;
mod list;

use clap::{Args, Subcommand};
use doctor::port;

use super::Frame;
use crate::print::Exit;

/// Flags of `ports`.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Free ports, from the neighbourhood of 61900 and from 3000-9000
    Suggest {
        /// How many
        #[arg(long, default_value_t = 5)]
        count: u8,
    },
    /// What a number means as a port, in one sentence
    Explain {
        /// The number, such as 619009
        #[arg(allow_hyphen_values = true)]
        number: String,
    },
    /// Every TCP port that something listens on: who, since when, with which command
    List(list::Options),
    /// Ends the program that listens on a port, after it was shown and you agreed
    End(end::Options),
}

/// Runs `ports`.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    match &options.what {
        What::Suggest { count } => {
            let free = port::suggest(port::HOME, usize::from(*count));
            if frame.printer.is_json() {
                frame.printer.json(&free)?;
            } else {
                for port in free {
                    frame.printer.line(&port.to_string());
                }
            }
            Ok(Exit::Fine)
        }
        What::Explain { number } => {
            let text = port::explain(number);
            let invalid = port::parse(number, port::Place::Argument).err();
            if frame.printer.is_json() {
                let candidates = invalid.as_ref().map(|invalid| invalid.candidates.to_vec());
                frame.printer.json(&serde_json::json!({
                    "number": number,
                    "valid": invalid.is_none(),
                    "explanation": text,
                    "wrapped": port::wrapped(number),
                    "candidates": candidates.unwrap_or_default(),
                }))?;
            } else {
                frame.printer.line(&text);
            }
            Ok(if invalid.is_some() { Exit::InvalidPort } else { Exit::Fine })
        }
        What::List(options) => list::run(frame, options),
        What::End(options) => end::run(frame, options),
    }
}

/// Says why a number is no port, and where to ask more.
fn refused(frame: &mut Frame, invalid: &port::InvalidPort) -> Exit {
    frame.printer.error(&invalid.to_string());
    frame.printer.hint(&format!("rapport ports explain {}", invalid.value));
    Exit::InvalidPort
}
