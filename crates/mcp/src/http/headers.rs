//! What the headers of a request say, and whether the body says the same.

use http::header::{ACCEPT, HeaderMap, HeaderName};
use serde_json::Value;

use super::VERSION;
use crate::revision::Revision;
use crate::rpc::{Params, Refusal, code};
use crate::server::is_modern as says_revision;

/// Whether a header names this media type.
pub(super) fn says(headers: &HeaderMap, name: HeaderName, media: &str) -> bool {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(media))
}

/// Whether the caller takes this media type; one that says nothing takes all.
pub(super) fn takes(headers: &HeaderMap, media: &str) -> bool {
    let mut accepts = headers.get_all(ACCEPT).iter().peekable();
    if accepts.peek().is_none() {
        return true;
    }
    let family = media.split('/').next().unwrap_or(media);
    accepts.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or("").trim();
        kind == "*/*"
            || kind.eq_ignore_ascii_case(media)
            || kind.strip_suffix("/*").is_some_and(|k| k.eq_ignore_ascii_case(family))
    })
}

/// The text of a header.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?").trim())
}

/// Whether a request is of the modern era, by its body or by its header.
pub(super) fn is_modern(headers: &HeaderMap, method: &str, params: &Params) -> bool {
    let version = text(headers, VERSION).and_then(Revision::parse);
    let by_header = version.is_some_and(Revision::is_modern);
    if method == "initialize" {
        // A legacy client may ask for the newest revision in its first request.
        return by_header && says_revision(method, params);
    }
    by_header || says_revision(method, params)
}

/// Holds the headers of a modern request against its body.
///
/// # Errors
/// Header mismatch, naming the header and both values.
pub(super) fn agree(headers: &HeaderMap, method: &str, params: &Params) -> Result<(), Refusal> {
    let version = params.meta("io.modelcontextprotocol/protocolVersion");
    same(headers, "MCP-Protocol-Version", version.and_then(Value::as_str))?;
    same(headers, "Mcp-Method", Some(method))?;
    let name = match method {
        "tools/call" | "prompts/get" => params.text("name"),
        "resources/read" => params.text("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params.text("taskId"),
        _ => None,
    };
    if name.is_some() {
        same(headers, "Mcp-Name", name)?;
    }
    Ok(())
}

/// Holds the headers that mirror arguments of a tool against them: a property of its schema with
/// `x-mcp-header: Name` comes in `Mcp-Param-Name` too.
///
/// # Errors
/// Header mismatch.
pub(super) fn mirrored(
    headers: &HeaderMap,
    schema: &Value,
    arguments: Option<&Value>,
) -> Result<(), Refusal> {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (property, schema) in properties.into_iter().flatten() {
        let Some(header) = schema.get("x-mcp-header").and_then(Value::as_str) else { continue };
        let name = format!("Mcp-Param-{header}");
        match arguments.and_then(|arguments| arguments.get(property)) {
            None | Some(Value::Null) => {
                if text(headers, &name.to_ascii_lowercase()).is_some() {
                    let text = format!("`{name}` stands for `{property}`, which is not there");
                    return Err(Refusal::new(code::HEADERS, text));
                }
            }
            Some(Value::String(value)) => same(headers, &name, Some(value))?,
            Some(value) => same(headers, &name, Some(&value.to_string()))?,
        }
    }
    Ok(())
}

fn same(headers: &HeaderMap, name: &str, wanted: Option<&str>) -> Result<(), Refusal> {
    let Some(wanted) = wanted else { return Ok(()) };
    let shown = text(headers, &name.to_ascii_lowercase());
    let decoded = shown.map(decoded);
    match decoded {
        Some(Some(value)) if value == wanted => Ok(()),
        Some(Some(value)) => {
            let text = format!("`{name}` says `{value}`, the body says `{wanted}`");
            Err(Refusal::new(code::HEADERS, text))
        }
        Some(None) => Err(Refusal::new(code::HEADERS, format!("`{name}` is not valid base64"))),
        None => Err(Refusal::new(code::HEADERS, format!("the header `{name}` is missing"))),
    }
}

/// A header's value; `=?base64?…?=` carries what a header cannot.
fn decoded(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|v| v.strip_suffix("?=")) else {
        return Some(value.to_owned());
    };
    String::from_utf8(base64(inner)?).ok()
}

/// Reads the standard alphabet, with its padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - body.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(body.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in body.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_header_cannot_carry_come_in_base64() {
        assert_eq!(decoded("plain").as_deref(), Some("plain"));
        assert_eq!(decoded("=?base64?w7xiZXI=?=").as_deref(), Some("über"));
        assert_eq!(decoded("=?base64?aGk=?=").as_deref(), Some("hi"));
        for broken in ["=?base64?a?=", "=?base64?aGk?=", "=?base64?a b=?=", "=?base64?/w==?="] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn media_types_are_told_apart() {
        let mut headers = HeaderMap::new();
        assert!(takes(&headers, "application/json"));
        headers.insert(ACCEPT, "text/html, application/*;q=0.5".parse().unwrap());
        assert!(takes(&headers, "application/json") && !takes(&headers, "text/event-stream"));
        headers.insert(ACCEPT, "*/*".parse().unwrap());
        assert!(takes(&headers, "text/event-stream"));
    }
}
