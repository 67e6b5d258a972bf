//! Ollama's embeddings: of many texts, and of one as its first versions had it.

use serde_json::{Value, json};

use super::{
    Asked, Embedder, Input, Vectors, answer, count, fields, list, missing, plain, set, text, texts,
    unreadable, vector,
};
use crate::fault::Fault;

/// `POST /api/embed`.
#[derive(Clone, Copy, Debug)]
pub struct Ollama;

/// `POST /api/embeddings`: one text, one vector.
#[derive(Clone, Copy, Debug)]
pub struct OllamaOne;

impl Embedder for Ollama {
    fn name(&self) -> &'static str {
        "ollama"
    }

    fn path_for(&self, _model: &str) -> String {
        "/api/embed".to_owned()
    }

    fn request(&self, body: &[u8]) -> Result<Asked, Fault> {
        let fields = fields(body)?;
        Ok(Asked {
            model: text(&fields, "model")?.unwrap_or_default(),
            inputs: texts(fields.get("input").ok_or_else(|| missing("input"))?, "input")?,
            dimensions: count(&fields, "dimensions")?,
            ..Asked::default()
        })
    }

    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault> {
        let mut body = json!({"model": model, "input": plain(asked)?});
        if let Some(dimensions) = asked.dimensions {
            set(&mut body, "dimensions", dimensions);
        }
        Ok(body.to_string().into())
    }

    fn read(&self, body: &[u8]) -> Result<Vectors, Fault> {
        let body = answer(body)?;
        let rows = list(body.get("embeddings"), "embeddings")?;
        Ok(Vectors {
            model: body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            vectors: rows.iter().map(vector).collect::<Result<_, _>>()?,
            tokens: body.get("prompt_eval_count").and_then(Value::as_u64),
        })
    }

    fn reply(&self, vectors: &Vectors, _asked: &Asked) -> Vec<u8> {
        let body = json!({
            "model": vectors.model, "embeddings": vectors.vectors, "total_duration": 0,
            "load_duration": 0, "prompt_eval_count": vectors.tokens.unwrap_or(0),
        });
        body.to_string().into()
    }
}

impl Embedder for OllamaOne {
    fn name(&self) -> &'static str {
        "ollama_one"
    }

    fn path_for(&self, _model: &str) -> String {
        "/api/embeddings".to_owned()
    }

    fn request(&self, body: &[u8]) -> Result<Asked, Fault> {
        let fields = fields(body)?;
        let prompt = text(&fields, "prompt")?.ok_or_else(|| missing("prompt"))?;
        Ok(Asked {
            model: text(&fields, "model")?.unwrap_or_default(),
            inputs: vec![Input::Text(prompt)],
            ..Asked::default()
        })
    }

    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault> {
        let prompt = plain(asked)?.first().copied().unwrap_or_default();
        Ok(json!({"model": model, "prompt": prompt}).to_string().into())
    }

    fn read(&self, body: &[u8]) -> Result<Vectors, Fault> {
        let body = answer(body)?;
        let one = body.get("embedding").ok_or_else(|| unreadable("`embedding` is missing"))?;
        Ok(Vectors { vectors: vec![vector(one)?], ..Vectors::default() })
    }

    fn reply(&self, vectors: &Vectors, _asked: &Asked) -> Vec<u8> {
        let one = vectors.vectors.first().cloned().unwrap_or_default();
        json!({"embedding": one}).to_string().into()
    }
}
