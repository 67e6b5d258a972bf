//! The answer of an upstream: its head is here, its bytes come.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use wire::{Code, Fault};

use super::direct::Lent;
use super::line::Broken;
use super::pool::{Ended, late};
use crate::settings::Deadlines;
use crate::tasks;

/// Limit: the bytes of one response.
const RESPONSE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Where the bytes of a body come from.
pub(super) enum Coming {
    /// A connection of the pool.
    Pool(Incoming),
    /// A connection that this call drives.
    Line(Box<Lent>),
}

/// What broke a body that had begun.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Pool(#[from] hyper::Error),
    #[error(transparent)]
    Line(#[from] Broken),
}

impl Coming {
    /// The next bytes; trailers say nothing we need.
    async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        match self {
            Self::Line(line) => Ok(line.chunk().await?),
            Self::Pool(body) => loop {
                let Some(frame) = body.frame().await.transpose()? else { return Ok(None) };
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            },
        }
    }
}

/// The response of an upstream: its head is here, its bytes come.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Coming,
    bytes: usize,
    limit: usize,
    until: Instant,
    provider: String,
    deadlines: Deadlines,
    /// Bytes that were looked at and put back.
    back: VecDeque<Bytes>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    pub(super) fn new(
        (status, headers): (StatusCode, HeaderMap),
        body: Coming,
        (until, provider, deadlines): (Instant, String, Deadlines),
    ) -> Self {
        let (bytes, limit, back) = (0, RESPONSE_BYTES_MAX, VecDeque::new());
        Self { status, headers, body, bytes, limit, until, provider, deadlines, back }
    }

    /// Whoever reads it has to bound it.
    pub(super) fn is_endless(&mut self) {
        self.limit = usize::MAX;
    }

    /// The next bytes; `None` when the response is complete.
    ///
    /// # Errors
    /// `timeout` with its stage, `upstream_unavailable` when the connection broke,
    /// `upstream_invalid` for a response without end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Ended> {
        if let Some(bytes) = self.back.pop_front() {
            return Ok(Some(bytes));
        }
        let idle = super::after(self.deadlines.idle);
        let (stage, at, after) = if idle < self.until {
            ("idle", idle, self.deadlines.idle)
        } else {
            ("total", self.until, self.deadlines.total)
        };
        let Ok(came) = tokio::time::timeout_at(at, self.body.next()).await else {
            return Err(Ended {
                fault: late(&self.provider, stage, after),
                again: false,
                unsent: false,
            });
        };
        let came = came.map_err(|cause| self.cut(cause))?;
        let Some(bytes) = came else { return Ok(None) };
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.limit {
            return Err(self.endless());
        }
        Ok(Some(bytes))
    }

    /// All bytes of the response.
    ///
    /// # Errors
    /// As [`Answer::chunk`].
    pub async fn whole(&mut self) -> Result<Bytes, Ended> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        let mut all = Vec::with_capacity(first.len().saturating_add(second.len()));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(next) = self.chunk().await? {
            all.extend_from_slice(&next);
        }
        Ok(all.into())
    }

    /// Puts bytes back that were only looked at: they come first again.
    pub fn put_back(&mut self, bytes: VecDeque<Bytes>) {
        for bytes in bytes.into_iter().rev() {
            self.back.push_front(bytes);
        }
    }

    /// All bytes of a refusal, which can still be read after this; what comes after a break is
    /// left out.
    pub async fn keep_whole(&mut self) -> Bytes {
        let body = self.whole().await.unwrap_or_default();
        self.put_back([body.clone()].into());
        body
    }

    /// Reads what is left in the background, so that the connection can be used again.
    pub fn let_go(mut self) {
        const WITHIN: Duration = Duration::from_secs(2);
        drop(tasks::detach("upstream rest", async move {
            let rest = async { while matches!(self.chunk().await, Ok(Some(_))) {} };
            tokio::time::timeout(WITHIN, rest).await.ok();
        }));
    }

    fn cut(&self, cause: Cut) -> Ended {
        let text = format!("the connection to provider `{}` broke in its answer", self.provider);
        let fault = Fault::new(Code::UpstreamUnavailable, text).because(cause);
        Ended { fault, again: true, unsent: false }
    }

    fn endless(&self) -> Ended {
        let text = format!(
            "the answer of provider `{}` is longer than {} bytes",
            self.provider, self.limit
        );
        Ended { fault: Fault::new(Code::UpstreamInvalid, text), again: false, unsent: false }
    }
}
