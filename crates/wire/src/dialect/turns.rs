//! The messages of a request as the chat dialects have them, whoever speaks them.
//!
//! Invariant: what was written of a conversation is a prefix of what is written when messages are
//! added.

use std::borrow::Cow;

use super::body::{own, stand_in};
use super::losses::Losses;
use super::openai_chat::content;
use super::pairs::{self, Pairs};
use super::show;
use super::text::{Array, Object};
use crate::prompt::{Block, Media, Message, Prompt, Role, Text};

/// In which words one chat dialect differs from the others.
#[derive(Debug)]
pub(super) struct Words {
    /// The dialect, whose own bytes are written as they are.
    pub(super) dialect: &'static str,
    /// Where the text stands that a model says beside its calls; `content` is `null` without one.
    pub(super) beside_calls: &'static str,
    /// Writes a picture, document or recording; `None` where the API has no form for it.
    pub(super) media: fn(&Block, &Media) -> Option<Part<'static>>,
}

/// Writes the `messages` array, instructions first.
pub(super) fn write(out: &mut String, prompt: &Prompt, words: &Words, losses: &Losses) {
    let list = Array::begin(out);
    let mut turns = Turns { list, pairs: Pairs::default(), words, losses };
    if let Some(system) = prompt.system.as_deref().filter(|text| !text.is_empty()) {
        turns.says("system", &system.into());
    }
    for message in &prompt.messages {
        turns.message(message);
    }
    turns.list.end();
}

/// The `messages` array that is being written.
struct Turns<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    words: &'a Words,
    losses: &'a Losses,
}

impl<'a> Turns<'a> {
    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.result(id, pairs::NO_RESULT);
        }
        if let Some(object) = self.own_object(message) {
            self.pairs.pass(message);
            self.list.item().push_str(object);
            return;
        }
        match message.role {
            Role::System => self.says("system", &plain(message)),
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => self.answer(message),
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        self.losses.message(message);
        let mut parts: Vec<Part<'_>> = Vec::new();
        let mut has_results = false;
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    has_results = true;
                    // The dialect has no mark for a tool that failed.
                    if *is_error && !content.to_lowercase().starts_with("error") {
                        self.result(id, &format!("error: {content}"));
                    } else {
                        self.result(id, content);
                    }
                }
                Block::ToolResult { id, content, .. } => {
                    parts.push(Part::Text(Cow::Owned(pairs::orphan(id, content).into())));
                }
                Block::Text(text) if !text.is_blank() => {
                    parts.push(Part::Text(Cow::Borrowed(text)));
                }
                Block::Image(media) | Block::Document(media) | Block::Audio(media) => {
                    match (self.words.media)(block, media) {
                        Some(part) => parts.push(part),
                        None => self.losses.block(block),
                    }
                }
                Block::Text(_) => {}
                Block::Thinking { .. } | Block::ToolUse { .. } | Block::Other { .. } => {
                    self.losses.block(block);
                }
            }
        }
        let texts: Option<Vec<&Text>> = parts.iter().map(Part::text).collect();
        match texts.as_deref() {
            Some([]) if has_results => {}
            Some([]) => self.says("user", &stand_in(message).into()),
            Some([only]) => self.says("user", only),
            Some(texts) => {
                let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
                self.says("user", &texts.join("\n\n").into());
            }
            None => {
                let parts: Vec<String> = parts.iter().map(Part::json).collect();
                let mut object = Object::begin(self.list.item());
                object.string("role", "user");
                object.raw("content", &format!("[{}]", parts.join(",")));
                object.end();
            }
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        self.losses.message(message);
        for block in &message.blocks {
            if !matches!(block, Block::Text(_) | Block::ToolUse { .. }) {
                self.losses.block(block);
            }
        }
        let text = plain(message);
        let calls: Vec<&Block> =
            message.blocks.iter().filter(|b| matches!(b, Block::ToolUse { .. })).collect();
        if calls.is_empty() {
            // A message without text, such as one that holds thoughts only, says nothing here.
            if text.room() > 0 {
                self.says("assistant", &text);
            }
            return;
        }
        let mut object = Object::begin(self.list.item());
        object.string("role", "assistant");
        if text.room() > 0 {
            object.said(self.words.beside_calls, &text);
        } else if self.words.beside_calls == "content" {
            object.raw("content", "null");
        }
        let mut array = Array::begin(object.key("tool_calls"));
        for call in calls {
            content::write_call(call, array.item());
        }
        array.end();
        object.end();
        self.pairs.opens(message);
    }

    /// The message's own bytes, if they are of this dialect.
    fn own_object(&self, message: &'a Message) -> Option<&'a str> {
        own(message.raw.as_ref(), self.words.dialect).filter(|json| json.starts_with('{'))
    }

    fn result(&mut self, id: &str, content: &str) {
        let mut object = Object::begin(self.list.item());
        object.string("role", "tool");
        object.string("tool_call_id", id);
        object.string("content", content);
        object.end();
    }

    fn says(&mut self, role: &str, text: &Text) {
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.said("content", text);
        object.end();
    }
}

/// What a message says in words.
pub(super) fn plain(message: &Message) -> Cow<'_, Text> {
    let mut texts = message.blocks.iter().filter_map(|block| match block {
        Block::Text(text) => Some(text),
        _ => None,
    });
    match (texts.next(), texts.next()) {
        (None, _) => Cow::Owned(Text::default()),
        (Some(only), None) => Cow::Borrowed(only),
        (Some(_), Some(_)) => Cow::Owned(message.plain().into()),
    }
}

/// A part of a user's message.
pub(super) enum Part<'a> {
    Text(Cow<'a, Text>),
    /// The part as it is written.
    Media(String),
}

impl Part<'_> {
    fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            Self::Media(_) => None,
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) => show::object(|object| {
                object.string("type", "text");
                object.said("text", text);
            }),
            Self::Media(json) => json.clone(),
        }
    }
}
