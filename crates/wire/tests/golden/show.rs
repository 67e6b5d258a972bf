//! Replies and events as text, the files of the cases, and the place of the snapshots.

use std::path::{Path, PathBuf};

use wire::Fault;
use wire::dialect::{DIALECTS, Dialect};
use wire::event::Event;
use wire::frame::eventstream::{Decoder, Frame, encode};
use wire::prompt::{Block, Knobs, Message, Prompt, Role};
use wire::reply::Reply;

/// The dialects that know neither messages nor tools: a conversation is one text there.
pub(crate) const TEXT_ONLY: [&str; 2] = ["ollama_generate", "openai_completions"];

/// The dialects whose answers name no model.
pub(crate) const NAMELESS: [&str; 2] = ["cohere_chat", "bedrock_converse"];

/// The media type of streams of binary frames.
const FRAMES: &str = "application/vnd.amazon.eventstream";

/// The streamed replies of a dialect, by name: events, rows of JSON, or frames.
pub(crate) fn streams(dialect: &dyn Dialect) -> Vec<(String, Vec<u8>)> {
    match dialect.stream_type() {
        "text/event-stream" => cases(dialect.name(), "sse"),
        FRAMES => {
            let all = cases(dialect.name(), "frames").into_iter();
            all.map(|(name, text)| (name, framed(&String::from_utf8(text).unwrap()))).collect()
        }
        _ => cases(dialect.name(), "rows"),
    }
}

/// Frames from their legible form: on each line a kind of message, its name and its data; `raw`
/// bytes are as they are.
fn framed(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        let (name, data) = rest.split_once(' ').unwrap_or((rest, ""));
        let kind_of = (":message-type", kind);
        match kind {
            "event" => out.extend(encode(&[(":event-type", name), kind_of], data.as_bytes())),
            "exception" => {
                out.extend(encode(&[(":exception-type", name), kind_of], data.as_bytes()));
            }
            "error" => {
                let headers = [kind_of, (":error-code", name), (":error-message", data)];
                out.extend(encode(&headers, b""));
            }
            _ => out.extend(rest.as_bytes()),
        }
    }
    out
}

/// A written stream as it is shown: text as it is, frames one on each line.
pub(crate) fn legible(dialect: &dyn Dialect, bytes: &[u8]) -> String {
    if dialect.stream_type() != FRAMES {
        return String::from_utf8(bytes.to_vec()).unwrap();
    }
    let (mut decoder, mut frames) = (Decoder::new(1 << 20), Vec::new());
    decoder.push(bytes, &mut frames).unwrap();
    assert!(!decoder.is_midway());
    let name = |frame: &Frame| {
        let names = [":event-type", ":exception-type"];
        names.iter().find_map(|name| frame.header(name)).unwrap_or_default().to_owned()
    };
    let line = |frame: &Frame| {
        let kind = frame.header(":message-type").unwrap_or_default();
        format!("{kind} {} {}\n", name(frame), String::from_utf8_lossy(&frame.payload))
    };
    frames.iter().map(line).collect()
}

/// The cases of a folder with this extension, by name.
pub(crate) fn cases(folder: &str, extension: &str) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(place(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no {extension} cases in {folder}");
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    paths.into_iter().map(|path| (name(&path), std::fs::read(&path).unwrap())).collect()
}

/// Compares with the snapshot of the case.
pub(crate) fn golden(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(place(folder));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name.to_owned(), text));
}

/// A prompt of these messages and nothing else.
pub(crate) fn prompt(messages: Vec<Message>) -> Prompt {
    Prompt {
        model: "m".to_owned(),
        system: None,
        system_raw: None,
        private: None,
        messages,
        tools: Vec::new(),
        knobs: Knobs::default(),
    }
}

/// Reads a stream in these pieces to its end.
pub(crate) fn stream<'a>(
    dialect: &dyn Dialect,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Message>) {
    let (mut reader, mut out) = (dialect.stream(), Vec::new());
    for piece in pieces {
        reader.push(piece, &mut out);
    }
    let partial = reader.partial();
    reader.finish(&mut out);
    (out, partial)
}

/// Events as lines; pieces of the same block are joined, so that cuts do not show.
pub(crate) fn events(events: &[Event]) -> String {
    let mut lines: Vec<(String, String)> = Vec::new();
    for event in events {
        let (head, text) = match event {
            Event::Start { id, model, usage } => {
                (format!("start {id} {model}"), format!("{usage:?}"))
            }
            Event::Open { index, part } => (format!("open {index}"), format!("{part:?}")),
            Event::Text { index, text } => (format!("text {index}"), text.clone()),
            Event::Thinking { index, text } => (format!("thinking {index}"), text.clone()),
            Event::Input { index, json } => (format!("input {index}"), json.clone()),
            Event::Close { index } => (format!("close {index}"), String::new()),
            Event::Ping => ("ping".to_owned(), String::new()),
            Event::Done(reply) => ("done".to_owned(), format!("\n{}", self::reply(reply))),
            Event::Fault(fault) => ("fault".to_owned(), self::fault(fault)),
        };
        match lines.last_mut() {
            Some((last, held)) if *last == head && !head.starts_with("open") => {
                held.push_str(&text);
            }
            _ => lines.push((head, text)),
        }
    }
    lines.iter().map(|(head, text)| format!("{head}: {text}\n")).collect()
}

pub(crate) fn fault(fault: &Fault) -> String {
    let details = fault.detail_values().map(ToString::to_string).unwrap_or_default();
    let (code, blame) = (fault.code().as_str(), fault.blame().label());
    format!("{code}, {blame}, {} {details}", fault.chain())
}

pub(crate) fn reply(reply: &Reply) -> String {
    format!(
        "{} {} stop {:?}\n{:?}\n{}",
        reply.id,
        reply.model,
        reply.stop,
        reply.usage,
        message(&reply.message)
    )
}

/// A message, its raw form, and how each dialect writes it back.
pub(crate) fn message(message: &Message) -> String {
    let mut out = blocks(message);
    match &message.raw {
        Some(raw) => out.push_str(&format!("raw {}: {}\n", raw.dialect, raw.json)),
        None => out.push_str("raw: none\n"),
    }
    let prompt = prompt(vec![Message::text(Role::User, "?"), message.clone()]);
    for dialect in DIALECTS {
        let body = String::from_utf8(dialect.write(&prompt, false)).unwrap();
        // What stands before is the question.
        let asked = [r#""?"}]}"#, r#""?"}"#, r#""prompt":"#].into_iter();
        let (_, rest) = asked.filter_map(|asked| body.split_once(asked)).next().unwrap();
        out.push_str(&format!("back in {}: {rest}\n", dialect.name()));
    }
    out
}

pub(crate) fn blocks(message: &Message) -> String {
    let line = |block: &Block| match block {
        Block::ToolUse { id, name, input } => format!("ToolUse {id} {name} {input}\n"),
        other => format!("{other:?}\n"),
    };
    message.blocks.iter().map(line).collect()
}

fn place(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(folder)
}
