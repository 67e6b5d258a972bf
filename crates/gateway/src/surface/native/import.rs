//! Conversations into the server, read as they come, whatever their size.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Buf as _, Bytes};
use context::{Import, ImportOrder, Imported, Piece, Reading, Tally};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use wire::frame::sse;
use wire::{Code, Fault};

use super::contexts::{bad_query, one_of};
use super::shape::Problem;
use super::transfer::format_of;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::settings::Limits;
use crate::surface::body;
use crate::surface::problem::{self, Failed};
use crate::tasks;

/// Limit: pieces of the body that wait to be parsed.
const WAITING: usize = 8;
/// Limit: parts of the document that wait to be stored.
const PARTS: usize = 2;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);
/// Limit: events that wait for a slow listener; progress beyond is not told.
const EVENTS: usize = 16;

/// How to read a document.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// `rapport`, `jsonl`, `anthropic`, `openai_chat`, `openai_responses`, `chatgpt` or `claude`;
    /// found out when it is not given.
    format: Option<String>,
    /// The id of the only context of the document, instead of its own.
    id: Option<String>,
    /// Every context gets a new id.
    new_ids: bool,
    /// Only tell what would be made.
    dry_run: bool,
    /// `abort` (default): what cannot be read ends the import. `skip`: it is left out, and named.
    on_error: Option<String>,
}

impl ImportQuery {
    fn order(&self) -> Result<(Reading, ImportOrder), Fault> {
        let skip_broken = match self.on_error.as_deref() {
            None | Some("abort") => false,
            Some("skip") => true,
            Some(other) => return Err(one_of("on_error", other, "`abort` or `skip`")),
        };
        if self.new_ids && self.id.is_some() {
            let text = "`id` and `new_ids` exclude each other";
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("leave one of them out")
                .details(json!({"field": "new_ids"})));
        }
        let reading = Reading { format: format_of(self.format.as_deref())?, skip_broken };
        let (id, new_ids, dry_run) = (self.id.clone(), self.new_ids, self.dry_run);
        Ok((reading, ImportOrder { id, new_ids, dry_run }))
    }
}

/// Makes contexts of a document: of ours, of a request to a model, or of another product's export.
///
/// All of them or none: nobody sees one before the whole document is stored, and what fails, is
/// cut off or is killed leaves nothing. With `Accept: text/event-stream` the answer begins at once
/// and tells `progress` until `done` or `error`.
#[utoipa::path(post, path = "/api/v1/import", tag = "contexts", params(ImportQuery),
    request_body(content = String, description = "The document", content_type = "application/json"),
    responses((status = 201, description = "`contexts` that were made, how many messages were \
                left out because they have no answer or no content, and what was broken; 200 with \
                `dry_run`", body = Object),
              (status = 400, body = Problem), (status = 409, body = Problem),
              (status = 413, body = Problem)))]
pub(crate) async fn import(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ImportQuery>, axum::extract::rejection::QueryRejection>,
    request: axum::extract::Request,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let (reading, order) = query.order()?;
    let (head, body) = request.into_parts();
    let media = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // Lines have a media type of their own; pages of other origins cannot send either unasked.
    if !media.is_some_and(|media| media.starts_with("application/x-ndjson")) {
        body::media_type(&head.headers)?;
    }
    let limits = gate.now().settings.limits.clone();
    let all = length(&head.headers);
    if all.is_some_and(|bytes| bytes > limits.import_bytes) {
        return Err(too_large(limits.import_bytes).into());
    }
    let status = if order.dry_run { StatusCode::OK } else { StatusCode::CREATED };
    let import = gate.contexts().importing(caller.tenant, order)?;
    let work = Work { body, limits, reading, import, read: Arc::default() };
    if wants_events(&head.headers) {
        return Ok(told(&gate, work, all));
    }
    // It goes on to a clean end when the caller is gone.
    let done = gate.tasks().spawn("import", work.run(None)).await;
    let done = done.map_err(|error| Fault::internal("the import was cut off").because(error))??;
    Ok((status, axum::Json(done)).into_response())
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/event-stream"))
}

/// An import under way.
struct Work {
    body: Body,
    limits: Limits,
    reading: Reading,
    import: Import,
    /// Bytes of the document that were taken.
    read: Arc<AtomicU64>,
}

impl Work {
    /// Stores the document as it comes; all of it or nothing.
    async fn run(self, tell: Option<(mpsc::Sender<Bytes>, Option<u64>)>) -> Result<Value, Fault> {
        let Self { body, limits, reading, mut import, read } = self;
        let (to_parser, from_body) = mpsc::channel(WAITING);
        let (to_store, mut parts) = mpsc::channel(PARTS);
        let pump = tasks::spawn("import body", pump(body, limits, to_parser, Arc::clone(&read)));
        let parser = tokio::task::spawn_blocking(move || {
            let gone = |_| Fault::internal("nobody stores the document any more");
            let from = Bodily { from: from_body, piece: Bytes::new(), ended: false };
            context::read_from(from, reading, &mut |piece| {
                to_store.blocking_send(piece).map_err(gone)
            })
        });
        let stored = store(&mut import, &mut parts, &read, tell).await;
        drop(parts);
        let tally = parser
            .await
            .map_err(|error| Fault::internal("the parser was cut off").because(error))
            .and_then(|tally| tally);
        pump.abort();
        // What the store refuses is the reason why the parser stopped.
        match stored.and(tally) {
            Ok(tally) => {
                let made = import.finish().await?;
                tracing::info!(contexts = made.len(), left_out = tally.left_out, "imported");
                Ok(report(&made, &tally))
            }
            Err(fault) => {
                import.undo().await;
                Err(fault)
            }
        }
    }
}

async fn store(
    import: &mut Import,
    parts: &mut mpsc::Receiver<Piece>,
    read: &AtomicU64,
    tell: Option<(mpsc::Sender<Bytes>, Option<u64>)>,
) -> Result<(), Fault> {
    let mut told = tokio::time::Instant::now();
    while let Some(piece) = parts.recv().await {
        import.take(piece).await?;
        if let Some((tell, all)) = tell.as_ref().filter(|_| told.elapsed() >= TELL) {
            told = tokio::time::Instant::now();
            let (contexts, messages) = import.so_far();
            let data = json!({"bytes": read.load(Ordering::Relaxed), "of_bytes": all,
                              "contexts": contexts, "messages": messages});
            let event = sse::encode(Some("progress"), None, &data.to_string());
            // A slow listener misses some of it; one that is gone stops nothing.
            if tell.try_send(event).is_err() {
                continue;
            }
        }
    }
    Ok(())
}

/// Takes the body piece by piece; an empty piece says that it ended as it should.
async fn pump(
    mut body: Body,
    limits: Limits,
    to: mpsc::Sender<Result<Bytes, Fault>>,
    read: Arc<AtomicU64>,
) {
    loop {
        let next = tokio::time::timeout(limits.body_read, body.frame()).await;
        let piece = match next {
            Err(_) => Err(body::slow(limits.body_read)),
            Ok(None) => Ok(Bytes::new()),
            Ok(Some(Err(error))) => {
                Err(Fault::new(Code::InvalidInput, "the body ended early").because(error))
            }
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if data.is_empty() => continue,
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
        };
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let so_far = read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let piece =
            if so_far > limits.import_bytes { Err(too_large(limits.import_bytes)) } else { piece };
        let over = !matches!(&piece, Ok(data) if !data.is_empty());
        if to.send(piece).await.is_err() || over {
            return;
        }
    }
}

/// The body as the parser's thread reads it.
struct Bodily {
    from: mpsc::Receiver<Result<Bytes, Fault>>,
    piece: Bytes,
    ended: bool,
}

impl io::Read for Bodily {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.ended {
            match self.from.blocking_recv() {
                Some(Ok(piece)) => {
                    self.ended = piece.is_empty();
                    self.piece = piece;
                }
                Some(Err(fault)) => return Err(io::Error::other(fault)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = self.piece.len().min(buffer.len());
        if let Some(to) = buffer.get_mut(..count) {
            self.piece.copy_to_slice(to);
        }
        Ok(count)
    }
}

/// Answers at once, and tells how far it is.
fn told(gate: &Gateway, work: Work, all: Option<u64>) -> Response {
    let (tell, mut events) = mpsc::channel::<Bytes>(EVENTS);
    let progress = tell.clone();
    // What becomes of it stands in the last event.
    drop(gate.tasks().spawn("import", async move {
        let (name, data) = match work.run(Some((progress, all))).await {
            Ok(done) => ("done", done),
            Err(fault) => ("error", Value::Object(problem::object(&fault, ""))),
        };
        drop(tell.send(sse::encode(Some(name), None, &data.to_string())).await);
    }));
    let stream = futures_util::stream::poll_fn(move |cx| {
        events.poll_recv(cx).map(|event| event.map(Ok::<Bytes, Infallible>))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

fn report(made: &[Imported], tally: &Tally) -> Value {
    let contexts: Vec<Value> = made
        .iter()
        .map(|made| {
            let fork = made.fork.as_ref();
            json!({"id": &*made.id, "title": made.title, "messages": made.messages,
                   "parent": fork.map(|(parent, _)| &**parent),
                   "fork_seq": fork.map(|(_, seq)| seq)})
        })
        .collect();
    let broken: Vec<Value> =
        tally.broken.iter().map(|b| json!({"place": b.place, "why": b.why})).collect();
    json!({
        "format": tally.format.map(context::Format::as_str), "contexts": contexts,
        "messages": tally.messages, "left_out": tally.left_out, "skipped": tally.skipped,
        "broken": broken, "dropped": tally.dropped,
    })
}

fn too_large(limit: u64) -> Fault {
    Fault::new(Code::PayloadTooLarge, format!("the document is larger than {limit} bytes"))
        .hint("raise `limits.import_bytes`, or import it in parts")
        .details(json!({"limit_bytes": limit}))
}
