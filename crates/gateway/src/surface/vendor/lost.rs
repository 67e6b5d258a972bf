//! What the other side cannot say: left out and named, refused, or passed on all the same.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use wire::dialect::Asked;
use wire::prompt::{Message, Prompt};
use wire::{Code, Fault};

use super::Call;
use crate::flow::Overrides;
use crate::model::{Door, Target, Upstream};
use crate::route::{self, Wanted};
use crate::settings::Unsupported;

/// What a caller wants done with what its call loses: `drop`, `error` or `pass`.
const WISH: HeaderName = HeaderName::from_static("x-rapport-unsupported");
/// What was left out.
const DROPPED: HeaderName = HeaderName::from_static("x-rapport-dropped");
/// What was passed on although nobody knows whether it is understood.
const PASSED: HeaderName = HeaderName::from_static("x-rapport-passed");

/// What to do with what is lost: as the request's header says, else the settings.
pub(super) fn policy(call: &Call) -> Result<Unsupported, Fault> {
    let Some(value) = call.headers.get(&WISH) else {
        return Ok(call.gate.now().settings.models.unsupported);
    };
    let word = value.to_str().unwrap_or("?").trim();
    Unsupported::parse(word).ok_or_else(|| {
        let text = format!("`x-rapport-unsupported` cannot be `{}`", word.escape_default());
        Fault::new(Code::InvalidInput, text)
            .hint("write `drop`, `error` or `pass`")
            .details(json!({"field": "x-rapport-unsupported"}))
    })
}

/// What did not go over as it was said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    dropped: Vec<String>,
    passed: Vec<String>,
}

impl Lost {
    /// Names it in the answer's headers.
    pub(super) fn name(&self, headers: &mut HeaderMap) {
        for (name, list) in [(DROPPED, &self.dropped), (PASSED, &self.passed)] {
            if let Ok(value) = HeaderValue::from_str(&list.join(", "))
                && !list.is_empty()
            {
                headers.insert(name, value);
            }
        }
    }
}

/// Writes a prompt for this upstream, and does what is wanted with what is lost of it: what is to be
/// passed on is written into the prompt's further fields too.
///
/// The body is what the upstream is to get; what was left out is known only when it is written, and
/// long prompts are not written twice without need.
pub(super) fn settle(
    call: &Call,
    (prompt, stream): (&mut Prompt, bool),
    upstream: &Upstream,
    already: &[String],
) -> Result<(Vec<u8>, Lost), Fault> {
    let policy = policy(call)?;
    let mut dropped = already.to_vec();
    let mut written = upstream.written(prompt, stream);
    // Who speaks the same loses nothing.
    if upstream.dialect().name() != call.dialect.name() {
        for name in std::mem::take(&mut written.dropped) {
            if !dropped.contains(&name) {
                dropped.push(name);
            }
        }
    }
    let mut passed_on = Vec::new();
    match policy {
        Unsupported::Error if !dropped.is_empty() => return Err(refused(upstream, &dropped)),
        Unsupported::Pass if !dropped.is_empty() => {
            (passed_on, dropped) = passed(call, prompt, dropped);
            if !passed_on.is_empty() {
                written = upstream.written(prompt, stream);
            }
        }
        Unsupported::Drop | Unsupported::Error | Unsupported::Pass => {}
    }
    Ok((written.body, Lost { dropped, passed: passed_on }))
}

/// Writes the caller's own fields among the lost into the prompt, as they stand in its body.
fn passed(call: &Call, prompt: &mut Prompt, lost: Vec<String>) -> (Vec<String>, Vec<String>) {
    let body: Map<String, Value> = serde_json::from_slice(&call.bytes).unwrap_or_default();
    lost.into_iter().partition(|name| {
        let field = name.strip_prefix("field:").unwrap_or(name);
        let Some(value) = body.get(field) else { return false };
        prompt.knobs.extra.insert(field.to_owned(), value.clone());
        true
    })
}

fn refused(upstream: &Upstream, lost: &[String]) -> Fault {
    let first = lost.first().map(String::as_str).unwrap_or_default();
    let text = format!(
        "provider `{}` speaks `{}`, which has no `{}`",
        upstream.provider(),
        upstream.dialect().name(),
        lost.join("`, `")
    );
    Fault::new(Code::InvalidInput, text)
        .hint("leave it away, name another model, or send `x-rapport-unsupported: drop`")
        .details(json!({"field": first.strip_prefix("field:").unwrap_or(first), "lost": lost}))
}

/// What a turn of a context loses, which is known only when it is known who answers.
pub(super) struct Probe<'c> {
    call: &'c Call,
    prompt: Prompt,
    already: Vec<String>,
}

impl<'c> Probe<'c> {
    /// What is asked now; what is kept was said before.
    pub(super) fn new(call: &'c Call, asked: &Asked, new: &[Message]) -> Self {
        let Prompt { model, system, system_raw, tools, knobs, private, .. } = &asked.prompt;
        let prompt = Prompt {
            model: model.clone(),
            system: system.clone(),
            system_raw: system_raw.clone(),
            messages: new.to_vec(),
            tools: tools.clone(),
            knobs: knobs.clone(),
            private: private.clone(),
        };
        Self { call, prompt, already: asked.dropped.clone() }
    }

    /// Does what is wanted with what the upstream that will be asked first would lose.
    pub(super) fn admit(&self, overrides: &mut Overrides) -> Result<(), Fault> {
        if policy(self.call)? == Unsupported::Drop {
            return Ok(());
        }
        let Some(upstream) = self.first()? else { return Ok(()) };
        let mut prompt = self.prompt.clone();
        let streams = self.call.streams();
        settle(self.call, (&mut prompt, streams), &upstream, &self.already)?;
        overrides.knobs.extra = prompt.knobs.extra;
        Ok(())
    }

    fn first(&self) -> Result<Option<Arc<Upstream>>, Fault> {
        let (call, snapshot) = (self.call, self.call.gate.now());
        // Whether the caller may ask it is decided where it is asked.
        let models = &catalog::ModelLimit::default();
        let wanted = Wanted {
            model: call.head.model.as_deref(),
            door: Door::Context,
            tenant: call.caller.tenant.0,
            models,
            headers: &call.headers,
            tokens: 0,
            owner: None,
        };
        let plan = route::plan(&snapshot, call.gate.affinity(), &wanted)?;
        Ok(plan.upstreams().next().cloned())
    }

    /// Names what was lost on the way to the provider that answered with this model.
    pub(super) fn name(mut self, headers: &mut HeaderMap, (provider, model): (&str, &str)) {
        let models = &self.call.gate.now().models;
        let found = models.resolve(Some(&format!("{provider}/{model}")), Door::Context);
        let Ok(Target::Upstream(upstream)) = found else { return };
        // Whether it is refused was decided before it was asked.
        let asked = (&mut self.prompt, self.call.streams());
        if let Ok((_, lost)) = settle(self.call, asked, &upstream, &self.already) {
            lost.name(headers);
        }
    }
}
