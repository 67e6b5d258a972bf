//! Tests of what is found in Claude Desktop's files.

use serde_json::json;

use super::*;
use crate::command::connect::machine::System;

struct Desk {
    dir: tempfile::TempDir,
    machine: Machine,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        std::fs::create_dir_all(dir.path().join(".config/Claude")).unwrap();
        let machine = Machine::of(System::Linux, &[("HOME", &home), ("PATH", "/usr/bin:/bin")]);
        Self { dir, machine }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(".config/Claude/claude_desktop_config.json")
    }

    fn with(&self, text: &str) -> Vec<Finding> {
        std::fs::write(self.file(), text).unwrap();
        look(apps::find("claude-desktop").unwrap(), &self.machine).1
    }

    #[track_caller]
    fn check(&self, servers: &Value, level: Level, part: &str) {
        let findings = self.with(&json!({"mcpServers": servers}).to_string());
        let found = findings.iter().any(|f| f.level == level && f.text.contains(part));
        assert!(found, "{part}: {findings:#?}");
    }
}

#[test]
fn every_way_an_entry_can_be_wrong_is_named() {
    let desk = Desk::new();
    desk.check(
        &json!({"x": {"url": "http://127.0.0.1:61900/mcp"}}),
        Level::Fault,
        "has an address",
    );
    desk.check(&json!({"x": {"command": "/no/such"}}), Level::Fault, "does not exist");
    desk.check(&json!({"x": {"command": "sh"}}), Level::Warning, "looked for on the PATH");
    desk.check(&json!({"x": {"command": "no-such-thing"}}), Level::Fault, "not on the PATH");
    desk.check(&json!({"x": {"command": "./a"}}), Level::Fault, "a relative path");
    desk.check(&json!({"x": {"command": "/"}}), Level::Fault, "is no file");
    desk.check(&json!({"x": {"args": []}}), Level::Fault, "has no `command`");
    desk.check(&json!({"x": 1}), Level::Fault, "is no object");
    desk.check(&json!([1]), Level::Fault, "no object of names");
    let args = json!({"x": {"command": "/bin/sh", "args": ["~/a"]}});
    desk.check(&args, Level::Fault, "nobody expands");
    desk.check(
        &json!({"x": {"command": "/bin/sh", "args": "a"}}),
        Level::Fault,
        "no list of texts",
    );
    desk.check(
        &json!({"x": {"command": "/bin/sh", "env": {"A": 1}}}),
        Level::Fault,
        "object of texts",
    );
    let long = "x".repeat(40);
    desk.check(&json!({long: {"command": "/bin/sh"}}), Level::Warning, "is long");
    let file = desk.file().display().to_string();
    desk.check(&json!({"x": {"command": file}}), Level::Fault, "may not be executed");
    desk.check(&json!({"x": {"command": "/bin/sh"}}), Level::Fine, "1 server(s)");
}

#[test]
fn a_file_that_cannot_be_read_is_said_with_its_place() {
    let desk = Desk::new();
    let first = |text: &str| desk.with(text)[0].clone();
    assert!(first("{\n  \"mcpServers\": {,}\n}").text.contains("line 2, column 18"));
    assert!(first("").text.contains("is empty"));
    assert!(
        first("{\"mcpServers\": {\"x\": {\"command\": \"/bin/sh\"},}}").text.contains("strict")
    );
    let nothing = first("{}");
    assert!(nothing.level == Level::Fault && nothing.fix.contains("rapport connect"));
}

#[test]
fn a_list_that_the_application_lost_is_told_from_one_that_never_was() {
    let desk = Desk::new();
    let copy = desk.dir.path().join(".config/Claude/claude_desktop_config.json.bak");
    std::fs::write(copy, "{\"mcpServers\": {\"x\": {\"command\": \"/bin/sh\"}}}").unwrap();
    let findings = desk.with("{\"mcpServers\": {}}");
    assert!(findings[0].check == "lost" && findings[0].text.contains(".bak"), "{findings:#?}");
}
