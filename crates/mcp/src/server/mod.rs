//! A server of both eras: one dispatcher, whatever carries the messages.

mod change;
mod client;
mod interest;
mod legacy;
mod link;
mod memory;
mod methods;
mod modern;
mod replay;
mod seal;
mod serve;
mod session;
mod task;

use std::collections::HashSet;
use std::sync::Arc;

pub use change::{Change, TaskChange};
pub use client::Client;
pub use interest::Subject;
pub use link::{Level, Link, Question};
pub use serve::{About, Ask, Offers, Page, Serve, Stop};
pub use task::EXTENSION as TASKS;

pub(crate) use change::{Changes, Listening as Changing};
pub(crate) use interest::{Interest, Interests};
pub(crate) use modern::{Said, Subscription, is_modern, said};
pub(crate) use replay::{Next, Reader, Replay};
pub(crate) use session::{Ear, Session, Sessions};

use seal::Seal;

/// What a server offers, and everybody who is connected to it.
#[derive(Debug)]
pub struct Server<S: Serve>(Arc<Inner<S>>);

#[derive(Debug)]
pub(crate) struct Inner<S> {
    pub(crate) serve: S,
    pub(crate) sessions: Sessions,
    pub(crate) changes: Changes,
    pub(crate) interests: Arc<Interests>,
    pub(crate) seal: Seal,
    pub(crate) tasks: task::Tasks,
}

impl<S: Serve> Clone for Server<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Serve> std::ops::Deref for Server<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0.serve
    }
}

impl<S: Serve> Server<S> {
    /// A server of this. `secret` seals what clients carry for us between requests; with the same
    /// secret they go on after a restart.
    #[must_use]
    pub fn new(serve: S, secret: [u8; 32]) -> Self {
        Self(Arc::new(Inner {
            serve,
            sessions: Sessions::default(),
            changes: Changes::default(),
            interests: Arc::default(),
            seal: Seal::new(secret),
            tasks: task::Tasks::default(),
        }))
    }

    /// Tells every client that listens for it that something changed.
    pub fn changed(&self, change: Change) {
        self.0.changes.tell(change);
    }

    /// Whether anybody listens to changes.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.changes.is_heard()
    }

    /// The resources and tasks that clients listen to at this moment.
    #[must_use]
    pub fn interests(&self) -> HashSet<Subject> {
        self.0.interests.all()
    }

    /// Tells, from now on, whenever [`Server::interests`] are others.
    pub fn on_interest(&self, tell: impl Fn() + Send + Sync + 'static) {
        self.0.interests.tell(Box::new(tell));
    }

    /// Something that is listened to as long as this is held.
    pub(crate) fn interest(&self, held: HashSet<Subject>) -> Interest {
        Interest::new(&self.0.interests, held)
    }

    /// The changes from now on.
    pub(crate) fn changing(&self) -> Changing {
        self.0.changes.listen()
    }

    pub(crate) fn inner(&self) -> &Arc<Inner<S>> {
        &self.0
    }
}
