//! How a server ends, and how it changes while it runs.

use std::io::Write;

use rustix::process::Signal;

use crate::house::{House, Server, everything, line};

const TURN: &str = "{\"message\":\"hello\"}";

fn post(server: &Server, path: &str, body: &str) -> std::net::TcpStream {
    let mut stream = server.connect();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

/// A server whose model takes its time, and the model.
struct Slow {
    _house: House,
    server: Server,
    mock: mock::Mock,
    runtime: tokio::runtime::Runtime,
}

fn slow(script: &str) -> Slow {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let script = mock::Script::parse(script).unwrap();
    let mock = runtime.block_on(mock::Mock::start("127.0.0.1:0".parse().unwrap(), script)).unwrap();
    let house = House::new();
    let mut command = house.command(&["serve", "--port", "0"]);
    command.env("OPENAI_BASE_URL", format!("{}/v1", mock.url())).env("OPENAI_API_KEY", "test");
    let server = Server::start(&mut command);
    Slow { _house: house, server, mock, runtime }
}

#[test]
fn a_stopped_server_ends_well_and_its_port_is_free_at_once() {
    let house = House::new();
    let server = house.serve(&[]);
    let port = server.port.to_string();
    assert!(server.get("/health").starts_with("HTTP/1.1 200"));
    assert!(server.terminate().success());
    let again = house.serve(&["--port", &port]);
    assert_eq!(again.port.to_string(), port);
    again.signal(Signal::INT);
    again.logged("the server has stopped");
}

#[test]
fn a_killed_server_leaves_nothing_that_hinders_the_next() {
    let house = House::new();
    let mut server = house.serve(&[]);
    let port = server.port.to_string();
    let mut stream = server.connect();
    writeln!(stream, "{{\"sessionId\":\"kept\",\"message\":\"hello\"}}").unwrap();
    assert!(line(&mut stream).contains("kept"));
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let again = house.serve(&["--port", &port]);
    assert!(again.get("/mcp/context/kept").contains("hello"));
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    let mut slow = slow("[default]\ntext = \"late but whole\"\ndelay_ms = 700\n");
    let stream = post(&slow.server, "/api/mcp/interact", TURN);
    slow.runtime.block_on(slow.mock.seen(1));
    slow.server.signal(Signal::TERM);
    slow.server.logged("shutting down");
    let said = everything(stream);
    assert!(said.contains("late but whole"), "{said}");
    assert!(slow.server.child.wait().unwrap().success());
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut slow = slow("[default]\ntext = \"never\"\ndelay_ms = 60000\n");
    let _stream = post(&slow.server, "/api/mcp/interact", TURN);
    slow.runtime.block_on(slow.mock.seen(1));
    slow.server.signal(Signal::TERM);
    slow.server.logged("shutting down");
    slow.server.signal(Signal::TERM);
    assert_eq!(slow.server.child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_reload_takes_all_or_nothing_and_says_what_waits() {
    let house = House::with("log: {level: info}\n");
    let server = house.serve(&[]);
    house.write("rapport.yaml", "log: {level: nonsense}\nlimits: {line_bytes: 2048}\n");
    server.signal(Signal::HUP);
    let said = server.logged("was not reloaded");
    assert!(said.contains("rapport.yaml:1") && said.contains("log.level"), "{said}");

    house.write(
        "rapport.yaml",
        "log: {level: info}\nlimits: {line_bytes: 2048}\nserver: {base_path: /x}\n",
    );
    server.signal(Signal::HUP);
    let waits = server.logged("counts after a restart");
    assert!(waits.contains("server.base_path"), "{waits}");
    let changed = server.logged("changed");
    assert!(changed.contains("limits.line_bytes"), "{changed}");
    server.logged("was reloaded");
    let mut stream = server.connect();
    stream.write_all(&[b'x'; 4000]).unwrap();
    assert!(line(&mut stream).starts_with("ERROR"));
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let house = House::with("log: {level: info}\n");
    let server = house.serve(&[]);
    house.write("rapport.yaml", "log: {level: warn}\n# longer\n");
    let changed = server.logged("changed");
    assert!(changed.contains("log.level"), "{changed}");
}
