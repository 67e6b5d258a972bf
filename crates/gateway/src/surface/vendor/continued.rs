//! An answer that one model begins and another ends: opt-in, by the route.
//!
//! When the first breaks off after it has said something, the next is asked the same with what was
//! said as the beginning of its answer, and its words go on in the same block. Nothing is lost but
//! the joint, which may show in the wording; the record of the call names both.

use std::sync::Arc;

use tokio::sync::mpsc;
use wire::Fault;
use wire::event::{Event, Part};
use wire::prompt::{Block, Message, Prompt, Role};
use wire::reply::Reply;

use crate::flow::STEPS_MAX;
use crate::model::{Failed, Upstream, culprit};

/// Streams from the first target; the others go on where it breaks off.
pub(super) async fn stream(
    targets: Vec<Arc<Upstream>>,
    prompt: Prompt,
    out: mpsc::Sender<Event>,
) -> Result<Reply, Fault> {
    let mut said = Said::default();
    let mut last = None;
    for (place, upstream) in targets.iter().enumerate() {
        let mut prompt = prompt.clone();
        upstream.model().clone_into(&mut prompt.model);
        if place > 0 {
            // Only words can be gone on with: a tool call cut in half is no beginning.
            if !said.is_words() {
                break;
            }
            prompt.private = None;
            prompt.messages.push(Message::text(Role::Assistant, said.text.trim_end()));
            tracing::warn!(
                provider = upstream.provider(),
                model = upstream.model(),
                "another model goes on in mid-answer"
            );
        }
        let (events, mut came) = mpsc::channel(STEPS_MAX);
        let call = upstream.stream(&prompt, events);
        let relay = async {
            while let Some(event) = came.recv().await {
                if let Some(event) = said.take(event, place > 0)
                    && out.send(event).await.is_err()
                {
                    // Whoever left wants nothing more; the call ends with its future.
                    return;
                }
            }
        };
        let (outcome, ()) = tokio::join!(call, relay);
        match outcome {
            Ok(reply) => return Ok(said.whole(reply, place > 0)),
            Err(Failed { fault, .. }) if culprit(&fault).is_elsewhere() => last = Some(fault),
            Err(Failed { fault, .. }) => return Err(fault),
        }
        if said.text.is_empty() {
            // Nothing went out: the walk asks the next one in the ordinary way.
            break;
        }
    }
    Err(last.unwrap_or_else(|| Fault::internal("nobody was asked")))
}

/// What has gone out.
#[derive(Default)]
struct Said {
    text: String,
    /// The open block of text, if the last block is one.
    open: Option<usize>,
    has_others: bool,
}

impl Said {
    /// Whether what went out is words and nothing else.
    fn is_words(&self) -> bool {
        !self.has_others && !self.text.is_empty()
    }

    /// The event as it goes out; nothing for one that would begin what has begun.
    fn take(&mut self, event: Event, goes_on: bool) -> Option<Event> {
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
    fn whole(self, mut reply: Reply, goes_on: bool) -> Reply {
        if goes_on {
            reply.message = Message { blocks: vec![Block::Text(self.text)], ..reply.message };
            reply.message.raw = None;
        }
        reply
    }
}
