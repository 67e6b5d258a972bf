//! `connect` and `disconnect`: other programs' files, and the doctor of Claude Desktop.

use serde_json::Value;

use crate::house::{House, text};

const CLAUDE: &str = ".config/Claude/claude_desktop_config.json";
const ZED: &str = "// mine\n{\n\t\"theme\": \"x\", // dark\n}\n";

fn folders(house: &House) {
    for folder in [".config/Claude", ".cursor", ".codex", ".config/zed"] {
        std::fs::create_dir_all(house.path().join(folder)).unwrap();
    }
    house.write(".config/zed/settings.json", ZED);
    house.write(".cursor/mcp.json", "{\"mcpServers\":{\"rapport\":{\"command\":\"npx\"}}}");
}

fn file(house: &House, name: &str) -> String {
    std::fs::read_to_string(house.path().join(name)).unwrap_or_default()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|error| panic!("{error}: {}", text(bytes)))
}

#[test]
fn every_application_that_is_found_is_connected_and_one_made_by_hand_is_left() {
    let house = House::new();
    folders(&house);
    let dry = house.run(&["connect", "--all", "--dry-run"]);
    assert!(text(&dry.stdout).contains("+ [mcp_servers.rapport]"), "{}", text(&dry.stdout));
    assert!(
        !house.path().join(CLAUDE).exists() && !house.path().join(".codex/config.toml").exists()
    );

    let done = house.run(&["connect", "--all"]);
    assert_eq!(done.status.code(), Some(1), "cursor was made by hand");
    let said = text(&done.stderr);
    assert!(said.contains("made by hand (it starts `npx`)"), "{said}");
    let desktop = json(file(&house, CLAUDE).as_bytes());
    let command = desktop.pointer("/mcpServers/rapport/command").unwrap().as_str().unwrap();
    assert!(std::path::Path::new(command).is_absolute(), "{command}");
    assert_eq!(desktop.pointer("/mcpServers/rapport/args/0").unwrap(), "mcp");
    let zed = file(&house, ".config/zed/settings.json");
    assert!(zed.starts_with("// mine\n{\n\t\"theme\": \"x\", // dark\n\t\"context_servers\": {\n"));
    assert_eq!(file(&house, ".config/zed/settings.json.bak"), ZED);

    let again = house.run(&["connect", "claude-desktop", "codex", "zed", "--json"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let values = json(&again.stdout);
    let results: Vec<&Value> = values.as_array().unwrap().iter().map(|v| &v["result"]).collect();
    assert_eq!(results, ["unchanged"; 3]);

    let listed = house.run(&["connect", "--json"]);
    let states = json(&listed.stdout);
    let state = |id: &str| {
        let row = states.as_array().unwrap().iter().find(|row| row["application"] == id);
        row.unwrap()["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("zed"), "connected");
    assert_eq!(state("cursor"), "made by hand");
    assert_eq!(state("gemini"), "not found");

    assert!(house.run(&["connect", "cursor", "--force"]).status.success());
    let gone = house.run(&["disconnect", "--all"]);
    assert!(gone.status.success(), "{}", text(&gone.stderr));
    assert_eq!(
        json(file(&house, ".cursor/mcp.json").as_bytes()),
        serde_json::json!({"mcpServers": {}})
    );
    assert!(!file(&house, ".config/zed/settings.json").contains("rapport"));
    assert_eq!(file(&house, ".codex/config.toml"), "");
}

#[test]
fn what_cannot_be_connected_is_refused_and_untouched() {
    let house = House::new();
    folders(&house);
    let broken = "{\n  \"mcpServers\": {\n    oops\n  }\n}\n";
    house.write(CLAUDE, broken);
    let refused = house.run(&["connect", "claude-desktop"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("line 3, column 5"), "{}", text(&refused.stderr));
    assert_eq!(file(&house, CLAUDE), broken);
    let address = house.run(&["connect", "claude-desktop", "--http"]);
    assert!(text(&address.stderr).contains("only starts commands"), "{}", text(&address.stderr));
    let absent = house.run(&["connect", "windsurf"]);
    assert!(text(&absent.stderr).contains("--force writes it anyway"), "{}", text(&absent.stderr));
    let unknown = house.run(&["connect", "claud"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("claude-desktop, claude-code"));
    let name = house.run(&["connect", "zed", "--name", "a.b"]);
    assert_eq!(name.status.code(), Some(2));
}

#[test]
fn a_key_is_made_once_and_kept_apart_from_the_application_s_file() {
    let house = House::new();
    folders(&house);
    let server = house.serve(&[]);
    let done = house.run(&["connect", "codex", "--with-key"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let key = file(&house, ".config/rapport/keys/codex.key");
    assert!(key.starts_with("rap_") || key.len() > 20, "{key}");
    let config = file(&house, ".codex/config.toml");
    assert!(config.contains("RAPPORT_API_KEY_FILE") && !config.contains(key.trim()), "{config}");
    use std::os::unix::fs::PermissionsExt as _;
    let kept = std::fs::metadata(house.path().join(".config/rapport/keys/codex.key")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);

    let again = house.run(&["connect", "codex", "--with-key"]);
    assert!(text(&again.stdout).contains("connected already"), "{}", text(&again.stdout));
    // The file is what opens the server now.
    let url = format!("http://127.0.0.1:{}", server.port);
    assert_eq!(house.run(&["context", "list", "--url", &url]).status.code(), Some(7));
    let mut with_key = house.command(&["context", "list", "--url", &url]);
    with_key.env("RAPPORT_API_KEY_FILE", house.path().join(".config/rapport/keys/codex.key"));
    assert!(with_key.output().unwrap().status.success());
}

#[test]
fn the_doctor_starts_our_entry_as_claude_desktop_would() {
    let house = House::new();
    folders(&house);
    let nothing = house.run(&["doctor", "claude-desktop"]);
    assert_eq!(nothing.status.code(), Some(1), "no server is configured");
    assert!(house.run(&["connect", "claude-desktop"]).status.success());
    let resting = house.run(&["doctor", "claude-desktop"]);
    assert!(resting.status.success(), "{}", text(&resting.stdout));
    assert!(text(&resting.stdout).contains("no server runs"), "{}", text(&resting.stdout));
    let _server = house.serve(&[]);
    let running = house.run(&["doctor", "claude-desktop", "--json"]);
    let report = json(&running.stdout);
    assert_eq!(report["healthy"], true, "{report:#}");
    let found = report["findings"].as_array().unwrap().iter().any(|finding| {
        finding["check"] == "start" && finding["text"].as_str().unwrap().contains("2025-11-25")
    });
    assert!(found, "{report:#}");
}
