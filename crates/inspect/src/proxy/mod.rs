//! The proxy: every byte goes on at once, and a copy of it into the book.

mod again;
mod connection;
mod exchange;
mod forward;
mod held;
mod local;
mod purse;
mod target;
mod tls;
mod tunnel;
mod two;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

pub use held::{Held, Verdict};
pub(crate) use purse::Purse;
pub use purse::Spent;
pub(crate) use target::Duplex;
pub use target::{ReadTarget, Target};

use crate::capture::{Book, Room};
use crate::decode::Prices;
use crate::rule::{Rule, Unreadable};
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
    /// Reads the addresses of other servers.
    pub targets: ReadTarget,
    /// How much is remembered.
    pub room: Room,
    /// What is done to the traffic.
    pub rules: Vec<Rule>,
    /// The `Host` that the target gets; nothing to leave it as the caller wrote it.
    pub host: Option<String>,
    /// Show secrets in what the local API gives out.
    pub shows_secrets: bool,
    /// What calls of models cost.
    pub prices: Prices,
    /// The certificate for callers that speak TLS; without one theirs is passed on unread.
    pub tls: Option<Arc<ServerConfig>>,
}

/// A running proxy; it ends when this drops.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
    counter: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) target: Target,
    pub(crate) targets: ReadTarget,
    pub(crate) book: Book,
    pub(crate) rules: Mutex<Arc<Vec<Rule>>>,
    /// Told when the rules change.
    pub(crate) ruled: Notify,
    pub(crate) host: Option<String>,
    pub(crate) shows_secrets: bool,
    pub(crate) prices: Prices,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) purse: Purse,
    pub(crate) held: Held,
    pub(crate) address: SocketAddr,
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
            targets: settings.targets,
            book: Book::new(settings.room),
            rules: Mutex::new(Arc::new(settings.rules)),
            ruled: Notify::new(),
            host: settings.host,
            shows_secrets: settings.shows_secrets,
            prices: settings.prices,
            tls: settings.tls,
            purse: Purse::default(),
            held: Held::default(),
            address,
        });
        let counter = tasks::spawn(purse::count(Arc::clone(&shared)));
        let listener = tasks::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, listener, counter })
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

    /// What all calls of models cost so far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.shared.purse.now()
    }

    /// What calls of models cost.
    #[must_use]
    pub fn prices(&self) -> &Prices {
        &self.shared.prices
    }

    /// Where everything goes.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.shared.target
    }

    /// Reads the address of another server.
    ///
    /// # Errors
    /// When it is none, in one sentence.
    pub fn read_target(&self, text: &str) -> Result<Target, String> {
        self.shared.targets.read(text)
    }

    /// The rules as they are now.
    #[must_use]
    pub fn rules(&self) -> Vec<String> {
        self.shared.rules.lock().iter().map(|rule| rule.text().to_owned()).collect()
    }

    /// Puts rules in the place of those that were; they count anew.
    ///
    /// # Errors
    /// When one cannot be read; then nothing changes.
    pub fn set_rules(&self, texts: &[String]) -> Result<(), Unreadable> {
        let rules: Result<Vec<Rule>, _> = texts.iter().map(|text| Rule::parse(text)).collect();
        self.shared.rule(rules?);
        Ok(())
    }

    /// Decides about a request that a rule holds; `false` when it is not held.
    #[must_use]
    pub fn decide(&self, number: u64, verdict: Verdict) -> bool {
        self.shared.held.decide(number, verdict)
    }

    /// The requests that a rule holds.
    #[must_use]
    pub fn held(&self) -> Vec<u64> {
        self.shared.held.numbers()
    }
}

impl Shared {
    /// Puts rules in the place of those that were.
    fn rule(&self, rules: Vec<Rule>) {
        *self.rules.lock() = Arc::new(rules);
        self.ruled.notify_waiters();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.counter.abort();
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
