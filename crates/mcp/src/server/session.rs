//! Sessions of the legacy era. An id says all that must be known of a client, so a session goes on
//! after a restart of the server without having been stored.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::link::Level;
use super::memory;
use super::replay::Replay;
use crate::revision::Revision;
use crate::rpc::{Id, Params};

/// Limit: sessions in memory; the oldest are forgotten and come back with their next request.
const SESSIONS_MAX: usize = 10_000;
/// Limit: ended sessions whose ids are refused.
const ENDED_MAX: usize = 10_000;
/// Limit: unread streams kept per session.
const STREAMS_MAX: usize = 32;
/// Limit: resources that one client listens to.
const SUBSCRIPTIONS_MAX: usize = 1_000;

/// One client of the legacy era.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) revision: Revision,
    pub(crate) client: Client,
    level: Mutex<Option<Level>>,
    subscribed: Mutex<HashSet<String>>,
    /// Marks of what the client listened to before we forgot it.
    remembered: Mutex<HashSet<u64>>,
    /// Changes with what there is to remember.
    listening: watch::Sender<u64>,
    asked: Mutex<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>,
    running: Mutex<HashMap<Id, CancellationToken>>,
    streams: Mutex<VecDeque<Arc<Replay>>>,
    /// The streams on which it hears of changes, the newest last.
    ears: Mutex<Vec<u64>>,
    next: AtomicU64,
}

impl Session {
    /// A new session; the id is only for transports that need one.
    pub(crate) fn new(revision: Revision, client: Client) -> Arc<Self> {
        let mut random = [0_u8; 16];
        if getrandom::fill(&mut random).is_err() {
            // The id may repeat then; it is no credential.
            tracing::warn!("the machine has no randomness");
        }
        let tail: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let id = format!("rap1-{}-{:02x}-{tail}", revision.name(), client.bits());
        Arc::new(Self::of(id, revision, client))
    }

    fn of(id: String, revision: Revision, client: Client) -> Self {
        Self {
            id,
            revision,
            client,
            level: Mutex::default(),
            subscribed: Mutex::default(),
            remembered: Mutex::default(),
            listening: watch::Sender::new(0),
            asked: Mutex::default(),
            running: Mutex::default(),
            streams: Mutex::default(),
            ears: Mutex::default(),
            next: AtomicU64::new(1),
        }
    }

    /// The session that an id of ours tells of.
    fn revived(id: &str) -> Option<Arc<Self>> {
        let rest = id.strip_prefix("rap1-")?;
        let (name, rest) = rest.split_at_checked(10)?;
        let revision = Revision::parse(name).filter(|revision| !revision.is_modern())?;
        let (bits, tail) = rest.strip_prefix('-')?.split_once('-')?;
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if bits.len() != 2 || tail.len() != 32 || !tail.chars().all(is_hex) {
            return None;
        }
        let client = Client::of_bits(u8::from_str_radix(bits, 16).ok()?);
        Some(Arc::new(Self::of(id.to_owned(), revision, client)))
    }

    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn level(&self) -> Option<Level> {
        *self.level.lock()
    }

    pub(crate) fn set_level(&self, level: Level) {
        *self.level.lock() = Some(level);
        self.listening.send_modify(|version| *version += 1);
    }

    /// Whether there was room for one more.
    pub(crate) fn subscribe(&self, uri: &str) -> bool {
        let mut subscribed = self.subscribed.lock();
        if subscribed.len() >= SUBSCRIPTIONS_MAX && !subscribed.contains(uri) {
            return false;
        }
        subscribed.insert(uri.to_owned());
        drop(subscribed);
        self.listening.send_modify(|version| *version += 1);
        true
    }

    pub(crate) fn unsubscribe(&self, uri: &str) {
        self.subscribed.lock().remove(uri);
        self.remembered.lock().remove(&memory::mark(uri));
        self.listening.send_modify(|version| *version += 1);
    }

    pub(crate) fn listens_to(&self, uri: &str) -> bool {
        self.subscribed.lock().contains(uri) || self.remembered.lock().contains(&memory::mark(uri))
    }

    /// The resources it listens to, those among the remembered ones that `recall` knows included.
    pub(crate) fn listened(
        &self,
        recall: impl FnOnce(&(dyn Fn(&str) -> bool + Send + Sync)) -> Vec<String>,
    ) -> HashSet<String> {
        let mut all = self.subscribed.lock().clone();
        let remembered = self.remembered.lock().clone();
        if !remembered.is_empty() {
            all.extend(recall(&|uri| remembered.contains(&memory::mark(uri))));
        }
        all
    }

    /// What the client is to carry for us; `None` when there is nothing.
    pub(crate) fn memory(&self) -> Option<String> {
        let mut marks: Vec<u64> =
            self.subscribed.lock().iter().map(|uri| memory::mark(uri)).collect();
        marks.extend(self.remembered.lock().iter());
        memory::write(self.level(), marks)
    }

    /// Takes what the client carried for us.
    pub(crate) fn remember(&self, id: &str) {
        let Some((level, marks)) = memory::read(id) else { return };
        self.remembered.lock().extend(marks);
        let mut own = self.level.lock();
        *own = own.or(level);
    }

    /// Changes whenever there is something else to carry.
    pub(crate) fn listening(&self) -> watch::Receiver<u64> {
        self.listening.subscribe()
    }

    /// Takes a place for the client's answer.
    pub(crate) fn expect(&self, number: u64) -> oneshot::Receiver<Result<Value, Value>> {
        let (tell, told) = oneshot::channel();
        self.asked.lock().insert(number, tell);
        told
    }

    pub(crate) fn forget(&self, number: u64) {
        self.asked.lock().remove(&number);
    }

    /// Hands the client's answer to whoever waits for it.
    pub(crate) fn told(&self, id: &Id, outcome: Result<Value, Value>) {
        let number = id.as_json().parse().ok();
        if let Some(tell) = number.and_then(|number: u64| self.asked.lock().remove(&number)) {
            // Whoever asked may be gone.
            drop(tell.send(outcome));
        }
    }

    /// Notes a request that runs, so that it can be cancelled.
    pub(crate) fn runs(&self, id: &Id) -> CancellationToken {
        let token = CancellationToken::new();
        self.running.lock().insert(id.clone(), token.clone());
        token
    }

    pub(crate) fn ran(&self, id: &Id) {
        self.running.lock().remove(id);
    }

    /// Takes a notification of the client.
    pub(crate) fn noted(&self, method: &str, params: &Params) {
        if method == "notifications/cancelled"
            && let Some(id) = params.0.get("requestId")
        {
            self.cancel(id);
        }
    }

    fn cancel(&self, id: &Value) {
        let text = id.to_string();
        let running = self.running.lock();
        if let Some((_, token)) = running.iter().find(|(id, _)| id.as_json() == text) {
            token.cancel();
        }
    }

    /// Opens a stream of changes: of several the newest one tells, so that nothing is told twice.
    pub(crate) fn ear(self: &Arc<Self>) -> Ear {
        let number = self.number();
        self.ears.lock().push(number);
        Ear { session: Arc::clone(self), number }
    }

    /// A stream of this session that can be read again until its end was read.
    pub(crate) fn stream(&self) -> Arc<Replay> {
        let replay = Replay::new(self.number());
        let mut streams = self.streams.lock();
        if streams.len() >= STREAMS_MAX {
            streams.pop_front();
        }
        streams.push_back(Arc::clone(&replay));
        replay
    }

    pub(crate) fn find_stream(&self, number: u64) -> Option<Arc<Replay>> {
        self.streams.lock().iter().find(|stream| stream.number() == number).cloned()
    }

    pub(crate) fn was_read(&self, stream: &Replay) {
        self.streams.lock().retain(|held| held.number() != stream.number());
    }
}

/// A stream on which a session hears of changes, as long as this is held.
#[derive(Debug)]
pub(crate) struct Ear {
    session: Arc<Session>,
    number: u64,
}

impl Ear {
    /// Whether this is the stream that tells.
    pub(crate) fn tells(&self) -> bool {
        self.session.ears.lock().last() == Some(&self.number)
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.session.ears.lock().retain(|number| *number != self.number);
    }
}

/// The sessions of one server.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    live: HashMap<String, Arc<Session>>,
    order: VecDeque<String>,
    ended: VecDeque<String>,
}

impl Sessions {
    pub(crate) fn add(&self, session: &Arc<Session>) {
        let mut table = self.0.lock();
        while table.live.len() >= SESSIONS_MAX {
            let Some(oldest) = table.order.pop_front() else { break };
            table.live.remove(&oldest);
        }
        table.order.push_back(session.id.clone());
        table.live.insert(session.id.clone(), Arc::clone(session));
    }

    /// The session of this id; one that was forgotten comes back. `None` when it was ended, or is
    /// not of ours.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Session>> {
        {
            let table = self.0.lock();
            if let Some(session) = table.live.get(id) {
                return Some(Arc::clone(session));
            }
            if table.ended.iter().any(|ended| ended == id) {
                return None;
            }
        }
        let session = Session::revived(id)?;
        self.add(&session);
        Some(session)
    }

    /// Ends a session; whether there was one.
    pub(crate) fn end(&self, id: &str) -> bool {
        if self.find(id).is_none() {
            return false;
        }
        let mut table = self.0.lock();
        table.live.remove(id);
        table.order.retain(|held| held != id);
        if table.ended.len() >= ENDED_MAX {
            table.ended.pop_front();
        }
        table.ended.push_back(id.to_owned());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_outlives_its_server() {
        let client = Client { sampling: true, elicitation: true, ..Client::default() };
        let session = Session::new(Revision::V2025_06_18, client);
        let after_restart = Sessions::default();
        let again = after_restart.find(&session.id).expect("the id tells all");
        assert_eq!((again.revision, again.client), (Revision::V2025_06_18, client));
        assert!(after_restart.end(&session.id));
        assert!(after_restart.find(&session.id).is_none(), "ended is ended");
        assert!(!after_restart.end(&session.id));
    }

    #[test]
    fn of_several_streams_the_newest_one_tells() {
        let session = Session::new(Revision::V2025_11_25, Client::default());
        let first = session.ear();
        let second = session.ear();
        assert!(!first.tells() && second.tells());
        drop(second);
        assert!(first.tells(), "what is left tells again");
    }

    #[test]
    fn foreign_ids_are_no_sessions() {
        let sessions = Sessions::default();
        let own = Session::new(Revision::V2025_11_25, Client::default()).id.clone();
        for id in [
            "",
            "rap1-",
            "abc",
            "../../etc/passwd",
            &own.replace("2025-11-25", "2026-07-28"),
            &own.replace("2025-11-25", "2025-11-2é"),
            &format!("{own}0"),
            &own.to_uppercase(),
        ] {
            assert!(sessions.find(id).is_none(), "{id}");
        }
    }

    #[test]
    fn many_sessions_take_bounded_memory_and_none_is_lost() {
        let sessions = Sessions::default();
        let first = Session::new(Revision::V2025_11_25, Client::default());
        sessions.add(&first);
        for _ in 0..SESSIONS_MAX + 5 {
            sessions.add(&Session::new(Revision::V2025_11_25, Client::default()));
        }
        assert!(sessions.0.lock().live.len() <= SESSIONS_MAX);
        assert!(sessions.find(&first.id).is_some());
    }
}
