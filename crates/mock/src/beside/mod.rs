//! What providers have beside conversations: embeddings, rankings, files, batches, images, sound.
//!
//! The answers follow from the requests alone, so the same ones always get the same bytes; files
//! and batches are kept until the server ends.

mod batches;
mod embed;
mod files;
mod form;
mod media;
mod rank;

use crate::dialect::Dialect;
use crate::server::State;
use bytes::Bytes;
use http::{HeaderMap, Method, header};
use serde_json::Value;

pub(crate) use files::Shelf;
use form::Form;

const JSON: &str = "application/json";

/// One request beside conversations.
pub(crate) struct Wish<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a Bytes,
    pub(crate) dialect: Dialect,
}

/// An answer with its media type.
pub(crate) struct Told {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

/// Why there is none.
pub(crate) enum Refusal {
    /// There is no such path.
    NoRoute,
    /// There is no such thing.
    NotFound(String),
    /// The request lacks something.
    Wrong(String),
}

type Outcome = Result<Told, Refusal>;

impl Told {
    fn json(value: &Value) -> Self {
        Self { content_type: JSON, body: value.to_string().into() }
    }
}

impl Wish<'_> {
    fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|e| Refusal::Wrong(format!("the body is not valid: {e}")))
    }

    fn form(&self) -> Result<Form, Refusal> {
        let media = self.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        Form::read(media.unwrap_or_default(), self.body)
            .ok_or_else(|| wrong("the body must be multipart/form-data"))
    }

    fn is_claude(&self) -> bool {
        self.dialect == Dialect::Anthropic
    }
}

/// Answers a request that is for no conversation.
///
/// # Errors
/// A refusal, with the words that a provider would use.
pub(crate) fn answer(wish: &Wish<'_>, state: &State) -> Outcome {
    let path = wish.path;
    let post = *wish.method == Method::POST;
    let last = path.rsplit('/').next().unwrap_or_default();
    let call = last.split_once(':').map_or("", |(_, call)| call);
    match last {
        _ if post && (call == "embedContent" || call == "batchEmbedContents") => {
            embed::gemini(wish, call)
        }
        "embeddings" if post && path.ends_with("/api/embeddings") => embed::ollama_one(wish),
        "embeddings" if post => embed::openai(wish),
        "embed" if post && path.ends_with("/api/embed") => embed::ollama(wish),
        "embed" if post => embed::cohere(wish),
        "rerank" if post => rank::answer(wish),
        "moderations" if post => media::moderations(wish),
        _ if post && path.contains("/images/") => media::images(wish, last),
        "speech" if post => media::speech(wish),
        "transcriptions" | "translations" if post => media::heard(wish),
        _ => match (after(path, "/messages/batches"), after(path, "/batches")) {
            (Some(rest), _) => batches::claude(wish, rest, state),
            (None, Some(rest)) => batches::openai(wish, rest, state),
            (None, None) => match after(path, "/files") {
                Some(rest) => files::answer(wish, rest, state),
                None => Err(Refusal::NoRoute),
            },
        },
    }
}

/// What follows a folder: nothing, or a path that begins with `/`.
fn after<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let (_, rest) = path.split_once(folder)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn wrong(text: &str) -> Refusal {
    Refusal::Wrong(text.to_owned())
}

fn missing(field: &str) -> Refusal {
    Refusal::Wrong(format!("{field}: field required"))
}

/// A text of a request; what is missing is named.
fn text<'v>(value: &'v Value, field: &str) -> Result<&'v str, Refusal> {
    value.get(field).and_then(Value::as_str).ok_or_else(|| missing(field))
}
