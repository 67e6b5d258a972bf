//! `rapport chat`: one message and its reply, or a conversation at the keyboard.

mod input;
mod slash;
mod talk;

use clap::Args;

use super::reach::{Client, Reach};
use super::{Frame, given};
use crate::print::Exit;
use crate::remote::Failure;
use talk::Talk;

/// Flags of `chat`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// What to say; without it the conversation is held at the keyboard or read from a pipe
    message: Vec<String>,
    /// Go on with this context; `-` is the current one of this directory
    #[arg(long, value_name = "ID")]
    context: Option<String>,
    /// Model that answers, as NAME or PROVIDER/NAME
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Instructions for the model
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Make the context again, from what was said here, if the server has lost it
    #[arg(long)]
    recreate: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Talks.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| Box::pin(chat(client, options)).await)
}

async fn chat(client: &mut Client<'_>, options: &Options) -> Result<(), Failure> {
    let context = match &options.context {
        Some(id) => Some(client.context(Some(id))?),
        None => client.context_of_environment(),
    };
    let mut talk = Talk::new(context, options);
    if let Some(system) = options.system.as_deref() {
        talk.instruct(client, system).await?;
    }
    let done = if options.message.is_empty() {
        converse(client, &mut talk).await
    } else {
        let message = given::text(&options.message)?;
        talk.say(client, &message).await.map(drop)
    };
    if let Some(id) = talk.id().filter(|_| talk.is_begun() && !client.server.only_shows()) {
        client.printer.note(&format!("Go on with: rapport chat --context {id}"));
    }
    done
}

/// Line by line, until the input ends or the user quits.
async fn converse(client: &mut Client<'_>, talk: &mut Talk) -> Result<(), Failure> {
    let typed = given::is_typed();
    let mut lines = input::Lines::start()?;
    if typed {
        let to = client.server.address().to_string();
        client.printer.note(&format!("Talking to {to}. /help shows the commands, /quit ends."));
    }
    let mut interrupted = false;
    loop {
        if typed {
            client.printer.prompt("> ");
        }
        let line = tokio::select! {
            line = lines.next() => line,
            _ = tokio::signal::ctrl_c() => {
                client.printer.note("");
                if std::mem::replace(&mut interrupted, true) {
                    return Ok(());
                }
                client.printer.note("Ctrl-C once more, or Ctrl-D, ends the conversation.");
                continue;
            }
        };
        let Some(line) = line else { return Ok(()) };
        interrupted = false;
        match answer(client, talk, &line?).await {
            Ok(Next::Quit) => return Ok(()),
            Ok(Next::More) => {}
            Err(failure) if talk::is_stopped(&failure) => {
                client.printer.note("[stopped; /retry asks again]");
            }
            // Whoever types can correct it; a script cannot.
            Err(failure) if typed => {
                super::reach::complain(client.printer, &failure);
                if talk.can_retry() {
                    client.printer.note("/retry asks again.");
                }
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// What comes after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    More,
    Quit,
}

async fn answer(client: &mut Client<'_>, talk: &mut Talk, line: &str) -> Result<Next, Failure> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Next::More);
    }
    // Two slashes are a message that begins with one.
    if let Some(command) = line.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
        return slash::run(client, talk, command).await;
    }
    let message = line.strip_prefix('/').unwrap_or(line);
    talk.say(client, message).await
}
