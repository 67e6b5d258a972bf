//! The listening server: connections, the active script, what was seen.

use crate::ask::Ask;
use crate::beside::Shelf;
use crate::play::Cut;
use crate::record::{Recorded, Ring};
use crate::route;
use crate::script::{Rule, Script};
use crate::socket::{Flushes, Socket};
use crate::strict::{Cache, CacheReport};
use crate::tasks::Tasks;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Limit: connections at a time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 16_384;
/// How long to wait after a failed accept (most often: no file descriptor is free).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// A running model server. Dropping it ends it at once.
#[derive(Debug)]
pub struct Mock {
    addr: SocketAddr,
    state: Arc<State>,
}

/// What the connections of one server share.
#[derive(Debug)]
pub(crate) struct State {
    active: Mutex<Arc<Active>>,
    ring: Ring,
    numbers: AtomicU64,
    seen: watch::Sender<u64>,
    left: watch::Sender<u64>,
    cache: Mutex<Cache>,
    shelf: Mutex<Shelf>,
    tasks: Tasks,
}

/// A script with the counts of its rules.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) script: Script,
    /// How many requests met the condition of each rule.
    met: Vec<AtomicU64>,
}

impl Mock {
    /// Listens on an address (port 0 takes a free one) and answers from the script.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(addr: SocketAddr, script: Script) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State {
            active: Mutex::new(Arc::new(Active::new(script))),
            ring: Ring::default(),
            numbers: AtomicU64::new(0),
            seen: watch::Sender::new(0),
            left: watch::Sender::new(0),
            cache: Mutex::default(),
            shelf: Mutex::default(),
            tasks: Tasks::default(),
        });
        state.tasks.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { addr, state })
    }

    /// The address that was bound, with the real port.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base address, for example `http://127.0.0.1:61977`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The last requests (at most 1,000), oldest first; those of `/__mock/` are not among them.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.requests()
    }

    /// Forgets the requests; their numbers go on.
    pub fn clear(&self) {
        self.state.clear();
    }

    /// Replaces the script for all requests that arrive from now on; the counts begin anew.
    pub fn set_script(&self, script: Script) {
        self.state.set_script(script);
    }

    /// Waits until so many requests have been read since the start.
    pub async fn seen(&self, requests: u64) {
        wait(&self.state.seen, requests).await;
    }

    /// Waits until so many callers have left before their reply was complete.
    pub async fn left(&self, callers: u64) {
        wait(&self.state.left, callers).await;
    }

    /// What the simulated prompt cache gave and took since the start.
    #[must_use]
    pub fn cache(&self) -> CacheReport {
        self.state.cache().report
    }

    /// Moves the clock of the simulated prompt cache, which otherwise stands still.
    pub fn advance(&self, time: Duration) {
        self.state.cache().advance(time.as_secs());
    }

    /// Stops listening, lets replies in flight finish for two seconds, and ends.
    pub async fn shutdown(&self) {
        self.state.tasks.finish().await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.state.tasks.stop();
    }
}

async fn wait(counter: &watch::Sender<u64>, wanted: u64) {
    // The sender lives as long as the server, so that the only answer is that the count is there.
    drop(counter.subscribe().wait_for(|count| *count >= wanted).await);
}

impl Active {
    fn new(script: Script) -> Self {
        let met = script.rules.iter().map(|_| AtomicU64::new(0)).collect();
        Self { script, met }
    }

    /// The first rule that applies.
    ///
    /// A rule counts the requests that reach it and meet its condition.
    pub(crate) fn rule(&self, path: &str, is_conversation: bool, ask: &Ask) -> Option<&Rule> {
        self.script.rules.iter().zip(&self.met).find_map(|(rule, met)| {
            if !rule.when.holds(path, is_conversation, ask) {
                return None;
            }
            let count = met.fetch_add(1, Ordering::Relaxed) + 1;
            let applies = rule.when.nth.is_none_or(|nth| nth == count)
                && rule.times.is_none_or(|times| count <= times);
            applies.then_some(rule)
        })
    }
}

impl State {
    pub(crate) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.active.lock())
    }

    pub(crate) fn set_script(&self, script: Script) {
        *self.active.lock() = Arc::new(Active::new(script));
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Keeps a request, and only then tells the ones that wait for it.
    pub(crate) fn seen(&self, request: Recorded) {
        self.ring.push(request);
        self.seen.send_modify(|count| *count += 1);
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.ring.all()
    }

    pub(crate) fn cache(&self) -> parking_lot::MutexGuard<'_, Cache> {
        self.cache.lock()
    }

    /// The files and batches that are kept.
    pub(crate) fn shelf(&self) -> parking_lot::MutexGuard<'_, Shelf> {
        self.shelf.lock()
    }

    pub(crate) fn clear(&self) {
        self.ring.clear();
    }

    pub(crate) fn caller_left(&self) {
        self.left.send_modify(|count| *count += 1);
    }

    /// Waits for the caller to leave, which drops this future, or for the server to end.
    pub(crate) async fn hang(self: &Arc<Self>) -> Cut {
        let _counted = Leaving(Arc::clone(self));
        self.tasks.killed().await;
        Cut
    }
}

/// Counts a caller that leaves a reply which never came.
struct Leaving(Arc<State>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.caller_left();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = state.tasks.stopping() => return,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = state.tasks.stopping() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let shared = Arc::clone(&state);
                state.tasks.spawn(async move {
                    serve(stream, shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let flushes = Arc::new(Flushes::default());
    let socket = Socket::new(stream, Arc::clone(&flushes));
    let service =
        service_fn(|request| route::answer(Arc::clone(&state), Arc::clone(&flushes), request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = state.tasks.killed() => return,
        () = state.tasks.stopping() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = state.tasks.killed() => return,
            }
        }
    };
    if let Err(error) = ended {
        // Scripted cuts end here too.
        tracing::debug!(%error, "connection");
    }
}
