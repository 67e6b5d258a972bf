//! The proxy: every byte goes on at once, and a copy of it into the book.

mod connection;
mod exchange;
mod forward;
mod local;
mod target;
mod tunnel;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

pub(crate) use target::Duplex;
pub use target::Target;

use crate::capture::{Book, Room};
use crate::rule::Rule;
use crate::tasks;

/// Limit: connections at the same time.
const CONNECTIONS_MAX: usize = 4096;

/// What the proxy is to do.
#[derive(Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where everything goes.
    pub target: Target,
    /// How much is remembered.
    pub room: Room,
    /// What is done to the traffic.
    pub rules: Vec<Rule>,
    /// The `Host` that the target gets; nothing to leave it as the caller wrote it.
    pub host: Option<String>,
    /// Show secrets in what the local API gives out.
    pub shows_secrets: bool,
}

/// A running proxy; it ends when this drops.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) book: Book,
    pub(crate) rules: Mutex<Arc<Vec<Rule>>>,
    pub(crate) host: Option<String>,
    pub(crate) shows_secrets: bool,
    pub(crate) held: Held,
    pub(crate) address: SocketAddr,
}

/// Requests that a rule holds.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<Vec<Holding>>);

#[derive(Debug)]
struct Holding {
    number: u64,
    go: Arc<Notify>,
    body: Option<Vec<u8>>,
}

impl Held {
    /// How long a request is held when nobody lets it go: callers have deadlines too.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// Waits until somebody lets the request go; its new body, if it was given one.
    pub(crate) async fn hold(&self, number: u64) -> Option<Vec<u8>> {
        let go = Arc::new(Notify::new());
        self.0.lock().push(Holding { number, go: Arc::clone(&go), body: None });
        let _late = tokio::time::timeout(Self::PATIENCE, go.notified()).await;
        let mut held = self.0.lock();
        let place = held.iter().position(|holding| holding.number == number)?;
        held.swap_remove(place).body
    }

    /// Lets a request go, with another body if one is given; `false` when it is not held.
    pub(crate) fn let_go(&self, number: u64, body: Option<Vec<u8>>) -> bool {
        let mut held = self.0.lock();
        let Some(holding) = held.iter_mut().find(|holding| holding.number == number) else {
            return false;
        };
        holding.body = body;
        holding.go.notify_one();
        true
    }

    /// The numbers of those that are held.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        self.0.lock().iter().map(|holding| holding.number).collect()
    }
}

impl Proxy {
    /// Listens, and passes on whatever comes.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: settings.target,
            book: Book::new(settings.room),
            rules: Mutex::new(Arc::new(settings.rules)),
            host: settings.host,
            shows_secrets: settings.shows_secrets,
            held: Held::default(),
            address,
        });
        let listener = tasks::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listener })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What was seen.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.shared.book
    }

    /// Lets a request go that a rule holds; `false` when it is not held.
    #[must_use]
    pub fn let_go(&self, number: u64) -> bool {
        self.shared.held.let_go(number, None)
    }

    /// The requests that a rule holds.
    #[must_use]
    pub fn held(&self) -> Vec<u64> {
        self.shared.held.numbers()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a caller that left in between: both pass.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _slower = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        drop(tasks::spawn(async move {
            connection::serve(&shared, stream, peer).await;
            drop(place);
        }));
    }
}
