//! Keeps the providers that the API adds: written to the data folder, then read like all settings.

use gateway::provider::{Added, Keeper, Kept};
use tokio::sync::{mpsc, oneshot};
use wire::{Code, Fault};

/// Limit: providers that wait to be kept; one is kept at a time.
const WAITING_MAX: usize = 8;

/// A provider that somebody wants kept, and who waits for what comes of it.
#[derive(Debug)]
pub(super) struct Wish {
    /// What was asked for.
    pub(super) added: Added,
    /// Where the outcome goes.
    pub(super) outcome: oneshot::Sender<Result<(), Fault>>,
}

/// The side of the gateway: hands wishes to the loop that reads the configuration.
#[derive(Debug)]
pub(super) struct Wishes(mpsc::Sender<Wish>);

/// Both sides of the hand-over.
pub(super) fn wishes() -> (Wishes, mpsc::Receiver<Wish>) {
    let (send, receive) = mpsc::channel(WAITING_MAX);
    (Wishes(send), receive)
}

impl Keeper for Wishes {
    fn keep(&self, added: Added) -> Kept<'_> {
        Box::pin(async move {
            let (outcome, done) = oneshot::channel();
            let stopping = || Fault::new(Code::Overloaded, "the server is stopping");
            let wish = Wish { added, outcome };
            self.0.send(wish).await.map_err(|_closed| stopping())?;
            done.await.map_err(|_dropped| stopping())?
        })
    }
}
