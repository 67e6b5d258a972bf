//! Bodies on their way up, piece by piece: counted, not too slow, and looked at for the model's name.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use serde_json::json;
use wire::{Code, Fault};

use crate::settings::Limits;

/// Limit: how far into a form the model's name is looked for; clients send files last.
const PEEK_BYTES: usize = 64 * 1024;

/// A body under way.
pub(super) struct Upload {
    /// What was read already.
    head: VecDeque<Bytes>,
    rest: Body,
    /// Why it ended early, for whoever only sees the connection break.
    trouble: Trouble,
    limits: Limits,
    bytes: u64,
    /// Its length, where the caller said it.
    length: Option<u64>,
}

/// Why a body under way ended early.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Mutex<Option<Fault>>>);

impl Trouble {
    /// The fault, once.
    pub(super) fn take(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Upload {
    /// Refuses at once what is too large by its own word.
    ///
    /// # Errors
    /// `payload_too_large`.
    pub(super) fn new(body: Body, headers: &HeaderMap, limits: &Limits) -> Result<Self, Fault> {
        let length = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: u64| length > limits.upload_bytes) {
            return Err(too_large(limits.upload_bytes));
        }
        let (head, trouble) = (VecDeque::new(), Trouble::default());
        Ok(Self { head, rest: body, trouble, limits: limits.clone(), bytes: 0, length })
    }

    /// The form's field `model`, if it comes early; the form has to be sent on with
    /// [`Upload::rename`] or as it is.
    ///
    /// # Errors
    /// `timeout`, or `invalid_input` when the caller hung up.
    pub(super) async fn model(&mut self) -> Result<Option<(String, Range<usize>)>, Fault> {
        let mut seen = BytesMut::new();
        while seen.len() < PEEK_BYTES {
            let Some(piece) = self.piece().await? else { break };
            seen.extend_from_slice(&piece);
            if let Some(found) = find_model(&seen) {
                self.head.push_back(seen.freeze());
                return Ok(Some(found));
            }
        }
        self.head.push_back(seen.freeze());
        Ok(None)
    }

    /// Puts another name where [`Upload::model`] found one.
    pub(super) fn rename(&mut self, place: Range<usize>, name: &str) {
        let Some(head) = self.head.pop_front() else { return };
        let mut out = BytesMut::with_capacity(head.len() + name.len());
        out.extend_from_slice(head.get(..place.start).unwrap_or_default());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(head.get(place.end..).unwrap_or_default());
        let (more, less) = (name.len() as u64, place.len() as u64);
        self.length = self.length.map(|length| (length + more).saturating_sub(less));
        self.head.push_front(out.freeze());
    }

    /// Its length, where it is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// The body to send, and where to look when that fails.
    pub(super) fn into_body(self) -> (Body, Trouble) {
        let trouble = self.trouble.clone();
        if self.length == Some(0) {
            return (Body::empty(), trouble);
        }
        let pieces = futures_util::stream::unfold(self, |mut upload| async {
            if let Some(piece) = upload.head.pop_front() {
                return Some((Ok(piece), upload));
            }
            match upload.piece().await {
                Ok(Some(piece)) => Some((Ok(piece), upload)),
                Ok(None) => None,
                Err(fault) => {
                    let text = fault.text().to_owned();
                    *upload.trouble.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
                    Some((Err(std::io::Error::other(text)), upload))
                }
            }
        });
        (Body::from_stream(pieces), trouble)
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let wait = self.limits.body_read;
            let frame = match tokio::time::timeout(wait, self.rest.frame()).await {
                Err(_) => {
                    let text = format!("no byte of the body came for {} s", wait.as_secs());
                    return Err(Fault::new(Code::Timeout, text)
                        .details(json!({"stage": "body_read"}))
                        .hint("send the whole body, or raise `limits.body_read`"));
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(cause))) => {
                    let text = "the body ended early";
                    return Err(Fault::new(Code::InvalidInput, text).because(cause));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            self.bytes = self.bytes.saturating_add(data.len() as u64);
            if self.bytes > self.limits.upload_bytes {
                return Err(too_large(self.limits.upload_bytes));
            }
            return Ok(Some(data));
        }
    }
}

fn too_large(limit: u64) -> Fault {
    Fault::new(Code::PayloadTooLarge, format!("the body is larger than {limit} bytes"))
        .hint("send less, or raise `limits.upload_bytes`")
        .details(json!({"limit_bytes": limit}))
}

/// The value of the part named `model`, once all of it is there.
fn find_model(form: &[u8]) -> Option<(String, Range<usize>)> {
    let find = |from: usize, what: &[u8]| {
        let rest = form.get(from..)?;
        rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
    };
    let name = find(0, b"name=\"model\"").or_else(|| find(0, b"name=model\r"))?;
    let start = find(name, b"\r\n\r\n")? + 4;
    let end = find(start, b"\r\n--")?;
    let text = std::str::from_utf8(form.get(start..end)?).ok()?;
    Some((text.to_owned(), start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nopenai/w\r\n\
                        --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n\
                        bytes\r\n--x--\r\n";

    async fn read(upload: Upload) -> (String, Option<u64>) {
        let length = upload.length();
        let body = upload.into_body().0.collect().await.unwrap().to_bytes();
        (String::from_utf8(body.to_vec()).unwrap(), length)
    }

    #[tokio::test]
    async fn the_model_is_found_and_renamed_however_the_form_is_cut() {
        for size in [1, 7, 60, 1_000] {
            let pieces: Vec<Result<Bytes, std::io::Error>> =
                FORM.as_bytes().chunks(size).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
            let body = Body::from_stream(futures_util::stream::iter(pieces));
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, FORM.len().into());
            let mut upload = Upload::new(body, &headers, &Limits::default()).unwrap();
            let (name, place) = upload.model().await.unwrap().unwrap();
            assert_eq!(name, "openai/w");
            upload.rename(place, "w");
            let (sent, length) = read(upload).await;
            assert_eq!(sent, FORM.replace("openai/w", "w"), "in pieces of {size}");
            assert_eq!(length, Some(sent.len() as u64));
        }
    }

    #[tokio::test]
    async fn a_form_without_a_model_goes_on_as_it_came() {
        let form = FORM.replace("model", "other");
        let body = Body::from(form.clone());
        let mut upload = Upload::new(body, &HeaderMap::new(), &Limits::default()).unwrap();
        assert_eq!(upload.model().await.unwrap(), None);
        assert_eq!(read(upload).await.0, form);
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_ends_and_says_why() {
        let limits = Limits { upload_bytes: 10, ..Limits::default() };
        let upload = Upload::new(Body::from("01234567890"), &HeaderMap::new(), &limits).unwrap();
        let (body, trouble) = upload.into_body();
        assert!(body.collect().await.is_err());
        assert_eq!(trouble.take().unwrap().code(), Code::PayloadTooLarge);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, 11.into());
        let refused = Upload::new(Body::empty(), &headers, &limits).err().unwrap();
        assert_eq!(refused.code(), Code::PayloadTooLarge);
    }
}
