//! One exchange with a server that takes part in a log-in: small, in time, and JSON.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use serde_json::Value;

use super::super::failure::shown;
use super::super::web::Web;
use super::Trouble;

/// Limit: an answer about a log-in.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Limit: how long one exchange may take.
const WITHIN: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Said {
    /// The body, where it is a JSON object.
    pub(super) fn object(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(Value::is_object)
    }

    /// The first words of the body, for a person.
    pub(super) fn words(&self) -> String {
        let text = shown(&String::from_utf8_lossy(&self.body));
        if text.is_empty() { String::new() } else { format!(": {text}") }
    }
}

/// Reads what is at an address.
pub(super) async fn get(web: &Arc<dyn Web>, uri: &Uri) -> Result<Said, Trouble> {
    send(web, Request::new(Bytes::new()), uri).await
}

/// Sends JSON.
pub(super) async fn post_json(
    web: &Arc<dyn Web>,
    uri: &Uri,
    body: &Value,
) -> Result<Said, Trouble> {
    let mut request = Request::new(Bytes::from(body.to_string()));
    *request.method_mut() = Method::POST;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    send(web, request, uri).await
}

/// Sends a form, with a credential where there is one.
pub(super) async fn post_form(
    web: &Arc<dyn Web>,
    uri: &Uri,
    (form, credential): (String, Option<HeaderValue>),
) -> Result<Said, Trouble> {
    let mut request = Request::new(Bytes::from(form));
    *request.method_mut() = Method::POST;
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, kind);
    if let Some(credential) = credential {
        request.headers_mut().insert(AUTHORIZATION, credential);
    }
    send(web, request, uri).await
}

async fn send(web: &Arc<dyn Web>, mut request: Request<Bytes>, to: &Uri) -> Result<Said, Trouble> {
    *request.uri_mut() = to.clone();
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    let place = place(to);
    let whole = async {
        let answer = web.send(request).await.map_err(|lost| lost.why)?;
        let status = answer.status();
        let mut pieces = answer.into_body();
        let mut body = BytesMut::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(format!("its answer is larger than {ANSWER_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Said { status, body: body.freeze() })
    };
    let late = || Err(format!("no answer within {WITHIN:?}"));
    let outcome = tokio::time::timeout(WITHIN, whole).await.unwrap_or_else(|_late| late());
    outcome.map_err(|why| Trouble::Later(format!("`{place}` cannot be asked: {}", shown(&why))))
}

/// An address without its query, which may hold what is secret.
pub(super) fn place(uri: &Uri) -> String {
    format!("{}{}", super::address::origin(uri), uri.path())
}
