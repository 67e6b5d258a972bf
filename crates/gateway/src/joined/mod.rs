//! Servers of the Model Context Protocol that are joined: theirs are offered beside our own.
//!
//! Invariants:
//! - what a server says stays raw JSON, and nothing it names is fetched;
//! - a bad server harms no other: each has its own task, its own deadlines, its own state;
//! - a caller's credential never reaches a server, and its questions reach nobody but the one who
//!   called;
//! - what a caller is not shown it cannot use.

mod added;
mod follow;
mod joint;
mod legible;
mod listing;
mod login;
mod merged;
mod names;
mod openapi;
mod outside;
mod pass;
mod probe;
mod settings;
mod signs;
mod state;
mod tasks;
mod tend;
mod wait;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue};
use mcp::client::{Failure, Guard, Place, Web};
use mcp::server::{Change, Subject, TaskChange};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::watch;
use wire::Fault;

pub use added::{AddedOAuth, AddedServer, Keeper, Kept, check_name};
pub(crate) use joint::Joint;
use listing::Listing;
pub(crate) use listing::name_of;
pub use login::Logins;
pub(crate) use merged::{Merged, Offer, described, offered, ours};
pub(crate) use pass::{Down, Ended, Parked, Wish, down_fault, whose};
pub use probe::{Report, probe};
pub(crate) use settings::any as fits_any;
pub use settings::{
    AccessSettings, Hidden, McpSettings, OnChange, Reach, SearchMode, ServerSettings,
};
use tasks::{AllHeld, SHELF};
pub(crate) use tasks::{Book, Knows, Noted, TaskAsk, no_task};

use crate::auth::Caller;
use crate::client::Tls;
use crate::surface::mcp::Contexts;
use crate::tasks::Tasks;

/// Limit: how long the first list waits for servers of which nothing is known yet, but that they
/// are at work.
const FIRST_LIST: Duration = Duration::from_secs(3);
/// Limit: how long servers may take to end.
const ENDING: Duration = Duration::from_secs(4);

/// Where what servers offer is kept, so that the first list after a start is complete.
pub trait Shelf: Send + Sync + std::fmt::Debug {
    /// What was kept of a server.
    fn load(&self, name: &str) -> Option<String>;

    /// Keeps it; what cannot be kept is asked for again the next time.
    fn store(&self, name: &str, text: &str);
}

/// What joined servers need of whoever opened the gateway.
#[derive(Debug, Default)]
pub struct Home {
    /// Where lists are kept.
    pub shelf: Option<Arc<dyn Shelf>>,
    /// What ends children when we cannot.
    pub guard: Option<Arc<Guard>>,
    /// Who keeps servers that the API adds.
    pub keeper: Option<Arc<dyn Keeper>>,
    /// Where log-ins are kept; without it they end with the program.
    pub logins: Option<Arc<dyn Logins>>,
}

/// The joined servers of a gateway.
#[derive(Clone, Debug)]
pub(crate) struct Joined(Arc<Inside>);

#[derive(Debug)]
pub(crate) struct Inside {
    this: Weak<Self>,
    home: OnceLock<Home>,
    local_only: std::sync::atomic::AtomicBool,
    tls: Tls,
    settings: ArcSwap<McpSettings>,
    joints: ArcSwap<BTreeMap<String, Arc<Joint>>>,
    merged: ArcSwap<Merged>,
    /// One rebuild at a time, so that no older one wins.
    rebuilding: Mutex<()>,
    root: Contexts,
    ones: Mutex<HashMap<String, Contexts>>,
    pub(crate) parked: Parked,
    /// Tasks that are somebody's.
    book: Book,
    /// Questions of tasks, and their answers.
    held: AllHeld,
    /// Changes with what clients listen to.
    heard: watch::Sender<u64>,
    tasks: Tasks,
}

impl Joined {
    /// None yet; `root` is told what changes.
    pub(crate) fn new(root: Contexts) -> Self {
        Self(Arc::new_cyclic(|this| Inside {
            this: Weak::clone(this),
            home: OnceLock::new(),
            local_only: false.into(),
            tls: Tls::default(),
            settings: ArcSwap::default(),
            joints: ArcSwap::default(),
            merged: ArcSwap::default(),
            rebuilding: Mutex::default(),
            root,
            ones: Mutex::default(),
            parked: Parked::default(),
            book: Book::default(),
            held: AllHeld::default(),
            heard: watch::Sender::new(0),
            tasks: Tasks::default(),
        }))
    }

    /// Tells, once, what servers need; from now on they are started.
    pub(crate) fn settle(&self, home: Home) {
        if let Some(text) = home.shelf.as_ref().and_then(|shelf| shelf.load(SHELF)) {
            self.0.book.load(&text);
        }
        // A second home would leave the first one's servers behind.
        let _first = self.0.home.set(home);
        self.0.hear(&self.0.root);
    }

    /// Makes the servers those of these settings: what is new starts, what is gone ends, what is
    /// the same goes on.
    pub(crate) fn apply(&self, settings: &McpSettings, local_only: bool) {
        let inside = &self.0;
        inside.local_only.store(local_only, std::sync::atomic::Ordering::Relaxed);
        inside.settings.store(Arc::new(settings.clone()));
        let Some(home) = inside.home.get() else { return };
        let before = inside.joints.load_full();
        let mut now = BTreeMap::new();
        for server in &settings.servers {
            let name = server.name.clone();
            match before.get(&name).filter(|joint| joint.settings == *server) {
                Some(same) => now.insert(name, Arc::clone(same)),
                None => {
                    let kept = home.shelf.as_ref().and_then(|shelf| shelf.load(&name));
                    let kept = kept.and_then(|text| serde_json::from_str::<Listing>(&text).ok());
                    let kept = kept.filter(|kept| kept.of == server.mark());
                    let joint = Arc::new(Joint::new(server.clone(), kept, &inside.this));
                    // After the old one has let go of what both may want.
                    let old = before.get(&name).cloned();
                    let started = Arc::clone(&joint);
                    inside.tasks.spawn("joined server", async move {
                        if let Some(old) = old {
                            old.end();
                            drop(tokio::time::timeout(ENDING, old.ended()).await);
                        }
                        Box::pin(started.keep()).await;
                    });
                    now.insert(name, joint)
                }
            };
        }
        for (name, joint) in before.iter() {
            if !now.get(name).is_some_and(|same| Arc::ptr_eq(same, joint)) {
                joint.end();
                inside.ones.lock().remove(name);
            }
        }
        inside.joints.store(Arc::new(now));
        inside.rebuild();
    }

    /// Ends all servers, with a deadline.
    pub(crate) async fn shut(&self) {
        for joint in self.0.joints.load().values() {
            joint.end();
        }
        self.0.tasks.drain(ENDING).await;
    }

    /// The server of this name.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<Joint>> {
        self.0.joints.load().get(name).cloned()
    }

    /// The server of this name; one that is new is given a moment to say what it offers.
    pub(crate) async fn known(&self, name: &str) -> Option<Arc<Joint>> {
        let joint = self.find(name)?;
        joint.known(joint.born + FIRST_LIST).await;
        Some(joint)
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<Arc<Joint>> {
        self.0.joints.load().values().cloned().collect()
    }

    /// What all of them offer together. The first list waits a little for what nobody knows, as
    /// long as it shows life: who comes later is told of as a change.
    pub(crate) async fn merged(&self) -> Arc<Merged> {
        let joints = self.0.joints.load_full();
        let unknown = joints.values().filter(|joint| joint.is_unknown());
        join_all(unknown.map(|joint| joint.heard_of(joint.born + FIRST_LIST))).await;
        self.0.merged.load_full()
    }

    /// What all of them offer together, with what this name means if anybody knows it by now.
    pub(crate) async fn merged_for(&self, is_there: impl Fn(&Merged) -> bool) -> Arc<Merged> {
        let merged = self.now();
        if is_there(&merged) { merged } else { self.merged().await }
    }

    /// What all of them offer together, as it is now.
    pub(crate) fn now(&self) -> Arc<Merged> {
        self.0.merged.load_full()
    }

    pub(crate) fn settings(&self) -> Arc<McpSettings> {
        self.0.settings.load_full()
    }

    pub(crate) fn parked(&self) -> &Parked {
        &self.0.parked
    }

    /// Whose tasks are whose.
    pub(crate) fn book(&self) -> &Book {
        &self.0.book
    }

    pub(crate) fn held(&self) -> &AllHeld {
        &self.0.held
    }

    /// Keeps the book on disk.
    pub(crate) async fn keep_book(&self) {
        let Some(shelf) = self.0.home.get().and_then(|home| home.shelf.clone()) else { return };
        let inside = Arc::clone(&self.0);
        let kept = tokio::task::spawn_blocking(move || {
            inside.book.keep(|text| shelf.store(SHELF, text));
        });
        drop(kept.await);
    }

    pub(crate) fn keeper(&self) -> Option<Arc<dyn Keeper>> {
        self.0.home.get()?.keeper.clone()
    }

    /// The endpoint of one server.
    pub(crate) fn endpoint(&self, joint: &Arc<Joint>) -> Contexts {
        let mut ones = self.0.ones.lock();
        let name = joint.name().to_owned();
        let one = ones.entry(name).or_insert_with(|| {
            let one = crate::surface::mcp::server(Some(joint));
            self.0.hear(&one);
            one
        });
        one.clone()
    }

    /// A definition as a caller reads it: in the words of the first rule that has some for it.
    pub(crate) fn worded(&self, caller: &Seer, (name, definition): (&str, Value)) -> Value {
        let settings = self.0.settings.load();
        let rules = settings.access.iter().filter(|rule| caller.is_one_of(&rule.keys));
        let words = rules.flat_map(|rule| &rule.descriptions).find(|(tool, _)| tool == name);
        match words {
            Some((_, words)) => merged::described_as(definition, words),
            None => definition,
        }
    }

    /// Whether a caller may see and use a tool by the name it is offered under.
    pub(crate) fn may(&self, caller: &Seer, tool: &str) -> bool {
        let settings = self.0.settings.load();
        settings.access.iter().filter(|rule| caller.is_one_of(&rule.keys)).all(|rule| {
            let allowed = rule.allow.is_empty() || settings::any(&rule.allow, tool);
            allowed && !settings::any(&rule.deny, tool)
        })
    }
}

/// Who looks, by the names that rules know them by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seer {
    names: Vec<String>,
}

impl Seer {
    /// A caller; its key is looked up only where a rule could name it.
    pub(crate) fn of(caller: &Caller, keys: &catalog::Keys, settings: &McpSettings) -> Self {
        let ruled = !settings.access.is_empty()
            || settings.servers.iter().any(|server| !server.keys.is_empty());
        let Some(id) = caller.key.as_ref().filter(|_| ruled) else {
            // Without a key there is only the owner of an open port.
            return Self { names: vec!["local".to_owned()] };
        };
        let name = keys.list().into_iter().find(|key| key.id == *id).map(|key| key.name);
        Self { names: name.into_iter().chain([id.clone()]).collect() }
    }

    /// Whether it may see and use a server.
    pub(crate) fn sees(&self, joint: &Joint) -> bool {
        joint.settings.keys.is_empty() || self.is_one_of(&joint.settings.keys)
    }

    fn is_one_of(&self, patterns: &[String]) -> bool {
        self.names.iter().any(|name| settings::any(patterns, name))
    }
}

impl Inside {
    /// Puts together what all servers offer, and says what changed.
    pub(super) fn rebuild(&self) {
        let _one = self.rebuilding.lock();
        let joints = self.joints.load_full();
        let merged = Arc::new(Merged::of(joints.values()));
        let before = self.merged.swap(Arc::clone(&merged));
        for change in merged.differs(&before) {
            self.root.changed(change);
        }
        let ones = self.ones.lock();
        for (name, endpoint) in ones.iter() {
            for change in merged.differs_in(&before, name) {
                endpoint.changed(change);
            }
        }
    }

    /// Listens at servers for whoever listens at this endpoint.
    fn hear(&self, endpoint: &Contexts) {
        let this = Weak::clone(&self.this);
        endpoint.on_interest(move || {
            if let Some(inside) = this.upgrade() {
                inside.heard.send_modify(|version| *version += 1);
            }
        });
    }

    /// Whether somebody listens to this, at the endpoint of all or of one server.
    fn is_heard(&self, server: &str, subject: &Subject) -> bool {
        let one = self.ones.lock().get(server).cloned();
        let one = one.is_some_and(|one| one.interests().contains(subject));
        one || self.root.interests().contains(subject)
    }

    fn joint(&self, name: &str) -> Option<Arc<Joint>> {
        self.joints.load().get(name).cloned()
    }

    /// A task of a server is further; `whole` says it to those who listen to all servers, `own` to
    /// those who listen to this one alone.
    pub(super) fn moved(&self, server: &str, (whole, own): (TaskChange, TaskChange)) {
        self.root.changed(Change::Task(Box::new(whole)));
        if let Some(endpoint) = self.ones.lock().get(server) {
            endpoint.changed(Change::Task(Box::new(own)));
        }
    }

    /// A resource of a server has another content now.
    pub(super) fn touched(&self, server: &str, uri: &str) {
        self.root.changed(Change::Resource(format!("{server}+{uri}")));
        if let Some(endpoint) = self.ones.lock().get(server) {
            endpoint.changed(Change::Resource(uri.to_owned()));
        }
    }

    pub(super) async fn shelve(&self, name: &str, listing: Arc<Listing>) {
        let Some(shelf) = self.home.get().and_then(|home| home.shelf.clone()) else { return };
        let name = name.to_owned();
        let kept = tokio::task::spawn_blocking(move || {
            if let Ok(text) = serde_json::to_string(&*listing) {
                shelf.store(&name, &text);
            }
        });
        drop(kept.await);
    }

    pub(super) fn guard(&self) -> Option<Arc<Guard>> {
        self.home.get()?.guard.clone()
    }

    pub(super) fn may_start(&self) -> bool {
        self.home.get().is_some()
    }

    pub(super) fn web(&self, name: &str) -> Arc<dyn Web> {
        let local_only = self.local_only.load(std::sync::atomic::Ordering::Relaxed);
        Arc::new(outside::Outside::new(name, self.tls.clone(), local_only))
    }

    pub(super) fn place(&self, settings: &ServerSettings) -> Result<Place, Failure> {
        joint::place(settings, self)
    }
}

/// Headers from their texts.
fn headers(all: &[(String, Hidden)]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, Hidden(value)) in all {
        let bad = |what: &str| Failure::unsent(format!("`{name}` cannot be a header: {what}"));
        let key = HeaderName::try_from(name.as_str()).map_err(|_bad| bad("its name is none"))?;
        let mut value =
            HeaderValue::from_str(value).map_err(|_bad| bad("its value has strange characters"))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// Refuses settings that cannot work, before anything is swapped.
///
/// # Errors
/// `configuration_error`, naming the server.
pub(crate) fn check(settings: &McpSettings) -> Result<(), Fault> {
    settings.servers.iter().try_for_each(added::check_server)
}
