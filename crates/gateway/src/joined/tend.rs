//! Listening at a server for whoever listens here: one subscription however many listen, anew when
//! the server comes back, and none when the last of them is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mcp::client::{Failure, Upstream};
use mcp::server::Subject;
use tokio::time::Instant;

use super::Inside;
use super::joint::Joint;

/// How long the server still tells of what nobody listens to: clients come back.
const LINGER: Duration = Duration::from_secs(2);

/// What a server is asked to tell of, in its own words.
type Wanted = BTreeSet<Subject>;

impl Inside {
    /// What clients listen to at this server: at the endpoint of all, and at its own.
    fn wanted(&self, server: &str) -> Wanted {
        let theirs = |subject: Subject| match subject {
            Subject::Resource(uri) => {
                let (name, uri) = uri.split_once('+')?;
                (name == server).then(|| Subject::Resource(uri.to_owned()))
            }
            Subject::Task(id) => Some(Subject::Task(self.book.theirs(server, &id)?)),
        };
        let mut all: Wanted = self.root.interests().into_iter().filter_map(theirs).collect();
        let one = self.ones.lock().get(server).cloned();
        let own = one.into_iter().flat_map(|one| one.interests());
        all.extend(own.filter_map(|subject| match subject {
            Subject::Resource(_) => Some(subject),
            Subject::Task(id) => Some(Subject::Task(self.book.theirs(server, &id)?)),
        }));
        all
    }
}

impl Joint {
    /// Whether its resources can be listened to one by one.
    pub(crate) fn is_watchable(&self) -> bool {
        let listing = self.listing();
        let resources = listing.capabilities.get("resources");
        resources.and_then(|can| can.get("subscribe")) == Some(&true.into())
    }

    /// Listens where somebody listens here, until the server is gone. What is listened to again
    /// after the server was away may have changed meanwhile, and is said to have.
    pub(super) async fn tend(&self, upstream: &Arc<Upstream>, is_back: bool) {
        let Some(inside) = self.inside.upgrade() else { return };
        let mut changed = inside.heard.subscribe();
        // The gateway may end while its servers do.
        drop(inside);
        let (mut held, mut stale) = (Wanted::new(), None);
        let mut is_back = is_back;
        loop {
            changed.mark_unchanged();
            let Some(inside) = self.inside.upgrade() else { return };
            let wanted = inside.wanted(self.name());
            drop(inside);
            let old = held.difference(&wanted).next().is_some();
            let until = *stale.get_or_insert_with(|| Instant::now() + LINGER);
            if !old {
                stale = None;
            }
            let due = old && Instant::now() >= until;
            let now: Wanted = if due { wanted } else { held.union(&wanted).cloned().collect() };
            if now != held {
                self.listen_to(upstream, (&held, &now)).await;
                if is_back {
                    self.missed(&now);
                }
                held = now;
                stale = stale.filter(|_| !due);
                continue;
            }
            is_back = false;
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(until), if old => {}
                () = upstream.gone().cancelled() => return,
            }
        }
    }

    fn missed(&self, subjects: &Wanted) {
        for subject in subjects {
            if let Subject::Resource(uri) = subject {
                self.touched(uri);
            }
        }
    }

    async fn listen_to(&self, upstream: &Arc<Upstream>, (before, now): (&Wanted, &Wanted)) {
        let hello = upstream.hello();
        if hello.revision.is_modern() {
            let (mut uris, mut tasks) = (Vec::new(), Vec::new());
            for subject in now {
                match subject {
                    Subject::Resource(uri) if hello.watches() => uris.push(uri.clone()),
                    Subject::Task(id) if hello.has_tasks() => tasks.push(id.clone()),
                    Subject::Resource(_) | Subject::Task(_) => {}
                }
            }
            return upstream.watch_only(&uris, &tasks).await;
        }
        if !hello.watches() {
            return;
        }
        for (subjects, wanted) in [(now.difference(before), true), (before.difference(now), false)]
        {
            for subject in subjects {
                // A session of the legacy era hears of its tasks without asking.
                let Subject::Resource(uri) = subject else { continue };
                let asking = upstream.watch(uri, wanted);
                let done = tokio::time::timeout(self.settings.start, asking).await;
                let failed = match done {
                    Ok(Ok(())) => continue,
                    Ok(Err(failure)) => failure,
                    Err(_) => Failure::Late(self.settings.start),
                };
                tracing::warn!(
                    server = self.name(),
                    "it does not tell of the resource `{uri}`: {failed}"
                );
            }
        }
    }
}
