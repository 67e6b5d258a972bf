//! `rapport doctor` without an address, and with the id of a context.

use serde_json::Value;

use crate::house::{House, free_port, text};

/// What the doctor says of everything: the exit code, and a verdict for each name.
fn looked(house: &House, env: &[(&str, &str)]) -> (Option<i32>, Value) {
    let mut command = house.command(&["doctor", "--json"]);
    let run = command.envs(env.iter().copied()).output().unwrap();
    let json = serde_json::from_slice(&run.stdout);
    let json = json.unwrap_or_else(|_| panic!("{}{}", text(&run.stdout), text(&run.stderr)));
    (run.status.code(), json)
}

fn id<'a>(json: &'a Value, name: &str) -> &'a str {
    let rows = json["subjects"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name);
    row.map_or_else(|| panic!("no `{name}` in {json:#}"), |row| row["id"].as_str().unwrap())
}

fn claude(house: &House, text: &str) {
    let folder = house.path().join(".config/Claude");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("claude_desktop_config.json"), text).unwrap();
}

#[test]
fn everything_that_is_configured_is_looked_at_and_is_well() {
    let house = House::with("mcp: {servers: {files: {command: sh}}}\n");
    let server = house.serve(&[]);
    let url = format!("http://localhost:{}/v1", server.port);
    let search = ("PATH", "/bin:/usr/bin");
    claude(&house, "{\"mcpServers\": {\"a\": {\"command\": \"sh\", \"args\": []}}}");
    let (code, json) = looked(&house, &[("OPENAI_BASE_URL", &url), search]);
    assert_eq!(code, Some(0), "{json:#}");
    for name in
        ["configuration", "server", "store", "joined files", "OPENAI_BASE_URL", "claude-desktop"]
    {
        assert_eq!(id(&json, name), "ok", "{name}: {json:#}");
    }
    assert_eq!(json["ok"], true);
    assert!(json["duration_ms"].as_u64().unwrap() < 10_000, "{json:#}");
    let mut command = house.command(&["doctor"]);
    let shown = command.envs([("OPENAI_BASE_URL", url.as_str()), search]).output().unwrap();
    let said = text(&shown.stdout);
    assert!(said.starts_with("✓ Everything that is configured here works: "), "{said}");
}

#[test]
fn what_does_not_work_is_first_and_the_rest_is_listed() {
    let house = House::with("mcp: {servers: {gone: {command: no-such-program}}}\n");
    let server = house.serve(&[]);
    claude(&house, "{\"mcpServers\": {\"a\": {\"command\": \"sh\",}}}");
    let closed = format!("http://localhost:{}/v1", free_port());
    let env = [
        ("OPENAI_BASE_URL", closed.as_str()),
        ("ANTHROPIC_BASE_URL", "http://user:secret-word@localhost:619009"),
        ("PATH", "/bin:/usr/bin"),
    ];
    let (code, json) = looked(&house, &env);
    assert_eq!(code, Some(1), "{json:#}");
    assert_eq!(id(&json, "server"), "ok");
    // A test beside this one may listen on a port that is a typing mistake away.
    assert!(
        ["listen.none", "listen.other_port"].contains(&id(&json, "OPENAI_BASE_URL")),
        "{json:#}"
    );
    assert_eq!(id(&json, "joined gone"), "config.command_not_found");
    assert_eq!(id(&json, "claude-desktop"), "config.bad_json");
    assert!(id(&json, "ANTHROPIC_BASE_URL").starts_with("address.port_"), "{json:#}");
    assert!(!json.to_string().contains("secret-word"), "{json:#}");
    let order: Vec<bool> =
        json["subjects"].as_array().unwrap().iter().map(|row| row["ok"] == true).collect();
    assert!(order.is_sorted(), "the worst come first: {json:#}");
    drop(server);
    house.write("rapport.yaml", "sever: {port: 1}\n");
    let (code, json) = looked(&house, &[]);
    assert_eq!((code, id(&json, "configuration")), (Some(1), "config.refused"), "{json:#}");
    assert!(json.to_string().contains("unknown key `sever.port`"), "{json:#}");
}

#[test]
fn every_interface_is_checked_and_nothing_stays_behind() {
    let house = House::new();
    let server = house.serve(&[]);
    let target = format!("localhost:{}", server.port);
    for (more, expected) in [
        (&[][..], "GET /health, GET /api/mcp/status, a TCP line answer as documented"),
        (&["--ask", "demo"][..], "POST /api/mcp/interact, the TCP line answer as documented"),
    ] {
        let mut arguments = vec!["doctor", &target, "--json"];
        arguments.extend(more);
        let run = house.run(&arguments);
        let json: Value = serde_json::from_slice(&run.stdout).unwrap();
        let mut findings = json["findings"].as_array().unwrap().iter();
        let found = findings.find(|finding| finding["check"] == "interfaces").unwrap();
        assert!(found["summary"].as_str().unwrap().contains(expected), "{found:#}");
        assert_eq!((run.status.code(), &found["evidence"]), (Some(0), &serde_json::json!([])));
    }
    let kept = house.run(&["context", "list", "--json"]);
    assert!(!text(&kept.stdout).contains("rapport-doctor"), "{kept:?}");
}

#[test]
fn a_context_is_judged_by_its_id() {
    let house = House::new();
    let server = house.serve(&[]);
    let made = house.run(&["context", "new", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let context = made["id"].as_str().unwrap();
    let verdict = |id: &str| {
        let run = house.run(&["doctor", id, "--json"]);
        let json: Value = serde_json::from_slice(&run.stdout)
            .unwrap_or_else(|_| panic!("{}{}", text(&run.stdout), text(&run.stderr)));
        (run.status.code(), json["verdict"]["id"].as_str().unwrap().to_owned())
    };
    assert_eq!(verdict(context), (Some(0), "ok".to_owned()));
    let gone = "00000000-0000-4000-8000-000000000000";
    assert_eq!(verdict(gone), (Some(1), "context.missing".to_owned()));
    let port = server.port;
    drop(server);
    // Its server is gone: that is what is said, and not something about the context.
    let (code, id) = verdict(context);
    assert_eq!((code, id.starts_with("listen.")), (Some(1), true), "{id} at {port}");
}

#[test]
fn what_can_be_mended_safely_is_mended_once_and_heals() {
    let house = House::with("server: {prot: 0}\nlimits: {turns: 10}\n");
    let file = house.path().join(".config/Claude/claude_desktop_config.json");
    let broken = "{\n  // mine\n  \"mcpServers\": {\n    \"a\": {\"command\": \"sh -c true\", \
                  \"env\": {\"A_TOKEN\": \"secret-word-1\", \"N\": 1}},\n  }\n}\n";
    claude(&house, broken);
    let doctor = |more: &[&str]| {
        let mut arguments = vec!["doctor", "--fix"];
        arguments.extend(more);
        let mut command = house.command(&arguments);
        command.env("PATH", "/bin:/usr/bin").output().unwrap()
    };
    let before = std::fs::read_to_string(&file).unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let shown = doctor(more);
        let said = format!("{}{}", text(&shown.stdout), text(&shown.stderr));
        assert!(said.contains("`prot` is called `port`"), "{said}");
        assert!(said.contains("nothing was changed"), "{said}");
        assert!(!said.contains("secret-word"), "{said}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }
    let made = doctor(&["--yes", "--json"]);
    let json: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(id(&json, "claude-desktop"), "ok", "{json:#}");
    assert_eq!(id(&json, "configuration"), "ok", "{json:#}");
    let mended: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(mended["mcpServers"]["a"]["command"], "sh");
    assert_eq!(mended["mcpServers"]["a"]["args"], serde_json::json!(["-c", "true"]));
    assert_eq!(mended["mcpServers"]["a"]["env"]["N"], "1");
    let own = std::fs::read_to_string(house.path().join("rapport.yaml")).unwrap();
    assert_eq!(own, "server: {port: 0}\nlimits: {turns: 10}\n");
    let copy = file.with_extension("json.bak");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), before);
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(&copy)), (0o600, 0o600));
    }
    let again = doctor(&["--yes"]);
    assert!(
        text(&again.stderr).contains("nothing that could be mended"),
        "{}",
        text(&again.stderr)
    );
    // Programs, firewalls and addresses are nobody's to change.
    let refused = house.run(&["doctor", "localhost:1", "--fix", "--yes"]);
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_report_for_others_holds_no_secret() {
    const SECRET: &str = "sk-ant-planted-0123456789";
    let house = House::with(&format!("providers: {{anthropic: {{api_key: {SECRET}}}}}\n"));
    let entry = serde_json::json!({ "command": "sh", "env": { "A_KEY": SECRET } });
    claude(&house, &serde_json::json!({ "mcpServers": { "a": entry } }).to_string());
    let port = free_port();
    let base = format!("http://user:{SECRET}@localhost:{port}/v1?key={SECRET}");
    let proxy = format!("http://user:{SECRET}@127.0.0.1:{port}");
    // A process of ours that has the secret in its command line, and the port beside it.
    let script = format!("import sys, time; time.sleep(30) # --port {port}");
    let mut held = std::process::Command::new("python3")
        .args(["-c", &script, "--port", &port.to_string(), "--api-key", SECRET])
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let target = format!("http://user:{SECRET}@localhost:{port}/v1?key={SECRET}");
    for arguments in [
        vec!["doctor", "--report", "report.txt"],
        vec!["doctor", "--report", "report.txt", "--json", "--verbose"],
        vec!["doctor", target.as_str(), "--report", "report.txt", "--verbose"],
    ] {
        let mut command = house.command(&arguments);
        let env = [("OPENAI_BASE_URL", base.as_str()), ("HTTP_PROXY", &proxy), ("PATH", "/bin")];
        let run = command.envs(env).env("OPENAI_API_KEY", SECRET).output().unwrap();
        let report = std::fs::read_to_string(house.path().join("report.txt")).unwrap();
        assert!(report.contains("exit_code"), "{report}");
        for said in [report, text(&run.stdout), text(&run.stderr)] {
            assert!(!said.contains("planted"), "{arguments:?}: {said}");
        }
    }
    drop(held.kill());
    drop(held.wait());
}
