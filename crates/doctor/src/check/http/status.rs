//! What a status code means, with what the body and the headers add to it.

use super::refusal::{bad_gateway, malformed, refusal};
use super::{Seen, body};
use crate::check::Step;
use crate::probe::http::Answer;
use crate::report::{Fix, Verdict};

pub(super) fn judge(seen: &Seen<'_>) -> Step {
    let answer = seen.answer;
    let line = answer.line();
    let verdict = match answer.status {
        100..=299 => return Step::pass(format!("HTTP {}", answer.status)),
        300..=399 => return redirect(seen),
        426 if seen.asks_websocket => {
            return Step::pass("HTTP 426, as WebSocket servers answer GET");
        }
        404 | 405 | 501 if !seen.path_was_asked => {
            let status = answer.status;
            return Step::pass(format!("HTTP {status}: a server without /health")).seen([line]);
        }
        401 | 402 | 403 | 407 | 421 | 426 | 429 => refusal(answer),
        404 => missing(seen),
        400..=499 => malformed(answer),
        _ => failure(answer),
    };
    Step::name(
        verdict.because(line).because_all(body::said(answer)).because_all(super::limits(answer)),
    )
}

fn redirect(seen: &Seen<'_>) -> Step {
    let answer = seen.answer;
    let to = answer.header("location").unwrap_or("nowhere");
    let line = format!("{}, to {to}", answer.line());
    let own = format!("{}{}", seen.base, answer.path);
    if to == own || to == answer.path {
        let sentence = format!("the server redirects {} to itself, without end", answer.path);
        return Step::name(
            Verdict::certain("http.redirect_loop", sentence).because(line).fix(Fix::say(
                "check its base path and its rule for the slash at the end of a path",
            )),
        );
    }
    let secure = seen.base.replacen("http://", "https://", 1);
    if seen.base.starts_with("http://") && to.starts_with(&secure) {
        let sentence = "the server redirects to https on the same port, which speaks plain HTTP";
        return Step::name(
            Verdict::certain("http.redirect_broken", sentence)
                .because(line)
                .fix(Fix::say("turn off its rule that forces HTTPS, for this machine's own use")),
        );
    }
    let lower = to.to_ascii_lowercase();
    let login = ["/login", "/signin", "/sign-in", "/oauth", "/sso"];
    if seen.path_was_asked && login.iter().any(|word| lower.contains(word)) {
        let sentence = format!("{} leads to a page where people log in ({to})", answer.path);
        return Step::name(
            Verdict::likely("auth.login_redirect", sentence)
                .because(line)
                .fix(Fix::say("use the path of the API, with its key, and not the web page's")),
        );
    }
    Step::pass(format!("HTTP {}, a redirect to {to}", answer.status))
}

fn missing(seen: &Seen<'_>) -> Verdict {
    let answer = seen.answer;
    let text = answer.body.to_ascii_lowercase();
    if text.contains("model") && (text.contains("not found") || text.contains("does not exist")) {
        let said = body::message(answer).unwrap_or_default();
        return Verdict::certain("llm.model_missing", "the server does not have that model")
            .because(said)
            .fix(Fix::say(format!(
                "ask for one that it has ({}/v1/models lists them), or fetch it (ollama pull NAME)",
                seen.base
            )));
    }
    let sentence = format!("there is nothing at {}", answer.path);
    Verdict::certain("http.wrong_path", sentence)
        .fix(Fix::say("check the path: a missing or doubled /v1 is the usual slip"))
}

fn failure(answer: &Answer) -> Verdict {
    let text = answer.body.to_ascii_lowercase();
    let wait = answer.header("retry-after");
    let wait = wait.map_or_else(String::new, |seconds| format!(" after {seconds} s"));
    match answer.status {
        501 => {
            Verdict::certain("http.501", "the server does not know this method: it serves files")
                .fix(Fix::say("use the port of the API"))
        }
        500 | 502 | 503 if names_upstream(&text) => bad_gateway(answer, &text),
        502 => bad_gateway(answer, &text),
        503 if text.contains("loading") => {
            Verdict::certain("llm.loading", "the server runs and still loads its model")
                .fix(Fix::say(format!("try again{wait}; it answers 200 when it is ready")))
        }
        503 => Verdict::likely(
            "http.503",
            "the server runs and cannot serve now: it loads, is overloaded or has no upstream",
        )
        .fix(Fix::say(format!("try again{wait}, and read what it says about its upstream"))),
        504 => Verdict::likely(
            "upstream.timeout",
            "the server is a gateway and works, and the service behind it does not answer in time",
        )
        .fix(Fix::say("look at the service behind it; it accepts and does not answer")),
        529 => Verdict::certain("llm.overloaded", "the model's service is overloaded for now")
            .fix(Fix::say(format!("try again{wait}, with longer pauses each time"))),
        status => {
            let sentence = format!("the server failed on a simple request (HTTP {status})");
            Verdict::certain("http.500", sentence)
                .fix(Fix::say("its log has the reason, at the time of this request"))
        }
    }
}

fn names_upstream(text: &str) -> bool {
    let words = ["upstream", "econnrefused", "enotfound"];
    words.iter().chain(super::refusal::KEYS).any(|word| text.contains(word))
}
