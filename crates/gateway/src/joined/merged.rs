//! What all joined servers offer together, ready to be listed and looked up.

use std::collections::HashMap;
use std::sync::Arc;

use mcp::server::Change;
use serde_json::Value;

use super::joint::Joint;
use super::listing::name_of;
use super::names::Names;
use super::settings::OnChange;

/// One tool or prompt of a server.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    /// The name it is offered under.
    pub(crate) name: String,
    /// The server.
    pub(crate) joint: Arc<Joint>,
    /// The name it has there.
    pub(crate) theirs: String,
    /// How it is described: as the server says, under the name it is offered under.
    pub(crate) definition: Arc<Value>,
}

/// What all servers offer.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) tools: Vec<Offer>,
    pub(crate) prompts: Vec<Offer>,
    by_tool: HashMap<String, usize>,
    by_prompt: HashMap<String, usize>,
    /// Resources and templates of each server, to see what changed.
    resources: Vec<(String, Vec<Value>)>,
}

impl Merged {
    pub(super) fn of<'a>(joints: impl Iterator<Item = &'a Arc<Joint>>) -> Self {
        let mut names = Names::default();
        for own in crate::surface::mcp::own_tools() {
            names.take(own);
        }
        let mut prompt_names = Names::default();
        let mut merged = Self::default();
        for joint in joints {
            let listing = joint.listing();
            for tool in &listing.tools {
                let Some(theirs) = name_of(tool).filter(|name| offered(joint, name)) else {
                    continue;
                };
                let name = names.give(joint.name(), theirs);
                let definition = Arc::new(described(joint, theirs, renamed(tool, &name)));
                let (joint, theirs) = (Arc::clone(joint), theirs.to_owned());
                merged.tools.push(Offer { name, joint, theirs, definition });
            }
            for prompt in &listing.prompts {
                let Some(theirs) = name_of(prompt) else { continue };
                let name = prompt_names.give(joint.name(), theirs);
                let definition = Arc::new(renamed(prompt, &name));
                let (joint, theirs) = (Arc::clone(joint), theirs.to_owned());
                merged.prompts.push(Offer { name, joint, theirs, definition });
            }
            let all = listing.resources.iter().chain(&listing.templates).cloned().collect();
            merged.resources.push((joint.name().to_owned(), all));
        }
        let index = |offers: &[Offer]| {
            offers.iter().enumerate().map(|(at, offer)| (offer.name.clone(), at)).collect()
        };
        merged.by_tool = index(&merged.tools);
        merged.by_prompt = index(&merged.prompts);
        merged
    }

    /// The tool that is offered under this name.
    pub(crate) fn tool(&self, name: &str) -> Option<&Offer> {
        self.tools.get(*self.by_tool.get(name)?)
    }

    /// The name that a server's tool is offered under.
    pub(crate) fn name_of(&self, server: &str, theirs: &str) -> Option<&str> {
        let mut tools = self.tools.iter();
        let found = tools.find(|offer| offer.theirs == theirs && offer.joint.name() == server)?;
        Some(&found.name)
    }

    /// The prompt that is offered under this name.
    pub(crate) fn prompt(&self, name: &str) -> Option<&Offer> {
        self.prompts.get(*self.by_prompt.get(name)?)
    }

    /// Which lists are others than before.
    pub(super) fn differs(&self, before: &Self) -> Vec<Change> {
        let same = |a: &[Offer], b: &[Offer]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.definition == b.definition)
        };
        let mut changes = Vec::new();
        if !same(&self.tools, &before.tools) {
            changes.push(Change::Tools);
        }
        if !same(&self.prompts, &before.prompts) {
            changes.push(Change::Prompts);
        }
        if self.resources != before.resources {
            changes.push(Change::Resources);
        }
        changes
    }

    /// Which lists of one server are others than before.
    pub(super) fn differs_in(&self, before: &Self, server: &str) -> Vec<Change> {
        self.only(server).differs(&before.only(server))
    }

    fn only(&self, server: &str) -> Self {
        let of = |offers: &[Offer]| {
            offers.iter().filter(|offer| offer.joint.name() == server).cloned().collect()
        };
        let resources = self.resources.iter().filter(|(name, _)| name == server).cloned();
        Self {
            tools: of(&self.tools),
            prompts: of(&self.prompts),
            resources: resources.collect(),
            ..Self::default()
        }
    }
}

/// Whether a tool is offered: not hidden, and not held back because it changed.
pub(crate) fn offered(joint: &Joint, tool: &str) -> bool {
    let held =
        joint.settings.on_change == OnChange::Hold && joint.listing().changed.contains_key(tool);
    joint.settings.offers(tool) && !held
}

/// With the description that the owner of the gateway wrote, where there is one.
pub(crate) fn described(joint: &Joint, tool: &str, definition: Value) -> Value {
    match joint.settings.descriptions.iter().find(|(name, _)| name == tool) {
        Some((_, words)) => described_as(definition, words),
        None => definition,
    }
}

/// With these words for what it does.
pub(super) fn described_as(mut definition: Value, words: &str) -> Value {
    if let Value::Object(map) = &mut definition {
        map.insert("description".to_owned(), words.into());
    }
    definition
}

fn renamed(item: &Value, name: &str) -> Value {
    let mut item = item.clone();
    if let Value::Object(map) = &mut item {
        map.insert("name".to_owned(), name.into());
    }
    item
}

/// A result whose resources have the names they have here.
pub(crate) fn ours(mut result: Value, server: &str) -> Value {
    let rename = |place: Option<&mut Value>| {
        if let Some(Value::String(uri)) = place {
            *uri = format!("{server}+{uri}");
        }
    };
    if let Some(Value::Array(contents)) = result.get_mut("contents") {
        contents.iter_mut().for_each(|content| rename(content.get_mut("uri")));
    }
    if let Some(Value::Array(content)) = result.get_mut("content") {
        for block in content {
            match block.get("type").and_then(Value::as_str) {
                Some("resource_link") => rename(block.get_mut("uri")),
                Some("resource") => {
                    rename(block.get_mut("resource").and_then(|inner| inner.get_mut("uri")));
                }
                _ => {}
            }
        }
    }
    result
}
