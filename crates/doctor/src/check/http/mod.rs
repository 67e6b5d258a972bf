//! Rung 4: the HTTP answer says that the server is well, or what is wrong with it.

mod behind;
mod body;
mod framing;
pub(super) mod ours;
mod redirect;
mod refusal;
mod status;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::credential;
use crate::probe::dial::open;
use crate::probe::http::{Answer, exchange, get};
use crate::report::{Fix, Verdict};
use crate::sockets::vitals;
use crate::target::Scheme;

/// See the module.
pub(crate) struct Http;

/// Limit: one more request, for a path that may have been meant.
const TRY: Duration = Duration::from_millis(700);

/// How long processor time is counted, to see who uses most of it.
#[cfg(target_os = "linux")]
const SAMPLE: Duration = Duration::from_millis(300);

/// An answer that begins later deserves a verdict of its own.
const SLOW: Duration = Duration::from_millis(2500);

/// Ports that browsers and Node's `fetch` refuse; the list of the Fetch standard above 1023.
const REFUSED_BY_BROWSERS: &[u16] = &[
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669,
    6679, 6697, 10080,
];

impl Check for Http {
    fn about(&self) -> About {
        About {
            id: "http",
            title: "HTTP answer",
            proves: "the server answers a request without credentials, whole and without an error",
            rung: 4,
            budget: Duration::from_millis(2500),
            verdicts: VERDICTS,
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        let spoken = case.facts.spoken.as_ref();
        let nothing = spoken.is_none_or(|spoken| spoken.answer.is_none() && spoken.reply.is_none());
        nothing.then(|| "no HTTP answer".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// Every verdict of this check.
const VERDICTS: &[&str] = &[
    "address.browser_bad_port",
    "auth.clock_skew",
    "auth.key_quoted",
    "auth.key_whitespace",
    "auth.forbidden",
    "auth.invalid_key",
    "auth.login_redirect",
    "auth.missing",
    "auth.token_expired",
    "http.400",
    "http.405",
    "http.411",
    "http.413",
    "http.415",
    "http.422",
    "http.431",
    "http.500",
    "http.501",
    "http.503",
    "http.bad_chunk",
    "http.bad_encoding",
    "http.bad_header",
    "http.bad_json",
    "http.bad_status_line",
    "http.body_stalled",
    "http.empty",
    "http.error_in_200",
    "http.host_rejected",
    "http.html_not_json",
    "http.json_bom",
    "http.redirect_broken",
    "http.redirect_loop",
    "http.slow",
    "http.slow_body",
    "http.truncated",
    "http.wrong_content_type",
    "http.wrong_path",
    "llm.context_length",
    "llm.loading",
    "llm.model_missing",
    "llm.overloaded",
    "llm.quota",
    "llm.rate_limited",
    "protocol.websocket",
    "service.airplay",
    "store.damaged",
    "store.disk_error",
    "store.disk_full",
    "store.locked",
    "store.read_only",
    "upstream.auth",
    "upstream.dns",
    "upstream.protocol",
    "upstream.refused",
    "upstream.timeout",
    "upstream.tls",
    "upstream.unknown",
];

/// An answer and what was asked.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) answer: &'a Answer,
    /// False when `/health` was tried without the user having named it.
    pub(super) path_was_asked: bool,
    pub(super) asks_websocket: bool,
    /// `http://host:port`, without a path.
    pub(super) base: String,
}

async fn look(case: &Case) -> Step {
    let (Some(spoken), Some(target)) = (&case.facts.spoken, case.address()) else {
        return Step::cannot_tell("there is no HTTP answer");
    };
    let port = case.facts.port.unwrap_or_default();
    if let Some(verdict) = spoken.reply.as_ref().and_then(framing::fault) {
        return Step::name(verdict.because_all(spoken.evidence.clone()));
    }
    let Some(answer) = &spoken.answer else {
        return Step::cannot_tell("there is no HTTP answer");
    };
    let scheme = if spoken.tls.is_some() { "https" } else { "http" };
    let seen = Seen {
        answer,
        path_was_asked: target.path.is_some(),
        asks_websocket: matches!(target.scheme, Some(Scheme::Ws | Scheme::Wss)),
        base: format!("{scheme}://{}:{port}", target.bracketed_host()),
    };
    if case.expects_mcp() && (200..500).contains(&answer.status) {
        let status = answer.status;
        return Step::pass(format!("HTTP {status} to GET; the check mcp asks as clients do"));
    }
    if let Some(summary) = otherwise(case, &seen).await {
        return Step::pass(summary);
    }
    if let Some(reason) = ours::reason(answer) {
        let verdict = ours::fault(&reason, folder(case).await.as_deref());
        return Step::name(verdict.because(answer.line()));
    }
    let mut step = status::judge(&seen);
    step.verdict =
        step.verdict.map(|found| credential::named(found, case.environment.credentials()));
    if let Some(verdict) = step.verdict.take() {
        let verdict = behind::named(verdict, case).await;
        step.summary.clone_from(&verdict.sentence);
        step.verdict = Some(verdict);
    }
    if let Some(verdict) = &mut step.verdict
        && verdict.id == "http.wrong_path"
        && spoken.tls.is_none()
        && let Some(address) = case.facts.connected
        && let Some(path) = other_path(address, &seen).await
    {
        verdict.fix.insert(0, Fix::say(format!("use {}{path}, which answers", seen.base)));
    }
    if step.verdict.is_none()
        && (300..400).contains(&answer.status)
        && let Some(line) = case.line()
        && let Some(verdict) = redirect::fault(&line, &seen).await
    {
        return Step::name(verdict.because(answer.line()));
    }
    if step.verdict.is_none() {
        let found = body::fault(&seen).or_else(|| slow(answer)).or_else(|| refused(answer, port));
        if let Some(verdict) = found {
            let verdict = if verdict.id == "http.slow" { strained(verdict).await } else { verdict };
            return Step::name(verdict.because(answer.line()).because(stages(case)));
        }
    }
    if step.verdict.is_none()
        && let Some(summary) = ours::degraded(answer)
    {
        step = Step::warn(summary);
    }
    step.seen([stages(case)]).seen(limits(answer))
}

/// Headers in which a server says how much more it may be asked, in the words of several vendors.
const LIMITS: &[&str] = &[
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-tokens-remaining",
    "ratelimit-remaining",
    "retry-after",
    "x-ratelimit-remaining",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
];

/// What the answer says of limits; `None` when it says nothing.
fn limits(answer: &Answer) -> Option<String> {
    let said = LIMITS.iter().filter_map(|name| Some(format!("{name} {}", answer.header(name)?)));
    let said: Vec<String> = said.collect();
    (!said.is_empty()).then(|| format!("limits: {}", said.join(", ")))
}

/// Adds what the whole machine is short of, and who uses most of it.
#[cfg(target_os = "linux")]
async fn strained(verdict: Verdict) -> Verdict {
    use crate::sockets::strain::{biggest, short_of, usage};
    let look = || short_of().map(|short| (short, usage()));
    let Ok(Some((short, before))) = tokio::task::spawn_blocking(look).await else {
        return verdict;
    };
    tokio::time::sleep(SAMPLE).await;
    let most = tokio::task::spawn_blocking(move || biggest(&before)).await.unwrap_or_default();
    verdict.because(short).because_all(most).fix(Fix::say(
        "end or pause what uses most and is not needed; restart the machine only as the last step",
    ))
}

/// Other systems are not asked.
#[cfg(not(target_os = "linux"))]
async fn strained(verdict: Verdict) -> Verdict {
    std::future::ready(verdict).await
}

/// Where the server keeps its data, when it is this product and may be looked at.
async fn folder(case: &Case) -> Option<String> {
    let pid = case.owner()?.pid;
    tokio::task::spawn_blocking(move || vitals(pid).store).await.ok()?
}

/// How long each stage took, and which took the longest.
fn stages(case: &Case) -> String {
    let facts = &case.facts;
    let name = facts.names.as_ref().map(|names| names.elapsed);
    let dial = facts.dials.iter().find(|dial| Some(dial.address) == facts.connected);
    let spoken = facts.spoken.as_ref();
    let reply = spoken.and_then(|spoken| spoken.reply.as_ref());
    let body = reply.and_then(|reply| {
        let (last, _) = reply.arrivals.last()?;
        Some(last.saturating_sub(reply.arrivals.first()?.0))
    });
    let secured = spoken.and_then(|spoken| spoken.tls.as_ref()).map(|tls| tls.elapsed);
    let all = [
        ("name", name),
        ("connect", dial.map(|dial| dial.elapsed)),
        ("TLS", secured),
        ("first byte", facts.answer().map(|answer| answer.elapsed)),
        ("body", body),
    ];
    let known: Vec<(&str, Duration)> =
        all.into_iter().filter_map(|(stage, time)| Some((stage, time?))).collect();
    let slowest = known.iter().max_by_key(|(_, time)| *time).map_or("", |(stage, _)| *stage);
    let shown = known
        .iter()
        .map(|(stage, time)| format!("{stage} {} ms", crate::report::milliseconds(*time)));
    let shown: Vec<String> = shown.collect();
    format!("{}; the slowest stage: {slowest}", shown.join(", "))
}

fn slow(answer: &Answer) -> Option<Verdict> {
    // What a stream waits for is told by its own check.
    if answer.elapsed < SLOW || answer.kind() == "text/event-stream" {
        return None;
    }
    let seconds = answer.elapsed.as_secs_f64();
    let sentence = format!("the server works and needs {seconds:.1} s until its answer begins");
    Some(Verdict::likely("http.slow", sentence).fix(Fix::say(format!(
        "give clients a longer time than {:.0} s; a cold start, swap or a slow upstream is usual",
        seconds.ceil()
    ))))
}

fn refused(answer: &Answer, port: u16) -> Option<Verdict> {
    if answer.status >= 400 || !REFUSED_BY_BROWSERS.contains(&port) {
        return None;
    }
    let sentence =
        format!("the server works, and browsers and Node's fetch refuse to use port {port}");
    let fix = format!("move the server to another port, for example {}", port.saturating_add(100));
    Some(
        Verdict::likely("address.browser_bad_port", sentence)
            .because("the port is on the list of bad ports of the Fetch standard")
            .fix(Fix::say(fix)),
    )
}

/// What makes an answer that looks like a refusal a good one.
async fn otherwise(case: &Case, seen: &Seen<'_>) -> Option<String> {
    let (status, path) = (seen.answer.status, seen.answer.path.trim_end_matches('/'));
    if seen.asks_websocket && matches!(status, 400 | 426) {
        return Some(format!("HTTP {status} to GET; the check websocket asks as clients do"));
    }
    // A base URL is no page: what clients ask lies below it.
    let is_base = ["/v1", "/v1beta"].iter().any(|end| path.ends_with(end));
    if status != 404 || !seen.path_was_asked || !is_base || seen.base.starts_with("https:") {
        return None;
    }
    let list = format!("{path}/models");
    let status = status_of(case.facts.connected?, (seen, &list)).await?;
    let is_there = status < 300 || matches!(status, 401 | 403);
    is_there.then(|| format!("{path} is the base of an API: {list} answers HTTP {status}"))
}

/// The status with which a path answers.
async fn status_of(address: SocketAddr, (seen, path): (&Seen<'_>, &str)) -> Option<u16> {
    let (_, Some(mut stream)) = open(address, TRY).await else { return None };
    let host = seen.base.split_once("://").map_or("localhost", |(_, host)| host);
    let reply = exchange(&mut stream, &get(host, path), TRY).await;
    Answer::read(&reply, path).map(|answer| answer.status)
}

/// A path like the one that is not there, at which something is.
async fn other_path(address: SocketAddr, seen: &Seen<'_>) -> Option<String> {
    let path = seen.answer.path.as_str();
    let mut candidates = Vec::new();
    if path.contains("/v1/v1") {
        candidates.push(path.replacen("/v1/v1", "/v1", 1));
    } else if let Some(rest) = path.strip_prefix("/v1/") {
        candidates.push(format!("/{rest}"));
    } else {
        candidates.push(format!("/v1{path}"));
    }
    if path.ends_with('/') && path.len() > 1 {
        candidates.push(path.trim_end_matches('/').to_owned());
    } else {
        candidates.push(format!("{path}/"));
    }
    for candidate in candidates {
        let status = status_of(address, (seen, &candidate)).await;
        if status.is_some_and(|status| status < 300) {
            return Some(candidate);
        }
    }
    None
}
