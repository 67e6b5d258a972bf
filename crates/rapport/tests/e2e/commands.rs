//! The commands that are not `serve`.

use crate::house::{House, everything, get, text};

#[test]
fn a_configuration_is_written_checked_and_shown() {
    let house = House::new();
    let written = house.run(&["config", "init", "--all"]);
    assert!(written.status.success(), "{}", text(&written.stderr));
    for name in ["rapport.yaml", "rapport.schema.json", ".env.example", ".gitignore", "Dockerfile"]
    {
        assert!(house.path().join(name).is_file(), "{name}");
    }
    let again = house.run(&["config", "init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("--force"));
    let fine = house.run(&["config", "check"]);
    assert!(fine.status.success(), "{}", text(&fine.stderr));

    house.write("rapport.yaml", "sever: {port: 1}\nlimits: {turns: many}\n");
    let wrong = house.run(&["config", "check"]);
    assert_eq!(wrong.status.code(), Some(1));
    let said = text(&wrong.stderr);
    assert!(said.contains("rapport.yaml:1: unknown key `sever.port`"), "{said}");
    assert!(said.contains("rapport.yaml:2: `limits.turns`"), "{said}");
    assert_eq!(house.run(&["serve"]).status.code(), Some(2));

    house.write("rapport.yaml", "providers: {openai: {api_key: sk-very-secret}}\nport: 619009\n");
    let shown = house.run(&["config", "show", "--origin", "--json"]);
    let said = text(&shown.stdout);
    assert!(!said.contains("sk-very-secret") && said.contains("[hidden]"), "{said}");
    assert!(said.contains("rapport.yaml:2 (as `port`)"), "{said}");
    assert!(text(&shown.stderr).contains("619009"));
}

#[test]
fn an_impossible_port_in_a_file_is_repaired_with_a_copy_kept() {
    let house = House::with("server:\n  port: 619009 # home\n");
    let shown = house.run(&["config", "fix"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(text(&shown.stdout).contains("+   port: 61900 # home"), "{}", text(&shown.stdout));
    let path = house.path().join("rapport.yaml");
    assert!(std::fs::read_to_string(&path).unwrap().contains("619009"));
    assert!(house.run(&["config", "fix", "--yes"]).status.success());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "server:\n  port: 61900 # home\n");
    let copy = std::fs::read_to_string(house.path().join("rapport.yaml.bak")).unwrap();
    assert!(copy.contains("619009"));
}

#[test]
fn a_difference_between_the_server_and_its_file_is_found() {
    let house = House::with("limits: {turns: 10}\n");
    let server = house.serve(&[]);
    let port = server.port.to_string();
    house.write("rapport.yaml", "limits: {turns: 10, connections: 20}\n");
    server.signal(rustix::process::Signal::HUP);
    server.logged("was reloaded");
    let drift = house.run(&["config", "drift", "--port", "0"]);
    assert_eq!(drift.status.code(), Some(1));
    let said = text(&drift.stdout);
    assert!(said.contains("limits.connections") && !said.contains("limits.turns"), "{said}");
    let listed = text(&house.run(&["ports", "list", "--own"]).stdout);
    assert!(listed.lines().any(|line| line.trim().starts_with(&port)), "{listed}");
}

#[test]
fn a_server_in_the_background_is_started_and_stopped() {
    let house = House::new();
    let started = house.run(&["start", "--port", "0"]);
    assert!(started.status.success(), "{}", text(&started.stderr));
    let url = text(&started.stdout);
    let port = url.lines().next().unwrap().rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let stream = crate::house::connect(([127, 0, 0, 1], port).into());
    assert!(get(stream, "/health").starts_with("HTTP/1.1 200"));
    let again = house.run(&["start", "--port", "0"]);
    assert!(text(&again.stdout).contains("running already"));
    let stopped = house.run(&["stop"]);
    assert!(stopped.status.success(), "{}", text(&stopped.stderr));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    assert_eq!(house.run(&["stop"]).status.code(), Some(1));
}

#[test]
fn a_server_that_cannot_start_in_the_background_says_why() {
    let house = House::new();
    let failed = house.run(&["start", "--port", "0", "--host", "192.0.2.1"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("no such address"), "{}", text(&failed.stderr));
}

#[test]
fn a_backup_of_a_running_server_is_restored() {
    let house = House::new();
    let server = house.serve(&[]);
    let mut stream = server.connect();
    std::io::Write::write_all(&mut stream, b"{\"sessionId\":\"old\",\"message\":\"hello\"}\n")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(everything(stream).contains("old"));
    let file = house.path().join("copy.db").display().to_string();
    let copied = house.run(&["backup", &file]);
    assert!(copied.status.success(), "{}", text(&copied.stderr));
    assert!(!text(&copied.stderr).contains("keeps another"), "{}", text(&copied.stderr));
    let busy = house.run(&["restore", &file]);
    assert_eq!(busy.status.code(), Some(1), "a folder in use is not restored into");
    assert!(server.terminate().success());

    let other = House::new();
    let restored = other.run(&["restore", &file]);
    assert!(restored.status.success(), "{}", text(&restored.stderr));
    let server = other.serve(&[]);
    assert!(server.get("/mcp/context/old").contains("hello"));

    // No server runs on the first folder any more, but one on another: that was likely meant.
    let mut doubtful = house.command(&["backup", &format!("{file}2")]);
    let doubtful = doubtful.env("XDG_RUNTIME_DIR", other.path().join("run")).output().unwrap();
    let (out, said) = (text(&doubtful.stdout), text(&doubtful.stderr));
    assert!(out.contains(&house.data().display().to_string()), "{out}");
    assert!(said.contains(&other.data().display().to_string()), "{said}");
}

#[test]
fn a_number_is_explained_and_free_ports_are_suggested() {
    let house = House::new();
    let explained = house.run(&["ports", "explain", "619009"]);
    assert_eq!(explained.status.code(), Some(3));
    assert!(text(&explained.stdout).contains("29185"));
    let free = house.run(&["ports", "suggest", "--count", "3", "--json"]);
    let ports: Vec<u16> = serde_json::from_slice(&free.stdout).unwrap();
    assert_eq!(ports.len(), 3);
}

#[test]
fn the_doctor_names_the_impossible_port_and_finds_a_healthy_server() {
    let house = House::new();
    let server = house.serve(&[]);
    let healthy = house.run(&["doctor", &format!("localhost:{}", server.port)]);
    assert_eq!(healthy.status.code(), Some(0), "{}", text(&healthy.stdout));
    let impossible = house.run(&["doctor", "localhost:619009", "--json"]);
    assert_eq!(impossible.status.code(), Some(1), "{}", text(&impossible.stdout));
    let report: serde_json::Value = serde_json::from_slice(&impossible.stdout).unwrap();
    assert_eq!(report["verdict"]["id"], "address.port_out_of_range", "{report}");
}

#[test]
fn pages_are_served_to_browsers_and_a_list_of_doors_to_programs() {
    let house = House::new();
    let server = house.serve(&[]);
    let list = server.get("/");
    assert!(list.contains("\"interact\":\"/api/mcp/interact\""), "{list}");
    let mut stream = server.connect();
    std::io::Write::write_all(
        &mut stream,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nConnection: close\r\n\r\n",
    )
    .unwrap();
    let page = everything(stream);
    assert!(page.contains("<!doctype html>"), "{page}");
    assert!(page.to_lowercase().contains("content-security-policy: default-src 'self';"), "{page}");
    let docs = server.get("/docs");
    assert!(docs.contains("/api/v1/contexts") && !docs.contains("<script"), "{docs}");
}

#[test]
fn the_doctor_explains_the_text_of_an_error() {
    let house = House::new();
    let error = "curl: (7) Failed to connect to localhost port 619009: Connection refused";
    let known = house.run(&["doctor", "explain", error]);
    assert_eq!(known.status.code(), Some(0), "{known:?}");
    let said = text(&known.stdout);
    assert!(said.starts_with("Nothing listens") && said.contains("16-bit"), "{said}");
    let json = house.run(&["doctor", "explain", error, "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(value["steps"].as_array().unwrap().len() >= 2, "{value}");
    assert_eq!(house.run(&["doctor", "explain", "all is well"]).status.code(), Some(3));
    let plain = text(&house.run(&["doctor", "tables"]).stdout);
    let marked = text(&house.run(&["doctor", "tables", "markdown"]).stdout);
    let json = house.run(&["doctor", "tables", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert!(plain.contains("  Connection refused\n") && marked.contains("| Connection refused |"));
    assert_eq!(json["tables"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!(house.run(&["doctor", "tables", "html"]).status.code(), Some(2));
    assert_eq!(house.run(&["doctor", "explain"]).status.code(), Some(2));
    assert_eq!(house.run(&["doctor", "localhost", "again"]).status.code(), Some(2));
}
