//! What is wrong with a stream, by its events and by the moments at which they came.

use std::time::Duration;

use super::events::{Stream, looks_like_events};
use super::model::{self, Course};
use crate::probe::http::{Answer, End, Reply};
use crate::report::{Fix, Verdict};

/// Events that come closer together than this were sent together.
const TOGETHER: Duration = Duration::from_millis(80);

/// A first byte that comes before this was not held back by anybody.
const PROMPT: Duration = Duration::from_millis(500);

/// A model that is silent for so long in the middle of its answer is stuck.
const SILENCE: Duration = Duration::from_millis(1200);

/// A first event that comes later deserves a verdict of its own.
const SLOW: Duration = Duration::from_millis(2500);

/// What came back for one request.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) reply: Reply,
    pub(super) answer: Answer,
    pub(super) stream: Stream,
    /// A model was asked, and must answer.
    pub(super) asked: bool,
    /// How long was listened.
    pub(super) limit: Duration,
}

pub(super) fn fault(heard: &Heard) -> Option<Verdict> {
    form(heard).or_else(|| framing(heard)).or_else(|| failure(heard)).or_else(|| course(heard))
}

/// The answer is no stream of events.
fn form(heard: &Heard) -> Option<Verdict> {
    let answer = &heard.answer;
    let kind = answer.kind();
    if answer.status >= 400 {
        let (status, path) = (answer.status, &answer.path);
        let sentence = format!("the server refuses to stream at {path} (HTTP {status})");
        let said: String = answer.body.trim().chars().take(160).collect();
        return Some(Verdict::certain("stream.refused", sentence).because(said).fix(Fix::say(
            "mend what the answer says: the model's name, the key, or the path of the API",
        )));
    }
    if kind == "text/html" {
        let sentence = format!("a web page answers at {}, where a stream was meant", answer.path);
        return Some(Verdict::certain("stream.html", sentence).fix(Fix::say(
            "use the API's own port and path; a page for logging in needs the key first",
        )));
    }
    if kind != "text/event-stream" && looks_like_events(&answer.body) {
        let named =
            if kind.is_empty() { "no content type".to_owned() } else { format!("`{kind}`") };
        let sentence = format!("the events are right, and the server calls them {named}");
        return Some(
            Verdict::certain("stream.wrong_content_type", sentence)
                .because("browsers' EventSource and many SDKs read `text/event-stream` only")
                .fix(Fix::say("set `Content-Type: text/event-stream` in the server")),
        );
    }
    (heard.asked && kind == "application/json" && answer.json().is_some()).then(|| {
        Verdict::certain("stream.not_streamed", "the server ignores `stream` and answers at once")
            .because(format!("it sent `{kind}` where `text/event-stream` was asked for"))
            .fix(Fix::say("turn streaming on in the server, or do without `stream` in the client"))
    })
}

/// The lines are not what readers of event streams expect.
fn framing(heard: &Heard) -> Option<Verdict> {
    let stream = &heard.stream;
    if heard.answer.kind() != "text/event-stream" {
        return None;
    }
    let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    let rest: Vec<&str> = stream.rest.lines().filter_map(|l| l.strip_prefix("data:")).collect();
    let apart = |line: &str| line.trim() == "[DONE]" || (line.contains('{') && is_json(line));
    let glued = |lines: &[&str]| lines.len() > 1 && lines.iter().all(|line| apart(line));
    let joined = stream.events.iter().any(|event| glued(&event.data.lines().collect::<Vec<_>>()));
    if joined || glued(&rest) {
        let sentence = "the events are not ended by an empty line, so no client gets them";
        return Some(
            Verdict::certain("stream.bad_framing", sentence)
                .because("several whole JSON texts stand in one event")
                .fix(Fix::say("write `\\n\\n` after each event in the server")),
        );
    }
    let lines = stream.strange.iter().map(String::as_str).chain(stream.rest.lines());
    let bare = lines.into_iter().find(|line| line.starts_with('{') && is_json(line))?;
    let shown: String = bare.chars().take(60).collect();
    Some(
        Verdict::certain(
            "stream.bad_framing",
            "the lines have no `data:` before them: these are lines of JSON and no events",
        )
        .because(format!("a line is `{shown}`"))
        .fix(Fix::say(
            "write `data: ` before each, or call them `application/x-ndjson` if that is meant",
        )),
    )
}

/// The stream itself says that something failed.
fn failure(heard: &Heard) -> Option<Verdict> {
    let said = heard.stream.events.iter().find_map(model::error)?;
    let place = if heard.stream.events.len() > 1 { "after it began" } else { "at once" };
    Some(
        Verdict::certain("stream.error_event", format!("the stream reports an error {place}"))
            .because(format!("it says: {said}"))
            .fix(Fix::say("mend what the message says; if it is overloaded, try again later")),
    )
}

/// How the events came, and how they ended.
fn course(heard: &Heard) -> Option<Verdict> {
    let Heard { reply, stream, .. } = heard;
    let course = model::course(stream);
    let count = stream.events.len();
    let is_open = reply.stop == End::Silent;
    if count == 0 && is_open {
        return heard.asked.then(|| silent(heard));
    }
    let last = reply.arrivals.last().map_or(Duration::ZERO, |(at, _)| *at);
    let quiet = heard.limit.saturating_sub(last);
    match course {
        Course::Unfinished if is_open && quiet >= SILENCE => {
            let seconds = quiet.as_secs_f64();
            let sentence = format!("the stream stops after {count} events, without its end");
            let keep = if stream.comments > 0 { "comments" } else { "neither events nor comments" };
            Some(
                Verdict::likely("stream.stalled", sentence)
                    .because(format!("{keep} came for {seconds:.1} s, and it stays open"))
                    .fix(Fix::say("see what the server or its model waits for, in its log")),
            )
        }
        Course::Unfinished | Course::Unmarked if !is_open && reply.stop != End::Answered => {
            Some(unended(course, heard))
        }
        Course::Unmarked if !is_open && model::has_mark(stream) && stream.ended_whole => {
            Some(unended(course, heard))
        }
        Course::Unfinished if !is_open && stream.ended_whole => Some(unended(course, heard)),
        _ if stream.broken || (stream.closed && !stream.rest.is_empty()) => {
            Some(unended(course, heard))
        }
        _ => held_back(heard).or_else(|| late(heard)),
    }
}

fn silent(heard: &Heard) -> Verdict {
    let seconds = heard.limit.as_secs_f64();
    let sentence = format!("the server opens the stream and sends no event in {seconds:.0} s");
    Verdict::likely("stream.silent", sentence).fix(Fix::say(
        "see whether its model is being loaded or is busy; a comment line would keep clients",
    ))
}

fn unended(course: Course, heard: &Heard) -> Verdict {
    let stream = &heard.stream;
    let count = stream.events.len();
    let said = if course == Course::Unmarked { "it said why it stopped" } else { "" };
    if stream.ended_whole && stream.rest.is_empty() {
        let sentence = "the stream has no last event: clients that wait for it hang or fail";
        let (openai, other) = ("`data: [DONE]`", "`message_stop`");
        return Verdict::certain("stream.no_end", sentence)
            .because(format!("{count} events, and neither {openai} nor {other}. {said}").trim_end())
            .fix(Fix::say(format!("let the server send {openai} (or {other}) at the end")));
    }
    let mut verdict = Verdict::likely(
        "stream.cut",
        format!("the stream was cut after {count} events, before its end"),
    );
    if !stream.rest.is_empty() {
        let shown: String = stream.rest.chars().take(60).collect();
        verdict = verdict.because(format!("the last event is not whole: `{shown}`"));
    }
    verdict.because("the connection was closed in the middle").fix(Fix::say(
        "see the log of the server and of the proxy before it: a crash, or a time limit \
         (nginx: proxy_read_timeout 600s;)",
    ))
}

/// All events came together, late.
fn held_back(heard: &Heard) -> Option<Verdict> {
    let Heard { reply, answer, stream, .. } = heard;
    let (first, last) = (stream.events.first()?, stream.events.last()?);
    let began = reply.arrivals.first().map_or(Duration::ZERO, |(at, _)| *at);
    let spread = last.at.saturating_sub(began);
    if stream.events.len() < 3 || began < PROMPT || spread > TOGETHER || first.at < began {
        return None;
    }
    let (count, seconds) = (stream.events.len(), began.as_secs_f64());
    let sentence = format!(
        "something holds the stream back: all {count} events came at once, after {seconds:.1} s"
    );
    let via = ["via", "server", "x-cache"].iter().find_map(|name| answer.header(name));
    let mut verdict = Verdict::likely("stream.buffered", sentence);
    if let Some(length) = answer.header("content-length") {
        verdict = Verdict { confidence: crate::report::Confidence::Certain, ..verdict };
        verdict = verdict.because(format!(
            "the answer has a Content-Length ({length}), so it was collected before it was sent"
        ));
    }
    let who = via.map(|name| format!("the answer comes from `{name}`"));
    Some(verdict.because_all(who).fix(Fix::say(
        "turn buffering off in the proxy (nginx: proxy_buffering off;), or let the server send \
         `X-Accel-Buffering: no` and flush after each event",
    )))
}

/// The bytes of a compressed stream came together, and without compression they do not.
pub(super) fn compressed(packed: &Reply, plain: &Heard) -> Option<Verdict> {
    let head = packed.bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let body: Vec<Duration> =
        packed.arrivals.iter().filter(|(_, bytes)| *bytes > head).map(|(at, _)| *at).collect();
    let events = &plain.stream.events;
    let spread = events.last()?.at.saturating_sub(events.first()?.at);
    let packed_spread = match (body.first(), body.last()) {
        (Some(first), Some(last)) => last.saturating_sub(*first),
        _ => Duration::ZERO,
    };
    if spread < 3 * TOGETHER || packed_spread > TOGETHER {
        return None;
    }
    let sentence = "compression holds the stream back: with gzip all events come at once";
    Some(
        Verdict::certain("stream.compressed", sentence)
            .because(format!("without gzip {} events came one by one", events.len()))
            .fix(Fix::say(
                "leave `text/event-stream` out of compression in the proxy or the middleware, or \
                 flush it after each event",
            )),
    )
}

fn late(heard: &Heard) -> Option<Verdict> {
    let first = heard.stream.events.first()?;
    if first.at < SLOW {
        return None;
    }
    let (seconds, head) = (first.at.as_secs_f64(), heard.reply.elapsed.as_secs_f64());
    let sentence = format!("the stream works, and its first event takes {seconds:.1} s");
    Some(
        Verdict::likely("stream.slow", sentence)
            .because(format!("the head of the answer came after {head:.1} s"))
            .fix(Fix::say(
                "the model is slow to begin: a smaller one, or a longer time in clients",
            )),
    )
}
