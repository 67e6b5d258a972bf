//! `rapport doctor --fix` when the server's port is taken: it moves, and its clients with it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::Value;

use crate::house::{House, text};

/// A server of somebody else, which knows nothing of what it is asked.
fn stranger() -> u16 {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in holder.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut some = [0_u8; 4096];
            let _asked = stream.read(&mut some);
            let head = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _sent = stream.write_all(head.as_bytes());
        }
    });
    port
}

/// A house whose server is to use a port that somebody holds, and whose clients lead to it.
fn house() -> (House, u16) {
    let port = stranger();
    let house = House::with(&format!("# ours\nserver:\n  port: {port}\n"));
    std::fs::create_dir_all(house.path().join(".cursor")).unwrap();
    std::fs::create_dir_all(house.path().join(".codex")).unwrap();
    house.write(
        ".cursor/mcp.json",
        &format!(
            "{{\"mcpServers\": {{\n  \"rapport\": {{\"url\": \"http://localhost:{port}/mcp\", \
             \"headers\": {{\"Authorization\": \"Bearer secret-word-1\"}}}},\n  \
             \"far\": {{\"url\": \"http://192.0.2.1:{port}/mcp\"}}\n}}}}\n"
        ),
    );
    house.write(
        ".codex/config.toml",
        &format!("[mcp_servers.rapport]\nurl = \"http://127.0.0.1:{port}/mcp\"\n"),
    );
    house.write("app.env", &format!("OPENAI_BASE_URL=http://localhost:{port}/v1\nPORT={port}\n"));
    (house, port)
}

const FILES: [&str; 4] = ["rapport.yaml", ".cursor/mcp.json", ".codex/config.toml", "app.env"];

fn texts(house: &House) -> Vec<String> {
    FILES.iter().map(|name| std::fs::read_to_string(house.path().join(name)).unwrap()).collect()
}

fn copies(house: &House) -> Vec<PathBuf> {
    let copy = |name: &&str| house.path().join(format!("{name}.bak"));
    FILES.iter().map(copy).filter(|path| path.exists()).collect()
}

fn free_of(config: &str) -> u16 {
    config.rsplit(' ').next().unwrap().trim().parse().unwrap()
}

#[test]
fn a_server_whose_port_is_taken_moves_with_all_its_clients() {
    let (house, port) = house();
    let before = texts(&house);
    let all = house.run(&["doctor", "--json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let server = all["subjects"].as_array().unwrap().iter().find(|row| row["name"] == "server");
    assert_eq!(server.unwrap()["id"], "listen.taken", "{all:#}");
    // Shown, and nothing changed.
    let shown = house.run(&["doctor", "--fix", "--dry-run", "app.env"]);
    let said = format!("{}{}", text(&shown.stdout), text(&shown.stderr));
    assert!(said.contains("is taken by PID") && said.contains("nothing was changed"), "{said}");
    assert!(said.contains(&format!("- PORT={port}")), "{said}");
    assert!(!said.contains("secret-word"), "{said}");
    assert_eq!((texts(&house), copies(&house).len()), (before.clone(), 0));
    // Made.
    let made = house.run(&["doctor", "--fix", "--yes", "app.env"]);
    let said = format!("{}{}", text(&made.stdout), text(&made.stderr));
    let after = texts(&house);
    let to = free_of(&after[0]);
    assert_ne!(to, port, "{said}");
    let expected = |text: &String| {
        let here = ["localhost:", "127.0.0.1:", "PORT=", "  port: "];
        here.iter().fold(text.clone(), |text, start| {
            text.replace(&format!("{start}{port}"), &format!("{start}{to}"))
        })
    };
    assert_eq!(after, before.iter().map(expected).collect::<Vec<_>>(), "{said}");
    assert!(after[1].contains(&format!("192.0.2.1:{port}")), "{}", after[1]);
    assert_eq!(copies(&house).len(), 4, "{said}");
    assert!(said.contains("rapport serve") && said.contains("Cursor: "), "{said}");
    // The one who holds the port was left alone, and the server takes its place elsewhere.
    let _still = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let again = house.run(&["doctor", "--fix", "--yes", "app.env"]);
    assert!(text(&again.stderr).contains("nothing that could be mended"), "{again:?}");
}

#[test]
fn when_one_file_cannot_be_changed_none_is() {
    let (house, port) = house();
    std::fs::create_dir_all(house.path().join(".gemini")).unwrap();
    let broken = format!("{{\"mcpServers\": {{\"a\": {{\"url\": \"http://localhost:{port}/mcp");
    house.write(".gemini/settings.json", &broken);
    let before = texts(&house);
    let made = house.run(&["doctor", "--fix", "--yes"]);
    let said = text(&made.stderr);
    assert!(said.contains("settings.json` leads to the port"), "{said}");
    assert_eq!((texts(&house), copies(&house).len()), (before.clone(), 0), "{said}");
    std::fs::remove_file(house.path().join(".gemini/settings.json")).unwrap();
    // A variable wins over the file: moving the clients alone would part them from the server.
    let mut command = house.command(&["doctor", "--fix", "--yes"]);
    let made = command.env("RAPPORT_PORT", port.to_string()).output().unwrap();
    assert!(text(&made.stderr).contains("RAPPORT_PORT says"), "{}", text(&made.stderr));
    assert_eq!((texts(&house), copies(&house).len()), (before, 0));
}

#[test]
fn a_server_of_ours_on_the_port_is_no_reason_to_move() {
    let other = House::new();
    let server = other.serve(&[]);
    let house = House::with(&format!("server: {{port: {}}}\n", server.port));
    let made = house.run(&["doctor", "--fix", "--yes"]);
    assert!(text(&made.stderr).contains("nothing that could be mended"), "{made:?}");
}
