//! Tables for people: as wide as the terminal, plain in a pipe.

use comfy_table::{ContentArrangement, Table};

use serde_json::Value;

/// A table with these column titles.
pub(super) fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    // A row in a pipe is one line, whatever its width.
    // So is one on a terminal that does not say how wide it is.
    let has_width = table.is_tty() && table.width().is_some_and(|columns| columns > 0);
    let arrangement =
        if has_width { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.set_content_arrangement(arrangement);
    table.set_header(titles.iter().map(|title| title.to_uppercase()));
    table
}

/// A member as people read it: nothing for null, text without quotes, anything else as JSON.
pub(super) fn cell(value: &Value, path: &str) -> String {
    let found = value.pointer(path).unwrap_or(&Value::Null);
    match found {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A point in time without its fraction and offset, which is always UTC.
pub(super) fn moment(value: &Value, path: &str) -> String {
    let text = cell(value, path);
    text.split(['.', '+']).next().unwrap_or_default().replace('T', " ")
}

/// At most so many characters, on one line.
pub(super) fn short(text: &str, characters_max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= characters_max {
        return line;
    }
    let kept: String = line.chars().take(characters_max.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// What a message says: its text, or its blocks by kind where they have none.
pub(super) fn said(content: &Value) -> String {
    let Value::Array(blocks) = content else { return cell(content, "") };
    let of_block = |block: &Value| match block.get("text").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => format!("[{}]", cell(block, "/type")),
    };
    blocks.iter().map(of_block).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let value = json!({"a": {"t": "2026-11-21T01:02:03.000004+00:00", "n": null, "i": 3}});
        assert_eq!(moment(&value, "/a/t"), "2026-11-21 01:02:03");
        assert_eq!(cell(&value, "/a/n"), "");
        assert_eq!(cell(&value, "/a/i"), "3");
        assert_eq!(short("a  b\nc", 10), "a b c");
        assert_eq!(short("äöüß", 3), "äö…");
        assert_eq!(said(&json!([{"type": "image"}, {"type": "text", "text": "x"}])), "[image]\nx");
    }
}
