//! Answers in the caller's dialect, from a model that speaks another, or from an offline one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Map;
use tokio::sync::mpsc;
use wire::Fault;
use wire::dialect::{Asked, Dialect, Shown, StreamWriter};
use wire::event::{Event, Part};
use wire::prompt::{Block, Message, Role};
use wire::reply::{Reply, Stop, Usage};

use super::{Call, continued, lost, relay};
use crate::flow::STEPS_MAX;
use crate::model::Upstream;
use crate::offline::{Offline, Said};
use crate::route::Record;

/// Who is asked, and who goes on when it breaks off.
pub(super) struct Way {
    /// Who is asked.
    pub(super) upstream: Arc<Upstream>,
    /// Who goes on in mid-answer, in order; empty where that is not wanted.
    pub(super) next: Vec<Arc<Upstream>>,
    /// Others can be asked: nothing goes out before there is content.
    pub(super) holds: bool,
    /// Where it is written down.
    pub(super) record: Record,
}

/// Asks a model of another dialect.
pub(super) async fn translated(call: &Call, way: Way, asked: Asked) -> Result<Response, Fault> {
    let mut shown = shown(call, asked.wants_usage);
    shown.echo.clone_from(&asked.echo);
    let (dialect, streamed) = (call.dialect, asked.stream || call.streams());
    let mut prompt = asked.prompt;
    let Way { upstream, next, holds, record } = way;
    upstream.model().clone_into(&mut prompt.model);
    let (body, lost) = lost::settle(call, (&mut prompt, streamed), &upstream, &asked.dropped)?;
    let mut response = if streamed {
        let (events, came) = mpsc::channel(STEPS_MAX);
        let first = Arc::clone(&upstream);
        // Nobody else reads what is asked; it may be long.
        let later = (!next.is_empty()).then_some((next, prompt));
        let written = Arc::clone(&record);
        let gate = call.gate.clone();
        let ending: Ending = Box::pin(async move {
            let outcome = continued::stream((first, body), later, (events, &written)).await;
            match &outcome {
                Ok(reply) => {
                    gate.metrics().spent(&reply.model, &reply.usage);
                    written.lock().done(Some(reply.usage));
                }
                Err(fault) => written.lock().failed(fault),
            }
            outcome
        });
        record.lock().answers(Some(&upstream));
        stream((dialect, holds), dialect.writer(&shown), (ending, came)).await?
    } else {
        drop(prompt);
        let reply = upstream.send_written(body).await?;
        call.gate.metrics().spent(&reply.model, &reply.usage);
        let mut record = record.lock();
        record.answers(Some(&upstream));
        record.done(Some(reply.usage));
        whole(dialect.reply(&reply, &shown))
    };
    relay::mark(response.headers_mut(), &upstream);
    lost.name(response.headers_mut());
    Ok(response)
}

/// Answers inside the program.
pub(super) fn offline(call: &Call, model: &'static dyn Offline, asked: &Asked) -> Response {
    let texts: Vec<String> = asked.prompt.messages.iter().map(Message::plain).collect();
    let (last, before) = match texts.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", [].as_slice()),
    };
    let earlier = |needle: &str| before.iter().any(|text| text.to_lowercase().contains(needle));
    let state = Map::new();
    let said = Said { context: &call.request, text: last, state: &state, earlier: &earlier };
    let text = model.answer(&said);
    let count = |text: &str| text.len().div_ceil(4) as u64;
    let usage = Usage {
        input: texts.iter().map(|t| count(t)).sum(),
        output: count(&text),
        ..Usage::default()
    };
    let reply = Reply {
        id: format!("msg_{}", call.request),
        model: model.name().to_owned(),
        message: Message::text(Role::Assistant, text),
        stop: Stop::End,
        usage,
        confidence: None,
    };
    let mut shown = shown(call, asked.wants_usage);
    shown.echo.clone_from(&asked.echo);
    let response = if asked.stream {
        events(call.dialect, played(call.dialect, &reply, &shown).into())
    } else {
        whole(call.dialect.reply(&reply, &shown))
    };
    mark_offline(response)
}

fn mark_offline(mut response: Response) -> Response {
    let name = HeaderName::from_static("x-rapport-provider");
    response.headers_mut().insert(name, HeaderValue::from_static("offline"));
    response
}

/// A whole reply as the stream it would have been.
pub(super) fn played(dialect: &dyn Dialect, reply: &Reply, shown: &Shown) -> Vec<u8> {
    let mut writer = dialect.writer(shown);
    let mut out = Vec::new();
    let (id, model) = (reply.id.clone(), reply.model.clone());
    writer.write(&Event::Start { id, model, usage: reply.usage }, &mut out);
    for (index, block) in reply.message.blocks.iter().enumerate() {
        let (part, pieces) = match block {
            Block::Text(text) => {
                let piece = |text: &str| Event::Text { index, text: text.to_owned() };
                (Part::Text, text.split_inclusive(' ').map(piece).collect())
            }
            Block::Thinking { text, .. } => {
                (Part::Thinking, vec![Event::Thinking { index, text: text.clone() }])
            }
            Block::ToolUse { id, name, input } => {
                let part = Part::Tool { id: id.clone(), name: name.clone() };
                (part, vec![Event::Input { index, json: input.get().to_owned() }])
            }
            _ => continue,
        };
        writer.write(&Event::Open { index, part }, &mut out);
        for piece in pieces {
            writer.write(&piece, &mut out);
        }
        writer.write(&Event::Close { index }, &mut out);
    }
    writer.write(&Event::Done(Box::new(reply.clone())), &mut out);
    out
}

/// What of the answer is ours to say.
pub(super) fn shown(call: &Call, wants_usage: bool) -> Shown {
    Shown {
        model: call.head.model.clone().unwrap_or_default(),
        created: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0),
        wants_usage,
        ..Shown::default()
    }
}

/// A whole JSON answer.
pub(super) fn whole(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

/// A stream's head over this body.
pub(super) fn events(dialect: &dyn Dialect, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, dialect.stream_type()),
        (CACHE_CONTROL, "no-cache, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

/// How a streamed call ends.
pub(super) type Ending = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// Streams the events as they come. What fails before the first is an ordinary error answer; with
/// `holds` also what fails before there is content.
pub(super) async fn stream(
    (dialect, holds): (&'static dyn Dialect, bool),
    writer: Box<dyn StreamWriter>,
    (ending, came): (Ending, mpsc::Receiver<Event>),
) -> Result<Response, Fault> {
    let mut flow = Flow { writer, ending: Some(ending), result: None, came, has_content: false };
    let mut first = Vec::new();
    loop {
        match flow.next().await {
            Some(Ok(bytes)) => first.extend_from_slice(&bytes),
            Some(Err(fault)) => return Err(fault),
            None if first.is_empty() => {
                return Err(Fault::internal("the model's stream was empty"));
            }
            None => break,
        }
        if !holds || flow.has_content {
            break;
        }
    }
    let first = Bytes::from(first);
    let rest = futures_util::stream::unfold((Some(first), flow), |(head, mut flow)| async {
        if let Some(bytes) = head {
            return Some((Ok::<Bytes, Infallible>(bytes), (None, flow)));
        }
        match flow.next().await? {
            Ok(bytes) => Some((Ok(bytes), (None, flow))),
            Err(fault) => {
                let mut out = Vec::new();
                flow.writer.write(&Event::Fault(fault), &mut out);
                Some((Ok(out.into()), (None, flow)))
            }
        }
    });
    Ok(events(dialect, Body::from_stream(rest)))
}

struct Flow {
    writer: Box<dyn StreamWriter>,
    ending: Option<Ending>,
    result: Option<Result<Reply, Fault>>,
    came: mpsc::Receiver<Event>,
    /// Something of the answer itself has come.
    has_content: bool,
}

impl Flow {
    /// The next bytes; the fault that ended the stream; `None` after its end.
    async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            let event = tokio::select! {
                biased;
                event = self.came.recv() => event,
                result = poll(&mut self.ending), if self.ending.is_some() => {
                    self.ending = None;
                    self.result = Some(result);
                    continue;
                }
            };
            let mut out = Vec::new();
            self.has_content |=
                !matches!(event, Some(Event::Start { .. } | Event::Ping | Event::Open { .. }));
            let Some(event) = event else {
                let result = match (self.result.take(), self.ending.take()) {
                    (Some(result), _) => result,
                    (None, Some(ending)) => ending.await,
                    (None, None) => return None,
                };
                return Some(result.map(|reply| {
                    self.writer.write(&Event::Done(Box::new(reply)), &mut out);
                    out.into()
                }));
            };
            self.writer.write(&event, &mut out);
            if !out.is_empty() {
                return Some(Ok(out.into()));
            }
        }
    }
}

async fn poll(ending: &mut Option<Ending>) -> Result<Reply, Fault> {
    match ending.as_mut() {
        Some(ending) => ending.await,
        None => std::future::pending().await,
    }
}
