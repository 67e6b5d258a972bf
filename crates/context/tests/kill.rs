//! A process that is killed at any moment loses nothing it acknowledged, and leaves no half turn.
//!
//! The test starts itself as the victim: `kill append FOLDER` appends turns and prints the number
//! of each one that was acknowledged. It speaks the part of the test harness's command line that
//! `cargo test` and `cargo nextest` use.
#![expect(clippy::print_stdout, reason = "the acknowledgements go through a pipe")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end by a panic"
)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use context::{
    Begun, Content, Contexts, Entry, EntryStatus, Key, Limits, LocalReply, Map, NewTurn, Outcome,
    Slice, Tenant,
};
use storage::{Database, Durability, Place, Schema};
use tokio::runtime::Runtime;
use wire::prompt::Role;
use wire::reply::Usage;

const SCHEMAS: &[&Schema] = &[&context::SCHEMA];
const NAME: &str = "a_killed_process_loses_no_acknowledged_turn";
/// Rounds: each kills one process.
const ROUNDS: u32 = 200;
/// Contexts that the victim writes to at the same time.
const WRITERS: u32 = 4;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["append", folder, durability] => append(Path::new(folder), durability),
        _ if words.contains(&"--list") => {
            if !words.contains(&"--ignored") {
                println!("{NAME}: test");
            }
        }
        // A filter of the harness that means other tests.
        _ if words.iter().any(|w| !w.starts_with('-') && !NAME.contains(w)) => {}
        _ => rounds(),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn open(folder: &Path) -> Contexts {
    let db = Database::open(Place::Folder(folder.to_path_buf()), SCHEMAS).await.unwrap();
    Contexts::open(db, Limits::default()).await.unwrap()
}

fn key(writer: u32) -> Key {
    Key::new(Tenant(0), &format!("writer-{writer}")).unwrap()
}

fn turn(writer: u32, number: u32, durability: Durability) -> NewTurn {
    NewTurn {
        key: key(writer),
        create: true,
        before: Vec::new(),
        content: Content::Text(format!("question {number} {}", "x".repeat(200))),
        state: None,
        remember_last: true,
        expect: None,
        idem: None,
        durability: Some(durability),
        meta: Map::new(),
    }
}

/// The victim: appends until it is killed. Even writers answer at once, odd ones in two steps.
fn append(folder: &Path, durability: &str) {
    let durability = if durability == "fast" { Durability::Fast } else { Durability::Group };
    runtime().block_on(async {
        let contexts = open(folder).await;
        let mut set = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let contexts = contexts.clone();
            set.spawn(async move {
                let first =
                    contexts.get(&key(writer)).await.map_or(0, |context| context.size.turns);
                for number in u32::try_from(first).unwrap().. {
                    one(&contexts, writer, number, durability).await;
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "{writer} {number}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
        set.join_all().await;
    });
}

async fn one(contexts: &Contexts, writer: u32, number: u32, durability: Durability) {
    let turn = turn(writer, number, durability);
    let answer = format!("answer {number}");
    if writer.is_multiple_of(2) {
        let reply = LocalReply {
            text: answer,
            model: "m".to_owned(),
            usage: Usage::default(),
            meta: Map::new(),
        };
        contexts.answer_now(turn, move |_| Ok(reply)).await.unwrap();
    } else {
        let Begun::Open(open) = contexts.begin(turn).await.unwrap() else { panic!("replayed") };
        let outcome = Outcome {
            content: Content::Text(answer),
            model: "m".to_owned(),
            status: EntryStatus::Complete,
            meta: Map::new(),
            usage_tokens: None,
        };
        contexts.finish(&open, outcome).await.unwrap();
    }
}

fn rounds() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let mut acknowledged = vec![HashSet::new(); usize::try_from(WRITERS).unwrap()];
    let mut total = 0_u32;
    for round in 0..ROUNDS {
        let durability = if round.is_multiple_of(2) { "fast" } else { "group" };
        total += victim(folder.path(), round, durability, &mut acknowledged);
        // Every round is opened by the next victim anyway; all of it is read now and then.
        if round % 10 == 9 {
            runtime.block_on(check(folder.path(), &acknowledged));
        }
    }
    assert!(total > ROUNDS, "the victims hardly lived: {total} turns");
    println!("test {NAME} ... ok ({ROUNDS} kills, {total} acknowledged turns)");
}

/// Starts a victim, kills it after a few acknowledgements and notes what it acknowledged.
fn victim(folder: &Path, round: u32, durability: &str, acknowledged: &mut [HashSet<u32>]) -> u32 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["append", folder.to_str().unwrap(), durability])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let mut note = |line: String| {
        let (writer, number) = line.split_once(' ').unwrap();
        let fresh = acknowledged[writer.parse::<usize>().unwrap()].insert(number.parse().unwrap());
        assert!(fresh, "turn {number} of writer {writer} was acknowledged twice");
    };
    // A different number of turns, then a pause of microseconds: kills fall on every stage.
    let wanted = round * 7 % 23;
    while seen < wanted {
        note(lines.next().expect("the victim died on its own").unwrap());
        seen += 1;
    }
    std::thread::park_timeout(Duration::from_micros(u64::from(round * 137 % 3000)));
    child.kill().unwrap();
    // What it had printed before it died was acknowledged too; its last line may be cut off.
    for line in lines.map_while(Result::ok) {
        if line.split_once(' ').is_some_and(|(_, number)| !number.is_empty()) {
            note(line);
            seen += 1;
        }
    }
    child.wait().unwrap();
    seen
}

async fn check(folder: &Path, acknowledged: &[HashSet<u32>]) {
    let contexts = open(folder).await;
    for (writer, acknowledged) in (0_u32..).zip(acknowledged) {
        if acknowledged.is_empty() {
            continue;
        }
        let entries = all(&contexts, &key(writer)).await;
        let context = contexts.get(&key(writer)).await.unwrap();
        assert_eq!(context.size.messages, u64::try_from(entries.len()).unwrap());
        assert_eq!(context.open_turn, None);
        let stored = answered(&entries);
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "acknowledged turns {lost:?} of writer {writer} are missing");
    }
    contexts.database().close().await.unwrap();
}

/// The numbers of whole turns; fails on half ones.
fn answered(entries: &[Entry]) -> HashSet<u32> {
    let mut out = HashSet::new();
    let mut rest = entries.iter().zip(1_u32..);
    while let Some((user, seq)) = rest.next() {
        assert_eq!((user.seq, user.role), (seq, Role::User));
        if user.status == EntryStatus::Failed {
            continue;
        }
        assert_eq!(user.status, EntryStatus::Complete);
        let (reply, _) = rest.next().expect("a question without an answer is marked as failed");
        assert_eq!((reply.role, reply.status), (Role::Assistant, EntryStatus::Complete));
        let number = user.content.stored().split(' ').nth(1).unwrap();
        assert_eq!(reply.content.stored(), format!("answer {number}"));
        assert!(out.insert(number.parse().unwrap()), "turn {number} stands twice");
    }
    out
}

async fn all(contexts: &Contexts, key: &Key) -> Vec<Entry> {
    let mut out = Vec::new();
    let mut after = None;
    loop {
        let slice = Slice { limit: 500, after, ..Slice::default() };
        let page = contexts.messages(key, slice).await.unwrap();
        out.extend(page.items);
        match page.next {
            Some(next) => after = Some(next.parse().unwrap()),
            None => return out,
        }
    }
}
