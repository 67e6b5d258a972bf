//! Reads what native requests share: ids, revisions, idempotency keys, content and settings.

use std::time::Duration;

use context::{Content, Idem, Key, NewEntry, Settings};
use http::HeaderMap;
use http::header::IF_MATCH;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::prompt::{Raw, Role};
use wire::{Code, Fault};

use super::shape::{NewMessage, Object};
use crate::auth::Caller;
use crate::gate::Gateway;

/// The conversation a path names, among those of the caller's tenant.
pub(crate) fn key(caller: &Caller, id: &str) -> Result<Key, Fault> {
    Key::new(caller.tenant, id)
}

/// How many are wanted: the usual number when nothing is said, and what is said only from 1 to
/// `most`, so that nobody takes a page for all there is.
pub(crate) fn limit(asked: Option<u32>, usual: u32, most: u32) -> Result<u32, Fault> {
    let limit = asked.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit);
    }
    let right = format!("a number from 1 to {most}");
    Err(super::contexts::one_of("limit", &limit.to_string(), &right))
}

/// The revision that `If-Match` expects; `None` without the header or with `*`.
pub(crate) fn expected(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or("?").trim();
    if text == "*" {
        return Ok(None);
    }
    let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
    bare.parse().map(Some).map_err(|error: std::num::ParseIntError| {
        Fault::new(Code::InvalidInput, format!("`{}` is no revision", text.escape_default()))
            .hint("send the `ETag` of the context as `If-Match`, such as \"3\"")
            .because(error)
    })
}

/// Refuses when a context has not the revision that is expected.
pub(crate) async fn still(gate: &Gateway, key: &Key, expect: Option<u64>) -> Result<(), Fault> {
    gate.contexts().expecting(expect).unchanged(key).await
}

/// Limit: the longest idempotency key.
const KEY_BYTES_MAX: usize = 255;

/// The idempotency key of a request, bound to the method's place and the exact body.
pub(crate) fn idem(
    headers: &HeaderMap,
    field: Option<&str>,
    place: &str,
    body: &[u8],
) -> Result<Option<Idem>, Fault> {
    let header = headers.get("idempotency-key").map(|v| v.to_str().unwrap_or_default());
    let Some(key) = header.or(field) else { return Ok(None) };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let text = format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes, got {}", key.len());
        return Err(Fault::new(Code::InvalidInput, text).hint("a UUID is a good key"));
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(place.as_bytes()).update(&[0]).update(body);
    Ok(Some(Idem { key: key.to_owned(), body_hash: *hasher.finalize().as_bytes() }))
}

/// Message content: a string is text, a list is content blocks kept byte for byte.
pub(crate) fn content(raw: &RawValue, field: &str) -> Result<Content, Fault> {
    let text = raw.get().trim_start();
    if text.starts_with('"') {
        let text = serde_json::from_str::<String>(text).map_err(|e| {
            Fault::new(Code::InvalidInput, format!("`{field}` is not a readable string")).because(e)
        })?;
        return Ok(Content::Text(text));
    }
    if text.starts_with('[') {
        let raw = Raw { dialect: "anthropic".into(), json: raw.to_owned() };
        let dialect = wire::dialect::named("anthropic");
        if let Some(dialect) = dialect {
            dialect.message(Role::User, raw.clone())?;
        }
        return Ok(Content::Raw(raw));
    }
    let value: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    Err(crate::surface::fields::wrong(field, "a string or a list of content blocks", &value))
}

/// A message to be stored as it is.
pub(crate) fn entry(message: &NewMessage) -> Result<NewEntry, Fault> {
    let role = role(&message.role)?;
    let content = match message.dialect.as_deref() {
        None => content(&message.content, "content")?,
        Some(name) => raw(role, name, &message.content)?,
    };
    Ok(NewEntry { role, content, model: None, meta: context::Map::new() })
}

/// Content in the form of a named dialect, kept byte for byte.
fn raw(role: Role, name: &str, json: &RawValue) -> Result<Content, Fault> {
    let dialect = wire::dialect::named(name).ok_or_else(|| {
        let text = format!("`{}` is no dialect", name.escape_default());
        Fault::new(Code::InvalidInput, text)
            .hint("leave it out for text and for Anthropic's content blocks")
            .details(json!({"field": "dialect"}))
    })?;
    let raw = Raw { dialect: name.into(), json: json.to_owned() };
    dialect.message(role, raw.clone())?;
    Ok(Content::Raw(raw))
}

/// A role or one of its aliases.
pub(crate) fn role(text: &str) -> Result<Role, Fault> {
    Role::parse(text).ok_or_else(|| {
        let text = format!("`{}` is no role", text.escape_default());
        Fault::new(Code::InvalidInput, text)
            .hint("use `user`, `assistant`, `system` or `tool`")
            .details(json!({"field": "role"}))
    })
}

/// The settings in an object, each with its type checked.
pub(crate) fn settings(object: Option<Object>) -> Result<Settings, Fault> {
    object.map_or_else(|| Ok(Settings::default()), |Object(map)| Settings::given(map))
}

/// Limit: the longest time to live, a hundred years.
const SECONDS_MAX: u64 = 100 * 31_557_600;

/// A time to live in seconds.
pub(crate) fn seconds(value: Option<u64>, field: &str) -> Result<Option<Duration>, Fault> {
    match value {
        Some(value) if value > SECONDS_MAX => {
            let text =
                format!("`{field}` cannot be {value}: {SECONDS_MAX} (100 years) is the most");
            Err(Fault::new(Code::InvalidInput, text)
                .hint(format!("leave `{field}` out to keep it for ever"))
                .details(json!({"field": field, "most": SECONDS_MAX})))
        }
        value => Ok(value.map(Duration::from_secs)),
    }
}

/// Refuses a parameter outside its range.
pub(crate) fn in_range(value: Option<f64>, field: &str, top: f64) -> Result<(), Fault> {
    match value {
        Some(value) if !(0.0..=top).contains(&value) => {
            let text = format!("`{field}` must be between 0 and {top}, got {value}");
            Err(Fault::new(Code::InvalidInput, text).details(json!({"field": field})))
        }
        _ => Ok(()),
    }
}
