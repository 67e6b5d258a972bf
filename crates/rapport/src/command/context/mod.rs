//! `rapport context`: conversations, one command for each operation of the API.

mod branch;
mod change;
mod document;
mod list;
mod transfer;
mod view;

use clap::{Args, Subcommand};

use super::Frame;
use super::message::SaidTo;
use super::reach::{Client, Reach};
use crate::print::Exit;
use crate::remote::{Ask, Failure, PathOf};

pub(super) use document::export;
pub(super) use transfer::write;
pub(super) use view::{print_messages, show_one};

/// Flags of `context`.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Begin a context, which becomes the current one of this directory
    #[command(visible_alias = "create")]
    New(change::New),
    /// Show the contexts, the last used first
    List(list::List),
    /// Show a context and its messages
    #[command(visible_alias = "get")]
    Show(view::Show),
    /// Send a message to a context and print the reply as it comes
    Send(Send),
    /// Show the messages of a context
    Messages(view::Messages),
    /// Show the state of a context, or change it
    State(change::State),
    /// Begin a context that shares what was said until now, or until a message, with another
    Fork(branch::Fork),
    /// Find messages in all contexts
    Search(branch::Search),
    /// Make a context the current one of this directory
    Use(Named),
    /// End a context: it can still be read
    Close(Named),
    /// Delete a context and everything in it
    Delete(Named),
    /// Write a context with its messages as one JSON document
    Export(transfer::Export),
    /// Make a context from such a document
    Import(transfer::Import),
}

/// A context by its id.
#[derive(Clone, Debug, Args)]
struct Named {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
}

#[derive(Clone, Debug, Args)]
struct Send {
    /// The context; `-` is the current one
    id: String,
    #[command(flatten)]
    said: SaidTo,
}

/// Does what was asked.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| work(client, &options.verb).await)
}

async fn work(client: &mut Client<'_>, verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::New(new) => change::new(client, new).await,
        Verb::List(list) => list::list(client, list).await,
        Verb::Show(show) => view::show(client, show).await,
        Verb::Send(send) => super::message::say(client, Some(&send.id), &send.said).await,
        Verb::Messages(messages) => view::messages(client, messages).await,
        Verb::State(state) => change::state(client, state).await,
        Verb::Fork(fork) => branch::fork(client, fork).await,
        Verb::Search(search) => branch::search(client, search).await,
        Verb::Use(named) => change::choose(client, named.id.as_deref()).await,
        Verb::Close(named) => change::close(client, named.id.as_deref()).await,
        Verb::Delete(named) => change::delete(client, named.id.as_deref()).await,
        Verb::Export(export) => transfer::export(client, export).await,
        Verb::Import(import) => transfer::import(client, import).await,
    }
}

/// The path of a context.
pub(super) fn path(id: &str) -> PathOf {
    PathOf::new("/api/v1/contexts").then(id)
}

/// Reads a context without its messages.
///
/// # Errors
/// Of every class.
pub(super) async fn get(client: &Client<'_>, id: &str) -> Result<crate::remote::Reply, Failure> {
    client.server.json(&Ask::get(path(id))).await
}
