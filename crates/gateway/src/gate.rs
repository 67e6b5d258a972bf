//! The gateway itself: the parts every request needs, swapped whole when the settings change.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use wire::Fault;

use crate::about::{About, Listen};
use crate::cache::Cache;
use crate::debug::{Debugger, Debugging};
use crate::flow::{ByModel, Desk, Replays, Vectorising};
use crate::joined::{self, Home, Joined};
use crate::limits::Rates;
use crate::metrics::Metrics;
use crate::model::Models;
use crate::provider::Keeper;
use crate::route::{Affinity, Cases, Hedges, Recorder};
use crate::settings::Settings;
use crate::surface::vendor::Lives;
use crate::tasks::Tasks;

/// What the gateway is built from.
#[derive(Debug)]
pub struct Parts {
    /// The conversations.
    pub contexts: context::Contexts,
    /// The keys of callers.
    pub keys: catalog::Keys,
    /// The database behind both, for health and for the log of model calls; opened with
    /// [`ledger::SCHEMA`] among others.
    pub database: storage::Database,
    /// The process around it.
    pub about: About,
}

/// The request path, ready to serve. Cloning is cheap and gives the same gateway.
#[derive(Clone, Debug)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    now: ArcSwap<Snapshot>,
    about: ArcSwap<About>,
    contexts: context::Contexts,
    keys: catalog::Keys,
    database: storage::Database,
    desk: Desk,
    replays: Replays,
    lives: Lives,
    rates: Rates,
    metrics: Metrics,
    tasks: Tasks,
    mcp: crate::surface::mcp::Contexts,
    joined: Joined,
    keeper: OnceLock<Box<dyn Keeper>>,
    affinity: Affinity,
    cases: Arc<Cases>,
    hedges: Hedges,
    vectorising: Vectorising,
    debugging: Debugging,
    mount_seats: crate::mounts::Seats,
    connections: AtomicUsize,
    started: tokio::time::Instant,
}

/// The settings and what follows from them.
#[derive(Debug)]
pub struct Snapshot {
    /// The settings.
    pub settings: Settings,
    /// The models they name.
    pub models: Models,
    /// The answers given under these settings.
    pub(crate) cache: Cache,
}

impl Snapshot {
    fn of(settings: Settings, models: Models) -> Self {
        Self { cache: Cache::new(&settings.cache), settings, models }
    }
}

/// A gateway that may be gone.
#[derive(Clone, Debug)]
pub(crate) struct Faint(Weak<Inner>);

impl Faint {
    pub(crate) fn get(&self) -> Option<Gateway> {
        self.0.upgrade().map(Gateway)
    }
}

impl Gateway {
    /// The same, without keeping it.
    pub(crate) fn faint(&self) -> Faint {
        Faint(Arc::downgrade(&self.0))
    }

    /// Builds the gateway; nothing is contacted.
    ///
    /// # Errors
    /// `configuration_error` or `invalid_port` when a provider's settings cannot work.
    pub fn open(settings: Settings, parts: Parts) -> Result<Self, Fault> {
        let models = Models::new(&settings)?;
        models.watch();
        let log = ledger::Calls::new(parts.database.clone());
        let recorder = Recorder::start(log, settings.requests);
        joined::check(&settings.mcp)?;
        let desk = Desk::new(&settings.limits);
        let mcp = crate::surface::mcp::server(None);
        let gate = Self(Arc::new(Inner {
            now: ArcSwap::from_pointee(Snapshot::of(settings, models)),
            about: ArcSwap::from_pointee(parts.about),
            contexts: parts.contexts,
            keys: parts.keys,
            database: parts.database,
            desk,
            replays: Replays::default(),
            lives: Lives::default(),
            rates: Rates::default(),
            metrics: Metrics::new(),
            tasks: Tasks::default(),
            joined: Joined::new(mcp.clone()),
            mcp,
            keeper: OnceLock::new(),
            affinity: Affinity::default(),
            cases: Arc::new(Cases::over(recorder)),
            hedges: Hedges::default(),
            vectorising: Vectorising::default(),
            debugging: Debugging::default(),
            mount_seats: crate::mounts::Seats::default(),
            connections: AtomicUsize::new(0),
            started: tokio::time::Instant::now(),
        }));
        gate.contexts().set_embedder(Arc::new(ByModel::new(gate.faint())));
        Ok(gate)
    }

    /// Swaps the settings whole; requests that are under way keep the old ones. What is known of
    /// providers that stay where they are stays too.
    ///
    /// # Errors
    /// As [`Gateway::open`]; then nothing changes.
    pub fn reload(&self, settings: Settings) -> Result<(), Fault> {
        let models = Models::after(&settings, &self.now().models)?;
        joined::check(&settings.mcp)?;
        models.watch();
        if let Some(recorder) = self.0.cases.recorder() {
            recorder.set(settings.requests);
        }
        self.0.joined.apply(&settings.mcp, settings.local_only);
        if !settings.debug {
            self.0.debugging.off();
        }
        self.0.now.store(Arc::new(Snapshot::of(settings, models)));
        Ok(())
    }

    /// Tells the gateway which sockets were bound.
    pub fn set_listen(&self, listen: Vec<Listen>) {
        let mut about = About::clone(&self.0.about.load());
        about.listen = listen;
        self.0.about.store(Arc::new(about));
    }

    /// Tells the gateway, once, who keeps the providers that its API adds.
    pub fn set_keeper(&self, keeper: impl Keeper + 'static) {
        // A second keeper would leave the first one's providers behind.
        let _first = self.0.keeper.set(Box::new(keeper));
    }

    /// Tells the gateway, once, who holds calls in step mode.
    pub fn set_debugger(&self, debugger: impl Debugger + 'static) {
        self.0.debugging.settle(debugger);
    }

    /// Step mode.
    pub(crate) fn debugging(&self) -> &Debugging {
        &self.0.debugging
    }

    /// Tells the gateway, once, what joined servers need; from now on they are started.
    pub fn join(&self, home: Home) {
        self.0.joined.settle(home);
        let settings = &self.now().settings;
        self.0.joined.apply(&settings.mcp, settings.local_only);
    }

    /// Who keeps the providers that the API adds; nobody in a gateway without a data folder.
    pub(crate) fn keeper(&self) -> Option<&dyn Keeper> {
        self.0.keeper.get().map(|keeper| &**keeper)
    }

    /// Waits until the turns under way are finished, at most `deadline`.
    pub async fn shutdown(&self, deadline: Duration) {
        self.0.tasks.drain(deadline).await;
        self.0.joined.shut().await;
        self.flush().await;
    }

    /// Writes down what is known of the calls that are over.
    pub async fn flush(&self) {
        if let Some(recorder) = self.0.cases.recorder() {
            recorder.flush().await;
        }
    }

    /// The settings and models of this moment.
    #[must_use]
    pub fn now(&self) -> Arc<Snapshot> {
        self.0.now.load_full()
    }

    /// The process around us.
    #[must_use]
    pub fn about(&self) -> Arc<About> {
        self.0.about.load_full()
    }

    /// The number of open connections, kept by the listener.
    #[must_use]
    pub fn connections(&self) -> &AtomicUsize {
        &self.0.connections
    }

    pub(crate) fn contexts(&self) -> &context::Contexts {
        &self.0.contexts
    }

    pub(crate) fn keys(&self) -> &catalog::Keys {
        &self.0.keys
    }

    pub(crate) fn database(&self) -> &storage::Database {
        &self.0.database
    }

    pub(crate) fn replays(&self) -> &Replays {
        &self.0.replays
    }

    /// The responses that are made in the background.
    pub(crate) fn lives(&self) -> &Lives {
        &self.0.lives
    }

    /// Whose turn it is.
    pub(crate) fn desk(&self) -> &Desk {
        &self.0.desk
    }

    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    /// Whether no request is being answered now.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.metrics().in_flight() == 0
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(crate) fn cases(&self) -> &Arc<Cases> {
        &self.0.cases
    }

    /// The contexts whose messages become vectors.
    pub(crate) fn vectorising(&self) -> &Vectorising {
        &self.0.vectorising
    }

    /// Who asks the origin of a mount.
    pub(crate) fn mount_seats(&self) -> &crate::mounts::Seats {
        &self.0.mount_seats
    }

    pub(crate) fn hedges(&self) -> &Hedges {
        &self.0.hedges
    }

    pub(crate) fn affinity(&self) -> &Affinity {
        &self.0.affinity
    }

    pub(crate) fn mcp(&self) -> &crate::surface::mcp::Contexts {
        &self.0.mcp
    }

    pub(crate) fn joined(&self) -> &Joined {
        &self.0.joined
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }
}
