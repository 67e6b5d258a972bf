//! Rankings as Cohere, Jina and Voyage give them: by the words that a document shares.

use super::{Outcome, Told, Wish, missing, text, wrong};
use serde_json::{Value, json};

pub(super) fn answer(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    let model = text(&asked, "model")?;
    let query = text(&asked, "query")?.to_lowercase();
    let documents = asked.get("documents").and_then(Value::as_array);
    let documents = documents.ok_or_else(|| missing("documents"))?;
    let words: Vec<&str> = query.split_whitespace().collect();
    let mut ranked = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        let said = document.as_str().or_else(|| document.get("text").and_then(Value::as_str));
        let said = said.ok_or_else(|| wrong("documents: texts are required"))?.to_lowercase();
        let shared = words.iter().filter(|word| said.contains(**word)).count();
        ranked.push((index, shared));
    }
    ranked.sort_by_key(|(index, shared)| (std::cmp::Reverse(*shared), *index));
    let top = asked.get("top_n").or_else(|| asked.get("top_k")).and_then(Value::as_u64);
    ranked.truncate(top.and_then(|top| usize::try_from(top).ok()).unwrap_or(usize::MAX));
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let results: Vec<Value> = ranked
        .into_iter()
        .map(|(index, shared)| {
            let score = f64::from(count(shared)) / f64::from(count(words.len().max(1)));
            json!({"index": index, "relevance_score": score})
        })
        .collect();
    Ok(Told::json(&json!({
        "id": "rerank-mock", "object": "list", "model": model, "results": results, "data": results,
        "usage": {"total_tokens": count(documents.len())},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    })))
}
