//! Writes replies, whole and streamed, and errors for a caller.

use std::collections::HashMap;

use super::{CHAT, Door, write};
use crate::dialect::body::own;
use crate::dialect::show::{self, Shown, StreamWriter};
use crate::dialect::text::Object;
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Stop, Usage};

/// Writes a whole reply.
pub(super) fn reply(door: Door, reply: &Reply, shown: &Shown) -> String {
    let model = shown.model(&reply.model);
    let end = Some((&reply.stop, &reply.usage));
    match door {
        Door::Chat => {
            let message = message(&reply.message);
            row(model, shown, end, |row| row.raw("message", &message))
        }
        Door::Generate => {
            let thoughts = thoughts(&reply.message);
            row(model, shown, end, |row| {
                row.string("response", &reply.message.plain());
                if !thoughts.is_empty() {
                    row.string("thinking", &thoughts);
                }
            })
        }
    }
}

fn thoughts(message: &Message) -> String {
    let texts = message.blocks.iter().filter_map(|block| match block {
        Block::Thinking { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

fn message(message: &Message) -> String {
    if let Some(json) = own(message.raw.as_ref(), CHAT).filter(|json| json.starts_with('{')) {
        return json.to_owned();
    }
    let calls = message.blocks.iter().filter_map(|block| match block {
        Block::ToolUse { id, name, input } => Some(write::call(id, name, input.get())),
        _ => None,
    });
    let calls: Vec<String> = calls.collect();
    show::object(|object| {
        object.string("role", "assistant");
        object.string("content", &message.plain());
        let thoughts = thoughts(message);
        if !thoughts.is_empty() {
            object.string("thinking", &thoughts);
        }
        if !calls.is_empty() {
            object.raw("tool_calls", &format!("[{}]", calls.join(",")));
        }
    })
}

/// Writes a reply or a row of one. The times that the API reports are not ours to know.
fn row(
    model: &str,
    shown: &Shown,
    end: Option<(&Stop, &Usage)>,
    content: impl FnOnce(&mut Object<'_>),
) -> String {
    show::object(|row| {
        row.string("model", model);
        row.string("created_at", &time(shown.created));
        content(row);
        row.raw("done", if end.is_some() { "true" } else { "false" });
        if let Some((stop, usage)) = end {
            row.string(
                "done_reason",
                match stop {
                    Stop::MaxTokens | Stop::Window => "length",
                    Stop::End
                    | Stop::Sequence
                    | Stop::ToolUse
                    | Stop::Refusal
                    | Stop::Pause
                    | Stop::Other(_) => "stop",
                },
            );
            for name in ["total_duration", "load_duration", "prompt_eval_duration", "eval_duration"]
            {
                row.raw(name, "0");
            }
            row.raw("prompt_eval_count", &usage.prompt().to_string());
            row.raw("eval_count", &usage.output.to_string());
        }
    })
}

/// Seconds since 1970 as a date and time of the Gregorian calendar.
fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    // Years begin in March here, so that the day of a leap year is its last; a cycle of 400 of
    // them has 146,097 days, and 719,468 days lie between its beginning and 1970.
    let days = days.saturating_add(719_468);
    let (cycle, day) = (days / 146_097, days % 146_097);
    let leaps = day / 36_524 - day / 146_096;
    let year = (day - day / 1460 + leaps) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + cycle * 400 + next;
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Writes an error answer.
pub(super) fn refuse(fault: &Fault) -> String {
    show::object(|body| body.string("error", &show::message(fault)))
}

fn send(line: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    door: Door,
    shown: Shown,
    model: String,
    /// The calls whose arguments are still coming, by their block's index.
    calls: HashMap<usize, (String, String, String)>,
}

impl Writer {
    pub(super) fn new(door: Door, shown: &Shown) -> Self {
        let model = shown.model.clone();
        Self { door, shown: shown.clone(), model, calls: HashMap::new() }
    }

    fn piece(&self, text: &str, thinking: &str, end: Option<(&Stop, &Usage)>, out: &mut Vec<u8>) {
        let line = row(&self.model, &self.shown, end, |row| {
            let fields = |object: &mut Object<'_>, name: &str| {
                object.string(name, text);
                if !thinking.is_empty() {
                    object.string("thinking", thinking);
                }
            };
            match self.door {
                Door::Generate => fields(row, "response"),
                Door::Chat => {
                    let message = show::object(|message| {
                        message.string("role", "assistant");
                        fields(message, "content");
                    });
                    row.raw("message", &message);
                }
            }
        });
        send(&line, out);
    }

    fn call(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some((id, name, args)) = self.calls.remove(&index) else { return };
        // The API has no half calls.
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&args).is_ok();
        if !is_json || self.door == Door::Generate {
            return;
        }
        let calls = format!("[{}]", write::call(&id, &name, &args));
        let line = row(&self.model, &self.shown, None, |row| {
            let message = show::object(|message| {
                message.string("role", "assistant");
                message.string("content", "");
                message.raw("tool_calls", &calls);
            });
            row.raw("message", &message);
        });
        send(&line, out);
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { model, .. } => self.shown.model(model).clone_into(&mut self.model),
            Event::Open { index, part: Part::Tool { id, name } } => {
                self.calls.insert(*index, (id.clone(), name.clone(), String::new()));
            }
            Event::Text { text, .. } => self.piece(text, "", None, out),
            Event::Thinking { text, .. } => self.piece("", text, None, out),
            Event::Input { index, json } => {
                if let Some((_, _, args)) = self.calls.get_mut(index) {
                    args.push_str(json);
                }
            }
            Event::Close { index } => self.call(*index, out),
            // A blank line keeps a connection alive, but not every client takes it.
            Event::Open { .. } | Event::Ping => {}
            Event::Done(reply) => {
                self.shown.model(&reply.model).clone_into(&mut self.model);
                self.piece("", "", Some((&reply.stop, &reply.usage)), out);
            }
            Event::Fault(fault) => send(&refuse(fault), out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_the_date_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_795_219_200, "2026-11-21T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(time(seconds), expected);
        }
    }
}
