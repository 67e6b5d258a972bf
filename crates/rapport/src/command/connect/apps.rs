//! The applications: where each keeps its list of MCP servers, and what an entry looks like there.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::edit::Format;
use super::machine::{Machine, System, join};

/// An application that can be connected.
#[derive(Debug)]
pub(super) struct App {
    /// What the command line calls it.
    pub(super) id: &'static str,
    /// What people call it.
    pub(super) name: &'static str,
    /// The member of its file that holds the servers.
    pub(super) group: &'static str,
    pub(super) format: Format,
    /// The files it reads; a later one is a variant of the application.
    pub(super) files: fn(&Machine) -> Vec<PathBuf>,
    /// The file within a project, where there is one.
    pub(super) project: Option<&'static str>,
    /// How it is told of a server.
    pub(super) shape: Shape,
    /// Names of its process, and the folder of its lock while it runs.
    pub(super) processes: &'static [&'static str],
    /// What makes it read its file again.
    pub(super) reload: &'static str,
}

/// The members of an entry.
#[derive(Debug)]
pub(super) struct Shape {
    /// Members that stand before the command.
    stdio: &'static [(&'static str, &'static str)],
    /// The names of the address and of the headers, and members before them; none when it only
    /// starts commands.
    http: Option<Http>,
}

type Http = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

impl Shape {
    /// An entry that starts a command.
    pub(super) fn command(&self, command: &str, args: &[String], env: Value) -> Map<String, Value> {
        let mut entry = before(self.stdio);
        entry.insert("command".to_owned(), command.into());
        entry.insert("args".to_owned(), args.into());
        if env.as_object().is_some_and(|env| !env.is_empty()) {
            entry.insert("env".to_owned(), env);
        }
        entry
    }

    /// An entry with an address; `None` when the application takes none.
    pub(super) fn address(&self, url: &str, key: Option<&str>) -> Option<Map<String, Value>> {
        let (address, headers, fields) = self.http?;
        let mut entry = before(fields);
        entry.insert(address.to_owned(), url.into());
        if let Some(key) = key {
            let header = json!({"Authorization": format!("Bearer {key}")});
            entry.insert(headers.to_owned(), header);
        }
        Some(entry)
    }
}

fn before(fields: &[(&str, &str)]) -> Map<String, Value> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
}

const RESTART: &str = "quit it (closing the window is not enough) and start it again";

/// Every application, in the order of the documentation.
pub(super) const APPS: &[App] = &[
    App {
        id: "claude-desktop",
        name: "Claude Desktop",
        group: "mcpServers",
        format: Format::Json,
        files: claude_desktop,
        project: None,
        // Entries with an address are stripped, or keep the application from starting.
        shape: Shape { stdio: &[], http: None },
        processes: &["claude-desktop", "Claude"],
        reload: RESTART,
    },
    App {
        id: "claude-code",
        name: "Claude Code",
        group: "mcpServers",
        format: Format::Json,
        files: claude_code,
        project: Some(".mcp.json"),
        shape: Shape {
            stdio: &[("type", "stdio")],
            http: Some(("url", "headers", &[("type", "http")])),
        },
        processes: &["claude"],
        reload: "start a new session, or use /mcp in a running one",
    },
    App {
        id: "cursor",
        name: "Cursor",
        group: "mcpServers",
        format: Format::Json,
        files: |machine| machine.below_home(".cursor/mcp.json"),
        project: Some(".cursor/mcp.json"),
        shape: Shape { stdio: &[], http: Some(("url", "headers", &[])) },
        processes: &["cursor", "Cursor"],
        reload: "switch the server on in Settings > MCP, or restart it",
    },
    App {
        id: "vscode",
        name: "VS Code",
        group: "servers",
        format: Format::Json,
        files: vscode,
        project: Some(".vscode/mcp.json"),
        shape: Shape {
            stdio: &[("type", "stdio")],
            http: Some(("url", "headers", &[("type", "http")])),
        },
        processes: &["code", "code-insiders", "codium", "Code"],
        reload: "run `MCP: List Servers` and start it there",
    },
    App {
        id: "codex",
        name: "Codex",
        group: "mcp_servers",
        format: Format::Toml,
        files: |machine| match machine.named("CODEX_HOME") {
            Some(folder) => vec![folder.join("config.toml")],
            None => machine.below_home(".codex/config.toml"),
        },
        project: Some(".codex/config.toml"),
        shape: Shape { stdio: &[], http: Some(("url", "http_headers", &[])) },
        processes: &["codex"],
        reload: "start a new session",
    },
    App {
        id: "gemini",
        name: "Gemini CLI",
        group: "mcpServers",
        format: Format::Json,
        files: |machine| machine.below_home(".gemini/settings.json"),
        project: Some(".gemini/settings.json"),
        shape: Shape { stdio: &[], http: Some(("httpUrl", "headers", &[])) },
        processes: &["gemini"],
        reload: "start a new session",
    },
    App {
        id: "windsurf",
        name: "Windsurf",
        group: "mcpServers",
        format: Format::Json,
        files: |machine| machine.below_home(".codeium/windsurf/mcp_config.json"),
        project: None,
        shape: Shape { stdio: &[], http: Some(("serverUrl", "headers", &[])) },
        processes: &["windsurf", "Windsurf"],
        reload: "press refresh in the list of MCP servers",
    },
    App {
        id: "zed",
        name: "Zed",
        group: "context_servers",
        format: Format::Json,
        files: zed,
        project: Some(".zed/settings.json"),
        shape: Shape {
            stdio: &[("source", "custom")],
            http: Some(("url", "headers", &[("source", "custom")])),
        },
        processes: &["zed", "zed-editor", "Zed"],
        reload: "it reads its settings by itself",
    },
];

/// Finds an application by the name of the command line.
pub(super) fn find(id: &str) -> Option<&'static App> {
    APPS.iter().find(|app| app.id == id)
}

/// The names, for error messages.
pub(super) fn ids() -> String {
    APPS.iter().map(|app| app.id).collect::<Vec<_>>().join(", ")
}

const CLAUDE_FILE: &str = "claude_desktop_config.json";

/// Every file that Claude Desktop may read: from the store first, as that is the usual one.
fn claude_desktop(machine: &Machine) -> Vec<PathBuf> {
    let packages = machine.packages("Claude_");
    let private = packages.iter().map(|p| join(p, "LocalCache/Roaming/Claude").join(CLAUDE_FILE));
    let usual = machine.roaming().map(|folder| folder.join("Claude").join(CLAUDE_FILE));
    private.chain(usual).collect()
}

fn claude_code(machine: &Machine) -> Vec<PathBuf> {
    match machine.named("CLAUDE_CONFIG_DIR") {
        Some(folder) => vec![folder.join(".claude.json")],
        None => machine.below_home(".claude.json"),
    }
}

fn vscode(machine: &Machine) -> Vec<PathBuf> {
    let variants = ["Code", "Code - Insiders", "VSCodium"];
    let roaming = machine.roaming().into_iter();
    roaming.flat_map(|r| variants.map(|v| r.join(v).join("User").join("mcp.json"))).collect()
}

fn zed(machine: &Machine) -> Vec<PathBuf> {
    match machine.system {
        System::Windows => {
            machine.roaming().map(|r| r.join("Zed").join("settings.json")).into_iter().collect()
        }
        System::MacOs => machine.below_home(".config/zed/settings.json"),
        System::Linux => {
            let usual = machine.roaming().map(|r| r.join("zed").join("settings.json"));
            let sandbox = machine.below_home(".var/app/dev.zed.Zed/config/zed/settings.json");
            usual.into_iter().chain(sandbox).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(system: System, id: &str, values: &[(&str, &str)], expected: &[&str]) {
        let machine = Machine::of(system, values);
        let files = (find(id).unwrap().files)(&machine);
        let files: Vec<String> =
            files.iter().map(|path| path.display().to_string().replace('\\', "/")).collect();
        assert_eq!(files, expected);
    }

    #[test]
    fn every_system_has_its_own_places() {
        let home: &[(&str, &str)] = &[("HOME", "/h")];
        let windows: &[(&str, &str)] = &[("USERPROFILE", "C:/U"), ("APPDATA", "C:/U/R")];
        let file = "Claude/claude_desktop_config.json";
        check(System::Linux, "claude-desktop", home, &[&format!("/h/.config/{file}")]);
        let mac = format!("/h/Library/Application Support/{file}");
        check(System::MacOs, "claude-desktop", home, &[&mac]);
        check(System::Windows, "claude-desktop", windows, &[&format!("C:/U/R/{file}")]);
        let moved = &[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")];
        check(System::Linux, "claude-desktop", moved, &[&format!("/x/{file}")]);
        let relative = &[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")];
        check(System::Linux, "claude-desktop", relative, &[&format!("/h/.config/{file}")]);
        check(System::MacOs, "claude-code", home, &["/h/.claude.json"]);
        let own = &[("HOME", "/h"), ("CLAUDE_CONFIG_DIR", "/c")];
        check(System::Linux, "claude-code", own, &["/c/.claude.json"]);
        check(System::Windows, "cursor", windows, &["C:/U/.cursor/mcp.json"]);
        check(
            System::MacOs,
            "vscode",
            home,
            &["Code", "Code - Insiders", "VSCodium"]
                .map(|v| format!("/h/Library/Application Support/{v}/User/mcp.json"))
                .each_ref()
                .map(String::as_str),
        );
        check(System::Linux, "codex", &[("CODEX_HOME", "/k")], &["/k/config.toml"]);
        check(System::Windows, "codex", windows, &["C:/U/.codex/config.toml"]);
        check(System::Linux, "gemini", home, &["/h/.gemini/settings.json"]);
        check(System::MacOs, "windsurf", home, &["/h/.codeium/windsurf/mcp_config.json"]);
        check(System::Windows, "zed", windows, &["C:/U/R/Zed/settings.json"]);
        check(System::MacOs, "zed", home, &["/h/.config/zed/settings.json"]);
        check(System::Linux, "cursor", &[], &[]);
    }

    #[test]
    fn the_store_s_claude_has_a_private_folder() {
        let dir = tempfile::tempdir().unwrap();
        let local = dir.path().join("Local");
        let package = local.join("Packages").join("Claude_pzs8sxrjxfjjc");
        std::fs::create_dir_all(&package).unwrap();
        std::fs::create_dir_all(local.join("Packages").join("Other_x")).unwrap();
        let local = local.display().to_string();
        let machine = Machine::of(System::Windows, &[("LOCALAPPDATA", &local), ("APPDATA", "/r")]);
        let files = claude_desktop(&machine);
        assert_eq!(files.len(), 2);
        assert_eq!(files[0], join(&package, "LocalCache/Roaming/Claude").join(CLAUDE_FILE));
        assert_eq!(files[1], PathBuf::from("/r/Claude").join(CLAUDE_FILE));
    }
}
