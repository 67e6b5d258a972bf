//! One request to be sent: what it is, and whether it may be sent twice.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;

/// The header that makes a repeated request change nothing.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    body: Option<Bytes>,
    headers: Vec<(HeaderName, HeaderValue)>,
    repeatable: bool,
}

impl Ask {
    /// Reads something; may be sent as often as it takes.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { repeatable: true, ..Self::new(Method::GET, path.into()) }
    }

    /// Sends something.
    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path.into()).with(body.to_string())
    }

    /// Sends a request that needs no words.
    pub(crate) fn bare_post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path.into())
    }

    /// Changes something.
    pub(crate) fn patch(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PATCH, path.into()).with(body.to_string())
    }

    /// Replaces something.
    pub(crate) fn put(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::PUT, path.into()).with(body.to_string())
    }

    /// Removes something.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path.into())
    }

    /// With these bytes and no headers of its own.
    pub(crate) fn bare(method: Method, path: String, body: Bytes) -> Self {
        Self { body: Some(body), ..Self::new(method, path) }
    }

    fn new(method: Method, path: String) -> Self {
        Self { method, path, body: None, headers: Vec::new(), repeatable: false }
    }

    /// With this JSON, byte for byte.
    pub(crate) fn with(mut self, json: impl Into<Bytes>) -> Self {
        self.headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        self.body = Some(json.into());
        self
    }

    /// With a fresh idempotency key: sent twice, it is done once.
    pub(crate) fn once(mut self) -> Self {
        let key = uuid::Uuid::new_v4().to_string();
        if let Ok(value) = HeaderValue::from_str(&key) {
            self.headers.push((IDEMPOTENCY_KEY, value));
            self.repeatable = true;
        }
        self
    }

    /// The answer shall come as a stream of events.
    pub(crate) fn streaming(mut self) -> Self {
        self.headers.push((ACCEPT, HeaderValue::from_static("text/event-stream")));
        self
    }

    pub(super) fn streams(&self) -> bool {
        self.headers.iter().any(|(name, _)| *name == ACCEPT)
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(super) fn is_repeatable(&self) -> bool {
        self.repeatable
    }
}

/// A path, put together from segments and a query.
#[derive(Clone, Debug)]
pub(crate) struct PathOf(String);

impl PathOf {
    /// Begins with a fixed path such as `/api/v1/contexts`.
    pub(crate) fn new(start: &str) -> Self {
        Self(start.to_owned())
    }

    /// Adds a segment, whatever characters are in it.
    pub(crate) fn then(mut self, segment: &str) -> Self {
        self.0.push('/');
        // A segment of dots means another folder to every client and proxy on the way.
        match segment {
            "." => self.0.push_str("%2E"),
            ".." => self.0.push_str("%2E%2E"),
            _ => escape_into(&mut self.0, segment),
        }
        self
    }

    /// Adds a parameter if it has a value.
    pub(crate) fn query(mut self, name: &str, value: Option<&str>) -> Self {
        if let Some(value) = value {
            self.0.push(if self.0.contains('?') { '&' } else { '?' });
            self.0.push_str(name);
            self.0.push('=');
            escape_into(&mut self.0, value);
        }
        self
    }
}

impl From<PathOf> for String {
    fn from(path: PathOf) -> Self {
        path.0
    }
}

fn escape_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_is_one_segment_and_any_value_one_parameter() {
        let path =
            PathOf::new("/c").then("a/b ü?#").then("..").query("q", Some("x&y")).query("n", None);
        assert_eq!(String::from(path), "/c/a%2Fb%20%C3%BC%3F%23/%2E%2E?q=x%26y");
    }

    #[test]
    fn every_message_gets_a_key_of_its_own() {
        let key = |ask: &Ask| ask.headers().last().unwrap().1.clone();
        let (one, two) = (Ask::bare_post("/a").once(), Ask::bare_post("/a").once());
        assert_ne!(key(&one), key(&two));
        assert!(one.is_repeatable() && !Ask::bare_post("/a").is_repeatable());
    }
}
