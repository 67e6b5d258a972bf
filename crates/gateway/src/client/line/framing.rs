//! Where the body of a response ends, as its head says (RFC 9112, section 6).

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use wire::frame::body::{Framing, Misframed};

use super::Broken;

impl From<Misframed> for Broken {
    fn from(why: Misframed) -> Self {
        Self::Http(match why {
            Misframed::Chunk => "a chunk of the response is not framed as it says",
            Misframed::Endless => "a line between two chunks, or the trailers, have no end",
        })
    }
}

/// Reads the framing from a response's head.
pub(super) fn framing(status: StatusCode, headers: &HeaderMap) -> Result<Framing, Broken> {
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok(Framing::Empty);
    }
    if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
        // What else may be named before it was not asked for.
        let text = last.to_str().unwrap_or_default();
        let is_last = text.rsplit(',').next().unwrap_or_default().trim();
        let is_chunked = is_last.eq_ignore_ascii_case("chunked");
        return Ok(if is_chunked { Framing::Chunked } else { Framing::Close });
    }
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        // A list of equal numbers is one number; different ones are an attack.
        for one in value.to_str().unwrap_or("?").split(',') {
            let one = one.trim();
            let is_number = !one.is_empty() && one.bytes().all(|b| b.is_ascii_digit());
            let number = one.parse::<u64>().ok().filter(|_| is_number);
            let number = number.ok_or(Broken::Http("the content length is no number"))?;
            if length.is_some_and(|other| other != number) {
                return Err(Broken::Http("the response has two content lengths"));
            }
            length = Some(number);
        }
    }
    Ok(length.map_or(Framing::Close, Framing::Length))
}
