//! Answers whose bytes break the rules of HTTP itself.

use std::time::Duration;

use crate::probe::chunk;
use crate::probe::http::{End, Reply};
use crate::report::{Fix, Verdict};

/// Limit: as many header lines as the reader of answers takes.
const HEADERS_MAX: usize = 100;

/// A body is slow, and not stuck, when its last bytes came this shortly before the end.
const RECENT: Duration = Duration::from_millis(1300);

pub(super) fn fault(reply: &Reply) -> Option<Verdict> {
    if !reply.looks_like_http() {
        return None;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let head = match parsed.parse(&reply.bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return cut(reply, "in the middle of its headers"),
        Err(error) => return Some(broken(reply, error)),
    };
    let values = |wanted: &str| {
        let same = parsed.headers.iter().filter(|one| one.name.eq_ignore_ascii_case(wanted));
        same.map(|one| String::from_utf8_lossy(one.value).trim().to_owned()).collect::<Vec<_>>()
    };
    let lengths = values("content-length");
    if let [first, .., last] = lengths.as_slice()
        && first != last
    {
        let sentence = format!("the answer has two lengths, {first} and {last}");
        return Some(
            Verdict::certain("http.bad_header", sentence)
                .fix(Fix::say("let the server or the proxy send Content-Length once, and right")),
        );
    }
    let bodiless = matches!(parsed.code, Some(100..=199 | 204 | 304));
    let endless = values("content-type").iter().any(|kind| kind.contains("event-stream"));
    if bodiless || endless {
        return None;
    }
    let body = reply.bytes.get(head..).unwrap_or_default();
    if values("transfer-encoding").iter().any(|coding| coding.contains("chunked")) {
        return chunks(reply, body);
    }
    let announced = lengths.first()?.parse::<usize>().ok()?;
    if body.len() >= announced {
        return None;
    }
    cut(reply, &format!("after {} of {announced} announced bytes", body.len()))
}

fn chunks(reply: &Reply, body: &[u8]) -> Option<Verdict> {
    let read = chunk::read(body);
    if let Some(size) = read.fault {
        let sentence = "the chunks of the answer are broken";
        return Some(
            Verdict::certain("http.bad_chunk", sentence)
                .because(format!("`{size}` stands where the size of a chunk should"))
                .fix(Fix::say("mend the server or the proxy that writes the chunks")),
        );
    }
    if read.is_complete {
        return None;
    }
    cut(reply, &format!("after {} bytes, before its last chunk", read.bytes.len()))
}

/// An answer that is not whole: it was cut, or hangs, or comes slowly.
fn cut(reply: &Reply, place: &str) -> Option<Verdict> {
    match reply.stop {
        // As much as is read of any answer was there.
        End::Answered => None,
        End::Closed | End::Reset => {
            let sentence = format!("the answer was cut {place}");
            Some(Verdict::certain("http.truncated", sentence).fix(Fix::say(
                "see the server's log: it or a proxy died meanwhile, or the length is wrong",
            )))
        }
        End::Silent if is_slow(reply) => {
            let (first, last) = (reply.arrivals.first()?, reply.arrivals.last()?);
            let seconds = last.0.saturating_sub(first.0).as_secs_f64();
            let bytes = last.1.saturating_sub(first.1);
            let sentence = format!("the answer comes slowly: {bytes} bytes in {seconds:.1} s");
            Some(Verdict::likely("http.slow_body", sentence).fix(Fix::say(
                "see what the server waits for while it answers, and whether a proxy slows it down",
            )))
        }
        End::Silent => {
            let sentence = format!("the answer stops {place}, and the connection stays open");
            Some(Verdict::likely("http.body_stalled", sentence).fix(Fix::say(
                "see what the server does then; a Content-Length that is too large does this too",
            )))
        }
    }
}

fn is_slow(reply: &Reply) -> bool {
    let (Some(first), Some(last)) = (reply.arrivals.first(), reply.arrivals.last()) else {
        return false;
    };
    reply.arrivals.len() > 2
        && last.0.saturating_sub(first.0) + RECENT > Duration::from_millis(2500)
}

fn broken(reply: &Reply, error: httparse::Error) -> Verdict {
    let line = reply.bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let shown: String = String::from_utf8_lossy(line).trim().chars().take(60).collect();
    if matches!(error, httparse::Error::Status | httparse::Error::Version) {
        let sentence = "the first line of the answer is not HTTP's";
        return Verdict::certain("http.bad_status_line", sentence)
            .because(format!("it is `{shown}`; `HTTP/1.1 200 OK` would be right"))
            .fix(Fix::say("mend the server: it writes the answer by hand"));
    }
    Verdict::certain("http.bad_header", "a header of the answer breaks the rules of HTTP")
        .because(format!("after `{shown}`: {error}"))
        .fix(Fix::say("mend the server or the proxy that writes this header"))
}
