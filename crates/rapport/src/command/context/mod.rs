//! `rapport context`: conversations, one command for each operation of the API.

mod branch;
mod change;
mod document;
mod find;
mod follow;
mod know;
mod list;
mod mount;
mod redact;
mod rewind;
mod share;
mod state;
mod transfer;
mod tree;
mod view;
mod window;

use clap::{Args, Subcommand};

use super::Frame;
use super::message::SaidTo;
use super::reach::{Client, Reach};
use crate::print::Exit;
use crate::remote::{Ask, Failure, PathOf, Reply};

pub(super) use document::export;
pub(super) use find::find;
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
    /// Make a context the current one of this directory
    Use(Named),
    /// Send a message to a context and print the reply as it comes
    Send(Send),
    /// Store messages without asking a model
    Append(change::Append),
    /// Answer the last failed turn again and print the reply as it comes
    Retry(change::Retry),
    /// Stop the running turn; what was said until then is kept
    Cancel(Named),
    /// Show the messages of a context
    Messages(view::Messages),
    /// Show everything that is said in a context, as it is said
    Events(follow::Events),
    /// Show the state of a context, its history, or change it
    State(state::State),
    /// Change title, user, instructions, settings, metadata or lifetime
    Edit(change::Edit),
    /// Find messages in all contexts
    Search(branch::Search),
    /// Find the messages of a context that have to do with a question
    Recall(window::Recall),
    /// Show the request that would go to the model, and why
    Window(window::Window),
    /// Show the stretches in which requests began alike, and what they cost
    Epochs(Named),
    /// Show the summaries that stand for older messages
    Summaries(Named),
    /// Let every request carry a message; list or release such messages
    Pin(window::Pin),
    /// Note a fact or the like for the model; list or forget notes
    Note(know::Note),
    /// Show or change what is known of a user in all their contexts
    Profile(know::Profile),
    /// Begin a context that shares what was said until now, or until a message, with another
    Fork(branch::Fork),
    /// Name the newest message, to come back to it; list or forget such names
    Checkpoint(rewind::Checkpoint),
    /// Take a context back to a message, a checkpoint or a branch
    Rollback(rewind::Rollback),
    /// Take the last rollback back
    Undo(Named),
    /// Show the branches a context left, and its forks
    Branches(Named),
    /// Show where two contexts part
    Compare(tree::Compare),
    /// Bring another context in: its state, and its messages by reference
    Merge(tree::Merge),
    /// Make a token that opens a context for reading; list or end tokens
    Share(share::Share),
    /// Mount a context of another server for reading, by the token of a share
    Mount(mount::Mount),
    /// Show the mounted contexts and how they stand
    Mounts(mount::Mounts),
    /// Remove a mounted context; forks of it stay
    Unmount(mount::Unmount),
    /// Take secrets and personal data out of stored messages, for good
    Redact(redact::Redact),
    /// End a context: it can still be read
    Close(Named),
    /// Delete a context and everything in it
    Delete(Named),
    /// Write a context with its messages as one document
    Export(transfer::Export),
    /// Make contexts from a document
    Import(transfer::Import),
}

/// A context by its id.
#[derive(Clone, Debug, Args)]
struct Named {
    /// The context, or the beginning of its id; `-` or nothing is the current one
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
    let id = |named: &Named| named.id.clone();
    match verb {
        Verb::New(new) => change::new(client, new).await,
        Verb::List(list) => list::list(client, list).await,
        Verb::Show(show) => view::show(client, show).await,
        Verb::Use(named) => change::choose(client, id(named).as_deref()).await,
        Verb::Send(send) => {
            let id = find(client, Some(&send.id)).await?;
            super::message::say(client, Some(&id), &send.said).await
        }
        Verb::Append(append) => change::append(client, append).await,
        Verb::Retry(retry) => change::retry(client, retry).await,
        Verb::Cancel(named) => change::cancel(client, id(named).as_deref()).await,
        Verb::Messages(messages) => view::messages(client, messages).await,
        Verb::Events(events) => follow::events(client, events).await,
        Verb::State(state) => state::state(client, state).await,
        Verb::Edit(edit) => change::edit(client, edit).await,
        Verb::Search(search) => branch::search(client, search).await,
        Verb::Recall(recall) => window::recall(client, recall).await,
        Verb::Window(window) => window::window(client, window).await,
        Verb::Epochs(named) => window::epochs(client, id(named).as_deref()).await,
        Verb::Summaries(named) => window::summaries(client, id(named).as_deref()).await,
        Verb::Pin(pin) => window::pin(client, pin).await,
        Verb::Note(note) => know::note(client, note).await,
        Verb::Profile(profile) => know::profile(client, profile).await,
        verb => branches(client, verb).await,
    }
}

/// The verbs about branches, the end, and documents.
async fn branches(client: &mut Client<'_>, verb: &Verb) -> Result<(), Failure> {
    let id = |named: &Named| named.id.clone();
    match verb {
        Verb::Fork(fork) => branch::fork(client, fork).await,
        Verb::Checkpoint(point) => rewind::checkpoint(client, point).await,
        Verb::Rollback(goal) => rewind::rollback(client, goal).await,
        Verb::Undo(named) => rewind::undo(client, id(named).as_deref()).await,
        Verb::Branches(named) => tree::branches(client, id(named).as_deref()).await,
        Verb::Compare(two) => tree::compare(client, two).await,
        Verb::Merge(two) => tree::merge(client, two).await,
        Verb::Share(share) => share::share(client, share).await,
        Verb::Mount(mount) => mount::mount(client, mount).await,
        Verb::Mounts(mounts) => mount::mounts(client, mounts).await,
        Verb::Unmount(mount) => mount::unmount(client, mount).await,
        Verb::Redact(redact) => redact::redact(client, redact).await,
        Verb::Close(named) => change::close(client, id(named).as_deref()).await,
        Verb::Delete(named) => change::delete(client, id(named).as_deref()).await,
        Verb::Export(export) => transfer::export(client, export).await,
        Verb::Import(import) => transfer::import(client, import).await,
        _ => Ok(()),
    }
}

/// Prints the API's JSON where it is wanted, else `text`.
#[expect(clippy::unnecessary_wraps, reason = "it is the last word of every verb")]
fn told(client: &mut Client<'_>, reply: &Reply, text: &str) -> Result<(), Failure> {
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(text);
    }
    Ok(())
}

/// The path of a context.
pub(super) fn path(id: &str) -> PathOf {
    PathOf::new("/api/v1/contexts").then(id)
}

/// Reads a context without its messages.
///
/// # Errors
/// Of every class.
pub(super) async fn get(client: &Client<'_>, id: &str) -> Result<Reply, Failure> {
    client.server.json(&Ask::get(path(id))).await
}
