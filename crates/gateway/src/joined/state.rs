//! How joined servers are doing, as the API shows it: without what is secret.

use serde_json::{Value, json};

use super::joint::{Joint, Link};
use super::listing::name_of;
use super::merged::{Merged, offered};
use super::settings::Reach;

/// Limit: lines of standard error that are shown.
const COMPLAINTS_SHOWN: usize = 50;

impl Joint {
    /// How it is doing, in short.
    pub(crate) fn brief(&self) -> Value {
        let (seen, listing) = (self.seen(), self.listing());
        let offers = listing.tools.iter().filter_map(name_of).filter(|name| offered(self, name));
        let (kind, place) = match &self.settings.reach {
            // Arguments may be credentials.
            Reach::Program(program) => ("program", program.command.clone()),
            Reach::Address { url, .. } => ("address", without_query(url)),
            Reach::Api { url, base_url, .. } => {
                let place = base_url.as_deref().or(url.as_deref());
                ("openapi", place.map(without_query).unwrap_or_default())
            }
        };
        json!({
            "name": self.name(), "kind": kind, "place": place, "state": seen.phase.as_str(),
            "since": seen.since.to_string(), "error": seen.error, "starts": seen.tries,
            "revision": listing.revision, "info": listing.info,
            "tools": offers.count(), "resources": listing.resources.len(),
            "prompts": listing.prompts.len(), "changed": listing.changed.len(),
            "login": self.login_shown(),
        })
    }

    /// How it is doing, with all that is known.
    pub(crate) fn whole(&self, merged: &Merged) -> Value {
        let (mut value, seen, listing) = (self.brief(), self.seen(), self.listing());
        let tools: Vec<Value> = listing
            .tools
            .iter()
            .filter_map(name_of)
            .map(|theirs| {
                let offer = merged
                    .tools
                    .iter()
                    .find(|offer| offer.theirs == theirs && offer.joint.name() == self.name());
                let changed = listing.changed.get(theirs);
                json!({"name": theirs, "offered_as": offer.map(|offer| &offer.name),
                       "changed": changed})
            })
            .collect();
        let (complaints, garbage) = match &seen.link {
            Some(Link::Mcp(upstream)) => (upstream.complaints(), upstream.garbage()),
            Some(Link::Api(_)) | None => (seen.complaints.clone(), None),
        };
        let skip = complaints.len().saturating_sub(COMPLAINTS_SHOWN);
        if let Value::Object(map) = &mut value {
            map.insert("tools".to_owned(), tools.into());
            map.insert("capabilities".to_owned(), listing.capabilities.clone().into());
            map.insert("instructions".to_owned(), json!(listing.instructions));
            map.insert("stderr".to_owned(), complaints.into_iter().skip(skip).collect());
            map.insert("garbage".to_owned(), json!(garbage));
        }
        value
    }
}

/// An address without what may be a credential.
fn without_query(url: impl AsRef<str>) -> String {
    let url = url.as_ref();
    let url = url.split(['?', '#']).next().unwrap_or(url);
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}
