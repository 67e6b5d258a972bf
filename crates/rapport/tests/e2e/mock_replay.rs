//! What `rapport inspect` recorded, said again by `rapport mock` without the server.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Child;

use crate::house::House;

/// A program that says where it listens; killed when the test ends.
struct Listening {
    child: Child,
    port: u16,
}

impl Listening {
    /// Starts it, and reads the port out of its first line.
    fn start(house: &House, arguments: &[&str]) -> Self {
        let mut child = house.command(arguments).spawn().unwrap();
        let mut said = String::new();
        if arguments[0] == "inspect" {
            BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        } else {
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        }
        let port = said.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Self { port: port.unwrap_or_else(|| panic!("{said}")), child }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks for a stream, and gives every byte of the answer.
fn asked(port: u16, word: &str, key: &str) -> Vec<u8> {
    let body = format!(
        "{{\"model\":\"demo\",\"max_tokens\":50,\"stream\":true,\
         \"messages\":[{{\"role\":\"user\",\"content\":\"{word}\"}}]}}"
    );
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-api-key: {key}\r\n\
         anthropic-version: 2023-06-01\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

const FIRST: &str = "sk-ant-0123456789012345678901";
const OTHER: &str = "sk-ant-9999999999999999999999";

#[test]
fn a_recorded_exchange_is_played_byte_for_byte_without_its_server() {
    let house = House::new();
    let server = house.serve(&[]);
    let to = format!("127.0.0.1:{}", server.port);
    let through = ["inspect", "--listen", "127.0.0.1:0", "--to", &to, "--record", "calls.jsonl"];
    let mut inspector = Listening::start(&house, &through);
    let answer = asked(inspector.port, "hello", FIRST);
    assert!(answer.windows(12).any(|window| window == b"message_stop"));
    // The line is written when the exchange is over.
    let mut line = String::new();
    BufReader::new(inspector.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    drop(inspector);
    drop(server);
    for more in [&[][..], &["--at-once"]] {
        let arguments = [&["mock", "--port", "0", "--replay", "calls.jsonl"], more].concat();
        let mock = Listening::start(&house, &arguments);
        assert_eq!(asked(mock.port, "hello", OTHER), answer);
        let missed = String::from_utf8(asked(mock.port, "goodbye", OTHER)).unwrap();
        assert!(missed.starts_with("HTTP/1.1 404 "), "{missed}");
        assert!(missed.contains("/messages/0/content"), "{missed}");
    }
    // With a script, what was not recorded has an answer all the same.
    house.write("script.toml", "[default]\ntext = \"from the script\"\n");
    let arguments = ["mock", "--port", "0", "--replay", "calls.jsonl", "--script", "script.toml"];
    let mock = Listening::start(&house, &arguments);
    assert_eq!(asked(mock.port, "hello", OTHER), answer);
    let scripted = String::from_utf8(asked(mock.port, "goodbye", OTHER)).unwrap();
    assert!(scripted.contains("from") && scripted.contains("script"), "{scripted}");
    drop(mock);
    packed(&house);
}

/// The same recording as an archive and as packets.
fn packed(house: &House) {
    let open = ["inspect", "--open", "calls.jsonl"];
    let run = |more: &[&str]| house.run(&[&open[..], more].concat());
    assert!(run(&["--har", "calls.har", "--pcap", "calls.pcapng"]).status.success());
    let packets = std::fs::read(house.path().join("calls.pcapng")).unwrap();
    assert!(packets.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "the beginning of pcapng");
    assert!(packets.windows(12).any(|window| window == b"message_stop"));
    let listed = house.run(&["inspect", "--open", "calls.har"]);
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.starts_with("#1 POST /v1/messages  200  "), "{listed}");
    let mock = Listening::start(house, &["mock", "--port", "0", "--replay", "calls.har"]);
    let answer = String::from_utf8(asked(mock.port, "hello", OTHER)).unwrap();
    assert!(answer.contains("message_stop"), "{answer}");
}

#[test]
fn what_cannot_be_played_is_said() {
    let house = House::new();
    house.write("empty.jsonl", "");
    let empty = house.run(&["mock", "--port", "0", "--replay", "empty.jsonl"]);
    assert_eq!(empty.status.code(), Some(1));
    let said = String::from_utf8(empty.stderr).unwrap();
    assert!(said.contains("`empty.jsonl` has no exchange that can be played"), "{said}");
    house.write("no.har", "{\"log\": {\"entries\": [{}]}}");
    let broken = house.run(&["mock", "--port", "0", "--replay", "no.har"]);
    let said = String::from_utf8(broken.stderr).unwrap();
    assert!(said.contains("no.har") && said.contains("missing field"), "{said}");
    let alone = house.run(&["mock", "--at-once"]);
    assert_eq!(alone.status.code(), Some(2), "{alone:?}");
}

#[test]
fn models_are_played_without_a_script() {
    let house = House::new();
    let mock = Listening::start(&house, &["mock", "--port", "0", "--as", "failing"]);
    let status =
        |answer: &[u8]| String::from_utf8_lossy(answer.get(9..12).unwrap_or(b"")).into_owned();
    let all: Vec<String> = (0..6).map(|_| status(&asked(mock.port, "hello", OTHER))).collect();
    assert_eq!(all[..3], ["429", "500", "529"]);
    assert_eq!((all[3].as_str(), all[4].as_str(), all[5].as_str()), ("200", "", "200"));
    let mock = Listening::start(&house, &["mock", "--port", "0", "--as", "forgetful"]);
    let answer = String::from_utf8(asked(mock.port, "who am I", OTHER)).unwrap();
    assert!(answer.contains("nothing"), "{answer}");
    let nobody = house.run(&["mock", "--as", "nobody"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("forgetful"));
}
