//! One stream: a request, what the rules make of it, and its answer.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use super::flow::{Flow, Until};
use super::{Line, Refused, set, whole};
use crate::capture::{Ending, Entry, Kind, Way};
use crate::http::{Head, Side};
use crate::proxy::exchange::{HELD_BYTES_MAX, Judged, judge, replaced};
use crate::proxy::local;
use crate::rule::Deed;

/// Serves a stream to its answer; its body goes on by itself.
pub(super) async fn one(
    line: &Line,
    request: Request<Incoming>,
) -> Result<Response<Flow>, Refused> {
    let shared = &line.shared;
    let target = shared.target.to_string();
    let entry = Arc::new(shared.book.open(Kind::Http, line.peer.clone(), target));
    let (mut parts, body) = request.into_parts();
    let head = head_of(&parts);
    entry.push(Way::Asked, &head.write());
    entry.change(|page| page.ask = Some(head.clone()));
    let rules = shared.rules.lock().clone();
    let wants = rules.iter().any(|rule| rule.wants_body() || rule.deed.status.is_some());
    let (body, payload) = if wants { held(&entry, body).await? } else { (Some(body), None) };
    // A caller that resets its stream drops all of this.
    let judged = judge(shared, (&entry, &head), payload.as_deref(), std::future::pending());
    let (deed, payload) = match judged.await {
        Judged::Drop => return Err(Refused("a rule closed the stream")),
        Judged::Answer(bytes) => return Ok(said(&entry, &bytes)),
        Judged::Go(deed, edited) => {
            let new = edited.or(payload.clone()).map(|bytes| replaced(&bytes, &deed));
            let is_new = new != payload;
            if is_new && let Some(new) = &new {
                parts.headers.remove(header::CONTENT_ENCODING);
                set(&mut parts.headers, "content-length", &new.len().to_string());
            }
            (deed, new)
        }
    };
    let body = match (body, payload) {
        (Some(body), None) => Flow::passing(body, (Arc::clone(&entry), Way::Asked), None),
        (_, payload) => Flow::whole(payload.unwrap_or_default()),
    };
    let request = sent(line, parts, (&deed, body));
    answered(line, &entry, (request, &deed)).await
}

/// The whole body of a request; what takes the place of one that passes.
type Held = (Option<Incoming>, Option<Vec<u8>>);

async fn held(entry: &Entry, body: Incoming) -> Result<Held, Refused> {
    let read = Limited::new(body, HELD_BYTES_MAX).collect().await;
    let Ok(read) = read else { return Err(Refused("the request is too long to be held")) };
    let bytes = read.to_bytes().to_vec();
    entry.push(Way::Asked, &bytes);
    let sent = entry.elapsed();
    entry.change(|page| page.times.sent = Some(sent));
    Ok((None, Some(bytes)))
}

/// The request as it goes on.
fn sent(
    line: &Line,
    mut parts: http::request::Parts,
    (deed, body): (&Deed, Flow),
) -> Request<Flow> {
    let named = |name: &str| name.eq_ignore_ascii_case("host");
    for (name, value) in deed.set.iter().filter(|(name, _)| !named(name)) {
        set(&mut parts.headers, name, value);
    }
    let by_rule = deed.set.iter().rev().find(|(name, _)| named(name)).map(|(_, value)| value);
    let host = by_rule.filter(|value| !value.is_empty()).or(line.shared.host.as_ref());
    let mut uri = parts.uri.clone().into_parts();
    if let Some(host) = host.and_then(|host| host.parse().ok()) {
        uri.authority = Some(host);
    }
    let is_whole = uri.authority.is_some() && uri.path_and_query.is_some();
    uri.scheme = is_whole.then_some(match line.shared.target.has_tls() {
        true => http::uri::Scheme::HTTPS,
        false => http::uri::Scheme::HTTP,
    });
    if let Ok(uri) = http::Uri::from_parts(uri) {
        parts.uri = uri;
    }
    parts.extensions.clear();
    Request::from_parts(parts, body)
}

async fn answered(
    line: &Line,
    entry: &Arc<Entry>,
    (request, deed): (Request<Flow>, &Deed),
) -> Result<Response<Flow>, Refused> {
    let unreached = |why: &str| {
        entry.end(Ending::Unreached(why.to_owned()));
        whole(&local::unreached(&line.shared.target, why))
    };
    let mut sender = match &line.target {
        Ok(sender) => sender.clone(),
        Err(why) => return Ok(unreached(why)),
    };
    if let Err(error) = sender.ready().await {
        // Servers that know HTTP/1 alone close at the first bytes of this.
        let why = format!("took no HTTP/2, and may know HTTP/1 only ({error})");
        return Ok(unreached(&why));
    }
    let Ok(response) = sender.send_request(request).await else {
        entry.end(Ending::CutByTarget);
        return Err(Refused("the target broke the stream off"));
    };
    let first = entry.elapsed();
    let (mut parts, body) = response.into_parts();
    let fields = [(":status".to_owned(), parts.status.as_u16().to_string())];
    let fields: Vec<_> = fields.into_iter().chain(lines(&parts.headers)).collect();
    let head = Head::of_stream(&fields, Side::Answer);
    entry.push(Way::Answered, &head.write());
    entry.change(|page| {
        page.times.first = page.times.first.or(Some(first));
        page.answer = Some(head);
    });
    for (name, value) in &deed.reply_set {
        set(&mut parts.headers, name, value);
    }
    let until = match (deed.cut, deed.stall) {
        (Some(bytes), _) => Some(Until { bytes, stalls: false }),
        (None, Some(bytes)) => Some(Until { bytes, stalls: true }),
        (None, None) => None,
    };
    let body = Flow::passing(body, (Arc::clone(entry), Way::Answered), until);
    Ok(Response::from_parts(parts, body))
}

/// An answer of our own, as far as the book is concerned the target's.
fn said(entry: &Entry, bytes: &[u8]) -> Response<Flow> {
    let response = whole(bytes);
    let read = Head::read(bytes, Side::Answer).ok().flatten();
    let body = read.and_then(|head| bytes.get(head.length..)).unwrap_or_default();
    let status = (":status".to_owned(), response.status().as_u16().to_string());
    let fields: Vec<_> = [status].into_iter().chain(lines(response.headers())).collect();
    let head = Head::of_stream(&fields, Side::Answer);
    entry.push(Way::Answered, &head.write());
    entry.push(Way::Answered, body);
    entry.change(|page| page.answer = Some(head));
    entry.end(Ending::ByRule("answered by the inspector".to_owned()));
    response
}

/// Headers as pairs of texts.
pub(super) fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let pair = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(pair).collect()
}

fn head_of(parts: &http::request::Parts) -> Head {
    let mut fields = vec![(":method".to_owned(), parts.method.to_string())];
    if let Some(path) = parts.uri.path_and_query() {
        fields.push((":path".to_owned(), path.to_string()));
    }
    if let Some(authority) = parts.uri.authority() {
        fields.push((":authority".to_owned(), authority.to_string()));
    }
    fields.extend(lines(&parts.headers));
    Head::of_stream(&fields, Side::Ask)
}
