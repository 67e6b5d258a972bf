//! Calls that are for a provider, not for a model: its other paths, with any method and body.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName};
use http::{Method, StatusCode, Uri};
use serde_json::json;
use wire::{Code, Fault};

use super::upstream::{Site, Upstream};
use super::{Models, config};
use crate::client::{Answer, Request, after};
use crate::provider::{self, Ask, AuthKind};

/// Request headers of the caller that end here: they speak of its connection, or to us.
const ENDING: &[&str] = &[
    "accept-encoding",
    "api-key",
    "authorization",
    "connection",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-api-key",
    "x-goog-api-key",
    "x-real-ip",
];
/// What the names of further ones begin with.
const ENDING_BEGINNINGS: &[&str] = &["x-rapport-", "x-forwarded-", "sec-", "proxy-"];

/// One provider, for calls outside of its dialect.
#[derive(Clone, Debug)]
pub struct Raw {
    site: Arc<Site>,
}

/// A call as the caller made it.
#[derive(Debug)]
pub struct RawCall<'a> {
    /// The method.
    pub method: Method,
    /// The path below the API's beginning, with its query.
    pub path: &'a str,
    /// The model it is for; empty where there is none.
    pub model: &'a str,
    /// The caller's headers; what is not for the provider is left out.
    pub headers: &'a HeaderMap,
    /// The body, as it comes.
    pub body: Body,
}

impl Models {
    /// The provider of this name, if it can be asked.
    ///
    /// # Errors
    /// `not_found` with the names there are, `configuration_error` when it lacks a key.
    pub fn raw(&self, name: &str) -> Result<Raw, Fault> {
        let Some(site) = self.sites.iter().find(|site| site.name() == name) else {
            let known: Vec<&str> = self.sites.iter().map(|site| site.name()).collect();
            let shown: String = name.chars().take(100).collect();
            let hint = if known.is_empty() {
                "no provider is configured: set its key, or name it in `providers`".to_owned()
            } else {
                format!("configured providers: {}", known.join(", "))
            };
            return Err(Fault::new(Code::NotFound, format!("there is no provider `{shown}`"))
                .hint(hint)
                .details(json!({"provider": shown})));
        };
        site.check()?;
        Ok(Raw { site: Arc::clone(site) })
    }

    /// Every provider that can be asked.
    #[must_use]
    pub fn raws(&self) -> Vec<Raw> {
        let usable = self.sites.iter().filter(|site| site.is_usable());
        usable.map(|site| Raw { site: Arc::clone(site) }).collect()
    }
}

impl Raw {
    /// The provider's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.site.name()
    }

    /// The dialect its models are asked in.
    #[must_use]
    pub fn dialect(&self) -> &'static str {
        self.site.dialect.name()
    }

    /// Whether it has these paths beside its dialect's, as far as is known: `files`, `images` …
    #[must_use]
    pub fn offers(&self, what: &str) -> bool {
        let paths = &self.site.settings.row.paths;
        paths.is_empty() || paths.iter().any(|path| path == what)
    }

    /// Sends a call on, once: its body may be gone after the first try. The answer comes back
    /// whatever its status.
    ///
    /// # Errors
    /// `upstream_unavailable`, `timeout`, or `configuration_error` where the whole body would have
    /// to be signed before it is sent.
    pub async fn send(&self, call: RawCall<'_>) -> Result<Answer, Fault> {
        let (site, settings) = (&self.site, &self.site.settings);
        if settings.auth == AuthKind::Sigv4 {
            return Err(config(format!(
                "provider `{}` signs whole requests: only its models can be asked",
                self.name()
            )));
        }
        let until = after(settings.deadlines.total);
        let base = site.client.base();
        let ask = Ask { path: call.path, model: call.model, stream: false };
        let key = site.keys.pick(&[]);
        let used = site.keys.key(key);
        let url = base.url(&provider::route(settings, used, base.path(), ask));
        let uri: Uri = url.parse().map_err(|cause| {
            let text = format!("`{}` is not an address", site.clean(&url));
            Fault::new(Code::InvalidInput, text).because(cause)
        })?;
        let mut headers = carried(call.headers);
        for (name, value) in &site.headers_of(key) {
            if *name != CONTENT_TYPE && !is_version(name, &headers) {
                headers.insert(name, value.clone());
            }
        }
        let plain = Request { uri, headers, body: Bytes::new(), until };
        let signed = site.signed(plain, used).await?;
        let mut request = http::Request::new(call.body);
        *request.method_mut() = call.method;
        *request.uri_mut() = signed.uri;
        *request.headers_mut() = signed.headers;
        site.hold.pass(self.name(), until).await?;
        site.client.relay(request, until).await.map_err(|ended| ended.fault)
    }
}

impl Upstream {
    /// Reads the refusal of a call that went out by [`Upstream::pass`] and was answered in another
    /// API than the caller's. None of our secrets is in it.
    #[must_use]
    pub fn refusal(&self, status: StatusCode, headers: &HeaderMap, body: &Bytes) -> Fault {
        let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let body = self.site.clean_bytes(body);
        self.passed_on(self.dialect().fault(status.as_u16(), &header, &body))
    }
}

/// The caller's own choice of a version wins.
fn is_version(name: &HeaderName, headers: &HeaderMap) -> bool {
    name.as_str() == "anthropic-version" && headers.contains_key(name)
}

/// The headers that go on to a provider. No credential of ours is among them.
fn carried(headers: &HeaderMap) -> HeaderMap {
    let ends = |name: &HeaderName| {
        *name == AUTHORIZATION
            || ENDING.contains(&name.as_str())
            || ENDING_BEGINNINGS.iter().any(|begin| name.as_str().starts_with(begin))
    };
    let kept = headers.iter().filter(|(name, _)| !ends(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn no_credential_and_nothing_of_the_connection_goes_on() {
        let mut headers = HeaderMap::new();
        for name in ENDING {
            headers.insert(*name, HeaderValue::from_static("x"));
        }
        headers.insert("x-forwarded-for", HeaderValue::from_static("x"));
        headers.insert("x-rapport-provider", HeaderValue::from_static("x"));
        headers.insert("openai-beta", HeaderValue::from_static("assistants=v2"));
        headers.insert("content-type", HeaderValue::from_static("multipart/form-data"));
        let kept = carried(&headers);
        let names: Vec<&str> = kept.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["openai-beta", "content-type"]);
    }
}
