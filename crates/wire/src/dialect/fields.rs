//! The fields of a JSON object in their order, each with its own bytes, and objects that grow by
//! the deltas of a stream.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use super::judged::Judged;
use super::slices::{self, Field};
use super::{halves, text};
use crate::prompt::Text;

/// The fields of one object, in order, values unread.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    list: Vec<Field<'a>>,
    /// The body that it is part of, where that was judged.
    judged: Option<&'a Judged>,
}

impl<'a> Fields<'a> {
    /// Reads an object; `None` for anything else.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        Self::part(raw, None)
    }

    /// Reads an object that is part of a judged body.
    pub(super) fn part(raw: &'a RawValue, judged: Option<&'a Judged>) -> Option<Self> {
        Some(Self { list: slices::fields(raw.get(), judged)?, judged })
    }

    /// Reads a judged body; `None` if it is no object.
    pub(super) fn whole(judged: &'a Judged) -> Option<Self> {
        let judged = Some(judged);
        Some(Self { list: slices::fields(judged?.json(), judged)?, judged })
    }

    /// The judged body that it is part of.
    pub(super) fn judged(&self) -> Option<&'a Judged> {
        self.judged
    }

    /// The fields without those that stand again later: the last counts, as for most parsers.
    pub(super) fn last_only(mut self) -> Self {
        let mut seen = HashSet::new();
        let is_last: Vec<bool> =
            self.list.iter().rev().map(|(name, _)| seen.insert(name)).collect();
        let mut is_last = is_last.into_iter().rev();
        drop(seen);
        self.list.retain(|_| is_last.next().unwrap_or_default());
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.list.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// The value of a field; absent and `null` are the same.
    pub(super) fn find(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.list.iter().rev().find(|(key, _)| key == name)?;
        Some(*value).filter(|value| value.get() != "null")
    }

    /// The value of a field that is a string.
    pub(super) fn string(&self, name: &str) -> Option<Cow<'a, str>> {
        self.find(name).and_then(string)
    }

    /// The value of a field that is a string, as the text of a part.
    pub(super) fn said(&self, name: &str) -> Option<Text> {
        self.find(name).and_then(|raw| said(raw, self.judged))
    }
}

/// Reads a string; `None` for any other value. Half a character, which JSON can write and text
/// cannot hold, becomes U+FFFD.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    slices::text(raw.get()).or_else(|| halves::mended(raw.get()).map(Cow::Owned))
}

/// Reads a string as the text of a part: one that is long and stands in a judged body stays there.
pub(super) fn said(raw: &RawValue, judged: Option<&Judged>) -> Option<Text> {
    let kept = judged.and_then(|judged| judged.text(raw));
    kept.or_else(|| string(raw).map(Text::from))
}

/// Reads the items of an array, each with its bytes; `None` for any other value.
pub(super) fn items(raw: &RawValue) -> Option<Vec<&RawValue>> {
    slices::items(raw, None)
}

/// As [`items`], of an array that is part of a judged body.
pub(super) fn parts<'a>(
    raw: &'a RawValue,
    judged: Option<&'a Judged>,
) -> Option<Vec<&'a RawValue>> {
    slices::items(raw, judged)
}

/// Turns text into a raw value if it is JSON.
pub(super) fn raw(json: String) -> Option<Box<RawValue>> {
    RawValue::from_string(json).ok()
}

/// An id for something at this place that has none: the same for the same bytes, so that it is
/// still the same when the message was stored and read again.
pub(super) fn made_up(prefix: &str, at: usize, raw: &RawValue) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    let hash = raw.get().bytes().fold(OFFSET, step);
    format!("{prefix}{hash:016x}_{at}")
}

/// An object that grows by deltas and keeps the bytes of every field that did not grow.
#[derive(Debug, Default)]
pub(super) struct Growing {
    /// The object as it began; written as it is while nothing has grown.
    whole: Option<Box<RawValue>>,
    fields: Vec<(String, Piece)>,
}

#[derive(Debug)]
enum Piece {
    Raw(Box<RawValue>),
    Text(String),
    List(Vec<Box<RawValue>>),
}

/// Limit: fields that deltas may add to one object.
const FIELDS_MAX: usize = 64;

impl Growing {
    /// Begins with an object; with an empty one if `raw` is none.
    pub(super) fn new(raw: &RawValue) -> Self {
        let fields = Fields::read(raw).unwrap_or_default();
        let own =
            |(name, value): (&str, &RawValue)| (name.to_owned(), Piece::Raw(value.to_owned()));
        Self { whole: Some(raw.to_owned()), fields: fields.iter().map(own).collect() }
    }

    /// Merges a field of a delta: strings are appended, lists extended, `null` says nothing, and
    /// anything else replaces what was there.
    pub(super) fn grow(&mut self, name: &str, delta: &RawValue) {
        match delta.get().as_bytes().first() {
            Some(b'n') | None => {}
            Some(b'"') => self.append(name, &string(delta).unwrap_or_default()),
            Some(b'[') => {
                for item in items(delta).unwrap_or_default() {
                    self.push(name, item);
                }
            }
            Some(_) => self.set(name, delta.to_owned()),
        }
    }

    /// Appends to a text field.
    pub(super) fn append(&mut self, name: &str, text: &str) {
        let Some(piece) = self.piece(name) else { return };
        match piece {
            Piece::Text(held) => held.push_str(text),
            Piece::Raw(raw) => {
                let mut held = string(raw).unwrap_or_default().into_owned();
                held.push_str(text);
                *piece = Piece::Text(held);
            }
            Piece::List(_) => {}
        }
    }

    /// Appends to a list field.
    pub(super) fn push(&mut self, name: &str, item: &RawValue) {
        let Some(piece) = self.piece(name) else { return };
        match piece {
            Piece::List(held) => held.push(item.to_owned()),
            Piece::Raw(raw) => {
                let held = items(raw).unwrap_or_default();
                let own = held.into_iter().chain([item]).map(ToOwned::to_owned);
                *piece = Piece::List(own.collect());
            }
            Piece::Text(_) => {}
        }
    }

    /// Replaces a field.
    pub(super) fn set(&mut self, name: &str, value: Box<RawValue>) {
        if let Some(piece) = self.piece(name) {
            *piece = Piece::Raw(value);
        }
    }

    /// The text of a field that is a string.
    pub(super) fn string(&self, name: &str) -> Option<Cow<'_, str>> {
        match &self.fields.iter().rev().find(|(key, _)| key == name)?.1 {
            Piece::Text(text) => Some(Cow::Borrowed(text)),
            Piece::Raw(raw) => string(raw),
            Piece::List(_) => None,
        }
    }

    /// The bytes of a field that has not grown.
    pub(super) fn raw(&self, name: &str) -> Option<&RawValue> {
        match &self.fields.iter().rev().find(|(key, _)| key == name)?.1 {
            Piece::Raw(raw) => Some(raw),
            Piece::Text(_) | Piece::List(_) => None,
        }
    }

    /// Writes the object: as it began if nothing has grown, else field by field in order.
    pub(super) fn write(&self, out: &mut String) {
        if let Some(whole) = &self.whole {
            return out.push_str(whole.get());
        }
        let mut object = text::Object::begin(out);
        self.write_fields(&mut object);
        object.end();
    }

    /// Writes the fields into an object that was begun elsewhere.
    pub(super) fn write_fields(&self, object: &mut text::Object<'_>) {
        for (name, piece) in &self.fields {
            match piece {
                Piece::Raw(raw) => object.raw(name, raw.get()),
                Piece::Text(text) => object.string(name, text),
                Piece::List(list) => {
                    let mut array = text::Array::begin(object.key(name));
                    for item in list {
                        array.item().push_str(item.get());
                    }
                    array.end();
                }
            }
        }
    }

    fn piece(&mut self, name: &str) -> Option<&mut Piece> {
        self.whole = None;
        let found = self.fields.iter().rposition(|(key, _)| key == name);
        if found.is_none() && self.fields.len() < FIELDS_MAX {
            self.fields.push((name.to_owned(), Piece::Raw(RawValue::NULL.to_owned())));
        }
        let at = found.or_else(|| self.fields.len().checked_sub(1))?;
        let (key, piece) = self.fields.get_mut(at)?;
        (key == name).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw_value(json: &str) -> Box<RawValue> {
        raw(json.to_owned()).unwrap()
    }

    #[test]
    fn an_object_that_did_not_grow_keeps_its_bytes() {
        let json = r#"{ "b" : 1.0e0, "a":"\u00e9" ,"b":2}"#;
        let mut out = String::new();
        Growing::new(&raw_value(json)).write(&mut out);
        assert_eq!(out, json);
    }

    #[test]
    fn a_grown_field_keeps_its_place_and_the_others_their_bytes() {
        let mut growing = Growing::new(&raw_value(r#"{"n":1.0e0,"t":"a","l":null,"x":"\u00e9"}"#));
        growing.grow("t", &raw_value(r#""\nb""#));
        growing.grow("l", &raw_value("[1,{}]"));
        growing.grow("l", &raw_value("[2.0]"));
        growing.grow("t", &raw_value("null"));
        growing.grow("new", &raw_value("{\"k\": 1}"));
        let mut out = String::new();
        growing.write(&mut out);
        let expected = r#"{"n":1.0e0,"t":"a\nb","l":[1,{},2.0],"x":"\u00e9","new":{"k": 1}}"#;
        assert_eq!(out, expected);
    }

    #[test]
    fn deltas_cannot_add_fields_without_end() {
        let mut growing = Growing::default();
        for i in 0..1000 {
            growing.append(&format!("f{i}"), "x");
        }
        assert_eq!(growing.fields.len(), FIELDS_MAX);
        assert_eq!(growing.string("f63").as_deref(), Some("x"));
    }
}
