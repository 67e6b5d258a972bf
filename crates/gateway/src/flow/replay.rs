//! What turns under way have told so far, for those whose connection broke: kept until shortly
//! after the reply is in the log.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use context::{Key, Turn};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use wire::Fault;
use wire::event::{Event, Part};

use super::{Answered, STEPS_MAX, Step};

/// Limit: bytes that are kept of one turn; the oldest go first.
const TURN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Limit: turns that are kept after their end, so that who comes back late loses no piece.
const ENDED_MAX: usize = 32;
/// Limit: bytes of those.
const ENDED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A turn, by its context and number.
type Name = (Key, u64);

/// All turns that can be listened to again.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    table: Arc<Mutex<Table>>,
}

#[derive(Debug, Default)]
struct Table {
    turns: HashMap<Name, Arc<Replay>>,
    /// Those that have ended, the oldest first.
    ended: VecDeque<(Name, Arc<Replay>)>,
}

/// What one turn has told.
#[derive(Debug)]
pub(crate) struct Replay {
    told: Mutex<Told>,
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct Told {
    /// The events with consecutive numbers, the first of which is `first`.
    events: VecDeque<Arc<Piece>>,
    first: u64,
    bytes: usize,
    began: Instant,
    end: Option<End>,
}

/// An event as callers see it.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Such as `delta`.
    pub(crate) name: &'static str,
    /// Its data.
    pub(crate) data: Value,
}

/// How a turn ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// With a stored reply.
    Done(Arc<Answered>),
    /// Without one: the members of the error object, without the id of a request.
    Failed(Arc<Map<String, Value>>),
}

/// What a listener hears next.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The event with this number.
    Piece(u64, Arc<Piece>),
    /// The end, with the number that its event has.
    End(u64, End),
    /// The pieces after the last one heard are no longer kept.
    Lost,
}

impl Replays {
    /// A turn begins.
    pub(super) fn begin(&self, key: &Key, number: u64) -> Arc<Replay> {
        let told =
            Told { events: VecDeque::new(), first: 1, bytes: 0, began: Instant::now(), end: None };
        let replay = Arc::new(Replay { told: Mutex::new(told), news: watch::Sender::new(0) });
        let name = (key.clone(), number);
        let mut table = lock(&self.table);
        // A turn that is retried begins anew.
        table.ended.retain(|(other, _)| *other != name);
        table.turns.insert(name, Arc::clone(&replay));
        replay
    }

    /// The turn has ended; it is kept for a while.
    pub(super) fn end(&self, key: &Key, number: u64, result: &Result<Turn, Fault>) {
        let name = (key.clone(), number);
        let mut table = lock(&self.table);
        let Some(replay) = table.turns.get(&name).cloned() else { return };
        replay.end(result);
        table.ended.push_back((name, replay));
        let mut bytes: usize = table.ended.iter().map(|(_, replay)| replay.bytes()).sum();
        while table.ended.len() > ENDED_MAX || bytes > ENDED_BYTES_MAX {
            let Some((name, old)) = table.ended.pop_front() else { break };
            bytes = bytes.saturating_sub(old.bytes());
            if table.turns.get(&name).is_some_and(|kept| Arc::ptr_eq(kept, &old)) {
                table.turns.remove(&name);
            }
        }
    }

    /// How many turns are kept.
    pub(crate) fn len(&self) -> usize {
        lock(&self.table).turns.len()
    }

    /// A turn that is under way, or that ended a moment ago.
    pub(crate) fn find(&self, key: &Key, number: u64) -> Option<Arc<Replay>> {
        lock(&self.table).turns.get(&(key.clone(), number)).cloned()
    }
}

impl Replay {
    /// Passes the steps on to a caller, as long as one listens, and keeps them.
    pub(super) async fn pass(
        &self,
        mut came: mpsc::Receiver<Step>,
        mut to: Option<mpsc::Sender<Step>>,
    ) {
        while let Some(step) = came.recv().await {
            self.keep(&step);
            if let Some(open) = &to
                && open.send(step).await.is_err()
            {
                to = None;
            }
        }
    }

    /// A channel into [`Replay::pass`].
    pub(super) fn channel() -> (mpsc::Sender<Step>, mpsc::Receiver<Step>) {
        mpsc::channel(STEPS_MAX)
    }

    fn keep(&self, step: &Step) {
        let Some((name, data)) = shown(step) else { return };
        let mut told = lock(&self.told);
        told.bytes = told.bytes.saturating_add(size(&data));
        told.events.push_back(Arc::new(Piece { name, data }));
        while told.bytes > TURN_BYTES_MAX {
            let Some(old) = told.events.pop_front() else { break };
            told.bytes = told.bytes.saturating_sub(size(&old.data));
            told.first = told.first.saturating_add(1);
        }
        drop(told);
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn end(&self, result: &Result<Turn, Fault>) {
        let mut told = lock(&self.told);
        told.end = Some(match result {
            Ok(turn) => {
                let elapsed = told.began.elapsed();
                End::Done(Arc::new(Answered { turn: turn.clone(), elapsed }))
            }
            Err(fault) => End::Failed(Arc::new(crate::surface::problem::object(fault, ""))),
        });
        drop(told);
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn bytes(&self) -> usize {
        lock(&self.told).bytes
    }

    /// The number of the last event, the end included.
    pub(crate) fn last(&self) -> Option<u64> {
        let told = lock(&self.told);
        told.end.as_ref().map(|_| told.next())
    }

    /// What comes after event `after`, as soon as it is there.
    pub(crate) async fn hear(&self, after: u64) -> Heard {
        let mut news = self.news.subscribe();
        loop {
            news.borrow_and_update();
            if let Some(heard) = lock(&self.told).after(after) {
                return heard;
            }
            // The sender lives in `self`: there is always more to wait for, or the end above.
            if news.changed().await.is_err() {
                return Heard::Lost;
            }
        }
    }
}

impl Told {
    /// The number that the next event gets.
    fn next(&self) -> u64 {
        self.first.saturating_add(u64::try_from(self.events.len()).unwrap_or(u64::MAX))
    }

    fn after(&self, after: u64) -> Option<Heard> {
        let wanted = after.saturating_add(1);
        if wanted < self.first {
            return Some(Heard::Lost);
        }
        let place = usize::try_from(wanted.saturating_sub(self.first)).unwrap_or(usize::MAX);
        match (self.events.get(place), &self.end) {
            (Some(piece), _) => Some(Heard::Piece(wanted, Arc::clone(piece))),
            (None, Some(end)) => Some(Heard::End(self.next(), end.clone())),
            (None, None) => None,
        }
    }
}

/// Roughly what a piece takes.
fn size(data: &Value) -> usize {
    let texts = data.as_object().into_iter().flat_map(Map::values);
    texts.filter_map(Value::as_str).map(str::len).sum::<usize>().saturating_add(128)
}

/// The name and data of a step that callers see; `None` for those that only structure.
pub(crate) fn shown(step: &Step) -> Option<(&'static str, Value)> {
    let event = match step {
        Step::Start { context, turn, model, provider } => {
            let data = json!({"context_id": &**context, "turn": turn, "model": model,
                              "provider": provider});
            return Some(("start", data));
        }
        Step::Event(event) => event,
    };
    match event {
        Event::Text { text, .. } => Some(("delta", json!({"text": text}))),
        Event::Thinking { text, .. } => Some(("thinking", json!({"text": text}))),
        Event::Open { index, part: Part::Tool { id, name } } => {
            Some(("tool", json!({"index": index, "id": id, "name": name})))
        }
        Event::Input { index, json } => Some(("tool_input", json!({"index": index, "json": json}))),
        Event::Start { .. }
        | Event::Open { .. }
        | Event::Close { .. }
        | Event::Ping
        | Event::Done(_)
        | Event::Fault(_) => None,
    }
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use context::Tenant;
    use wire::Code;

    fn key() -> Key {
        Key::new(Tenant(0), "a").unwrap()
    }

    fn text(text: &str) -> Step {
        Step::Event(Event::Text { index: 0, text: text.to_owned() })
    }

    #[tokio::test]
    async fn who_comes_back_hears_what_was_missed_and_then_the_end() {
        let replays = Replays::default();
        let replay = replays.begin(&key(), 3);
        replay.keep(&text("one"));
        replay.keep(&Step::Event(Event::Ping));
        replay.keep(&text("two"));
        let found = replays.find(&key(), 3).unwrap();
        let Heard::Piece(2, piece) = found.hear(1).await else { panic!("not the second piece") };
        assert_eq!((piece.name, &piece.data["text"]), ("delta", &json!("two")));
        let listening = tokio::join!(found.hear(2), async {
            replays.end(&key(), 3, &Err(Fault::new(Code::Cancelled, "the turn was cancelled")));
        });
        let Heard::End(3, End::Failed(why)) = listening.0 else { panic!("not the end") };
        assert_eq!(why["code"], "cancelled");
        assert_eq!(found.last(), Some(3));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded_and_who_comes_too_late_is_told() {
        let replays = Replays::default();
        let replay = replays.begin(&key(), 1);
        let long = "x".repeat(TURN_BYTES_MAX / 4);
        for _ in 0..6 {
            replay.keep(&text(&long));
        }
        assert!(replay.bytes() <= TURN_BYTES_MAX);
        assert!(matches!(replay.hear(0).await, Heard::Lost));
        assert!(matches!(replay.hear(5).await, Heard::Piece(6, _)));
        for number in 2..100 {
            drop(replays.begin(&key(), number));
            replays.end(&key(), number, &Err(Fault::new(Code::Cancelled, "x")));
        }
        // The one that runs stays; of those that ended the newest do.
        assert!(replays.find(&key(), 1).is_some());
        assert!(replays.find(&key(), 2).is_none());
        assert_eq!(lock(&replays.table).turns.len(), ENDED_MAX + 1);
    }
}
