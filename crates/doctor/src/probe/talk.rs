//! One request and its answer, over plain HTTP or over TLS, whichever the port speaks.

use std::net::SocketAddr;
use std::time::Duration;

use super::dial::open;
use super::http::{Answer, Reply, exchange_until, request};
use super::tls::{Handshake, Peer, handshake};

/// Where further requests of one diagnosis go.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    /// The value of the `Host` header.
    pub(crate) host: String,
    /// Set when the port speaks TLS.
    pub(crate) peer: Option<Peer>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a str,
    pub(crate) limit: Duration,
}

impl Line {
    /// Asks on a connection of its own; an event stream is read until its first whole event.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> (Reply, Option<Answer>) {
        self.listen(question, has_event).await
    }

    /// As [`Line::ask`]; an event stream is read until `is_enough` of its bytes have come.
    pub(crate) async fn listen(
        &self,
        question: &Question<'_>,
        is_enough: fn(&[u8]) -> bool,
    ) -> (Reply, Option<Answer>) {
        let Question { method, path, headers, body, limit } = *question;
        let bytes = request(method, &self.host, path, headers, body);
        let (_, Some(mut stream)) = open(self.address, limit).await else {
            return (Reply::none(), None);
        };
        let reply = match &self.peer {
            None => exchange_until(&mut stream, &bytes, limit, is_enough).await,
            Some(peer) => match handshake(stream, peer, limit).await {
                Handshake::Done(mut stream, _) => {
                    exchange_until(&mut *stream, &bytes, limit, is_enough).await
                }
                Handshake::Refused(_) | Handshake::NotTls(_) | Handshake::Silent => Reply::none(),
            },
        };
        let answer = Answer::read(&reply, path);
        (reply, answer)
    }
}

/// Whether an event stream has answered a request, and not only notified.
fn has_event(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    events(whole).iter().any(|data| data.contains("\"result\"") || data.contains("\"error\""))
}

/// The data of each event of a stream, the lines of one event joined.
pub(crate) fn events(body: &str) -> Vec<String> {
    let body = body.replace("\r\n", "\n");
    let blocks = body.split("\n\n");
    let data = blocks.map(|block| {
        let lines = block.lines().filter_map(|line| line.strip_prefix("data:"));
        lines.map(str::trim_start).collect::<Vec<&str>>().join("\n")
    });
    data.filter(|data| !data.is_empty()).collect()
}
