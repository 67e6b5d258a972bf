//! JSON values as Python prints them, because existing clients compare the echo text literally.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// Appends `str(value)`.
pub(super) fn write(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => out.push_str(text),
        other => repr(out, other, 0),
    }
}

// Limit: deeper values are cut, so that no state can exhaust the stack.
const DEPTH_MAX: usize = 128;

fn repr(out: &mut String, value: &Value, depth: usize) {
    if depth > DEPTH_MAX {
        out.push('…');
        return;
    }
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => number_repr(out, number),
        Value::String(text) => string_repr(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                repr(out, item, depth + 1);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { ", " });
                string_repr(out, key);
                out.push_str(": ");
                repr(out, item, depth + 1);
            }
            out.push('}');
        }
    }
}

fn number_repr(out: &mut String, number: &Number) {
    let text = match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float:?}"),
        _ => number.to_string(),
    };
    // Rust writes `1e16` and `1e-5` where Python writes `1e+16` and `1e-05`.
    let Some((digits, power)) = text.split_once('e') else {
        out.push_str(&text);
        return;
    };
    let (sign, power) = power.strip_prefix('-').map_or(('+', power), |rest| ('-', rest));
    // Writing to a string cannot fail.
    write!(out, "{digits}e{sign}{power:0>2}").ok();
}

fn string_repr(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == '\\' || c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                write!(out, "\\x{:02x}", u32::from(c)).ok();
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}
