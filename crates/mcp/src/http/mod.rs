//! Streamable HTTP: both eras on one path. The owner of the socket has checked Host, Origin and
//! who calls.

mod events;
mod headers;
mod legacy;
mod modern;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};

use crate::rpc::{self, Incoming, Message, Refusal};
use crate::server::{Serve, Server};

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The header of a session.
pub(crate) const SESSION: &str = "mcp-session-id";
/// The header of a client that brings ids of events along in every revision: our bridge.
pub(crate) const CARRIES: &str = "x-rapport-bridge";
/// The header of the revision.
pub(crate) const VERSION: &str = "mcp-protocol-version";

/// Answers one HTTP request to the endpoint.
pub async fn answer<S: Serve>(
    server: &Server<S>,
    caller: S::Caller,
    (method, headers): (&Method, &HeaderMap),
    body: Bytes,
) -> Response<Body> {
    match *method {
        Method::POST => post(server, caller, headers, body).await,
        Method::GET => legacy::get(server, caller, headers),
        Method::DELETE => legacy::delete(server, headers),
        _ => not_allowed(),
    }
}

async fn post<S: Serve>(
    server: &Server<S>,
    caller: S::Caller,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Body> {
    if !headers::says(headers, CONTENT_TYPE, "application/json") {
        let refusal = Refusal::request("send `Content-Type: application/json`");
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &refusal);
    }
    let takes = |media| headers::takes(headers, media);
    if !takes("application/json") || !takes("text/event-stream") {
        let text = "send `Accept: application/json, text/event-stream`";
        return refused(StatusCode::NOT_ACCEPTABLE, &Refusal::request(text));
    }
    let incoming = match rpc::read(&body) {
        Ok(incoming) => incoming,
        Err(refusal) => return refused(StatusCode::BAD_REQUEST, &refusal),
    };
    match incoming {
        Incoming::One(Message::Request { id, method, params })
            if headers::is_modern(headers, &method, &params) =>
        {
            modern::request(server, caller, headers, (id, method, params)).await
        }
        incoming => legacy::post(server, caller, headers, incoming).await,
    }
}

/// A JSON answer.
fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = status;
    response
}

/// A refusal of something that had no id to answer to.
fn refused(status: StatusCode, refusal: &Refusal) -> Response<Body> {
    json(status, rpc::error(None, refusal))
}

fn not_allowed() -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
    response
}

/// Whether the caller takes event streams.
fn takes_events(headers: &HeaderMap) -> bool {
    headers.contains_key(ACCEPT) && headers::takes(headers, "text/event-stream")
}
