//! Two servers: one mounts a context of the other, which is killed, comes back, and ends it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::program::{Home, Server, soon};

/// Messages of the long context, in so many requests.
const MESSAGES: usize = 10_000;
const REQUESTS: usize = 20;

const READER: &[(&str, &str)] =
    &[("RAPPORT_MOUNTS_PRIVATE", "true"), ("RAPPORT_MOUNTS_REFRESH", "200ms")];

/// One address for an origin that comes back on another port.
struct Relay {
    addr: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
    _listening: JoinSet<()>,
}

impl Relay {
    async fn before(origin: &Server) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = socket.local_addr().unwrap();
        let to = Arc::new(Mutex::new(origin.addr));
        let target = Arc::clone(&to);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, _)) = socket.accept().await {
                let target = *target.lock().unwrap();
                connections.spawn(async move {
                    if let Ok(mut to) = TcpStream::connect(target).await {
                        let _ended = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                    }
                });
            }
        });
        Self { addr, to, _listening: listening }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

async fn say(server: &Server, texts: &[String]) {
    let messages: Vec<Value> =
        texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
    let said = server.post("/api/v1/contexts/talk/messages", &json!({"messages": messages})).await;
    assert_eq!(said.status, 201, "{said:?}");
}

/// Asks until the mount stands as it should.
async fn until(server: &Server, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let asked = async {
        loop {
            let mount = server.get("/api/v1/mounts/talk").await.json();
            if so(&mount) {
                return mount;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Box::pin(soon(what, asked)).await
}

#[tokio::test]
async fn a_mount_outlives_its_origin_and_follows_it_when_it_is_back() {
    let (there, here) = (Home::new(), Home::new());
    let origin = there.serve(&[]).await;
    let relay = Relay::before(&origin).await;
    origin.post("/api/v1/contexts", &json!({"id": "talk"})).await;
    let all: Vec<String> = (0..MESSAGES).map(|n| format!("message number {n}")).collect();
    for part in all.chunks(MESSAGES / REQUESTS) {
        say(&origin, part).await;
    }
    let shared = there.run(&["context", "share", "talk", "--data", "data"]).await;
    let token = String::from_utf8(shared.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("rap_share_"), "{token}");

    let reader = here.serve(READER).await;
    let url = relay.url();
    let mounted = here.run(&["context", "mount", &url, &token, "--data", "data"]).await;
    let said = String::from_utf8(mounted.stdout).unwrap();
    let errors = String::from_utf8(mounted.stderr).unwrap();
    assert!(mounted.status.success() && said.contains("mounted as `talk`"), "{said}{errors}");
    assert!(errors.contains("ed25519:"), "{errors}");
    until(&reader, "all messages", |mount| mount["messages"] == MESSAGES).await;
    let last = reader.get("/api/v1/contexts/talk/messages?order=desc&limit=1").await;
    assert_eq!(last.json()["messages"][0]["content"], all[MESSAGES - 1], "{last:?}");
    let proven = reader.post("/api/v1/mounts/talk/check", &json!({})).await;
    assert_eq!(proven.json()["proven"], MESSAGES, "{proven:?}");

    // The origin dies; the reader serves what it has, also after its own restart.
    origin.kill().await;
    let away = until(&reader, "it is away", |mount| mount["state"] == "offline").await;
    assert!(!away["error"].as_str().unwrap().is_empty(), "{away}");
    reader.kill().await;
    let reader = here.serve(READER).await;
    let page = reader.get("/api/v1/contexts/talk/messages?limit=500").await;
    assert_eq!(page.json()["messages"].as_array().unwrap().len(), 500);
    assert!(page.header("x-rapport-mount").starts_with("state=offline; checked="), "{page:?}");
    let found = reader.get("/api/v1/search?q=4711").await;
    assert_eq!(found.json()["hits"][0]["seq"], 4712, "{found:?}");
    let fork = reader.post("/api/v1/contexts/talk/fork", &json!({"id": "mine"})).await;
    assert_eq!(fork.status, 201, "{fork:?}");
    let turn = reader.post("/api/v1/contexts/mine/turns", &json!({"message": "go on"})).await;
    assert_eq!(turn.status, 200, "{turn:?}");

    // It comes back, by itself.
    let origin = there.serve(&[]).await;
    *relay.to.lock().unwrap() = origin.addr;
    say(&origin, &["said after the crash".to_owned()]).await;
    let back = until(&reader, "it is back", |mount| mount["messages"] == MESSAGES + 1).await;
    assert_eq!(back["state"], "current", "{back}");

    // The share is ended over there; what is here goes, and only the fork stays.
    let ended = there.run(&["context", "share", "talk", "--end", "1", "--data", "data"]).await;
    assert!(ended.status.success(), "{ended:?}");
    until(&reader, "its end", |mount| mount["state"] == "ended").await;
    let gone = reader.get("/api/v1/contexts/talk/messages").await;
    assert_eq!(gone.status, 404, "{gone:?}");
    let kept = reader.get("/api/v1/contexts/mine").await.json();
    assert_eq!(kept["size"]["messages"], MESSAGES + 2, "{kept}");
    let listed = here.run(&["context", "mounts", "--data", "data"]).await;
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("ended") && listed.contains("talk"), "{listed}");
    let unmounted = here.run(&["context", "unmount", "talk", "--data", "data"]).await;
    assert!(unmounted.status.success(), "{unmounted:?}");
    reader.stop().await;
    origin.stop().await;
}

#[tokio::test]
async fn what_the_origin_erases_is_dropped_here() {
    let (there, here) = (Home::new(), Home::new());
    let origin = there.serve(&[("RAPPORT_CONTEXTS_ENCRYPT", "true")]).await;
    let relay = Relay::before(&origin).await;
    origin.post("/api/v1/contexts", &json!({"id": "talk"})).await;
    say(&origin, &["a secret".to_owned()]).await;
    let share = origin.post("/api/v1/contexts/talk/share", &json!({})).await.json();
    let reader = here.serve(READER).await;
    let body = json!({"url": relay.url(), "token": share["token"], "key": share["key"]});
    let made = reader.post("/api/v1/mounts", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let erased = there.run(&["audit", "erase-key", "--yes", "--data", "data"]).await;
    assert!(erased.status.success(), "{erased:?}");
    let end = until(&reader, "its end", |mount| mount["state"] == "ended").await;
    assert!(end["error"].as_str().unwrap().contains("erased"), "{end}");
    assert_eq!(reader.get("/api/v1/contexts/talk/messages").await.status, 404);
    reader.stop().await;
    origin.stop().await;
}
