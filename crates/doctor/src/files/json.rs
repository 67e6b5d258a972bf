//! Reads JSON strictly, says what a person did to it, and finds names that stand twice.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::verdict;
use crate::report::{Fix, Verdict};

/// Parses, or names the slip and its line.
pub(super) fn parse(shown: &str, text: &str) -> Result<Value, Box<Verdict>> {
    serde_json::from_str(text).map_err(|error| Box::new(slip(shown, text, &error)))
}

fn slip(shown: &str, text: &str, error: &serde_json::Error) -> Verdict {
    let number = error.line();
    let (at, line, what, fix) = what_was_written(text, number, error.column());
    let sentence = format!("line {at} of {shown} is no valid JSON: {what}");
    let place = format!("{shown}:{at}: {}", line.trim().chars().take(80).collect::<String>());
    verdict("config.bad_json", sentence, &place, Fix::say(fix))
        .because(format!("the reader says: {error}"))
}

/// The line at fault, what is wrong with it, and what to do.
fn what_was_written(
    text: &str,
    number: usize,
    column: usize,
) -> (usize, &str, &'static str, &'static str) {
    let lines: Vec<&str> = text.lines().collect();
    let line = lines.get(number.saturating_sub(1)).copied().unwrap_or_default();
    let start = line.trim_start();
    if line.contains(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']) {
        let what = "it has typographic quotation marks";
        return (number, line, what, "replace them by \" as on the keyboard");
    }
    if start.starts_with("//") || start.starts_with("/*") || start.starts_with('#') {
        return (number, line, "it is a comment, and JSON has none", "remove the line");
    }
    if has_single_backslash(line) {
        let what = "it has a single backslash";
        return (number, line, what, "write each backslash twice (C:\\\\Users\\\\me), or use /");
    }
    let before = line.chars().take(column.saturating_sub(1)).collect::<String>();
    let closes = line.chars().nth(column.saturating_sub(1)).is_some_and(|c| "}]".contains(c));
    if closes && before.trim_end().ends_with(',') {
        return (number, line, "there is a comma before the closing bracket", "remove the comma");
    }
    if closes && before.trim().is_empty() {
        let above = lines.iter().take(number.saturating_sub(1)).enumerate().rev();
        let above =
            above.map(|(at, line)| (at + 1, *line)).find(|(_, line)| !line.trim().is_empty());
        if let Some((at, line)) = above.filter(|(_, line)| line.trim_end().ends_with(',')) {
            let what = "there is a comma after the last entry";
            return (at, line, what, "remove the comma");
        }
    }
    if number >= lines.len() && column >= line.chars().count() {
        return (number, line, "it ends too early", "close every bracket and quotation mark");
    }
    if start.starts_with('\'') || before.trim_end().ends_with('\'') {
        let what = "names and texts need double quotation marks";
        return (number, line, what, "replace ' by \"");
    }
    (number, line, "a comma, a quotation mark or a bracket is missing", "correct it there")
}

/// A backslash that begins no escape of JSON.
fn has_single_backslash(line: &str) -> bool {
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' && !letters.next().is_some_and(|next| "\"\\/bfnrtu".contains(next)) {
            return true;
        }
    }
    false
}

/// Names that stand twice in one object, with the path to it: the first is lost without a word.
pub(super) fn doubled(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let walk = Walk { path: String::new(), found: &mut found };
    // A text that is no JSON has been refused before.
    if walk.deserialize(&mut reader).is_err() {
        return Vec::new();
    }
    found
}

struct Walk<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = format!("{}.{key}", self.path).trim_start_matches('.').to_owned();
            if !seen.insert(key) {
                self.found.push(path.clone());
            }
            map.next_value_seed(Walk { path, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let path = self.path;
        while list
            .next_element_seed(Walk { path: path.clone(), found: &mut *self.found })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_bool<E>(self, _value: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _value: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _value: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _value: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _value: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
