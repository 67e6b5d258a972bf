//! Secrets and what people say: in no file, no log line and no answer where they do not belong.

use std::path::Path;

use mock::{Mock, Script};
use serde_json::{Value, json};

use super::program::{Home, Server};
use super::talk::{Answer, request};

/// The key of the model's provider.
const PROVIDER_KEY: &str = "sk-ant-0a9d7e1cPROVIDERKEY5b3f";
/// A further header for the provider.
const PROVIDER_HEADER: &str = "hdr-2c4e6a8ePROVIDERHEADER";
/// What a caller says.
const QUESTION: &str = "QUESTION-7d1f9b3e about the purple elephant";
/// What the model says.
const REPLY: &str = "REPLY-4e2a8c6d the elephant is purple indeed";
/// What stands in a body that cannot be read.
const BROKEN: &str = "BROKEN-9c5b1d7f";

/// A model that answers, and one that repeats the key it was shown in its error.
const SCRIPT: &str = r#"
[default]
text = "REPLY-4e2a8c6d the elephant is purple indeed"

[[rule]]
when = { message = "please refuse" }
[rule.reply]
status = 401
error = { message = "invalid key sk-ant-0a9d7e1cPROVIDERKEY5b3f" }

[[rule]]
when = { message = "please fail" }
reply = { status = 500, body = "it was too much" }
"#;

async fn with_key(server: &Server, key: &str, method: &str, path: &str, body: &Value) -> Answer {
    let mut asked = request(method, path, body.to_string());
    asked.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
    server.send(asked).await
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[track_caller]
fn nowhere(secret: &str, places: &[(String, Vec<u8>)]) {
    for (name, bytes) in places {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "`{secret}` stands in {name}");
    }
}

/// Talks at every door, well and badly, with good and bad keys; returns the keys that were used.
async fn scenario(server: &Server) -> Vec<String> {
    let made = server.post("/api/v1/keys", &json!({"name": "app", "scopes": ["admin"]})).await;
    assert_eq!(made.status, 201, "{made:?}");
    let key = made.json()["secret"].as_str().unwrap().to_owned();
    let wrong = key.chars().take(key.len() - 8).chain("ZZZZZZZZ".chars()).collect::<String>();
    let say = json!({"sessionId": "s", "message": QUESTION, "context": {"note": QUESTION}});

    for (path, body, status) in [
        ("/api/mcp/interact", say.clone(), 200),
        ("/v1/predict", json!({"session_id": "s", "input": QUESTION}), 200),
        ("/api/v1/contexts/s/turns", json!({"message": QUESTION}), 200),
        ("/api/v1/contexts/s/turns", json!({"message": QUESTION, "stream": true}), 200),
        ("/api/v1/summarize", json!({"text": QUESTION}), 200),
        ("/api/mcp/interact", json!({"sessionId": "s", "message": {"x": QUESTION}}), 400),
        ("/api/v1/contexts/s/turns", json!({"message": QUESTION, "unknown": QUESTION}), 400),
        ("/api/mcp/interact", json!({"sessionId": "r", "message": "please refuse"}), 502),
        ("/api/mcp/interact", json!({"sessionId": "f", "message": "please fail"}), 503),
    ] {
        let answer = with_key(server, &key, "POST", path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        assert!(!answer.body.contains(PROVIDER_KEY), "{answer:?}");
    }
    let broken = json!(BROKEN).to_string() + ", " + BROKEN;
    let mut asked = request("POST", "/api/mcp/interact", broken);
    asked.headers_mut().insert("x-api-key", key.parse().unwrap());
    assert_eq!(server.send(asked).await.status, 400);
    let refused = with_key(server, &wrong, "POST", "/api/mcp/interact", &say).await;
    assert_eq!((refused.status, refused.body.contains(&wrong)), (401, false), "{refused:?}");

    // Raw TCP: by field, by handshake, with a wrong key, and with bytes that are no JSON.
    let mut line = say.clone();
    line["auth"] = json!(key);
    let said = server.raw(format!("{line}\n{BROKEN} {key}\n{{{BROKEN}}}\n").as_bytes()).await;
    assert!(said.contains(REPLY) && !said.contains(BROKEN), "{said}");
    line["auth"] = json!(wrong);
    assert!(server.raw(format!("{line}\n").as_bytes()).await.contains("unauthorized"));
    let head = format!("MCP/1.0\r\nAuthorization: Bearer {key}\r\n\r\n");
    assert!(server.raw(head.as_bytes()).await.starts_with("MCP/1.0 101"));
    let head = format!("MCP/1.0\r\nAuthorization: Bearer {wrong}\r\n\r\n");
    assert!(server.raw(head.as_bytes()).await.starts_with("MCP/1.0 401"));

    // What the server tells about itself.
    for path in [
        "/health",
        "/ready",
        "/metrics",
        "/api/v1/status",
        "/api/v1/providers",
        "/api/v1/models",
        "/v1/model/status",
        "/api/v1/keys",
        "/api/v1/contexts/s/window",
        "/openapi.json",
        "/",
    ] {
        // A key in the address is a mistake that happens.
        let asked = format!("{path}?api_key={key}");
        let answer = with_key(server, &key, "GET", &asked, &Value::Null).await;
        let answer = if answer.status == 200 {
            answer
        } else {
            with_key(server, &key, "GET", path, &Value::Null).await
        };
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        for secret in [PROVIDER_KEY, PROVIDER_HEADER, &key] {
            assert!(!answer.body.contains(secret), "{path}: {answer:?}");
        }
    }
    vec![key, wrong]
}

async fn check(format: &str) {
    let home = Home::new();
    let script = Script::parse(SCRIPT).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let url = mock.url();
    let env = [
        ("ANTHROPIC_API_KEY", PROVIDER_KEY),
        ("ANTHROPIC_BASE_URL", &url),
        ("RAPPORT_PROVIDERS_ANTHROPIC_RETRIES", "0"),
        ("RAPPORT_PROVIDERS_ANTHROPIC_HEADERS_X_TENANT", PROVIDER_HEADER),
        ("RAPPORT_LOG_FORMAT", format),
    ];
    let server = home.serve(&env).await;
    let keys = scenario(&server).await;
    let sent = mock.requests();
    let sent = sent.first().unwrap();
    assert_eq!(sent.header("x-api-key"), Some(PROVIDER_KEY), "the scenario uses another key");
    // As a running server leaves it, with everything that is not written out yet.
    let mut all = Vec::new();
    files(&home.data(), &mut all);
    let ended = server.stop().await;
    files(&home.data(), &mut all);
    files(&home.path("run"), &mut all);
    all.push(("standard output".to_owned(), ended.said.into_bytes()));
    all.push(("standard error".to_owned(), home.errors().into_bytes()));
    // This test would not notice an empty log.
    assert!(home.errors().contains("/api/mcp/interact"), "{}", home.errors());
    assert!(home.errors().contains("Authentication Failed"), "{}", home.errors());
    assert!(all.iter().any(|(name, _)| name.ends_with("server.log")), "no log file");

    for secret in [PROVIDER_KEY, PROVIDER_HEADER].into_iter().chain(keys.iter().map(|k| &**k)) {
        nowhere(secret, &all);
    }
    all.retain(|(name, _)| !name.contains("rapport.db"));
    for words in [QUESTION, REPLY, BROKEN, "purple elephant", "QUESTION-7d1f9b3e"] {
        nowhere(words, &all);
    }
}

#[tokio::test]
async fn no_secret_is_stored_or_logged_and_no_word_of_a_message_is_logged() {
    check("text").await;
}

#[tokio::test]
async fn logs_in_json_keep_them_to_themselves_as_well() {
    check("json").await;
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let home = Home::new();
    std::fs::write(home.path("key"), PROVIDER_KEY).unwrap();
    home.configure(
        "providers:\n  anthropic:\n    api_key: file:key\n    headers:\n      x-tenant: \
         ${TENANT_HEADER}\n",
    );
    for args in [&["config", "show"][..], &["config", "show", "--origin"], &["config", "check"]] {
        let mut command = home.command(args);
        let output = command.env("TENANT_HEADER", PROVIDER_HEADER).output().await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said));
        nowhere(PROVIDER_KEY, &[(args.join(" "), said.clone())]);
        nowhere(PROVIDER_HEADER, &[(args.join(" "), said)]);
    }
}

#[tokio::test]
async fn a_sealed_store_without_its_master_key_does_not_start() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_CONTEXTS_ENCRYPT", "true")]).await;
    let said = json!({"id": "c", "messages": [{"role": "user", "content": "a quokka"}]});
    let made = server.post("/api/v1/contexts", &said).await;
    assert_eq!(made.status, 201, "{made:?}");
    server.stop().await;
    let data = home.data().display().to_string();
    let serve = ["serve", "--port", "0", "--data", data.as_str()];
    let key = home.data().join("vault.key");
    let aside = home.path("vault.key");
    std::fs::rename(&key, &aside).unwrap();
    for encrypt in ["true", "false"] {
        home.configure(&format!("contexts: {{ encrypt: {encrypt} }}\n"));
        let ended = home.run(&serve).await;
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{text}");
        assert!(text.contains("master key") && text.contains("vault.key"), "{text}");
        assert!(text.contains("contexts.vault_key") && text.contains("its copy"), "{text}");
        assert!(!key.exists(), "another key was made");
    }
    // A key that is not the one opens nothing either, and nothing is written over.
    std::fs::write(&key, format!("{}\n", "ab".repeat(32))).unwrap();
    let ended = home.run(&serve).await;
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && text.contains("opens no key"), "{text}");
    std::fs::rename(&aside, &key).unwrap();
    let server = home.serve(&[]).await;
    let found = server.get("/api/v1/contexts/c/messages").await;
    assert!(found.body.contains("a quokka"), "{found:?}");
    server.stop().await;
}
