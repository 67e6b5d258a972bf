//! The caller's own bytes through to an upstream of the same dialect, and its bytes back.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use wire::Fault;
use wire::dialect::{Head, rename};

use super::meter::{self, Meter};
use crate::client::Answer;
use crate::model::Upstream;

/// Response headers of an upstream that its callers know what to do with.
const CARRIED: &[&str] = &[
    "content-length",
    "content-type",
    "request-id",
    "retry-after",
    "openai-processing-ms",
    "x-rapport-dropped",
];
/// Their limits, under the names that their own clients read.
const CARRIED_BEGINNINGS: &[&str] = &["anthropic-ratelimit-", "x-ratelimit-"];

/// Passes the body on, and the answer back piece by piece as it comes: for calls that are no
/// questions to a model, and so go to one upstream only.
pub(super) async fn pass(
    upstream: Arc<Upstream>,
    (bytes, head): (Bytes, &Head),
    caller: &HeaderMap,
    path: &str,
) -> Result<Response, Fault> {
    let body = if head.model.as_deref() == Some(upstream.model()) {
        bytes
    } else {
        rename(&bytes, head, upstream.model()).into()
    };
    let answer = upstream.pass(body, caller, (path, false)).await?;
    let mut response = headed(&upstream, &answer);
    // The upstream call lives in the body: a caller that hangs up drops both.
    *response.body_mut() = Body::from_stream(futures_util::stream::unfold(Some(answer), next));
    Ok(response)
}

/// The upstream's answer, watched on its way.
pub(super) fn respond(upstream: &Upstream, answer: Answer, meter: Meter) -> Response {
    let mut response = headed(upstream, &answer);
    *response.body_mut() = meter::metered(answer, meter);
    response
}

/// The head of an upstream's answer as its caller sees it.
pub(super) fn headed(upstream: &Upstream, answer: &Answer) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    for (name, value) in &answer.headers {
        if carried(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
        .headers_mut()
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    mark(response.headers_mut(), upstream);
    response
}

async fn next(answer: Option<Answer>) -> Option<(Result<Bytes, Infallible>, Option<Answer>)> {
    let mut answer = answer?;
    match answer.chunk().await {
        Ok(Some(bytes)) => Some((Ok(bytes), Some(answer))),
        Ok(None) => None,
        Err(ended) => {
            // The head has gone out: a cut body is all that can still be said.
            tracing::warn!("the upstream's answer broke off: {}", ended.fault.chain());
            None
        }
    }
}

/// Says who answered.
pub(super) fn mark(headers: &mut HeaderMap, upstream: &Upstream) {
    for (name, value) in
        [("x-rapport-provider", upstream.provider()), ("x-rapport-model", upstream.model())]
    {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

fn carried(name: &HeaderName) -> bool {
    *name == RETRY_AFTER
        || CARRIED.contains(&name.as_str())
        || CARRIED_BEGINNINGS.iter().any(|begin| name.as_str().starts_with(begin))
}
