//! Contexts out of a server and into one, as documents of any size.

use std::io::{BufReader, BufWriter, IsTerminal as _, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::super::given;
use super::super::reach::Client;
use super::document::{self, FORMAT, Piece, pieces};
use super::{find, path, told};
use crate::remote::{Ask, Class, Failure, PathOf};

/// Limit: bytes of messages in one request; one that is larger goes alone.
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Limit: messages in one request.
const PART_MESSAGES_MAX: usize = 500;
/// Limit: requests that wait to be sent while the document is read on.
const PARTS_MAX: usize = 2;
/// Bytes at the beginning of a document in which its format is looked for.
const LOOKED_AT: usize = 64 * 1024;
/// Bytes after which progress is told again.
const PROGRESS: u64 = 16 * 1024 * 1024;

/// Flags of `context export`.
#[derive(Clone, Debug, Args)]
pub(super) struct Export {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Write into this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
    /// `rapport`, `jsonl`, `anthropic`, `openai_chat` or `openai_responses`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Writes the document.
pub(super) async fn export(client: &mut Client<'_>, export: &Export) -> Result<(), Failure> {
    let id = find(client, export.id.as_deref()).await?;
    let file = export.output.as_deref().filter(|file| *file != "-");
    if let Some(format) = export.format.as_deref().filter(|format| *format != "rapport") {
        let path = path(&id).then("export").query("format", Some(format));
        let text = client.server.text(&Ask::get(path)).await?;
        return match file {
            Some(file) => write(file, &text),
            None => {
                client.printer.line(text.trim_end());
                Ok(())
            }
        };
    }
    let seen = std::io::stderr().is_terminal() && file.is_some();
    let mut progress = |done: u64, all: u64| {
        if seen {
            let mut err = std::io::stderr().lock();
            // Nobody looks: the work itself still matters.
            let _closed = write!(err, "\r{done} of {all} messages");
        }
    };
    let done = match file {
        Some(file) => {
            let mut out = BufWriter::new(create(file)?);
            document::export(client, &id, &mut out, &mut progress).await
        }
        None => {
            let mut out = BufWriter::new(std::io::stdout());
            document::export(client, &id, &mut out, &mut progress).await
        }
    };
    if seen {
        client.printer.note("");
    }
    done.inspect_err(|_| drop(file.map(std::fs::remove_file)))
}

fn create(file: &str) -> Result<std::fs::File, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options
        .write(true)
        .create_new(true)
        .open(file)
        .map_err(|error| Failure::new(Class::Unchecked, format!("cannot write `{file}`: {error}")))
}

/// Writes a document into a file that does not exist yet.
///
/// # Errors
/// [`Class::Unchecked`] when it exists or cannot be written.
pub(in crate::command) fn write(file: &str, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Failure::new(Class::Unchecked, format!("cannot write `{file}`: {error}"))
    };
    create(file)?.write_all(text.as_bytes()).map_err(wrong)
}

/// Flags of `context import`.
#[derive(Clone, Debug, Args)]
pub(super) struct Import {
    /// The document; `-` reads it from standard input
    file: String,
    /// Give it this id instead of its own
    #[arg(long, conflicts_with = "new_id")]
    id: Option<String>,
    /// Give it a new id
    #[arg(long)]
    new_id: bool,
    /// `rapport`, `jsonl`, `anthropic`, `openai_chat`, `openai_responses`, `chatgpt`, `claude`;
    /// found out when left out
    #[arg(long, value_name = "FORMAT", conflicts_with_all = ["id", "new_id"])]
    format: Option<String>,
}

/// Makes contexts from a document; a failure leaves none behind.
pub(super) async fn import(client: &mut Client<'_>, import: &Import) -> Result<(), Failure> {
    let (mut from, bytes) = open(&import.file)?;
    let mut head = Vec::new();
    let wrong = |error: std::io::Error| {
        Failure::new(Class::Unchecked, format!("cannot read `{}`: {error}", import.file))
    };
    from.by_ref().take(LOOKED_AT as u64).read_to_end(&mut head).map_err(wrong)?;
    let ours = String::from_utf8_lossy(&head).contains(FORMAT);
    let named = import.format.as_deref();
    let from = std::io::Cursor::new(head).chain(from);
    if ours && named.is_none_or(|name| name == "rapport" || name == "jsonl") {
        return stream(client, import, Box::new(from), bytes).await;
    }
    if import.id.is_some() || import.new_id {
        let text = format!("`{}` is no document of ours, whose id could be chosen", import.file);
        return Err(Failure::new(Class::Usage, text).hint("leave `--id` and `--new-id` out"));
    }
    whole(client, from, import).await
}

/// A document of another format goes to the server whole, which knows them all.
async fn whole(client: &mut Client<'_>, from: impl Read, import: &Import) -> Result<(), Failure> {
    let text = given::read(from, &import.file)?;
    let path = PathOf::new("/api/v1/import").query("format", import.format.as_deref());
    let reply = client.server.json(&Ask::bare_post(path).with(text)).await?;
    let made = reply.value.get("contexts").and_then(Value::as_array);
    let ids: Vec<&str> =
        made.into_iter().flatten().filter_map(|c| c.get("id").and_then(Value::as_str)).collect();
    if let [only] = ids.as_slice() {
        client.remember(only);
    }
    left_out(client, reply.value.get("left_out").and_then(Value::as_u64).unwrap_or(0));
    let text = ids.join("\n");
    told(client, &reply, &text)
}

fn left_out(client: &mut Client<'_>, count: u64) {
    if count > 0 {
        client.printer.warn(&format!("{count} messages without an answer were left out"));
    }
}

/// A document, and its bytes where that is known.
fn open(file: &str) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let opened = std::fs::File::open(file).map_err(|error| {
        Failure::new(Class::Unchecked, format!("cannot read `{file}`: {error}"))
    })?;
    let bytes = opened.metadata().ok().map(|about| about.len());
    Ok((Box::new(opened), bytes))
}

/// What the reader of a document hands over.
enum Part {
    /// The context.
    Head(Map<String, Value>),
    /// A body for `POST …/messages`.
    Messages(String),
    /// The end, with the messages that were left out.
    End(u64),
}

/// Reads a document of ours and sends it on as it comes, a few megabytes at a time.
async fn stream(
    client: &mut Client<'_>,
    import: &Import,
    from: Box<dyn Read + Send>,
    bytes: Option<u64>,
) -> Result<(), Failure> {
    let read = Arc::new(AtomicU64::new(0));
    let (parts, mut came) = mpsc::channel(PARTS_MAX);
    let from = BufReader::new(Counted { from, read: Arc::clone(&read) });
    let reader = tokio::task::spawn_blocking(move || gather(from, &parts));
    let mut made: Option<(String, Map<String, Value>)> = None;
    let mut dropped = 0;
    let mut result = Ok(());
    let mut last = 0;
    while let Some(part) = came.recv().await {
        let sent = match part {
            Part::Head(context) => {
                let ask = Ask::post("/api/v1/contexts", &body(&context, import)).once();
                let reply = client.server.json(&ask).await;
                reply.map(|reply| made = Some((reply.text("id").to_owned(), context)))
            }
            Part::Messages(body) => match &made {
                Some((id, _)) => {
                    let ask = Ask::bare_post(path(id).then("messages")).with(body).once();
                    client.server.json(&ask).await.map(drop)
                }
                None => Ok(()),
            },
            Part::End(count) => {
                dropped = count;
                Ok(())
            }
        };
        if let Err(failure) = sent {
            result = Err(failure);
            break;
        }
        tell(client, read.load(Ordering::Relaxed), bytes, &mut last);
    }
    // The reader stops at its next part when nobody takes it any more.
    drop(came);
    let end = reader.await.unwrap_or_else(|error| Err(format!("the reader broke: {error}")));
    let result = result.and_then(|()| {
        end.map_err(|why| {
            let text = format!("`{}` is no exported context: {why}", import.file);
            Failure::new(Class::Usage, text).hint("`rapport context export` writes such documents")
        })
    });
    finish(client, result, made, dropped).await
}

/// Closes what was closed, says what was made, or takes it away again.
async fn finish(
    client: &mut Client<'_>,
    result: Result<(), Failure>,
    made: Option<(String, Map<String, Value>)>,
    dropped: u64,
) -> Result<(), Failure> {
    let Some((id, context)) = made else {
        return result.and(Err(Failure::new(Class::Usage, "the document holds no context")));
    };
    let closed = context.get("status").and_then(Value::as_str) == Some("closed");
    let result = match result {
        Ok(()) if closed => {
            client.server.json(&Ask::bare_post(path(&id).then("close"))).await.map(drop)
        }
        other => other,
    };
    if let Err(failure) = result {
        if let Err(left) = client.server.json(&Ask::delete(path(&id))).await {
            client.printer.warn(&format!("the unfinished context `{id}` is left: {left}"));
        }
        return Err(failure);
    }
    client.remember(&id);
    left_out(client, dropped);
    let reply = super::get(client, &id).await?;
    told(client, &reply, &id)
}

fn tell(client: &mut Client<'_>, read: u64, bytes: Option<u64>, last: &mut u64) {
    if read < last.saturating_add(PROGRESS) {
        return;
    }
    *last = read;
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let of = bytes.map_or_else(String::new, |all| format!(" of {}", mib(all)));
    client.printer.note(&format!("{}{of} MiB", mib(read)));
}

/// Counts what is read of a document.
struct Counted {
    from: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn body(context: &Map<String, Value>, import: &Import) -> Value {
    let kept = ["id", "title", "user", "system", "settings", "state", "metadata"];
    let mut body = Map::new();
    for name in kept {
        if let Some(value) = context.get(name).filter(|value| !value.is_null()) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    if import.new_id {
        body.shift_remove("id");
    }
    if let Some(id) = &import.id {
        body.insert("id".to_owned(), json!(id));
    }
    Value::Object(body)
}

#[derive(Deserialize)]
struct Said<'d> {
    role: String,
    #[serde(borrow)]
    content: &'d RawValue,
    #[serde(default)]
    dialect: Option<String>,
    #[serde(default)]
    status: String,
}

/// Reads a document and hands its parts over, each message byte for byte.
fn gather(from: impl Read, to: &mpsc::Sender<Part>) -> Result<(), String> {
    let mut open = String::new();
    let (mut count, mut number, mut unanswered) = (0, 0_u64, 0_u64);
    let gone = |_| "nobody takes it any more".to_owned();
    let close = |open: &mut String| format!("{{\"messages\":[{}]}}", std::mem::take(open));
    pieces(from, &mut |piece| {
        let raw = match piece {
            Piece::Head(context) => return to.blocking_send(Part::Head(context)).map_err(gone),
            Piece::Message(raw) => raw,
        };
        number += 1;
        let said: Said<'_> = serde_json::from_str(raw.get())
            .map_err(|error| format!("message {number} cannot be read: {error}"))?;
        if matches!(said.status.as_str(), "failed" | "pending") {
            unanswered += 1;
            return Ok(());
        }
        let dialect =
            said.dialect.map_or_else(String::new, |d| format!(",\"dialect\":{}", json!(d)));
        let role = json!(said.role);
        let message = format!("{{\"role\":{role}{dialect},\"content\":{}}}", said.content.get());
        let full = open.len() + message.len() > PART_BYTES_MAX || count >= PART_MESSAGES_MAX;
        if full && !open.is_empty() {
            to.blocking_send(Part::Messages(close(&mut open))).map_err(gone)?;
            count = 0;
        }
        if !open.is_empty() {
            open.push(',');
        }
        open.push_str(&message);
        count += 1;
        Ok(())
    })?;
    if !open.is_empty() {
        to.blocking_send(Part::Messages(close(&mut open))).map_err(gone)?;
    }
    to.blocking_send(Part::End(unanswered)).map_err(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bodies that a document becomes, and the messages that were left out.
    fn parts(text: &str) -> Result<(Vec<String>, u64), String> {
        let (to, mut came) = mpsc::channel(1000);
        let result = gather(text.as_bytes(), &to);
        drop(to);
        let (mut bodies, mut left) = (Vec::new(), 0);
        while let Ok(part) = came.try_recv() {
            match part {
                Part::Head(_) => {}
                Part::Messages(body) => bodies.push(body),
                Part::End(count) => left = count,
            }
        }
        result.map(|()| (bodies, left))
    }

    fn document(messages: &[Value]) -> String {
        json!({"format": FORMAT, "context": {"id": "a", "title": null}, "messages": messages})
            .to_string()
    }

    #[test]
    fn messages_go_in_parts_and_questions_without_answer_stay_behind() {
        let mut messages = vec![json!({"role": "user", "content": "x"}); PART_MESSAGES_MAX + 1];
        messages.push(json!({"role": "user", "content": "lost", "status": "failed"}));
        let (bodies, left) = parts(&document(&messages)).unwrap();
        assert_eq!((bodies.len(), left), (2, 1));
        assert_eq!(bodies[1], "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
        let large = json!({"role": "user", "content": "y".repeat(PART_BYTES_MAX)});
        let (bodies, _) = parts(&document(&[large.clone(), large])).unwrap();
        assert_eq!(bodies.len(), 2);
    }

    #[test]
    fn content_keeps_its_bytes_in_one_object_and_in_lines() {
        let message = "{\"role\":\"user\",\"dialect\":\"anthropic\",\"content\":\
                       [{\"type\":\"text\", \"text\":\"\\u00e4\",\"n\":1.50}]}";
        let head = format!("\"format\":\"{FORMAT}\",\"context\":{{}}");
        let whole = format!("{{{head},\"messages\":[{message}]}}");
        let lines = format!("{{{head}}}\n{message}\n{message}\n");
        for (text, count) in [(whole, 1), (lines, 2)] {
            let (bodies, _) = parts(&text).unwrap();
            let body = &bodies[0];
            assert_eq!(
                body.matches("[{\"type\":\"text\", \"text\":\"\\u00e4\",\"n\":1.50}]").count(),
                count
            );
            assert!(body.contains("\"dialect\":\"anthropic\""), "{body}");
        }
    }

    #[test]
    fn what_is_no_exported_context_is_refused() {
        assert!(parts("{}").is_err() && parts("[").is_err() && parts("").is_err());
        let other = json!({"format": "rapport.context/2", "context": {}, "messages": []});
        assert!(parts(&other.to_string()).unwrap_err().contains("`rapport.context/2`"));
        let cut = document(&[json!({"role": "user", "content": "x"})]);
        assert!(parts(cut.get(..cut.len() - 3).unwrap()).is_err());
    }
}
