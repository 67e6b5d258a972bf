//! Rung 5: a stream of events comes event by event, whole, and in the form that clients read.

mod events;
mod judge;
mod model;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{About, Check, Pending, Step};
use crate::case::Case;
use crate::probe::http::{Answer, Reply};
use crate::probe::talk::{Line, Question};
pub(super) use events::looks_like_events;
use judge::Heard;
use model::Course;

/// See the module.
pub(crate) struct Streams;

/// Limit: how long a stream is listened to that nobody asked for.
const LISTEN: Duration = Duration::from_millis(2200);

/// Limit: how long a model may take for its few words.
const ANSWER: Duration = Duration::from_millis(6000);

/// Limit: events that are enough to see how they come.
const EVENTS_MAX: usize = 40;

/// Paths whose last part says that they stream.
const STREAMS: &[&str] = &["events", "sse", "stream"];

impl Check for Streams {
    fn about(&self) -> About {
        About {
            id: "stream",
            title: "stream of events",
            proves: "events come one by one, whole, and in the form that clients read",
            rung: 5,
            budget: Duration::from_millis(9000),
            verdicts: &[
                "stream.bad_framing",
                "stream.buffered",
                "stream.compressed",
                "stream.cut",
                "stream.error_event",
                "stream.html",
                "stream.no_end",
                "stream.not_streamed",
                "stream.refused",
                "stream.silent",
                "stream.slow",
                "stream.stalled",
                "stream.wrong_content_type",
            ],
        }
    }

    fn skip(&self, case: &Case) -> Option<String> {
        let Some(answer) = case.facts.answer() else { return Some("no HTTP answer".to_owned()) };
        if case.ask.is_some() || (!case.expects_mcp() && streams(answer)) {
            return None;
        }
        Some("the address is no stream; --ask MODEL asks a model for one".to_owned())
    }

    fn run<'a>(&'a self, case: &'a Case) -> Pending<'a> {
        Box::pin(look(case))
    }
}

/// Whether an answer is a stream, or stands where one is meant.
fn streams(answer: &Answer) -> bool {
    let path = answer.path.split('?').next().unwrap_or_default().trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let named = STREAMS.contains(&last) && answer.status < 300;
    named || is_stream(answer) || (answer.status < 300 && looks_like_events(&answer.body))
}

fn is_stream(answer: &Answer) -> bool {
    answer.kind() == "text/event-stream" || by_line(answer)
}

/// Whether each line is a JSON object of its own.
fn by_line(answer: &Answer) -> bool {
    ["application/x-ndjson", "application/jsonl", "application/x-jsonlines"]
        .contains(&answer.kind().as_str())
}

async fn look(case: &Case) -> Step {
    let (Some(line), Some(first)) = (case.line(), case.facts.answer()) else {
        return Step::cannot_tell("there is no HTTP answer");
    };
    // One that was slow to begin is not given less time than it needed.
    let limit = if case.ask.is_some() { ANSWER } else { LISTEN.max(first.elapsed + LISTEN / 2) };
    let asked = case.ask.as_deref().map(|model| {
        let path = case.address().and_then(|target| target.path.as_deref());
        model::question(path, model)
    });
    let question = Wanted { first, asked: asked.as_ref(), limit };
    let (reply, answer) = question.send(&line, "gzip").await;
    let Some(answer) = answer else {
        return Step::cannot_tell("the stream gave no answer the second time");
    };
    if answer.header("content-encoding").is_some_and(|coding| coding != "identity") {
        // Compressed bytes show when they come, and not what they are.
        let (plain, again) = question.send(&line, "identity").await;
        let Some(again) = again else { return Step::cannot_tell("it answers compressed only") };
        let heard = question.heard(plain, again);
        return match judge::compressed(&reply, &heard) {
            Some(verdict) => Step::name(verdict),
            None => judged(&heard),
        };
    }
    judged(&question.heard(reply, answer))
}

/// What is asked of the server.
struct Wanted<'a> {
    first: &'a Answer,
    /// Path and body of the call of a model.
    asked: Option<&'a (String, String)>,
    limit: Duration,
}

impl Wanted<'_> {
    async fn send(&self, line: &Line, coding: &str) -> (Reply, Option<Answer>) {
        let accept = ("Accept", "text/event-stream");
        let coding = ("Accept-Encoding", coding);
        let json = ("Content-Type", "application/json");
        let limit = self.limit;
        let (method, path, headers, body) = match self.asked {
            Some((path, body)) => {
                ("POST", path.as_str(), vec![accept, coding, json], body.as_str())
            }
            None => ("GET", self.first.path.as_str(), vec![accept, coding], ""),
        };
        let question = Question { method, path, headers: &headers, body, limit };
        line.listen(&question, is_enough).await
    }

    fn heard(&self, reply: Reply, answer: Answer) -> Heard {
        let stream = events::read(&reply, &answer, by_line(&answer));
        Heard { reply, answer, stream, asked: self.asked.is_some(), limit: self.limit }
    }
}

/// Whether a model has said its last word, or the way of the events has been seen.
fn is_enough(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let ends = ["data: [DONE]\n\n", "data: [DONE]\r\n\r\n"];
    let last = text.ends_with("\n\n") || text.ends_with("\n\r\n") || text.ends_with("\n\n\r\n");
    ends.iter().any(|end| text.contains(end))
        || (text.contains("\"message_stop\"") && last)
        || text.matches("\n\n").count() + text.matches("\r\n\r\n").count() > EVENTS_MAX
}

fn judged(heard: &Heard) -> Step {
    let count = heard.stream.events.len();
    let seen = heard.reply.arrivals.iter().take(12);
    let evidence: Vec<String> = seen
        .map(|(at, bytes)| format!("{:.0} ms: {bytes} bytes", at.as_secs_f64() * 1e3))
        .collect();
    if let Some(verdict) = judge::fault(heard) {
        return Step::name(verdict.because(heard.answer.line())).seen(evidence);
    }
    if count == 0 {
        let comments = heard.stream.comments;
        let seconds = heard.limit.as_secs_f64();
        if comments > 0 {
            let summary = format!("the stream is open and kept alive ({comments} comments)");
            return Step::pass(summary).seen(evidence);
        }
        let summary = format!("the stream is open, and no event came in {seconds:.1} s");
        return Step::warn(summary).seen(evidence);
    }
    let at = |moment: Duration| moment.as_secs_f64() * 1e3;
    let first = heard.stream.events.first().map_or(0.0, |event| at(event.at));
    let last = heard.stream.events.last().map_or(0.0, |event| at(event.at));
    let end = match model::course(&heard.stream) {
        Course::Finished => ", with its end",
        Course::NotAModel | Course::Unfinished | Course::Unmarked => "",
    };
    let summary =
        format!("{count} events{end}: the first after {first:.0} ms, the last after {last:.0} ms");
    Step::pass(summary).seen(evidence)
}
