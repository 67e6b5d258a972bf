//! Prints what large stores cost: long contexts, forks of them, many messages, many contexts.
//!
//! `cargo bench -p context --bench large` runs all; a name after `--` runs one group: `long`,
//! `fork`, `search`, `list`. `SMALL=1` makes everything a hundredth of the size.
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end by a panic")]
#![expect(clippy::indexing_slicing, reason = "a benchmark may end by a panic")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its own environment")]

use std::path::Path;
use std::time::Duration;

use context::{
    Budget, Content, Contexts, Durability, Filter, Key, Limits, LocalReply, Map, New, NewEntry,
    NewTurn, Plan, Tenant,
};
use storage::{Database, Place, Schema};
use tokio::time::Instant;
use wire::prompt::Role;

const SCHEMAS: &[&Schema] = &[&context::SCHEMA];
const HOME: Tenant = Tenant(0);
/// Words of which messages are made: common ones, and one rare one in each.
const WORDS: [&str; 12] = [
    "harbour",
    "timetable",
    "figure",
    "meeting",
    "violin",
    "weather",
    "market",
    "bridge",
    "letter",
    "garden",
    "morning",
    "engine",
];

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let part = if std::env::var_os("SMALL").is_some() { 100 } else { 1 };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if wants("long") {
            long(10_000 / part).await;
            long(100_000 / part).await;
        }
        if wants("fork") {
            fork(100_000 / part).await;
        }
        if wants("search") {
            search(1_000_000 / part).await;
        }
        if wants("list") {
            list(1_000_000 / part).await;
        }
    });
}

async fn open(folder: &Path) -> Contexts {
    let db = Database::open(Place::Folder(folder.to_path_buf()), SCHEMAS).await.unwrap();
    let limits = Limits { context_bytes: u64::MAX, ..Limits::default() };
    Contexts::open(db, limits).await.unwrap().with_durability(Durability::Fast)
}

fn key(id: &str) -> Key {
    Key::new(HOME, id).unwrap()
}

fn text(n: usize) -> String {
    let words: Vec<&str> = (0..24).map(|at| WORDS[(n * 7 + at * at) % WORDS.len()]).collect();
    format!("{} rare{}", words.join(" "), n % 5_000)
}

/// Fills a context with so many messages.
async fn fill(contexts: &Contexts, id: &str, messages: usize) {
    let new = New { id: Some(id.to_owned()), ..New::default() };
    contexts.create(HOME, new).await.unwrap();
    for from in (0..messages).step_by(500) {
        let entries = (from..messages.min(from + 500))
            .map(|n| NewEntry {
                role: if n % 2 == 0 { Role::User } else { Role::Assistant },
                content: Content::Text(text(n)),
                model: None,
                meta: Map::new(),
            })
            .collect();
        contexts.append(&key(id), entries, None, None).await.unwrap();
    }
}

fn turn(id: &str, n: usize) -> NewTurn {
    NewTurn {
        key: key(id),
        create: false,
        before: Vec::new(),
        content: Content::Text(text(n)),
        state: None,
        remember_last: false,
        expect: None,
        idem: None,
        durability: None,
        meta: Map::new(),
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

/// A turn and the window before it, at the end of a long context; and what a cut costs.
async fn long(turns: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    fill(&contexts, "c", turns * 2).await;
    let budget = Budget { tokens: 8_000 };
    let began = Instant::now();
    contexts.window(&key("c"), budget).await.unwrap();
    println!("long: first cut of {} messages in {:?}", turns * 2, began.elapsed());
    let mut both = Vec::new();
    for n in 0..1_000 {
        let began = Instant::now();
        let done = contexts.answer_now(turn("c", n), |_| {
            let usage = wire::reply::Usage::default();
            Ok(LocalReply { text: text(1), model: "echo".into(), usage, meta: Map::new() })
        });
        done.await.unwrap();
        contexts.window(&key("c"), budget).await.unwrap();
        both.push(began.elapsed());
    }
    println!("long: append + window at {turns} turns: {} (goal: p99 2 ms)", spread(both));
    // The same window of one message, found by the search and without it.
    let last = Plan::parse(&serde_json::json!({"strategy": "last", "turns": 1})).unwrap();
    let tiny = Plan::parse(&serde_json::json!({"strategy": "budget", "tokens": 40})).unwrap();
    let mut costs = Vec::new();
    for plan in [last, tiny] {
        let mut times = Vec::new();
        for _ in 0..300 {
            let began = Instant::now();
            contexts.preview_window_as(&key("c"), budget, Some(plan.clone())).await.unwrap();
            times.push(began.elapsed());
        }
        times.sort();
        costs.push(times[times.len() / 2]);
    }
    let cut = costs[1].saturating_sub(costs[0]);
    println!("long: search of a cut at {} messages: {cut:?} (goal: 5 µs)", turns * 2);
    contexts.database().close().await.unwrap();
}

/// Forks of one long context: time each, and bytes of the file each.
async fn fork(messages: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    fill(&contexts, "c", messages).await;
    contexts.database().close().await.unwrap();
    let size = || std::fs::metadata(folder.path().join("rapport.db")).unwrap().len();
    let before = size();
    let contexts = open(folder.path()).await;
    let forks = 200;
    let mut times = Vec::new();
    for n in 0..forks {
        let new = New { id: Some(format!("f{n}")), ..New::default() };
        let began = Instant::now();
        contexts.fork(&key("c"), None, new).await.unwrap();
        times.push(began.elapsed());
    }
    contexts.database().close().await.unwrap();
    let bytes = size().saturating_sub(before) / forks;
    println!("fork: of {messages} messages: {} (goal: 1 ms)", spread(times));
    println!("fork: {bytes} bytes each (goal: 1024)");
}

/// Full text search over many messages.
async fn search(messages: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    let each = 1_000.min(messages);
    for n in 0..messages / each {
        fill(&contexts, &format!("c{n}"), each).await;
    }
    let began = Instant::now();
    // Every search puts a part of what waits into the index.
    for _ in 0..(messages / 5_000) {
        contexts.search(HOME, "violin", 1).await.unwrap();
    }
    println!("search: {messages} messages indexed in {:?}", began.elapsed());
    for words in ["rare4321", "rare1234 bridge", "violin market"] {
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            contexts.search(HOME, words, 10).await.unwrap();
            times.push(began.elapsed());
        }
        println!("search: `{words}`: {} (goal: 5 ms)", spread(times));
    }
    contexts.database().close().await.unwrap();
}

/// Pages of a list of many contexts, and the memory of the process.
async fn list(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for part in 0..8 {
        let contexts = contexts.clone();
        tasks.spawn(async move {
            for n in 0..count / 8 {
                let new = New { id: Some(format!("c{part}-{n}")), ..New::default() };
                contexts.create(HOME, new).await.unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    println!("list: {count} contexts made in {:?}", began.elapsed());
    let mut times = Vec::new();
    let mut cursor = None;
    for _ in 0..200 {
        let filter = Filter { limit: 20, cursor: cursor.take(), ..Filter::default() };
        let began = Instant::now();
        cursor = contexts.list(HOME, filter).await.unwrap().next;
        times.push(began.elapsed());
    }
    println!("list: a page of 20: {} (goal: 20 ms)", spread(times));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
    println!("list: {rss} (goal: 200 MB)");
    contexts.database().close().await.unwrap();
}
