//! The API's versions, and a request of one as a request of the other. Answers are the same in
//! both.

use bytes::Bytes;
use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{Anthropic, content};
use crate::dialect::body::quoted;
use crate::dialect::fields::Fields;
use crate::dialect::head::{Edit, Parts};
use crate::dialect::{Asked, Dialect, Shown, StreamReader, StreamWriter, Written};
use crate::fault::{Code, Fault};
use crate::prompt::{Block, Message, Prompt, Raw, Role, Source};
use crate::reply::Reply;

/// A version of Anthropic's API, as `anthropic-version` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnthropicVersion {
    /// `2023-06-01`: the first that lasted.
    First,
    /// `2026-10-21`: knows no `temperature`, `top_p` and `top_k`, no documents that an assistant
    /// says, and no citations in what a user says.
    Second,
}

/// The parameters that the second version refuses, whatever their value.
const GONE: [&str; 3] = ["temperature", "top_p", "top_k"];

impl AnthropicVersion {
    /// Every version, the oldest first.
    pub const ALL: [Self; 2] = [Self::First, Self::Second];

    /// The version as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "2023-06-01",
            Self::Second => "2026-10-21",
        }
    }

    /// Reads a version.
    ///
    /// # Errors
    /// `version_mismatch` with the versions there are.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            let known = Self::ALL.map(Self::as_str).join("`, `");
            Fault::new(Code::VersionMismatch, format!("there is no version `{shown}` of this API"))
                .hint(format!("send `anthropic-version` with one of `{known}`"))
                .details(serde_json::json!({"header": "anthropic-version"}))
        })
    }

    /// Checks that a request keeps to its own version: who sends what it does not know is told so,
    /// and neither obeyed nor silently overheard.
    ///
    /// # Errors
    /// `invalid_input` that names the field.
    pub fn check(self, body: &[u8]) -> Result<(), Fault> {
        if self == Self::First {
            return Ok(());
        }
        let Some(parts) = Parts::of(body) else { return Ok(()) };
        match GONE.into_iter().find(|name| parts.find(body, name).is_some()) {
            Some(name) => {
                let text = format!("version `{}` of this API has no `{name}`", self.as_str());
                Err(Fault::new(Code::InvalidInput, text)
                    .hint(format!(
                        "leave it out, or send `anthropic-version: {}`",
                        Self::First.as_str()
                    ))
                    .details(serde_json::json!({"field": name})))
            }
            None => Ok(()),
        }
    }

    /// Makes of a request of this version one of another: the body, and what it had to leave out.
    /// Every byte that need not change stays; a body that is no object is the upstream's to judge.
    ///
    /// # Errors
    /// What [`AnthropicVersion::check`] finds.
    pub fn translate(self, body: &[u8], to: Self) -> Result<(Cow<'_, [u8]>, Vec<String>), Fault> {
        let mut lost = Vec::new();
        if self == to {
            return Ok((Cow::Borrowed(body), lost));
        }
        self.check(body)?;
        if to == Self::First {
            // What the second knows the first knows too.
            return Ok((Cow::Borrowed(body), lost));
        }
        let parts = Parts::of(body);
        let changed = parts.and_then(|parts| {
            parts.rewrite(body, |name, value| match name {
                _ if GONE.contains(&name) => {
                    note(&mut lost, name);
                    Edit::Drop
                }
                "messages" => replaced(messages(value, &mut lost)),
                _ => Edit::Keep,
            })
        });
        Ok((changed.map_or(Cow::Borrowed(body), Cow::Owned), lost))
    }
}

fn note(lost: &mut Vec<String>, what: &str) {
    if !lost.iter().any(|held| held == what) {
        lost.push(what.to_owned());
    }
}

fn replaced(value: Option<Vec<u8>>) -> Edit {
    value.map_or(Edit::Keep, Edit::Replace)
}

fn messages(list: &[u8], lost: &mut Vec<String>) -> Option<Vec<u8>> {
    Parts::of(list)?.rewrite(list, |_, message| {
        let Some(parts) = Parts::of(message) else { return Edit::Keep };
        let role = parts.find(message, "role").unwrap_or_default().to_owned();
        replaced(parts.rewrite(message, |name, value| match (name, role.as_slice()) {
            ("content", b"\"assistant\"") => replaced(said(value, lost)),
            ("content", b"\"user\"") => replaced(asked(value, lost)),
            _ => Edit::Keep,
        }))
    })
}

/// What an assistant says: documents become their text.
fn said(content: &[u8], lost: &mut Vec<String>) -> Option<Vec<u8>> {
    Parts::of(content)?.rewrite(content, |_, block| {
        let is_document = kind(block) == Some("document");
        if !is_document {
            return Edit::Keep;
        }
        note(lost, "document");
        let list = [b"[", block, b"]"].concat();
        let raw: Option<&RawValue> = serde_json::from_slice(&list).ok();
        let text = raw.and_then(|raw| content::blocks(raw, None).ok()).and_then(|blocks| {
            match blocks.into_iter().next() {
                Some(Block::Document(media)) => match media.source {
                    Source::Text(text) => Some(text.to_string()),
                    _ => None,
                },
                _ => None,
            }
        });
        // A message must not become empty.
        let text = text.unwrap_or_else(|| "[document]".to_owned());
        Edit::Replace(format!(r#"{{"type":"text","text":{}}}"#, quoted(&text)).into_bytes())
    })
}

/// What a user says: its texts without citations.
fn asked(content: &[u8], lost: &mut Vec<String>) -> Option<Vec<u8>> {
    Parts::of(content)?.rewrite(content, |_, block| {
        if kind(block) != Some("text") {
            return Edit::Keep;
        }
        let Some(parts) = Parts::of(block) else { return Edit::Keep };
        replaced(parts.rewrite(block, |name, value| {
            let is_empty = || Parts::of(value).is_some_and(|list| list.is_empty());
            if name != "citations" || value == b"null" || is_empty() {
                return Edit::Keep;
            }
            note(lost, "citations");
            Edit::Drop
        }))
    })
}

/// The type of a block, if it is one of those that matter here.
fn kind(block: &[u8]) -> Option<&'static str> {
    let raw: &RawValue = serde_json::from_slice(block).ok()?;
    let kind = Fields::read(raw)?.string("type")?;
    ["document", "text"].into_iter().find(|known| *known == kind)
}

/// The dialect in the words of its second version.
#[derive(Clone, Copy, Debug)]
pub struct AnthropicSecond;

impl Dialect for AnthropicSecond {
    fn name(&self) -> &'static str {
        Anthropic.name()
    }

    fn path(&self) -> &'static str {
        Anthropic.path()
    }

    fn render(&self, prompt: &Prompt, stream: bool) -> Written {
        let mut written = Anthropic.render(prompt, stream);
        let first = AnthropicVersion::First;
        if let Ok((Cow::Owned(body), lost)) =
            first.translate(&written.body, AnthropicVersion::Second)
        {
            lost.iter().for_each(|what| note(&mut written.dropped, what));
            written.body = body;
        }
        written
    }

    fn read(&self, body: &[u8]) -> Result<Reply, Fault> {
        Anthropic.read(body)
    }

    fn stream(&self) -> Box<dyn StreamReader> {
        Anthropic.stream()
    }

    fn fault(&self, status: u16, header: &dyn Fn(&str) -> Option<String>, body: &[u8]) -> Fault {
        Anthropic.fault(status, header, body)
    }

    fn message(&self, role: Role, raw: Raw) -> Result<Message, Fault> {
        Anthropic.message(role, raw)
    }

    fn request(&self, body: &Bytes) -> Result<Asked, Fault> {
        Anthropic.request(body)
    }

    fn reply(&self, reply: &Reply, shown: &Shown) -> Vec<u8> {
        Anthropic.reply(reply, shown)
    }

    fn writer(&self, shown: &Shown) -> Box<dyn StreamWriter> {
        Anthropic.writer(shown)
    }

    fn refuse(&self, status: u16, fault: &Fault) -> Vec<u8> {
        Anthropic.refuse(status, fault)
    }
}
