//! Embeddings as OpenAI, Ollama, Gemini and Cohere give them.

use super::{Outcome, Refusal, Told, Wish, missing, text, wrong};
use crate::ask::tokens;
use serde_json::{Value, json};

/// Numbers of a vector, where the request does not say how many.
const DIMENSIONS: usize = 8;
/// Limit: numbers of a vector.
const DIMENSIONS_MAX: usize = 4096;

/// The vector of a text: the same text has the same one, another text likely another.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    // FNV-1a, whose bits are spread anew for each number.
    let seed = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let number = |at: usize| {
        let salt = u64::try_from(at).unwrap_or(0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = (seed ^ salt).wrapping_mul(0xff51_afd7_ed55_8ccd) >> 48;
        f32::from(u16::try_from(bits).unwrap_or(0)) / 32_768.0 - 1.0
    };
    (0..dimensions).map(number).collect()
}

/// One text or token list, as a text.
fn spoken(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(tokens) if tokens.iter().all(Value::is_u64) => Some(value.to_string()),
        _ => None,
    }
}

/// What is to be embedded: one text or token list, or a list of them.
fn inputs(value: Option<&Value>, field: &str) -> Result<Vec<String>, Refusal> {
    let value = value.ok_or_else(|| missing(field))?;
    let all = match value {
        Value::Array(list) if !list.is_empty() && !list.iter().all(Value::is_u64) => {
            list.iter().map(spoken).collect()
        }
        Value::Array(list) if list.is_empty() => None,
        one => spoken(one).map(|text| vec![text]),
    };
    all.ok_or_else(|| wrong(&format!("{field}: a text, tokens, or a list of them is required")))
}

fn dimensions(value: &Value, field: &str) -> Result<usize, Refusal> {
    let wanted = value.get(field).and_then(Value::as_u64);
    let count = wanted.map_or(Some(DIMENSIONS), |count| usize::try_from(count).ok());
    count
        .filter(|count| (1..=DIMENSIONS_MAX).contains(count))
        .ok_or_else(|| wrong(&format!("{field}: 1 to {DIMENSIONS_MAX}")))
}

fn counted(texts: &[String]) -> u64 {
    texts.iter().map(|text| tokens(text.len())).sum()
}

pub(super) fn openai(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    let model = text(&asked, "model")?;
    let texts = inputs(asked.get("input"), "input")?;
    let size = dimensions(&asked, "dimensions")?;
    let packed = asked.get("encoding_format").and_then(Value::as_str) == Some("base64");
    let rows: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, size);
            let embedding = if packed {
                let bytes: Vec<u8> =
                    vector.iter().flat_map(|number| number.to_le_bytes()).collect();
                json!(super::media::base64(&bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let count = counted(&texts);
    Ok(Told::json(&json!({"object": "list", "data": rows, "model": model,
                          "usage": {"prompt_tokens": count, "total_tokens": count}})))
}

pub(super) fn ollama(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    let model = text(&asked, "model")?;
    let texts = inputs(asked.get("input"), "input")?;
    let size = dimensions(&asked, "dimensions")?;
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, size)).collect();
    Ok(Told::json(&json!({"model": model, "embeddings": vectors, "total_duration": 1,
                          "load_duration": 1, "prompt_eval_count": counted(&texts)})))
}

pub(super) fn ollama_one(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    text(&asked, "model")?;
    let vector = vector(text(&asked, "prompt")?, DIMENSIONS);
    Ok(Told::json(&json!({"embedding": vector})))
}

pub(super) fn cohere(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    text(&asked, "model")?;
    let texts = inputs(asked.get("texts"), "texts")?;
    let size = dimensions(&asked, "output_dimension")?;
    let vectors: Vec<Vec<f32>> = texts.iter().map(|text| vector(text, size)).collect();
    Ok(Told::json(&json!({
        "id": "embed-mock", "embeddings": {"float": vectors}, "texts": texts,
        "response_type": "embeddings_by_type",
        "meta": {"api_version": {"version": "2"},
                 "billed_units": {"input_tokens": counted(&texts)}},
    })))
}

pub(super) fn gemini(wish: &Wish<'_>, call: &str) -> Outcome {
    let asked = wish.json()?;
    let one = |asked: &Value| -> Result<Value, Refusal> {
        let parts = asked.pointer("/content/parts").and_then(Value::as_array);
        let parts = parts.ok_or_else(|| missing("content.parts"))?;
        let texts = parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str));
        let size = match asked.get("outputDimensionality") {
            Some(_) => dimensions(asked, "outputDimensionality")?,
            None => asked
                .get("embedContentConfig")
                .map_or(Ok(DIMENSIONS), |config| dimensions(config, "outputDimensionality"))?,
        };
        Ok(json!({"values": vector(&texts.collect::<Vec<_>>().join("\n"), size)}))
    };
    if call == "embedContent" {
        return Ok(Told::json(&json!({"embedding": one(&asked)?})));
    }
    let requests = asked.get("requests").and_then(Value::as_array);
    let all = requests.ok_or_else(|| missing("requests"))?.iter().map(one);
    Ok(Told::json(&json!({"embeddings": all.collect::<Result<Vec<_>, _>>()?})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_vector_and_another_text_another() {
        assert_eq!(vector("a", 4), vector("a", 4));
        assert_ne!(vector("a", 4), vector("b", 4));
        assert_eq!(vector("a", 4)[..2], vector("a", 2));
        assert!(vector("a", 512).iter().all(|number| (-1.0..=1.0).contains(number)));
    }
}
