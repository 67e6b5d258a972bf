//! Lets connections in, counts them, refuses those beyond the limit, and closes in good order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use gateway::settings::Limits;
use gateway::{Gateway, Peer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::connection;
use super::refuse::Reason;
use crate::config::TlsMode;
use crate::tasks::Tasks;

/// Limit: refused connections that are told so at the same time; others are just closed.
const REFUSALS_MAX: usize = 256;

/// How long a connection waits for a server that is starting before it is told so.
const START_PATIENCE: Duration = Duration::from_millis(500);

/// Pause after an accept that failed for want of files or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Silence between two log lines about the same trouble.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// What connections are let in to.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// The request path.
    pub(crate) gateway: Gateway,
    /// Its routes and the console's.
    pub(crate) routes: axum::Router,
}

/// The door of the server, shared by all its sockets.
#[derive(Debug)]
pub(crate) struct Door {
    /// The port that users know.
    pub(super) port: u16,
    /// Who gets TLS.
    pub(super) tls_mode: TlsMode,
    tls: ArcSwapOption<rustls::ServerConfig>,
    limits: ArcSwap<Limits>,
    site: watch::Sender<Option<Site>>,
    places: Arc<Semaphore>,
    places_max: usize,
    crowded: AtomicBool,
    refusals: Arc<Semaphore>,
    /// Cancelled when no further request is taken.
    pub(super) stop: CancellationToken,
    /// Cancelled when connections that are still open end.
    pub(super) close: CancellationToken,
    requests: Tasks,
    talks: Tasks,
    complaints: Complaints,
}

impl Door {
    /// A door for `places` connections on `port`; nobody is let in before [`Door::open`].
    pub(crate) fn new(port: u16, tls_mode: TlsMode, limits: &Limits, places: usize) -> Self {
        Self {
            port,
            tls_mode,
            tls: ArcSwapOption::empty(),
            limits: ArcSwap::from_pointee(limits.clone()),
            site: watch::Sender::new(None),
            places: Arc::new(Semaphore::new(places)),
            places_max: places,
            crowded: AtomicBool::new(false),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            stop: CancellationToken::new(),
            close: CancellationToken::new(),
            requests: Tasks::default(),
            talks: Tasks::default(),
            complaints: Complaints::default(),
        }
    }

    /// Starts to accept; until [`Door::open`] callers are told that the server is starting.
    pub(crate) fn listen(self: &Arc<Self>, listeners: Vec<TcpListener>) {
        for listener in listeners {
            let door = Arc::clone(self);
            self.requests.spawn("accept", async move { door.accept(listener).await });
        }
    }

    /// Lets everybody in.
    pub(crate) fn open(&self, site: Site) {
        self.site.send_replace(Some(site));
    }

    /// Changes certificates; connections under way keep theirs.
    pub(crate) fn set_tls(&self, config: Option<Arc<rustls::ServerConfig>>) {
        self.tls.store(config);
    }

    /// Changes the times; connections under way keep theirs.
    pub(crate) fn set_limits(&self, limits: &Limits) {
        self.limits.store(Arc::new(limits.clone()));
    }

    /// Stops accepting, lets what is under way finish within `deadline`, and closes the rest.
    pub(crate) async fn shut(&self, deadline: Duration) {
        self.stop.cancel();
        let site = self.site.borrow().clone();
        let turns = async {
            if let Some(site) = site {
                site.gateway.shutdown(deadline).await;
            }
        };
        let finish = async { tokio::join!(turns, self.requests.ended()) };
        if tokio::time::timeout(deadline, finish).await.is_err() {
            let left = self.requests.len();
            tracing::warn!(left, "requests did not finish in time and are cut off");
        }
        self.close.cancel();
        let both = async { tokio::join!(self.requests.ended(), self.talks.ended()) };
        // Cancelled connections end at their next step; a second is plenty.
        let _late = tokio::time::timeout(Duration::from_secs(1), both).await;
    }

    /// Waits until the server stops.
    pub(crate) async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Who gets TLS.
    pub(crate) fn tls_mode(&self) -> TlsMode {
        self.tls_mode
    }

    /// The routes, waiting a moment while the server starts.
    pub(super) async fn site(&self) -> Option<Site> {
        if let Some(site) = self.site.borrow().clone() {
            return Some(site);
        }
        let mut waiting = self.site.subscribe();
        let ready = waiting.wait_for(Option::is_some);
        let site = tokio::time::timeout(START_PATIENCE, ready).await.ok()?.ok()?;
        site.clone()
    }

    /// The certificates, where TLS is spoken.
    pub(super) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.tls.load_full()
    }

    /// The limits for a new connection.
    pub(super) fn limits(&self) -> Arc<Limits> {
        self.limits.load_full()
    }

    /// Logs trouble that may come with every connection, at most once a minute.
    pub(super) fn complain(&self, text: &str) {
        if self.complaints.may() {
            tracing::warn!("{text}");
        }
    }

    /// Starts a task that the server waits for when it stops.
    pub(super) fn request(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.requests.spawn("connection", work);
    }

    /// Starts a task that may be silent for long, and is closed when the server stops.
    pub(super) fn talk(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let close = self.close.clone();
        self.talks.spawn("connection", async move {
            tokio::select! {
                () = work => {}
                () = close.cancelled() => {}
            }
        });
    }

    async fn accept(self: Arc<Self>, listener: TcpListener) {
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.admit(stream, address),
                Err(error) if is_about_one(&error) => {}
                Err(error) => {
                    self.complain(&format!("connections cannot be accepted: {error}"));
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: TcpStream, address: SocketAddr) {
        // Small answers must not wait for each other.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let peer = Peer { addr: address, tls: false };
        let door = Arc::clone(self);
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.complain("the limit of connections is reached: further ones are refused");
            if let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() {
                self.talk(async move {
                    connection::refuse(stream, &door, Reason::Full).await;
                    drop(turn);
                });
            }
            return;
        };
        self.watch_crowd();
        // Boxed once: every layer around a future would otherwise hold its size again.
        self.talk(Box::pin(connection::serve(door, stream, peer, Place::new(place))));
    }

    /// Warns once when four fifths of the places are taken, and again after it was calmer.
    fn watch_crowd(&self) {
        let taken = self.places_max.saturating_sub(self.places.available_permits());
        let share = |tenths: usize| self.places_max.saturating_mul(tenths) / 10;
        let (most, calm) = (share(8), share(7));
        if taken > most && !self.crowded.swap(true, Ordering::Relaxed) {
            let limit = self.places_max;
            tracing::warn!(taken, limit, "more than 80 % of the connections are in use");
        } else if taken < calm && self.crowded.load(Ordering::Relaxed) {
            self.crowded.store(false, Ordering::Relaxed);
        }
    }
}

/// A connection's place, given back when it drops; the gateway shows how many are taken.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    counted: Option<Gateway>,
}

impl Place {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: permit, counted: None }
    }

    /// Counts the connection in the gateway's numbers.
    pub(super) fn count(&mut self, gateway: &Gateway) {
        gateway.connections().fetch_add(1, Ordering::Relaxed);
        self.counted = Some(gateway.clone());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gateway) = &self.counted {
            gateway.connections().fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Keeps one kind of trouble from filling the log.
#[derive(Debug)]
struct Complaints {
    started: tokio::time::Instant,
    /// Milliseconds after the start from which the next line may be written.
    next: AtomicU64,
}

impl Default for Complaints {
    fn default() -> Self {
        Self { started: tokio::time::Instant::now(), next: AtomicU64::new(0) }
    }
}

impl Complaints {
    fn may(&self) -> bool {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = milliseconds(self.started.elapsed());
        let next = self.next.load(Ordering::Relaxed);
        if now < next {
            return false;
        }
        // Of several at once only one writes.
        let later = now.saturating_add(milliseconds(LOG_PAUSE));
        let order = Ordering::Relaxed;
        self.next.compare_exchange(next, later, order, order).is_ok()
    }
}

/// The caller went away between its knock and our answer: no trouble of ours.
fn is_about_one(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::{Door, Limits, TlsMode};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn callers_of_a_server_that_is_starting_are_told_so() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits::default();
        let door = Arc::new(Door::new(address.port(), TlsMode::Off, &limits, 10));
        door.listen(vec![listener]);
        for (sent, wanted) in [
            ("GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 503 Service Unavailable"),
            ("{}\n", "ERROR: the server is starting\n"),
        ] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(sent.as_bytes()).await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            assert!(said.starts_with(wanted), "{said}");
        }
        door.shut(Duration::from_secs(5)).await;
        assert!(TcpStream::connect(address).await.is_err(), "the port is free again");
    }
}
