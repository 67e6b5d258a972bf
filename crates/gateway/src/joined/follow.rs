//! What a joined server offers and says of itself, followed as long as it lives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use mcp::client::{Failure, Upstream};
use mcp::server::{Change, TaskChange};
use tokio::sync::mpsc;

use super::joint::Joint;
use super::listing::Listing;

/// Changes that come together are looked at once.
const SETTLE: Duration = Duration::from_millis(50);

/// What came in one go.
#[derive(Default)]
struct Came {
    /// A list is another one.
    lists: bool,
    resources: BTreeSet<String>,
    tasks: Vec<TaskChange>,
}

impl Came {
    fn note(&mut self, change: Change) {
        match change {
            Change::Resource(uri) => drop(self.resources.insert(uri)),
            Change::Task(task) => self.tasks.push(*task),
            Change::Tools | Change::Prompts | Change::Resources => self.lists = true,
        }
    }
}

impl Joint {
    /// Looks at its lists again whenever it says that they changed.
    pub(super) async fn follow(
        &self,
        upstream: &Arc<Upstream>,
        mut changes: mpsc::Receiver<Change>,
    ) {
        loop {
            let change = tokio::select! {
                change = changes.recv() => change,
                () = upstream.gone().cancelled() => return,
            };
            let Some(change) = change else { return };
            let mut came = Came::default();
            came.note(change);
            tokio::time::sleep(SETTLE).await;
            while let Ok(more) = changes.try_recv() {
                came.note(more);
            }
            came.resources.iter().for_each(|uri| self.touched(uri));
            for change in &came.tasks {
                self.moved(change);
            }
            if !came.lists {
                continue;
            }
            match tokio::time::timeout(self.settings.start, self.list(upstream)).await {
                Ok(Ok(listing)) => self.publish(listing).await,
                Ok(Err(failure)) => {
                    tracing::warn!(server = self.name(), "its lists cannot be read: {failure}");
                }
                Err(_) => tracing::warn!(server = self.name(), "its lists do not come"),
            }
        }
    }

    pub(super) fn touched(&self, uri: &str) {
        if let Some(inside) = self.inside.upgrade() {
            inside.touched(self.name(), uri);
        }
    }

    pub(super) async fn list(&self, upstream: &Upstream) -> Result<Listing, Failure> {
        let hello = upstream.hello();
        let mut listing = Listing::of(self.settings.mark(), hello);
        if hello.has("tools") {
            listing.tools = upstream.list("tools/list", "tools").await?;
        }
        if hello.has("prompts") {
            listing.prompts = upstream.list("prompts/list", "prompts").await?;
        }
        if hello.has("resources") {
            listing.resources = upstream.list("resources/list", "resources").await?;
            let templates = upstream.list("resources/templates/list", "resourceTemplates").await;
            // Many servers know no templates, and some refuse the question.
            listing.templates = match templates {
                Err(Failure::Refused(_)) => Vec::new(),
                other => other?,
            };
        }
        let flaws = super::legible::make(&mut listing);
        if !flaws.is_empty() {
            // Limit: what a stranger can write into our log.
            let shown = flaws.iter().take(20).map(String::as_str).collect::<Vec<_>>().join(", ");
            tracing::warn!(server = self.name(), "not as the protocol has it: {shown}");
        }
        Ok(listing)
    }

    /// Makes a listing the one that counts, and tells whoever has to know.
    pub(super) async fn publish(&self, listing: Listing) {
        let at = Timestamp::now().to_string();
        let follow = |now: &Listing| {
            let mut next = listing.clone();
            next.follow(now, &at);
            next
        };
        self.replace(follow).await;
        for name in self.listing.load().changed.keys() {
            tracing::warn!(server = self.name(), tool = name, "the definition of a tool changed");
        }
    }

    /// Makes another list of the present one; of two who do so at once neither is lost.
    async fn replace(&self, next: impl Fn(&Listing) -> Listing) {
        let before = self.listing.rcu(|now| next(now));
        let listing = self.listing.load_full();
        if before == listing {
            return;
        }
        if let Some(inside) = self.inside.upgrade() {
            inside.rebuild();
            inside.shelve(self.name(), listing).await;
        }
    }

    /// From now on its tools are known as they are.
    pub(crate) async fn accept(&self) {
        let accept = |now: &Listing| {
            let mut next = now.clone();
            next.accept();
            next
        };
        self.replace(accept).await;
    }
}
