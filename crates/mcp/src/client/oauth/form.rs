//! Texts of forms and of addresses: percent-encoding, both ways.

/// A form, or a query, that is being written.
#[derive(Default)]
pub(super) struct Form(String);

impl Form {
    /// The same with one more field.
    #[must_use]
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(&encoded(name));
        self.0.push('=');
        self.0.push_str(&encoded(value));
        self
    }

    /// The same with one more field, where there is a value.
    #[must_use]
    pub(super) fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The text.
    pub(super) fn text(self) -> String {
        self.0
    }
}

/// A text as it stands in forms: only letters, digits and `-._~` stay as they are.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// The text that was encoded; what is no UTF-8 is nothing.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

/// The fields of a query or a form; what cannot be read is left out.
pub(super) fn fields(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// An address with more in its query.
pub(super) fn extended(address: &str, query: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    format!("{address}{mark}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = Form::default().with("a b", "ä&=+%/").with("c", "").text();
        assert_eq!(text, "a%20b=%C3%A4%26%3D%2B%25%2F&c=");
        let read = fields(&text);
        assert_eq!(
            read,
            [("a b".to_owned(), "ä&=+%/".to_owned()), ("c".to_owned(), String::new())]
        );
        assert_eq!(fields("x=1+2&&y"), [("x".into(), "1 2".into()), ("y".into(), String::new())]);
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(fields(broken), [], "{broken}");
        }
        assert_eq!(extended("https://a/b?c=d", "e=f"), "https://a/b?c=d&e=f");
    }
}
