//! A caller's body that was judged once: what was seen of it then need not be looked for again.
//!
//! A long text of a body lies below four levels, and each of them steps over it; where it ends was
//! seen when the body was judged.

use std::ops::Range;

use bytes::Bytes;
use bytestring::ByteString;
use serde_json::value::RawValue;

use crate::frame::valid::{Form, Found, Long, judge};
use crate::prompt::Text;

/// A body that is an array or object, and text.
///
/// Invariant: `place` and the places of the `long` strings are such in `body`.
#[derive(Debug)]
pub(super) struct Judged {
    body: ByteString,
    place: Range<usize>,
    long: Vec<Long>,
}

impl Judged {
    /// Judges a body; `None` for one that is anything else.
    pub(super) fn of(body: &Bytes) -> Option<Self> {
        let Found { place, long } = judge(body)?;
        let body = ByteString::try_from(body.clone()).ok()?;
        Some(Self { body, place, long })
    }

    /// The array or object.
    pub(super) fn json(&self) -> &str {
        self.body.get(self.place.clone()).unwrap_or_default()
    }

    /// Where a part of the body begins in it; `None` for what is no part of it.
    pub(super) fn place_of(&self, part: &str) -> Option<usize> {
        // No other text can have an address between the body's first and last: the body lives.
        let at = part.as_ptr().addr().checked_sub(self.body.as_ptr().addr())?;
        (at.checked_add(part.len())? <= self.body.len()).then_some(at)
    }

    /// The long strings that begin here or later.
    pub(super) fn long_from(&self, at: usize) -> &[Long] {
        let before = self.long.partition_point(|long| long.place.start < at);
        self.long.get(before..).unwrap_or_default()
    }

    /// The text of a string, kept where it stands; `None` for one that is short, or that we would
    /// write in another way.
    pub(super) fn text(&self, raw: &RawValue) -> Option<Text> {
        let at = self.place_of(raw.get())?;
        let long = self.long_from(at).first().filter(|long| long.place.start == at)?;
        let is_escaped = match long.form {
            Form::Plain => false,
            Form::Ours => true,
            Form::Other => return None,
        };
        let Range { start, end } = long.place;
        Text::kept(&self.body, start.checked_add(1)?..end.checked_sub(1)?, is_escaped)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::fields::{self, Fields};
    use crate::dialect::text;

    fn judged(body: &str) -> Judged {
        Judged::of(&Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    /// How we write what a string says, half characters aside.
    fn ours(string: &str) -> Option<String> {
        let text: String = serde_json::from_str(string).ok()?;
        let mut out = String::new();
        text::string(&mut out, &text);
        Some(out)
    }

    #[test]
    fn a_text_is_kept_if_it_is_long_and_stands_in_the_body_itself() {
        let (long, short) = (format!("\"{}\"", "a".repeat(256)), "\"a\"");
        let judged = judged(&format!("[{long},{short}]"));
        let raw: &RawValue = serde_json::from_str(judged.json()).unwrap();
        let parts = fields::parts(raw, Some(&judged)).unwrap();
        assert_eq!(parts.iter().map(|part| part.get()).collect::<Vec<_>>(), [&long, short]);
        assert!(judged.text(parts[0]).is_some_and(|text| text.json().is_some()));
        assert!(judged.text(parts[1]).is_none());
        // The same bytes elsewhere are another text.
        assert!(judged.text(&parts[0].to_owned()).is_none());
        assert_eq!(judged.place_of(parts[1].get()), Some(long.len() + 2));
        assert_eq!(judged.place_of("elsewhere"), None);
    }

    fn object(text: &str) -> String {
        format!("{{\"r\":\"{text}\",\"{text}\":[\"{text}\",1]}}")
    }

    #[test]
    fn long_names_of_fields_are_no_values() {
        let name = "n".repeat(300);
        let body = format!("{{\"{name}\":\"{name}\\n\" , \"b\":{{\"{name}\":1}}}}");
        let judged = judged(&body);
        let whole = Fields::whole(&judged).unwrap();
        let found: Vec<_> = whole.iter().map(|(key, raw)| (key.len(), raw.get().len())).collect();
        assert_eq!(found, [(300, 304), (1, 306)]);
        assert_eq!(whole.said(&name).unwrap(), format!("{name}\n").as_str());
        let inner = Fields::part(whole.find("b").unwrap(), whole.judged()).unwrap();
        assert_eq!(inner.find(&name).unwrap().get(), "1");
        assert!(inner.said(&name).is_none());
    }

    proptest! {
        #[test]
        fn a_text_is_kept_if_we_would_write_it_so_and_says_the_same(
            begin in r#"([a-z ]{0,3}|\\\\|\\"|\\[nrt]|\\u00[01][0-9a-f]){0,9}"#,
            end in r#"([a-z]{0,8}|\\\\|\\"|\\[nrtbf/]|\\u00[01][0-9a-fA-F]|\\u[0-9a-f]{4}|é){0,9}"#,
        ) {
            let string = format!("\"{begin}{}{end}\"", "x".repeat(256));
            let judged = judged(&format!(" {{\"a\": {string} }}"));
            let read = Fields::whole(&judged).unwrap();
            let kept = judged.text(read.find("a").unwrap());
            prop_assert_eq!(kept.is_some(), ours(&string).as_ref() == Some(&string));
            let plain = fields::string(read.find("a").unwrap()).unwrap();
            if let Some(kept) = kept {
                let mut out = String::new();
                text::said(&mut out, &kept);
                prop_assert_eq!(&out, &string);
                prop_assert_eq!(kept.as_str(), plain.as_ref());
                prop_assert_eq!(String::from(kept.clone()), plain.as_ref());
                let mut more = kept.clone();
                more.push_str("\n\"");
                prop_assert!(more.json().is_none());
                prop_assert_eq!(more.as_str(), format!("{plain}\n\""));
            }
        }

        #[test]
        fn a_body_read_with_what_was_seen_has_the_parts_it_has_without(
            texts in proptest::collection::vec(
                r#"([a-z]{1,90}|\\\\|\\"|\\n|é|[{}\[\],:]){0,12}"#,
                1..6
            )
        ) {
            let objects: Vec<String> =
                texts.iter().map(|text| object(text)).collect();
            let judged = judged(&format!("{{\"m\":[{}]}}", objects.join(" , ")));
            let raw: &RawValue = serde_json::from_str(judged.json()).unwrap();
            let (with, without) = (Fields::whole(&judged).unwrap(), Fields::read(raw).unwrap());
            let with = fields::parts(with.find("m").unwrap(), with.judged()).unwrap();
            let without = fields::items(without.find("m").unwrap()).unwrap();
            prop_assert_eq!(with.len(), without.len());
            for (with, without) in with.into_iter().zip(without) {
                let with = Fields::part(with, Some(&judged)).unwrap();
                let without = Fields::read(without).unwrap();
                let list = |fields: &Fields<'_>| -> Vec<(String, String)> {
                    fields.iter().map(|(k, v)| (k.to_owned(), v.get().to_owned())).collect()
                };
                prop_assert_eq!(list(&with), list(&without));
            }
        }
    }
}
