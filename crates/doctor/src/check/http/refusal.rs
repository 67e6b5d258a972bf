//! Answers of 400 to 499, and what a gateway says of the service behind it.

use super::body::message;
use crate::probe::http::Answer;
use crate::report::{Fix, Verdict};

pub(super) fn refusal(answer: &Answer) -> Verdict {
    let text = answer.body.to_ascii_lowercase();
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
        402 => quota(),
        429 if text.contains("quota") || text.contains("credit") => quota(),
        403 | 421 if answer.status == 421 || names_host(&text) => {
            Verdict::certain("http.host_rejected", "the server does not accept this host name")
                .fix(Fix::say("use 127.0.0.1 in the address, or add the name to its allowed hosts"))
        }
        401 | 407 => unauthenticated(answer, &text),
        403 => Verdict::likely("auth.forbidden", "the server works and forbids this request")
            .fix(Fix::say("use a key that has the permission, or an address the server allows")),
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

fn names_host(text: &str) -> bool {
    text.contains("invalid host") || text.contains("host is not allowed")
}

fn quota() -> Verdict {
    Verdict::certain("llm.quota", "the account behind the key has no credit left")
        .fix(Fix::say("add credit at the provider, or use another provider or model"))
}

fn unauthenticated(answer: &Answer, text: &str) -> Verdict {
    if text.contains("not yet valid") {
        return Verdict::likely("auth.clock_skew", "the token is not valid yet: two clocks differ")
            .fix(Fix::run("set the clock", "sudo timedatectl set-ntp true"));
    }
    if text.contains("expired") {
        return Verdict::certain("auth.token_expired", "the token has expired")
            .fix(Fix::say("log in again, or make a new token"));
    }
    let names_key = text.contains("key") || text.contains("token") || text.contains("credential");
    if names_key && (text.contains("invalid") || text.contains("incorrect")) {
        let header = if text.contains("x-api-key") { "x-api-key" } else { "Authorization" };
        return Verdict::likely("auth.invalid_key", "the server works and refuses the key")
            .fix(Fix::say(format!("send a key that it knows, in the header `{header}`")));
    }
    let scheme = answer.header("www-authenticate").unwrap_or("Bearer").to_owned();
    let scheme = scheme.split_whitespace().next().unwrap_or("Bearer").to_owned();
    Verdict::likely("auth.missing", "the server works and wants a key, and none was sent")
        .fix(Fix::say(format!("send `Authorization: {scheme} …` with your key")))
}

pub(super) fn malformed(answer: &Answer) -> Verdict {
    let text = answer.body.to_ascii_lowercase();
    match answer.status {
        400 if text.contains("context length") || text.contains("context_length") => {
            Verdict::certain("llm.context_length", "the prompt is longer than the model allows")
                .fix(Fix::say(
                    "shorten it, or start the model with a larger context (llama-server -c 32768)",
                ))
        }
        405 => {
            let allowed = answer.header("allow").unwrap_or("another method");
            let sentence = format!("{} does not take GET", answer.path);
            Verdict::certain("http.405", sentence).fix(Fix::say(format!("use {allowed}")))
        }
        411 => Verdict::certain("http.411", "the server wants to know the length of a body")
            .fix(Fix::say("send Content-Length instead of chunks")),
        413 => Verdict::certain("http.413", "the request's body is larger than the server takes")
            .fix(Fix::say(
                "raise its limit (nginx: client_max_body_size 50m; Express: limit: \"50mb\")",
            )),
        415 => Verdict::certain("http.415", "the server wants another content type")
            .fix(Fix::say("send `Content-Type: application/json`")),
        422 => {
            let what = message(answer).unwrap_or_else(|| "it does not say which field".to_owned());
            let sentence = format!("the request does not have the fields it needs: {what}");
            Verdict::certain("http.422", sentence)
                .fix(Fix::say("add or correct the field that the answer names"))
        }
        431 => Verdict::certain("http.431", "the request's headers are larger than allowed")
            .fix(Fix::say("clear the cookies of localhost (node: --max-http-header-size=65536)")),
        status => {
            let sentence = format!("the server calls the request wrong (HTTP {status})");
            Verdict::likely("http.400", sentence)
                .fix(Fix::say("compare the request with what the server's documentation wants"))
        }
    }
}

/// Words of a service that refuses the key of the gateway before it.
pub(super) const KEYS: &[&str] = &[
    "incorrect api key",
    "invalid api key",
    "invalid x-api-key",
    "invalid_api_key",
    "api key not valid",
    "authentication_error",
];

/// Words of errors between a gateway and the service behind it.
const BEHIND: &[(&[&str], &str, &str, &str)] = &[
    (
        KEYS,
        "upstream.auth",
        "refuses the gateway's key",
        "give the gateway a key that the service knows, then restart or reload it",
    ),
    (
        &["econnrefused", "connection refused"],
        "upstream.refused",
        "refuses connections",
        "start the service behind it, at the address it names",
    ),
    (
        &["enotfound", "getaddrinfo", "name resolution", "name or service not known", "dns"],
        "upstream.dns",
        "has a name that cannot be resolved",
        "check the name in the gateway's settings, then the network and its name servers",
    ),
    (
        &["certificate", "self-signed", "self signed", "tls", "ssl"],
        "upstream.tls",
        "shows a certificate that the gateway does not trust",
        "let the gateway trust its issuer (SSL_CERT_FILE), or renew the certificate",
    ),
    (
        &["timed out", "timeout", "etimedout"],
        "upstream.timeout",
        "does not answer in time",
        "look at the service behind it; it accepts and does not answer",
    ),
];

pub(super) fn bad_gateway(answer: &Answer, text: &str) -> Verdict {
    let found = BEHIND.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)));
    let Some((_, id, what, fix)) = found else {
        return Verdict::likely(
            "upstream.unknown",
            "the server is a gateway and works, and the service behind it does not",
        )
        .fix(Fix::say("start the service behind it; the gateway's log names its address"));
    };
    let place = address_in(&answer.body).map_or_else(String::new, |place| format!(" {place}"));
    let sentence =
        format!("the server is a gateway and works; the service behind it{place} {what}");
    Verdict::likely(id, sentence).fix(Fix::say(*fix))
}

/// The first `host:port` in a text.
fn address_in(text: &str) -> Option<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || ".:-[]".contains(c)));
    words.map(|word| word.trim_matches(['.', ':', '-'])).find(|word| {
        word.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && port.parse::<u16>().is_ok()
                && (host.contains('.') || host == "localhost" || host.ends_with(']'))
        })
    })
}
