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

#[cfg(target_os = "linux")]
#[test]
fn the_calls_of_a_command_are_printed_with_what_their_errors_mean() {
    let house = House::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap();
    let port = place.port().to_string();
    let server = ["doctor", "run", "--trace", "--", "python3", "-c"];
    let run = |script: &str| {
        // The arguments of the house would go to the command.
        let mut command = house.command(&[]);
        let mut bare = std::process::Command::new(command.get_program());
        bare.env_clear().env("HOME", house.path()).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command = bare;
        command.args(server).args([script, &port]).output().unwrap()
    };
    let failed = run("import socket, sys\ns = socket.socket()\ntry: s.bind(('127.0.0.1', \
                      int(sys.argv[1])))\nexcept OSError: sys.exit(4)\n");
    let said = format!("{}{}", text(&failed.stdout), text(&failed.stderr));
    assert_eq!(code(&failed), Some(1), "{said}");
    let call = format!("bind(3, {place}) = EADDRINUSE: another socket has the port");
    assert!(said.contains("its last call that failed: "), "{said}");
    assert!(said.contains(&call), "{said}");
    let works = run("import http.server\nhttp.server.HTTPServer(('127.0.0.1', 0), \
                     http.server.SimpleHTTPRequestHandler).serve_forever()\n");
    let said = format!("{}{}", text(&works.stdout), text(&works.stderr));
    assert_eq!(code(&works), Some(0), "{said}");
    assert!(said.contains("listen(3) = ok") && said.contains("accept(3) = ok"), "{said}");
    let wrong = house.run(&["doctor", "--trace"]);
    assert!(text(&wrong.stderr).contains("doctor run --trace -- COMMAND"), "{wrong:?}");
}

#[test]
fn the_log_of_a_server_that_is_not_there_says_why() {
    let house = House::new();
    let target = format!("localhost:{}", closed_port());
    house.write("app.log", "yaml.scanner.ScannerError: mapping values are not allowed here\n");
    let named = house.run(&["doctor", &target, "--log", "app.log"]);
    assert!(text(&named.stdout).contains("[start.failed, likely]"), "{named:?}");
    let none = house.run(&["doctor", &target, "--log", "nosuch.log"]);
    assert_eq!(code(&none), Some(2));
    assert!(text(&none.stderr).contains("`nosuch.log` cannot be read"), "{none:?}");
    // Its own log is found by the configuration.
    house.write("rapport.yaml", &format!("server: {{port: {}}}\n", closed_port()));
    std::fs::create_dir_all(house.data().join("logs")).unwrap();
    let own = house.data().join("logs/server.log");
    std::fs::write(own, "ERROR rapport: No space left on device (os error 28)\n").unwrap();
    let run = house.run(&["doctor", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let server = json["subjects"].as_array().unwrap().iter().find(|row| row["name"] == "server");
    assert_eq!(server.unwrap()["id"], "start.failed", "{json:#}");
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
