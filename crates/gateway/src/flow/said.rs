//! What of an answer has gone out, where another model may have to go on with it.

use wire::event::{Event, Part};
use wire::prompt::{Block, Message, Prompt, Role};
use wire::reply::Reply;

use crate::model::Upstream;

/// What has gone out.
#[derive(Debug, Default)]
pub(crate) struct Said {
    text: String,
    /// The open block of text, if the last block is one.
    open: Option<usize>,
    has_others: bool,
}

impl Said {
    /// Whether nothing went out.
    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Makes what was said the beginning of the answer that this prompt asks for.
    pub(crate) fn lead(&self, prompt: &mut Prompt, upstream: &Upstream) {
        prompt.private = None;
        prompt.messages.push(Message::text(Role::Assistant, self.text.trim_end()));
        let (provider, model) = (upstream.provider(), upstream.model());
        tracing::warn!(provider, model, "another model goes on in mid-answer");
    }

    /// Whether what went out is words and nothing else.
    pub(crate) fn is_words(&self) -> bool {
        !self.has_others && !self.text.is_empty()
    }

    /// The event as it goes out; nothing for one that would begin what has begun.
    pub(crate) fn take(&mut self, event: Event, goes_on: bool) -> Option<Event> {
        match event {
            Event::Start { .. } if goes_on => None,
            Event::Open { index, part: Part::Text } => {
                if self.open.is_some() {
                    return None;
                }
                self.open = Some(index);
                Some(Event::Open { index, part: Part::Text })
            }
            Event::Open { index, part } => {
                self.has_others |= matches!(part, Part::Tool { .. });
                Some(Event::Open { index, part })
            }
            Event::Text { index, text } => {
                self.text.push_str(&text);
                let index = if goes_on { self.open.unwrap_or(index) } else { index };
                Some(Event::Text { index, text })
            }
            Event::Close { index } => {
                let index = if goes_on { self.open.unwrap_or(index) } else { index };
                if self.open == Some(index) {
                    self.open = None;
                }
                Some(Event::Close { index })
            }
            other => Some(other),
        }
    }

    /// The reply with all that was said.
    pub(crate) fn whole(self, mut reply: Reply, goes_on: bool) -> Reply {
        if goes_on {
            reply.message =
                Message { blocks: vec![Block::Text(self.text.into())], ..reply.message };
            reply.message.raw = None;
        }
        reply
    }
}
