//! An API that a document describes, as a joined server: every operation is a tool.

mod read;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use mcp::bridge::Carried;
use mcp::client::{Call, Failure, Web};
use mcp::rpc::Refusal;
use serde_json::{Map, Value, json};

use super::settings::Reach;
use read::{Operation, Place};

/// Limit: a document.
const DOCUMENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Limit: an answer of the API.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An API and how it is called.
#[derive(Debug)]
pub(crate) struct Api {
    base: String,
    headers: HeaderMap,
    title: String,
    about: Option<String>,
    version: String,
    operations: Vec<Operation>,
    web: Arc<dyn Web>,
}

impl Api {
    /// Reads the document and what it describes.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) async fn open(reach: &Reach, web: Arc<dyn Web>) -> Result<Self, String> {
        let Reach::Api { url, document, base_url, headers } = reach else {
            return Err("this is no API".to_owned());
        };
        let text = match (document, url) {
            (Some(text), _) => text.clone(),
            (None, Some(url)) => fetched(url, &*web).await?,
            (None, None) => return Err("it has no document".to_owned()),
        };
        let document: Value = serde_json::from_str(&text)
            .map_err(|cause| format!("its document is not JSON: {cause}"))?;
        let operations = read::operations(&document)?;
        let base = base(&document, base_url.as_deref(), url.as_deref())?;
        let info = |name: &str| document.get("info").and_then(|info| info.get(name)?.as_str());
        let headers = super::headers(headers).map_err(|failure| failure.to_string())?;
        Ok(Self {
            base,
            headers,
            title: info("title").unwrap_or("API").to_owned(),
            about: info("description").map(|text| text.chars().take(4_000).collect()),
            version: info("version").unwrap_or_default().to_owned(),
            operations,
            web,
        })
    }

    pub(super) fn info(&self) -> Value {
        json!({"name": self.title, "version": self.version})
    }

    pub(super) fn about(&self) -> Option<String> {
        self.about.clone()
    }

    /// Its operations as definitions of tools.
    pub(super) fn tools(&self) -> Vec<Value> {
        self.operations.iter().map(|operation| operation.definition.clone()).collect()
    }

    /// Calls an operation. What the API refuses is a result that the model reads.
    ///
    /// # Errors
    /// When there is no such operation, or nothing answers.
    pub(crate) async fn call(&self, call: Call) -> Result<Value, Failure> {
        if call.method != "tools/call" {
            return Err(Failure::Refused(Refusal::method(&call.method)));
        }
        let name = call.params.get("name").and_then(Value::as_str).unwrap_or_default();
        let found = self.operations.iter().find(|operation| operation.name == name);
        let operation = found.ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            Failure::Refused(Refusal::params(format!("there is no tool `{shown}`")))
        })?;
        let empty = Map::new();
        let given = call.params.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
        let request = match self.request(operation, given) {
            Ok(request) => request,
            Err(text) => return Ok(told(&text, None, true)),
        };
        let answer = self.web.send(request).await?;
        let status = answer.status();
        let body = whole(answer, ANSWER_BYTES_MAX).await.map_err(Failure::lost)?;
        let text = String::from_utf8_lossy(&body);
        let value = serde_json::from_slice::<Value>(&body).ok().filter(Value::is_object);
        if status.is_success() {
            return Ok(told(&text, value, false));
        }
        Ok(told(&format!("the API answered {status}: {text}"), value, true))
    }

    fn request(
        &self,
        operation: &Operation,
        given: &Map<String, Value>,
    ) -> Result<Request<Bytes>, String> {
        let mut path = operation.path.clone();
        let mut query = Vec::new();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        for argument in &operation.arguments {
            let value = match given.get(&argument.name) {
                None | Some(Value::Null) if argument.required => {
                    return Err(format!("`{}` is required", argument.name));
                }
                None | Some(Value::Null) => continue,
                Some(value) => value,
            };
            match argument.place {
                Place::Path => {
                    path =
                        path.replace(&format!("{{{}}}", argument.theirs), &escape(&plain(value)));
                }
                Place::Query => {
                    let each = |value: &Value| {
                        query.push(format!(
                            "{}={}",
                            escape(&argument.theirs),
                            escape(&plain(value))
                        ));
                    };
                    match value {
                        Value::Array(items) => items.iter().for_each(each),
                        value => std::iter::once(value).for_each(each),
                    }
                }
                Place::Header => {
                    let bad = || format!("`{}` cannot be a header", argument.name);
                    let name = HeaderName::try_from(&argument.theirs).map_err(|_bad| bad())?;
                    let value = HeaderValue::from_str(&plain(value)).map_err(|_bad| bad())?;
                    headers.insert(name, value);
                }
            }
        }
        let mut body = Bytes::new();
        if let (Some(kind), Some(value)) = (&operation.body, given.get("body")) {
            let kind = HeaderValue::from_str(kind).map_err(|_bad| "a strange kind of body")?;
            let is_form = kind.as_bytes().starts_with(b"application/x-www-form-urlencoded");
            body = if is_form { form(value).into() } else { value.to_string().into() };
            headers.insert(CONTENT_TYPE, kind);
        }
        // What the owner set wins over what a model says.
        headers.extend(self.headers.clone());
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let uri: Uri = format!("{}{path}{query}", self.base)
            .parse()
            .map_err(|_bad| "these arguments make no address".to_owned())?;
        let mut request = Request::new(body);
        *request.method_mut() = operation.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn told(text: &str, value: Option<Value>, is_error: bool) -> Value {
    let mut result = json!({"content": [{"type": "text", "text": text}], "isError": is_error});
    if let (Some(value), Value::Object(map)) = (value, &mut result) {
        map.insert("structuredContent".to_owned(), value);
    }
    result
}

/// Where the API is: as it is configured, else as the document says, relative to the document.
fn base(document: &Value, own: Option<&str>, url: Option<&str>) -> Result<String, String> {
    let said = document.get("servers").and_then(|all| all.get(0)?.get("url")?.as_str());
    let base = own.or(said).unwrap_or("/");
    let base = if base.starts_with("http://") || base.starts_with("https://") {
        base.to_owned()
    } else {
        let origin: Option<Uri> = url.and_then(|url| url.parse().ok());
        let origin =
            origin.and_then(|uri| Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?)));
        let origin = origin.ok_or("its document does not say where it is: write `base_url`")?;
        format!("{origin}/{}", base.trim_start_matches('/'))
    };
    if base.contains('{') {
        return Err(format!("its address `{base}` has variables: write `base_url`"));
    }
    Ok(base.trim_end_matches('/').to_owned())
}

async fn fetched(url: &str, web: &dyn Web) -> Result<String, String> {
    let mut request = Request::new(Bytes::new());
    *request.uri_mut() = url.parse().map_err(|_bad| format!("`{url}` is no address"))?;
    let answer = web.send(request).await.map_err(|lost| lost.why)?;
    if !answer.status().is_success() {
        return Err(format!("its document at `{url}`: {}", answer.status()));
    }
    let bytes = whole(answer, DOCUMENT_BYTES_MAX).await?;
    String::from_utf8(bytes).map_err(|_bad| "its document is not UTF-8".to_owned())
}

pub(super) async fn whole(answer: Carried, most: usize) -> Result<Vec<u8>, String> {
    let mut pieces = answer.into_body();
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if all.len() + piece.len() > most {
            return Err(format!("its answer is longer than {most} bytes"));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

/// A value as text: without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn form(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let pairs = fields.map(|(name, value)| format!("{}={}", escape(name), escape(&plain(value))));
    pairs.collect::<Vec<_>>().join("&")
}

/// Percent-encodes all but the letters that mean nothing else anywhere.
pub(super) fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}
