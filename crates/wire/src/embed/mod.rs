//! Embeddings: texts in, vectors out, in the words of every API that has them; one file each.

mod base64;
mod cohere;
mod gemini;
mod ollama;
mod openai;
#[cfg(test)]
mod tests;

pub use cohere::Cohere;
pub use gemini::{Gemini, GeminiOne};
pub use ollama::{Ollama, OllamaOne};
pub use openai::OpenAi;

use serde_json::{Map, Value, json};

use crate::fault::{Code, Fault, unread};

/// Every API of embeddings.
pub const EMBEDDERS: &[&dyn Embedder] =
    &[&OpenAi, &Ollama, &OllamaOne, &Gemini, &GeminiOne, &Cohere];

/// One thing to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A text.
    Text(String),
    /// A text in the tokens of the model that is asked; nobody else can read them.
    Tokens(Vec<u64>),
}

/// A caller's request, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The model's name as the caller wrote it; empty where the path has it.
    pub model: String,
    /// What to embed, in its order.
    pub inputs: Vec<Input>,
    /// How long the vectors are to be.
    pub dimensions: Option<u32>,
    /// What the vectors are for, in the words of Cohere: `search_query`, `search_document`,
    /// `classification`, `clustering`.
    pub purpose: Option<String>,
    /// The caller wants the vectors as Base64 of little-endian 32-bit numbers.
    pub is_base64: bool,
    /// What could not be read into this.
    pub dropped: Vec<String>,
}

/// The vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vectors {
    /// The model that made them.
    pub model: String,
    /// One for each input, in its order.
    pub vectors: Vec<Vec<f64>>,
    /// The tokens of all inputs, where they are known.
    pub tokens: Option<u64>,
}

/// One API of embeddings, without knowledge of any provider that speaks it.
pub trait Embedder: Sync + Send + std::fmt::Debug {
    /// The name of the API.
    fn name(&self) -> &'static str;

    /// The path of a request for this model, below the provider's base URL.
    fn path_for(&self, model: &str) -> String;

    /// Reads a caller's request.
    ///
    /// # Errors
    /// `invalid_json`, `invalid_input` with the field in its details, or `missing_field`.
    fn request(&self, body: &[u8]) -> Result<Asked, Fault>;

    /// Writes a request for this model.
    ///
    /// # Errors
    /// `invalid_input` for tokens where only texts can be sent.
    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault>;

    /// Reads an answer.
    ///
    /// # Errors
    /// `upstream_invalid` when the body is no answer of this API.
    fn read(&self, body: &[u8]) -> Result<Vectors, Fault>;

    /// Writes an answer for a caller who asked this.
    fn reply(&self, vectors: &Vectors, asked: &Asked) -> Vec<u8>;
}

/// The fields of a request body.
fn fields(body: &[u8]) -> Result<Map<String, Value>, Fault> {
    let value: Value =
        serde_json::from_slice(body).map_err(|cause| unread::not_json(body, &cause))?;
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(unread::not_an_object(&other.to_string())),
    }
}

fn wrong(field: &str, expected: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("`{field}` must be {expected}"))
        .details(json!({"field": field}))
}

fn missing(field: &str) -> Fault {
    Fault::new(Code::MissingField, format!("`{field}` is required"))
        .details(json!({"field": field}))
}

fn text(fields: &Map<String, Value>, field: &str) -> Result<Option<String>, Fault> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(wrong(field, "a string")),
    }
}

fn count(fields: &Map<String, Value>, field: &str) -> Result<Option<u32>, Fault> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let count = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
            count.map(Some).ok_or_else(|| wrong(field, "a whole number, 1 or more"))
        }
    }
}

/// A text, or a list of texts.
fn texts(value: &Value, field: &str) -> Result<Vec<Input>, Fault> {
    let expected = "a string or a list of strings";
    let one = |value: &Value| {
        let text = value.as_str().ok_or_else(|| wrong(field, expected))?;
        Ok(Input::Text(text.to_owned()))
    };
    match value {
        Value::Array(list) => list.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

/// The inputs as texts.
fn plain(asked: &Asked) -> Result<Vec<&str>, Fault> {
    let text = |input: &'_ Input| match input {
        Input::Text(_) => Ok(()),
        Input::Tokens(_) => {
            let text = "`input` is tokens, which only the model they are of can read";
            Err(Fault::new(Code::InvalidInput, text)
                .hint("send texts (LangChain: `check_embedding_ctx_length=False`)")
                .details(json!({"field": "input"})))
        }
    };
    asked.inputs.iter().try_for_each(text)?;
    let texts = asked.inputs.iter().filter_map(|input| match input {
        Input::Text(text) => Some(text.as_str()),
        Input::Tokens(_) => None,
    });
    Ok(texts.collect())
}

/// Adds a field to an object.
fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(fields) = object {
        fields.insert(name.to_owned(), value.into());
    }
}

fn answer(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body).map_err(|cause| unreadable(&cause.to_string()))
}

fn unreadable(why: &str) -> Fault {
    Fault::new(Code::UpstreamInvalid, "the provider's answer holds no embeddings").hint(why)
}

/// One vector: a list of numbers, or Base64 of them.
fn vector(value: &Value) -> Result<Vec<f64>, Fault> {
    match value {
        Value::Array(list) => list
            .iter()
            .map(|x| x.as_f64().ok_or_else(|| unreadable("a vector holds what is no number")))
            .collect(),
        Value::String(text) => base64::read(text).ok_or_else(|| unreadable("bad Base64")),
        _ => Err(unreadable("a vector is missing")),
    }
}

fn list<'a>(value: Option<&'a Value>, what: &str) -> Result<&'a Vec<Value>, Fault> {
    value.and_then(Value::as_array).ok_or_else(|| unreadable(&format!("`{what}` is no list")))
}
