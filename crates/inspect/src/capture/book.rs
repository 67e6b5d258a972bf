//! The book of exchanges: bounded, the oldest go first, watched by whoever wants to.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::exchange::{Ending, Exchange, Kind, PAGE_BYTES, Times};
use super::tape::Tape;
use crate::http::Framing;

/// Limit: news that a slow watcher may fall behind.
const NEWS_MAX: usize = 4096;

/// Limit: exchanges at the same time that others tell of.
const HEARD_MAX: usize = 1_000;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Exchanges.
    pub exchanges: usize,
    /// Bytes of all of them.
    pub bytes: usize,
    /// Bytes of one way of one exchange; what is over is passed on and counted, and not kept.
    pub way_bytes: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { exchanges: 10_000, bytes: 64 << 20, way_bytes: 8 << 20 }
    }
}

/// What happened to an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It began, or more of it is known.
    Changed(u64),
    /// It is over.
    Over(u64),
}

/// All exchanges that are remembered.
#[derive(Clone, Debug)]
pub struct Book {
    inner: Arc<Mutex<Inner>>,
    room: Room,
    news: broadcast::Sender<News>,
    /// Apart, as every word wakes who listens: most want to know of ends alone.
    ends: broadcast::Sender<u64>,
}

#[derive(Debug, Default)]
struct Inner {
    exchanges: VecDeque<Arc<Mutex<Exchange>>>,
    next: u64,
    bytes: usize,
    forgotten: u64,
    /// Exchanges that others tell of, while they go on.
    heard: HashMap<String, u64>,
}

/// An exchange that is being written; dropping it ends it.
#[derive(Debug)]
pub struct Entry {
    book: Book,
    exchange: Arc<Mutex<Exchange>>,
    number: u64,
    began: Instant,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the caller to the target.
    Asked,
    /// From the target to the caller.
    Answered,
    /// A program's standard error.
    Aside,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub fn new(room: Room) -> Self {
        let (news, _) = broadcast::channel(NEWS_MAX);
        let (ends, _) = broadcast::channel(NEWS_MAX);
        Self { inner: Arc::default(), room, news, ends }
    }

    /// Opens a page.
    #[must_use]
    pub fn open(&self, kind: Kind, peer: String, target: String) -> Entry {
        let mut inner = self.inner.lock();
        inner.next += 1;
        let number = inner.next;
        let exchange = Arc::new(Mutex::new(Exchange {
            number,
            kind,
            begun: Timestamp::now(),
            peer,
            target,
            asked: Tape::default(),
            ask: None,
            ask_framing: Framing::Close,
            answered: Tape::default(),
            answer: None,
            answer_framing: Framing::Close,
            trailers: Vec::new(),
            aside: Tape::default(),
            times: Times::default(),
            ending: Ending::Open,
            rules: Vec::new(),
        }));
        inner.exchanges.push_back(Arc::clone(&exchange));
        inner.bytes = inner.bytes.saturating_add(PAGE_BYTES);
        self.trim(&mut inner);
        drop(inner);
        Entry { book: self.clone(), exchange, number, began: Instant::now() }
    }

    /// Puts in exchanges that were stored, as they were.
    pub fn put(&self, mut exchange: Exchange) {
        let mut inner = self.inner.lock();
        inner.next = inner.next.max(exchange.number);
        if exchange.number == 0 {
            inner.next += 1;
            exchange.number = inner.next;
        }
        inner.bytes = inner.bytes.saturating_add(exchange.weight());
        inner.exchanges.push_back(Arc::new(Mutex::new(exchange)));
        self.trim(&mut inner);
    }

    /// Takes what another tells of an exchange, as it is now, and gives the number it has here.
    pub(crate) fn hear(&self, key: &str, mut exchange: Exchange) -> u64 {
        let is_open = exchange.is_open();
        let mut inner = self.inner.lock();
        let known = inner.heard.get(key).copied();
        let page = known.and_then(|number| {
            inner.exchanges.iter().find(|page| page.lock().number == number).cloned()
        });
        let weight = exchange.weight();
        let (before, number) = match page {
            Some(page) => {
                let mut page = page.lock();
                exchange.number = page.number;
                let before = page.weight();
                *page = exchange;
                (before, page.number)
            }
            None => {
                inner.next += 1;
                let number = inner.next;
                exchange.number = number;
                inner.exchanges.push_back(Arc::new(Mutex::new(exchange)));
                (0, number)
            }
        };
        inner.bytes = inner.bytes.saturating_add(weight).saturating_sub(before);
        if !is_open {
            inner.heard.remove(key);
        } else if inner.heard.len() < HEARD_MAX || inner.heard.contains_key(key) {
            inner.heard.insert(key.to_owned(), number);
        }
        self.trim(&mut inner);
        drop(inner);
        self.tell(if is_open { News::Changed(number) } else { News::Over(number) });
        number
    }

    /// A copy of an exchange as it is now.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<Exchange> {
        let found = {
            let inner = self.inner.lock();
            inner.exchanges.iter().find(|page| page.lock().number == number).cloned()
        };
        found.map(|page| page.lock().clone())
    }

    /// Asks `each` about every exchange after `after`, the oldest first, until it says `false`.
    pub fn each(&self, after: u64, mut each: impl FnMut(&Exchange) -> bool) {
        let pages: Vec<_> = self.inner.lock().exchanges.iter().cloned().collect();
        for page in pages {
            let page = page.lock();
            if page.number > after && !each(&page) {
                break;
            }
        }
    }

    /// The number of the oldest that is remembered.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        let first = self.inner.lock().exchanges.front().cloned();
        first.map(|page| page.lock().number)
    }

    /// How many are remembered, how many were forgotten, and the bytes of those remembered.
    #[must_use]
    pub fn size(&self) -> (usize, u64, usize) {
        let inner = self.inner.lock();
        (inner.exchanges.len(), inner.forgotten, inner.bytes)
    }

    /// Forgets all that is over.
    pub fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.exchanges.retain(|page| page.lock().is_open());
        inner.bytes = inner.exchanges.iter().map(|page| page.lock().weight()).sum();
    }

    /// What happens from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// The numbers of exchanges as they end, from now on.
    #[must_use]
    pub fn ends(&self) -> broadcast::Receiver<u64> {
        self.ends.subscribe()
    }

    /// Forgets the oldest until the rest has room.
    fn trim(&self, inner: &mut Inner) {
        while inner.exchanges.len() > 1
            && (inner.exchanges.len() > self.room.exchanges || inner.bytes > self.room.bytes)
        {
            let Some(page) = inner.exchanges.pop_front() else { break };
            inner.bytes = inner.bytes.saturating_sub(page.lock().weight());
            inner.forgotten += 1;
        }
    }

    fn tell(&self, news: News) {
        // Nobody may be watching.
        let _unheard = self.news.send(news);
        if let News::Over(number) = news {
            let _unheard = self.ends.send(number);
        }
    }
}

impl Entry {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The time since it began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Writes down a piece that went by.
    pub fn push(&self, way: Way, piece: &[u8]) {
        let at = self.elapsed();
        let limit = self.book.room.way_bytes;
        if self.is_forgotten() {
            // Nobody can ask for it any more: what is left of it takes no room.
            let mut page = self.exchange.lock();
            let page = &mut *page;
            for tape in [&mut page.asked, &mut page.answered, &mut page.aside] {
                tape.forget();
            }
            return;
        }
        let grown = {
            let mut page = self.exchange.lock();
            let before = page.weight();
            let tape = match way {
                Way::Asked => &mut page.asked,
                Way::Answered => &mut page.answered,
                Way::Aside => &mut page.aside,
            };
            tape.push(piece, at, limit);
            page.weight().saturating_sub(before)
        };
        let mut inner = self.book.inner.lock();
        inner.bytes = inner.bytes.saturating_add(grown);
        self.book.trim(&mut inner);
    }

    /// Whether the book has no room for it any more.
    fn is_forgotten(&self) -> bool {
        let first = self.book.inner.lock().exchanges.front().cloned();
        first.is_none_or(|page| page.lock().number > self.number)
    }

    /// Changes what is known.
    pub fn change(&self, change: impl FnOnce(&mut Exchange)) {
        change(&mut self.exchange.lock());
        self.book.tell(News::Changed(self.number));
    }

    /// Reads what is known.
    pub fn read<T>(&self, read: impl FnOnce(&Exchange) -> T) -> T {
        read(&self.exchange.lock())
    }

    /// Ends it; the first ending counts.
    pub fn end(&self, ending: Ending) {
        let over = self.elapsed();
        {
            let mut page = self.exchange.lock();
            if page.ending != Ending::Open {
                return;
            }
            page.ending = ending;
            page.times.over = Some(over);
        }
        self.book.tell(News::Over(self.number));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(Ending::CutByCaller);
    }
}

#[cfg(test)]
mod tests {
    use super::{Book, Room, Way};
    use crate::capture::{Ending, Kind};
    use crate::http::{Head, Side};

    #[test]
    fn the_oldest_go_when_there_is_no_room() {
        let book = Book::new(Room { exchanges: 100, bytes: 12_000, way_bytes: 500 });
        for _ in 0..50 {
            let entry = book.open(Kind::Lines, "caller".into(), "target".into());
            entry.push(Way::Asked, &[b'x'; 900]);
            entry.end(Ending::Whole);
        }
        let (kept, forgotten, bytes) = book.size();
        assert!(bytes <= 12_000, "{bytes}");
        assert_eq!(kept as u64 + forgotten, 50);
        assert!(book.get(1).is_none());
        let last = book.get(50).unwrap();
        assert_eq!((last.asked.bytes().len(), last.asked.total()), (500, 900));
    }

    /// Resident memory of this process, in bytes.
    #[cfg(target_os = "linux")]
    fn resident() -> usize {
        let text = std::fs::read_to_string("/proc/self/statm").unwrap();
        text.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_day_of_traffic_takes_no_more_memory_than_an_hour() {
        let book = Book::new(Room::default());
        let head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
        let mut at_first = 0;
        // A tenth of eight hours at 100 requests a second; after a tenth of that the room is full.
        for number in 0..288_000 {
            let entry = book.open(Kind::Http, "127.0.0.1:1".into(), "127.0.0.1:2".into());
            entry.push(Way::Asked, head);
            entry.push(Way::Asked, &[b'q'; 700]);
            entry.change(|page| page.ask = Head::read(head, Side::Ask).unwrap());
            for _ in 0..3 {
                entry.push(Way::Answered, &[b'a'; 900]);
            }
            entry.end(Ending::Whole);
            if number == 28_800 {
                at_first = resident();
            }
        }
        let (_, forgotten, bytes) = book.size();
        let room = Room::default().bytes;
        assert!(forgotten > 250_000 && bytes <= room, "{forgotten} {bytes}");
        let grown = resident().saturating_sub(at_first);
        assert!(grown < 16 << 20, "{grown} bytes more after ten times the traffic");
        assert!(resident() < 2 * room, "{} bytes in all", resident());
    }

    #[test]
    fn what_goes_on_after_it_was_forgotten_takes_no_room() {
        let book = Book::new(Room { exchanges: 1, bytes: 1 << 20, way_bytes: 1 << 20 });
        let long = book.open(Kind::Http, "caller".into(), "target".into());
        long.push(Way::Answered, &[b'x'; 100_000]);
        let next = book.open(Kind::Http, "caller".into(), "target".into());
        long.push(Way::Answered, &[b'x'; 100_000]);
        assert_eq!(long.read(|page| page.answered.bytes().len()), 0);
        next.push(Way::Answered, &[b'y'; 10]);
        assert_eq!(book.get(2).unwrap().answered.bytes().len(), 10);
    }

    #[test]
    fn eight_hours_of_traffic_stay_in_their_room() {
        let room = Room { exchanges: 1_000, bytes: 1 << 20, way_bytes: 1 << 16 };
        let book = Book::new(room);
        // 100 requests a second for eight hours, a thousand times faster and smaller.
        for number in 0_u32..28_800 {
            let entry = book.open(Kind::Http, "caller".into(), "target".into());
            entry.push(Way::Asked, &vec![b'q'; (number % 700) as usize]);
            entry.push(Way::Answered, &vec![b'a'; (number % 9_000) as usize]);
            entry.end(Ending::Whole);
            let (kept, _, bytes) = book.size();
            assert!(kept <= room.exchanges && bytes <= room.bytes + room.way_bytes);
        }
        assert!(book.size().1 > 27_000);
    }
}
