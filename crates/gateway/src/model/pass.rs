//! Step 7 without translation: the caller's own bytes, to an upstream that speaks their dialect.

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap};
use http::{StatusCode, Uri};
use tokio::time::Instant;
use wire::{Code, Fault};

use super::call::{dice, now};
use super::hold::PATIENCE;
use super::upstream::Upstream;
use crate::client::{Answer, Request, advice, after, backoff};
use crate::provider;

/// Request headers of the caller that an upstream of the same dialect understands.
const CARRIED: &[&str] = &["anthropic-version", "anthropic-beta", "openai-beta"];

impl Upstream {
    /// Sends a body as it is and returns the upstream's answer as it comes.
    ///
    /// `path` is the path below the base URL, when it is not the dialect's own. Tries again, as
    /// often as the provider's settings allow, while no answer has begun; the last answer is
    /// returned whatever its status.
    ///
    /// # Errors
    /// `upstream_unavailable`, `timeout` or `configuration_error`, after the last try.
    pub async fn pass(
        &self,
        body: Bytes,
        caller: &HeaderMap,
        path: Option<&str>,
    ) -> Result<Answer, Fault> {
        let settings = &self.site.settings;
        let until = after(settings.deadlines.total);
        let request = self.passed_request(body, caller, path, until)?;
        let mut tries = 0;
        loop {
            self.site.hold.pass(self.provider(), until).await?;
            tries += 1;
            let more = tries <= settings.retries;
            let request = self.site.signed(request.clone(), self.site.settings.key()).await?;
            let wait = match self.site.client.call(request).await {
                Ok(answer) => match self.pause(&answer) {
                    Some(wait) if more && worthwhile(wait, until) => {
                        answer.let_go();
                        wait
                    }
                    _ => return Ok(answer),
                },
                Err(ended) if ended.again && more => backoff(tries, dice()),
                Err(ended) => return Err(ended.fault),
            };
            let wait = if wait.is_zero() { backoff(tries, dice()) } else { wait };
            if !worthwhile(wait, until) {
                return Err(Fault::new(Code::Timeout, "no time is left for another try")
                    .details(serde_json::json!({"stage": "total"})));
            }
            tracing::debug!(provider = self.provider(), tries, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    fn passed_request(
        &self,
        body: Bytes,
        caller: &HeaderMap,
        path: Option<&str>,
        until: Instant,
    ) -> Result<Request, Fault> {
        let stream = wire::dialect::scan(&body).and_then(|head| head.stream).unwrap_or(false);
        let own;
        let path = match path {
            Some(path) => path,
            None => {
                own = self.site.dialect.path_for(&self.model, stream);
                &own
            }
        };
        let url = self.url_of(path, stream);
        let uri: Uri = url.parse().map_err(|cause| {
            let text = format!("`{}` is not an address", self.site.clean(&url));
            Fault::new(Code::ConfigurationError, text).because(cause)
        })?;
        let mut headers = self.headers(false);
        for name in CARRIED {
            if let Some(value) = caller.get(*name) {
                headers.insert(*name, value.clone());
            }
        }
        if let Some(accept) = caller.get(ACCEPT) {
            headers.insert(ACCEPT, accept.clone());
        }
        let quirks = &self.site.settings.row.quirks;
        let body = if quirks.always { provider::apply(quirks, body.to_vec()).into() } else { body };
        Ok(Request { uri, headers, body, until })
    }

    /// How long to wait before another try; `None` when the answer is final.
    fn pause(&self, answer: &Answer) -> Option<std::time::Duration> {
        if answer.status.is_success() {
            return None;
        }
        let advice = advice(answer.status, &answer.headers, now());
        if answer.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(wait) = advice.wait
        {
            self.site.hold.close(wait);
        }
        advice.again.then(|| advice.wait.unwrap_or_default())
    }
}

fn worthwhile(wait: std::time::Duration, until: Instant) -> bool {
    wait <= PATIENCE && Instant::now() + wait < until
}
