//! `rapport debug`: what is in memory, and calls that are held until somebody has looked at them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::{err, fine, out};
use crate::house::{House, Server};

const SECRET: &str = "sk-ant-api03-0123456789abcdefghij";

/// Begins a turn of a context, and leaves its answer unread.
fn ask(server: &Server, message: &str) -> TcpStream {
    let body = json!({"sessionId": "s1", "message": message, "context": {"city": "Bern"}});
    let body = body.to_string();
    let mut stream = server.connect();
    let head = "POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/json\r\n";
    let text = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// The calls that wait, once there are so many.
fn waiting(house: &House, count: usize) -> Vec<Value> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let all: Value =
            serde_json::from_str(&fine(house, &["debug", "waiting", "--json"])).unwrap();
        let waiting = all["waiting"].as_array().unwrap().clone();
        if waiting.len() == count {
            return waiting;
        }
        assert!(Instant::now() < until, "{waiting:?}");
    }
}

fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_call_is_held_at_each_point_until_it_is_let_go() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let script = mock::Script::always(mock::Reply::text("sunny"));
    let mock = runtime.block_on(mock::Mock::start("127.0.0.1:0".parse().unwrap(), script)).unwrap();
    let provider = format!(
        "debug: true\nproviders: {{anthropic: {{api_key: sk-hush, base_url: '{}'}}}}\n",
        mock.url()
    );
    let house = House::with(&provider);
    let server = house.serve(&[]);
    assert!(fine(&house, &["debug", "step", "pause"]).contains("held"));
    let stream = ask(&server, &format!("weather? {SECRET}"));
    let mut points = Vec::new();
    for number in 1..=4 {
        let call = waiting(&house, 1).remove(0);
        points.push(call["point"].as_str().unwrap().to_owned());
        let shown = fine(&house, &["debug", "show", &number.to_string()]);
        assert!(!shown.contains(SECRET) && !shown.contains("sk-hush"), "{shown}");
        let shown: Value = serde_json::from_str(&shown).unwrap();
        match number {
            2 => assert_eq!(shown["message"]["state"]["city"], "Bern"),
            3 => {
                let text = shown["message"]["body"]["messages"][0]["content"].to_string();
                assert!(text.contains("weather? [hidden]") && text.contains("Bern"), "{text}");
            }
            4 => assert_eq!(shown["message"]["content"], "sunny"),
            _ => assert_eq!(shown["message"]["content"], "weather? [hidden]"),
        }
        fine(&house, &["debug", "go", &number.to_string()]);
    }
    assert_eq!(points, ["parsed", "joined", "prompt", "answer"]);
    assert!(rest(stream).contains("sunny"));

    // One is ended, one is left by its caller, and the rest goes on when step mode ends.
    fine(&house, &["debug", "step", "at=prompt", "body=weather"]);
    let stream = ask(&server, "weather again?");
    let number = waiting(&house, 1)[0]["number"].to_string();
    fine(&house, &["debug", "drop", &number]);
    assert!(rest(stream).contains("ended in step mode, at `prompt`"));
    drop((ask(&server, "weather for nobody?"), waiting(&house, 1)));
    waiting(&house, 0);
    let stream = ask(&server, "weather at last?");
    waiting(&house, 1);
    assert!(fine(&house, &["debug", "step", "off"]).contains("all calls pass"));
    assert!(rest(stream).contains("sunny"));

    let output = house.run(&["debug", "step", "at=sent"]);
    assert!(err(&output).contains("one of parsed, joined, prompt, answer"), "{}", err(&output));
    let output = house.run(&["debug", "go", "99"]);
    assert!(err(&output).contains("no call with the number `99` waits"), "{}", err(&output));
}

#[test]
fn a_dump_has_contexts_and_calls_without_secrets_and_only_where_it_is_switched_on() {
    let house = House::with("debug: true\n");
    let server = house.serve(&[]);
    drop(rest(ask(&server, &format!("keep {SECRET}, please"))));
    let dump = fine(&house, &["debug", "dump", "--contexts", "1", "--messages", "1"]);
    assert!(!dump.contains(SECRET), "{dump}");
    let dump: Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(dump["contexts"][0]["id"], "s1");
    assert_eq!(dump["contexts"][0]["state"]["city"], "Bern");
    assert_eq!(dump["contexts"][0]["last_messages"].as_array().unwrap().len(), 1);
    assert_eq!(dump["exchanges"][0]["context"], "s1", "{dump}");
    assert!(dump["memory"]["connections"].as_u64().unwrap() >= 1);
    let one = fine(&house, &["debug", "dump", "--context", "s1", "--exchanges", "0", "--json"]);
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(one["contexts"][0]["last_messages"][0]["content"], "keep [hidden], please");
    drop(server);

    let house = House::new();
    let _server = house.serve(&[]);
    let output = house.run(&["debug", "dump"]);
    assert!(!output.status.success() && out(&output).is_empty());
    assert!(err(&output).contains("switched off") && err(&output).contains("`debug: true`"));
}
