//! A recorded request as the `curl` command that would send it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Secrets;
use crate::capture::{Exchange, Kind};
use crate::http::{Head, Version};
use crate::{redact, visible};

/// Limit: bytes of a body that stand in the command; systems limit an argument to 128 KiB, so a
/// longer body comes through a pipe.
const ARGUMENT_BYTES_MAX: usize = 100_000;

/// Headers that curl makes by itself, or that say how the recorded body was packed and framed.
const MADE_BY_CURL: &[&str] = &[
    "content-length",
    "transfer-encoding",
    "content-encoding",
    "accept-encoding",
    "connection",
    "keep-alive",
    "expect",
    "te",
];

/// The command, for a POSIX shell, that sends the request of an exchange to its server. A body is
/// sent unpacked; one that is no text, or a long one, goes to curl through a pipe.
///
/// # Errors
/// When the exchange has no request of HTTP that was recorded whole.
pub fn curl(exchange: &Exchange, secrets: Secrets) -> Result<String, String> {
    let number = exchange.number;
    let Some(head) = exchange.ask.as_ref().filter(|_| exchange.kind == Kind::Http) else {
        return Err(format!("exchange {number} is no HTTP request, and only those are for curl"));
    };
    if !exchange.asked.is_whole() {
        return Err(format!("exchange {number} was too long to be kept whole"));
    }
    let body = exchange.ask_body();
    let mut words = vec!["curl".to_owned(), "-sS".to_owned()];
    words.extend(manner(exchange, head));
    match head.method() {
        "HEAD" => words.push("--head".to_owned()),
        "GET" if body.is_empty() => {}
        "POST" if !body.is_empty() => {}
        method => words.push(format!("-X {}", quoted(method))),
    }
    words.push(quoted(&visible(&url(exchange, head, secrets))));
    words.extend(headers(exchange, head, secrets));
    if body.is_empty() {
        return Ok(words.join(" "));
    }
    if head.header("content-type").is_none() {
        // Curl would say that it is a form.
        words.push("-H 'Content-Type:'".to_owned());
    }
    Ok(with_body(words, body, secrets))
}

/// How curl goes about it.
fn manner(exchange: &Exchange, head: &Head) -> Vec<String> {
    let mut words = Vec::new();
    let streams = exchange.answer.as_ref().and_then(|answer| answer.header("content-type"));
    if streams.is_some_and(|kind| kind.contains("event-stream") || kind.contains("ndjson")) {
        words.push("-N");
    }
    if head.header("accept-encoding").is_some() {
        words.push("--compressed");
    }
    let is_secure = exchange.target.starts_with("https://");
    if head.version == Version::Two {
        words.push(if is_secure { "--http2" } else { "--http2-prior-knowledge" });
    }
    let host = exchange.target.trim_start_matches("https://");
    if ["localhost:", "127.", "[::1]"].iter().any(|begin| host.starts_with(begin)) {
        // Curl would ask a proxy even for this machine when the environment names one.
        words.push("--noproxy '*'");
    }
    words.into_iter().map(str::to_owned).collect()
}

fn url(exchange: &Exchange, head: &Head, secrets: Secrets) -> String {
    let path = match secrets {
        Secrets::Kept => head.path().to_owned(),
        Secrets::Hidden => redact::path(head.path()),
    };
    let host = exchange.target.trim_start_matches("https://");
    let scheme = if host == exchange.target { "http" } else { "https" };
    // A caller of a proxy writes the whole address.
    let path = match path.split_once("://").and_then(|(_, rest)| rest.split_once('/')) {
        Some((_, rest)) if !path.starts_with('/') => format!("/{rest}"),
        _ => path,
    };
    format!("{scheme}://{host}{path}")
}

fn headers(exchange: &Exchange, head: &Head, secrets: Secrets) -> Vec<String> {
    let host = exchange.target.trim_start_matches("https://");
    let is_said = |(name, value): &&(String, String)| {
        let lower = name.to_ascii_lowercase();
        let is_host = lower == "host" && value.eq_ignore_ascii_case(host);
        !is_host && !lower.starts_with(':') && !MADE_BY_CURL.contains(&lower.as_str())
    };
    let one = |(name, value): &(String, String)| {
        let value = match secrets {
            Secrets::Kept => value.clone(),
            Secrets::Hidden => redact::header(name, value),
        };
        // With a semicolon curl sends a header that has no value.
        let text = if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") };
        format!("-H {}", quoted(&visible(&text)))
    };
    head.headers.iter().filter(is_said).map(one).collect()
}

fn with_body(mut words: Vec<String>, body: Vec<u8>, secrets: Secrets) -> String {
    let is_plain =
        |text: &String| !text.contains(|c: char| c.is_control() && !"\n\r\t".contains(c));
    match String::from_utf8(body).map_err(|broken| broken.into_bytes()) {
        Ok(text) if is_plain(&text) => {
            let text = if secrets == Secrets::Kept { text } else { redact::text(&text) };
            if text.len() <= ARGUMENT_BYTES_MAX {
                words.push(format!("--data-raw {}", quoted(&text)));
                return words.join(" ");
            }
            format!("printf %s {} | {} --data-binary @-", quoted(&text), words.join(" "))
        }
        Ok(text) => {
            let text = if secrets == Secrets::Kept { text } else { redact::text(&text) };
            piped(&words, text.as_bytes())
        }
        Err(bytes) => piped(&words, &bytes),
    }
}

fn piped(words: &[String], bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    format!("printf %s '{text}' | base64 -d | {} --data-binary @-", words.join(" "))
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
