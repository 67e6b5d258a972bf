//! What joined servers offer, beside our own at `/mcp` and alone at `/mcp/s/{server}`.

use std::sync::Arc;

use mcp::rpc::Refusal;
use mcp::server::{About, Ask, Offers, Page, Stop};
use serde_json::{Map, Value, json};

use super::{Who, search};
use crate::joined::{
    Down, Joint, Merged, Offer, SearchMode, Wish, described, name_of, offered, ours,
};

/// The tools of all joined servers that a caller sees, or the two that stand for them.
pub(super) async fn tools(who: &Who) -> Vec<Value> {
    let merged = who.gate.joined().merged().await;
    let seen: Vec<&Offer> = merged.tools.iter().filter(|offer| sees(who, offer)).collect();
    let searched = match who.gate.joined().settings().search {
        SearchMode::Off => false,
        SearchMode::On => !seen.is_empty(),
        SearchMode::Above(most) => seen.len() > most,
    };
    if searched {
        return search::definitions(seen.len());
    }
    seen.into_iter().map(|offer| Value::clone(&offer.definition)).collect()
}

/// A tool as a caller reads it.
pub(super) fn worded(who: &Who, tool: Value) -> Value {
    let name = name_of(&tool).unwrap_or_default().to_owned();
    who.gate.joined().worded(&who.seer, (&name, tool))
}

/// Whether a caller sees a tool, and so may use it.
pub(super) fn sees(who: &Who, offer: &Offer) -> bool {
    let joined = who.gate.joined();
    who.seer.sees(&offer.joint) && joined.may(&who.seer, &offer.name)
}

/// Runs a tool by the name it is offered under; `None` when the caller sees none of this name.
pub(super) async fn call(
    ask: &Ask<Who>,
    name: &str,
    params: &Map<String, Value>,
) -> Option<Result<Value, Stop>> {
    let who = &ask.caller;
    let is_there = |merged: &Merged| merged.tool(name).is_some();
    let merged = who.gate.joined().merged_for(is_there).await;
    if search::is(name) {
        return search::call(ask, &merged, name, params).await;
    }
    let offer = merged.tool(name).filter(|offer| sees(who, offer))?;
    Some(run(ask, offer, params).await)
}

/// Runs a tool; what it gives refers to resources by the names they have here.
pub(super) async fn run(
    ask: &Ask<Who>,
    offer: &Offer,
    params: &Map<String, Value>,
) -> Result<Value, Stop> {
    let params = named(params, &offer.theirs);
    let result = pass(ask, &offer.joint, "tools/call", params).await?;
    Ok(ours(result, offer.joint.name()))
}

/// The prompts of all joined servers.
pub(super) async fn prompts(who: &Who) -> Vec<Value> {
    let merged = who.gate.joined().merged().await;
    let seen = merged.prompts.iter().filter(|offer| sees(who, offer));
    seen.map(|offer| Value::clone(&offer.definition)).collect()
}

/// Fills a prompt in; `None` when the caller sees none of this name.
pub(super) async fn prompt(
    ask: &Ask<Who>,
    name: &str,
    params: &Map<String, Value>,
) -> Option<Result<Value, Stop>> {
    let is_there = |merged: &Merged| merged.prompt(name).is_some();
    let merged = ask.caller.gate.joined().merged_for(is_there).await;
    let offer = merged.prompt(name).filter(|offer| sees(&ask.caller, offer))?;
    let params = named(params, &offer.theirs);
    Some(pass(ask, &offer.joint, "prompts/get", params).await)
}

/// The resources of all joined servers, by the names they have here.
pub(super) fn resources(who: &Who) -> Vec<Value> {
    each(who, |joint| joint.listing().resources.clone(), "uri")
}

/// Their templates.
pub(super) fn templates(who: &Who) -> Vec<Value> {
    each(who, |joint| joint.listing().templates.clone(), "uriTemplate")
}

fn each(who: &Who, items: impl Fn(&Joint) -> Vec<Value>, field: &str) -> Vec<Value> {
    let joined = who.gate.joined();
    let mut all = Vec::new();
    for joint in joined.all().iter().filter(|joint| who.seer.sees(joint)) {
        for mut item in items(joint) {
            if let Some(Value::String(uri)) = item.get_mut(field) {
                *uri = format!("{}+{uri}", joint.name());
                all.push(item);
            }
        }
    }
    all
}

/// The addresses of resources.
pub(super) fn uris(resources: &[Value]) -> Vec<String> {
    let uris = resources.iter().filter_map(|resource| resource.get("uri")?.as_str());
    uris.map(ToOwned::to_owned).collect()
}

/// Whether a caller may listen to a resource: those of joined servers it has to see.
pub(super) fn hears(who: &Who, uri: &str) -> bool {
    match owner(who, uri) {
        Some((joint, _)) => joint.is_watchable(),
        // What was never a server's is ours.
        None => uri.split_once('+').is_none_or(|(name, _)| who.gate.joined().find(name).is_none()),
    }
}

/// Reads a resource of a joined server; `None` when this is none.
pub(super) async fn read(ask: &Ask<Who>, uri: &str) -> Option<Result<Value, Stop>> {
    let (joint, theirs) = owner(&ask.caller, uri)?;
    let params = Map::from_iter([("uri".to_owned(), Value::from(theirs))]);
    let result = pass(ask, &joint, "resources/read", params).await;
    Some(result.map(|result| ours(result, joint.name())))
}

/// The server of a resource, with the resource's own name.
fn owner<'a>(who: &Who, uri: &'a str) -> Option<(Arc<Joint>, &'a str)> {
    let (server, theirs) = uri.split_once('+')?;
    let joined = who.gate.joined();
    let joint = joined.find(server).filter(|joint| who.seer.sees(joint))?;
    Some((joint, theirs))
}

/// Completes an argument of a prompt or template of a joined server; `None` when this is none.
pub(super) async fn complete(
    ask: &Ask<Who>,
    params: &Map<String, Value>,
) -> Option<Result<Value, Refusal>> {
    let of = params.get("ref")?;
    let text = |field: &str| of.get(field).and_then(Value::as_str);
    let (joint, field, theirs) = match text("type")? {
        "ref/prompt" => {
            let merged = ask.caller.gate.joined().now();
            let offer = merged.prompt(text("name")?).filter(|offer| sees(&ask.caller, offer))?;
            (Arc::clone(&offer.joint), "name", offer.theirs.clone())
        }
        _ => {
            let (joint, theirs) = owner(&ask.caller, text("uri")?)?;
            (joint, "uri", theirs.to_owned())
        }
    };
    let mut params = params.clone();
    if let Some(Value::Object(of)) = params.get_mut("ref") {
        of.insert(field.to_owned(), theirs.into());
    }
    Some(unasked(pass(ask, &joint, "completion/complete", params).await))
}

/// A result that cannot be a question.
fn unasked(outcome: Result<Value, Stop>) -> Result<Value, Refusal> {
    outcome.map_err(|stop| match stop {
        Stop::Refuse(refusal) => refusal,
        Stop::Input(..) | Stop::Later => Refusal::request("this cannot ask back"),
    })
}

/// Sends a request on, with the way back to the one who asked.
async fn pass(
    ask: &Ask<Who>,
    joint: &Arc<Joint>,
    method: &'static str,
    params: Map<String, Value>,
) -> Result<Value, Stop> {
    let who = &ask.caller;
    let wish = Wish { joint, caller: &who.caller, method, params, context: None };
    let down = Down { back: Some(&ask.link), modern: ask.revision.is_modern() };
    Box::pin(wish.pass(&who.gate, down)).await
}

/// The parameters with the name that the server knows.
fn named(params: &Map<String, Value>, name: &str) -> Map<String, Value> {
    let mut params = params.clone();
    params.insert("name".to_owned(), name.into());
    params
}

/// One server alone, under its own names.
pub(super) struct One<'a>(pub(super) &'a Arc<Joint>);

impl One<'_> {
    pub(super) fn about(&self) -> About {
        let listing = self.0.listing();
        let text = |field: &str| listing.info.get(field).and_then(Value::as_str);
        let name = text("name").unwrap_or_else(|| self.0.name());
        About {
            name: name.to_owned(),
            title: text("title").unwrap_or(name).to_owned(),
            version: text("version").unwrap_or_default().to_owned(),
            instructions: listing.instructions.clone(),
        }
    }

    pub(super) fn offers(&self) -> Offers {
        let listing = self.0.listing();
        if listing.of.is_empty() {
            // Nothing is known yet: better too much than too little.
            return Offers { tools: true, resources: true, prompts: true, ..Offers::default() };
        }
        let has = |name: &str| listing.capabilities.contains_key(name);
        Offers {
            tools: has("tools") || !listing.tools.is_empty(),
            resources: has("resources"),
            prompts: has("prompts"),
            completions: has("completions"),
            unwatched: !self.0.is_watchable(),
        }
    }

    /// Whether a tool of the server may be seen and used by the caller.
    fn sees(&self, who: &Who, merged: &Merged, theirs: &str) -> bool {
        let mut tools = merged.tools.iter();
        let is_it = |offer: &&Offer| offer.theirs == theirs && offer.joint.name() == self.0.name();
        // Rules name tools as they are offered to all.
        offered(self.0, theirs) && tools.find(is_it).is_none_or(|offer| sees(who, offer))
    }

    pub(super) fn tools(&self, who: &Who) -> Page {
        let merged = who.gate.joined().now();
        let listing = self.0.listing();
        let seen = listing.tools.iter().filter_map(|tool| {
            let name = name_of(tool).filter(|name| self.sees(who, &merged, name))?;
            let tool = described(self.0, name, tool.clone());
            let offered_as = merged.name_of(self.0.name(), name).unwrap_or(name);
            Some(who.gate.joined().worded(&who.seer, (offered_as, tool)))
        });
        seen.collect::<Vec<Value>>().into()
    }

    /// How a tool is defined, without making the list.
    pub(super) fn definition(&self, who: &Who, name: &str) -> Option<Arc<Value>> {
        let merged = who.gate.joined().now();
        let offer = merged.tool(merged.name_of(self.0.name(), name)?)?;
        sees(who, offer).then(|| Arc::clone(&offer.definition))
    }

    /// How a tool that the caller sees is defined, under the server's own name for it.
    pub(super) fn tool(&self, who: &Who, name: &str) -> Option<Value> {
        let listing = self.0.listing();
        let tool = listing.tools.iter().find(|tool| name_of(tool) == Some(name))?;
        self.sees(who, &who.gate.joined().now(), name).then(|| tool.clone())
    }

    pub(super) async fn call(
        &self,
        ask: &Ask<Who>,
        params: &Map<String, Value>,
    ) -> Result<Value, Stop> {
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        let merged = ask.caller.gate.joined().now();
        if !self.sees(&ask.caller, &merged, name) {
            return Err(super::no_tool(name).into());
        }
        pass(ask, self.0, "tools/call", params.clone()).await
    }

    pub(super) fn resources(&self) -> Page {
        self.0.listing().resources.clone().into()
    }

    pub(super) fn templates(&self) -> Page {
        self.0.listing().templates.clone().into()
    }

    pub(super) fn prompts(&self) -> Page {
        self.0.listing().prompts.clone().into()
    }

    pub(super) async fn read(&self, ask: &Ask<Who>, uri: &str) -> Result<Option<Value>, Stop> {
        let params = Map::from_iter([("uri".to_owned(), Value::from(uri))]);
        pass(ask, self.0, "resources/read", params).await.map(Some)
    }

    pub(super) async fn prompt(
        &self,
        ask: &Ask<Who>,
        params: &Map<String, Value>,
    ) -> Result<Value, Stop> {
        pass(ask, self.0, "prompts/get", params.clone()).await
    }

    pub(super) async fn complete(
        &self,
        ask: &Ask<Who>,
        params: &Map<String, Value>,
    ) -> Result<Value, Refusal> {
        unasked(pass(ask, self.0, "completion/complete", params.clone()).await)
    }
}

/// Text as a tool's result.
pub(super) fn text(text: &str, value: &Value) -> Value {
    json!({"content": [{"type": "text", "text": text}], "structuredContent": value,
           "isError": false})
}
