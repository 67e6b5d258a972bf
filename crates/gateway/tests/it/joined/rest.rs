//! A joined server's tools by plain REST: the results, who may call, and each way to fail.

use std::time::Duration;

use gateway::joined::{AccessSettings, McpSettings};
use gateway::settings::Settings;
use http::StatusCode;
use serde_json::{Value, json};

use super::house::{Joined, program, script, set, settings};
use super::rules::key;
use crate::house::Answer;

fn place(server: &str, tool: &str) -> String {
    format!("/api/v1/mcp/servers/{server}/tools/{tool}")
}

impl Joined {
    async fn rest(&self, server: &str, tool: &str, arguments: &Value) -> Answer {
        self.house().post(&place(server, tool), arguments).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{answer:?}");
    problem
}

#[tokio::test]
async fn a_tool_is_called_by_a_body_and_answers_with_its_result() {
    let house = Joined::with(vec![script("one", &["echo", "fails"])]).await;
    let listed = house.get("/api/v1/mcp/servers/one/tools").await;
    assert_eq!((&listed["server"], &listed["state"]), (&json!("one"), &json!("ready")));
    assert_eq!(listed["tools"][0]["name"], "echo", "{listed}");
    assert_eq!(listed["tools"][0]["inputSchema"]["type"], "object");
    let answer = house.rest("one", "echo", &json!({"say": "hello"})).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let said = answer.json();
    assert_eq!((&said["is_error"], &said["text"]), (&json!(false), &json!("hello")));
    assert_eq!(said["content"], json!([{"type": "text", "text": "hello"}]));
    assert_eq!((&said["server"], &said["tool"]), (&json!("one"), &json!("echo")));
    assert!(said["processing_time_ms"].is_u64() && said["structured_content"].is_null());
    // Without a body nothing was said.
    let silent = house.house().call("POST", &place("one", "echo")).await;
    assert_eq!((silent.status, &silent.json()["text"]), (StatusCode::OK, &json!("")));
    // What a tool says went wrong is a result.
    let failed = house.rest("one", "fails", &json!({})).await;
    assert_eq!(failed.status, StatusCode::OK, "{failed:?}");
    let failed = failed.json();
    assert_eq!((&failed["is_error"], &failed["text"]), (&json!(true), &json!("no luck")));
    assert_eq!(failed["structured_content"], json!({"why": 7}));
    assert_eq!((&failed["meta"]["at"], &failed["strange"]), (&json!("noon"), &json!(true)));
    // Counted and written down as a call over MCP.
    let page = house.get_text("/metrics").await;
    for (tool, outcome) in [("echo", "ok\"} 2"), ("fails", "tool_error\"} 1")] {
        let line =
            format!("rapport_tool_calls_total{{server=\"one\",tool=\"{tool}\",outcome=\"{outcome}");
        assert!(page.contains(&line), "{line}");
    }
    let looking = async {
        loop {
            let found = house.get("/api/v1/requests?limit=10").await;
            let rows = found["requests"].as_array().cloned().unwrap_or_default();
            if rows.iter().filter(|row| row["dialect"] == "mcp").count() == 3 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::house::WITHIN, looking).await.expect("they are written down");
}

#[tokio::test]
async fn a_wrong_name_is_told_the_nearest_and_a_hidden_tool_is_none() {
    let mut server = script("files", &["read", "write", "env"]);
    server.hide = vec!["env".to_owned()];
    let house = Joined::with(vec![server]).await;
    let none = house.rest("filse", "read", &json!({})).await;
    let none = refused(&none, 404, "not_found");
    assert!(none["detail"].as_str().unwrap().contains("`filse`"), "{none}");
    assert!(none["hint"].as_str().unwrap().contains("did you mean `files`?"), "{none}");
    for (tool, near) in [("raed", Some("read")), ("files__write", Some("write")), ("env", None)] {
        let answer = house.rest("files", tool, &json!({})).await;
        let none = refused(&answer, 404, "not_found");
        assert!(none["detail"].as_str().unwrap().contains(&format!("`{tool}`")), "{none}");
        assert_eq!(none["details"]["nearest"], json!(near), "{none}");
    }
    let far = house.rest("files", "something-else", &json!({})).await;
    let hint = refused(&far, 404, "not_found")["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("it has read, write;"), "{hint}");
    let listed = house.get("/api/v1/mcp/servers/files/tools").await;
    assert_eq!(listed["tools"].as_array().unwrap().len(), 2, "{listed}");
    let none = house.house().call("GET", "/api/v1/mcp/servers/none/tools").await;
    refused(&none, 404, "not_found");
    let page = house.get_text("/metrics").await;
    assert!(!page.contains("something-else"), "strangers make no series");
}

#[tokio::test]
async fn arguments_that_break_the_schema_are_refused_before_the_call() {
    let mut server = script("one", &["which", "refuses"]);
    let schema = json!({"type": "object", "required": ["path"], "additionalProperties": false,
                        "properties": {"path": {"type": "string"}, "count": {"type": "integer"}}});
    set(&mut server, "SCHEMA", &schema.to_string());
    let house = Joined::with(vec![server]).await;
    let missing = house.rest("one", "which", &json!({})).await;
    let missing = refused(&missing, 400, "missing_field");
    assert_eq!(missing["details"]["field"], "path", "{missing}");
    assert!(missing["hint"].as_str().unwrap().contains("/servers/one/tools"), "{missing}");
    let wrong = house.rest("one", "which", &json!({"path": "a", "count": "2"})).await;
    let wrong = refused(&wrong, 400, "invalid_input");
    assert!(wrong["detail"].as_str().unwrap().contains("a whole number, got a string"), "{wrong}");
    let typo = house.rest("one", "which", &json!({"path": "a", "cuont": 2})).await;
    let typo = refused(&typo, 400, "invalid_input");
    assert!(typo["detail"].as_str().unwrap().contains("did you mean `count`?"), "{typo}");
    let list = house.rest("one", "which", &json!(["a"])).await;
    refused(&list, 400, "invalid_input");
    // What only the server can judge.
    let judged = house.rest("one", "refuses", &json!({"path": "a"})).await;
    let judged = refused(&judged, 400, "invalid_input");
    assert!(judged["detail"].as_str().unwrap().contains("not so"), "{judged}");
    let fine = house.rest("one", "which", &json!({"path": "a"})).await;
    assert_eq!(fine.json()["text"], "which", "{fine:?}");
}

#[tokio::test]
async fn a_bad_server_has_a_status() {
    let mut slow = script("slow", &["hangs"]);
    slow.silence = Duration::from_millis(300);
    let missing = program("missing", &["/no/such/program"], &[]);
    let servers = vec![script("one", &["dies", "breaks"]), slow, missing];
    let house = Joined::of(settings(servers)).await;
    house.until("one", "ready").await;
    house.until("slow", "ready").await;
    house.until("missing", "down").await;
    let late = house.rest("slow", "hangs", &json!({})).await;
    let late = refused(&late, 504, "timeout");
    assert!(late["hint"].as_str().unwrap().contains("`mcp.servers.slow.silence_seconds`"));
    let broken = house.rest("one", "breaks", &json!({})).await;
    let broken = refused(&broken, 502, "upstream_error");
    assert!(broken["detail"].as_str().unwrap().contains("out of ink"), "{broken}");
    let died = house.rest("one", "dies", &json!({})).await;
    let died = refused(&died, 503, "upstream_unavailable");
    assert!(died["detail"].as_str().unwrap().contains("no more"), "{died}");
    // Of a server that never said what it offers, the name of the tool is not at fault.
    let missing = house.rest("missing", "x", &json!({})).await;
    let missing = refused(&missing, 503, "upstream_unavailable");
    assert!(missing["detail"].as_str().unwrap().contains("`/no/such/program`"), "{missing}");
    let listed = house.get("/api/v1/mcp/servers/missing/tools").await;
    assert_eq!((&listed["state"], &listed["tools"]), (&json!("down"), &json!([])));
}

#[tokio::test]
async fn a_key_calls_what_it_sees_over_mcp_and_nothing_else() {
    let mut secret = script("secret", &["echo"]);
    secret.keys = vec!["ops-*".to_owned()];
    let access = vec![AccessSettings {
        name: "guests".to_owned(),
        keys: vec!["guest".to_owned()],
        allow: vec!["open__*".to_owned()],
        deny: vec!["*__pid".to_owned()],
        descriptions: Vec::new(),
    }];
    let servers = vec![script("open", &["echo", "pid"]), secret];
    let mcp = McpSettings { servers, access, ..McpSettings::default() };
    let house = Joined::of(Settings { mcp, ..Settings::default() }).await;
    house.until("open", "ready").await;
    house.until("secret", "ready").await;
    // The scope that a tool needs over MCP is enough.
    let ops = key(house.house(), "ops-1", "read").await;
    let guest = key(house.house(), "guest", "read").await;
    let call = async |key: &str, server: &str, tool: &str| {
        let (path, headers) = (place(server, tool), [("x-api-key", key)]);
        house.house().with_headers("POST", &path, &headers, &json!({"say": "x"})).await
    };
    let said = call(&guest, "open", "echo").await;
    assert_eq!((said.status, &said.json()["text"]), (StatusCode::OK, &json!("x")), "{said:?}");
    assert_eq!(call(&ops, "secret", "echo").await.status, StatusCode::OK);
    let none = refused(&call(&guest, "secret", "echo").await, 404, "not_found");
    assert_eq!(none["error"], "no server `secret` is joined");
    let close = refused(&call(&guest, "secre", "echo").await, 404, "not_found");
    assert!(!close.to_string().contains("secret"), "what is not seen is not named: {close}");
    refused(&call(&guest, "open", "pid").await, 404, "not_found");
    let headers = [("x-api-key", guest.as_str())];
    let path = "/api/v1/mcp/servers/open/tools";
    let listed = house.house().with_headers("GET", path, &headers, &json!({})).await.json();
    assert_eq!(listed["tools"].as_array().unwrap().len(), 1, "{listed}");
    // Joining, leaving and the like still need more.
    for path in ["/api/v1/mcp/servers/open/retry", "/api/v1/mcp/servers/tools/login/answer"] {
        let answer = house.house().with_headers("POST", path, &headers, &json!({})).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    let nobody = house.house().post(&place("open", "echo"), &json!({})).await;
    refused(&nobody, 401, "unauthorized");
}
