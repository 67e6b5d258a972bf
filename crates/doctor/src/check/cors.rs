//! Rung 5: a page of a certain origin may call the server from a browser.

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::http::Answer;
use crate::probe::talk::{Line, Question};
use crate::report::{Fix, Verdict};

/// See the module.
pub(crate) struct Cors;

/// Limit: each of the two requests.
const LIMIT: Duration = Duration::from_millis(1500);

/// The headers that calls of APIs have and pages may not send unasked.
const HEADERS: &[&str] = &["content-type", "authorization", "x-api-key"];

/// The method of such calls.
const METHOD: &str = "POST";

impl Check for Cors {
    fn about(&self) -> About {
        About {
            id: "cors",
            title: "calls from a page",
            proves: "a page of the origin after `--origin` may call the server from a browser",
            rung: 5,
            budget: Duration::from_millis(3500),
            verdicts: &["http.cors"],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        if case.facts.answer().is_none() {
            return Some("no HTTP answer".to_owned());
        }
        let none = "only browsers care; --origin http://localhost:3000 asks as a page would";
        case.origin.is_none().then(|| none.to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

async fn look(case: &Case) -> Step {
    let (Some(line), Some(origin)) = (case.line(), case.origin.as_deref()) else {
        return Step::cannot_tell("there is no HTTP answer");
    };
    let path = case.facts.answer().map_or("/", |answer| answer.path.as_str());
    let own = format!("{}://{}", if line.peer.is_some() { "https" } else { "http" }, line.host);
    if origin.eq_ignore_ascii_case(&own) {
        return Step::pass(format!("{origin} is the server's own origin: nothing is asked"));
    }
    let (preflight, simple) =
        tokio::join!(ask(&line, "OPTIONS", path, origin), ask(&line, "GET", path, origin));
    let (Some(preflight), Some(simple)) = (preflight, simple) else {
        return Step::cannot_tell("the server gave no answer to a page");
    };
    match fault(&preflight, &simple, origin) {
        Some(verdict) => Step::name(verdict),
        None => Step::pass(format!("a page of {origin} may call it")),
    }
}

async fn ask(line: &Line, method: &str, path: &str, origin: &str) -> Option<Answer> {
    let wanted = HEADERS.join(",");
    let mut headers = vec![("Origin", origin), ("Accept", "*/*")];
    if method == "OPTIONS" {
        headers.push(("Access-Control-Request-Method", METHOD));
        headers.push(("Access-Control-Request-Headers", &wanted));
    }
    let question = Question { method, path, headers: &headers, body: "", limit: LIMIT };
    line.ask(&question).await.1
}

/// What a browser would say, and whose header is missing or wrong.
fn fault(preflight: &Answer, simple: &Answer, origin: &str) -> Option<Verdict> {
    let asked =
        format!("OPTIONS {} as a page of {origin} gave HTTP {}", preflight.path, preflight.status);
    let says = |sentence: String, evidence: String, fix: String| {
        let verdict = Verdict::certain("http.cors", sentence).because(asked.clone());
        Some(verdict.because(evidence).fix(Fix::say(fix)))
    };
    let allow = format!("let the server answer with `Access-Control-Allow-Origin: {origin}`");
    if let Some(problem) = wrong_origin(preflight, origin).or_else(|| wrong_origin(simple, origin))
    {
        let sentence = format!("a page of {origin} may not call this server: {problem}");
        let shown = origins(preflight).join(" and ");
        let shown = if shown.is_empty() { "no such header".to_owned() } else { shown };
        let fix =
            format!("{allow} (Ollama: OLLAMA_ORIGINS={origin}; rapport: server.cors_origins)");
        return says(sentence, format!("Access-Control-Allow-Origin: {shown}"), fix);
    }
    if !(200..300).contains(&preflight.status) {
        let sentence = format!(
            "a page of {origin} may not call this server: its question before the call is refused"
        );
        let evidence = "browsers demand a status from 200 to 299 for OPTIONS".to_owned();
        let fix = "let OPTIONS pass without a key, and answer it with 204".to_owned();
        return says(sentence, evidence, fix);
    }
    let list = |name: &str| preflight.header(name).unwrap_or_default().to_ascii_lowercase();
    let (methods, allowed) =
        (list("access-control-allow-methods"), list("access-control-allow-headers"));
    let has = |word: &str| allowed.split(',').any(|one| one.trim() == word);
    // A star covers every header but this one.
    let covered = |header: &str| has(header) || (has("*") && header != "authorization");
    let missing: Vec<&str> = HEADERS.iter().copied().filter(|one| !covered(one)).collect();
    if missing.is_empty() {
        return None;
    }
    let sentence =
        format!("a page of {origin} may not send the header {} here", missing.join(", "));
    let shown = if allowed.is_empty() { "no such header".to_owned() } else { allowed };
    let evidence = format!("Access-Control-Allow-Headers: {shown}; methods: {methods}");
    let fix = format!("answer with `Access-Control-Allow-Headers: {}`", HEADERS.join(", "));
    says(sentence, evidence, fix)
}

fn origins(answer: &Answer) -> Vec<&str> {
    let own = answer.headers.iter().filter(|(name, _)| name == "access-control-allow-origin");
    own.map(|(_, value)| value.trim()).collect()
}

fn wrong_origin(answer: &Answer, origin: &str) -> Option<String> {
    match origins(answer).as_slice() {
        [] => Some("it says nothing about other origins".to_owned()),
        ["*"] => None,
        [one] if *one == origin => None,
        [one] => Some(format!("it allows `{one}` only")),
        [_, ..] => Some("it names the allowed origin twice, and browsers refuse that".to_owned()),
    }
}
