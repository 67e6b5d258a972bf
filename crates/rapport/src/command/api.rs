//! `rapport api`: every call of the HTTP API, in the formats of other tools.

use clap::{Args, ValueEnum};
use gateway::surface::{calls, openapi};

use super::Frame;
use crate::print::Exit;

/// Flags of `api`.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// In which format
    #[arg(value_enum)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// A file of requests for VS Code (REST Client), `JetBrains` IDEs and others
    Http,
    /// A collection for Postman, Insomnia, Bruno and Hoppscotch
    Postman,
    /// The `OpenAPI` document that a server has at /openapi.json
    Openapi,
}

/// Prints the list; no server is needed.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    let text = match options.format {
        Format::Http => calls::http_file(),
        Format::Postman => serde_json::to_string_pretty(&calls::postman())? + "\n",
        Format::Openapi => openapi().to_pretty_json()? + "\n",
    };
    frame.printer.piece(&text);
    Ok(Exit::Fine)
}
