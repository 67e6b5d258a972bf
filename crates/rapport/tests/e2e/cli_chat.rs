//! `rapport chat` as people and scripts use it.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::{err, fine, out};
use crate::house::{House, Server};

/// The output of a chat that reads these lines.
fn piped(house: &House, arguments: &[&str], lines: &str) -> Output {
    let mut command = house.command(&[&["chat"], arguments].concat());
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The context that standard error says how to continue.
fn context(output: &Output) -> String {
    let said = err(output);
    let id = said.lines().find_map(|line| line.strip_prefix("Go on with: rapport chat --context "));
    id.expect(&said).to_owned()
}

#[test]
fn one_message_is_answered_and_can_be_gone_on_with() {
    let house = House::new();
    let _server = house.serve(&[]);
    let first = house.run(&["chat", "hello", "you"]);
    assert_eq!(out(&first).lines().count(), 1, "{}", out(&first));
    let id = context(&first);
    let second = house.run(&["chat", "--context", "-", "again"]);
    assert_eq!(context(&second), id);
    let turn = fine(&house, &["chat", "--context", &id, "third", "--json"]);
    let turn: Value = serde_json::from_str(&turn).unwrap();
    assert_eq!((turn["context_id"].as_str(), turn["turn"].as_u64()), (Some(id.as_str()), Some(3)));
}

#[test]
fn a_pipe_is_one_message_a_line_without_prompts_or_colours() {
    let house = House::new();
    let _server = house.serve(&[]);
    let said =
        piped(&house, &["--model", "echo"], "one\n\ntwo\n//three\n/history 2\n/quit\nfour\n");
    assert!(said.status.success(), "{}", err(&said));
    let text = out(&said);
    assert!(
        text.contains("'one'") && text.contains("'two'") && text.contains("'/three'"),
        "{text}"
    );
    assert!(text.contains("5 user: /three") && !text.contains("four"), "{text}");
    assert!(!text.contains('\u{1b}') && !err(&said).contains("> "), "{text}{}", err(&said));
    let stored = fine(&house, &["context", "show", &context(&said), "--json"]);
    let stored: Value = serde_json::from_str(&stored).unwrap();
    assert_eq!(stored["size"]["turns"], 3);
    assert_eq!(stored["settings"]["model"], "echo");
}

#[test]
fn the_commands_of_a_conversation_do_what_help_says() {
    let house = House::new();
    let _server = house.serve(&[]);
    let lines = "/help\nhello\n/state {\"n\":1}\n/state\n/system be brief\n/model mock\n/model\n\
                 /models\n/context\n/export talk.json\n/new\nhi\n";
    let said = piped(&house, &[], lines);
    assert!(said.status.success(), "{}", err(&said));
    let text = out(&said);
    for part in ["/retry", "\"n\": 1", "\nmock\n", "PROVIDER", "system     be brief"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    let written = std::fs::read_to_string(house.path().join("talk.json")).unwrap();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["format"], "rapport.context/1");
    assert_ne!(written["context"]["id"].as_str().unwrap(), context(&said));
    let wrong = piped(&house, &[], "/histroy\n");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("did you mean `/history`?"), "{}", err(&wrong));
}

#[test]
fn curl_commands_are_shown_and_nothing_is_sent() {
    let house = House::new();
    let _server = house.serve(&[]);
    let shown = fine(&house, &["chat", "it's me", "--curl", "--key", "rap_secret"]);
    assert_eq!(shown.lines().filter(|line| line.starts_with("curl ")).count(), 2, "{shown}");
    assert!(shown.contains("/turns'") && shown.contains("it'\\''s me"), "{shown}");
    assert!(!shown.contains("rap_secret"), "{shown}");
    let list = fine(&house, &["context", "list", "--json"]);
    assert!(list.starts_with("{\"contexts\":[]"), "{list}");
}

#[test]
fn a_context_the_server_lost_is_made_again_when_asked_for() {
    let house = House::new();
    let server = house.serve(&[]);
    let mut command = house.command(&["chat", "--recreate", "--model", "demo"]);
    let mut chat = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = chat.stdin.take().unwrap();
    let mut output = chat.stdout.take().unwrap();
    writeln!(input, "hello").unwrap();
    read_until(&mut output, "\n");
    let list = server.get("/api/v1/contexts");
    let id = list.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    fine(&house, &["context", "delete", &id]);
    writeln!(input, "still there?").unwrap();
    drop(input);
    let said = read_until(&mut output, "\n");
    assert!(said.contains("still there?"), "{said}");
    assert!(chat.wait().unwrap().success());
    let shown = fine(&house, &["context", "messages", &id]);
    assert!(shown.contains("1 user: hello") && shown.contains("3 user: still there?"), "{shown}");
}

/// A server whose model speaks slowly, and what belongs to it.
struct Slow {
    house: House,
    _server: Server,
    _mock: mock::Mock,
    _runtime: tokio::runtime::Runtime,
}

fn slow(script: &str) -> Slow {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let script = mock::Script::parse(script).unwrap();
    let mock = runtime.block_on(mock::Mock::start("127.0.0.1:0".parse().unwrap(), script)).unwrap();
    let house = House::new();
    let mut command: Command = house.command(&["serve", "--port", "0"]);
    command.env("OPENAI_BASE_URL", format!("{}/v1", mock.url())).env("OPENAI_API_KEY", "test");
    let server = Server::start(&mut command);
    Slow { house, _server: server, _mock: mock, _runtime: runtime }
}

/// Everything up to `end`, as soon as it has come.
fn read_until(from: &mut impl Read, end: &str) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    while from.read(&mut byte).unwrap() == 1 {
        all.push(byte[0]);
        if all.ends_with(end.as_bytes()) {
            break;
        }
    }
    String::from_utf8(all).unwrap()
}

#[test]
fn tokens_come_as_the_model_says_them_and_ctrl_c_stops_it() {
    let script = "[default]\nfragments = [\"first \", \"second\"]\npause_ms = 600000\n";
    let slow = slow(script);
    let mut command = slow.house.command(&["chat", "--model", "openai/gpt-5", "go"]);
    let mut chat = command.spawn().unwrap();
    let mut output = chat.stdout.take().unwrap();
    assert_eq!(read_until(&mut output, "first "), "first ");
    let pid = Pid::from_raw(i32::try_from(chat.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = chat.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(err(&ended).contains("the turn was cancelled"), "{}", err(&ended));
    let messages = fine(&slow.house, &["context", "messages", &context(&ended)]);
    assert!(messages.contains("1 user (failed): go"), "{messages}");
    assert!(messages.contains("assistant (partial): first"), "{messages}");
}

#[test]
fn a_failed_turn_says_why_and_can_be_retried() {
    let refuse =
        "[[rule]]\ntimes = 1\nreply = {status = 400, error = {message = \"no such luck\"}}\n";
    let slow = slow(&format!("{refuse}[default]\ntext = \"at last\"\n"));
    let failed = piped(&slow.house, &["--model", "openai/gpt-5"], "go\n");
    assert_eq!(failed.status.code(), Some(1), "{}", err(&failed));
    assert!(err(&failed).contains("no such luck"), "{}", err(&failed));
    // The question was kept: nobody has to type it again.
    let id = context(&failed);
    let again = piped(&slow.house, &["--context", &id], "/retry\n");
    assert_eq!(out(&again), "at last\n", "{}", err(&again));
    let messages = fine(&slow.house, &["context", "messages", &id]);
    assert!(messages.starts_with("1 user: go\n"), "{messages}");
}
