//! A gateway with joined servers, and a client of both eras for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use gateway::Gateway;
use gateway::joined::{Home, McpSettings, Reach, ServerSettings, Shelf};
use gateway::settings::Settings;
use http::Request;
use mcp::client::Program;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::house::House;

/// How long anything may take on a busy machine.
pub(super) const WITHIN: Duration = Duration::from_secs(30);
const SCRIPT: &str = include_str!("script.sh");
pub(super) const ACCEPT: (&str, &str) = ("accept", "application/json, text/event-stream");

/// A shelf that is a map.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<std::collections::HashMap<String, String>>);

impl Shelf for Kept {
    fn load(&self, name: &str) -> Option<String> {
        self.0.lock().get(name).cloned()
    }

    fn store(&self, name: &str, text: &str) {
        self.0.lock().insert(name.to_owned(), text.to_owned());
    }
}

/// A folder that goes away with the test.
pub(super) struct Folder(std::path::PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        let name = format!("rapport-joined-{}", uuid::Uuid::new_v4());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A server that is a script with these tools.
pub(super) fn script(name: &str, tools: &[&str]) -> ServerSettings {
    program(name, &["sh", "-c", SCRIPT], &[("NAME", name), ("TOOLS", &tools.join("\n"))])
}

/// A server that is any program.
pub(super) fn program(name: &str, line: &[&str], env: &[(&str, &str)]) -> ServerSettings {
    let own = [("PATH", "/usr/bin:/bin")];
    let env = own.iter().chain(env).map(|(name, value)| ((*name).into(), (*value).into()));
    let program = Program {
        command: line[0].to_owned(),
        args: line[1..].iter().map(|arg| (*arg).to_owned()).collect(),
        env: env.collect(),
        folder: None,
    };
    ServerSettings::new(name, Reach::Program(program))
}

/// Sets a variable of a script.
pub(super) fn set(server: &mut ServerSettings, name: &str, value: &str) {
    let Reach::Program(program) = &mut server.reach else { panic!("a program") };
    program.env.push((name.to_owned(), value.to_owned()));
}

pub(super) fn settings(servers: Vec<ServerSettings>) -> Settings {
    let mcp = McpSettings { servers, ..McpSettings::default() };
    Settings { mcp, ..Settings::default() }
}

/// The text of a tool's result.
pub(super) fn text_of(answer: &Value) -> String {
    let result = answer.get("result").unwrap_or(answer);
    result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// A gateway with joined servers.
pub(super) struct Joined {
    house: Arc<House>,
    path: String,
}

/// A stream of events, read one by one.
pub(super) struct Listening(axum::body::BodyDataStream);

impl Listening {
    pub(super) async fn next(&mut self) -> String {
        loop {
            let piece = tokio::time::timeout(WITHIN, self.0.next()).await.expect("in time");
            let piece: Bytes = piece.expect("it goes on").unwrap();
            let text = String::from_utf8(piece.to_vec()).unwrap();
            if text.contains("data:") {
                return text;
            }
        }
    }
}

impl Joined {
    /// With these servers, all of them ready.
    pub(super) async fn with(servers: Vec<ServerSettings>) -> Self {
        let names: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
        let house = Self::of(settings(servers)).await;
        for name in names {
            house.until(&name, "ready").await;
        }
        house
    }

    /// With these settings; nothing is waited for.
    pub(super) async fn of(settings: Settings) -> Self {
        Self::at_home(settings, Home::default()).await
    }

    pub(super) async fn at_home(settings: Settings, home: Home) -> Self {
        let house = Arc::new(House::with(settings).await);
        house.gate.join(home);
        Self { house, path: "/mcp".to_owned() }
    }

    pub(super) fn gate(&self) -> &Gateway {
        &self.house.gate
    }

    pub(super) fn house(&self) -> &House {
        &self.house
    }

    /// The endpoint of one server.
    pub(super) fn one(&self, name: &str) -> Self {
        let house = Arc::clone(&self.house);
        Self { house, path: format!("/mcp/s/{name}") }
    }

    /// Waits until a server is in this state.
    pub(super) async fn until(&self, name: &str, state: &str) -> Value {
        let looking = async {
            loop {
                let shown = self.show(name).await;
                if shown["state"] == state {
                    return shown;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = tokio::time::timeout(WITHIN, looking).await;
        match seen {
            Ok(shown) => shown,
            Err(_) => panic!("`{name}` is not {state}: {}", self.show(name).await),
        }
    }

    pub(super) async fn show(&self, name: &str) -> Value {
        self.get(&format!("/api/v1/mcp/servers/{name}")).await
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.house.call("GET", path).await.json()
    }

    pub(super) async fn get_text(&self, path: &str) -> String {
        self.house.call("GET", path).await.text
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Value {
        self.house.post(path, body).await.json()
    }

    /// A request of the modern era by a client that cannot be asked anything.
    pub(super) async fn modern(&self, method: &str, params: &Value) -> Value {
        self.modern_with(method, params, &json!({})).await
    }

    pub(super) async fn modern_with(&self, method: &str, params: &Value, can: &Value) -> Value {
        self.modern_as(method, params, (can, None)).await
    }

    pub(super) async fn modern_as(
        &self,
        method: &str,
        params: &Value,
        (can, key): (&Value, Option<&str>),
    ) -> Value {
        let mut params = params.clone();
        params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                                 "io.modelcontextprotocol/clientCapabilities": can});
        let named = |field: &str| params[field].as_str().map(ToOwned::to_owned);
        let name = named("name").or(named("uri")).or(named("taskId")).unwrap_or_default();
        let mut headers =
            vec![ACCEPT, ("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
        if !name.is_empty() {
            headers.push(("mcp-name", &name));
        }
        headers.extend(key.map(|key| ("x-api-key", key)));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let asking = self.house.with_headers("POST", &self.path, &headers, &body);
        let answer = tokio::time::timeout(WITHIN, asking).await.expect("an answer in time");
        match answer.text.rsplit_once("data: ") {
            Some((_, last)) => serde_json::from_str(last.trim()).unwrap(),
            None => answer.json(),
        }
    }

    /// A request in a session of the legacy era: everything that came, the answer last.
    pub(super) async fn legacy(&self, method: &str, params: &Value) -> Vec<Value> {
        let request = |id: u64, method: &str, params: &Value| {
            let (version, id) = ("2.0", id);
            json!({"jsonrpc": version, "id": id, "method": method, "params": params})
        };
        let begin = json!({"protocolVersion": "2025-06-18", "capabilities": {},
                           "clientInfo": {"name": "t", "version": "1"}});
        let body = request(1, "initialize", &begin);
        let begun = self.house.with_headers("POST", &self.path, &[ACCEPT], &body).await;
        let session = begun.header("mcp-session-id").to_owned();
        let headers = [ACCEPT, ("mcp-session-id", session.as_str())];
        let body = request(2, method, params);
        let answer = self.house.with_headers("POST", &self.path, &headers, &body).await;
        if !answer.header("content-type").starts_with("text/event-stream") {
            return vec![answer.json()];
        }
        let lines = answer.text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Begins a session of the legacy era by a client that can be asked; its id.
    pub(super) async fn session(&self) -> String {
        self.session_as(None).await
    }

    pub(super) async fn session_as(&self, key: Option<&str>) -> String {
        let begin = json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}},
                           "clientInfo": {"name": "t", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin});
        let mut headers = vec![ACCEPT];
        headers.extend(key.map(|key| ("x-api-key", key)));
        let begun = self.house.with_headers("POST", &self.path, &headers, &body).await;
        begun.header("mcp-session-id").to_owned()
    }

    /// A request in a session; the answer.
    pub(super) async fn ask(&self, session: &str, method: &str, params: &Value) -> Value {
        self.ask_as((session, None), method, params).await
    }

    pub(super) async fn ask_as(
        &self,
        (session, key): (&str, Option<&str>),
        method: &str,
        params: &Value,
    ) -> Value {
        let mut headers = vec![ACCEPT, ("mcp-session-id", session)];
        headers.extend(key.map(|key| ("x-api-key", key)));
        let body = json!({"jsonrpc": "2.0", "id": 2, "method": method, "params": params});
        let asking = self.house.with_headers("POST", &self.path, &headers, &body);
        let answer = tokio::time::timeout(WITHIN, asking).await.expect("an answer in time");
        match answer.text.rsplit_once("data: ") {
            Some((_, last)) => serde_json::from_str(last.trim()).unwrap(),
            None => answer.json(),
        }
    }

    /// Tells something in a session.
    pub(super) async fn note(&self, session: &str, method: &str, params: &Value) {
        let headers = [ACCEPT, ("mcp-session-id", session)];
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let taken = self.house.with_headers("POST", &self.path, &headers, &body).await;
        assert_eq!(taken.status, http::StatusCode::ACCEPTED, "{taken:?}");
    }

    /// The stream of a session.
    pub(super) async fn hear(&self, session: &str) -> Listening {
        let request = Request::builder()
            .method("GET")
            .uri(&self.path)
            .header("accept", "text/event-stream")
            .header("mcp-session-id", session)
            .body(axum::body::Body::empty())
            .unwrap();
        Listening(self.house.stream(request).await)
    }

    /// Listens to what changes, as a modern client does.
    pub(super) async fn listen(&self, filter: &Value) -> Listening {
        let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                          "io.modelcontextprotocol/clientCapabilities": {}});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen",
                          "params": {"notifications": filter, "_meta": meta}});
        let request = Request::builder()
            .method("POST")
            .uri(&self.path)
            .header("content-type", "application/json")
            .header(ACCEPT.0, ACCEPT.1)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "subscriptions/listen")
            .body(axum::body::Body::from(body.to_string()))
            .unwrap();
        Listening(self.house.stream(request).await)
    }

    pub(super) async fn tools(&self) -> Vec<Value> {
        let answer = self.modern("tools/list", &json!({})).await;
        answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    pub(super) async fn tool_names(&self) -> Vec<String> {
        let tools = self.tools().await;
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(super) async fn tool(&self, name: &str) -> Value {
        let tools = self.tools().await;
        tools.iter().find(|tool| tool["name"] == name).expect("it is offered").clone()
    }

    /// Calls a tool and gives its result.
    pub(super) async fn call(&self, name: &str, arguments: Value) -> Value {
        let params = json!({"name": name, "arguments": arguments});
        let answer = self.modern("tools/call", &params).await;
        answer.get("result").unwrap_or_else(|| panic!("{answer}")).clone()
    }
}
