//! Pictures, sound and what may be said: small and always the same.

use super::{Outcome, Refusal, Told, Wish, missing, text};
use bytes::Bytes;
use serde_json::{Value, json};

/// A PNG of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0,
    1, 0, 0, 0, 1, 8, 4, 0, 0, 0, 0xb5, 0x1c, 0x0c, 0x02, 0, 0, 0, 0x0b, b'I', b'D', b'A', b'T',
    0x78, 0xda, 0x63, 0x64, 0x60, 0xf8, 0x5f, 0x0f, 0, 0x02, 0x87, 0x01, 0x80, 0xeb, 0x47, 0xba,
    0x92, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];
/// Limit: pictures of one request.
const PICTURES_MAX: u64 = 10;
/// When everything here was made: time does not go on.
pub(super) const MADE_AT: u64 = 1_767_225_600;

pub(super) fn images(wish: &Wish<'_>, what: &str) -> Outcome {
    let count = match what {
        "generations" => {
            let asked = wish.json()?;
            text(&asked, "prompt")?;
            asked.get("n").and_then(Value::as_u64)
        }
        "edits" | "variations" => {
            let form = wish.form()?;
            form.named("image").ok_or_else(|| missing("image"))?;
            form.text("n").and_then(|count| count.parse().ok())
        }
        _ => return Err(Refusal::NoRoute),
    };
    let picture = json!({"b64_json": base64(PIXEL)});
    let all: Vec<Value> =
        (0..count.unwrap_or(1).clamp(1, PICTURES_MAX)).map(|_| picture.clone()).collect();
    Ok(Told::json(&json!({"created": MADE_AT, "data": all})))
}

pub(super) fn speech(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    text(&asked, "model")?;
    let said = text(&asked, "input")?;
    // No decoder would play it; the bytes say what was to be said.
    let body = Bytes::from([b"ID3\x04\x00", said.as_bytes()].concat());
    Ok(Told { content_type: "audio/mpeg", body })
}

pub(super) fn heard(wish: &Wish<'_>) -> Outcome {
    let form = wish.form()?;
    form.text("model").ok_or_else(|| missing("model"))?;
    let file = form.named("file").ok_or_else(|| missing("file"))?;
    let name = file.file.as_deref().unwrap_or("a file");
    let said = format!("{} bytes of {name}", file.body.len());
    if form.text("response_format") == Some("text") {
        return Ok(Told { content_type: "text/plain; charset=utf-8", body: said.into() });
    }
    Ok(Told::json(&json!({"text": said})))
}

pub(super) fn moderations(wish: &Wish<'_>) -> Outcome {
    let asked = wish.json()?;
    let input = asked.get("input").ok_or_else(|| missing("input"))?;
    let all: Vec<&Value> = match input {
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    };
    let results: Vec<Value> = all
        .into_iter()
        .map(|said| {
            let is_violent = said.to_string().contains("violence");
            let score = if is_violent { 0.99 } else { 0.01 };
            json!({"flagged": is_violent, "categories": {"violence": is_violent},
                   "category_scores": {"violence": score},
                   "category_applied_input_types": {"violence": ["text"]}})
        })
        .collect();
    let model = asked.get("model").and_then(Value::as_str).unwrap_or("omni-moderation-latest");
    Ok(Told::json(&json!({"id": "modr-mock", "model": model, "results": results})))
}

/// Bytes in letters.
pub(super) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |bits: u32| {
        let place = usize::try_from(bits & 63).unwrap_or(0);
        char::from(LETTERS.get(place).copied().unwrap_or(b'A'))
    };
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (place, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            out.push(if place <= three.len() { letter(bits >> shift) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_the_standard() {
        for (bytes, letters) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), letters);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }
}
