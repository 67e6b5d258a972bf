//! Keeps what the API adds, providers and joined servers: written to the data folder, then read
//! like all settings.

use gateway::joined::{self, AddedServer};
use gateway::provider::{Keeper, Kept, Wanted};
use tokio::sync::{mpsc, oneshot};
use wire::{Code, Fault};

/// Limit: wishes that wait; one is kept at a time.
const WAITING_MAX: usize = 8;

/// What somebody wants kept.
#[derive(Debug)]
pub(super) enum What {
    /// A provider, added, changed or removed.
    Provider(Wanted),
    /// A joined server.
    Server(AddedServer),
    /// A server that is not joined any more.
    NoServer(String),
}

/// What somebody wants kept, and who waits for what comes of it.
#[derive(Debug)]
pub(super) struct Wish {
    /// What was asked for.
    pub(super) what: What,
    /// Where the outcome goes.
    pub(super) outcome: oneshot::Sender<Result<(), Fault>>,
}

/// The side of the gateway: hands wishes to the loop that reads the configuration.
#[derive(Clone, Debug)]
pub(super) struct Wishes(mpsc::Sender<Wish>);

/// Both sides of the hand-over.
pub(super) fn wishes() -> (Wishes, mpsc::Receiver<Wish>) {
    let (send, receive) = mpsc::channel(WAITING_MAX);
    (Wishes(send), receive)
}

impl Wishes {
    async fn grant(&self, what: What) -> Result<(), Fault> {
        let (outcome, done) = oneshot::channel();
        let stopping = || Fault::new(Code::Overloaded, "the server is stopping");
        self.0.send(Wish { what, outcome }).await.map_err(|_closed| stopping())?;
        done.await.map_err(|_dropped| stopping())?
    }
}

impl Keeper for Wishes {
    fn keep(&self, wanted: Wanted) -> Kept<'_> {
        Box::pin(self.grant(What::Provider(wanted)))
    }
}

impl joined::Keeper for Wishes {
    fn keep(&self, server: AddedServer) -> Kept<'_> {
        Box::pin(self.grant(What::Server(server)))
    }

    fn forget(&self, name: String) -> Kept<'_> {
        Box::pin(self.grant(What::NoServer(name)))
    }
}
