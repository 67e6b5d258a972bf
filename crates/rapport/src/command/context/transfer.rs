//! Contexts out of a server and into one, as documents of any size.

use std::io::{BufWriter, IsTerminal as _, Read, Write};

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::super::reach::Client;
use super::document::{Lost, Upload, download, so_far};
use super::{find, path, told};
use crate::remote::{Ask, Class, Failure, PathOf, Reply};

/// Flags of `context export`.
#[derive(Clone, Debug, Args)]
pub(super) struct Export {
    /// The context, or the beginning of its id; `-` or nothing is the current one
    id: Option<String>,
    /// Write into this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
    /// `rapport`, `jsonl`, `anthropic`, `openai_chat` or `openai_responses`
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only tell what the document would leave out
    #[arg(long, conflicts_with = "output")]
    dry_run: bool,
}

/// Writes the document.
pub(super) async fn export(client: &mut Client<'_>, export: &Export) -> Result<(), Failure> {
    let id = find(client, export.id.as_deref()).await?;
    let format = export.format.as_deref();
    if export.dry_run {
        let path = path(&id).then("export").query("format", format).query("dry_run", Some("true"));
        let reply = client.server.json(&Ask::get(path)).await?;
        let text = would_lose(&reply.value);
        return told(client, &reply, &text);
    }
    let file = export.output.as_deref().filter(|file| *file != "-");
    let mut bar = Bar::new(file.is_some());
    let done = match file {
        Some(file) => {
            let mut out = BufWriter::new(create(file)?);
            let seen = &mut |bytes: u64| bar.show(&format!("{} MiB", bytes / (1024 * 1024)));
            download(client, (&id, format), &mut out, seen).await
        }
        None => {
            let mut out = BufWriter::new(std::io::stdout());
            download(client, (&id, format), &mut out, &mut |_| {}).await
        }
    };
    bar.clear();
    let lost = done.inspect_err(|_| drop(file.map(std::fs::remove_file)))?;
    warn_of(client, &lost);
    Ok(())
}

/// Names what the document does not hold.
fn warn_of(client: &mut Client<'_>, lost: &Lost) {
    if !lost.left_out.is_empty() {
        client.printer.warn(&format!("the document leaves out: {}", lost.left_out));
    }
    if !lost.dropped.is_empty() {
        client.printer.warn(&format!("its format cannot say: {}", lost.dropped));
    }
}

fn would_lose(report: &Value) -> String {
    let left = report.get("left_out").and_then(Value::as_object);
    let mut lines: Vec<String> = left
        .into_iter()
        .flatten()
        .map(|(name, count)| format!("left out: {name} ({count})"))
        .collect();
    let dropped = report.get("dropped").and_then(Value::as_array);
    let dropped = dropped.into_iter().flatten().filter_map(Value::as_str);
    lines.extend(dropped.map(|name| format!("cannot be said: {name}")));
    if lines.is_empty() { "nothing would be left out".to_owned() } else { lines.join("\n") }
}

fn create(file: &str) -> Result<std::fs::File, Failure> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).open(file).map_err(|error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let why = if exists { "it exists".to_owned() } else { error.to_string() };
        let failure = Failure::new(Class::Unchecked, format!("cannot write `{file}`: {why}"));
        if exists { failure.hint("name a new file, or remove that one") } else { failure }
    })
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

/// What becomes of what cannot be read.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnError {
    /// Nothing of the document is imported
    Abort,
    /// It is left out and named
    Skip,
}

/// Flags of `context import`.
#[derive(Clone, Debug, Args)]
pub(super) struct Import {
    /// The document; `-` reads it from standard input
    file: String,
    /// Give the only context this id instead of its own
    #[arg(long, conflicts_with = "new_id")]
    id: Option<String>,
    /// Give every context a new id
    #[arg(long)]
    new_id: bool,
    /// `rapport`, `jsonl`, `anthropic`, `openai_chat`, `openai_responses`, `chatgpt`, `claude`;
    /// found out when left out
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only tell what would be made
    #[arg(long)]
    dry_run: bool,
    /// What becomes of messages that cannot be read
    #[arg(long, value_enum, default_value = "abort")]
    on_error: OnError,
}

/// Makes contexts from a document, all or none.
pub(super) async fn import(client: &mut Client<'_>, import: &Import) -> Result<(), Failure> {
    let (from, bytes) = open(&import.file)?;
    let flag = |on: bool| on.then_some("true");
    let path = PathOf::new("/api/v1/import")
        .query("format", import.format.as_deref())
        .query("id", import.id.as_deref())
        .query("new_ids", flag(import.new_id))
        .query("dry_run", flag(import.dry_run))
        .query("on_error", matches!(import.on_error, OnError::Skip).then_some("skip"));
    let ask = Ask::bare_post(path).with("").streaming();
    let mut bar = Bar::new(true);
    let reply = upload(client, &ask, (Upload::of(from), bytes), &mut bar).await;
    bar.clear();
    let reply = reply?;
    report(client, &reply);
    let made = reply.value.get("contexts").and_then(Value::as_array);
    let ids: Vec<&str> =
        made.into_iter().flatten().filter_map(|c| c.get("id").and_then(Value::as_str)).collect();
    if let ([only], false) = (ids.as_slice(), import.dry_run) {
        client.remember(only);
    }
    let text = if import.dry_run {
        let messages = reply.value.get("messages").and_then(Value::as_u64).unwrap_or_default();
        let contexts = if ids.len() == 1 { "context" } else { "contexts" };
        format!("would make {} {contexts} with {messages} messages", ids.len())
    } else {
        ids.join("\n")
    };
    told(client, &reply, &text)
}

/// Sends the document and listens how far the server is with it.
async fn upload(
    client: &mut Client<'_>,
    ask: &Ask,
    (body, bytes): (Upload, Option<u64>),
    bar: &mut Bar,
) -> Result<Reply, Failure> {
    let mut events = client.server.upload(ask, (body, bytes)).await?;
    while let Some(event) = events.next().await? {
        let value: Value = serde_json::from_str(&event.data).unwrap_or_default();
        match (event.event.as_deref(), value) {
            (Some("progress"), value) => bar.show(&so_far(&value)),
            (Some("done"), value) => return Ok(Reply { raw: event.data.into(), value }),
            (Some("error"), Value::Object(object)) => return Err(Failure::answered(None, object)),
            _ => {}
        }
    }
    let text = "the connection ended before the import did";
    Err(Failure::new(Class::Protocol, text).hint("nothing was imported; try again"))
}

/// Names what was left out, and why.
fn report(client: &mut Client<'_>, reply: &Reply) {
    let count = |name: &str| reply.value.get(name).and_then(Value::as_u64).unwrap_or_default();
    if count("left_out") > 0 {
        let text = format!("{} messages without an answer were left out", count("left_out"));
        client.printer.warn(&text);
    }
    let list = |name: &str| reply.value.get(name).and_then(Value::as_array).cloned();
    let broken = list("broken").unwrap_or_default();
    for one in &broken {
        let word = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
        client.printer.warn(&format!("left out {}: {}", word("place"), word("why")));
    }
    let more = count("skipped").saturating_sub(broken.len() as u64);
    if more > 0 {
        client.printer.warn(&format!("left out {more} more that cannot be read"));
    }
    let dropped = list("dropped").unwrap_or_default();
    let names: Vec<&str> = dropped.iter().filter_map(Value::as_str).collect();
    if !names.is_empty() {
        client.printer.warn(&format!("a context has no place for: {}", names.join(", ")));
    }
}

/// A document, and its bytes where that is known.
fn open(file: &str) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if file == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let wrong = |why: String| {
        Failure::new(Class::Unchecked, format!("cannot read `{file}`: {why}"))
            .hint("name a file that `rapport context export` or another product has written")
    };
    let opened = std::fs::File::open(file).map_err(|error| wrong(error.to_string()))?;
    let about = opened.metadata().map_err(|error| wrong(error.to_string()))?;
    if about.is_dir() {
        return Err(wrong("it is a folder".to_owned()));
    }
    // A pipe has no length.
    let bytes = Some(about.len()).filter(|_| about.is_file());
    Ok((Box::new(opened), bytes))
}

/// One line on a terminal that is written over and over.
struct Bar {
    seen: bool,
    width: usize,
}

impl Bar {
    fn new(wanted: bool) -> Self {
        Self { seen: wanted && std::io::stderr().is_terminal(), width: 0 }
    }

    fn show(&mut self, text: &str) {
        if self.seen {
            let width = self.width.max(text.chars().count());
            let mut err = std::io::stderr().lock();
            // Nobody looks: the work itself still matters.
            let _closed = write!(err, "\r{text:<width$}").and_then(|()| err.flush());
            self.width = width;
        }
    }

    fn clear(&mut self) {
        if self.width > 0 {
            let width = self.width;
            let _closed = write!(std::io::stderr().lock(), "\r{:width$}\r", "");
            self.width = 0;
        }
    }
}
