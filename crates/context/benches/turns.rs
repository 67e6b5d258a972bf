//! Prints how fast turns are, how they keep their speed as a context grows, and their size on disk.
//!
//! `cargo bench -p context --bench turns` runs all; a name after `--` runs one group: `speed`,
//! `growth`, `disk`, `window`, `indexes`.
#![expect(clippy::print_stdout, reason = "the figures are the purpose")]
#![expect(clippy::unwrap_used, reason = "a benchmark may end by a panic")]
#![expect(clippy::indexing_slicing, reason = "a benchmark may end by a panic")]
#![expect(clippy::cast_precision_loss, reason = "printed figures need no more digits")]

use std::path::Path;
use std::time::Duration;

use context::{
    Budget, Content, Contexts, Durability, Key, Limits, LocalReply, Map, NewTurn, StateEdit, Tenant,
};
use serde_json::json;
use storage::{Database, Place, Schema};
use tokio::task::JoinSet;
use tokio::time::Instant;

const SCHEMAS: &[&Schema] = &[&context::SCHEMA];

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        if wants("speed") {
            speed().await;
        }
        if wants("indexes") {
            indexes().await;
        }
        if wants("growth") {
            growth(100_000).await;
        }
        if wants("disk") {
            disk().await;
        }
        if wants("window") {
            window().await;
        }
    });
}

async fn open(folder: &Path, durability: Durability) -> Contexts {
    let db = Database::open(Place::Folder(folder.to_path_buf()), SCHEMAS).await.unwrap();
    Contexts::open(db, Limits::default()).await.unwrap().with_durability(durability)
}

fn turn(id: &str, message: String) -> NewTurn {
    let mut change = Map::new();
    change.insert("topic".to_owned(), json!("the sea"));
    change.insert("user_id".to_owned(), json!("user-1"));
    NewTurn {
        key: Key::new(Tenant(0), id).unwrap(),
        create: true,
        before: Vec::new(),
        content: Content::Text(message),
        state: Some(StateEdit::Shallow(change)),
        remember_last: true,
        expect: None,
        idem: None,
        durability: None,
        meta: Map::new(),
    }
}

async fn echo(contexts: &Contexts, turn: NewTurn) {
    let text = format!("echo: {}", turn.content.plain());
    let done = contexts.answer_now(turn, move |view| {
        let text = format!("{text} ({} keys)", view.state().len());
        let model = "echo".to_owned();
        Ok(LocalReply { text, model, usage: wire::reply::Usage::default(), meta: Map::new() })
    });
    done.await.unwrap();
}

/// Turns per second, each task in a context of its own.
async fn speed() {
    for (name, durability) in [("fast", Durability::Fast), ("group", Durability::Group)] {
        for tasks in [1_usize, 8, 64, 256] {
            let folder = tempfile::tempdir().unwrap();
            let contexts = open(folder.path(), durability).await;
            load(&contexts, tasks, name).await;
            contexts.database().close().await.unwrap();
        }
    }
}

/// What each index of the list costs: turns per second without it, beside those with all, in a
/// store that holds some contexts already.
async fn indexes() {
    let none: &[&str] = &[];
    let all = ["ctx_list", "ctx_created", "ctx_size", "ctx_user", "ctx_closed", "ctx_log"];
    let each = all.iter().map(std::slice::from_ref);
    for without in [none].into_iter().chain(each).chain([&all[..], none, &all[..]]) {
        let folder = tempfile::tempdir().unwrap();
        let contexts = open(folder.path(), Durability::Fast).await;
        for n in 0..20_000 {
            let text = format!("a message {}", "and so on ".repeat(n % 40));
            echo(&contexts, turn(&format!("old-{n}"), text)).await;
        }
        for index in without {
            let sql = format!("DROP INDEX {index}");
            let drop = move |c: &storage::rusqlite::Connection| {
                storage::Stored::stored(c.execute_batch(&sql))
            };
            contexts.database().write(Durability::Fast, drop).await.unwrap();
        }
        load(&contexts, 64, &format!("without {without:?}")).await;
        contexts.database().close().await.unwrap();
    }
}

/// Turns for three seconds, each task in a context of its own.
///
/// The processor's time says more than the clock where others use the machine too.
async fn load(contexts: &Contexts, tasks: usize, name: &str) {
    let before = cpu();
    let start = Instant::now();
    let end = start + Duration::from_secs(3);
    let mut set = JoinSet::new();
    for task in 0..tasks {
        let contexts = contexts.clone();
        set.spawn(async move {
            let id = format!("context-{task}");
            let mut waits = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                echo(&contexts, turn(&id, "a message of some words to store".to_owned())).await;
                waits.push(start.elapsed());
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = set.join_all().await.into_iter().flatten().collect();
    let seconds = start.elapsed().as_secs_f64();
    waits.sort();
    let stats = contexts.database().stats();
    println!(
        "{name:5} {tasks:3} tasks: {:7.0} turns/s, {:.1} µs of processor a turn, p50 {:?}, p99 \
         {:?}, {:.1} jobs a commit",
        waits.len() as f64 / seconds,
        (cpu() - before) * 1e6 / waits.len() as f64,
        waits[waits.len() / 2],
        waits[waits.len() * 99 / 100],
        stats.jobs as f64 / stats.commits as f64,
    );
}

/// Seconds of processor that this process has used; 0 where nobody says.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = |at: usize| rest.split(' ').nth(at).and_then(|text| text.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// One context from its first to its last turn, by tenths.
async fn growth(turns: usize) {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path(), Durability::Fast).await;
    let mut medians = Vec::new();
    let mut means = Vec::new();
    for _ in 0..10 {
        let mut waits = Vec::with_capacity(turns / 10);
        for i in 0..turns / 10 {
            let start = Instant::now();
            echo(&contexts, turn("long", format!("message {i} of a long conversation"))).await;
            waits.push(start.elapsed());
        }
        means.push(waits.iter().sum::<Duration>() / u32::try_from(waits.len()).unwrap());
        waits.sort();
        medians.push(waits[waits.len() / 2]);
    }
    println!("growth over {turns} turns, median of each tenth: {medians:?}");
    println!(
        "growth: last tenth / first tenth {:.2} (median), {:.2} (mean)",
        medians[9].as_secs_f64() / medians[0].as_secs_f64(),
        means[9].as_secs_f64() / means[0].as_secs_f64(),
    );
    contexts.database().close().await.unwrap();
}

/// Bytes on disk per byte of text.
async fn disk() {
    for (contexts_count, turns) in [(1, 500), (100, 100)] {
        let folder = tempfile::tempdir().unwrap();
        let contexts = open(folder.path(), Durability::Fast).await;
        let mut raw = 0;
        for i in 0..turns {
            for n in 0..contexts_count {
                let bytes = 700 + (i * 37 + n * 101) % 700;
                let message: String = "lorem ipsum ".chars().cycle().take(bytes).collect();
                raw += 2 * message.len() + "echo: ".len() + " (3 keys)".len();
                echo(&contexts, turn(&format!("c{n}"), message)).await;
            }
        }
        contexts.database().close().await.unwrap();
        let file = std::fs::metadata(folder.path().join("rapport.db")).unwrap().len();
        let wal = std::fs::metadata(folder.path().join("rapport.db-wal")).map_or(0, |m| m.len());
        println!(
            "disk: {contexts_count} contexts of {} messages: {} KB for {} KB of text, ratio {:.2}",
            turns * 2,
            (file + wal) / 1024,
            raw / 1024,
            (file + wal) as f64 / raw as f64,
        );
    }
}

/// Reading the window of a long context, and cutting it.
async fn window() {
    let folder = tempfile::tempdir().unwrap();
    let contexts = open(folder.path(), Durability::Fast).await;
    for i in 0..10_000 {
        echo(&contexts, turn("w", format!("message {i} {}", "word ".repeat(100)))).await;
    }
    let key = Key::new(Tenant(0), "w").unwrap();
    let budget = Budget { tokens: 20_000 };
    let start = Instant::now();
    let first = contexts.window(&key, budget).await.unwrap();
    println!("window: cut of 20,000 entries to {} in {:?}", first.entries.len(), start.elapsed());
    let mut waits = Vec::new();
    for i in 0..1_000 {
        echo(&contexts, turn("w", format!("message {i} {}", "word ".repeat(100)))).await;
        let start = Instant::now();
        contexts.window(&key, budget).await.unwrap();
        waits.push(start.elapsed());
    }
    waits.sort();
    println!("window: p50 {:?}, p99 {:?} at 20,000 entries", waits[500], waits[990]);
    contexts.database().close().await.unwrap();
}
