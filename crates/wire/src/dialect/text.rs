//! Writes JSON text piece by piece: keys in the order given, raw values untouched.

/// Appends a JSON string.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Object<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, is_empty: true }
    }

    /// Writes the key; the caller writes exactly one value to what it returns.
    pub(super) fn key(&mut self, name: &str) -> &mut String {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        string(self.out, name);
        self.out.push(':');
        self.out
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        string(self.key(name), value);
    }

    /// Writes a value that is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) {
        self.key(name).push_str(json);
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }
}

/// An array that is being written.
#[derive(Debug)]
pub(super) struct Array<'a> {
    out: &'a mut String,
    is_empty: bool,
}

impl<'a> Array<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('[');
        Self { out, is_empty: true }
    }

    /// Begins an item; the caller writes exactly one value to what it returns.
    pub(super) fn item(&mut self) -> &mut String {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(',');
        }
        self.out
    }

    pub(super) fn end(self) {
        self.out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_the_parser_reads() {
        let text: String = ('\0'..='\u{ff}').chain(['\u{2028}', '\u{1f600}', '"', '\\']).collect();
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.string("a\"b", &text);
        object.raw("n", "1.0");
        let mut array = Array::begin(object.key("list"));
        string(array.item(), "x");
        array.item().push_str("null");
        array.end();
        object.end();
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["a\"b"], text);
        assert!(out.ends_with(r#""n":1.0,"list":["x",null]}"#), "{out}");
    }
}
