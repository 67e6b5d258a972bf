//! `doctor` with other patients than an address, `ports list`, and what they write.

use std::net::TcpListener;
use std::process::Output;

use crate::house::House;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// A port on which nothing listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server of MCP in the words of a shell.
const SERVER: &str = concat!(
    r#"while read -r line; do case "$line" in *'"initialize"'*) echo '"#,
    r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","#,
    r#""capabilities":{},"serverInfo":{"name":"lab","version":"1"}}}' ;; esac; done"#
);

#[test]
fn a_command_is_judged_as_an_mcp_server() {
    let house = House::new();
    house.write("server.sh", SERVER);
    house.write("noisy.sh", &format!("echo Hello\n{SERVER}"));
    let path = house.path().display().to_string();
    let well = house.run(&["doctor", "--stdio", &format!("sh {path}/server.sh")]);
    assert_eq!(code(&well), Some(0), "{}", text(&well.stdout));
    assert!(text(&well.stdout).contains("`lab 1`"), "{}", text(&well.stdout));
    let noisy = house.run(&["doctor", "--json", "--stdio", &format!("sh {path}/noisy.sh")]);
    assert_eq!(code(&noisy), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&noisy.stdout).unwrap();
    assert_eq!(json["verdict"]["id"], "stdio.noise");
    let open = house.run(&["doctor", "--stdio", "sh 'x"]);
    assert_eq!(code(&open), Some(2));
    assert!(text(&open.stderr).contains("not closed"), "{}", text(&open.stderr));
}

#[test]
fn a_file_is_judged_and_mended() {
    let house = House::new();
    house.write("app.env", "MCP_PORT=619009\n");
    let file = house.path().join("app.env").display().to_string();
    let found = house.run(&["doctor", &file]);
    assert_eq!(code(&found), Some(1), "{}", text(&found.stdout));
    assert!(
        text(&found.stdout).contains("app.env: 619009 is no TCP port"),
        "{}",
        text(&found.stdout)
    );
    let shown = house.run(&["doctor", &file, "--fix"]);
    assert_eq!(code(&shown), Some(1), "{}", text(&shown.stdout));
    assert!(text(&shown.stdout).contains("+ MCP_PORT=61900"), "{}", text(&shown.stdout));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "MCP_PORT=619009\n");
    let mended = house.run(&["doctor", &file, "--fix", "--yes"]);
    assert_eq!(code(&mended), Some(0), "{}", text(&mended.stdout));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "MCP_PORT=61900\n");
    assert_eq!(std::fs::read_to_string(format!("{file}.bak")).unwrap(), "MCP_PORT=619009\n");
    let none = house.run(&["doctor", "./no/such/file.json"]);
    assert_eq!(code(&none), Some(1));
    assert!(text(&none.stdout).contains("config.no_file"), "{}", text(&none.stdout));
}

#[test]
fn a_report_is_written_without_the_home_folder() {
    let house = House::new();
    let file = house.path().join("report.txt");
    let target = format!("localhost:{}", closed_port());
    let run = house.run(&["doctor", &target, "--report", &file.display().to_string()]);
    assert_eq!(code(&run), Some(1), "{}", text(&run.stdout));
    let report = std::fs::read_to_string(&file).unwrap();
    assert!(report.contains("\"schema\": 1") && report.contains(&target), "{report}");
}

#[test]
fn waiting_ends_when_it_works_or_when_the_time_is_over() {
    let house = House::new();
    let server = house.serve(&[]);
    let target = format!("localhost:{}", server.port);
    assert_eq!(code(&house.run(&["doctor", &target, "--wait", "60"])), Some(0));
    assert_eq!(code(&house.run(&["doctor", &target, "--watch"])), Some(0));
    let dead = format!("localhost:{}", closed_port());
    assert_eq!(code(&house.run(&["doctor", &dead, "--wait", "1"])), Some(1));
    let both = house.run(&["doctor", &dead, "--wait", "1", "--watch"]);
    assert_eq!(code(&both), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_started_command_is_watched_until_it_listens_or_ends() {
    let house = House::new();
    let fails = house.run(&["doctor", "run", "--", "sh", "-c", "echo boom >&2; exit 3"]);
    assert_eq!(code(&fails), Some(1));
    let said = text(&fails.stderr);
    assert!(said.contains("boom") && said.contains("exit status: 3"), "{said}");
    let none = house.run(&["doctor", "run", "--", "no-such-program-here"]);
    assert_eq!(code(&none), Some(1));
    assert!(text(&none.stderr).contains("no-such-program-here"), "{}", text(&none.stderr));
    assert_eq!(code(&house.run(&["doctor", "run"])), Some(2));
    let own = env!("CARGO_BIN_EXE_rapport");
    let words = ["doctor", "run", "--", own, "serve", "--port", "0"];
    let works = house.run(&words);
    assert_eq!(code(&works), Some(0), "{}{}", text(&works.stdout), text(&works.stderr));
}

#[cfg(target_os = "linux")]
#[test]
fn every_listening_port_is_listed_with_its_program() {
    let house = House::new();
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let listed = house.run(&["ports", "list", &port.to_string(), "--json"]);
    assert_eq!(code(&listed), Some(0), "{}", text(&listed.stderr));
    let json: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(json[0]["port"], port);
    assert_eq!(json[0]["pid"], std::process::id());
    for field in ["user", "command", "started"] {
        assert!(json[0][field].is_string(), "{field}: {json}");
    }
    let table = text(&house.run(&["ports", "list"]).stdout);
    assert!(table.lines().any(|line| line.trim().starts_with(&port.to_string())), "{table}");
    drop(held);
    assert_eq!(code(&house.run(&["ports", "list", &port.to_string()])), Some(1));
}
