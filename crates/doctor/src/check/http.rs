//! Rung 4: the HTTP status says that the server is well, or what is wrong with the request.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::http::Answer;
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Http;

impl Check for Http {
    fn about(&self) -> About {
        About {
            id: "http",
            title: "HTTP status",
            proves: "the server answers a request without credentials and without an error",
            rung: 4,
            budget: Duration::from_millis(500),
            verdicts: &[
                "auth.forbidden",
                "auth.missing",
                "http.400",
                "http.405",
                "http.415",
                "http.500",
                "http.501",
                "http.503",
                "http.host_rejected",
                "http.wrong_path",
                "llm.rate_limited",
                "protocol.websocket",
                "service.airplay",
                "upstream.timeout",
                "upstream.unknown",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        case.facts.answer().is_none().then(|| "no HTTP answer".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(async move {
            let Some(answer) = case.facts.answer() else {
                return Step::cannot_tell("there is no HTTP answer");
            };
            let path_was_asked = case.address().is_some_and(|target| target.path.is_some());
            let asks_websocket = case
                .address()
                .and_then(|target| target.scheme)
                .is_some_and(|scheme| matches!(scheme.name(), "ws" | "wss"));
            judge(answer, path_was_asked, asks_websocket)
        })
    }
}

/// `path_was_asked` is false when `/health` was tried without the user having named it.
pub(super) fn judge(answer: &Answer, path_was_asked: bool, asks_websocket: bool) -> Step {
    let seen = answer.line();
    let verdict = match answer.status {
        100..=299 => return Step::pass(format!("HTTP {}", answer.status)),
        300..=399 => {
            let to = answer.header("location").unwrap_or("nowhere");
            return Step::pass(format!("HTTP {}, a redirect to {to}", answer.status));
        }
        426 if asks_websocket => return Step::pass("HTTP 426, as WebSocket servers answer GET"),
        404 | 405 | 501 if !path_was_asked => {
            let status = answer.status;
            return Step::pass(format!("HTTP {status}: a server without /health")).seen([seen]);
        }
        401 | 403 | 407 | 421 | 426 | 429 => refusal(answer),
        404 => Verdict::certain("http.wrong_path", format!("there is nothing at {}", answer.path))
            .fix(Fix::say("check the path: a missing or doubled /v1 is the usual slip")),
        400..=499 => malformed(answer),
        _ => failure(answer),
    };
    Step::name(verdict.because(seen).because_all(reason(answer)))
}

/// What the server itself says, in one short line.
fn reason(answer: &Answer) -> Option<String> {
    let line = answer.body.lines().map(str::trim).find(|line| !line.is_empty())?;
    let short: String = line.chars().filter(|c| !c.is_control()).take(160).collect();
    Some(format!("the server says: {short}"))
}

fn refusal(answer: &Answer) -> Verdict {
    match answer.status {
        403 if answer.header("server").is_some_and(|name| name.contains("AirTunes")) => {
            Verdict::certain(
                "service.airplay",
                "the port is taken by the AirPlay Receiver of macOS",
            )
            .fix(Fix::say(
                "turn it off in System Settings, General, AirDrop & Handoff, or use another port",
            ))
        }
        401 | 407 => {
            let scheme = answer.header("www-authenticate").unwrap_or("Bearer").to_owned();
            let scheme = scheme.split_whitespace().next().unwrap_or("Bearer").to_owned();
            Verdict::likely("auth.missing", "the server works and wants a key, and none was sent")
                .fix(Fix::say(format!("send `Authorization: {scheme} …` with your key")))
        }
        403 => Verdict::likely("auth.forbidden", "the server works and forbids this request")
            .fix(Fix::say("use a key that has the permission, or an address the server allows")),
        421 => Verdict::certain("http.host_rejected", "the server does not accept this host name")
            .fix(Fix::say("use 127.0.0.1 in the address, or add the name to its allowed hosts")),
        426 => {
            Verdict::certain("protocol.websocket", "this address speaks WebSocket, not plain HTTP")
                .fix(Fix::say("use ws:// instead of http://"))
        }
        _ => {
            let wait = answer.header("retry-after");
            let wait = wait.map_or_else(String::new, |seconds| format!(" {seconds} s"));
            Verdict::certain(
                "llm.rate_limited",
                "the server works and limits how often it is asked",
            )
            .fix(Fix::say(format!("wait{wait}, then send fewer requests at once")))
        }
    }
}

fn malformed(answer: &Answer) -> Verdict {
    match answer.status {
        405 => {
            let allowed = answer.header("allow").unwrap_or("another method");
            let sentence = format!("{} does not take GET", answer.path);
            Verdict::certain("http.405", sentence).fix(Fix::say(format!("use {allowed}")))
        }
        415 => Verdict::certain("http.415", "the server wants another content type")
            .fix(Fix::say("send `Content-Type: application/json`")),
        status => {
            let sentence = format!("the server calls the request wrong (HTTP {status})");
            Verdict::likely("http.400", sentence)
                .fix(Fix::say("compare the request with what the server's documentation wants"))
        }
    }
}

fn failure(answer: &Answer) -> Verdict {
    match answer.status {
        501 => {
            Verdict::certain("http.501", "the server does not know this method: it serves files")
                .fix(Fix::say("use the port of the API"))
        }
        502 => Verdict::likely(
            "upstream.unknown",
            "the server is a gateway and works, and the service behind it does not",
        )
        .fix(Fix::say("start the service behind it; the gateway's log names its address")),
        503 => {
            let wait = answer.header("retry-after");
            let wait = wait.map_or_else(String::new, |seconds| format!(" after {seconds} s"));
            Verdict::likely(
                "http.503",
                "the server runs and cannot serve now: it loads, is overloaded or has no upstream",
            )
            .fix(Fix::say(format!("try again{wait}, and read what it says about its upstream")))
        }
        504 => Verdict::likely(
            "upstream.timeout",
            "the server is a gateway and works, and the service behind it does not answer in time",
        )
        .fix(Fix::say("look at the service behind it; it accepts and does not answer")),
        status => {
            let sentence = format!("the server failed on a simple request (HTTP {status})");
            Verdict::certain("http.500", sentence)
                .fix(Fix::say("its log has the reason, at the time of this request"))
        }
    }
}
