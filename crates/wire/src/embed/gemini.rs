//! Gemini's embeddings: of many texts, and of one.

use serde_json::{Map, Value, json};

use super::{
    Asked, Embedder, Input, Vectors, answer, count, fields, list, missing, plain, set, text,
    unreadable, vector, wrong,
};
use crate::dialect::{self, Dialect as _};
use crate::fault::Fault;

/// What vectors are for, in Cohere's words and in Gemini's.
const PURPOSES: &[(&str, &str)] = &[
    ("search_query", "RETRIEVAL_QUERY"),
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
];

/// `POST /v1beta/models/MODEL:batchEmbedContents`.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

/// `POST /v1beta/models/MODEL:embedContent`.
#[derive(Clone, Copy, Debug)]
pub struct GeminiOne;

fn path(model: &str, method: &str) -> String {
    let path = dialect::Gemini.path_for(model, false);
    let model = path.rsplit_once(':').map_or(path.as_str(), |(model, _)| model);
    format!("{model}:{method}")
}

/// One request; a batch has a list of them.
fn one(fields: &Map<String, Value>, asked: &mut Asked) -> Result<(), Fault> {
    let content = fields.get("content").ok_or_else(|| missing("content"))?;
    let parts = content.get("parts").and_then(Value::as_array);
    let parts = parts.ok_or_else(|| wrong("content.parts", "a list of parts"))?;
    let mut whole = String::new();
    for part in parts {
        let text = part.get("text").and_then(Value::as_str);
        whole.push_str(text.ok_or_else(|| wrong("content.parts", "texts: no other is embedded"))?);
    }
    asked.inputs.push(Input::Text(whole));
    let both = |camel: &str, snake: &str| match count(fields, camel)? {
        Some(count) => Ok(Some(count)),
        None => count(fields, snake),
    };
    asked.dimensions = both("outputDimensionality", "output_dimensionality")?;
    let purpose = match text(fields, "taskType")? {
        Some(purpose) => Some(purpose),
        None => text(fields, "task_type")?,
    };
    let known = purpose.and_then(|name| PURPOSES.iter().find(|(_, gemini)| *gemini == name));
    asked.purpose = known.map(|(cohere, _)| (*cohere).to_owned());
    Ok(())
}

fn written(text: &str, asked: &Asked, model: &str) -> Value {
    let mut out = json!({
        "model": format!("models/{}", model.strip_prefix("models/").unwrap_or(model)),
        "content": {"parts": [{"text": text}]},
    });
    if let Some(dimensions) = asked.dimensions {
        set(&mut out, "outputDimensionality", dimensions);
    }
    let known = asked.purpose.as_ref();
    if let Some((_, name)) = known.and_then(|own| PURPOSES.iter().find(|(name, _)| name == own)) {
        set(&mut out, "taskType", *name);
    }
    out
}

impl Embedder for Gemini {
    fn name(&self) -> &'static str {
        "gemini"
    }

    fn path_for(&self, model: &str) -> String {
        path(model, "batchEmbedContents")
    }

    fn request(&self, body: &[u8]) -> Result<Asked, Fault> {
        let fields = fields(body)?;
        let requests = fields.get("requests").ok_or_else(|| missing("requests"))?;
        let mut asked = Asked::default();
        for request in requests.as_array().ok_or_else(|| wrong("requests", "a list"))? {
            one(request.as_object().ok_or_else(|| wrong("requests", "objects"))?, &mut asked)?;
        }
        Ok(asked)
    }

    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault> {
        let requests: Vec<Value> =
            plain(asked)?.into_iter().map(|text| written(text, asked, model)).collect();
        Ok(json!({"requests": requests}).to_string().into())
    }

    fn read(&self, body: &[u8]) -> Result<Vectors, Fault> {
        let body = answer(body)?;
        let rows = list(body.get("embeddings"), "embeddings")?;
        let vectors = rows.iter().map(|row| vector(row.get("values").unwrap_or(&Value::Null)));
        Ok(Vectors { vectors: vectors.collect::<Result<_, _>>()?, ..Vectors::default() })
    }

    fn reply(&self, vectors: &Vectors, _asked: &Asked) -> Vec<u8> {
        let rows: Vec<Value> = vectors.vectors.iter().map(|v| json!({"values": v})).collect();
        json!({"embeddings": rows}).to_string().into()
    }
}

impl Embedder for GeminiOne {
    fn name(&self) -> &'static str {
        "gemini_one"
    }

    fn path_for(&self, model: &str) -> String {
        path(model, "embedContent")
    }

    fn request(&self, body: &[u8]) -> Result<Asked, Fault> {
        let mut asked = Asked::default();
        one(&fields(body)?, &mut asked)?;
        Ok(asked)
    }

    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault> {
        let text = plain(asked)?.first().copied().unwrap_or_default();
        Ok(written(text, asked, model).to_string().into())
    }

    fn read(&self, body: &[u8]) -> Result<Vectors, Fault> {
        let body = answer(body)?;
        let one = body.pointer("/embedding/values");
        let one = one.ok_or_else(|| unreadable("`embedding.values` is missing"))?;
        Ok(Vectors { vectors: vec![vector(one)?], ..Vectors::default() })
    }

    fn reply(&self, vectors: &Vectors, _asked: &Asked) -> Vec<u8> {
        let one = vectors.vectors.first().cloned().unwrap_or_default();
        json!({"embedding": {"values": one}}).to_string().into()
    }
}
