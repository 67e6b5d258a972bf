//! `rapport mcp login` with the real program: by a browser and by hand, and nothing secret is left.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin};

use crate::joined::call;
use crate::program::{Home, Server, soon};

#[path = "../../../gateway/tests/it/joined/village.rs"]
#[expect(dead_code, reason = "the tests of the gateway use more of it")]
mod village;

use village::Village;

/// A login under way: the command, what it is told, and the address to visit.
async fn begun(home: &Home, url: &str) -> (Child, ChildStdin, String) {
    let data = home.data().display().to_string();
    let mut command = home.command(&["--data", &data, "mcp", "login", "far", "--no-browser"]);
    command.env("RAPPORT_URL", url).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let found = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("it says where to go");
            let found = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1"));
            if let Some(address) = found {
                return address.to_owned();
            }
        }
    };
    let address = Box::pin(soon("the address to visit", found)).await;
    // What it says later must not fill the pipe.
    gateway::tasks::spawn(
        "stderr",
        async move { while let Ok(Some(_)) = lines.next_line().await {} },
    );
    (child, stdin, address)
}

async fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut said = String::new();
    let mut stdout = child.stdout.take().unwrap();
    soon("its words", stdout.read_to_string(&mut said)).await.unwrap();
    (soon("its end", child.wait()).await.unwrap().code(), said)
}

async fn state(server: &Server, wanted: &str) {
    let looking = async {
        while server.get("/api/v1/mcp/servers/far").await.json()["state"] != wanted {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    Box::pin(soon(wanted, looking)).await;
}

#[tokio::test]
async fn a_person_logs_in_by_a_browser_or_by_hand_and_out_again() {
    let (home, village) = (Home::new(), Village::new().await);
    let url = format!("http://{}/mcp", village.address);
    home.configure(&format!("mcp:\n  servers:\n    far:\n      url: {url}\n"));
    let server = home.serve(&[]).await;
    let at = format!("http://{}", server.addr);
    state(&server, "needs_login").await;
    let data = home.data().display().to_string();
    let run = async |words: &[&str]| {
        let mut all = vec!["--data", data.as_str(), "mcp"];
        all.extend_from_slice(words);
        let output = home.command(&all).env("RAPPORT_URL", &at).output();
        let output = soon("the command", output).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = run(&["list"]).await;
    assert!(code == Some(0) && said.contains("needs_login"), "{said}");
    let (code, said) = run(&["test", "far"]).await;
    assert!(code == Some(1) && said.contains("run `rapport mcp login far`"), "{said}");

    let (child, _stdin, address) = begun(&home, &at).await;
    let answer = village.agree(&address);
    // A browser asks for more than it was sent to, and may connect without a word.
    let place = answer.strip_prefix("http://").unwrap();
    let (host, path) = place.split_once('/').unwrap();
    let _silent = tokio::net::TcpStream::connect(host).await.unwrap();
    for (path, status) in [("favicon.ico", "404"), (path, "200")] {
        let mut browser = tokio::net::TcpStream::connect(host).await.unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        browser.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        soon("a page", browser.read_to_string(&mut page)).await.unwrap();
        assert!(page.starts_with(&format!("HTTP/1.1 {status}")), "{page}");
    }
    let (code, said) = Box::pin(ended(child)).await;
    assert!(code == Some(0) && said.contains("logged in to `far`"), "{said}");
    state(&server, "ready").await;
    assert_eq!(call(&server, "far__read", json!({})).await, "read");
    let (code, said) = run(&["test", "far"]).await;
    assert!(code == Some(0) && said.contains("`far` works"), "{said}");
    let (code, said) = run(&["logout", "far"]).await;
    assert!(code == Some(0) && said.contains("logged out of `far`"), "{said}");
    state(&server, "needs_login").await;

    let (child, mut stdin, address) = begun(&home, &at).await;
    let answer = village.agree(&address);
    stdin.write_all(format!("\nnonsense\n{answer}\n").as_bytes()).await.unwrap();
    let (code, said) = Box::pin(ended(child)).await;
    assert!(code == Some(0) && said.contains("logged in"), "{said}");
    state(&server, "ready").await;
    server.stop().await;
    let found = std::process::Command::new("grep")
        .args(["-rlE", "t0ken[0-9]|r3fresh[0-9]|c0de[0-9]"])
        .arg(home.path(""))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "secrets are sealed, and in no log");
}
