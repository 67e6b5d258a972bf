//! `rapport doctor` and real servers whose contexts or stores are in a state that keeps them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::house::{House, PATIENCE, text};

/// A model's server that answers with `status`, or never when there is none.
fn model(answer: Option<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            let _asked = stream.read(&mut [0; 65_536]);
            if let Some(answer) = answer {
                let length = answer.len() - 4;
                let (status, body) = answer.split_at(4);
                let head = format!("HTTP/1.1 {status}x\r\nContent-Length: {length}\r\n\r\n{body}");
                drop(stream.write_all(head.as_bytes()));
            } else {
                held.push(stream);
            }
        }
    });
    port
}

fn house(answer: Option<&'static str>) -> House {
    let port = model(answer);
    House::with(&format!(
        "providers: {{p: {{base_url: 'http://127.0.0.1:{port}/v1', dialect: openai_chat, \
         models: [m], retries: 0, window_tokens: 2000}}}}\n"
    ))
}

fn new(house: &House) -> String {
    let made = house.run(&["context", "new", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// What the doctor says of a context or an address, as JSON.
fn judged(house: &House, target: &str) -> Value {
    let run = house.run(&["doctor", target, "--json"]);
    serde_json::from_slice(&run.stdout)
        .unwrap_or_else(|_| panic!("{}{}", text(&run.stdout), text(&run.stderr)))
}

#[track_caller]
fn named(house: &House, target: &str, id: &str, words: &str) {
    let json = judged(house, target);
    assert_eq!(json["verdict"]["id"], id, "{json:#}");
    assert_eq!(json["exit_code"] != 0, id != "ok", "{json:#}");
    assert!(json["verdict"].to_string().contains(words), "`{words}`: {json:#}");
}

#[test]
fn a_context_whose_last_turn_failed_or_that_is_closed_is_named_and_its_fix_heals() {
    let house = house(Some("500 {\"error\":{\"message\":\"the model is broken\"}}"));
    let _server = house.serve(&[]);
    let id = new(&house);
    named(&house, &id, "ok", "is open");
    assert!(!house.run(&["context", "send", &id, "hi", "--model", "p/m"]).status.success());
    named(&house, &id, "context.turn_failed", "send the message again");
    // Sent again to a model that answers, it is well.
    let again = house.run(&["context", "retry", &id, "--model", "demo"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    named(&house, &id, "ok", "is open");
    assert!(house.run(&["context", "close", &id]).status.success());
    named(&house, &id, "context.closed", "rapport context fork");
    let fork = house.run(&["context", "fork", &id, "--json"]);
    let fork: Value = serde_json::from_slice(&fork.stdout).unwrap();
    named(&house, fork["id"].as_str().unwrap(), "ok", "is open");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test waits in real time for a real program")]
fn a_turn_that_is_under_way_is_named_until_it_is_cancelled() {
    let house = house(None);
    let _server = house.serve(&[]);
    let id = new(&house);
    let mut asks = house.command(&["context", "send", &id, "hi", "--model", "p/m"]);
    let mut asks = asks.spawn().unwrap();
    let until = std::time::Instant::now() + PATIENCE;
    while judged(&house, &id)["verdict"]["id"] != "context.turn_open" {
        assert!(std::time::Instant::now() < until, "{:#}", judged(&house, &id));
    }
    assert!(house.run(&["context", "cancel", &id]).status.success());
    drop(asks.wait());
    assert_ne!(judged(&house, &id)["verdict"]["id"], "context.turn_open");
}

#[test]
fn a_context_that_fills_its_window_is_named() {
    let house = house(Some("200 {}"));
    let _server = house.serve(&[]);
    let id = new(&house);
    named(&house, &id, "ok", "is open");
    let long = "many different words of a long story ".repeat(300);
    assert!(
        house.run(&["context", "edit", &id, "--settings", "{\"model\": \"p/m\"}"]).status.success()
    );
    let kept = house.run(&["context", "append", &id, &long]);
    assert!(kept.status.success(), "{}", text(&kept.stderr));
    named(&house, &id, "context.window_full", "rapport context show");
}

#[test]
fn a_context_of_a_server_that_keeps_them_in_memory_is_gone_after_its_restart() {
    let house = House::with("data: {store: memory}\n");
    let server = house.serve(&[]);
    let id = new(&house);
    named(&house, &id, "ok", "is open");
    drop(server);
    let _server = house.serve(&[]);
    named(&house, &id, "context.lost_in_memory", "data.store: memory");
}

#[test]
fn a_store_that_another_program_locks_is_named_and_its_fix_heals() {
    let house = House::new();
    let server = house.serve(&[]);
    let target = format!("localhost:{}", server.port);
    named(&house, &target, "ok", "rapport answers");
    let script = "import sqlite3, sys\nheld = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                  held.execute('BEGIN IMMEDIATE')\nprint(1, flush=True)\nsys.stdin.read()";
    let mut python = std::process::Command::new("python3");
    let python = python.args(["-c", script]).arg(house.data().join("rapport.db"));
    let piped = std::process::Stdio::piped;
    let Ok(mut other) = python.stdin(piped()).stdout(piped()).spawn() else {
        println!("skipped: there is no python3");
        return;
    };
    let mut said = other.stdout.take().unwrap();
    assert_ne!(said.read(&mut [0; 2]).unwrap(), 0, "it could not lock");
    // The server notices with the next thing that it stores.
    drop(house.run(&["interact", "session", "hi"]));
    named(&house, &target, "store.locked", "close the other program");
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    drop(house.run(&["interact", "session", "hi"]));
    named(&house, &target, "ok", "rapport answers");
}
