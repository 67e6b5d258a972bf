//! Large documents and large messages: at every door, in bounded memory, through kills and full
//! disks.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use futures_util::{SinkExt as _, StreamExt as _};

use super::faults_disk::Disk;
use super::program::{Home, Server, soon};
use super::talk::{Wire, request};

const HEAD: &str = "{\"format\":\"rapport.context/1\",\"context\":{\"id\":\"d\"}}\n";
const MIB: usize = 1024 * 1024;

/// Begins an import that will have so many bytes.
async fn importing(server: &Server, bytes: usize) -> Wire {
    let mut wire = server.connect().await;
    let head = format!(
        "POST /api/v1/import HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         accept: text/event-stream\r\ncontent-length: {bytes}\r\n\r\n"
    );
    wire.say(head.as_bytes()).await;
    wire
}

fn line(bytes: usize) -> String {
    json!({"role": "user", "content": "x".repeat(bytes)}).to_string() + "\n"
}

/// Waits until a part of the document is stored.
async fn is_stored_in_part(server: &Server) {
    let stored = async {
        loop {
            let found = server.get("/api/v1/contexts/d").await;
            if found.status == 200 && found.json()["size"]["messages"].as_u64() > Some(0) {
                return found.json();
            }
        }
    };
    let found = soon("a part of the import", Box::pin(stored)).await;
    assert_eq!(found["status"], "importing", "{found}");
}

/// What the server's memory was at its largest, in bytes.
fn most_memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let number: String = line.chars().filter(char::is_ascii_digit).collect();
    number.parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_imports_keeps_nothing_of_it() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let ask = json!({"sessionId": "before", "message": "m"});
    assert_eq!(server.post("/api/mcp/interact", &ask).await.status, 200);
    let mut wire = importing(&server, 100 * MIB).await;
    wire.say(HEAD.as_bytes()).await;
    for _ in 0..12 {
        wire.say(line(MIB).as_bytes()).await;
    }
    is_stored_in_part(&server).await;
    server.kill().await;
    let server = home.serve(&[]).await;
    assert_eq!(server.get("/api/v1/contexts/d").await.status, 404);
    assert_eq!(server.messages("before").await.len(), 2);
    let checked = home.run(&["doctor", "--store", home.data().to_str().unwrap()]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    // And it comes in when it is sent again.
    let document = format!("{HEAD}{}", line(10));
    let mut wire = importing(&server, document.len()).await;
    wire.say(document.as_bytes()).await;
    loop {
        if wire.line().await.contains("event: done") {
            break;
        }
    }
    assert_eq!(server.get("/api/v1/contexts/d").await.json()["status"], "open");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_exports_has_lost_nothing() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    server.post("/api/v1/contexts", &json!({"id": "d"})).await;
    let messages: Vec<Value> =
        (0..8).map(|_| json!({"role": "user", "content": "x".repeat(MIB)})).collect();
    for _ in 0..3 {
        let made = server.post("/api/v1/contexts/d/messages", &json!({"messages": messages})).await;
        assert_eq!(made.status, 201, "{}", made.status);
    }
    let mut wire = server.connect().await;
    wire.say(b"GET /api/v1/contexts/d/export HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(wire.line().await.contains("200"));
    server.kill().await;
    let server = home.serve(&[]).await;
    let export = server.get("/api/v1/contexts/d/export").await;
    assert_eq!(export.json()["messages"].as_array().unwrap().len(), 24);
    server.stop().await;
}

#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_an_import_gets_its_room_back() {
    let home = Home::new();
    let Some(disk) = Disk::new(&home.path("disk"), "size=12m,mode=700") else { return };
    let server = home.serve_in(&home.path("disk/data"), &[]).await;
    let ask = json!({"sessionId": "s", "message": "m"});
    assert_eq!(server.post("/api/mcp/interact", &ask).await.status, 200);
    let document: String =
        std::iter::once(HEAD.to_owned()).chain((0..40).map(|_| line(MIB))).collect();
    let mut asked = request("POST", "/api/v1/import", document);
    asked.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let told = server.send(asked).await;
    assert!(told.body.contains("event: error"), "{}", told.body);
    assert!(told.body.contains("disk_full"), "{}", told.body);
    assert_eq!(server.get("/api/v1/contexts/d").await.status, 404);
    // Nobody made room: what the import had taken is free again.
    assert_eq!(server.post("/api/mcp/interact", &ask).await.status, 200);
    assert_eq!(server.messages("s").await.len(), 4);
    // Two copies of what was written do not fit: the log of writes stays beside the file.
    let ended = server.stop().await;
    let said = home.errors();
    assert!(ended.status.success() || said.contains("not closed in good order"), "{said}");
    disk.grow("size=64m");
    let server = home.serve_in(&home.path("disk/data"), &[]).await;
    assert_eq!(server.messages("s").await.len(), 4);
    server.stop().await;
}

/// What becomes of a message of 32 MiB, and of one that is a byte too long, at a door over HTTP.
async fn at_door(server: &Server, path: &str, body: impl Fn(String) -> Value, good: u16) {
    let fits = server.post(path, &body("y".repeat(32 * MIB))).await;
    assert_eq!(fits.status, good, "{path}: {}", fits.body.chars().take(300).collect::<String>());
    let beyond = server.post(path, &body("y".repeat(32 * MIB + 1))).await;
    let said: String = beyond.body.chars().take(600).collect();
    assert_eq!(beyond.status, 413, "{path}: {said}");
    assert!(said.contains("33554432"), "{path}: {said}");
}

#[tokio::test]
async fn a_message_of_32_megabytes_is_taken_or_refused_by_name_at_every_door() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    for id in ["r", "m", "i"] {
        server.post("/api/v1/contexts", &json!({"id": id})).await;
    }
    let role = |text: String| json!({"messages": [{"role": "user", "content": text}]});
    at_door(&server, "/api/v1/contexts/r/messages", role, 201).await;
    let session = |text: String| json!({"sessionId": "i", "message": text});
    let beyond = server.post("/api/mcp/interact", &session("y".repeat(32 * MIB + 1))).await;
    assert_eq!(beyond.status, 413, "{}", beyond.status);
    let claude = |text: String| {
        json!({"model": "demo", "max_tokens": 10, "metadata": {"context_id": "m"},
               "messages": [{"role": "user", "content": text}]})
    };
    at_door(&server, "/v1/messages", claude, 200).await;

    // A line may have 4 MiB unless `limits.line_bytes` says otherwise.
    let line = json!({"sessionId": "l", "message": "z".repeat(32 * MIB)}).to_string() + "\n";
    let mut wire = server.connect().await;
    let (_sent, said) = tokio::join!(wire_say(&server, &line), async {
        wire.say(b"{\"sessionId\":\"l\",\"message\":\"short\"}\n").await;
        wire.line().await
    });
    assert!(said.contains("short"), "others are served meanwhile: {said}");
    let socket = format!("ws://{}/ws", server.addr).into_client_request().unwrap();
    let stream = server.connect().await.into_stream();
    let opened = soon("a WebSocket", tokio_tungstenite::client_async(socket, stream)).await;
    let (mut socket, _) = opened.unwrap();
    // The server may close while it is still sent.
    drop(socket.send(Message::text("z".repeat(32 * MIB))).await);
    let mut last = None;
    while let Some(Ok(came)) = soon("the end of the WebSocket", socket.next()).await {
        last = Some(came);
    }
    if let Some(Message::Close(Some(frame))) = last {
        assert_eq!(u16::from(frame.code), 1009, "{frame:?}");
    }
    assert_eq!(server.get("/health").await.status, 200);
    let most = most_memory(&server);
    println!("at most {} MiB", most / MIB);
    assert!(most < 800 * MIB, "{} MiB", most / MIB);
    server.stop().await;
}

/// Sends a line that is too long, and reads what is said to it.
async fn wire_say(server: &Server, line: &str) {
    let mut wire = server.connect().await;
    // The server may hang up before it has read it all.
    drop(wire.try_say(line.as_bytes()).await);
    let said = wire.rest().await;
    assert!(said.is_empty() || said.starts_with("ERROR") || said.contains("line_bytes"), "{said}");
}

#[tokio::test]
async fn a_large_import_and_its_export_stay_small_in_memory() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let before = most_memory(&server);
    let (count, long) = (160, line(MIB));
    let mut wire = importing(&server, HEAD.len() + count * long.len()).await;
    wire.say(HEAD.as_bytes()).await;
    for _ in 0..count {
        wire.say(long.as_bytes()).await;
    }
    let mut progress = 0;
    loop {
        let said = wire.line().await;
        assert!(!said.contains("event: error"), "{said}");
        progress += usize::from(said.contains("event: progress"));
        if said.contains("event: done") {
            break;
        }
    }
    assert!(progress > 0, "no progress was told");
    let path = home.path("out.jsonl");
    let url = format!("http://{}", server.addr);
    let out = path.to_str().unwrap();
    let args = ["context", "export", "d", "--format", "jsonl", "-o", out, "--url", &url];
    let done = home.run(&args).await;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(std::fs::metadata(&path).unwrap().len() > (count * MIB) as u64);
    let grown = most_memory(&server) - before;
    println!("grown by {} MiB", grown / MIB);
    assert!(grown < 112 * MIB, "{} MiB", grown / MIB);
    server.stop().await;
}
