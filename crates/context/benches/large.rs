//! Prints what large stores cost: long contexts, forks of them, many messages, many contexts.
//!
//! `cargo bench -p context --bench large` runs all and prints a table with goals; a name after `--`
//! runs one group: `long`, `fork`, `documents`, `search`, `list`. `SMALL=1` makes everything a
//! hundredth of the size.
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end by a panic")]
#![expect(clippy::indexing_slicing, reason = "a benchmark may end by a panic")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads its own environment")]

use std::path::Path;
use std::time::Duration;

use context::{
    Budget, Content, Contexts, Durability, Filter, Format, ImportOrder, Key, Limits, LocalReply,
    Map, New, NewEntry, NewTurn, Plan, Reading, Sort, Tenant, read_from,
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
    println!("| what | figure | goal |\n|---|---|---|");
    runtime.block_on(async {
        if wants("long") {
            long(10_000 / part).await;
            long(100_000 / part).await;
        }
        if wants("fork") {
            fork(100_000 / part).await;
        }
        if wants("documents") {
            documents(100_000 / part).await;
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

/// A line of the table.
fn row(what: &str, figure: &str, goal: &str) {
    println!("| {what} | {figure} | {goal} |");
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

/// How long the threads of this process ran, and how long they were ready and others ran instead;
/// nothing where the system does not say.
fn shares() -> (Duration, Duration) {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.fold((Duration::ZERO, Duration::ZERO), |(ran, idle), task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let mut numbers =
            text.split(' ').map(|n| n.parse().map_or(Duration::ZERO, Duration::from_nanos));
        let mut next = || numbers.next().unwrap_or_default();
        (ran + next(), idle + next())
    })
}

/// A turn and the window before it, at the end of a long context; and what a cut costs.
async fn long(turns: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    fill(&contexts, "c", turns * 2).await;
    let budget = Budget { tokens: 8_000 };
    let began = Instant::now();
    contexts.window(&key("c"), budget).await.unwrap();
    row(&format!("first cut of {} messages", turns * 2), &format!("{:?}", began.elapsed()), "");
    let (mut both, mut ran, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..1_000 {
        let before = shares();
        let began = Instant::now();
        let done = contexts.answer_now(turn("c", n), |_| {
            let usage = wire::reply::Usage::default();
            Ok(LocalReply { text: text(1), model: "echo".into(), usage, meta: Map::new() })
        });
        done.await.unwrap();
        contexts.window(&key("c"), budget).await.unwrap();
        let took = began.elapsed();
        let after = shares();
        let part = |now: Duration, then: Duration| now.saturating_sub(then).min(took);
        both.push(took);
        ran.push(part(after.0, before.0));
        idle.push(part(after.1, before.1));
    }
    row(&format!("append + window at {turns} turns"), &spread(both), "p99 2 ms, flat");
    row("of it, work of a processor", &spread(ran), "");
    row("of it, at most, waiting for a processor", &spread(idle), "");
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
    row(&format!("search of a cut at {} messages", turns * 2), &format!("{cut:?}"), "5 µs");
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
    row(&format!("fork of {messages} messages"), &spread(times), "1 ms");
    row("file growth of a fork", &format!("{bytes} bytes"), "1024 bytes");
}

/// Full text search over many messages.
async fn search(messages: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    let each = 10_000.min(messages);
    for n in 0..messages / each {
        fill(&contexts, &format!("c{n}"), each).await;
    }
    let began = Instant::now();
    // Every search puts a part of what waits into the index.
    for _ in 0..(messages / 5_000) {
        contexts.search(HOME, "violin", 1).await.unwrap();
    }
    row(&format!("index of {messages} messages"), &format!("{:?}", began.elapsed()), "");
    // One rare word, one beside a common one, two common ones, and two that are never together.
    for words in ["rare4321", "rare1234 figure", "violin weather", "violin market", "absent"] {
        let hits = contexts.search(HOME, words, 10).await.unwrap().len();
        let mut times = Vec::new();
        for _ in 0..50 {
            let began = Instant::now();
            contexts.search(HOME, words, 10).await.unwrap();
            times.push(began.elapsed());
        }
        row(&format!("search for `{words}`, {hits} hits"), &spread(times), "5 ms");
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
                let user = Some(format!("user {}", n % 1_000));
                let title = Some(format!("about {n}"));
                let id = Some(format!("c{part}-{n}"));
                let new = New { id, user, title, ..New::default() };
                contexts.create(HOME, new).await.unwrap();
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    row(&format!("{count} contexts made"), &format!("{:?}", began.elapsed()), "");
    let any = Filter::default;
    for (what, filter) in [
        ("newest first", any()),
        ("by creation", Filter { sort: Sort::Created, ascending: true, ..any() }),
        ("by size", Filter { sort: Sort::Size, ..any() }),
        ("of a user", Filter { user: Some("user 7".to_owned()), ..any() }),
        ("by the beginning of ids", Filter { id_prefix: Some("c3-77".to_owned()), ..any() }),
        ("by a common part of titles", Filter { title_contains: Some("7".to_owned()), ..any() }),
    ] {
        let mut times = Vec::new();
        let mut cursor = None;
        for _ in 0..100 {
            let filter = Filter { limit: 20, cursor: cursor.take(), ..filter.clone() };
            let began = Instant::now();
            cursor = contexts.list(HOME, filter).await.unwrap().next;
            times.push(began.elapsed());
        }
        row(&format!("a page of 20, {what}"), &spread(times), "20 ms");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
    row("memory then", rss, "200 MB");
    contexts.database().close().await.unwrap();
}

/// A long context as a document and back, and its end while another one is written.
async fn documents(messages: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path()).await;
    fill(&contexts, "c", messages).await;
    fill(&contexts, "other", 2).await;
    for format in [Format::JsonLines, Format::Anthropic] {
        let began = Instant::now();
        let mut export = contexts.exporting(&key("c"), format).await.unwrap();
        let mut document = String::new();
        while let Some(part) = export.next().await.unwrap() {
            document.push_str(&part);
        }
        let name = format.as_str();
        row(
            &format!("export of {messages} messages as {name}"),
            &format!("{:?}", began.elapsed()),
            "",
        );
        let order = ImportOrder { new_ids: true, ..ImportOrder::default() };
        let began = Instant::now();
        let mut import = contexts.importing(HOME, order).unwrap();
        let (to, mut pieces) = tokio::sync::mpsc::channel(2);
        let reader = tokio::task::spawn_blocking(move || {
            read_from(document.as_bytes(), Reading::default(), &mut |piece| {
                to.blocking_send(piece).unwrap();
                Ok(())
            })
        });
        while let Some(piece) = pieces.recv().await {
            import.take(piece).await.unwrap();
        }
        reader.await.unwrap().unwrap();
        import.finish().await.unwrap();
        row(&format!("import of it as {name}"), &format!("{:?}", began.elapsed()), "");
    }
    let began = Instant::now();
    let deleting = {
        let contexts = contexts.clone();
        tokio::task::spawn(async move {
            contexts.delete(&key("c")).await.unwrap();
            began.elapsed()
        })
    };
    let mut times = Vec::new();
    while !deleting.is_finished() {
        let began = Instant::now();
        let entry = NewEntry {
            role: Role::User,
            content: Content::Text(text(1)),
            model: None,
            meta: Map::new(),
        };
        contexts.append(&key("other"), vec![entry], None, None).await.unwrap();
        times.push(began.elapsed());
    }
    let took = deleting.await.unwrap();
    row(&format!("delete of {messages} messages"), &format!("{took:?}"), "");
    row("append to another context meanwhile", &spread(times), "p99 20 ms");
    contexts.database().close().await.unwrap();
}
