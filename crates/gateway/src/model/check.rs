//! Looks after providers while nobody calls, where their settings want it.
//!
//! A check asks for something cheap. It never takes a key out of use and never says that a model
//! works; it says early that a provider is down, and when it is worth asking again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::HeaderMap;
use http::{Method, Uri};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::call::{dice, now};
use super::upstream::Site;
use crate::client::Request;
use crate::provider::{self, Ask};
use crate::settings::HealthCheck;

/// Failed checks in a row before a provider counts as down: one may be chance.
const FAILURES_MAX: u32 = 2;
/// Limit: the wait before the first check; several providers are not asked in the same moment.
const FIRST: Duration = Duration::from_secs(1);

/// What the checks of a provider have shown.
#[derive(Debug, Default)]
pub(super) struct Checks {
    seen: Mutex<Seen>,
    /// Read on every call, by every model of the provider.
    down: Arc<AtomicBool>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    at: Option<Timestamp>,
    since: Option<Timestamp>,
    took: Duration,
    status: Option<u16>,
    failures: u32,
    error: Option<String>,
}

/// A provider's health check and what it has shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckStatus {
    /// Whether calls go there: false after two failed checks in a row, until a good one; null
    /// before the first.
    pub up: Option<bool>,
    /// Seconds between two checks.
    pub every_seconds: f64,
    /// What is asked for, below the provider's address.
    pub path: String,
    /// When the last check was (RFC 3339).
    pub checked_at: Option<String>,
    /// When `up` last changed (RFC 3339).
    pub since: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: Option<u64>,
    /// The status it was answered with.
    pub status: Option<u16>,
    /// Failed checks in a row.
    pub failures: u32,
    /// What was wrong with the last one.
    pub error: Option<String>,
}

impl Checks {
    /// Tells each model's health whether the provider is down.
    pub(super) fn down(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.down)
    }

    /// Why the provider counts as down.
    pub(super) fn trouble(&self) -> Option<String> {
        if !self.down.load(Ordering::Relaxed) {
            return None;
        }
        self.seen.lock().error.clone()
    }

    /// There are no checks any more: nothing is known.
    pub(super) fn end(&self) {
        *self.seen.lock() = Seen::default();
        self.down.store(false, Ordering::Relaxed);
    }

    /// Takes note of a check; whether the provider came up by it.
    fn note(&self, outcome: Result<u16, (Option<u16>, String)>, took: Duration) -> bool {
        let mut seen = self.seen.lock();
        let first = seen.at.is_none();
        seen.at = Some(now());
        seen.took = took;
        let was_down = self.down.load(Ordering::Relaxed);
        match outcome {
            Ok(status) => {
                (seen.status, seen.error, seen.failures) = (Some(status), None, 0);
            }
            Err((status, error)) => {
                (seen.status, seen.error) = (status, Some(error));
                seen.failures = seen.failures.saturating_add(1);
            }
        }
        let is_down = seen.failures >= FAILURES_MAX || was_down && seen.failures > 0;
        if first || is_down != was_down {
            seen.since = seen.at;
        }
        self.down.store(is_down, Ordering::Relaxed);
        was_down && !is_down
    }

    /// What they have shown.
    pub(super) fn status(&self, check: &HealthCheck, path: &str) -> CheckStatus {
        let seen = self.seen.lock().clone();
        let told = |at: Option<Timestamp>| at.map(|at| at.to_string());
        CheckStatus {
            up: seen.at.map(|_| !self.down.load(Ordering::Relaxed)),
            every_seconds: check.every.as_secs_f64(),
            path: path.to_owned(),
            checked_at: told(seen.at),
            since: told(seen.since),
            took_ms: seen.at.and_then(|_| u64::try_from(seen.took.as_millis()).ok()),
            status: seen.status,
            failures: seen.failures,
            error: seen.error,
        }
    }
}

/// Checks a provider again and again until it is gone from the settings.
pub(super) async fn watch(site: Weak<Site>) {
    let Some(mut wait) = wait(&site, FIRST) else { return };
    loop {
        tokio::time::sleep(wait).await;
        let Some(held) = site.upgrade() else { return };
        let Some(check) = held.settings.health.clone() else { return };
        held.look(&check).await;
        // Some of the time is chance: many gateways do not all ask in the same moment.
        wait = check.every.mul_f64(0.9 + dice() * 0.2);
    }
}

fn wait(site: &Weak<Site>, most: Duration) -> Option<Duration> {
    let every = site.upgrade()?.settings.health.as_ref()?.every;
    Some(every.min(most).mul_f64(dice()))
}

impl Site {
    /// What is asked for.
    pub(super) fn check_path<'c>(&self, check: &'c HealthCheck) -> &'c str {
        check.path.as_deref().unwrap_or(provider::models(&self.settings.dialect))
    }

    /// One check.
    async fn look(&self, check: &HealthCheck) {
        if !self.is_usable() {
            return;
        }
        let key = self.keys.to_check();
        let begun = Instant::now();
        let answered = tokio::time::timeout(check.timeout, self.knock(check, key)).await;
        let outcome = match answered {
            Ok(Ok(status)) if status >= 500 => {
                Err((Some(status), format!("`{}` answered {status}", self.check_path(check))))
            }
            Ok(Ok(status)) => Ok(status),
            // Limit: a line of a status.
            Ok(Err(fault)) => Err((None, self.clean(&fault.chain()).chars().take(300).collect())),
            Err(_) => {
                let (path, time) = (self.check_path(check), check.timeout);
                Err((None, format!("`{path}` did not answer within {time:?}")))
            }
        };
        if outcome.as_ref().is_ok_and(|status| (200..300).contains(status)) {
            self.keys.checked(key);
        }
        let (was, error) = (self.checks.trouble(), outcome.as_ref().err().cloned());
        let came_up = self.checks.note(outcome, begun.elapsed());
        let provider = self.name();
        if came_up {
            tracing::info!(provider, "the health check works again");
            self.ask_again();
        } else if let (None, Some(error)) = (was, self.checks.trouble()) {
            tracing::warn!(provider, error, "the health check fails: others are asked first");
        } else if let Some((_, error)) = error {
            tracing::debug!(provider, error, "the health check failed");
        }
    }

    /// Asks, and returns the status of the answer.
    async fn knock(&self, check: &HealthCheck, key: Option<usize>) -> Result<u16, Fault> {
        let used = self.keys.key(key);
        let ask = Ask { path: self.check_path(check), model: "", stream: false };
        let base = self.client.base();
        let url = base.url(&provider::route(&self.settings, used, base.path(), ask));
        let uri: Uri = url.parse().map_err(|cause| {
            let text = format!("`{}` is not an address", self.clean(&url));
            Fault::new(Code::ConfigurationError, text).because(cause)
        })?;
        let until = Instant::now() + check.timeout;
        let headers: HeaderMap = self.headers_of(key);
        let plain = Request { uri, headers, body: Bytes::new(), until };
        let signed = self.signed(plain, used).await?;
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = signed.uri;
        *request.headers_mut() = signed.headers;
        request.headers_mut().remove(http::header::CONTENT_TYPE);
        let answer = self.client.relay(request, until).await.map_err(|ended| ended.fault)?;
        let status = answer.status.as_u16();
        answer.let_go();
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_chance_two_are_not_and_one_good_check_ends_it() {
        let checks = Checks::default();
        let down = checks.down();
        let took = Duration::ZERO;
        let fail = || checks.note(Err((None, "refused".to_owned())), took);
        assert!(!fail());
        assert!(!down.load(Ordering::Relaxed) && checks.trouble().is_none());
        assert!(!fail());
        assert!(down.load(Ordering::Relaxed));
        assert_eq!(checks.trouble().as_deref(), Some("refused"));
        assert!(checks.note(Ok(200), took), "it came up");
        assert!(!down.load(Ordering::Relaxed) && checks.trouble().is_none());
        assert!(!checks.note(Ok(200), took), "it was up already");
        assert!(!fail() && !down.load(Ordering::Relaxed), "the count began anew");
    }
}
