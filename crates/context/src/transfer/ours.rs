//! Documents of ours: one JSON object, or lines.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{BufRead, Read};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use wire::dialect::named;
use wire::prompt::{Raw, Role};
use wire::{Code, Fault};

use super::read::{Ending, FORMAT, Out, broken};
use crate::{Content, Map, New, NewEntry, NewNote, NoteKind, Settings, clock};

/// Reads documents, one after the other.
pub(super) fn documents(from: impl Read, out: &mut Out<'_>) -> Result<(), Fault> {
    let mut json = serde_json::Deserializer::from_reader(from);
    loop {
        let mut document = Document { out, open: None, count: 0 };
        let read = DocumentSeed(&mut document).deserialize(&mut json);
        let open = document.open.take();
        read.map_err(|error| out.why(error))?;
        match open {
            Some(open) => out.end(open.ending)?,
            None => return Err(no_head("it has no `context`")),
        }
        out.budget.renew();
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

fn no_head(why: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("the document is no exported context: {why}"))
        .hint("`format` and `context` come first, then `messages`")
}

/// The context that is being read.
struct Open {
    ending: Ending,
    /// Messages that are pinned, by their numbers in the document.
    pinned: BTreeSet<u64>,
    /// Messages that were handed over.
    kept: u32,
}

impl Open {
    /// Begins a context.
    fn begin(format: &str, context: &Map, out: &mut Out<'_>) -> Result<Self, Fault> {
        if format != FORMAT {
            let text = format!("the format `{}` is not `{FORMAT}`", format.escape_debug());
            return Err(Fault::new(Code::InvalidInput, text));
        }
        out.begin(about(context)?, None)?;
        let list = |name: &str| context.get(name).and_then(Value::as_array).into_iter().flatten();
        let ending = Ending {
            closed: context.get("status").and_then(Value::as_str) == Some("closed"),
            notes: list("notes").filter_map(note).collect(),
            ..Ending::default()
        };
        Ok(Self { ending, pinned: list("pins").filter_map(Value::as_u64).collect(), kept: 0 })
    }

    /// Takes a message of the document.
    fn say(&mut self, raw: &str, out: &mut Out<'_>) -> Result<(), String> {
        let (seq, entry) = said(raw)?;
        let Some(entry) = entry else {
            out.tally.left_out += 1;
            return Ok(());
        };
        self.kept = self.kept.saturating_add(1);
        if seq.is_some_and(|seq| self.pinned.contains(&seq)) {
            self.ending.pins.push(self.kept);
        }
        if let Err(fault) = out.say(entry) {
            out.fault = Some(fault);
        }
        Ok(())
    }
}

struct Document<'o, 't> {
    out: &'o mut Out<'t>,
    open: Option<Open>,
    count: u64,
}

impl Document<'_, '_> {
    fn message(&mut self, raw: &RawValue) -> Result<(), Fault> {
        self.count += 1;
        self.out.budget.renew();
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Err(why) = open.say(raw.get(), self.out) {
            self.out.broken(format!("message {}", self.count), &why)?;
        }
        self.out.fault.take().map_or(Ok(()), Err)
    }
}

struct DocumentSeed<'d, 'o, 't>(&'d mut Document<'o, 't>);

impl<'de> DeserializeSeed<'de> for DocumentSeed<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DocumentSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exported context")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let document = self.0;
        let mut format = None::<String>;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "format" => format = Some(map.next_value()?),
                "context" => {
                    let context: Map = map.next_value()?;
                    let begun = match &format {
                        Some(format) => Open::begin(format, &context, document.out),
                        None => Err(no_head("`format` does not come first")),
                    };
                    document.open = Some(document.out.stop(begun)?);
                }
                "messages" if document.open.is_some() => {
                    map.next_value_seed(Messages(document))?;
                }
                "messages" => {
                    let wrong = Err(no_head("`context` does not come before `messages`"));
                    return document.out.stop(wrong);
                }
                _ => drop(map.next_value::<Box<RawValue>>()?),
            }
        }
        match (&document.open, format) {
            (None, Some(format)) if format != FORMAT => {
                let text = format!("the format `{}` is not `{FORMAT}`", format.escape_debug());
                document.out.stop(Err(Fault::new(Code::InvalidInput, text)))
            }
            _ => Ok(()),
        }
    }
}

struct Messages<'d, 'o, 't>(&'d mut Document<'o, 't>);

impl<'de> DeserializeSeed<'de> for Messages<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            let done = self.0.message(&raw);
            self.0.out.stop(done)?;
        }
        Ok(())
    }
}

/// What stands on a line.
#[derive(Deserialize)]
struct First<'l> {
    #[serde(default)]
    format: Option<String>,
    #[serde(borrow, default)]
    context: Option<&'l RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'l RawValue>,
}

/// Reads lines: a context, then its messages; another context may follow.
pub(super) fn lines(mut from: impl BufRead, out: &mut Out<'_>) -> Result<(), Fault> {
    let mut open: Option<Open> = None;
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        let count = from.read_until(b'\n', &mut line).map_err(|error| out.budget.fault(error))?;
        if count == 0 {
            break;
        }
        number += 1;
        out.budget.renew();
        let place = || format!("line {number}");
        let Ok(text) = std::str::from_utf8(&line) else {
            out.broken(place(), "it is not UTF-8")?;
            continue;
        };
        if text.trim().is_empty() {
            continue;
        }
        let first: First<'_> = match serde_json::from_str(text) {
            Ok(first) => first,
            Err(error) => {
                out.broken(place(), &at_column(&error))?;
                continue;
            }
        };
        if first.messages.is_some() {
            let text = format!("line {number} is a whole document, not the beginning of one");
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("leave the format away, or call it `rapport`"));
        }
        if let (Some(format), Some(context)) = (first.format, first.context) {
            if let Some(before) = open.take() {
                out.end(before.ending)?;
            }
            let context: Map =
                serde_json::from_str(context.get()).map_err(|error| broken(&error))?;
            open = Some(Open::begin(&format, &context, out)?);
            continue;
        }
        let Some(open) = &mut open else {
            let text = format!("line {number} must hold `format` and `context`");
            return Err(Fault::new(Code::InvalidInput, text));
        };
        if let Err(why) = open.say(text, out) {
            out.broken(place(), &why)?;
        }
        if let Some(fault) = out.fault.take() {
            return Err(fault);
        }
    }
    match open {
        Some(open) => out.end(open.ending),
        None => Err(no_head("it is empty")),
    }
}

/// A parser's error in a line: its own line is always the first.
fn at_column(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

fn about(context: &Map) -> Result<New, Fault> {
    let text = |name: &str| context.get(name).and_then(Value::as_str).map(str::to_owned);
    let object = |name: &str| context.get(name).and_then(Value::as_object).cloned();
    Ok(New {
        id: text("id"),
        title: text("title"),
        user: text("user"),
        system: text("system"),
        settings: Settings::parse(object("settings").unwrap_or_default())?,
        state: object("state").unwrap_or_default(),
        metadata: object("metadata").unwrap_or_default(),
        messages: Vec::new(),
        expires_in: None,
        idle_for: None,
    })
}

/// A note of an exported context, unless its time is over.
fn note(value: &Value) -> Option<NewNote> {
    let expires: Option<jiff::Timestamp> =
        value.get("expires_at").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let left = |end: jiff::Timestamp| {
        u64::try_from(end.as_microsecond().saturating_sub(clock::now())).ok().filter(|t| *t > 0)
    };
    let expires_in = match expires {
        None => None,
        Some(end) => Some(std::time::Duration::from_micros(left(end)?)),
    };
    Some(NewNote {
        kind: NoteKind::parse(value.get("kind")?.as_str()?)?,
        name: value.get("name").and_then(Value::as_str).map(str::to_owned),
        value: value.get("value")?.clone(),
        expires_in,
    })
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    seq: Option<u64>,
    role: String,
    content: Box<RawValue>,
    #[serde(default)]
    dialect: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    meta: Option<Map>,
}

/// One message of ours with its number; without an entry when it was never answered.
fn said(raw: &str) -> Result<(Option<u64>, Option<NewEntry>), String> {
    let said: Said = serde_json::from_str(raw).map_err(|error| at_column(&error))?;
    if said.status.is_some_and(|status| status != "complete") {
        return Ok((said.seq, None));
    }
    let role = Role::parse(&said.role)
        .ok_or_else(|| format!("`{}` is no role", said.role.escape_debug()))?;
    let dialect = match (said.dialect, said.content.get().starts_with('"')) {
        (Some(name), _) => Some(name),
        (None, true) => None,
        (None, false) => Some("anthropic".to_owned()),
    };
    let content = match dialect {
        None => Content::Text(
            serde_json::from_str(said.content.get()).map_err(|error| at_column(&error))?,
        ),
        Some(name) => {
            let raw = Raw { dialect: name.as_str().into(), json: said.content };
            let known =
                named(&name).ok_or_else(|| format!("`{}` is no dialect", name.escape_debug()))?;
            known.message(role, raw.clone()).map_err(|fault| fault.text().to_owned())?;
            Content::Raw(raw)
        }
    };
    let mut meta = said.meta.unwrap_or_default();
    if let Some(time) = said.timestamp {
        meta.entry("said_at").or_insert(time.into());
    }
    Ok((said.seq, Some(NewEntry { role, content, model: said.model, meta })))
}
