//! Which ports are bound, which are refused, and what is said about it.

use std::net::{Ipv4Addr, TcpListener};

use crate::house::{House, connect_six, free_port, get, has_six, text};

#[test]
fn both_loopback_families_are_served_and_announced() {
    let house = House::new();
    let server = house.serve(&[]);
    let port = server.port;
    assert!(server.get("/health").starts_with("HTTP/1.1 200"));
    if has_six() {
        assert!(get(connect_six(port), "/health").starts_with("HTTP/1.1 200"));
    }
    let running = server.printed("Running on");
    assert_eq!(running, format!("Running on http://127.0.0.1:{port} (Press CTRL+C to quit)"));
    server.printed(&format!("MCP server listening on 127.0.0.1:{port}"));
    server.logged(&format!("MCP server listening on 127.0.0.1:{port}"));

    let runtime = house.data().join("runtime.json");
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&runtime).unwrap()).unwrap();
    assert_eq!(written["port"], port);
    assert_eq!(written["pid"], server.child.id());
    assert!(std::fs::read_dir(house.path().join("run/rapport")).unwrap().count() > 0);
    assert!(server.terminate().success());
    assert!(!runtime.exists());
    assert_eq!(std::fs::read_dir(house.path().join("run/rapport")).unwrap().count(), 0);
}

#[test]
fn ping_says_why_it_cannot_know_the_server() {
    let house = House::with("server: {port: 70000}\n");
    let pinged = house.run(&["ping", "-c", "1"]);
    assert_eq!(pinged.status.code(), Some(3), "{pinged:?}");
    assert!(text(&pinged.stderr).contains("70000"), "{pinged:?}");
}

#[test]
fn ping_and_bench_find_the_server_that_runs() {
    let house = House::new();
    let server = house.serve(&[]);
    let pinged = house.run(&["ping", "-c", "1"]);
    let said = text(&pinged.stdout);
    assert!(said.contains(&format!("127.0.0.1:{}: connected", server.port)), "{pinged:?}");
    let measured = house.run(&["bench", "-n", "2"]);
    assert!(text(&measured.stdout).starts_with("2 answers"), "{measured:?}");
}

#[test]
fn a_taken_port_is_refused_with_its_holder_and_a_free_one() {
    let house = House::new();
    let server = house.serve(&[]);
    let port = server.port.to_string();
    let other = House::new().run(&["serve", "--port", &port]);
    assert_eq!(other.status.code(), Some(1));
    let said = text(&other.stderr);
    assert!(said.contains("Address already in use"), "{said}");
    assert!(said.contains(" is free"), "{said}");
    if cfg!(target_os = "linux") {
        assert!(said.contains(&format!("PID {}", server.child.id())), "{said}");
        assert!(said.contains("rapport"), "{said}");
    }
    assert!(other.stdout.is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_is_asked_to_end_only_when_it_was_seen_and_somebody_agreed() {
    let house = House::new();
    let mut server = house.serve(&[]);
    let (port, pid) = (server.port.to_string(), server.child.id().to_string());
    let end = |arguments: &[&str]| {
        let output = House::new().run(&[&["ports", "end"], arguments].concat());
        let said = text(&[output.stdout, output.stderr].concat());
        (output.status.code(), said)
    };
    let (code, said) = end(&[&port]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("PID {pid} ")) && said.contains("nothing was ended"), "{said}");
    assert_eq!(end(&[&port, "--yes"]).0, Some(2));
    let (code, said) = end(&[&port, "--pid", "1", "--yes"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("PID 1 does not listen"), "{said}");
    assert!(server.get("/health").contains("200 OK"));
    let (code, said) = end(&[&port, "--pid", &pid, "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("port {port} is free")), "{said}");
    assert!(server.child.wait().unwrap().success());
    let (code, said) = end(&[&port]);
    assert!(code == Some(0) && said.contains("nothing listens"), "{said}");
    let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = own.local_addr().unwrap().port().to_string();
    let (code, said) = end(&[&port, "--pid", &std::process::id().to_string(), "--yes"]);
    assert!(code == Some(1) && said.contains("runs inside it"), "{said}");
    assert_eq!(end(&["619009"]).0, Some(3));
}

#[test]
fn a_taken_port_gives_way_to_the_next_only_when_that_is_wanted() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let house = House::new();
    let server = house.serve(&["--port", &port.to_string(), "--port-fallback"]);
    assert_ne!(server.port, port);
    server.logged(&format!("port {port} is taken: using {}", server.port));
    let written = std::fs::read_to_string(house.data().join("runtime.json")).unwrap();
    assert!(written.contains(&format!("\"requested_port\": {port}")), "{written}");
}

#[test]
fn a_range_gives_its_first_free_port() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let first = taken.local_addr().unwrap().port();
    let last = first.saturating_add(50);
    let house = House::new();
    let server = house.serve(&["--port-range", &format!("{first}-{last}")]);
    assert!((first + 1..=last).contains(&server.port), "{}", server.port);
}

#[test]
fn the_impossible_number_is_a_name_for_a_real_port_with_one_warning() {
    let port = free_port();
    let house = House::with(&format!("ports: {{logical: {{619009: {port}}}}}\n"));
    let server = house.serve(&["--port", "619009"]);
    assert_eq!(server.port, port);
    let warning = server.logged("619009");
    assert!(warning.contains("no TCP port"), "{warning}");
    assert!(warning.contains(&port.to_string()) && warning.contains("29185"), "{warning}");
}

#[test]
fn ports_that_are_none_end_with_their_own_exit_code() {
    let house = House::new();
    for (arguments, wanted) in [
        (&["serve", "--port", "619009", "--strict-ports"][..], "61900"),
        (&["serve", "--port", "6199009"], "0-65535"),
        (&["serve", "--port", "-1"], "negative"),
        (&["serve", "--port", "http"], "not a number"),
    ] {
        let refused = house.run(arguments);
        assert_eq!(refused.status.code(), Some(3), "{arguments:?}");
        let said = text(&refused.stderr);
        assert!(said.contains(wanted) && said.contains("--port"), "{arguments:?}: {said}");
    }
}

#[test]
fn the_environment_sets_the_port() {
    let port = free_port();
    let house = House::new();
    let mut command = house.command(&["serve"]);
    let server = crate::house::Server::start(command.env("PORT", port.to_string()));
    assert_eq!(server.port, port);
}

#[test]
fn an_open_server_needs_a_key_or_a_word_that_it_is_meant() {
    let house = House::new();
    let refused = house.run(&["serve", "--port", "0", "--host", "0.0.0.0"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("rapport key create") && said.contains("auth.mode"), "{said}");

    let mut command = house.command(&["serve", "--port", "0", "--host", "0.0.0.0"]);
    let server = crate::house::Server::start(command.env("MCP_AUTH", "auto-dev"));
    server.logged("open to everybody");
    server.logged("plain HTTP");
    assert!(server.get("/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn an_address_of_another_machine_is_refused_with_those_there_are() {
    let refused = House::new().run(&["serve", "--port", "0", "--host", "192.0.2.1"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(said.contains("`192.0.2.1`") && said.contains("no such address"), "{said}");
}

#[test]
fn two_servers_cannot_share_a_folder_but_live_side_by_side() {
    let house = House::new();
    let first = house.serve(&[]);
    let second = house.run(&["serve", "--port", "0"]);
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second.stderr);
    assert!(said.contains(&first.child.id().to_string()), "{said}");
    assert!(said.contains("hint:"), "{said}");
    let other = House::new();
    let beside = other.serve(&[]);
    assert_ne!(first.port, beside.port);
    assert!(first.get("/health").starts_with("HTTP/1.1 200"));
}
