//! Anthropic's batches name the address of their results, which clients then ask: here it is ours.
//!
//! Followed as the provider wrote it, it would lead past this server with a key that is not theirs.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use wire::{Code, Fault};

use crate::auth::Caller;

/// The folder of batches.
const FOLDER: &str = "/v1/messages/batches";
/// The member whose value is an address.
const MEMBER: &[u8] = b"\"results_url\"";
/// Limit: bytes of a batch, or of a page of them.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// How the caller reached us, where its answer may name an address of the provider's.
pub(super) fn address(r: &Request, caller: &Caller) -> Option<String> {
    let rest = r.uri().path().strip_prefix(FOLDER)?;
    if rest.ends_with("/results") {
        return None;
    }
    let named = r.headers().get(HOST).and_then(|value| value.to_str().ok());
    let host = named.or_else(|| r.uri().authority().map(http::uri::Authority::as_str))?;
    let scheme = if caller.peer.tls { "https" } else { "http" };
    Some(format!("{scheme}://{host}"))
}

/// The answer with our address in the place of the provider's.
pub(super) async fn here(response: Response, address: &str) -> Result<Response, Fault> {
    let media = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media.is_some_and(|media| media.starts_with("application/json")) {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, BYTES_MAX).await.map_err(|cause| {
        Fault::new(
            Code::UpstreamInvalid,
            "the provider's list of batches is too long, or broke off",
        )
        .because(cause)
    })?;
    let bytes = replaced(bytes, address);
    if head.headers.contains_key(CONTENT_LENGTH) {
        head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    }
    Ok(Response::from_parts(head, Body::from(bytes)))
}

/// Every other byte stays as it is.
fn replaced(bytes: Bytes, address: &str) -> Bytes {
    let mut out = Vec::new();
    let mut rest: &[u8] = &bytes;
    while let Some((before, value, after)) = member(rest) {
        out.extend_from_slice(before);
        let folder = value.windows(FOLDER.len()).position(|window| window == FOLDER.as_bytes());
        match folder.and_then(|at| value.get(at..)) {
            Some(path) => {
                out.extend_from_slice(address.as_bytes());
                out.extend_from_slice(path);
            }
            None => out.extend_from_slice(value),
        }
        rest = after;
    }
    if out.is_empty() {
        return bytes;
    }
    out.extend_from_slice(rest);
    out.into()
}

/// What stands before the first address, the address, and what follows it.
fn member(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut from = 0;
    loop {
        let found = bytes.get(from..)?.windows(MEMBER.len()).position(|w| w == MEMBER)?;
        let behind = from + found + MEMBER.len();
        let open = |skip: &[u8]| {
            let gap = skip.iter().take_while(|byte| b" \t\r\n:".contains(byte)).count();
            (skip.get(gap) == Some(&b'"')).then_some(gap + 1)
        };
        match open(bytes.get(behind..)?) {
            Some(gap) => {
                let start = behind + gap;
                let length = bytes.get(start..)?.iter().position(|byte| *byte == b'"')?;
                let (before, rest) = bytes.split_at_checked(start)?;
                let (value, after) = rest.split_at_checked(length)?;
                return Some((before, value, after));
            }
            None => from = behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: &str) {
        let got = replaced(Bytes::copy_from_slice(body.as_bytes()), "http://localhost:61900");
        assert_eq!(std::str::from_utf8(&got).unwrap(), expected);
    }

    #[test]
    fn the_address_is_ours_and_nothing_else_changes() {
        check(
            r#"{"id":"b", "results_url" : "https://api.anthropic.com/v1/messages/batches/b/results"}"#,
            r#"{"id":"b", "results_url" : "http://localhost:61900/v1/messages/batches/b/results"}"#,
        );
        check(
            r#"{"data":[{"results_url":null},{"results_url":"http://x/a/v1/messages/batches/c/results"}]}"#,
            r#"{"data":[{"results_url":null},{"results_url":"http://localhost:61900/v1/messages/batches/c/results"}]}"#,
        );
        for same in ["{}", "", r#"{"results_url":"https://elsewhere/x"}"#, r#"{"results_url":"#] {
            check(same, same);
        }
    }
}
