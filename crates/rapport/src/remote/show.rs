//! Shows requests and answers as they are on the wire, and as the `curl` command that would do it.

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, USER_AGENT};
use http::{Method, Request, StatusCode, Version};

use super::address::Address;
use super::ask::Ask;
use super::tls::Trust;

/// Takes lines for the person who watches.
pub(crate) type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// What happens on the wire, told line by line to whoever wants to know.
#[derive(Clone, Default)]
pub(crate) struct Trace {
    sink: Option<Sink>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("on", &self.sink.is_some()).finish()
    }
}

impl Trace {
    /// Tells everything to `sink`.
    pub(crate) fn to(sink: Sink) -> Self {
        Self { sink: Some(sink) }
    }

    /// Something that happened.
    pub(super) fn note(&self, text: &str) {
        tracing::debug!("{text}");
        self.line('*', text);
    }

    /// The request that goes out.
    pub(super) fn request<B>(&self, request: &Request<B>, body: &[u8]) {
        tracing::debug!(method = %request.method(), path = %request.uri(), "request");
        if self.sink.is_none() {
            return;
        }
        self.line('>', &format!("{} {} HTTP/1.1", request.method(), request.uri()));
        self.headers('>', request.headers());
        self.body('>', body);
    }

    /// The head of the answer.
    pub(super) fn head(&self, version: Version, status: StatusCode, headers: &HeaderMap) {
        tracing::debug!(status = status.as_u16(), "answer");
        if self.sink.is_none() {
            return;
        }
        self.line('<', &format!("{version:?} {status}"));
        self.headers('<', headers);
    }

    /// A part of the answer's body, as it came.
    pub(super) fn part(&self, bytes: &[u8]) {
        self.body('<', bytes);
    }

    fn headers(&self, mark: char, headers: &HeaderMap) {
        for (name, value) in headers {
            let text = String::from_utf8_lossy(value.as_bytes());
            let hidden = value.is_sensitive() || name == AUTHORIZATION || name == "x-api-key";
            let text = if hidden { "[hidden]" } else { &*text };
            self.line(mark, &format!("{name}: {text}"));
        }
        self.line(mark, "");
    }

    fn body(&self, mark: char, bytes: &[u8]) {
        if self.sink.is_some() && !bytes.is_empty() {
            for line in String::from_utf8_lossy(bytes).lines() {
                self.line(mark, line);
            }
        }
    }

    fn line(&self, mark: char, text: &str) {
        if let Some(sink) = &self.sink {
            sink(without_keys(&format!("{mark} {text}")).trim_end());
        }
    }
}

/// The start of every key of ours.
const KEY_START: &str = "rap_";
/// Fewer characters after it are no key.
const KEY_CHARACTERS_MIN: usize = 20;

/// The text with every key of ours in it hidden.
fn without_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(KEY_START) {
        out.push_str(before);
        out.push_str(KEY_START);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (key, tail) = after.split_at_checked(end).unwrap_or((after, ""));
        out.push_str(if key.len() >= KEY_CHARACTERS_MIN { "[hidden]" } else { key });
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// The `curl` command for a request. A key stays in the environment.
pub(super) fn curl(to: &Address, trust: &Trust, key: bool, ask: &Ask) -> String {
    let mut words = vec!["curl".to_owned(), "-sS".to_owned()];
    if ask.streams() {
        words.push("-N".to_owned());
    }
    // Curl would ask a proxy even for this machine when the environment names one.
    words.push("--noproxy '*'".to_owned());
    if let Trust::File(path) = trust {
        words.push(format!("--cacert {}", quoted(&path.to_string_lossy())));
    }
    if ask.method() != Method::GET {
        words.push(format!("-X {}", ask.method()));
    }
    words.push(quoted(&format!("{to}{}", ask.path())));
    if key {
        words.push("-H \"Authorization: Bearer $RAPPORT_API_KEY\"".to_owned());
    }
    let made_by_curl: [HeaderName; 3] = [HOST, USER_AGENT, CONTENT_LENGTH];
    for (name, value) in ask.headers() {
        if !made_by_curl.contains(name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            words.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
        }
    }
    if let Some(body) = ask.body() {
        words.push(format!("--data-raw {}", quoted(&String::from_utf8_lossy(body))));
    }
    words.join(" ")
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_curl_command_survives_quotes_and_hides_the_key() {
        let ask = Ask::post("/api/v1/contexts/a/turns", &json!({"message": "it's"})).streaming();
        let shown = curl(&Address::local(61900), &Trust::Machine, true, &ask);
        assert_eq!(
            shown,
            "curl -sS -N --noproxy '*' -X POST \
             'http://localhost:61900/api/v1/contexts/a/turns' \
             -H \"Authorization: Bearer $RAPPORT_API_KEY\" -H 'content-type: application/json' \
             -H 'accept: text/event-stream' --data-raw '{\"message\":\"it'\\''s\"}'"
        );
    }

    #[test]
    fn a_trace_shows_everything_but_keys() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let trace = Trace::to(Arc::new(move |line| kept.lock().unwrap().push(line.to_owned())));
        let request = Request::post("/a").header("authorization", "Bearer x").body(()).unwrap();
        trace.request(&request, b"one\ntwo");
        let key = format!("{{\"secret\":\"rap_{}\"}}", "a1".repeat(19));
        trace.part(key.as_bytes());
        let lines = lines.lock().unwrap();
        let wanted = [
            "> POST /a HTTP/1.1",
            "> authorization: [hidden]",
            ">",
            "> one",
            "> two",
            "< {\"secret\":\"rap_[hidden]\"}",
        ];
        assert_eq!(*lines, wanted);
    }
}
