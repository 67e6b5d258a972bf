//! Servers that a command starts, looked at through a client's own configuration; and what the
//! small commands say of servers that are not there.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::house::House;

/// Starts an inspector on the file, and waits until the file is changed.
fn attached(house: &House) -> (Child, String, BufReader<ChildStderr>) {
    let all = ["inspect", "--listen", "127.0.0.1:0", "--attach-config", "mcp.json"];
    let mut child = house.command(&all).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("through the inspector while this runs") {
        assert!(lines.read_line(&mut said).unwrap() > 0, "{said}");
    }
    (child, said, lines)
}

/// Starts the server as its client would, says one line, and gives what came back.
fn as_its_client(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).unwrap();
    let entry = &value["mcpServers"]["tool"];
    let arguments = entry["args"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let mut child = Command::new(entry["command"].as_str().unwrap())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ask = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n";
    child.stdin.take().unwrap().write_all(ask.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[test]
fn a_program_of_a_configuration_is_seen_and_the_file_comes_back_also_after_a_kill() {
    let house = House::new();
    let answer = "{\\\"jsonrpc\\\":\\\"2.0\\\",\\\"id\\\":1,\\\"result\\\":{}}";
    let before = format!(
        "{{\n  \"mcpServers\": {{\n    \"tool\": {{ \"command\": \"sh\",   \"args\": [\"-c\", \
         \"read ask; echo '{answer}'\"] }}\n  }}\n}}\n\n"
    );
    house.write("mcp.json", &before);
    let read = || std::fs::read_to_string(house.path().join("mcp.json")).unwrap();
    let result = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n";

    let (mut child, said, lines) = attached(&house);
    assert!(said.contains("starts `tool` through the inspector"), "{said}");
    assert!(read().contains("\"--stdio\""), "{}", read());
    assert_eq!(as_its_client(&read()), result);
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("#1 ") && line.contains("ping"), "{line}");

    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    assert_ne!(read(), before, "a kill leaves no time");
    assert_eq!(as_its_client(&read()), result, "the program goes on without the inspector");
    let healed = house.run(&["inspect", "--detach"]);
    assert!(healed.status.success(), "{healed:?}");
    assert!(String::from_utf8(healed.stdout).unwrap().starts_with("put `"));
    assert_eq!(read(), before);
    let again = house.run(&["inspect", "--detach"]);
    assert!(String::from_utf8(again.stdout).unwrap().starts_with("no file is changed"));

    let (mut child, _, lines) = attached(&house);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    drop(lines);
    assert_eq!(read(), before);
}

#[test]
fn a_conversation_is_recorded_also_when_the_inspector_is_told_to_end() {
    let house = House::new();
    let all = ["inspect", "--stdio", "--record", "talk.jsonl", "--", "sh", "-c", "cat"];
    let mut child = house.command(&all).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    child.wait().unwrap();
    drop(input);
    let kept = std::fs::read_to_string(house.path().join("talk.jsonl")).unwrap();
    assert!(kept.contains("ping"), "{kept}");
}

#[test]
fn a_server_that_is_not_there_has_one_exit_code_and_no_times() {
    let house = House::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = port.to_string();
    for arguments in [
        &["bench", &address, "-n", "3", "--within", "20"][..],
        &["bench", &address, "-n", "3", "--websocket"],
        &["bench", &address, "-n", "3", "--lines"],
        &["bench", &address, "-n", "3", "--mcp"],
        &["ping", &address, "-c", "2", "-i", "0"],
        &["raw", &address, "hello"],
        &["raw", &address, "--websocket", "/ws", "hello"],
    ] {
        let output = house.run(arguments);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {output:?}");
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!said.contains("0.00 ms"), "{arguments:?}: {said}");
        assert!(said.contains("nothing listens there"), "{arguments:?}: {said}");
        assert!(said.contains(&format!("rapport doctor {address}")), "{arguments:?}: {said}");
    }
}

#[test]
fn flags_that_mean_nothing_are_named() {
    let house = House::new();
    for (arguments, word) in [
        (&["ping", "1", "-i", "nan"][..], "nan"),
        (&["ping", "1", "-i", "-1"], "-1"),
        (&["raw", "1", "x", "--wait", "inf"], "inf"),
        (&["raw", "1", "x", "--websocket", "ws"], "must begin with `/`"),
        (&["bench", "1", "--path", "a b"], "must begin with `/`"),
        (&["bench", "1", "--header", "no header"], "`no header` is no header"),
        (&["bench", "1", "--lines", "--body", "a\nb"], "several lines"),
        (&["bench", "1", "--mcp", "--body", "[]"], "`[]` is no call"),
        (&["inspect", "--rule", "drop", "--stdio", "--", "cat"], "cannot be used with '--stdio'"),
        (&["inspect", "--to", "1", "--filter", "speaks:websockt"], "`speaks:websocket`"),
    ] {
        let output = house.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(word), "{arguments:?}: {said}");
    }
}

#[test]
fn sockets_greetings_and_sessions_are_spoken_with() {
    let house = House::new();
    let server = house.serve(&[]);
    let address = format!("127.0.0.1:{}", server.port);
    let text = |arguments: &[&str]| {
        let output = house.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let hello = "{\"message\":\"hello\"}";
    let said = text(&["raw", &address, "--websocket", "/ws", hello, "--wait", "1"]);
    assert!(said.contains("You said 'hello'"), "{said}");
    let said = text(&["raw", &address, "--greet", "{\"id\":1,\"method\":\"x\"}", "--wait", "1"]);
    assert!(said.starts_with("MCP/1.0 101 "), "{said}");
    let all = ["bench", &address, "-n", "20", "-c", "2", "--mcp", "--json", "--within", "60"];
    let value: serde_json::Value = serde_json::from_str(&text(&all)).unwrap();
    assert_eq!((&value["good"], &value["times"]["count"]), (&20.into(), &20.into()), "{value}");
    let wrong = house.run(&["bench", &address, "-n", "2", "--mcp", "--path", "/nothing"]);
    assert_eq!(wrong.status.code(), Some(6), "{wrong:?}");
}

#[test]
fn what_was_over_is_shown_and_recorded_though_the_end_comes_before_it_is_told() {
    let house = House::new();
    let server = house.serve(&[]);
    let to = format!("127.0.0.1:{}", server.port);
    let all =
        ["inspect", "--listen", "127.0.0.1:0", "--to", &to, "--json", "--record", "all.jsonl"];
    let mut child = house.command(&all).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let address = line.trim().rsplit('/').next().unwrap().to_owned();
    let ask = |path: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    // Nobody reads the lines: the pipe is full long before the last of them.
    for _ in 0..150 {
        assert!(ask("/api/v1/status").contains("200 OK"));
    }
    let over = || ask("/__rapport__/exchanges").matches("\"ending\":\"whole\"").count();
    assert!((0..2_000).any(|_| over() == 150));
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(shown.lines().count(), 150);
    let kept = std::fs::read_to_string(house.path().join("all.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), 150);
}
