//! Step 7 without translation: the caller's own bytes, to an upstream that speaks their dialect.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;
use wire::dialect::AnthropicVersion;
use wire::{Code, Fault};

use super::call::{dice, now};
use super::culprit::{Culprit, culprit};
use super::hold::PATIENCE;
use super::live::News;
use super::trail::Try;
use super::upstream::Upstream;
use crate::client::{Answer, Request, advice, after, backoff};
use crate::provider::{self, AuthKind};

/// The header that names the version of Anthropic's API.
const VERSION: &str = "anthropic-version";
/// The header that names what could not be carried over.
const DROPPED: HeaderName = HeaderName::from_static("x-rapport-dropped");

/// Request headers of the caller that an upstream of the same dialect understands.
const CARRIED: &[&str] = &["anthropic-version", "anthropic-beta", "openai-beta"];

impl Upstream {
    /// Sends a body as it is and returns the upstream's answer as it comes.
    ///
    /// `path` is the path below the base URL; with it comes whether a stream is asked for, which
    /// some providers have to be told in the path. Tries again, as often as the provider's settings
    /// allow, while no answer has begun; the last answer is returned whatever its status.
    ///
    /// # Errors
    /// `upstream_unavailable`, `timeout` or `configuration_error`, after the last try.
    pub async fn pass(
        &self,
        body: Bytes,
        caller: &HeaderMap,
        path: (&str, bool),
    ) -> Result<Answer, Fault> {
        let (body, lost) = self.passed_body(body, caller)?;
        let mut answer = self.passed(body, caller, path).await?;
        if let Ok(value) = HeaderValue::from_str(&lost.join(", "))
            && !lost.is_empty()
        {
            answer.headers.insert(DROPPED, value);
        }
        Ok(answer)
    }

    /// Tries until an answer begins that is worth passing on.
    async fn passed(
        &self,
        body: Bytes,
        caller: &HeaderMap,
        path: (&str, bool),
    ) -> Result<Answer, Fault> {
        let settings = &self.site.settings;
        let until = after(settings.deadlines.total);
        let (mut tries, mut tried, mut paused) = (0, Vec::new(), Duration::ZERO);
        loop {
            let key = self.turn(&tried, until).await?;
            tries += 1;
            let one = Try { began: Instant::now(), paused };
            let request = self.passed_request(body.clone(), caller, (path, key), until)?;
            let request = self.site.signed(request, self.site.keys.key(key)).await?;
            let more = tries <= settings.retries && !self.hurried;
            paused = match self.site.client.call(request).await {
                Ok(answer) => match self.judged(answer, (key, &mut tried), &one).await {
                    Judged::Final(answer) => return Ok(answer),
                    Judged::OtherKey => Duration::ZERO,
                    Judged::Later(answer, wait) => {
                        let wait = wait.unwrap_or_else(|| backoff(tries, dice()));
                        if !more || !worthwhile(wait, until) {
                            return Ok(answer);
                        }
                        answer.let_go();
                        tried.clear();
                        wait
                    }
                },
                Err(ended) => {
                    self.noted(&one, key, Some(&ended.fault));
                    self.tell(&ended.fault);
                    let wait = backoff(tries, dice());
                    if !ended.again || !more || !worthwhile(wait, until) {
                        return Err(ended.fault);
                    }
                    wait
                }
            };
            tracing::debug!(provider = self.provider(), tries, wait = ?paused, "trying again");
            tokio::time::sleep(paused).await;
        }
    }

    /// What an answer means for the next try. A refusal is read, and can be read again.
    async fn judged(
        &self,
        answer: Answer,
        (key, tried): (Option<usize>, &mut Vec<usize>),
        one: &Try,
    ) -> Judged {
        if answer.status.is_success() {
            self.site.keys.worked(key);
            self.noted(one, key, None);
            self.site.note(&self.model, &News::Answered(one.began.elapsed()));
            return Judged::Final(answer);
        }
        let advice = advice(answer.status, &answer.headers, now());
        let (answer, fault) = self.fault_of(answer).await;
        self.noted(one, key, Some(&fault));
        self.tell(&fault);
        let culprit = culprit(&fault);
        if culprit == Culprit::Limit
            && let Some(wait) = advice.wait.or(fault.wait())
        {
            self.rest(key, wait);
        }
        self.site.keys.failed(key, culprit, advice.wait.or(fault.wait()));
        if let Some(key) = key.filter(|_| culprit.is_of_the_key()) {
            tried.push(key);
            if self.site.keys.pick(tried).is_some() {
                return Judged::OtherKey;
            }
        }
        if advice.again { Judged::Later(answer, advice.wait) } else { Judged::Final(answer) }
    }

    /// Keeps for the statuses what a failed try says of the provider.
    fn tell(&self, fault: &Fault) {
        if let Some(news) = self.news(fault) {
            self.site.note(&self.model, &news);
        }
    }

    /// The fault in a refusal, and the refusal as it was.
    pub(crate) async fn fault_of(&self, mut answer: Answer) -> (Answer, Fault) {
        let status = answer.status.as_u16();
        let headers = answer.headers.clone();
        let body = answer.keep_whole().await;
        let header = |name: &str| {
            headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
        };
        let fault = self.site.dialect.fault(status, &header, &self.site.clean_bytes(&body));
        (answer, fault)
    }

    /// The body as this provider takes it, and what its version of the API does not know.
    fn passed_body(&self, body: Bytes, caller: &HeaderMap) -> Result<(Bytes, Vec<String>), Fault> {
        let (body, lost) = self.of_version(body, caller)?;
        let quirks = &self.site.settings.row.quirks;
        let body = if quirks.always { provider::apply(quirks, body.to_vec()).into() } else { body };
        Ok((body, lost))
    }

    /// The body in the version that the provider is to be asked in, where that is configured and
    /// not the caller's.
    fn of_version(&self, body: Bytes, caller: &HeaderMap) -> Result<(Bytes, Vec<String>), Fault> {
        let own = self.site.settings.version.as_deref().filter(|_| self.is_versioned());
        let theirs = caller.get(VERSION).and_then(|value| value.to_str().ok());
        let (Some(own), Some(theirs)) = (own, theirs) else { return Ok((body, Vec::new())) };
        if own == theirs {
            return Ok((body, Vec::new()));
        }
        let own = AnthropicVersion::parse(own).map_err(|fault| {
            let text = format!("provider `{}`: {}", self.provider(), fault.text());
            let hint = fault.hint_text().unwrap_or_default().to_owned();
            Fault::new(Code::ConfigurationError, text).hint(hint)
        })?;
        let (sent, lost) = AnthropicVersion::parse(theirs)?.translate(&body, own)?;
        let changed = match sent {
            Cow::Borrowed(_) => None,
            Cow::Owned(sent) => Some(sent.into()),
        };
        Ok((changed.unwrap_or(body), lost))
    }

    /// Whether `anthropic-version` names the version of this provider's API.
    fn is_versioned(&self) -> bool {
        let settings = &self.site.settings;
        settings.dialect == "anthropic" && settings.auth != AuthKind::Google
    }

    fn passed_request(
        &self,
        body: Bytes,
        caller: &HeaderMap,
        ((path, stream), key): ((&str, bool), Option<usize>),
        until: Instant,
    ) -> Result<Request, Fault> {
        let url = self.url_of(path, stream, key);
        let uri: Uri = url.parse().map_err(|cause| {
            let text = format!("`{}` is not an address", self.site.clean(&url));
            Fault::new(Code::ConfigurationError, text).because(cause)
        })?;
        let mut headers = self.headers(false, key);
        // A version that is configured is what the body is in.
        let is_fixed = self.is_versioned() && self.site.settings.version.is_some();
        for name in CARRIED.iter().filter(|name| !is_fixed || **name != VERSION) {
            if let Some(value) = caller.get(*name) {
                headers.insert(*name, value.clone());
            }
        }
        if let Some(accept) = caller.get(ACCEPT) {
            headers.insert(ACCEPT, accept.clone());
        }
        Ok(Request { uri, headers, body, until })
    }
}

/// What an answer means for the next try.
enum Judged {
    /// It is the answer.
    Final(Answer),
    /// Another key of the provider may get a better one.
    OtherKey,
    /// A later try may get a better one; the provider may have said when.
    Later(Answer, Option<Duration>),
}

fn worthwhile(wait: Duration, until: Instant) -> bool {
    wait <= PATIENCE && Instant::now() + wait < until
}
