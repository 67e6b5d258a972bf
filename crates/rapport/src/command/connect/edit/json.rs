//! Changes one member of a JSON file, with or without comments, and leaves every other byte.

use std::ops::Range;

use serde_json::Value;

use super::read::{Member, Node, Wrong, read};

/// The value at this path; `None` when it is not there.
pub(in super::super) fn find(text: &str, path: &[&str]) -> Result<Option<Value>, Wrong> {
    let Some(mut node) = read(text)?.root else { return Ok(None) };
    for name in path {
        let found = node.members().and_then(|m| m.iter().rev().find(|m| m.key == *name)).cloned();
        match found {
            Some(member) => node = member.value,
            None => return Ok(None),
        }
    }
    Ok(Some(node.value()))
}

/// Whether strict readers refuse the text although it can be read.
pub(in super::super) fn is_loose(text: &str) -> bool {
    read(text).is_ok_and(|read| read.is_loose)
}

/// The text with this value at this path; objects on the way are made.
pub(in super::super) fn set(text: &str, path: &[&str], value: &Value) -> Result<String, Wrong> {
    let style = Style::of(text);
    let Some(root) = read(text)?.root else {
        let whole = style.nested(path, value, 0);
        let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
        let end = style.end;
        let comments = text.trim_start_matches('\u{feff}').trim_end();
        let gap = if comments.is_empty() { "" } else { end };
        return Ok(format!("{mark}{comments}{gap}{whole}{end}"));
    };
    let mut node = &root;
    let mut above = 0;
    for (depth, name) in path.iter().enumerate() {
        let Some(members) = node.members() else {
            return Err(at(text, node.span.start, "an object in braces was expected here"));
        };
        above = depth;
        match members.iter().rev().find(|member| member.key == *name) {
            Some(member) => node = &member.value,
            None => return Ok(style.insert(text, (node, depth), path.get(depth..), value)),
        }
    }
    let depth = style.depth_at(text, node.span.start).unwrap_or(above + 1);
    let is_flat = !text.get(root.span.clone()).unwrap_or_default().contains('\n');
    let new = if is_flat { value.to_string() } else { style.render(value, depth) };
    Ok(replaced(text, node.span.clone(), &new))
}

/// The text without the member at this path.
pub(in super::super) fn remove(text: &str, path: &[&str]) -> Result<String, Wrong> {
    let Some(root) = read(text)?.root else { return Ok(text.to_owned()) };
    let Some((last, way)) = path.split_last() else { return Ok(text.to_owned()) };
    let mut node = &root;
    for name in way {
        match node.members().and_then(|m| m.iter().rev().find(|m| m.key == *name)) {
            Some(member) => node = &member.value,
            None => return Ok(text.to_owned()),
        }
    }
    let members = node.members().unwrap_or_default();
    let Some(index) = members.iter().rposition(|member| member.key == *last) else {
        return Ok(text.to_owned());
    };
    let (before, rest) = members.split_at(index);
    let Some((member, after)) = rest.split_first() else { return Ok(text.to_owned()) };
    let mut out = cut(text, member, !after.is_empty());
    let comma = before.last().and_then(|member| member.comma);
    if let (true, None, Some(comma)) = (after.is_empty(), member.comma, comma) {
        out = replaced(&out, comma..comma + 1, "");
    }
    if members.len() == 1 {
        // Nothing but white space is left between the braces.
        let inside = node.span.start + 1;
        let left = out.get(inside..).and_then(|rest| rest.find('}')).unwrap_or_default();
        let blank = out.get(inside..inside + left).is_some_and(|text| text.trim().is_empty());
        if blank {
            out = replaced(&out, inside..inside + left, "");
        }
    }
    Ok(out)
}

/// Cuts a member out: its line where it has one for itself; the gap behind it where more follow.
fn cut(text: &str, member: &Member, more: bool) -> String {
    let mut end = member.comma.map_or(member.value.span.end, |comma| comma + 1);
    let mut start = member.start;
    let before = text.get(..start).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let leads = text.get(line..start).is_some_and(|lead| lead.trim().is_empty());
    let rest = text.get(end..).unwrap_or_default();
    let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
    let ends_line = rest.get(blank..).is_some_and(|rest| rest.starts_with('\n'));
    if leads && ends_line {
        start = line;
        end += blank + 1;
    } else if more {
        end += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }
    replaced(text, start..end, "")
}

fn replaced(text: &str, span: Range<usize>, new: &str) -> String {
    let head = text.get(..span.start).unwrap_or_default();
    let tail = text.get(span.end..).unwrap_or_default();
    format!("{head}{new}{tail}")
}

fn at(text: &str, place: usize, what: &str) -> Wrong {
    let before = text.get(..place).unwrap_or_default();
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Wrong { line: before.matches('\n').count() + 1, column, what: what.to_owned() }
}

/// How the file is written.
struct Style {
    unit: String,
    end: &'static str,
}

impl Style {
    fn of(text: &str) -> Self {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let lead = |line: &str| {
            let lead: String = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
            let is_member = line.trim_start().starts_with('"');
            (is_member && !lead.is_empty() && lead.len() <= 8).then_some(lead)
        };
        let unit = text.lines().find_map(lead).unwrap_or_else(|| "  ".to_owned());
        Self { unit, end }
    }

    /// How many units the line of this place is set in.
    fn depth_at(&self, text: &str, place: usize) -> Option<usize> {
        let before = text.get(..place)?;
        let line = before.rsplit('\n').next()?;
        let lead = line.len() - line.trim_start_matches([' ', '\t']).len();
        lead.checked_div(self.unit.len())
    }

    fn lead(&self, depth: usize) -> String {
        self.unit.repeat(depth)
    }

    /// A value over several lines, as `JSON.stringify` writes it, its lines after the first set in.
    fn render(&self, value: &Value, depth: usize) -> String {
        let inner = self.lead(depth + 1);
        let outer = self.lead(depth);
        let end = self.end;
        match value {
            Value::Object(map) if !map.is_empty() => {
                let member = |(name, value): (&String, &Value)| {
                    let name = Value::from(name.as_str());
                    format!("{inner}{name}: {}", self.render(value, depth + 1))
                };
                let rows: Vec<String> = map.iter().map(member).collect();
                format!("{{{end}{}{end}{outer}}}", rows.join(&format!(",{end}")))
            }
            Value::Array(items) if !items.is_empty() => {
                let item = |value: &Value| format!("{inner}{}", self.render(value, depth + 1));
                let rows: Vec<String> = items.iter().map(item).collect();
                format!("[{end}{}{end}{outer}]", rows.join(&format!(",{end}")))
            }
            other => other.to_string(),
        }
    }

    /// The value within the objects of this path.
    fn nested(&self, path: &[&str], value: &Value, depth: usize) -> String {
        let wrapped = path.iter().rev().fold(value.clone(), |value, name| {
            Value::Object([((*name).to_owned(), value)].into_iter().collect())
        });
        self.render(&wrapped, depth)
    }

    /// Puts a member behind the last one.
    fn insert(
        &self,
        text: &str,
        (node, depth): (&Node, usize),
        path: Option<&[&str]>,
        value: &Value,
    ) -> String {
        let Some((name, rest)) = path.and_then(<[&str]>::split_first) else {
            return text.to_owned();
        };
        let name = Value::from(*name);
        let inside = text.get(node.span.clone()).unwrap_or_default();
        let members = node.members().unwrap_or_default();
        let end = self.end;
        let Some(last) = members.last() else {
            let depth = self.depth_at(text, node.span.start).unwrap_or(depth);
            let lead = self.lead(depth + 1);
            let value = self.nested(rest, value, depth + 1);
            // Comments in the empty object stay before what is new.
            let kept = inside.get(1..inside.len() - 1).unwrap_or_default().trim_end();
            let outer = self.lead(depth);
            let new = format!("{{{kept}{end}{lead}{name}: {value}{end}{outer}}}");
            return replaced(text, node.span.clone(), &new);
        };
        if !inside.contains('\n') {
            let value = rest.iter().rev().fold(value.clone(), |value, name| {
                Value::Object([((*name).to_owned(), value)].into_iter().collect())
            });
            let place = last.value.span.end;
            return replaced(text, place..place, &format!(",{name}:{value}"));
        }
        let depth = self.depth_at(text, last.start).unwrap_or(depth + 1);
        let lead = self.lead(depth);
        let row = format!("{end}{lead}{name}: {}", self.nested(rest, value, depth));
        let after = last.comma.map_or(last.value.span.end, |comma| comma + 1);
        let place = after + remark(text.get(after..).unwrap_or_default());
        let (row, comma) = match last.comma {
            Some(_) => (format!("{row},"), None),
            None => (row, Some(last.value.span.end)),
        };
        let out = replaced(text, place..place, &row);
        comma.map_or_else(|| out.clone(), |comma| replaced(&out, comma..comma, ","))
    }
}

/// The length of a remark that ends the line.
fn remark(rest: &str) -> usize {
    let line = rest.split('\n').next().unwrap_or_default().trim_end_matches('\r');
    let text = line.trim_start();
    let whole = text.starts_with("//")
        || (text.starts_with("/*") && text.find("*/").is_some_and(|end| end + 2 == text.len()));
    if whole { line.len() } else { 0 }
}
