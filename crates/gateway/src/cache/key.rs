//! The name of a question: a hash of everything that could change its answer.
//!
//! Two bodies that differ only in white space, in the order of names, in how a character is
//! escaped or in whether the answer is streamed have one name per form. A number counts as it is
//! written: `1` and `1.0` are two questions, and so are two integers that no `f64` tells apart.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The hash of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name([u8; 32]);

/// Top-level fields that only say how the answer is to be sent; the form is hashed by itself.
const FORM: &[&str] = &["stream", "stream_options"];

/// Limit: deeper bodies are not looked at, and so never answered from memory.
const DEPTH_MAX: usize = 64;

/// Names a question: `about` is what stands outside of the body (tenant, path, model, headers,
/// form). `None` when the body is no JSON object, or too deep.
pub(crate) fn name(about: &[&str], body: &[u8]) -> Option<Name> {
    let mut hasher = blake3::Hasher::new();
    for part in about {
        text(&mut hasher, part);
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(body).ok()?;
    object(&mut hasher, fields.iter().filter(|(name, _)| !FORM.contains(&name.as_str())), 0)?;
    Some(Name(*hasher.finalize().as_bytes()))
}

/// Whether the caller's parameters make the model answer the same every time: a `temperature` of 0
/// or a `seed`, wherever its dialect has them.
pub(crate) fn is_deterministic(body: &[u8]) -> bool {
    #[derive(serde::Deserialize, Default)]
    struct Knobs {
        temperature: Option<f64>,
        seed: Option<serde_json::Value>,
    }
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(flatten)]
        own: Knobs,
        #[serde(default)]
        options: Knobs,
        #[serde(default, rename = "generationConfig")]
        generation: Knobs,
    }
    let sure = |knobs: &Knobs| {
        knobs.temperature.is_some_and(|t| t.abs() < f64::EPSILON) || knobs.seed.is_some()
    };
    serde_json::from_slice::<Body>(body)
        .is_ok_and(|body| [&body.own, &body.options, &body.generation].into_iter().any(sure))
}

fn object<'a>(
    hasher: &mut blake3::Hasher,
    fields: impl Iterator<Item = (&'a String, &'a &'a RawValue)>,
    depth: usize,
) -> Option<()> {
    hasher.update(b"{");
    for (name, field) in fields {
        text(hasher, name);
        value(hasher, field.get(), depth + 1)?;
    }
    hasher.update(b"}");
    Some(())
}

fn value(hasher: &mut blake3::Hasher, json: &str, depth: usize) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    match json.as_bytes().first()? {
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
            object(hasher, fields.iter(), depth)
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            hasher.update(b"[");
            for item in items {
                value(hasher, item.get(), depth + 1)?;
            }
            hasher.update(b"]");
            Some(())
        }
        b'"' => {
            match serde_json::from_str::<String>(json) {
                Ok(string) => text(hasher, &string),
                // A lone half of a surrogate pair has no text of its own.
                Err(_) => scalar(hasher, json),
            }
            Some(())
        }
        _ => {
            scalar(hasher, json);
            Some(())
        }
    }
}

/// A text with its length before it, so that two texts never read as one.
fn text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(b"s").update(&text.len().to_le_bytes()).update(text.as_bytes());
}

fn scalar(hasher: &mut blake3::Hasher, json: &str) {
    hasher.update(b"v").update(&json.len().to_le_bytes()).update(json.as_bytes());
}
