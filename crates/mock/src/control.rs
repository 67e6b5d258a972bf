//! The control surface under `/__mock/`: what was asked, and a new script.

use crate::script::Script;
use crate::server::State;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

/// Answers a request for `/__mock/{path}`; the body of the answer is JSON or empty.
pub(crate) fn answer(state: &State, method: &Method, path: &str, body: &[u8]) -> Response<Bytes> {
    match (method, path) {
        (&Method::GET, "requests") => {
            let requests = state.requests();
            let shown: Vec<_> = requests.iter().map(|request| request.shown()).collect();
            let body = serde_json::to_vec(&shown).unwrap_or_default();
            respond(StatusCode::OK, body.into())
        }
        (&Method::DELETE, "requests") => {
            state.clear();
            respond(StatusCode::NO_CONTENT, Bytes::new())
        }
        (&Method::GET, "cache") => {
            let body = serde_json::to_vec(&state.cache().report).unwrap_or_default();
            respond(StatusCode::OK, body.into())
        }
        (&Method::POST, "clock") => match seconds(body) {
            Some(seconds) => {
                state.cache().advance(seconds);
                respond(StatusCode::NO_CONTENT, Bytes::new())
            }
            None => {
                let text = "the body must be {\"seconds\": N}, how far the cache's clock moves";
                respond(StatusCode::BAD_REQUEST, error(text))
            }
        },
        (&Method::PUT, "script") => match read(body) {
            Ok(script) => {
                state.set_script(script);
                respond(StatusCode::NO_CONTENT, Bytes::new())
            }
            Err(message) => respond(StatusCode::BAD_REQUEST, error(&message)),
        },
        _ => respond(
            StatusCode::NOT_FOUND,
            error(
                "not found; there is `GET /__mock/requests`, `DELETE /__mock/requests`, \
                 `PUT /__mock/script`, `GET /__mock/cache` and `POST /__mock/clock`",
            ),
        ),
    }
}

fn read(body: &[u8]) -> Result<Script, String> {
    let text = str::from_utf8(body).map_err(|e| format!("the script is not UTF-8: {e}"))?;
    Script::parse(text).map_err(|e| e.to_string())
}

fn seconds(body: &[u8]) -> Option<u64> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    value.get("seconds")?.as_u64()
}

fn error(message: &str) -> Bytes {
    json!({"error": message}).to_string().into()
}

fn respond(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
