//! The text of a part: its own, or kept where it stands in the body that it came in.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::OnceLock;

use bytestring::ByteString;

use crate::frame::inside::{escape, unescaped};

/// The text of a part of a message.
///
/// A long text of a caller's body stays there, escaped as it came: who writes it as a string of
/// JSON copies it once, and what it says is made out when somebody wants to read it. It reads like
/// a `str`, and the body lives as long as the text.
///
/// Invariant: a text that is kept is the inside of a string of JSON, escaped exactly as we escape,
/// so that nobody can tell from what is written whether it was kept.
#[derive(Clone, Default)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Own(String),
    Kept(Box<Kept>),
}

#[derive(Clone)]
struct Kept {
    body: ByteString,
    /// Between the quotes.
    inside: Range<usize>,
    is_escaped: bool,
    /// What it says, once somebody wanted to read it.
    says: OnceLock<String>,
}

impl Kept {
    fn json(&self) -> &str {
        self.body.get(self.inside.clone()).unwrap_or_default()
    }

    fn says(&self) -> &str {
        if !self.is_escaped {
            return self.json();
        }
        self.says.get_or_init(|| {
            let says = unescaped(self.json());
            debug_assert!(says.is_some(), "only what was judged is kept");
            says.unwrap_or_default()
        })
    }
}

impl Text {
    /// Keeps what stands between two quotes of a body; `None` where nothing can.
    ///
    /// It has to be the inside of a string, escaped as we escape.
    pub(crate) fn kept(body: &ByteString, inside: Range<usize>, is_escaped: bool) -> Option<Self> {
        body.get(inside.clone())?;
        let (body, says) = (body.clone(), OnceLock::new());
        Some(Self(Repr::Kept(Box::new(Kept { body, inside, is_escaped, says }))))
    }

    /// What it says.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Own(text) => text,
            Repr::Kept(kept) => kept.says(),
        }
    }

    /// The inside of the string of JSON that says it, where it is at hand.
    pub(crate) fn json(&self) -> Option<&str> {
        match &self.0 {
            Repr::Own(_) => None,
            Repr::Kept(kept) => Some(kept.json()),
        }
    }

    /// Whether it says nothing, or white space only; tells so without reading all of it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let Some(mut json) = self.json() else { return self.as_str().trim().is_empty() };
        while let Some(c) = json.chars().next() {
            let (c, length) = match json.strip_prefix('\\') {
                Some(behind) => match escape(behind) {
                    Some((c, length)) => (c, length.saturating_add(1)),
                    None => return false,
                },
                None => (c, c.len_utf8()),
            };
            if !c.is_whitespace() {
                return false;
            }
            json = json.get(length..).unwrap_or_default();
        }
        true
    }

    /// About how many bytes it takes to write it.
    pub(crate) fn room(&self) -> usize {
        self.json().map_or_else(|| self.as_str().len(), str::len)
    }

    /// Adds to what it says; it is its own from then on.
    pub fn push_str(&mut self, more: &str) {
        let mut text = String::from(std::mem::take(self));
        text.push_str(more);
        *self = text.into();
    }
}

impl Default for Repr {
    fn default() -> Self {
        Self::Own(String::new())
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Repr::Own(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<std::borrow::Cow<'_, str>> for Text {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        text.into_owned().into()
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        match text.0 {
            Repr::Own(text) => text,
            Repr::Kept(kept) if kept.is_escaped => match kept.says.into_inner() {
                Some(says) => says,
                None => {
                    unescaped(kept.body.get(kept.inside).unwrap_or_default()).unwrap_or_default()
                }
            },
            Repr::Kept(kept) => kept.json().to_owned(),
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(json: &str) -> Text {
        let body = ByteString::from(format!("[\"{json}\"]"));
        let end = body.len() - 2;
        Text::kept(&body, 2..end, json.contains('\\')).unwrap()
    }

    #[test]
    fn a_kept_text_reads_like_its_own() {
        for (json, says) in [
            ("", ""),
            ("plain \u{e9}", "plain \u{e9}"),
            (r#"a\n\"b\"\\ \u0000"#, "a\n\"b\"\\ \u{0}"),
            (r#"\""#, "\""),
        ] {
            let (kept, own) = (kept(json), Text::from(says));
            assert_eq!((kept.as_str(), kept.json()), (says, Some(json)));
            assert_eq!(own.json(), None);
            assert_eq!(kept, own);
            assert_eq!(format!("{kept} {kept:?}"), format!("{own} {own:?}"));
            assert_eq!(String::from(kept.clone()), says);
            assert_eq!(String::from(kept), says);
        }
    }

    #[test]
    fn blank_is_what_trims_to_nothing() {
        for json in
            ["", " ", r"\n\t \r", "\u{a0}\u{2003}", r"\n \u001f", r"\u000b", " \u{e9}", r"\\n", "x"]
        {
            let kept = kept(json);
            assert_eq!(kept.is_blank(), kept.as_str().trim().is_empty(), "{json}");
            assert_eq!(Text::from(kept.as_str()).is_blank(), kept.is_blank(), "{json}");
        }
    }

    #[test]
    fn what_is_added_to_is_written_anew() {
        let mut text = kept(r"one\n");
        text.push_str("two");
        assert_eq!((text.as_str(), text.json()), ("one\ntwo", None));
    }

    #[test]
    fn nothing_is_kept_from_beside_a_body_or_from_within_a_character() {
        let body = ByteString::from("\u{e9}a");
        assert!(Text::kept(&body, 1..3, false).is_none());
        assert!(Text::kept(&body, 2..9, false).is_none());
        assert!(Text::kept(&body, 2..3, false).is_some());
    }
}
