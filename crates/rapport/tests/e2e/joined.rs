//! Joined servers with the real program: added, seen, left; and nothing of them stays behind.

use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Home, PATIENCE, Server, soon};
use crate::talk::request;

const SCRIPT: &str = include_str!("../../../gateway/tests/it/joined/script.sh");

fn configured(home: &Home, names: &[&str]) {
    std::fs::write(home.path("s.sh"), SCRIPT).unwrap();
    let mut yaml = String::from("mcp:\n  servers:\n");
    for name in names {
        yaml.push_str(&format!(
            "    {name}:\n      command: sh\n      args: [{}]\n      env: {{NAME: {name}, TOOLS: \
             echo pid}}\n",
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

async fn call(server: &Server, name: &str, arguments: Value) -> String {
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
    let add =
        ["mcp", "add", "mine", "--env", "NAME=mine", "--env", "TOOLS=echo", "--", "sh", &script];
    let (code, said) = run(&add).await;
    assert!(code == Some(0) && said.contains("`mine` is added and ready, with 1 tools"), "{said}");
    assert_eq!(call(&server, "mine__echo", json!({"say": "hello"})).await, "hello");
    let (code, said) = run(&["mcp", "list"]).await;
    assert!(code == Some(0) && said.contains("mine") && said.contains("ready"), "{said}");
    let (code, said) = run(&["mcp", "test", "mine"]).await;
    assert!(code == Some(0) && said.contains("`mine` works: mine 1 (2025-11-25)"), "{said}");
    let (code, said) = run(&["mcp", "add", "Bad Name", "--", "sh"]).await;
    assert!(code == Some(2) && said.contains("`Bad Name`"), "{said}");
    let (code, said) = run(&["mcp", "add", "none"]).await;
    assert!(code == Some(2) && said.contains("exactly one"), "{said}");
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

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_is_killed_leaves_no_child_behind() {
    let home = Home::new();
    configured(&home, &["one", "two"]);
    let server = home.serve(&[]).await;
    let mut children = Vec::new();
    for name in ["one", "two"] {
        Box::pin(ready(&server, name)).await;
        children.push(call(&server, &format!("{name}__pid"), json!({})).await);
    }
    let lives = |pid: &String| std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(children.iter().all(lives));
    server.kill().await;
    let ended = async {
        while children.iter().any(lives) {
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
