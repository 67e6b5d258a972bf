//! Files as OpenAI and Anthropic keep them: sent, listed, read, deleted.

use super::media::MADE_AT;
use super::{Outcome, Refusal, Told, Wish, missing};
use crate::server::State;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Limit: files, and batches, that are kept.
const KEPT_MAX: usize = 1_000;
/// Limit: bytes of all files together.
const BYTES_MAX: usize = 256 << 20;

/// What is kept until the server ends.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    number: u64,
    files: BTreeMap<String, File>,
    /// Batches by their id, and the lines that came of them.
    batches: BTreeMap<String, (Value, String)>,
}

#[derive(Debug)]
struct File {
    about: Value,
    body: Bytes,
}

impl Shelf {
    /// A name that nothing here has, in the order in which they are given.
    pub(super) fn name(&mut self, begin: &str) -> String {
        self.number += 1;
        format!("{begin}{:06}", self.number)
    }

    pub(super) fn body(&self, id: &str) -> Result<Bytes, Refusal> {
        let file = self.files.get(id).ok_or_else(|| nothing("file", id))?;
        Ok(file.body.clone())
    }

    pub(super) fn put(&mut self, id: &str, about: Value, body: Bytes) -> Result<(), Refusal> {
        let bytes: usize = self.files.values().map(|file| file.body.len()).sum();
        if self.files.len() >= KEPT_MAX || bytes + body.len() > BYTES_MAX {
            return Err(Refusal::Wrong("the mock keeps no more files".to_owned()));
        }
        self.files.insert(id.to_owned(), File { about, body });
        Ok(())
    }

    pub(super) fn batches(&mut self) -> &mut BTreeMap<String, (Value, String)> {
        while self.batches.len() > KEPT_MAX {
            self.batches.pop_first();
        }
        &mut self.batches
    }
}

pub(super) fn answer(wish: &Wish<'_>, rest: &str, state: &State) -> Outcome {
    let mut shelf = state.shelf();
    let (id, more) = rest
        .trim_start_matches('/')
        .split_once('/')
        .map_or_else(|| (rest.trim_start_matches('/'), ""), |(id, more)| (id, more));
    match (wish.method, id, more) {
        (&Method::POST, "", "") => sent(wish, &mut shelf),
        (&Method::GET, "", "") => {
            let all: Vec<&Value> = shelf.files.values().map(|file| &file.about).collect();
            Ok(Told::json(&listed(&all)))
        }
        (&Method::GET, id, "") => {
            let file = shelf.files.get(id).ok_or_else(|| nothing("file", id))?;
            Ok(Told::json(&file.about))
        }
        (&Method::GET, id, "content") => {
            Ok(Told { content_type: "application/octet-stream", body: shelf.body(id)? })
        }
        (&Method::DELETE, id, "") => {
            shelf.files.remove(id).ok_or_else(|| nothing("file", id))?;
            Ok(Told::json(&if wish.is_claude() {
                json!({"id": id, "type": "file_deleted"})
            } else {
                json!({"id": id, "object": "file", "deleted": true})
            }))
        }
        _ => Err(Refusal::NoRoute),
    }
}

fn sent(wish: &Wish<'_>, shelf: &mut Shelf) -> Outcome {
    let form = wish.form()?;
    let file = form.named("file").ok_or_else(|| missing("file"))?;
    let name = file.file.clone().unwrap_or_default();
    let about = if wish.is_claude() {
        let media = file.media.as_deref().unwrap_or("application/octet-stream");
        json!({"id": shelf.name("file_mock_"), "type": "file", "filename": name,
               "mime_type": media, "size_bytes": file.body.len(),
               "created_at": "2026-01-01T00:00:00Z", "downloadable": false})
    } else {
        let purpose = form.text("purpose").ok_or_else(|| missing("purpose"))?;
        of_openai(&shelf.name("file-mock-"), &name, (purpose, file.body.len()))
    };
    let id = about.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    shelf.put(&id, about.clone(), file.body.clone())?;
    Ok(Told::json(&about))
}

pub(super) fn of_openai(id: &str, name: &str, (purpose, bytes): (&str, usize)) -> Value {
    json!({"id": id, "object": "file", "bytes": bytes, "created_at": MADE_AT, "filename": name,
           "purpose": purpose, "status": "processed"})
}

/// A page that holds everything.
pub(super) fn listed(all: &[&Value]) -> Value {
    let id = |value: Option<&&Value>| value.and_then(|value| value.get("id")).cloned();
    json!({"object": "list", "data": all, "has_more": false, "first_id": id(all.first()),
           "last_id": id(all.last())})
}

pub(super) fn nothing(what: &str, id: &str) -> Refusal {
    Refusal::NotFound(format!("no such {what}: `{id}`"))
}
