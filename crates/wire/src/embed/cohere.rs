//! Cohere's embeddings, second version.

use serde_json::{Value, json};

use super::{
    Asked, Embedder, Input, Vectors, answer, base64, count, fields, list, missing, plain, set,
    text, texts, vector, wrong,
};
use crate::fault::Fault;

/// What Cohere's models have to be told the vectors are for; this fits most.
const PURPOSE: &str = "search_document";

/// `POST /v2/embed`.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

impl Embedder for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn path_for(&self, _model: &str) -> String {
        "/v2/embed".to_owned()
    }

    fn request(&self, body: &[u8]) -> Result<Asked, Fault> {
        let fields = fields(body)?;
        let inputs = match (fields.get("texts"), fields.get("inputs")) {
            (Some(list), _) if !list.is_null() => texts(list, "texts")?,
            (_, Some(list)) if !list.is_null() => contents(list)?,
            _ => return Err(missing("texts")),
        };
        let kinds = fields.get("embedding_types").and_then(Value::as_array);
        let kinds = kinds.map(|kinds| kinds.iter().filter_map(Value::as_str).collect());
        let kinds: Vec<&str> = kinds.unwrap_or_default();
        let is_known = |kind: &&str| matches!(*kind, "float" | "base64");
        if !kinds.is_empty() && !kinds.iter().any(is_known) {
            return Err(wrong("embedding_types", "`float` or `base64` here"));
        }
        let others = kinds.iter().filter(|kind| !is_known(kind));
        Ok(Asked {
            model: text(&fields, "model")?.unwrap_or_default(),
            inputs,
            dimensions: count(&fields, "output_dimension")?,
            purpose: text(&fields, "input_type")?,
            is_base64: kinds.first() == Some(&"base64"),
            dropped: others.map(|kind| format!("embedding_types:{kind}")).collect(),
        })
    }

    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault> {
        let mut body = json!({
            "model": model, "texts": plain(asked)?, "embedding_types": ["float"],
            "input_type": asked.purpose.as_deref().unwrap_or(PURPOSE),
        });
        if let Some(dimensions) = asked.dimensions {
            set(&mut body, "output_dimension", dimensions);
        }
        Ok(body.to_string().into())
    }

    fn read(&self, body: &[u8]) -> Result<Vectors, Fault> {
        let body = answer(body)?;
        // The first version had the list itself there.
        let rows = body.pointer("/embeddings/float").or_else(|| body.get("embeddings"));
        Ok(Vectors {
            model: String::new(),
            vectors: list(rows, "embeddings.float")?
                .iter()
                .map(vector)
                .collect::<Result<_, _>>()?,
            tokens: body.pointer("/meta/billed_units/input_tokens").and_then(Value::as_u64),
        })
    }

    fn reply(&self, vectors: &Vectors, asked: &Asked) -> Vec<u8> {
        let shown = if asked.is_base64 {
            let rows: Vec<String> = vectors.vectors.iter().map(|v| base64::write(v)).collect();
            json!({"base64": rows})
        } else {
            json!({"float": vectors.vectors})
        };
        let texts: Vec<&str> = plain(asked).unwrap_or_default();
        let body = json!({
            "id": "", "embeddings": shown, "texts": texts,
            "meta": {"api_version": {"version": "2"},
                     "billed_units": {"input_tokens": vectors.tokens.unwrap_or(0)}},
            "response_type": "embeddings_by_type",
        });
        body.to_string().into()
    }
}

/// Inputs made of parts, of which only texts are read.
fn contents(list: &Value) -> Result<Vec<Input>, Fault> {
    let expected = "a list of objects with `content`: texts, no images, are embedded";
    let list = list.as_array().ok_or_else(|| wrong("inputs", expected))?;
    let one = |input: &Value| {
        let parts = input.get("content").and_then(Value::as_array);
        let texts = parts.ok_or_else(|| wrong("inputs", expected))?.iter().map(|part| {
            part.get("text").and_then(Value::as_str).ok_or_else(|| wrong("inputs", expected))
        });
        Ok(Input::Text(texts.collect::<Result<Vec<_>, _>>()?.concat()))
    };
    list.iter().map(one).collect()
}
