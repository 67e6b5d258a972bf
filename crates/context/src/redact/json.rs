//! Texts inside a JSON document are replaced; every other byte stays.

/// Members whose texts keep their bytes: what models check, and what names things.
pub(crate) const KEPT: &[&str] = &[
    "call_id",
    "data",
    "encrypted_content",
    "id",
    "media_type",
    "model",
    "name",
    "role",
    "signature",
    "status",
    "thinking",
    "thought",
    "tool_call_id",
    "tool_use_id",
    "type",
];

/// Replaces the texts for which `change` gives another one, but for those of members named in
/// `kept`; `None` when there was none, or when the document cannot be read.
pub(crate) fn clean(
    json: &str,
    kept: &[&str],
    change: &mut dyn FnMut(&str) -> Option<String>,
) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    // The member that holds what comes, and those around it.
    let mut member = String::new();
    let mut around: Vec<String> = Vec::new();
    let mut at = 0;
    while let Some(byte) = json.as_bytes().get(at) {
        match byte {
            b'{' | b'[' => {
                around.push(member.clone());
                at += 1;
            }
            b'}' | b']' => {
                member = around.pop()?;
                at += 1;
            }
            b'"' => {
                let end = end(json, at)?;
                let token = json.get(at..end)?;
                let rest = json.get(end..)?;
                if rest.trim_start().starts_with(':') {
                    member = serde_json::from_str(token).ok()?;
                } else if !kept.contains(&member.as_str()) {
                    let text: String = serde_json::from_str(token).ok()?;
                    if let Some(new) = change(&text) {
                        out.push_str(json.get(copied..at)?);
                        out.push_str(&serde_json::to_string(&new).ok()?);
                        copied = end;
                    }
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(json.get(copied..)?);
    Some(out)
}

/// The place behind the text that begins at `at`.
fn end(json: &str, at: usize) -> Option<usize> {
    let mut escaped = false;
    for (place, byte) in json.bytes().enumerate().skip(at + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}
