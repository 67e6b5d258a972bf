//! Slips on the command line: each is told as what it is, with the exit code of wrong usage.

use crate::house::{House, Server, free_port, text};

/// Demands an exit code, and words on standard error.
fn told(house: &House, arguments: &[&str], code: i32, words: &str) {
    let run = house.run(arguments);
    let said = format!("{}{}", text(&run.stdout), text(&run.stderr));
    assert_eq!(run.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?} without `{words}`: {said}");
    assert!(!said.contains("?."), "{said}");
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let house = House::new();
    told(&house, &["doctor", "-5"], 1, "`-5`");
    told(&house, &["doctor", "explain", ""], 2, "text is empty");
    told(&house, &["bench", "-c", "0", "localhost:1"], 2, "1..=10000");
    told(&house, &["bench", "-n", "0", "localhost:1"], 2, "0 is not in");
    told(&house, &["ping", "-c", "0", "localhost:1"], 2, "0 is not in");
    told(&house, &["request", "list", "--since", "xx"], 2, "how long ago");
    told(&house, &["request", "list", "--limit", "501"], 2, "1..=500");
    told(&house, &["ping", "localhost:70000"], 3, "`70000` (argument) is no TCP port");
    told(&house, &["inspect", "--to", ":1", "--port", "70000"], 3, "flag --port");
    told(&house, &["--strict-ports", "ping", "localhost:619009"], 3, "619009");
}

#[test]
fn the_number_that_is_a_name_is_followed() {
    let house = House::with(&format!("ports: {{logical: {{'619009': {}}}}}\n", free_port()));
    let run = house.run(&["ping", "-c", "1", "localhost:619009"]);
    // Whatever answers there, the number was taken for the port it stands for.
    assert_ne!(run.status.code(), Some(3), "{}", text(&run.stderr));
    assert!(text(&run.stderr).contains("is no TCP port (ports end at 65535): using"));
}

#[test]
fn the_inspector_listens_where_the_port_says() {
    let house = House::new();
    let port = free_port().to_string();
    let mut command = house.command(&["inspect", "--to", "localhost:1", "--port", &port]);
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut said).unwrap();
    drop(child.kill());
    drop(child.wait());
    assert!(said.contains(&format!("http://127.0.0.1:{port}")), "{said}");
}

#[test]
fn our_own_addresses_are_judged_as_what_they_are() {
    let house = House::new();
    let server = house.serve(&[]);
    let at = format!("localhost:{}", server.port);
    told(&house, &["doctor", &format!("https://{at}")], 1, "tls.https_to_http");
    told(&house, &["doctor", &format!("http://{at}/v1")], 0, "works");
    told(&house, &["doctor", &format!("http://{at}/v1"), "--ask", "demo"], 0, "works");
    told(&house, &["doctor", &format!("ws://{at}/ws")], 0, "works");
    told(&house, &["doctor", &format!("http://{at}/v2")], 1, "http.wrong_path");
}

#[test]
fn a_key_that_only_the_server_knows_keeps_no_command_from_it() {
    let house = House::with("providers: {anthropic: {api_key: '${HOUSE_KEY}'}}\n");
    let mut command = house.command(&["serve", "--port", "0"]);
    let server = Server::start(command.env("HOUSE_KEY", "sk-ant-house"));
    let run = house.run(&["context", "list"]);
    assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    drop(server);
    told(&house, &["serve"], 2, "`${HOUSE_KEY}` is not set");
    house.write("rapport.yaml", "server: {port: '${HOUSE_PORT}'}\n");
    told(&house, &["context", "list"], 2, "`${HOUSE_PORT}` is not set");
}
