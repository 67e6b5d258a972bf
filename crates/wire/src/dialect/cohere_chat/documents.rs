//! Reads the documents that a request brings along for its last question.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields::{self, Fields};
use crate::fault::Fault;
use crate::prompt::{Block, Media, Raw, Role, Source};

/// The names under which a document's own text stands most often.
const TEXTS: [&str; 3] = ["text", "snippet", "content"];

/// Reads a document: a string, or an object with `data` and maybe an `id`.
pub(super) fn read(raw: &RawValue) -> Option<Media> {
    if let Some(text) = fields::string(raw) {
        return Some(Media { source: Source::Text(text.as_ref().into()), name: None });
    }
    let document = Fields::read(raw)?;
    let data = document.find("data")?;
    let fields = Fields::read(data);
    let text = |name: &str| fields.as_ref().and_then(|fields| fields.string(name));
    let name = text("title").or_else(|| document.string("id")).map(Cow::into_owned);
    let only = fields
        .as_ref()
        .filter(|fields| fields.iter().all(|(name, _)| name == "title" || TEXTS.contains(&name)));
    let texts: Vec<Cow<'_, str>> = TEXTS.iter().filter_map(|name| only?.string(name)).collect();
    let source = match (texts.as_slice(), fields::string(data)) {
        ([text], _) => Source::Text(text.as_ref().into()),
        (_, Some(text)) => Source::Text(text.as_ref().into()),
        // All of it is for the model to read, names and values.
        _ => Source::Text(data.get().into()),
    };
    Some(Media { source, name })
}

/// Reads `documents`.
pub(super) fn list(raw: &RawValue) -> Result<Vec<Media>, Fault> {
    let items = ask::list("documents", raw)?.into_iter().enumerate();
    let expected = "a string or an object with `data`";
    items
        .map(|(at, raw)| read(raw).ok_or_else(|| wrong(format!("documents.{at}"), expected)))
        .collect()
}

/// Gives the documents to the last question, where every other dialect has them. Its own bytes
/// stay as they are: this dialect writes the field itself.
pub(super) fn attach(asked: &mut Asked, documents: Vec<Media>) {
    let is_asked = |message: &&mut crate::prompt::Message| message.role == Role::User;
    let Some(message) = asked.prompt.messages.iter_mut().rev().find(is_asked) else { return };
    if documents.is_empty() {
        return;
    }
    if message.raw.is_none() {
        let json = crate::dialect::show::object(|object| {
            object.string("role", "user");
            object.string("content", &message.plain());
        });
        message.raw = fields::raw(json).map(|json| Raw { dialect: NAME.into(), json });
    }
    message.blocks.splice(0..0, documents.into_iter().map(Block::Document));
}
