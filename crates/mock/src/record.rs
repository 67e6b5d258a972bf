//! The requests that were seen, in a ring that cannot grow without end.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, header};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Limit: requests kept; the oldest goes first.
const REQUESTS_MAX: usize = 1_000;
/// Limit: bytes of kept bodies, so that a thousand huge ones do not fill the memory.
const BODY_BYTES_MAX: usize = 64 << 20;

/// One request as it came in.
#[derive(Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The number of the request since the server began, from 1.
    pub number: u64,
    /// The method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: Option<String>,
    /// The headers, credentials included.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// The name of the rule that answered; `None` for the default reply and nameless rules.
    pub rule: Option<String>,
}

impl Recorded {
    /// A header as text; `None` when it is absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The shape `GET /__mock/requests` prints, with credentials hidden.
    pub(crate) fn shown(&self) -> Shown<'_> {
        let json = serde_json::from_slice::<&RawValue>(&self.body).ok();
        let text = match json {
            None if !self.body.is_empty() => Some(String::from_utf8_lossy(&self.body).into_owned()),
            _ => None,
        };
        Shown {
            number: self.number,
            method: self.method.as_str(),
            path: &self.path,
            query: self.query.as_deref(),
            headers: shown_headers(&self.headers),
            rule: self.rule.as_deref(),
            body: json,
            body_text: text,
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded")
            .field("number", &self.number)
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("headers", &shown_headers(&self.headers))
            .field("body", &self.body)
            .field("rule", &self.rule)
            .finish()
    }
}

/// A request as the control surface prints it.
#[derive(Serialize)]
pub(crate) struct Shown<'a> {
    number: u64,
    method: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: BTreeMap<&'a str, String>,
    rule: Option<&'a str>,
    /// The body when it is JSON.
    body: Option<&'a RawValue>,
    /// The body when it is something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    body_text: Option<String>,
}

fn shown_headers(headers: &HeaderMap) -> BTreeMap<&str, String> {
    let mut shown = BTreeMap::new();
    for (name, value) in headers {
        let text = String::from_utf8_lossy(value.as_bytes());
        let text = if is_secret(name) { hidden(&text) } else { text.into_owned() };
        shown
            .entry(name.as_str())
            .and_modify(|all: &mut String| {
                all.push_str(", ");
                all.push_str(&text);
            })
            .or_insert(text);
    }
    shown
}

fn is_secret(name: &HeaderName) -> bool {
    [header::AUTHORIZATION, header::PROXY_AUTHORIZATION, header::COOKIE].contains(name)
        || ["x-api-key", "api-key"].contains(&name.as_str())
}

/// Keeps the scheme, which a test may want to see, and hides the rest.
fn hidden(value: &str) -> String {
    match value.split_once(' ') {
        Some((scheme, _)) => format!("{scheme} [hidden]"),
        None => "[hidden]".to_owned(),
    }
}

/// The ring.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    requests: VecDeque<Recorded>,
    body_bytes: usize,
}

impl Ring {
    pub(crate) fn push(&self, request: Recorded) {
        let mut kept = self.0.lock();
        kept.body_bytes += request.body.len();
        kept.requests.push_back(request);
        while kept.requests.len() > REQUESTS_MAX
            || (kept.body_bytes > BODY_BYTES_MAX && kept.requests.len() > 1)
        {
            if let Some(oldest) = kept.requests.pop_front() {
                kept.body_bytes -= oldest.body.len();
            }
        }
    }

    pub(crate) fn all(&self) -> Vec<Recorded> {
        self.0.lock().requests.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(number: u64, body: Bytes) -> Recorded {
        Recorded {
            number,
            method: Method::POST,
            path: "/v1/messages".to_owned(),
            query: None,
            headers: HeaderMap::new(),
            body,
            rule: None,
        }
    }

    #[test]
    fn the_ring_keeps_the_newest_thousand() {
        let ring = Ring::default();
        (1..=1_500).for_each(|n| ring.push(request(n, Bytes::new())));
        let all = ring.all();
        assert_eq!((all.len(), all[0].number, all[999].number), (1_000, 501, 1_500));
    }

    #[test]
    fn huge_bodies_push_older_requests_out_early() {
        let ring = Ring::default();
        let body = Bytes::from(vec![b'x'; 20 << 20]);
        (1..=5).for_each(|n| ring.push(request(n, body.clone())));
        let numbers: Vec<u64> = ring.all().iter().map(|r| r.number).collect();
        assert_eq!(numbers, [3, 4, 5]);
    }

    #[test]
    fn credentials_are_hidden_wherever_a_request_is_printed() {
        let mut recorded = request(1, Bytes::from_static(b"{\"a\":1}"));
        for name in ["authorization", "x-api-key", "api-key", "cookie"] {
            recorded.headers.insert(name, "Bearer sesame".parse().unwrap());
        }
        let json = serde_json::to_string(&recorded.shown()).unwrap();
        let debug = format!("{recorded:?}");
        assert!(json.contains("\"authorization\":\"Bearer [hidden]\""), "{json}");
        assert!(!json.contains("sesame") && !debug.contains("sesame"), "{json} {debug}");
    }
}
