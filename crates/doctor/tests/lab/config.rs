//! Configuration files that are broken on purpose, and the addresses in them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use doctor::files::{File, diagnose};
use doctor::{Report, Request};

use super::servers::closed_port;
use super::switch::{Switch, json};
use super::{fix, verbose};

/// A folder with one file of configuration in it.
struct Lab {
    folder: tempfile::TempDir,
    name: &'static str,
    run: bool,
}

impl Lab {
    fn new(name: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), name, run: false }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    fn write(&self, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(), bytes).unwrap();
        std::fs::set_permissions(self.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    async fn look(&self) -> Report {
        let search = vec![PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
        let file = File { path: self.path(), run: self.run, search };
        diagnose(&file, &Request::default()).await
    }

    async fn broken(&self, id: &str, evidence: &str, words: &str) {
        let report = self.look().await;
        let text = verbose(&report);
        assert_eq!(report.verdict.id, id, "{text}");
        assert_eq!(report.exit_code(), 1, "{text}");
        let proof = format!("{}\n{}", report.verdict.sentence, report.verdict.evidence.join("\n"));
        assert!(proof.contains(evidence), "`{evidence}` is not among the evidence:\n{text}");
        fix(&report, words);
    }

    async fn well(&self) -> Report {
        let report = self.look().await;
        assert_eq!(report.verdict.id, "ok", "{}", verbose(&report));
        report
    }
}

fn servers(entry: &str) -> String {
    format!("{{\n  \"mcpServers\": {{\n    \"lab\": {entry}\n  }}\n}}\n")
}

/// A list with a server that is there.
fn good() -> String {
    servers("{\"command\": \"sh\", \"args\": [\"-c\", \"true\"], \"env\": {\"PORT\": \"61900\"}}")
}

#[tokio::test]
async fn json_that_people_wrote_is_named_with_its_line() {
    let lab = Lab::new("claude_desktop_config.json");
    let cases = [
        (good().replace("}\n  }", "},\n  }"), "line 3", "remove the comma"),
        (good().replace("{\n  \"mcp", "{\n  // mine\n  \"mcp"), "line 2", "remove the line"),
        (good().replace("\"lab\"", "\u{201c}lab\u{201d}"), "line 3", "replace them"),
        (good().replace("\"true\"", "\"C:\\Users\\me\""), "line 3", "backslash twice"),
    ];
    for (text, evidence, words) in cases {
        lab.write(text);
        lab.broken("config.bad_json", evidence, words).await;
    }
    lab.write(good());
    lab.well().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_named() {
    let lab = Lab::new("claude_desktop_config.json");
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(good().encode_utf16().flat_map(u16::to_le_bytes)).collect();
    lab.write(wide);
    lab.broken("config.encoding", "UTF-16", "iconv").await;
    lab.write([&b"\xef\xbb\xbf"[..], good().as_bytes()].concat());
    lab.broken("config.bom", "ef bb bf", "sed -i").await;
    lab.write(
        good()
            .replace("true", "caf\u{e9}")
            .replace('\u{e9}', "#")
            .into_bytes()
            .iter()
            .map(|byte| if *byte == b'#' { 0xe9 } else { *byte })
            .collect::<Vec<u8>>(),
    );
    lab.broken("config.encoding", "line 3", "LATIN1").await;
    lab.write(" \n");
    lab.broken("config.empty", "empty", "mcpServers").await;
    lab.write(good());
    lab.well().await;
}

#[tokio::test]
async fn entries_that_programs_misread_are_named() {
    let lab = Lab::new("claude_desktop_config.json");
    let cases = [
        (
            good().replace("mcpServers", "servers"),
            "config.missing_key",
            "`servers`",
            "to `mcpServers`",
        ),
        (
            servers("{\"command\": \"sh\", \"args\": \"server.sh\"}"),
            "config.wrong_type",
            "`args` must be a list",
            "[\"server.sh\"]",
        ),
        (
            servers("{\"command\": \"sh\", \"env\": {\"PORT\": 61900}}"),
            "config.wrong_type",
            "`PORT`",
            "\"PORT\": \"61900\"",
        ),
        (
            servers("{\"command\": \"sh -c true\"}"),
            "config.command_has_args",
            "arguments in it",
            "\"args\": [\"-c\", \"true\"]",
        ),
        (
            servers("{\"command\": \"uvx-not-here\"}"),
            "config.command_not_found",
            "uvx-not-here",
            "which uvx-not-here",
        ),
        (
            servers("{\"command\": \"sh\", \"args\": [\"/opt/no/server.sh\"]}"),
            "config.file_not_found",
            "/opt/no/server.sh",
            "correct the path",
        ),
        (
            servers("{\"command\": \"sh\", \"args\": [\"~/server.sh\"]}"),
            "config.tilde",
            "only a shell expands",
            "whole path",
        ),
        (
            good().replace("\"lab\": {", "\"lab\": {}, \"lab\": {"),
            "config.duplicate_key",
            "mcpServers.lab",
            "another name",
        ),
        (servers("{}"), "config.wrong_type", "neither command nor url", "`command`"),
    ];
    for (text, id, evidence, words) in cases {
        lab.write(text);
        lab.broken(id, evidence, words).await;
    }
    lab.write(good());
    lab.well().await;
}

#[tokio::test]
async fn a_secret_that_everybody_can_read_is_named() {
    let lab = Lab::new(".mcp.json");
    let entry = "{\"command\": \"sh\", \"env\": {\"GITHUB_TOKEN\": \"ghp_0123456789\"}}";
    lab.write(servers(entry));
    lab.well().await;
    std::fs::set_permissions(lab.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    lab.broken("config.secret_readable", "GITHUB_TOKEN", "chmod 600").await;
    let report = lab.look().await;
    assert!(!report.to_json().to_string().contains("ghp_0123456789"));
    std::fs::set_permissions(lab.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    lab.well().await;
}

#[tokio::test]
async fn a_second_ending_and_a_missing_file_are_named() {
    let lab = Lab::new("claude_desktop_config.json");
    lab.broken("config.no_file", "there is no file", "check the path").await;
    let twin = lab.folder.path().join("claude_desktop_config.json.txt");
    std::fs::write(&twin, good()).unwrap();
    lab.broken("config.wrong_file_name", ".json.txt", "mv ").await;
    std::fs::rename(&twin, lab.path()).unwrap();
    lab.well().await;
}

#[tokio::test]
async fn a_port_that_is_none_is_named_in_any_file_and_the_command_mends_it() {
    let files = [
        (".mcp.json", servers("{\"url\": \"http://localhost:619009/mcp\"}")),
        ("compose.yaml", "services:\n  a:\n    ports:\n      - \"619009:80\"\n".to_owned()),
        (".env", "# mine\nMCP_PORT=619009\n".to_owned()),
        ("Dockerfile", "FROM x\nEXPOSE 619009\n".to_owned()),
        ("nginx.conf", "location / {\n  proxy_pass http://127.0.0.1:619009;\n}\n".to_owned()),
        ("application.properties", "server.port=619009\n".to_owned()),
    ];
    for (name, text) in files {
        let lab = Lab::new(name);
        lab.write(text);
        lab.broken("config.port_out_of_range", "619009", "sed -i").await;
        let report = lab.look().await;
        let command = report.verdict.fix[0].command.clone().unwrap();
        let done = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(done.success(), "{command}");
        let mended = std::fs::read_to_string(lab.path()).unwrap();
        assert!(mended.contains("61900") && !mended.contains("619009"), "{mended}");
        let report = lab.look().await;
        // What is left is whether something listens on 61900, and that is another question.
        assert!(!report.verdict.id.starts_with("config."), "{}", verbose(&report));
    }
}

#[tokio::test]
async fn our_own_file_may_say_619009() {
    let lab = Lab::new("rapport.yaml");
    lab.write("server:\n  port: 619009\n");
    lab.well().await;
    lab.write("server:\n  port: 655360\n");
    lab.broken("config.port_out_of_range", "655360", "from 1 to 65535").await;
}

#[tokio::test]
async fn addresses_in_a_file_are_looked_at() {
    let lab = Lab::new("settings.yaml");
    let port = closed_port();
    lab.write(format!("# x\nupstream: http://127.0.0.1:{port}/v1\n"));
    let report = lab.look().await;
    let evidence = report.verdict.evidence.join("\n");
    assert!(report.verdict.id.starts_with("listen."), "{}", verbose(&report));
    assert!(evidence.contains("line 2 names it"), "{evidence}");
    let server = Switch::new(json("200 OK", "{}"));
    lab.write(format!("upstream: {}\n", server.url("/v1")));
    let report = lab.well().await;
    assert!(report.verdict.sentence.contains("1 addresses"), "{}", report.verdict.sentence);
}

#[tokio::test]
async fn commands_in_a_file_are_started_only_when_that_is_said() {
    let mut lab = Lab::new(".mcp.json");
    let mark = lab.folder.path().join("ran");
    let text = format!("touch {}; exit 3", Path::new(&mark).display());
    lab.write(servers(&format!("{{\"command\": \"sh\", \"args\": [\"-c\", \"{text}\"]}}")));
    let report = lab.well().await;
    assert!(report.verdict.sentence.contains("not started"), "{}", report.verdict.sentence);
    assert!(!mark.exists());
    lab.run = true;
    lab.broken("stdio.exits", "code 3", "by hand").await;
    assert!(mark.exists());
}
