//! Writes JSON text piece by piece: keys in the order given, raw values untouched.

/// Bytes that are looked at together.
const LOOK: usize = 32;

/// Appends a JSON string.
pub(super) fn string(out: &mut String, text: &str) {
    out.reserve(text.len().saturating_add(2));
    out.push('"');
    let mut rest = text;
    loop {
        // What has to be escaped is ASCII, so the text can be cut before and after it.
        let (plain, marked) = rest.split_at_checked(plain(rest.as_bytes())).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut left = marked.chars();
        let Some(c) = left.next() else { break };
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
        rest = left.as_str();
    }
    out.push('"');
}

/// How many bytes come before the first that has to be escaped. Long texts have few of them: the
/// inner loop has no way out, so that the compiler can look at many bytes at once.
fn plain(bytes: &[u8]) -> usize {
    let is_marked = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let (looks, _) = bytes.as_chunks::<LOOK>();
    let has_mark = |look: &[u8; LOOK]| look.iter().fold(false, |any, byte| any | is_marked(byte));
    let skipped = looks.iter().take_while(|look| !has_mark(look)).count().saturating_mul(LOOK);
    let rest = bytes.get(skipped..).unwrap_or_default();
    skipped.saturating_add(rest.iter().position(is_marked).unwrap_or(rest.len()))
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

    #[test]
    fn a_mark_is_escaped_wherever_it_stands() {
        for before in 0..80 {
            for mark in ["\"", "\\", "\n", "\u{1}", "\u{e9}\"", "\u{1f600}\t\u{1f600}", ""] {
                let text = format!("{}{mark}{}", "a".repeat(before), "\u{e9}".repeat(40));
                let mut out = String::new();
                string(&mut out, &text);
                assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
            }
        }
    }
}
