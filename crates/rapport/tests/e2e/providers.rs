//! Providers that the API adds, changes and removes; their keys on disk and in backups.

use std::path::Path;

use mock::{Mock, Reply, Script};
use serde_json::{Value, json};

use super::program::{Home, Server};
use super::talk::{Answer, request};

const KEY: &str = "sk-0a9d7e1c-IN-CLEAR-5b3f";

async fn model() -> Mock {
    let script = Script::always(Reply::text("Paris."));
    Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap()
}

async fn send(server: &Server, method: &str, name: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/providers/{name}");
    server.send(request(method, &path, body.to_string())).await
}

async fn asked(server: &Server) -> Answer {
    let ask = json!({"model": "mine/m-1", "messages": [{"role": "user", "content": "?"}]});
    server.post("/v1/chat/completions", &ask).await
}

fn mine(mock: &Mock) -> Value {
    json!({"name": "mine", "base_url": format!("{}/v1", mock.url()), "api_key": KEY,
           "models": ["m-1"]})
}

/// Every file below a folder that has this text in it.
fn having(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(having(&path, text));
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_key_in_clear_is_kept_encrypted_and_never_shown() {
    let (home, mock) = (Home::new(), model().await);
    let server = home.serve(&[]).await;
    let made = server.post("/api/v1/providers", &mine(&mock)).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert!(!made.body.contains(KEY), "{made:?}");
    assert!(made.json()["key_source"].as_str().unwrap().contains("encrypted"), "{made:?}");
    assert!(asked(&server).await.body.contains("Paris."));
    let sent = mock.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    server.stop().await;
    assert_eq!(having(&home.data(), KEY), Vec::<String>::new(), "no file has it in clear");
    #[cfg(unix)]
    for file in ["providers.json", "vault.key"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(home.data().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let server = home.serve(&[]).await;
    assert!(asked(&server).await.body.contains("Paris."), "it opens after a restart");
    server.stop().await;
    // Without the master key the server starts, says so, and asks nothing without a key.
    let aside = home.path("vault.key");
    std::fs::rename(home.data().join("vault.key"), &aside).unwrap();
    let server = home.serve(&[]).await;
    let before = mock.requests().len();
    let refused = asked(&server).await;
    assert!(
        refused.body.contains("does not open") && refused.body.contains("PATCH"),
        "{refused:?}"
    );
    assert_eq!(mock.requests().len(), before, "there is no key to show");
    let shown = server.get("/api/v1/providers/mine").await.json();
    assert_eq!(shown["configured"], false, "{shown}");
    assert!(shown["last_error"].as_str().unwrap().contains("vault.key"), "{shown}");
    assert!(home.errors().contains("does not open"), "{}", home.errors());
    assert!(!home.errors().contains(KEY));
    server.stop().await;
}

#[tokio::test]
async fn a_key_does_not_follow_a_provider_to_another_address() {
    let (home, mock, thief) = (Home::new(), model().await, model().await);
    let server = home.serve(&[]).await;
    server.post("/api/v1/providers", &mine(&mock)).await;
    let there = format!("{}/v1", thief.url());
    let moved = send(&server, "PATCH", "mine", &json!({"base_url": there})).await;
    assert_eq!((moved.status, &moved.json()["details"]["field"]), (400, &json!("api_key")));
    // Neither by the file.
    let file = home.data().join("providers.json");
    let text = std::fs::read_to_string(&file).unwrap();
    server.stop().await;
    std::fs::write(&file, text.replace(&mock.url(), &thief.url())).unwrap();
    let server = home.serve(&[]).await;
    asked(&server).await;
    assert_eq!(thief.requests().len(), 0, "the key went to another address");
    let both = json!({"base_url": there, "api_key": KEY});
    let moved = send(&server, "PATCH", "mine", &both).await;
    assert_eq!(moved.status, 200, "{moved:?}");
    assert!(asked(&server).await.body.contains("Paris."));
    server.stop().await;
}

#[tokio::test]
async fn a_provider_is_changed_replaced_and_removed() {
    let (home, mock) = (Home::new(), model().await);
    home.configure("providers:\n  groq:\n    api_key: sk-secret-97\n");
    let env = [("MINE_API_KEY", "sk-secret-of-a-variable")];
    let server = home.serve(&env).await;
    server.post("/api/v1/providers", &mine(&mock)).await;
    let patch = json!({"models": ["m-1", "m-2"], "window_tokens": 4096});
    let changed = send(&server, "PATCH", "mine", &patch).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let models = server.get("/api/v1/models").await.body;
    assert!(models.contains("m-2") && models.contains("4096"), "{models}");
    asked(&server).await;
    let sent = mock.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some(format!("Bearer {KEY}").as_str()), "it stays");
    let shown = server.get("/api/v1/providers/mine").await;
    assert_eq!((shown.status, &shown.json()["keys"][0]["state"]), (200, &json!("normal")));
    let looked = json!({"health": {"every": "20ms", "path": "/models"}});
    assert_eq!(send(&server, "PATCH", "mine", &looked).await.status, 200);
    let path = "/api/v1/providers/mine";
    while server.get(path).await.json()["health"]["up"] != true {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let wrong = json!({"health": {"every": "soon"}});
    let refused = send(&server, "PATCH", "mine", &wrong).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert!(refused.body.contains("soon") && refused.body.contains("health.every"), "{refused:?}");
    assert_eq!(server.get(path).await.json()["health"]["path"], "/models", "nothing changed");
    send(&server, "PATCH", "mine", &json!({"health": null})).await;
    assert_eq!(server.get(path).await.json()["health"], json!(null));
    let mut whole = mine(&mock);
    whole["api_key"] = json!("env:MINE_API_KEY");
    assert_eq!(send(&server, "PUT", "mine", &whole).await.status, 200);
    asked(&server).await;
    let sent = mock.requests().pop().unwrap();
    assert_eq!(sent.header("authorization"), Some("Bearer sk-secret-of-a-variable"));
    for (method, name, body, status, said) in [
        ("PATCH", "mine", json!({"colour": "red"}), 400, "colour"),
        ("PATCH", "mine", json!({"dialect": "latin"}), 400, "`latin`"),
        ("PATCH", "mine", json!({"name": "other"}), 400, "a name stays"),
        ("PATCH", "mine", json!({"api_key": "two words"}), 400, "this is no key"),
        ("PUT", "mine", json!({"models": 5}), 400, "this is no provider"),
        ("PATCH", "mien", json!({"models": ["x"]}), 404, "did you mean `mine`"),
        ("DELETE", "nobody", json!({}), 404, "`nobody`"),
        ("DELETE", "groq", json!({}), 409, "configured already"),
        ("PUT", "groq", json!({"models": ["x"]}), 409, "configured already"),
    ] {
        let answer = send(&server, method, name, &body).await;
        assert_eq!(answer.status, status, "{method} {name} {body}: {answer:?}");
        assert!(answer.body.contains(said), "{method} {name} {body}: {answer:?}");
    }
    let gone = send(&server, "DELETE", "mine", &json!({})).await;
    assert_eq!((gone.status, &gone.json()["removed"]), (200, &json!("mine")));
    assert_eq!(server.get("/api/v1/providers/mine").await.status, 404);
    let asked = asked(&server).await;
    assert_eq!(asked.status, 404, "{asked:?}");
    server.stop().await;
    let kept = std::fs::read_to_string(home.data().join("providers.json")).unwrap();
    assert!(!kept.contains("mine"), "{kept}");
}

#[tokio::test]
async fn a_provider_that_lacks_something_is_refused_and_not_kept() {
    let (home, mock) = (Home::new(), model().await);
    let server = home.serve(&[]).await;
    for (name, said) in [("groq", "has no key"), ("nobody", "has no address")] {
        let answer = server.post("/api/v1/providers", &json!({"name": name})).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains(said), "{answer:?}");
        assert_eq!(send(&server, "DELETE", name, &json!({})).await.status, 404, "{name} was kept");
    }
    let bare = json!({"name": "bare", "base_url": "127.0.0.1:1/v1"});
    let answer = server.post("/api/v1/providers", &bare).await;
    let problem = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(problem.starts_with("`providers.bare.base_url` cannot be `127.0.0.1:1/v1`"));
    assert!(!problem.contains("; "), "one thing is wrong: {problem}");
    server.post("/api/v1/providers", &mine(&mock)).await;
    let groq = json!({"name": "groq", "api_key": KEY});
    assert_eq!(server.post("/api/v1/providers", &groq).await.status, 201);
    let patch = send(&server, "PATCH", "groq", &json!({"api_key": null})).await;
    assert_eq!(patch.status, 400, "{patch:?}");
    let shown = server.get("/api/v1/providers/groq").await;
    assert_eq!(shown.json()["keys"][0]["state"], "normal", "the key is still there: {shown:?}");
    assert!(asked(&server).await.body.contains("Paris."), "others are left alone");
    server.stop().await;
}

#[tokio::test]
async fn a_backup_brings_the_providers_and_not_the_master_key() {
    let (home, mock) = (Home::new(), model().await);
    let server = home.serve(&[]).await;
    server.post("/api/v1/providers", &mine(&mock)).await;
    let file = home.path("copy.db");
    let data = home.data().display().to_string();
    let copied = home.run(&["backup", &file.display().to_string(), "--data", &data]).await;
    let said = String::from_utf8_lossy(&copied.stdout).into_owned();
    let hinted = String::from_utf8_lossy(&copied.stderr).into_owned();
    assert!(copied.status.success(), "{hinted}");
    assert!(said.contains("with providers.json"), "{said}");
    assert!(hinted.contains("vault.key"), "{hinted}");
    let bytes = std::fs::read(&file).unwrap();
    let key = std::fs::read_to_string(home.data().join("vault.key")).unwrap();
    for secret in [KEY, key.trim()] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()));
    }
    server.stop().await;

    let other = Home::new();
    let data = other.data().display().to_string();
    let restored = other.run(&["restore", &file.display().to_string(), "--data", &data]).await;
    let warned = String::from_utf8_lossy(&restored.stderr).into_owned();
    assert!(restored.status.success(), "{warned}");
    assert!(warned.contains("vault.key is not in this folder"), "{warned}");
    std::fs::copy(home.data().join("vault.key"), other.data().join("vault.key")).unwrap();
    let server = other.serve(&[]).await;
    assert!(asked(&server).await.body.contains("Paris."), "with its master key it works again");
    server.stop().await;
}

#[tokio::test]
async fn calls_are_listed_and_explained_on_the_command_line_after_a_restart() {
    let (home, mock) = (Home::new(), model().await);
    let server = home.serve(&[]).await;
    server.post("/api/v1/providers", &mine(&mock)).await;
    let answer = asked(&server).await;
    let id = answer.headers.get("x-request-id").unwrap().to_str().unwrap().to_owned();
    server.stop().await;
    let server = home.serve(&[]).await;
    let port = server.addr.port().to_string();
    let listed = home.run(&["request", "list", "--status", "ok", "--port", &port]).await;
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(said.contains(&id) && said.contains("mine/m-1"), "{listed:?}");
    let told = home.run(&["request", "explain", &id, "--port", &port]).await;
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(said.starts_with("ok by mine/m-1 in "), "{told:?}");
    assert!(said.contains("with the key default"), "{told:?}");
    let wrong = home.run(&["request", "explain", "nobody", "--port", &port]).await;
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("`nobody`"), "{wrong:?}");
    server.stop().await;
}

#[tokio::test]
async fn adding_one_more_changes_nobodys_default() {
    let (home, mock, other) = (Home::new(), model().await, model().await);
    let server = home.serve(&[]).await;
    assert_eq!(server.post("/api/v1/providers", &mine(&mock)).await.status, 201);
    // Its name sorts first, and so does that of a provider that is known.
    for name in ["a-first", "openai"] {
        let more = json!({"name": name, "base_url": format!("{}/v1", other.url()),
                          "api_key": KEY, "models": ["m-2"]});
        assert_eq!(server.post("/api/v1/providers", &more).await.status, 201);
    }
    let ask = json!({"messages": [{"role": "user", "content": "?"}]});
    let answer = server.post("/v1/chat/completions", &ask).await;
    assert!(answer.body.contains("Paris."), "{answer:?}");
    assert_eq!((mock.requests().len(), other.requests().len()), (1, 0), "{answer:?}");

    let missing = home.run(&["model", "test", "nowhere/m"]).await;
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(said.contains("nowhere") && said.contains("--data DIR"), "the folder is given: {said}");
}
