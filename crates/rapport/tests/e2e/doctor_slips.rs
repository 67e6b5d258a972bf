//! `doctor` used wrongly, or of things that are not there: what would be right is said at once.

use std::process::Output;

use crate::house::House;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Demands an exit code and words of what was printed.
#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{all}");
    for word in words {
        assert!(all.contains(word), "`{word}` is not in: {all}");
    }
}

#[test]
fn flags_that_cannot_be_read_say_what_would_be_right() {
    let house = House::new();
    let run = |flag: &str, value: &str| house.run(&["doctor", "localhost:1", flag, value]);
    says(&run("--origin", "bogus"), 2, &["bogus", "http://localhost:3000"]);
    says(&run("--origin", "http://localhost:3000/app"), 2, &["more than a scheme"]);
    says(&run("--origin", "http://localhost:619009"), 2, &["`619009`"]);
    for wrong in ["abc", "localhost:1", "1e9", "nan"] {
        says(&run("--wait", wrong), 2, &[wrong, "seconds from 0 to 86400", "--wait 60"]);
    }
    says(&house.run(&["doctor", "localhost:1", "--wait=-5"]), 2, &["seconds from 0"]);
}

#[test]
fn json_without_a_setting_is_no_configuration() {
    let house = House::new();
    for (name, content) in [("null.json", "null"), ("n.json", "3"), ("mcp.json", "[]")] {
        house.write(name, content);
        let file = house.path().join(name).display().to_string();
        says(&house.run(&["doctor", &file]), 1, &["config.wrong_type", "is an object"]);
    }
    house.write("empty.json", "{}");
    let file = house.path().join("empty.json").display().to_string();
    says(&house.run(&["doctor", &file]), 0, &["there is no address of this machine"]);
}

#[test]
fn a_folder_is_looked_into() {
    let house = House::new();
    let folder = house.path().join("project");
    std::fs::create_dir(&folder).unwrap();
    let shown = folder.display().to_string();
    let nothing = house.run(&["doctor", &shown]);
    says(&nothing, 2, &["is a folder", ".mcp.json", "compose.yaml"]);
    std::fs::write(folder.join(".env"), "MCP_PORT=619009\n").unwrap();
    std::fs::write(folder.join("compose.yaml"), "services: {}\n").unwrap();
    let found = house.run(&["doctor", &shown]);
    says(&found, 1, &["1 of the 2 things that are in the folder", "config.port_out_of_range"]);
    let mended = house.run(&["doctor", &shown, "--fix", "--yes"]);
    says(&mended, 0, &["works: 2 looked at"]);
    assert_eq!(std::fs::read_to_string(folder.join(".env")).unwrap(), "MCP_PORT=61900\n");
    let wrong = [
        ("application.yml", "server:\n  port: 619009\n"),
        ("config.json", "{\"server_address\": \"localhost:619009\"}"),
        ("settings.py", "PORT = 619009\n"),
        ("start.sh", "python app.py --port 619009\n"),
    ];
    for (name, content) in wrong {
        std::fs::write(folder.join(name), content).unwrap();
        let found = house.run(&["doctor", &shown]);
        says(&found, 1, &["1 of the 3 things", name, "config.port_out_of_range"]);
        std::fs::remove_file(folder.join(name)).unwrap();
    }
}

#[test]
fn a_program_that_is_not_there_is_named_with_the_one_that_was_meant() {
    let house = House::new();
    let programs = house.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    std::fs::write(programs.join("my-server"), "").unwrap();
    let path = programs.display().to_string();
    let run = |words: &[&str]| house.command(words).env("PATH", &path).output().unwrap();
    let near = run(&["doctor", "run", "--", "my-sever"]);
    says(&near, 1, &["`my-sever` cannot be started", "did you mean `my-server`?"]);
    says(&run(&["doctor", "run", "--", "nosuch"]), 1, &["no folder of the PATH", "install it"]);
    says(&run(&["doctor", "run", "--", "./nosuch"]), 1, &["no file `./nosuch`"]);
    let piped = run(&["doctor", "--stdio", "my-sever --flag"]);
    says(&piped, 1, &["stdio.command_not_found", "did you mean `my-server`?"]);
}

#[test]
fn a_bridge_whose_server_cannot_start_says_why_at_once() {
    let house = House::new();
    house.write("bad.yaml", "portt: 1\n");
    let file = house.path().join("bad.yaml").display().to_string();
    let program = env!("CARGO_BIN_EXE_rapport");
    let data = house.data().display().to_string();
    let line = format!("{program} mcp --data {data} --config {file}");
    let started = tokio::time::Instant::now();
    let output = house.run(&["doctor", "--stdio", &line, "--deadline", "30"]);
    says(&output, 1, &["mcp.init_error", "did you mean `port`?"]);
    // Without the reason it would be waited for until the deadline.
    assert!(started.elapsed().as_secs() < 25, "{:?}", started.elapsed());
}

#[test]
fn an_id_that_is_no_uuid_is_a_context_all_the_same() {
    let house = House::new();
    let server = house.serve(&[]);
    let mut stream = server.connect();
    let line = b"{\"sessionId\":\"my-chat\",\"message\":\"hello\"}\n";
    std::io::Write::write_all(&mut stream, line).unwrap();
    let mut answer = [0_u8; 1];
    std::io::Read::read_exact(&mut stream, &mut answer).unwrap();
    says(&house.run(&["doctor", "my-chat"]), 0, &["my-chat"]);
    says(&house.run(&["doctor", "ctx_1234"]), 1, &["context.missing", "ctx_1234"]);
    says(&house.run(&["doctor", "--context", "some-words"]), 1, &["context.missing"]);
    // What no server knows is still the name of a host.
    says(&house.run(&["doctor", "some-words"]), 1, &["name.unknown"]);
}
