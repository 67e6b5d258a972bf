//! Rung 5: a WebSocket opens as the standard says, and stays open.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::http::Answer;
use crate::probe::talk::Question;
use crate::report::{Fix, Verdict};
use crate::target::Scheme;

/// See the module.
pub(crate) struct WebSocket;

/// Limit: how long the handshake and the first frame are waited for.
const LIMIT: Duration = Duration::from_millis(900);

/// The key of the probe, and what the standard makes of it.
const KEY: &str = "cmFwcG9ydC1kb2N0b3IhIQ==";
const ACCEPT: &str = "j8pSShqK6cInlJXRknlFhHw/UjU=";

/// The kind of frame that ends a connection.
const CLOSE: u8 = 8;

impl Check for WebSocket {
    fn about(&self) -> About {
        About {
            id: "websocket",
            title: "WebSocket",
            proves: "the WebSocket opens as the standard says, and is not closed at once",
            rung: 5,
            budget: Duration::from_millis(3000),
            verdicts: &[
                "protocol.not_websocket",
                "protocol.ws_accept",
                "protocol.ws_closed",
                "protocol.ws_frame",
                "protocol.ws_subprotocol",
                "proxy.ws_upgrade_stripped",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        let scheme = case.address().and_then(|target| target.scheme);
        if !matches!(scheme, Some(Scheme::Ws | Scheme::Wss)) {
            return Some("the address does not ask for WebSocket".to_owned());
        }
        case.facts.spoken.is_none().then(|| "no connection".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let (Some(line), Some(target)) = (case.line(), case.address()) else {
        return Step::cannot_tell("there is no connection");
    };
    let path = target.path.as_deref().unwrap_or("/");
    let headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let question = Question { method: "GET", path, headers: &headers, body: "", limit: LIMIT };
    let (reply, answer) = line.listen(&question, has_frame).await;
    let Some(answer) = answer else {
        return Step::cannot_tell("the server gave no answer to the handshake");
    };
    if answer.status != 101 {
        return refused(&answer, case);
    }
    if let Some(verdict) = handshake(&answer) {
        return Step::name(verdict);
    }
    let head = reply.bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let frames = reply.bytes.get(head..).unwrap_or_default();
    match first_frame(frames) {
        Some(verdict) => Step::name(verdict),
        None => Step::pass(format!("it opens at {path} and stays open")),
    }
}

/// The upgrade got another answer than 101.
fn refused(answer: &Answer, case: &Case) -> Step {
    let status = answer.status;
    if matches!(status, 401 | 403 | 404) {
        // The check of the answer names these.
        return Step::fail(format!("the upgrade gave HTTP {status}"));
    }
    if status == 426 {
        return Step::name(stripped(answer));
    }
    let sentence = format!("the server does not change to WebSocket (HTTP {status})");
    let known = case.facts.answer().map(Answer::line);
    Step::name(Verdict::certain("protocol.not_websocket", sentence).because_all(known).fix(
        Fix::say("use the path at which the server offers WebSocket, or http:// for this one"),
    ))
}

/// 426 says "upgrade", to a request that asked for just that.
pub(crate) fn stripped(answer: &Answer) -> Verdict {
    let who = answer.header("via").or_else(|| answer.header("server"));
    let who = who.map(|name| format!("the answer comes from `{name}`"));
    Verdict::likely(
        "proxy.ws_upgrade_stripped",
        "the wish to change to WebSocket does not arrive: a proxy in between drops it",
    )
    .because("the request had `Upgrade: websocket`, and the answer is HTTP 426: upgrade")
    .because_all(who)
    .fix(Fix::say(
        "let the proxy pass it on (nginx: proxy_http_version 1.1; proxy_set_header Upgrade \
         $http_upgrade; proxy_set_header Connection \"upgrade\";)",
    ))
}

fn handshake(answer: &Answer) -> Option<Verdict> {
    let accept = answer.header("sec-websocket-accept").unwrap_or_default().trim();
    if accept != ACCEPT {
        let sentence = "the server's handshake is wrong: clients refuse its Sec-WebSocket-Accept";
        let shown = if accept.is_empty() { "nothing" } else { accept };
        return Some(
            Verdict::certain("protocol.ws_accept", sentence)
                .because(format!("it sent `{shown}`; `{ACCEPT}` would be right"))
                .fix(Fix::say(
                    "mend the server: base64 of SHA-1 of the key and the fixed text of RFC 6455; \
                     a proxy that answers from its cache does this too",
                )),
        );
    }
    let protocol = answer.header("sec-websocket-protocol")?;
    let sentence = format!("the server speaks the subprotocol `{protocol}`, and none was offered");
    Some(
        Verdict::likely("protocol.ws_subprotocol", sentence)
            .because("browsers close a connection whose subprotocol they did not offer")
            .fix(Fix::say(format!(
                "offer it in the client (new WebSocket(url, \"{protocol}\")), or let the server \
                 choose among those that are offered"
            ))),
    )
}

/// Whether the first frame is whole.
fn has_frame(bytes: &[u8]) -> bool {
    match bytes {
        [_, second, rest @ ..] => rest.len() >= usize::from(second & 0x7f),
        [] | [_] => false,
    }
}

/// What the first frame says against the connection.
fn first_frame(bytes: &[u8]) -> Option<Verdict> {
    let [first, second, rest @ ..] = bytes else { return None };
    if second & 0x80 != 0 || first & 0x70 != 0 {
        let sentence = "the server's first bytes after the handshake are no frame of WebSocket";
        return Some(
            Verdict::certain("protocol.ws_frame", sentence)
                .because(format!("they begin with {first:02x} {second:02x}"))
                .fix(Fix::say("mend the server: its frames must not be masked or use free bits")),
        );
    }
    if first & 0x0f != CLOSE {
        return None;
    }
    let length = usize::from(second & 0x7f);
    let body = rest.get(..length.min(rest.len())).unwrap_or_default();
    let (code, text) = match body {
        [high, low, text @ ..] => {
            (u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(text).into_owned())
        }
        _ => (1005, String::new()),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    let sentence = format!("the server opens the WebSocket and closes it at once (code {code})");
    let mut verdict = Verdict::certain("protocol.ws_closed", sentence).because(meaning(code));
    if !text.is_empty() {
        verdict = verdict.because(format!("the server says: {text}"));
    }
    Some(verdict.fix(Fix::say(match code {
        1008 | 3000 | 3003 | 4001 | 4003 | 4401 | 4403 => {
            "send the token or the Origin that it expects, where its documentation says"
        }
        1002 | 1003 | 1007 => "compare what the client sends first with what the server expects",
        _ => "look at the server's log, at the time of this connection",
    })))
}

fn meaning(code: u16) -> String {
    let words = match code {
        1000 => "1000 is a normal end",
        1001 => "1001: the server goes away",
        1002 => "1002: it calls the client's frames wrong",
        1003 => "1003: it does not take this kind of data",
        1005 => "no code was given",
        1007 => "1007: the text was no UTF-8",
        1008 => "1008: the rules of the server forbid it, often a missing token or Origin",
        1009 => "1009: the message is too long",
        1011 => "1011: the server failed",
        1012 => "1012: the server restarts",
        1013 => "1013: it is overloaded, try later",
        _ => return format!("{code} is a code of the application"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::first_frame;

    #[test]
    fn a_close_frame_is_read_with_its_code_and_text() {
        let verdict = first_frame(b"\x88\x0f\x03\xf0missing token").unwrap();
        assert_eq!(verdict.id, "protocol.ws_closed");
        assert!(verdict.sentence.contains("1008"), "{verdict:?}");
        assert!(verdict.evidence.iter().any(|line| line.ends_with("missing token")));
        assert!(first_frame(b"\x88\0").unwrap().sentence.contains("1005"));
        assert!(first_frame(b"\x81\x02hi").is_none() && first_frame(b"").is_none());
        assert_eq!(first_frame(b"\x81\x82abcd").unwrap().id, "protocol.ws_frame");
        assert!(first_frame(b"\x88\x7d\x03").is_some());
    }
}
