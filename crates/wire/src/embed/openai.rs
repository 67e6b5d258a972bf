//! OpenAI's embeddings, which most servers speak.

use serde_json::{Value, json};

use super::{
    Asked, Embedder, Input, Vectors, answer, base64, count, fields, list, missing, set, text,
    texts, vector, wrong,
};
use crate::fault::Fault;

/// `POST /v1/embeddings`, as OpenAI speaks it.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Embedder for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn path_for(&self, _model: &str) -> String {
        "/v1/embeddings".to_owned()
    }

    fn request(&self, body: &[u8]) -> Result<Asked, Fault> {
        let fields = fields(body)?;
        let inputs = inputs(fields.get("input").ok_or_else(|| missing("input"))?)?;
        let is_base64 = match text(&fields, "encoding_format")?.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => return Err(wrong("encoding_format", "`float` or `base64`")),
        };
        Ok(Asked {
            model: text(&fields, "model")?.unwrap_or_default(),
            inputs,
            dimensions: count(&fields, "dimensions")?,
            is_base64,
            ..Asked::default()
        })
    }

    fn write(&self, asked: &Asked, model: &str) -> Result<Vec<u8>, Fault> {
        let one = |input: &Input| match input {
            Input::Text(text) => Value::from(text.as_str()),
            Input::Tokens(tokens) => Value::from(tokens.clone()),
        };
        let inputs: Vec<Value> = asked.inputs.iter().map(one).collect();
        let mut body = json!({"model": model, "input": inputs, "encoding_format": "float"});
        if let Some(dimensions) = asked.dimensions {
            set(&mut body, "dimensions", dimensions);
        }
        Ok(body.to_string().into())
    }

    fn read(&self, body: &[u8]) -> Result<Vectors, Fault> {
        let body = answer(body)?;
        let mut rows: Vec<(u64, Vec<f64>)> = Vec::new();
        for (at, row) in list(body.get("data"), "data")?.iter().enumerate() {
            let place = row.get("index").and_then(Value::as_u64).unwrap_or(at as u64);
            rows.push((place, vector(row.get("embedding").unwrap_or(&Value::Null))?));
        }
        rows.sort_by_key(|(place, _)| *place);
        Ok(Vectors {
            model: body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned(),
            vectors: rows.into_iter().map(|(_, vector)| vector).collect(),
            tokens: body.pointer("/usage/prompt_tokens").and_then(Value::as_u64),
        })
    }

    fn reply(&self, vectors: &Vectors, asked: &Asked) -> Vec<u8> {
        let row = |(at, vector): (usize, &Vec<f64>)| {
            let shown = if asked.is_base64 {
                Value::from(base64::write(vector))
            } else {
                Value::from(vector.clone())
            };
            json!({"object": "embedding", "index": at, "embedding": shown})
        };
        let data: Vec<Value> = vectors.vectors.iter().enumerate().map(row).collect();
        let tokens = vectors.tokens.unwrap_or(0);
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        let body = json!({"object": "list", "data": data, "model": vectors.model, "usage": usage});
        body.to_string().into()
    }
}

/// A text, texts, tokens, or lists of tokens.
fn inputs(value: &Value) -> Result<Vec<Input>, Fault> {
    let Value::Array(list) = value else { return texts(value, "input") };
    let is_numbers = |list: &[Value]| !list.is_empty() && list.iter().all(Value::is_number);
    if is_numbers(list) {
        return Ok(vec![tokens(value)?]);
    }
    let one = |value: &Value| match value {
        Value::String(text) => Ok(Input::Text(text.clone())),
        _ => tokens(value),
    };
    list.iter().map(one).collect()
}

fn tokens(value: &Value) -> Result<Input, Fault> {
    let expected = "a string, or a list of strings or tokens";
    let list = value.as_array().ok_or_else(|| wrong("input", expected))?;
    let tokens = list.iter().map(|n| n.as_u64().ok_or_else(|| wrong("input", expected)));
    Ok(Input::Tokens(tokens.collect::<Result<_, _>>()?))
}
