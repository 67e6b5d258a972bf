//! Responses that are made in the background, as their callers hear them: every event, numbered.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use context::Key;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Limit: bytes of events that are kept of one response; beyond them only its end is told.
const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Limit: responses that are kept after their end, for callers that come back.
const ENDED_MAX: usize = 64;
/// Limit: bytes of those.
const ENDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// All responses that are made in the background.
#[derive(Debug, Default)]
pub(crate) struct Lives(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    lives: HashMap<Key, Arc<Live>>,
    ended: VecDeque<(Key, Arc<Live>)>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Live {
    told: Mutex<Told>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Told {
    /// The events from number 0 on.
    events: Vec<Bytes>,
    bytes: usize,
    /// There were too many to keep.
    is_lost: bool,
    has_ended: bool,
}

/// What comes next for somebody who listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The event with the number that was asked for.
    Event(Bytes),
    /// There is no more.
    End,
    /// What comes next is not kept: what is stored has to say it.
    Lost,
}

impl Lives {
    /// A response begins.
    pub(super) fn begin(&self, key: &Key) -> Arc<Live> {
        let live =
            Arc::new(Live { told: Mutex::new(Told::default()), news: watch::Sender::new(0) });
        self.0.lock().lives.insert(key.clone(), Arc::clone(&live));
        live
    }

    /// It has ended; it is kept for a while.
    pub(super) fn end(&self, key: &Key, live: &Arc<Live>) {
        live.change(|told| told.has_ended = true);
        let mut table = self.0.lock();
        table.ended.push_back((key.clone(), Arc::clone(live)));
        let mut bytes: usize = table.ended.iter().map(|(_, live)| live.bytes()).sum();
        while table.ended.len() > ENDED_MAX || bytes > ENDED_BYTES_MAX {
            let Some((key, old)) = table.ended.pop_front() else { break };
            bytes = bytes.saturating_sub(old.bytes());
            if table.lives.get(&key).is_some_and(|live| Arc::ptr_eq(live, &old)) {
                table.lives.remove(&key);
            }
        }
    }

    /// One that is being made, or was a moment ago.
    pub(super) fn find(&self, key: &Key) -> Option<Arc<Live>> {
        self.0.lock().lives.get(key).cloned()
    }
}

impl Live {
    /// Takes the next events, whole.
    pub(super) fn push(&self, bytes: &[u8]) {
        self.change(|told| {
            for event in events(bytes) {
                told.bytes = told.bytes.saturating_add(event.len());
                if told.bytes > RESPONSE_BYTES_MAX {
                    told.is_lost = true;
                    told.events = Vec::new();
                }
                if !told.is_lost {
                    told.events.push(Bytes::copy_from_slice(event));
                }
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock());
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn bytes(&self) -> usize {
        self.told.lock().bytes.min(RESPONSE_BYTES_MAX)
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        let mut news = self.news.subscribe();
        while !self.told.lock().has_ended {
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// The event with this number, as soon as it is there.
    pub(super) async fn hear(&self, number: u64) -> Heard {
        let mut news = self.news.subscribe();
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        loop {
            news.borrow_and_update();
            {
                let told = self.told.lock();
                if told.is_lost && told.has_ended {
                    return Heard::Lost;
                }
                match told.events.get(at) {
                    Some(event) => return Heard::Event(event.clone()),
                    None if told.has_ended => return Heard::End,
                    None => {}
                }
            }
            if news.changed().await.is_err() {
                return Heard::Lost;
            }
        }
    }
}

/// Whole events; comments between them are of no use to those who come later.
fn events(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\n\n")?.saturating_add(2);
            let (event, next) = rest.split_at_checked(end)?;
            rest = next;
            if !event.starts_with(b":") {
                return Some(event);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use context::Tenant;

    fn key(id: &str) -> Key {
        Key::new(Tenant(0), id).unwrap()
    }

    #[tokio::test]
    async fn every_event_is_heard_once_in_its_order() {
        let lives = Lives::default();
        let live = lives.begin(&key("a"));
        live.push(b"data: 0\n\n: ping\n\ndata: 1\n\n");
        let found = lives.find(&key("a")).unwrap();
        assert_eq!(found.hear(1).await, Heard::Event("data: 1\n\n".into()));
        let (last, ()) = tokio::join!(found.hear(2), async { live.push(b"data: 2\n\n") });
        assert_eq!(last, Heard::Event("data: 2\n\n".into()));
        let (end, ()) = tokio::join!(found.hear(3), async { lives.end(&key("a"), &live) });
        assert_eq!(end, Heard::End);
        found.ended().await;
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let lives = Lives::default();
        let live = lives.begin(&key("long"));
        live.push(&[&[b'x'; RESPONSE_BYTES_MAX][..], b"\n\n"].concat());
        lives.end(&key("long"), &live);
        assert_eq!(live.hear(0).await, Heard::Lost);
        for number in 0..200 {
            let key = key(&number.to_string());
            lives.end(&key, &lives.begin(&key));
        }
        assert!(lives.find(&key("0")).is_none() && lives.find(&key("199")).is_some());
        assert_eq!(lives.0.lock().lives.len(), ENDED_MAX);
    }
}
