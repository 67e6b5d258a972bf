//! Bedrock's Converse: bodies, binary frames, errors.

use super::{ARGUMENT_CHARS, Frame, default_message};
use crate::content::{Content, Part, pieces};
use crate::script::ErrorText;
use bytes::Bytes;
use serde_json::{Value, json};

pub(super) fn whole(content: &Content) -> String {
    let blocks: Vec<Value> = content
        .parts
        .iter()
        .filter_map(Part::translated)
        .filter_map(|part| match part {
            Part::Text(fragments) => Some(json!({"text": fragments.concat()})),
            Part::Thinking { text, signature } => {
                let text = json!({"text": text, "signature": signature});
                Some(json!({"reasoningContent": {"reasoningText": text}}))
            }
            Part::Tool { id, name, input } => {
                let call = json!({"toolUseId": id, "name": name, "input": input.value()});
                Some(json!({"toolUse": call}))
            }
            Part::Raw(_) => None,
        })
        .collect();
    let message = json!({"role": "assistant", "content": blocks});
    json!({"output": {"message": message}, "stopReason": reason(content), "usage": usage(content),
           "metrics": {"latencyMs": 1}})
    .to_string()
}

fn reason(content: &Content) -> &str {
    match content.stop_reason.as_str() {
        "refusal" => "content_filtered",
        "pause_turn" => "end_turn",
        other => other,
    }
}

fn usage(content: &Content) -> Value {
    let counted = content.usage;
    let total = [counted.input, counted.cache_read, counted.cache_creation, counted.output];
    json!({"inputTokens": counted.input, "outputTokens": counted.output,
           "totalTokens": total.iter().sum::<u64>(),
           "cacheReadInputTokens": counted.cache_read,
           "cacheWriteInputTokens": counted.cache_creation})
}

pub(super) fn stream(content: &Content) -> Vec<Frame> {
    let mut frames = vec![event("messageStart", &json!({"role": "assistant"}), false)];
    let parts = content.parts.iter().filter_map(Part::translated);
    let parts = parts.filter(|part| !matches!(part, Part::Raw(_)));
    for (index, part) in parts.enumerate() {
        let (start, deltas) = match part {
            Part::Text(fragments) => {
                (None, fragments.iter().map(|text| json!({"text": text})).collect())
            }
            Part::Thinking { text, signature } => {
                let pieces = [json!({"text": text}), json!({"signature": signature})];
                (None, pieces.map(|piece| json!({"reasoningContent": piece})).to_vec())
            }
            Part::Tool { id, name, input } => {
                let start = json!({"toolUse": {"toolUseId": id, "name": name}});
                let piece = |text: String| json!({"toolUse": {"input": text}});
                let pieces = pieces(input.as_str(), ARGUMENT_CHARS).into_iter();
                (Some(start), pieces.map(piece).collect::<Vec<Value>>())
            }
            Part::Raw(_) => continue,
        };
        if let Some(start) = start {
            let start = json!({"contentBlockIndex": index, "start": start});
            frames.push(event("contentBlockStart", &start, false));
        }
        for delta in deltas {
            let delta = json!({"contentBlockIndex": index, "delta": delta});
            frames.push(event("contentBlockDelta", &delta, true));
        }
        frames.push(event("contentBlockStop", &json!({"contentBlockIndex": index}), false));
    }
    frames.push(event("messageStop", &json!({"stopReason": reason(content)}), false));
    let end = json!({"usage": usage(content), "metrics": {"latencyMs": 1}});
    frames.push(event("metadata", &end, false));
    frames
}

fn event(name: &str, data: &Value, is_delta: bool) -> Frame {
    Frame { bytes: framed((":event-type", name, "event"), data.to_string().as_bytes()), is_delta }
}

/// One frame: lengths and their checksum, headers, payload, checksum of all.
fn framed((key, name, kind): (&str, &str, &str), payload: &[u8]) -> Bytes {
    let mut headers: Vec<u8> = Vec::new();
    let all = [(key, name), (":content-type", "application/json"), (":message-type", kind)];
    for (name, value) in all {
        headers.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        headers.extend(name.bytes());
        // 7 is a text.
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        headers.extend(value.bytes());
    }
    let four = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut out: Vec<u8> = Vec::new();
    out.extend(four(headers.len() + payload.len() + 16));
    out.extend(four(headers.len()));
    out.extend(crc32(&out).to_be_bytes());
    out.extend(headers);
    out.extend(payload);
    out.extend(crc32(&out).to_be_bytes());
    out.into()
}

/// The checksum of zlib, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// What the service calls an error of this status.
pub(crate) fn kind(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        400..500 => "ValidationException",
        _ => "InternalServerException",
    }
}

pub(super) fn error(status: u16, text: &ErrorText) -> String {
    let message = text.message.as_deref().unwrap_or_else(|| default_message(status));
    json!({"message": message}).to_string()
}

/// An error in mid-stream; nothing follows it.
pub(super) fn error_event(text: &ErrorText) -> Frame {
    let name = text.kind.as_deref().unwrap_or("serviceUnavailableException");
    let payload = error(503, text);
    Frame {
        bytes: framed((":exception-type", name, "exception"), payload.as_bytes()),
        is_delta: false,
    }
}

/// A frame whose JSON ends in the middle.
pub(super) fn broken() -> Frame {
    let name = (":event-type", "contentBlockDelta", "event");
    Frame { bytes: framed(name, b"{\"contentBlockIndex\":0,\"del"), is_delta: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_lengths_and_checksums() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let frame = framed((":event-type", "a", "event"), b"{}");
        let four = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
        assert_eq!(usize::try_from(four(0)).unwrap(), frame.len());
        assert_eq!(usize::try_from(four(4)).unwrap(), frame.len() - 16 - 2);
        assert_eq!(four(8), crc32(&frame[..8]));
        assert_eq!(four(frame.len() - 4), crc32(&frame[..frame.len() - 4]));
    }
}
