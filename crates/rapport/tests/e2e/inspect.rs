//! `rapport inspect` and its small helpers, before the real server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use crate::house::House;

/// An inspector of its own process; killed when the test ends.
struct Inspector {
    child: Child,
    port: u16,
    lines: BufReader<std::process::ChildStdout>,
}

impl Inspector {
    fn start(house: &House, arguments: &[&str]) -> Self {
        let mut all = vec!["inspect", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        let mut child = house.command(&all).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let port = said.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { port: port.unwrap_or_else(|| panic!("{said}")), child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Inspector {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const ASK: &str = "{\"model\":\"echo\",\"max_tokens\":9,\
                   \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

fn post(port: u16, body: &str) -> String {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         x-api-key: sk-ant-0123456789012345678901\r\nanthropic-version: 2023-06-01\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_call_is_seen_recorded_and_sent_again() {
    let house = House::new();
    let server = house.serve(&[]);
    let to = format!("127.0.0.1:{}", server.port);
    let mut inspector = Inspector::start(&house, &["--to", &to, "--record", "calls.jsonl"]);
    assert!(post(inspector.port, ASK).contains("You said 'hi'"));
    let line = inspector.line();
    assert!(line.starts_with("#1 POST /v1/messages  200  "), "{line}");
    assert!(line.contains("tokens, end_turn"), "{line}");
    let mut lines = std::net::TcpStream::connect(("127.0.0.1", inspector.port)).unwrap();
    lines.write_all(b"{\"message\":\"hi\",\"sessionId\":\"s\"}\n").unwrap();
    lines.shutdown(std::net::Shutdown::Write).unwrap();
    lines.read_to_string(&mut String::new()).unwrap();
    assert!(inspector.line().starts_with("#2 lines  whole"));
    // A kill loses nothing that was over.
    drop(inspector);
    let text = std::fs::read_to_string(house.path().join("calls.jsonl")).unwrap();
    assert!(text.ends_with('\n') && !text.contains("sk-ant-0123"), "{text}");
    let shown = house.run(&["inspect", "--open", "calls.jsonl", "--show", "1"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("x-api-key: [hidden]") && shown.contains("= said: "), "{shown}");
    let command = house.run(&["inspect", "--open", "calls.jsonl", "--show", "1", "--curl"]);
    let (said, command) = (String::from_utf8(command.stderr), String::from_utf8(command.stdout));
    let command = command.unwrap();
    assert!(command.starts_with("curl -sS ") && command.contains("--data-raw '{"), "{command}");
    assert!(command.contains("-H 'x-api-key: [hidden]'"), "{command}");
    assert!(said.unwrap().contains("`[hidden]` stands in the places of secrets"));
    let again = house.run(&["inspect", "--open", "calls.jsonl", "--replay", "1"]);
    assert!(again.status.success(), "{again:?}");
    let again = house.run(&["inspect", "--open", "calls.jsonl", "--replay", "2"]);
    assert!(again.status.success(), "{again:?}");
    let missing = house.run(&["inspect", "--open", "calls.jsonl", "--show", "7"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("there are 1 to 2"));
}

#[test]
fn a_rule_makes_trouble_and_a_wrong_one_is_named() {
    let house = House::new();
    let server = house.serve(&[]);
    let to = format!("127.0.0.1:{}", server.port);
    let rule = ["--to", to.as_str(), "--rule", "path=/v1/* status=529"];
    let inspector = Inspector::start(&house, &rule);
    assert!(post(inspector.port, ASK).contains("overloaded_error"));
    let wrong = house.run(&["inspect", "--to", &to, "--rule", "stauts=500"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("`stauts=500`"));
    let port = house.run(&["inspect", "--to", "localhost:700000"]);
    assert_eq!(port.status.code(), Some(3));
    assert!(String::from_utf8(port.stderr).unwrap().contains("65535"));
}

#[test]
fn a_program_over_a_pipe_is_watched_and_its_noise_is_named() {
    let house = House::new();
    let script = "echo starting up; cat; echo bye >&2";
    let mut command: Command = house.command(&[]);
    command.args(["inspect", "--stdio", "--", "sh", "-c", script]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let message = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), message.as_bytes()).unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("starting up\n{message}"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("bye") && said.contains("wrote `starting up`"), "{said}");
}

#[test]
fn ping_raw_and_bench_say_what_a_server_does() {
    let house = House::new();
    let server = house.serve(&[]);
    let address = format!("127.0.0.1:{}", server.port);
    let text = |arguments: &[&str]| {
        let output = house.run(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let said = text(&["ping", &address, "-c", "1"]);
    assert!(said.contains("Rapport") && said.contains("1 of 1 connected"), "{said}");
    let said = text(&["raw", &address, "{\"message\":\"hello\"}", "--wait", "1"]);
    assert!(said.contains("You said 'hello'"), "{said}");
    let said = text(&["raw", &address, "{\"message\":\"hello\"}", "--hex", "--wait", "1"]);
    assert!(said.starts_with("< 000000  7b "), "{said}");
    let said = text(&["bench", &address, "-n", "50", "-c", "2", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(value["good"], 50);
    let hi = "{\"message\": \"hi\"}";
    for speech in [
        &["--websocket"][..],
        &["--lines"],
        &["--websocket", "--body", hi],
        &["--lines", "--body", hi],
    ] {
        let bench = ["bench", &address, "-n", "10", "-c", "2", "--json"];
        let value: serde_json::Value =
            serde_json::from_str(&text(&[&bench[..], speech].concat())).unwrap();
        assert_eq!((&value["good"], &value["failures"]), (&10.into(), &serde_json::json!({})));
    }
    for speech in ["--websocket", "--lines"] {
        let wrong = house.run(&["bench", &address, "-n", "4", speech, "--body", "{}", "--json"]);
        assert_eq!(wrong.status.code(), Some(1), "{speech}: {wrong:?}");
        let value: serde_json::Value = serde_json::from_slice(&wrong.stdout).unwrap();
        let why = "error missing_field: the field `message` is missing";
        assert_eq!((&value["good"], &value["failures"][why]), (&0.into(), &4.into()), "{value}");
    }
}
