//! `rapport summarize`: shortens a text.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::reach::{Client, Reach};
use super::{Frame, given};
use crate::print::Exit;
use crate::remote::{Ask, Failure};

/// Flags of `summarize`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// The text; `-` reads it from standard input
    file: String,
    /// How long the summary may be
    #[arg(long, value_enum, default_value_t = Length::Medium)]
    length: Length,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Length {
    /// A sentence
    Short,
    /// A few sentences
    Medium,
    /// A paragraph
    Long,
}

impl Length {
    fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Medium => "medium",
            Self::Long => "long",
        }
    }
}

/// Sends the text.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| summarize(client, options).await)
}

async fn summarize(client: &mut Client<'_>, options: &Options) -> Result<(), Failure> {
    let text = given::file(&options.file)?;
    let body = json!({"text": text, "length": options.length.as_str()});
    let reply = client.server.json(&Ask::post("/api/v1/summarize", &body).once()).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(reply.text("summary"));
    }
    Ok(())
}
