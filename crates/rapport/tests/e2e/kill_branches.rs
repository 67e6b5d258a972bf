//! Kills in the middle of forks, imports, background summaries and webhooks: what was acknowledged
//! is there, and the store is sound.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use mock::{Mock, Script};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::program::{Home, Server, soon};
use super::progress::Progress;
use super::talk::{request, try_send};
use super::upstream::before;

/// Servers that are killed.
const ROUNDS: u32 = 6;

/// What was acknowledged, whoever did it.
#[derive(Default)]
struct Ledger {
    next: AtomicU32,
    progress: Progress,
    /// Forks and imports by id, with their messages.
    made: Mutex<Vec<(String, usize)>>,
}

impl Ledger {
    fn note(&self, made: Option<(String, usize)>) {
        self.made.lock().unwrap().extend(made);
        self.progress.note();
    }
}

/// Asks until the server is gone; `None` then.
async fn ask(server: &Server, path: &str, body: &Value) -> Option<Value> {
    let answer = try_send(server.addr, request("POST", path, body.to_string())).await.ok()?;
    assert!(answer.status < 300, "{path}: {answer:?}");
    Some(answer.json())
}

/// Long turns of one context, whose windows are cut and summarised all the time.
async fn talk(server: &Server, ledger: &Ledger) {
    let turn = json!({"message": "about harbours and timetables ".repeat(20)});
    while ask(server, "/api/v1/contexts/talk/turns", &turn).await.is_some() {
        ledger.note(None);
    }
}

async fn fork(server: &Server, ledger: &Ledger) {
    loop {
        let id = format!("fork-{}", ledger.next.fetch_add(1, Ordering::Relaxed));
        let Some(made) =
            ask(server, "/api/v1/contexts/talk/fork", &json!({"id": id, "at": 2})).await
        else {
            return;
        };
        assert_eq!(made["size"]["messages"], 2, "{made}");
        ledger.note(Some((id, 2)));
    }
}

async fn import(server: &Server, ledger: &Ledger) {
    let messages: Vec<Value> =
        (0..600).map(|n| json!({"role": "user", "content": format!("message {n}")})).collect();
    loop {
        let id = format!("import-{}", ledger.next.fetch_add(1, Ordering::Relaxed));
        let document = json!({"format": "rapport.context/1", "context": {"id": id},
                              "messages": messages});
        if ask(server, "/api/v1/import", &document).await.is_none() {
            return;
        }
        ledger.note(Some((id, 600)));
    }
}

/// An address that takes webhooks and notes their ids.
async fn listener(heard: &Mutex<Vec<String>>, socket: tokio::net::TcpListener) {
    loop {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut bytes = vec![0; 64 * 1024];
        let count = stream.read(&mut bytes).await.unwrap_or(0);
        let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
        let id = text.lines().find_map(|line| line.strip_prefix("webhook-id: "));
        heard.lock().unwrap().extend(id.map(str::to_owned));
        let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        // Whoever was killed hears no answer, and will tell again.
        drop(stream.write_all(answer).await);
    }
}

const PRIVATE: &[(&str, &str)] = &[("RAPPORT_WEBHOOKS_PRIVATE", "true")];

async fn rounds(home: &Home, mock: &Mock, ledger: &Ledger) {
    for round in 0..ROUNDS {
        ledger.progress.begin();
        let server = before(home, &mock.url(), PRIVATE).await;
        let kill = async {
            ledger.progress.reached(4 + round * 5).await;
            server.signal(rustix::process::Signal::KILL);
        };
        let work = async {
            tokio::join!(
                talk(&server, ledger),
                fork(&server, ledger),
                import(&server, ledger),
                kill
            )
        };
        soon("the end of a round", Box::pin(work)).await;
        server.kill().await;
    }
}

#[tokio::test]
async fn forks_imports_summaries_and_webhooks_survive_kills() {
    let home = Home::new();
    let heard = Mutex::new(Vec::new());
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/", socket.local_addr().unwrap());
    let ledger = Ledger::default();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), Script::default()).await.unwrap();
    let server = home.serve(PRIVATE).await;
    let window = json!({"strategy": "summary", "tokens": 500});
    let new = json!({"id": "talk", "settings": {"window": window}, "messages": [
        {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    assert_eq!(server.post("/api/v1/contexts", &new).await.status, 201);
    let wanted = json!({"url": hook, "events": ["context.forked"]});
    let made = server.post("/api/v1/webhooks", &wanted).await;
    assert_eq!(made.status, 201, "{made:?}");
    server.stop().await;

    let work = async {
        rounds(&home, &mock, &ledger).await;
        let server = home.serve(PRIVATE).await;
        let made = ledger.made.lock().unwrap().clone();
        let forks = made.iter().filter(|(id, _)| id.starts_with("fork-")).count();
        for (id, messages) in &made {
            let found = server.get(&format!("/api/v1/contexts/{id}")).await;
            assert_eq!(found.json()["size"]["messages"], *messages, "{id}: {found:?}");
            assert_eq!(found.json()["status"], "open", "{id}");
        }
        let half = server.get("/api/v1/contexts?status=importing").await.json();
        assert_eq!(half["contexts"], json!([]), "{half}");
        let told = async {
            loop {
                let mut ids = heard.lock().unwrap().clone();
                ids.sort();
                ids.dedup();
                let waiting = server.get("/api/v1/webhooks/1/deliveries").await.json();
                let none = waiting["deliveries"].as_array().is_some_and(Vec::is_empty);
                if ids.len() >= forks && none {
                    return ids.len();
                }
            }
        };
        let told = soon("all webhooks", Box::pin(told)).await;
        let summaries = server.get("/api/v1/contexts/talk/summaries").await.json();
        println!("{} made, {told} forks told", made.len());
        assert_ne!(summaries["summaries"], json!([]), "nothing was summarised");
        assert!(forks > 0 && forks < made.len(), "{forks} forks of {}", made.len());
        server.stop().await;
    };
    tokio::select! {
        () = Box::pin(work) => {}
        () = listener(&heard, socket) => {}
    }
    let checked = home.run(&["doctor", "--store", home.data().to_str().unwrap()]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
