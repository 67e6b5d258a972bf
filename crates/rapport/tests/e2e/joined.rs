//! Joined servers with the real program: added, seen, left; and nothing of them stays behind.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::program::{Home, PATIENCE, Server, soon};
use crate::talk::request;

const SCRIPT: &str = include_str!("../../../gateway/tests/it/joined/script.sh");

fn configured(home: &Home, names: &[&str]) {
    std::fs::write(home.path("s.sh"), SCRIPT).unwrap();
    let mut yaml = String::from("mcp:\n  servers:\n");
    for name in names {
        yaml.push_str(&format!(
            "    {name}:\n      command: sh\n      args: [{}]\n      env: {{NAME: {name}, TOOLS: \
             echo pid breeds}}\n",
            home.path("s.sh").display()
        ));
    }
    home.configure(&yaml);
}

/// Waits until a joined server is ready.
async fn ready(server: &Server, name: &str) -> Value {
    let looking = async {
        loop {
            let shown = server.get(&format!("/api/v1/mcp/servers/{name}")).await;
            if shown.status == 200 && shown.json()["state"] == "ready" {
                return shown.json();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Box::pin(soon("the joined server", looking)).await
}

pub(crate) async fn call(server: &Server, name: &str, arguments: Value) -> String {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                      "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": name, "arguments": arguments, "_meta": meta});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers: [(&'static str, &str); 4] = [
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", name),
    ];
    let mut request = request("POST", "/mcp", body.to_string());
    for (name, value) in headers {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let answer = server.send(request).await.json();
    let text = answer["result"]["content"][0]["text"].as_str();
    text.unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// Calls the tools of `mine` by commands.
async fn called_by_hand(run: impl AsyncFn(&[&str]) -> (Option<i32>, String)) {
    let (code, said) = run(&["mcp", "call", "mine", "echo", r#"{"say":"by hand"}"#]).await;
    assert!(code == Some(0) && said == "by hand\n", "{said}");
    let (code, said) = run(&["--json", "mcp", "call", "mine", "echo"]).await;
    let told: Value = serde_json::from_str(&said).unwrap();
    assert!(code == Some(0) && told["is_error"] == false, "{said}");
    let (code, said) = run(&["mcp", "call", "mine", "ecko"]).await;
    assert!(code == Some(1) && said.contains("did you mean `echo`?"), "{said}");
    let (code, said) = run(&["mcp", "call", "mine", "echo", "[1]"]).await;
    assert!(code == Some(2) && said.contains("must be a JSON object"), "{said}");
    let (code, said) = run(&["mcp", "call", "mine", "fails"]).await;
    assert!(code == Some(1) && said.contains("no luck"), "{said}");
}

#[tokio::test]
async fn a_server_is_added_seen_tested_and_left_from_the_command_line() {
    let home = Home::new();
    std::fs::write(home.path("s.sh"), SCRIPT).unwrap();
    let server = home.serve(&[]).await;
    let (data, url) = (home.data().display().to_string(), format!("http://{}", server.addr));
    let script = home.path("s.sh").display().to_string();
    let run = async |args: &[&str]| {
        let mut all = vec!["--data", data.as_str()];
        all.extend_from_slice(args);
        let output = home.command(&all).env("RAPPORT_URL", &url).output();
        let output = soon("the command", output).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let add = [
        "mcp",
        "add",
        "mine",
        "--env",
        "NAME=mine",
        "--env",
        "TOOLS=echo fails",
        "--",
        "sh",
        &script,
    ];
    let (code, said) = run(&add).await;
    assert!(code == Some(0) && said.contains("`mine` is added and ready, with 2 tools"), "{said}");
    assert_eq!(call(&server, "mine__echo", json!({"say": "hello"})).await, "hello");
    let (code, said) = run(&["mcp", "list"]).await;
    assert!(code == Some(0) && said.contains("mine") && said.contains("ready"), "{said}");
    let (code, said) = run(&["mcp", "test", "mine"]).await;
    assert!(code == Some(0) && said.contains("`mine` works: mine 1 (2025-11-25)"), "{said}");
    called_by_hand(&run).await;
    let (code, said) = run(&["mcp", "add", "Bad Name", "--", "sh"]).await;
    assert!(code == Some(2) && said.contains("`Bad Name`"), "{said}");
    let (code, said) = run(&["mcp", "add", "none"]).await;
    assert!(code == Some(2) && said.contains("exactly one"), "{said}");
    // The same once more changes nothing; another one of the same name has to be meant.
    let (code, said) = run(&add).await;
    assert!(code == Some(0) && said.contains("ready"), "{said}");
    let mut other = add.to_vec();
    other.splice(2..5, ["mine", "--hide", "x", "--env", "NAME=pa55word"]);
    let (code, said) = run(&other).await;
    assert!(code == Some(1) && said.contains("`mine` is joined already"), "{said}");
    for word in ["--replace", "hide: nothing now, [\"x\"] in this one", "env: others"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("pa55word"), "{said}");
    other.insert(3, "--replace");
    let (code, said) = run(&other).await;
    assert!(code == Some(0) && said.contains("env: others"), "{said}");
    let (code, said) = run(&["mcp", "logout", "mine"]).await;
    assert!(code == Some(0) && said.contains("`mine` was not logged in"), "{said}");
    let (code, said) = run(&["mcp", "remove", "mine"]).await;
    assert!(code == Some(0), "{said}");
    let gone = async {
        while server.get("/api/v1/mcp/servers/mine").await.status != 404 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    Box::pin(soon("the server has seen it", gone)).await;
    let (code, said) = run(&["mcp", "remove", "mine"]).await;
    assert!(code == Some(1) && said.contains("no server `mine`"), "{said}");
    server.stop().await;
}

/// Whether a process is there and no zombie.
#[cfg(target_os = "linux")]
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z")
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_child_that_is_killed_takes_its_family_along_and_is_started_again() {
    let home = Home::new();
    configured(&home, &["one", "two"]);
    let server = home.serve(&[]).await;
    Box::pin(ready(&server, "one")).await;
    let child = call(&server, "one__pid", json!({})).await;
    let grandchild = call(&server, "one__breeds", json!({})).await;
    assert!(lives(&child) && lives(&grandchild));
    let killed = std::process::Command::new("kill").args(["-9", &child]).status().unwrap();
    assert!(killed.success());
    let gone = async {
        while lives(&child) || lives(&grandchild) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Five seconds are promised; the machine of a test may be busy.
    tokio::time::timeout(Duration::from_secs(15), gone).await.expect("nothing of it stays");
    let back = async {
        loop {
            let pid = call(&server, "one__pid", json!({})).await;
            if pid.parse::<u32>().is_ok() {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert_ne!(Box::pin(soon("it is started again", back)).await, child);
    Box::pin(ready(&server, "two")).await;
    assert_eq!(call(&server, "two__echo", json!({"say": "unharmed"})).await, "unharmed");
    server.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_is_killed_leaves_no_child_behind() {
    let home = Home::new();
    configured(&home, &["one", "two"]);
    let server = home.serve(&[]).await;
    let mut children = Vec::new();
    for name in ["one", "two"] {
        Box::pin(ready(&server, name)).await;
        for tool in ["pid", "breeds"] {
            children.push(call(&server, &format!("{name}__{tool}"), json!({})).await);
        }
    }
    assert!(children.iter().all(|pid| lives(pid)));
    server.kill().await;
    let ended = async {
        while children.iter().any(|pid| lives(pid)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the guard ends what is left");
}

#[tokio::test]
async fn many_servers_start_at_once_and_a_list_that_was_kept_is_there_at_once() {
    let home = Home::new();
    let names = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
    configured(&home, &names);
    let server = home.serve(&[]).await;
    for name in names {
        Box::pin(ready(&server, name)).await;
    }
    server.stop().await;
    for name in names {
        assert!(home.data().join("mcp").join(format!("{name}.json")).is_file(), "{name}");
    }
    // Their program is gone, and what they offer is still known.
    std::fs::write(home.path("s.sh"), "sleep 600").unwrap();
    let server = home.serve(&[]).await;
    let shown = server.get("/api/v1/mcp/servers/s8").await.json();
    assert_eq!(shown["tools"][0]["offered_as"], "s8__echo", "{shown}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_whose_variable_is_not_set_is_down_and_harms_nothing() {
    let home = Home::new();
    configured(&home, &["one"]);
    let server = home.serve(&[]).await;
    Box::pin(ready(&server, "one")).await;
    let (data, url) = (home.data().display().to_string(), format!("http://{}", server.addr));
    let run = async |args: &[&str]| {
        let mut all = vec!["--data", data.as_str(), "mcp"];
        all.extend_from_slice(args);
        let output = home.command(&all).env("RAPPORT_URL", &url).output();
        let output = soon("the command", output).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let add = ["add", "far", "--url", "http://127.0.0.1:9/mcp", "--header", "X-Key=${FAR_KEY}"];
    let (code, said) = run(&add).await;
    assert!(code == Some(0) && said.contains("`${FAR_KEY}` is not set"), "{said}");
    let shown = server.get("/api/v1/mcp/servers/far").await.json();
    assert_eq!(shown["state"], "down");
    assert!(shown["error"].as_str().unwrap().contains("FAR_KEY"), "{shown}");
    let (code, said) = run(&["test", "far"]).await;
    assert!(code == Some(1) && said.contains("FAR_KEY"), "{said}");
    server.stop().await;
    // The next start has all the rest, and the entry can be taken out without the variable.
    let server = home.serve(&[]).await;
    Box::pin(ready(&server, "one")).await;
    let url = format!("http://{}", server.addr);
    let remove =
        home.command(&["--data", &data, "mcp", "remove", "far"]).env("RAPPORT_URL", &url).output();
    let removed = soon("the command", remove).await.unwrap();
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    server.stop().await;
}

#[tokio::test]
async fn a_bridge_to_nowhere_answers_and_fails() {
    let home = Home::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let mut command = home.command(&["mcp", "--url", &url]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let line = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/list"});
    let line = format!("{line}\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(line.as_bytes()).await.unwrap();
    drop(stdin);
    let output = soon("its end", child.wait_with_output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert!(answer["id"] == 5 && answer["error"].is_object(), "{answer}");
}

#[tokio::test]
async fn an_application_is_not_connected_to_a_port_that_is_none() {
    let home = Home::new();
    std::fs::create_dir(home.path(".cursor")).unwrap();
    let refused = home.run(&["connect", "cursor", "--port", "61900000", "--dry-run"]).await;
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("61900000"));
    let taken = home.run(&["connect", "cursor", "--port", "61901", "--dry-run"]).await;
    assert_eq!(taken.status.code(), Some(0), "{}", String::from_utf8_lossy(&taken.stderr));
}
