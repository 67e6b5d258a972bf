//! Step 7: one call of an upstream with its tries, pauses and deadlines.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use http::{StatusCode, Uri};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;
use tokio::time::Instant;
use tracing::Level;
use wire::event::Event;
use wire::prompt::Message;
use wire::reply::Reply;
use wire::{Code, Fault};

use super::culprit::{Culprit, culprit};
use super::hold::PATIENCE;
use super::live::News;
use super::replay::replay;
use super::trail::Try;
use super::upstream::{Failed, Upstream};
use crate::client::{Advice, Answer, Ended, Request, advice, after, backoff};

/// What a limited caller is told when the upstream names no time.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(5);

/// Why one try failed, and whether another makes sense.
struct Setback {
    fault: Fault,
    again: bool,
    wait: Option<Duration>,
    partial: Option<Box<Message>>,
    /// Something of the answer went out already.
    began: bool,
}

impl From<Ended> for Setback {
    fn from(ended: Ended) -> Self {
        Self { fault: ended.fault, again: ended.again, wait: None, partial: None, began: false }
    }
}

impl Setback {
    fn last(fault: Fault) -> Self {
        Self { fault, again: false, wait: None, partial: None, began: false }
    }
}

impl Upstream {
    /// Asks until there is a reply, the tries are used up or the time is.
    pub(super) async fn run(
        &self,
        body: Bytes,
        events: Option<&Sender<Event>>,
    ) -> Result<Reply, Failed> {
        let begun = Instant::now();
        let mut tries = 0;
        let mut flight = self.begin();
        let outcome = Box::pin(self.tries(body, events, &mut tries)).await;
        match &outcome {
            Ok(_) => flight.worked(),
            Err(setback) => flight.failed(culprit(&setback.fault)),
        }
        let outcome = outcome.map_err(|setback| Failed {
            fault: self.passed_on(setback.fault),
            partial: setback.partial.map(|message| *message),
        });
        self.record(&outcome, begun.elapsed(), tries, events.is_some());
        outcome
    }

    async fn tries(
        &self,
        body: Bytes,
        events: Option<&Sender<Event>>,
        tries: &mut u32,
    ) -> Result<Reply, Setback> {
        let until = after(self.site.settings.deadlines.total);
        self.log_payload("sent", &body);
        let mut tried = Vec::new();
        let mut paused = Duration::ZERO;
        loop {
            let key = self.turn(&tried, until).await.map_err(Setback::last)?;
            *tries += 1;
            let one = Try { began: Instant::now(), paused };
            let request = self.request(body.clone(), (events.is_some(), key), until);
            let outcome = match request {
                Ok(request) => self.attempt(request, key, events).await,
                Err(setback) => Err(setback),
            };
            self.noted(&one, key, outcome.as_ref().err().map(|setback| &setback.fault));
            let setback = match outcome {
                Ok(reply) => {
                    self.site.keys.worked(key);
                    return Ok(reply);
                }
                Err(setback) => setback,
            };
            match self.next_try(&setback, (*tries, key), &mut tried, until) {
                Some(wait) => paused = wait,
                None => return Err(setback),
            }
            tracing::debug!(
                provider = self.provider(), model = self.model, tries, wait = ?paused,
                "trying again: {}", setback.fault
            );
            tokio::time::sleep(paused).await;
        }
    }

    /// Waits until the provider may be called, and says with which key.
    pub(super) async fn turn(
        &self,
        tried: &[usize],
        until: Instant,
    ) -> Result<Option<usize>, Fault> {
        let until = if self.hurried { Instant::now() } else { until };
        self.site.hold.pass(self.provider(), until).await?;
        if let Some(trail) = &self.trail {
            trail.tries();
        }
        Ok(self.site.keys.pick(tried))
    }

    /// How long to wait before the next try; `None` when there is to be none.
    fn next_try(
        &self,
        setback: &Setback,
        (tries, key): (u32, Option<usize>),
        tried: &mut Vec<usize>,
        until: Instant,
    ) -> Option<Duration> {
        let culprit = culprit(&setback.fault);
        self.site.keys.failed(key, culprit, setback.wait.or(setback.fault.wait()));
        if setback.began {
            return None;
        }
        if let Some(key) = key.filter(|_| culprit.is_of_the_key()) {
            tried.push(key);
            if self.site.keys.pick(tried).is_some() {
                // Another key needs no pause, and is no second try.
                return Some(Duration::ZERO);
            }
        }
        if self.hurried || !setback.again || tries > self.site.settings.retries {
            return None;
        }
        let wait = setback.wait.unwrap_or_else(|| backoff(tries, dice()));
        let worthwhile = wait <= PATIENCE && Instant::now() + wait < until;
        if worthwhile && culprit.is_of_the_key() {
            tried.clear();
        }
        worthwhile.then_some(wait)
    }

    /// Writes a try down, for those who ask why.
    pub(super) fn noted(&self, one: &Try, key: Option<usize>, fault: Option<&Fault>) {
        let Some(trail) = &self.trail else { return };
        let name = self.site.keys.key(key).map(|key| key.name.as_str());
        // Limit: a line of a report.
        let said = |fault: &Fault| self.site.clean(fault.text()).chars().take(300).collect();
        let failure = fault.map(|fault| (fault, said(fault)));
        trail.note((self.provider(), &self.model, name), one, failure);
    }

    fn request(
        &self,
        body: Bytes,
        (stream, key): (bool, Option<usize>),
        until: Instant,
    ) -> Result<Request, Setback> {
        let path = self.site.dialect.path_for(&self.model, stream);
        let url = self.url_of(&path, stream, key);
        let uri: Uri = url.parse().map_err(|cause| {
            let text = format!("`{}` is not an address", self.site.clean(&url));
            Setback::last(Fault::new(Code::ConfigurationError, text).because(cause))
        })?;
        Ok(Request { uri, headers: self.headers(stream, key), body, until })
    }

    async fn attempt(
        &self,
        request: Request,
        key: Option<usize>,
        events: Option<&Sender<Event>>,
    ) -> Result<Reply, Setback> {
        let until = request.until;
        let used = self.site.keys.key(key);
        let request = self.site.signed(request, used).await.map_err(Setback::last)?;
        let mut answer = self.site.client.call(request).await?;
        let now = now();
        let header = |name: &str| text(&answer.headers, name);
        if let Some(pause) = crate::provider::pause(&header, now) {
            self.rest(key, pause);
        }
        if !answer.status.is_success() {
            let advice = advice(answer.status, &answer.headers, now);
            return Err(self.refused(answer, key, advice).await);
        }
        match (self.form(&answer.headers)?, events) {
            (Form::Json, None) => self.whole(&mut answer).await,
            (Form::Json, Some(events)) => {
                // Some servers do not stream; their callers need not know.
                let reply = self.whole(&mut answer).await?;
                replay(&reply, events).await;
                Ok(reply)
            }
            (Form::Events, Some(events)) => self.streamed(answer, events, until).await,
            (Form::Events, None) => {
                Err(Setback::last(self.unreadable("an event stream that nobody asked for")))
            }
        }
    }

    /// The provider wants to be left alone for a while: by this key, if it has others.
    pub(super) fn rest(&self, key: Option<usize>, pause: Duration) {
        if self.site.keys.len() > 1 {
            self.site.keys.failed(key, Culprit::Limit, Some(pause));
        } else {
            self.site.hold.close(pause);
        }
    }

    /// A status that is not a success.
    async fn refused(&self, mut answer: Answer, key: Option<usize>, advice: Advice) -> Setback {
        let (status, headers) = (answer.status, answer.headers.clone());
        if status == StatusCode::TOO_MANY_REQUESTS
            && let Some(wait) = advice.wait
        {
            self.rest(key, wait);
        }
        if status.is_redirection() {
            return Setback::last(self.redirected(&headers));
        }
        let body = match answer.whole().await {
            Ok(body) => self.site.clean_bytes(&body),
            // The status alone says enough.
            Err(_) => Bytes::new(),
        };
        self.log_payload("received", &body);
        let header = |name: &str| text(&headers, name);
        let mut fault = self.site.dialect.fault(status.as_u16(), &header, &body);
        let detail = |name: &str| fault.detail_values().and_then(|d| d.get(name)).cloned();
        let again = advice.again && detail("should_retry") != Some(Value::Bool(false));
        let limited = matches!(status.as_u16(), 429 | 529);
        // Some say it in words only.
        let wait = advice.wait.or(fault.wait());
        if let Some(wait) = wait.or(limited.then_some(RETRY_AFTER_DEFAULT)) {
            fault = fault.retry_after(wait);
        }
        if matches!(status.as_u16(), 401 | 403) {
            fault = fault.hint(self.key_hint());
        }
        Setback { fault, again, wait, partial: None, began: false }
    }

    fn redirected(&self, headers: &HeaderMap) -> Fault {
        let to = text(headers, LOCATION.as_str()).unwrap_or_default();
        let to: String = self.site.clean(&to).chars().take(200).collect();
        Fault::new(
            Code::UpstreamInvalid,
            format!("provider `{}` points to another address, `{to}`", self.provider()),
        )
        .hint("redirects are not followed: set base_url to the address that answers")
    }

    /// What kind of body a good status came with.
    fn form(&self, headers: &HeaderMap) -> Result<Form, Setback> {
        let wrong = |what: String| Err(Setback::last(self.unreadable(&what)));
        let coding = text(headers, CONTENT_ENCODING.as_str()).unwrap_or_default();
        if !matches!(coding.as_str(), "" | "identity") {
            return wrong(format!("the content encoding `{coding}`"));
        }
        let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default().to_lowercase();
        let kind = kind.split(';').next().unwrap_or("").trim();
        match kind {
            "text/event-stream" => Ok(Form::Events),
            _ if kind == self.site.dialect.stream_type() => Ok(Form::Events),
            "" | "application/json" => Ok(Form::Json),
            _ if kind.ends_with("+json") => Ok(Form::Json),
            _ => wrong(format!("`{kind}`")),
        }
    }

    fn unreadable(&self, what: &str) -> Fault {
        let (provider, url) = (self.provider(), self.site.clean(&self.url(false)));
        Fault::new(
            Code::UpstreamInvalid,
            format!("provider `{provider}` answered with {what} instead of a reply"),
        )
        .hint(format!("check that base_url leads to its API: `{url}` was asked"))
    }

    async fn whole(&self, answer: &mut Answer) -> Result<Reply, Setback> {
        let body = answer.whole().await?;
        self.log_payload("received", &body);
        self.site.dialect.read(&body).map_err(|fault| {
            tracing::warn!(
                provider = self.provider(),
                model = self.model,
                "unreadable answer: {}",
                self.site.clean(&fault.chain())
            );
            Setback::last(fault)
        })
    }

    async fn streamed(
        &self,
        mut answer: Answer,
        events: &Sender<Event>,
        until: Instant,
    ) -> Result<Reply, Setback> {
        let mut reader = self.site.dialect.stream();
        let mut out = Vec::new();
        let mut began = false;
        loop {
            let ended = match answer.chunk().await {
                Ok(Some(bytes)) => {
                    self.log_payload("received", &bytes);
                    reader.push(&bytes, &mut out);
                    None
                }
                Ok(None) => {
                    reader.finish(&mut out);
                    Some(self.unfinished())
                }
                Err(ended) => Some(ended.into()),
            };
            for event in out.drain(..) {
                match event {
                    Event::Done(reply) => {
                        answer.let_go();
                        return Ok(*reply);
                    }
                    Event::Fault(fault) => {
                        let over = ended.is_some() || fault.code() == Code::UpstreamUnavailable;
                        let again = over && !began;
                        let wait = fault.wait();
                        return Err(Setback {
                            fault,
                            again,
                            wait,
                            partial: reader.partial().map(Box::new),
                            began,
                        });
                    }
                    event => {
                        began |= !matches!(event, Event::Ping);
                        self.forward(event, events, until).await?;
                    }
                }
            }
            if let Some(setback) = ended {
                let again = setback.again && !began;
                let partial = reader.partial().map(Box::new);
                return Err(Setback { again, partial, began, ..setback });
            }
        }
    }

    async fn forward(
        &self,
        event: Event,
        events: &Sender<Event>,
        until: Instant,
    ) -> Result<(), Setback> {
        match tokio::time::timeout_at(until, events.send(event)).await {
            // A reader who left does not end the call: the reply is still wanted.
            Ok(Ok(()) | Err(_)) => Ok(()),
            Err(_) => {
                let text = "the stream was not read before its deadline";
                let fault = Fault::new(Code::Timeout, text)
                    .details(json!({"stage": "total", "provider": self.provider()}));
                Err(Setback::last(fault))
            }
        }
    }

    fn unfinished(&self) -> Setback {
        let text = format!("the answer of provider `{}` ended in its middle", self.provider());
        Setback { again: true, ..Setback::last(Fault::new(Code::UpstreamInvalid, text)) }
    }

    /// The fault as callers may see it: a limit as a limit, not as an outage, and no secret of
    /// ours, even when the upstream repeats it.
    pub(super) fn passed_on(&self, fault: Fault) -> Fault {
        let status = fault.detail_values().and_then(|d| d.get("upstream_status"));
        let limited = fault.code() == Code::UpstreamUnavailable && status == Some(&json!(429));
        let text = self.site.clean(fault.text());
        if !limited && text == fault.text() {
            return fault;
        }
        let code = if limited { Code::RateLimited } else { fault.code() };
        let mut out = Fault::new(code, text).blamed(fault.blame());
        if let Some(details) = fault.detail_values() {
            out = out.details(details.clone());
        }
        if let Some(wait) = fault.wait() {
            out = out.retry_after(wait);
        }
        match fault.hint_text() {
            Some(hint) => out.hint(hint),
            None if limited => {
                out.hint("try again after that time, or ask another provider's model")
            }
            None => out,
        }
    }

    /// Where the refused key came from: the upstream cannot know.
    fn key_hint(&self) -> String {
        let settings = &self.site.settings;
        match settings.key().and_then(|key| key.source.as_ref()) {
            Some(source) => format!("check the key of provider `{}` ({source})", settings.name),
            None => format!("provider `{}` wants a key: set its `api_key`", settings.name),
        }
    }

    fn record(&self, outcome: &Result<Reply, Failed>, took: Duration, tries: u32, stream: bool) {
        let (provider, model) = (self.provider(), self.model.as_str());
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match outcome {
            Ok(reply) => {
                self.site.note(model, &News::Good(took, reply.model.clone()));
                // The record of the call has it all; the line would be a part of what it costs.
                tracing::debug!(
                    provider,
                    model,
                    stream,
                    tries,
                    duration_ms,
                    status = "ok",
                    answered_by = reply.model,
                    stop = reply.stop.as_str(),
                    input_tokens = reply.usage.prompt(),
                    output_tokens = reply.usage.output,
                    "upstream call"
                );
            }
            Err(Failed { fault, .. }) => {
                if let Some(news) = self.news(fault) {
                    self.site.note(model, &news);
                }
                tracing::info!(
                    provider,
                    model,
                    stream,
                    tries,
                    duration_ms,
                    status = fault.code().as_str(),
                    blame = fault.blame().label(),
                    "upstream call: {}",
                    self.site.clean(&fault.chain())
                );
            }
        }
    }

    /// The exact payload, for those who asked to see it by the log level.
    fn log_payload(&self, direction: &str, body: &Bytes) {
        if tracing::enabled!(Level::DEBUG) {
            let body = self.site.clean_bytes(body);
            tracing::debug!(
                provider = self.provider(), model = self.model, direction,
                payload = %String::from_utf8_lossy(&body), "upstream payload"
            );
        }
    }
}

/// What a body is.
enum Form {
    Json,
    Events,
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

/// The time of the wall, for dates in headers and statuses.
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// A number from 0 to 1, not for secrets.
pub(crate) fn dice() -> f64 {
    // The standard library's hash keys: the system is asked for them once a thread, not each time.
    let random = RandomState::new().hash_one(()) >> 32;
    f64::from(u32::try_from(random).unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
