//! A whole reply as the events it would have been.

use tokio::sync::mpsc::Sender;
use wire::event::{Event, Part};
use wire::prompt::Block;
use wire::reply::Reply;

/// Plays a whole reply as the stream it should have been.
pub(super) async fn replay(reply: &Reply, events: &Sender<Event>) {
    let (id, model) = (reply.id.clone(), reply.model.clone());
    let mut all = vec![Event::Start { id, model, usage: reply.usage }];
    for (index, block) in reply.message.blocks.iter().enumerate() {
        let (part, piece) = match block {
            Block::Text(text) => (Part::Text, Some(Event::Text { index, text: text.to_string() })),
            Block::Thinking { text, .. } => {
                (Part::Thinking, Some(Event::Thinking { index, text: text.clone() }))
            }
            Block::ToolUse { id, name, input } => (
                Part::Tool { id: id.clone(), name: name.clone() },
                Some(Event::Input { index, json: input.get().to_owned() }),
            ),
            Block::ToolResult { .. } => (Part::Other("tool_result".to_owned()), None),
            Block::Image(_) => (Part::Other("image".to_owned()), None),
            Block::Document(_) => (Part::Other("document".to_owned()), None),
            Block::Audio(_) => (Part::Other("audio".to_owned()), None),
            Block::Other { kind } => (Part::Other(kind.clone()), None),
        };
        all.push(Event::Open { index, part });
        all.extend(piece);
        all.push(Event::Close { index });
    }
    for event in all {
        if events.send(event).await.is_err() {
            return;
        }
    }
}
