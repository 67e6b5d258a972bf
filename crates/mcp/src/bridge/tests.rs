//! The bridge against a server that answers, is away, forgets sessions and cuts streams.

use std::collections::VecDeque;

use futures_util::StreamExt as _;
use http::{HeaderMap, Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, Lines};

use super::*;

type Step = Box<dyn Fn(&Method, &HeaderMap, &Value) -> Result<Carried, Lost> + Send + Sync>;

/// A server that plays these answers to what it is sent by POST, one by one.
struct Played(Mutex<VecDeque<Step>>);

impl Carrier for Arc<Played> {
    async fn carry(&self, m: Method, h: HeaderMap, body: Bytes) -> Result<Carried, Lost> {
        if m == Method::GET && !h.contains_key("last-event-id") {
            return Ok(answer(405, "", ""));
        }
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let step = self.0.lock().pop_front().expect("no more messages were expected");
        step(&m, &h, &value)
    }
}

fn answer(status: u16, kind: &str, body: &str) -> Carried {
    let pieces = futures_util::stream::iter([Ok(Bytes::from(body.to_owned()))]).boxed();
    Response::builder()
        .status(status)
        .header("content-type", kind)
        .header("mcp-session-id", "s1")
        .body(pieces)
        .unwrap()
}

fn json_of(value: &Value) -> Carried {
    answer(200, "application/json", &value.to_string())
}

struct Client {
    to: DuplexStream,
    from: Lines<BufReader<DuplexStream>>,
    played: Arc<Played>,
}

fn client(steps: Vec<Step>) -> Client {
    let played = Arc::new(Played(Mutex::new(steps.into())));
    let (to, input) = tokio::io::duplex(1 << 20);
    let (output, from) = tokio::io::duplex(1 << 20);
    let carrier = Arc::clone(&played);
    tasks::spawn(async move {
        run(carrier, (BufReader::new(input), output)).await.unwrap();
    });
    Client { to, from: BufReader::new(from).lines(), played }
}

impl Client {
    async fn ask(&mut self, message: &Value) -> Value {
        self.to.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        self.next().await
    }

    async fn next(&mut self) -> Value {
        serde_json::from_str(&self.from.next_line().await.unwrap().unwrap()).unwrap()
    }
}

fn init() -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize",
           "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}})
}

fn welcome() -> Step {
    Box::new(|_, _, body| {
        assert_eq!(body["method"], "initialize");
        Ok(json_of(&json!({"jsonrpc": "2.0", "id": body["id"],
                           "result": {"protocolVersion": "2025-11-25"}})))
    })
}

fn call(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "t"}})
}

fn done(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": {}})
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_waited_for() {
    let away: Vec<Step> = (0..3)
        .map(|_| -> Step {
            Box::new(|_, _, _| Err(Lost { why: "refused".to_owned(), unsent: true }))
        })
        .collect();
    let mut steps = vec![welcome()];
    steps.extend(away);
    steps.push(Box::new(|_, headers, _| {
        assert_eq!(headers["mcp-session-id"], "s1");
        assert_eq!(headers["mcp-protocol-version"], "2025-11-25");
        Ok(json_of(&done(1)))
    }));
    let mut client = client(steps);
    assert_eq!(client.ask(&init()).await["id"], 0);
    assert_eq!(client.ask(&call(1)).await, done(1));
    assert!(client.played.0.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_session_begins_again_unseen() {
    let steps: Vec<Step> = vec![
        welcome(),
        Box::new(|_, _, _| Ok(answer(404, "application/json", "{}"))),
        welcome(),
        Box::new(|_, _, body| {
            assert_eq!(body["method"], "notifications/initialized");
            Ok(answer(202, "", ""))
        }),
        Box::new(|_, _, _| Ok(json_of(&done(1)))),
    ];
    let mut client = client(steps);
    client.ask(&init()).await;
    assert_eq!(client.ask(&call(1)).await, done(1));
}

#[tokio::test(start_paused = true)]
async fn a_cut_stream_is_taken_up_where_it_was() {
    let steps: Vec<Step> = vec![
        welcome(),
        Box::new(|_, _, _| {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {}});
            let body = format!("id: 4-0\nretry: 10\ndata: \n\nid: 4-1\ndata: {note}\n\n");
            Ok(answer(200, "text/event-stream", &body))
        }),
        Box::new(|method, headers, _| {
            assert_eq!(
                (method, &headers["last-event-id"]),
                (&Method::GET, &"4-1".parse().unwrap())
            );
            Ok(answer(200, "text/event-stream", &format!("id: 4-2\ndata: {}\n\n", done(1))))
        }),
    ];
    let mut client = client(steps);
    client.ask(&init()).await;
    assert_eq!(client.ask(&call(1)).await["method"], "notifications/progress");
    assert_eq!(client.next().await, done(1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_answered_is_said() {
    let steps: Vec<Step> = vec![
        welcome(),
        Box::new(|_, _, _| Err(Lost { why: "reset".to_owned(), unsent: false })),
        Box::new(|_, _, _| {
            Ok(answer(401, "application/problem+json", "{\"error\":\"this port needs a key\"}"))
        }),
    ];
    let mut client = client(steps);
    client.ask(&init()).await;
    let lost = client.ask(&call(1)).await;
    assert!(lost["error"]["message"].as_str().unwrap().contains("reset"), "{lost}");
    let refused = client.ask(&call(2)).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("needs a key"), "{refused}");
    client.to.write_all(b"nonsense\n").await.unwrap();
    assert_eq!(client.next().await["error"]["code"], -32700);
}

#[tokio::test(start_paused = true)]
async fn a_modern_request_says_itself_in_headers() {
    let steps: Vec<Step> = vec![Box::new(|_, headers, _| {
        assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(headers["mcp-method"], "tools/call");
        assert_eq!(headers["mcp-name"], "=?base64?w7xiZXI=?=");
        assert!(!headers.contains_key("mcp-session-id"));
        Ok(json_of(&done(7)))
    })];
    let mut client = client(steps);
    let mut asked = call(7);
    asked["params"] = json!({"name": "über", "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}});
    assert_eq!(client.ask(&asked).await, done(7));
}

#[tokio::test]
async fn whoever_asks_and_closes_its_end_still_gets_its_answers() {
    let mut c = client(vec![
        welcome(),
        Box::new(|_, _, body| {
            assert_eq!(body["method"], "tools/list");
            Ok(json_of(&done(7)))
        }),
    ]);
    let asked = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"});
    c.to.write_all(format!("{}\n{asked}\n", init()).as_bytes()).await.unwrap();
    drop(c.to);
    let mut ids = Vec::new();
    while let Some(line) = c.from.next_line().await.unwrap() {
        ids.push(serde_json::from_str::<Value>(&line).unwrap()["id"].clone());
    }
    assert_eq!(ids, [json!(0), json!(7)]);
}

#[tokio::test]
async fn a_refusal_without_an_id_gets_that_of_its_request() {
    let mut client = client(vec![Box::new(|_, _, _| {
        let error = json!({"code": -32600, "message": "no session"});
        Ok(answer(
            400,
            "application/json",
            &json!({"jsonrpc": "2.0", "id": null, "error": error}).to_string(),
        ))
    })]);
    let refused = client.ask(&json!({"jsonrpc": "2.0", "id": "p1", "method": "tools/list"})).await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!("p1"), &json!(-32600)));
    let pong = client.ask(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"})).await;
    assert_eq!(
        (&pong["id"], &pong["result"]),
        (&json!(2), &json!({})),
        "it lives before a session"
    );
}

/// A server that is not there.
struct Nowhere;

impl Carrier for Nowhere {
    async fn carry(&self, _: Method, _: HeaderMap, _: Bytes) -> Result<Carried, Lost> {
        Err(Lost { why: "nobody listens".to_owned(), unsent: true })
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_answers_before_the_input_ends_is_told_so() {
    let line = format!("{}\n", json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}));
    let mut said = Vec::new();
    let ended = run(Nowhere, (BufReader::new(line.as_bytes()), &mut said)).await.unwrap();
    assert_eq!(ended, End::Unreached);
    let answer: Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(answer["id"], 7, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("input ended"), "{answer}");
}

/// A server that was started and will not come up.
struct Broken;

impl Carrier for Broken {
    async fn carry(&self, _: Method, _: HeaderMap, _: Bytes) -> Result<Carried, Lost> {
        Err(Lost { why: "nobody listens".to_owned(), unsent: true })
    }

    fn hopeless(&self) -> Option<String> {
        Some("unknown key `portt`".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_will_never_come_is_not_waited_for() {
    let started = tokio::time::Instant::now();
    let mut said = Vec::new();
    let line = format!("{}\n", init());
    let ended = run(Broken, (BufReader::new(line.as_bytes()), &mut said)).await.unwrap();
    assert_eq!(ended, End::Unreached);
    let answer: Value = serde_json::from_slice(&said).unwrap();
    assert!(answer["error"]["message"].as_str().unwrap().contains("`portt`"), "{answer}");
    assert!(started.elapsed().as_secs() < 1, "it was waited for {:?}", started.elapsed());
}
