//! Step mode of the server: calls are held by the inspector's rules and in its manner.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gateway::debug::{Debugger, Holding, Point, Seen, Waiting};
use inspect::http::{Head, Side};
use inspect::{Held, Rule, Verdict, redact};
use parking_lot::Mutex;
use serde_json::Value;

/// Limit: calls that wait at the same time; more go on at once.
const WAITING_MAX: usize = 100;
/// Limit: bytes of a call's message that are kept while it waits.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// Holds calls; clones share what is held.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    rules: Mutex<Arc<Vec<Step>>>,
    held: Held,
    waiting: Mutex<Vec<Waiting>>,
    last: AtomicU64,
}

#[derive(Debug)]
struct Step {
    /// Where it holds; everywhere without a point.
    at: Option<&'static str>,
    rule: Rule,
}

impl Step {
    fn acts(&self, seen: &Seen, (head, body): (&Head, &str)) -> bool {
        self.at.is_none_or(|at| at == seen.point.as_str())
            && self.rule.acts(head, Some(body.as_bytes()))
    }
}

impl Debugger for Steps {
    fn hold(&self, mut seen: Seen) -> Option<Holding> {
        let rules = Arc::clone(&self.0.rules.lock());
        let body = seen.message.to_string();
        let fields = [(":method", "POST"), (":path", seen.path.as_str())];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let head = Head::of_stream(&fields, Side::Ask);
        let acting: Vec<&Step> =
            rules.iter().filter(|step| step.acts(&seen, (&head, &body))).collect();
        let delay = acting.iter().filter_map(|step| step.rule.deed.delay).max();
        let pauses = acting.iter().any(|step| step.rule.deed.pause);
        let drops = acting.iter().any(|step| step.rule.deed.drop);
        if acting.is_empty() {
            return None;
        }
        seen.message = shown(&body);
        let inner = Arc::clone(&self.0);
        Some(Box::pin(async move {
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            if pauses {
                return inner.wait(seen).await && !drops;
            }
            !drops
        }))
    }

    fn set_rules(&self, rules: &[String]) -> Result<(), String> {
        let points: Vec<&'static str> = Point::ALL.iter().map(|point| point.as_str()).collect();
        let read = |text: &String| -> Result<Step, String> {
            let (at, rule) = Rule::step(text, &points).map_err(|why| why.to_string())?;
            Ok(Step { at, rule })
        };
        let rules: Vec<Step> = rules.iter().map(read).collect::<Result<_, _>>()?;
        let is_off = rules.is_empty();
        *self.0.rules.lock() = Arc::new(rules);
        if is_off {
            for number in self.0.held.numbers() {
                // One that went on at this moment needs no second word.
                let _gone = self.0.held.decide(number, Verdict::Go);
            }
        }
        Ok(())
    }

    fn rules(&self) -> Vec<String> {
        self.0.rules.lock().iter().map(|step| step.rule.text().to_owned()).collect()
    }

    fn waiting(&self) -> Vec<Waiting> {
        self.0.waiting.lock().clone()
    }

    fn decide(&self, number: u64, goes_on: bool) -> bool {
        self.0.held.decide(number, if goes_on { Verdict::Go } else { Verdict::Drop })
    }

    fn without_secrets(&self, text: &str) -> String {
        redact::text(text)
    }
}

impl Inner {
    /// Waits until somebody decides; whether the call goes on.
    async fn wait(self: &Arc<Self>, seen: Seen) -> bool {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let since = jiff::Timestamp::now().to_string();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= WAITING_MAX {
                tracing::warn!("{WAITING_MAX} calls wait in step mode: this one goes on");
                return true;
            }
            waiting.push(Waiting { number, since, seen });
        }
        let _gone = Gone(self, number);
        self.held.hold(number).await != Verdict::Drop
    }
}

/// Takes a call out of the list, also when its caller left.
struct Gone<'a>(&'a Inner, u64);

impl Drop for Gone<'_> {
    fn drop(&mut self) {
        self.0.waiting.lock().retain(|waiting| waiting.number != self.1);
    }
}

/// A message without secrets, and no longer than can be kept.
fn shown(message: &str) -> Value {
    let text = redact::text(message);
    if text.len() <= MESSAGE_BYTES_MAX {
        return serde_json::from_str(&text).unwrap_or(Value::String(text));
    }
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
    let rest = text.len() - end;
    Value::String(format!("{}… {rest} bytes more", text.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use gateway::debug::{Debugger as _, Holding, Point, Seen};
    use serde_json::json;

    use super::{Steps, WAITING_MAX};

    fn seen(point: Point, path: &str) -> Seen {
        Seen {
            point,
            path: path.to_owned(),
            request: "r".into(),
            turn: None,
            model: None,
            message: json!({"text": "weather", "api_key": "hush"}),
        }
    }

    fn steps(rules: &[&str]) -> Steps {
        let steps = Steps::default();
        let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        steps.set_rules(&rules).unwrap();
        steps
    }

    /// Polls once, so that the call waits.
    async fn begin(mut holding: Holding) -> Holding {
        tokio::select! {
            biased;
            _ = &mut holding => panic!("it does not wait"),
            () = std::future::ready(()) => holding,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_where_its_rule_says_until_somebody_decides() {
        let steps = steps(&["at=prompt path=/v1/* body=weather"]);
        assert!(steps.hold(seen(Point::Parsed, "/v1/messages")).is_none());
        assert!(steps.hold(seen(Point::Prompt, "/api/chat")).is_none());
        let one = begin(steps.hold(seen(Point::Prompt, "/v1/messages")).unwrap()).await;
        let two = begin(steps.hold(seen(Point::Prompt, "/v1/messages")).unwrap()).await;
        let waiting = steps.waiting();
        assert_eq!(waiting.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(waiting[0].seen.message["api_key"], "[hidden]");
        assert!(steps.decide(1, true) && steps.decide(2, false));
        assert!(one.await && !two.await);
        assert!(steps.waiting().is_empty() && !steps.decide(1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let steps = steps(&["at=answer"]);
        // Nobody decides: it goes on after a while.
        assert!(steps.hold(seen(Point::Answer, "/x")).unwrap().await);
        // Its caller leaves.
        drop(begin(steps.hold(seen(Point::Answer, "/x")).unwrap()).await);
        assert!(steps.waiting().is_empty());
        // Step mode ends.
        let last = begin(steps.hold(seen(Point::Answer, "/x")).unwrap()).await;
        steps.set_rules(&[]).unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), last).await.unwrap());
        assert!(steps.hold(seen(Point::Answer, "/x")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_is_room_for() {
        let steps = steps(&["pause"]);
        let mut all = Vec::new();
        for _ in 0..WAITING_MAX {
            all.push(begin(steps.hold(seen(Point::Parsed, "/x")).unwrap()).await);
        }
        let more = steps.hold(seen(Point::Parsed, "/x")).unwrap();
        assert!(tokio::time::timeout(Duration::from_secs(1), more).await.unwrap());
        assert_eq!(steps.waiting().len(), WAITING_MAX);
    }

    #[test]
    fn a_wrong_rule_changes_nothing() {
        let steps = steps(&["at=parsed"]);
        let why = steps.set_rules(&["at=parsed".to_owned(), "at=sent".to_owned()]).unwrap_err();
        assert!(why.contains("must be one of parsed, joined, prompt, answer"), "{why}");
        assert_eq!(steps.rules(), ["at=parsed"]);
    }
}
