//! `kill -9` in the middle of writing: what was acknowledged is there, and nothing is half.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::program::{Home, Server, soon};
use super::progress::Progress;
use super::talk::{request, try_send};

/// Each round kills one server.
const ROUNDS: u32 = 20;

/// Writers of each round, half of them by JSON lines and half by HTTP, each in its own context.
const WRITERS: u32 = 8;

/// What was acknowledged so far, over all rounds.
#[derive(Default)]
struct Ledger {
    /// By context: the numbers of its acknowledged turns, in order.
    acknowledged: Mutex<HashMap<String, Vec<u32>>>,
    /// The number of the next turn, for all writers.
    next: AtomicU32,
    progress: Progress,
}

impl Ledger {
    fn take(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn note(&self, context: &str, number: u32) {
        let mut acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.entry(context.to_owned()).or_default().push(number);
        self.progress.note();
    }
}

fn said(number: u32) -> String {
    format!("number {number}. {}", "x".repeat(200))
}

/// Writes by JSON lines until the connection breaks.
async fn by_lines(addr: SocketAddr, context: &str, ledger: &Ledger) {
    let Ok(stream) = TcpStream::connect(addr).await else { return };
    let mut stream = BufReader::new(stream);
    loop {
        let number = ledger.take();
        let ask = json!({"sessionId": context, "message": said(number)});
        if stream.write_all(format!("{ask}\n").as_bytes()).await.is_err() {
            return;
        }
        let mut line = String::new();
        if stream.read_line(&mut line).await.is_err() || !line.ends_with('\n') {
            return;
        }
        let reply: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(reply["updatedContext"]["last_message"], said(number), "{reply}");
        ledger.note(context, number);
    }
}

/// Writes by HTTP until the connection breaks.
async fn by_http(addr: SocketAddr, context: &str, ledger: &Ledger) {
    loop {
        let number = ledger.take();
        let ask = json!({"sessionId": context, "message": said(number)});
        let ask = request("POST", "/api/mcp/interact", ask.to_string());
        let Ok(answer) = try_send(addr, ask).await else { return };
        assert_eq!(answer.status, 200, "{answer:?}");
        ledger.note(context, number);
    }
}

#[tokio::test]
async fn a_killed_server_loses_nothing_acknowledged_and_keeps_nothing_half() {
    let home = Home::new();
    let ledger = Ledger::default();
    for round in 0..ROUNDS {
        ledger.progress.begin();
        let server = home.serve(&[]).await;
        let addr = server.addr;
        let writers = (0..WRITERS).map(async |writer| {
            let context = format!("writer-{writer}");
            if writer % 2 == 0 {
                by_lines(addr, &context, &ledger).await;
            } else {
                by_http(addr, &context, &ledger).await;
            }
        });
        let kill = async {
            // After a different number of turns each time, in the middle of the next ones.
            ledger.progress.reached(1 + round * 7 % 60).await;
            server.kill().await;
        };
        let writers = Box::pin(futures_util::future::join_all(writers));
        let round = async { tokio::join!(writers, kill) };
        soon("the end of a round", Box::pin(round)).await;
    }
    let server = home.serve(&[]).await;
    let acknowledged = ledger.acknowledged.lock().unwrap().clone();
    let total: usize = acknowledged.values().map(Vec::len).sum();
    assert!(total > 100, "the servers hardly lived: {total}");
    for (context, numbers) in &acknowledged {
        whole(&server, context, numbers).await;
    }
    let health = server.get("/health").await;
    assert_eq!(health.status, 200, "{health:?}");
    println!("{total} acknowledged turns survived {ROUNDS} kills");
}

/// Every acknowledged turn is there once and in order, and each question has its answer.
async fn whole(server: &Server, context: &str, acknowledged: &[u32]) {
    let messages = server.messages(context).await;
    let mut stored = Vec::new();
    for pair in messages.chunks(2) {
        let [question, answer] = pair else { panic!("half a turn in {context}: {pair:?}") };
        assert_eq!((&question["role"], &answer["role"]), (&json!("user"), &json!("assistant")));
        for message in pair {
            assert_eq!(message["status"], "complete", "{context}: {message}");
        }
        let text = question["content"].as_str().unwrap();
        assert!(answer["content"].as_str().unwrap().contains(text), "{context}: {answer}");
        let number = text.strip_prefix("number ").and_then(|rest| rest.split('.').next());
        stored.push(number.unwrap().parse::<u32>().unwrap());
    }
    assert!(stored.is_sorted(), "{context}: {stored:?}");
    let lost: Vec<_> = acknowledged.iter().filter(|number| !stored.contains(number)).collect();
    assert!(lost.is_empty(), "{context} lost {lost:?}");
    // Each kill may leave one turn that was stored and not acknowledged, and no more.
    let extra = stored.len() - acknowledged.len();
    assert!(extra <= usize::try_from(ROUNDS).unwrap(), "{context}: {extra} turns too many");
    let found = server.get(&format!("/api/v1/contexts/{context}")).await.json();
    assert_eq!(found["size"]["messages"], messages.len(), "{found}");
}
