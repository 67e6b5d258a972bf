//! One joined server: kept connected, started again with growing pauses, its lists kept fresh.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use mcp::Revision;
use mcp::client::oauth::OAuth;
use mcp::client::{Failure, Login, Opening, Place, Upstream};
use mcp::server::About;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Inside;
use super::listing::Listing;
use super::openapi::Api;
use super::settings::{Reach, ServerSettings};
use super::signs::Signs;
use super::wait::Wait;

/// The first pause before a server is started again, and the longest one.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A server that lived as long as this is started again at once.
const LIVED: Duration = Duration::from_secs(30);
/// Limit: connections of callers of their own, and how long an unused one is kept.
const OWN_MAX: usize = 32;
const OWN_IDLE: Duration = Duration::from_mins(10);

/// How a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is being started or reached.
    Starting,
    /// It answers.
    Ready,
    /// It does not, and is tried again.
    Down,
    /// It wants a log-in that only a person can give.
    Login,
    /// It is not wanted any more.
    Stopped,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Down => "down",
            Self::Login => "needs_login",
            Self::Stopped => "stopped",
        }
    }
}

/// What answers the calls to a server.
#[derive(Clone, Debug)]
pub(crate) enum Link {
    /// A server of the protocol.
    Mcp(Arc<Upstream>),
    /// An API of another kind.
    Api(Arc<Api>),
}

/// What is seen of a server at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    pub(crate) link: Option<Link>,
    /// How often it was started or reached.
    pub(crate) tries: u64,
    /// Why it is not ready, or was not the last time.
    pub(crate) error: Option<String>,
    /// Since when it is in this phase.
    pub(crate) since: Timestamp,
    /// The last lines of its standard error, from the last time it ended.
    pub(crate) complaints: Vec<String>,
}

#[derive(Debug)]
struct Own {
    upstream: Arc<Upstream>,
    used: Instant,
}

/// A joined server.
#[derive(Debug)]
pub(crate) struct Joint {
    pub(crate) settings: ServerSettings,
    pub(super) inside: Weak<Inside>,
    seen: watch::Sender<Seen>,
    pub(super) listing: ArcSwap<Listing>,
    pub(super) born: Instant,
    signs: Signs,
    stop: CancellationToken,
    wake: Notify,
    /// It was ready before.
    lived: AtomicBool,
    own: Mutex<HashMap<u64, Own>>,
    /// How it lets us in, where that is found out with it.
    pub(super) login: Option<Arc<OAuth>>,
}

impl Joint {
    /// A server with what is known of it from before; nothing is started yet.
    pub(super) fn new(
        settings: ServerSettings,
        kept: Option<Listing>,
        inside: &Weak<Inside>,
    ) -> Self {
        let seen = Seen {
            phase: Phase::Starting,
            link: None,
            tries: 0,
            error: None,
            since: Timestamp::now(),
            complaints: Vec::new(),
        };
        let login = super::login::of(&settings, inside);
        Self {
            settings,
            inside: Weak::clone(inside),
            seen: watch::Sender::new(seen),
            listing: ArcSwap::from_pointee(kept.unwrap_or_default()),
            born: Instant::now(),
            signs: Signs::new(),
            stop: CancellationToken::new(),
            wake: Notify::new(),
            lived: AtomicBool::new(false),
            own: Mutex::default(),
            login,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn listing(&self) -> Arc<Listing> {
        self.listing.load_full()
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Whether nothing is known of what it offers.
    pub(super) fn is_unknown(&self) -> bool {
        self.listing.load().of.is_empty() && self.seen.borrow().phase == Phase::Starting
    }

    /// Waits until something is seen of it, at most until then.
    pub(super) async fn known(&self, until: Instant) {
        let mut seen = self.seen.subscribe();
        while self.is_unknown() {
            let changed = tokio::time::timeout_at(until, seen.changed()).await;
            if !matches!(changed, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// As [`Joint::known`], and no longer than it shows life.
    pub(super) async fn heard_of(&self, until: Instant) {
        tokio::select! {
            () = self.known(until) => {}
            () = self.signs.ended() => {}
        }
    }

    /// It is not wanted any more.
    pub(super) fn end(&self) {
        self.stop.cancel();
        self.own.lock().clear();
    }

    /// Waits until nothing of it runs any more.
    pub(super) async fn ended(&self) {
        let mut seen = self.seen.subscribe();
        // The sender lives as long as we do.
        drop(seen.wait_for(|seen| seen.phase == Phase::Stopped).await);
    }

    /// What answers calls now, or soon.
    ///
    /// # Errors
    /// Why nothing does.
    pub(crate) async fn link(&self, whose: u64) -> Result<Link, Failure> {
        if self.settings.per_caller
            && let Some(found) = self.owned(whose)
        {
            return Ok(Link::Mcp(found));
        }
        let link = self.shared().await?;
        if !self.settings.per_caller || matches!(link, Link::Api(_)) {
            return Ok(link);
        }
        let opening = self.opening(None)?;
        let upstream = Arc::new(mcp::client::open(&opening).await?);
        let mut own = self.own.lock();
        own.retain(|_, own| own.used.elapsed() < OWN_IDLE && !own.upstream.gone().is_cancelled());
        if own.len() >= OWN_MAX {
            let oldest = own.iter().max_by_key(|(_, own)| own.used.elapsed()).map(|(k, _)| *k);
            oldest.and_then(|oldest| own.remove(&oldest));
        }
        own.insert(whose, Own { upstream: Arc::clone(&upstream), used: Instant::now() });
        Ok(Link::Mcp(upstream))
    }

    fn owned(&self, whose: u64) -> Option<Arc<Upstream>> {
        let mut own = self.own.lock();
        let found = own.get_mut(&whose).filter(|own| !own.upstream.gone().is_cancelled())?;
        found.used = Instant::now();
        Some(Arc::clone(&found.upstream))
    }

    async fn shared(&self) -> Result<Link, Failure> {
        let mut seen = self.seen.subscribe();
        let was_well = self.lived.load(Ordering::Relaxed);
        let wait = match Wait::of(&seen.borrow_and_update(), was_well) {
            Ok(link) => return Ok(link),
            Err(wait) => wait?,
        };
        let arrived = tokio::time::timeout(wait.most, seen.wait_for(|now| wait.is_over(now)));
        let knock = async {
            if let Some(after) = wait.knock {
                tokio::time::sleep(after).await;
                // Whoever was faster has started it already.
                if self.seen.borrow().phase != Phase::Starting {
                    self.wake.notify_one();
                }
            }
            std::future::pending::<()>().await;
        };
        let arrived = tokio::select! {
            arrived = arrived => arrived,
            () = knock => return Err(Failure::unsent("nobody is here")),
        };
        let why = match arrived {
            Ok(Ok(now)) => match (&now.link, &now.error) {
                (Some(link), _) => return Ok(link.clone()),
                (None, error) => error.clone().unwrap_or_default(),
            },
            Ok(Err(_)) => return Err(Failure::unsent("it is not joined any more")),
            Err(_) => {
                let error = self.seen.borrow().error.clone().unwrap_or_default();
                return Err(Failure::unsent(wait.in_vain(&error)));
            }
        };
        Err(Failure::unsent(why))
    }

    /// Keeps it connected until it is not wanted any more.
    pub(super) async fn keep(self: Arc<Self>) {
        let mut pause = PAUSE_FIRST;
        loop {
            self.show(Phase::Starting, None, None);
            let begun = Instant::now();
            let why = tokio::select! {
                why = self.live() => why,
                () = self.stop.cancelled() => break,
            };
            let (phase, text) = match &why {
                Failure::Unauthorized(_) => {
                    (Phase::Login, format!("{why}: {}", self.how_to_login()))
                }
                _ => (Phase::Down, why.to_string()),
            };
            tracing::warn!(server = self.name(), "a joined server is down: {text}");
            self.show(phase, None, Some(text));
            if begun.elapsed() > LIVED + self.settings.start {
                pause = PAUSE_FIRST;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.notified() => {}
                () = self.stop.cancelled() => break,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        let link = self.seen.borrow().link.clone();
        if let Some(Link::Mcp(upstream)) = link {
            upstream.close();
        }
        self.show(Phase::Stopped, None, Some("it is not joined any more".to_owned()));
    }

    fn show(&self, phase: Phase, link: Option<Link>, error: Option<String>) {
        self.seen.send_modify(|seen| {
            if let Some(Link::Mcp(upstream)) = &seen.link {
                let complaints = upstream.complaints();
                if !complaints.is_empty() {
                    seen.complaints = complaints;
                }
            }
            seen.phase = phase;
            seen.link = link;
            seen.since = Timestamp::now();
            match phase {
                Phase::Starting => seen.tries += 1,
                Phase::Ready => seen.error = None,
                Phase::Down | Phase::Login | Phase::Stopped => seen.error = error,
            }
        });
    }

    /// One life: reached, listed, followed until it is gone; why it ended.
    async fn live(&self) -> Failure {
        if let Some(flaw) = &self.settings.flaw {
            return Failure::unsent(flaw.as_str());
        }
        if let Reach::Api { .. } = &self.settings.reach {
            return self.live_api().await;
        }
        let before = self.listing.load().revision.as_deref().and_then(Revision::parse);
        let opened = match self.open(before).await {
            // It may speak other words than before.
            Err(Failure::Refused(_) | Failure::Late(_)) if before.is_some() => {
                self.open(None).await
            }
            other => other,
        };
        let upstream = match opened {
            Ok(upstream) => Arc::new(upstream),
            Err(failure) => return failure,
        };
        let changes = upstream.changes();
        let listed = tokio::time::timeout(self.settings.start, self.list(&upstream)).await;
        match listed.unwrap_or(Err(Failure::Late(self.settings.start))) {
            Ok(listing) => self.publish(listing).await,
            Err(failure) => return failure,
        }
        let info = upstream.hello().info.get("name").and_then(Value::as_str).unwrap_or("?");
        tracing::info!(
            server = self.name(),
            is = info.chars().take(100).collect::<String>(),
            revision = upstream.hello().revision.name(),
            tools = self.listing.load().tools.len(),
            "joined"
        );
        self.show(Phase::Ready, Some(Link::Mcp(Arc::clone(&upstream))), None);
        let is_back = self.lived.swap(true, Ordering::Relaxed);
        let follow = async {
            if let Some(changes) = changes {
                self.follow(&upstream, changes).await;
            }
        };
        let tend = self.tend(&upstream, is_back);
        tokio::join!(follow, tend, upstream.gone().cancelled());
        upstream.why()
    }

    async fn live_api(&self) -> Failure {
        let Some(inside) = self.inside.upgrade() else { return Failure::lost("nobody is here") };
        let web = inside.web(self.name());
        match tokio::time::timeout(self.settings.start, Api::open(&self.settings.reach, web)).await
        {
            Ok(Ok(api)) => {
                let listing = Listing {
                    of: self.settings.mark(),
                    info: api.info(),
                    instructions: api.about(),
                    tools: api.tools(),
                    ..Listing::default()
                };
                self.publish(listing).await;
                self.show(Phase::Ready, Some(Link::Api(Arc::new(api))), None);
                // An API has no connection that could end.
                std::future::pending().await
            }
            Ok(Err(why)) => Failure::lost(why),
            Err(_) => Failure::Late(self.settings.start),
        }
    }

    async fn open(&self, before: Option<Revision>) -> Result<Upstream, Failure> {
        mcp::client::open(&self.opening(before)?).await
    }

    fn opening(&self, before: Option<Revision>) -> Result<Opening, Failure> {
        let inside = self.inside.upgrade().ok_or_else(|| Failure::unsent("nobody is here"))?;
        let mut place = inside.place(&self.settings)?;
        if let (Place::Address { login, .. }, Some(own)) = (&mut place, &self.login) {
            *login = Some(Arc::clone(own) as Arc<dyn Login>);
        }
        let pulse = self.signs.pulse.clone();
        Ok(Opening { about: about(), place, within: self.settings.start, before, pulse })
    }

    /// Ends its connections; what comes of that is seen at once.
    pub(super) fn drop_link(&self) {
        self.own.lock().clear();
        let link = self.seen.borrow().link.clone();
        if let Some(Link::Mcp(upstream)) = link {
            upstream.close();
        }
        self.again();
    }

    /// Tries it again now.
    pub(crate) fn again(&self) {
        self.wake.notify_one();
    }
}

/// Who we say we are.
pub(super) fn about() -> About {
    About {
        name: "rapport".to_owned(),
        title: "Rapport".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instructions: None,
    }
}

/// The place of a server that is a program or an address.
pub(super) fn place(settings: &ServerSettings, inside: &Inside) -> Result<Place, Failure> {
    match &settings.reach {
        Reach::Program(program) => {
            if !inside.may_start() {
                return Err(Failure::unsent("programs are not started here"));
            }
            Ok(Place::Program(program.clone(), inside.guard()))
        }
        Reach::Address { url, headers, transport } => {
            let uri =
                url.parse().map_err(|_bad| Failure::unsent(format!("`{url}` is no address")))?;
            Ok(Place::Address {
                web: inside.web(&settings.name),
                url: uri,
                headers: super::headers(headers)?,
                login: None,
                transport: *transport,
            })
        }
        Reach::Api { .. } => Err(Failure::unsent("an API is no server of the protocol")),
    }
}
