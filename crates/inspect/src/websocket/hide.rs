//! Takes secrets out of messages: they stand masked and packed in their frames, and are written
//! plain where there are any.

use super::frame;
use super::messages::{EXTENSIONS, Message, read};
use crate::capture::{Arrival, Exchange, Kind, Tape};
use crate::http::Head;
use crate::redact;

/// Both ways without the secrets in their messages, the caller's first; nothing where there are
/// none.
pub(crate) fn hidden(exchange: &Exchange) -> Option<(Tape, Tape)> {
    if exchange.kind != Kind::WebSocket {
        return None;
    }
    let (mut all, is_all) = read(exchange);
    // What stands beside the messages may hold secrets too, and is left out.
    let mut is_secret = !is_all;
    for message in all.iter_mut().filter(|message| message.is_data() && !message.is_broken) {
        let Ok(text) = std::str::from_utf8(&message.payload) else { continue };
        let shown = redact::text(text);
        if shown != text {
            is_secret = true;
            message.payload = shown.into_bytes();
        }
    }
    // What cannot be read may hold some: it is left out, as is what refers to it.
    is_secret |= all.iter().any(|message| message.is_broken);
    all.retain(|message| !message.is_broken);
    is_secret.then(|| {
        (
            plain(&exchange.asked, exchange.ask.as_ref(), all.iter().filter(|m| m.from_caller)),
            plain(
                &exchange.answered,
                exchange.answer.as_ref(),
                all.iter().filter(|m| !m.from_caller),
            ),
        )
    })
}

/// A way with each message as one frame, under a head that promises no packing.
fn plain<'a>(
    tape: &Tape,
    head: Option<&Head>,
    messages: impl Iterator<Item = &'a Message>,
) -> Tape {
    let length = head.map_or(0, |head| head.length);
    let mut bytes = tape.bytes().get(..length).unwrap_or_default().to_vec();
    if let Some(head) = head.filter(|head| head.header(EXTENSIONS).is_some()) {
        let mut head = head.clone();
        head.set(EXTENSIONS, "");
        bytes = head.write();
    }
    let begun = Arrival { end: bytes.len() as u64, at: tape.at(length as u64) };
    let mut arrivals = vec![begun];
    for message in messages {
        bytes.extend_from_slice(&frame::write(message.kind, &message.payload, message.from_caller));
        arrivals.push(Arrival { end: bytes.len() as u64, at: message.at });
    }
    // What was not kept is still missing.
    let missing = tape.total().saturating_sub(tape.bytes().len() as u64);
    let total = (bytes.len() as u64).saturating_add(missing);
    Tape::restore(bytes, arrivals, total)
}
