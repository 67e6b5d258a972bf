//! YAML, with the line of every value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};

use super::{Broken, Node, What};

pub(super) fn read(text: &str) -> Result<Node, Broken> {
    let mut options = Options::default();
    // A configuration is mostly comments; its parser would count them against a limit.
    options.emit_comments = false;
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(node(raw, text)),
        Err(error) => {
            let location = error.location();
            let plain = error.without_snippet().to_string();
            // The message may end with the place, which the caller prints in its own way.
            let problem = plain.lines().next().unwrap_or_default();
            let problem = problem.split(" at line ").next().unwrap_or(problem);
            Err(Broken {
                line: location.map(|location| location.line()).filter(|line| *line > 0),
                column: location.map(|location| location.column()).filter(|column| *column > 0),
                problem: problem.trim_end_matches([':', ' ']).to_owned(),
            })
        }
    }
}

/// What the deserializer found, before positions are put in.
enum Raw {
    Nothing,
    /// A number or truth value: its digits are taken from the source, where they are exact.
    Plain(String),
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let line = Some(raw.referenced.line()).filter(|line| *line > 0);
    let what = match raw.value {
        Raw::Nothing => What::Nothing,
        Raw::Text(value) => What::Text(value),
        Raw::Plain(value) => {
            What::Text(source(&raw.defined, text).map_or(value, ToOwned::to_owned))
        }
        Raw::List(items) => What::List(items.into_iter().map(|item| node(item, text)).collect()),
        Raw::Map(entries) => {
            let entries = entries.into_iter().map(|(name, value)| {
                let mut value = node(value, text);
                // A map's own position is its first key; the line of its name says more.
                value.line = Some(name.referenced.line()).filter(|l| *l > 0).or(value.line);
                (name.value, value)
            });
            What::Map(entries.collect())
        }
    };
    Node { line, what }
}

/// The characters of a plain scalar, so that `619009000000000000000000` stays what it is.
fn source<'a>(location: &serde_saphyr::Location, text: &'a str) -> Option<&'a str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    let found = text.get(start..start.checked_add(length)?)?.trim();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    (!found.is_empty() && found.chars().all(is_plain)).then_some(found)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or names with values")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(Raw::List(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            found.push(entry);
        }
        Ok(Raw::Map(found))
    }
}
