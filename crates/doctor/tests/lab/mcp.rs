//! MCP servers over HTTP that are broken on purpose.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::servers::{Server, read_some, serve};
use super::switch::{http, json};
use super::{broken, fix, request, well};

const HELLO: &str = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-11-25\",\
    \"capabilities\":{\"tools\":{}},\"serverInfo\":{\"name\":\"lab\",\"version\":\"1\"}}}";
const TOOLS: &str = "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[{\"name\":\"add\",\
    \"inputSchema\":{\"type\":\"object\"}}]}}";

type Answers = fn(&str) -> Option<Vec<u8>>;

/// A server that is well, but for what `faulty` answers first, until it is mended.
struct Lab {
    server: Server,
    faulty: Arc<Mutex<Option<Answers>>>,
}

impl Lab {
    fn new(faulty: Answers) -> Self {
        let faulty = Arc::new(Mutex::new(Some(faulty)));
        let held = Arc::clone(&faulty);
        let server = serve("127.0.0.1:0", move |mut stream| {
            let mut asked = String::new();
            // Head and body may come apart.
            while let part = read_some(&mut stream)
                && !part.is_empty()
            {
                asked.push_str(&String::from_utf8_lossy(&part));
                if asked.starts_with("GET") || asked.contains("jsonrpc") || asked.contains("DELETE")
                {
                    break;
                }
            }
            let wrong = *held.lock().unwrap();
            let answer = wrong.and_then(|wrong| wrong(&asked)).unwrap_or_else(|| right(&asked));
            drop(stream.write_all(&answer));
        });
        Self { server, faulty }
    }

    fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.server.port)
    }

    fn mend(&self) {
        *self.faulty.lock().unwrap() = None;
    }
}

fn right(asked: &str) -> Vec<u8> {
    if !asked.contains(" /mcp HTTP") {
        return json("404 Not Found", "{}");
    }
    if asked.contains("\"initialize\"") {
        return json("200 OK", HELLO);
    }
    if asked.contains("tools/list") {
        return json("200 OK", TOOLS);
    }
    if asked.contains("notifications/") {
        return http("202 Accepted", "", "");
    }
    http("405 Method Not Allowed", "Allow: POST\r\n", "")
}

/// Makes the fault, demands verdict, evidence and fix, mends it, demands health.
async fn each(cases: Vec<(Answers, &str, &str, &str)>) {
    for (faulty, id, evidence, words) in cases {
        let lab = Lab::new(faulty);
        let report = broken(&request(&lab.url("/mcp")), id, evidence).await;
        fix(&report, words);
        lab.mend();
        let report = well(&request(&lab.url("/mcp"))).await;
        assert!(report.findings.iter().any(|f| f.check == "mcp" && f.reason.is_none()));
    }
}

fn on(asked: &str, method: &str, answer: Vec<u8>) -> Option<Vec<u8>> {
    asked.contains(method).then_some(answer)
}

fn hello(from: &str, to: &str) -> Vec<u8> {
    json("200 OK", HELLO.replace(from, to))
}

#[tokio::test]
async fn a_wrong_answer_to_initialize_has_its_name() {
    each(vec![
        (
            |a| on(a, "\"initialize\"", hello("2025-11-25", "2099-01-01")),
            "mcp.version_mismatch",
            "2099-01-01",
            "pin the server",
        ),
        (
            |a| on(a, "\"initialize\"", hello("\"id\":1", "\"id\":\"1-x\"")),
            "mcp.id_mismatch",
            "1-x",
            "mend the server",
        ),
        (
            |a| on(a, "\"initialize\"", hello("\"jsonrpc\":\"2.0\",", "")),
            "mcp.bad_jsonrpc",
            "jsonrpc",
            "mend the server",
        ),
        (
            |a| on(a, "\"initialize\"", hello("\"protocolVersion\":\"2025-11-25\",", "")),
            "mcp.bad_initialize",
            "protocolVersion",
            "needs protocolVersion",
        ),
        (
            |a| on(a, "\"initialize\"", hello("}}}", "},}}")),
            "mcp.bad_json",
            "no valid JSON",
            "by hand",
        ),
        (
            |a| on(a, "\"initialize\"", http("200 OK", "Content-Type: text/plain\r\n", HELLO)),
            "mcp.wrong_content_type",
            "text/plain",
            "application/json",
        ),
        (
            |_| Some(http("200 OK", "Content-Type: text/html\r\n", "<html>")),
            "mcp.html",
            "web page",
            "address of the MCP server",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_refusal_of_initialize_has_its_name() {
    each(vec![
        (
            |a| {
                let error = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\
                    \"message\":\"KeyError: clientInfo\"}}";
                on(a, "\"initialize\"", json("200 OK", error))
            },
            "mcp.init_error",
            "KeyError: clientInfo",
            "log",
        ),
        (
            |a| {
                let error = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32602,\
                    \"message\":\"Unsupported protocol version\"}}";
                on(a, "\"initialize\"", json("400 Bad Request", error))
            },
            "mcp.version_mismatch",
            "Unsupported protocol version",
            "update the server",
        ),
        (
            |a| {
                let error = "{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32022,\
                    \"message\":\"x\",\"data\":{\"supported\":[\"2026-07-28\"]}}}";
                on(a, "\"initialize\"", json("400 Bad Request", error))
            },
            "mcp.modern_only",
            "2026-07-28",
            "server/discover",
        ),
        (
            |a| on(a, "POST", http("406 Not Acceptable", "", "")),
            "mcp.not_acceptable",
            "Accept",
            "text/event-stream",
        ),
        (
            |a| on(a, "POST", http("403 Forbidden", "", "Invalid Origin header")),
            "mcp.origin_rejected",
            "Invalid Origin",
            "allowed origins",
        ),
        (|a| on(a, "POST", http("500 Oops", "", "boom")), "mcp.init_error", "HTTP 500", "log"),
        (|a| on(a, "\"initialize\"", Vec::new()), "mcp.init_error", "hangs up", "log"),
    ])
    .await;
}

#[tokio::test]
async fn a_host_that_is_refused_works_under_its_other_name() {
    let lab = Lab::new(|asked| {
        on(asked, "Host: localhost", http("421 Misdirected Request", "", "Invalid Host header"))
    });
    let report = broken(&request(&lab.url("/mcp")), "mcp.host_rejected", "localhost").await;
    let other = lab.url("/mcp").replace("localhost", "127.0.0.1");
    fix(&report, &other);
    well(&request(&other)).await;
}

#[tokio::test]
async fn sessions_that_are_lost_are_named() {
    each(vec![
        (
            |a| {
                let error = http("400 Bad Request", "", "Missing session ID");
                let later = !a.contains("\"initialize\"") && a.starts_with("POST");
                later.then_some(error)
            },
            "mcp.session_header_lost",
            "Missing session",
            "Mcp-Session-Id",
        ),
        (
            |a| {
                let head = "Content-Type: application/json\r\nMcp-Session-Id: abc\r\n";
                if a.contains("\"initialize\"") {
                    return Some(http("200 OK", head, HELLO));
                }
                a.starts_with("POST").then(|| http("404 Not Found", "", "Session not found"))
            },
            "mcp.session_lost",
            "Session not found",
            "one worker",
        ),
    ])
    .await;
}

#[tokio::test]
async fn tools_that_clients_refuse_are_named() {
    each(vec![
        (
            |a| {
                let error = "{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-32601,\
                    \"message\":\"Method not found\"}}";
                on(a, "tools/list", json("200 OK", error))
            },
            "mcp.method_not_found",
            "Method not found",
            "answer what it announces",
        ),
        (
            |a| on(a, "tools/list", json("200 OK", TOOLS.replace("add", "bad tool!"))),
            "mcp.bad_tool_schema",
            "`bad tool!`",
            "letters, digits",
        ),
        (
            |a| on(a, "tools/list", json("200 OK", TOOLS.replace("object", "array"))),
            "mcp.bad_tool_schema",
            "inputSchema",
            "\"type\": \"object\"",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_login_is_told_from_one_that_cannot_work() {
    let lab = Lab::new(|asked| {
        if asked.contains("GET /.well-known") {
            return Some(json("200 OK", "{\"resource\":\"x\"}"));
        }
        on(asked, "POST", wants_login(asked))
    });
    let report = broken(&request(&lab.url("/mcp")), "mcp.auth_required", "Bearer").await;
    fix(&report, "log in");
    let lab = Lab::new(|asked| on(asked, "POST", wants_login(asked)));
    let report = broken(&request(&lab.url("/mcp")), "mcp.auth_metadata", "HTTP 404").await;
    fix(&report, "/.well-known/oauth-protected-resource/mcp");
}

/// A 401 that names the document on the same server.
fn wants_login(asked: &str) -> Vec<u8> {
    let host = asked.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap_or_default();
    let url = format!("http://{host}/.well-known/oauth-protected-resource/mcp");
    let header = format!("WWW-Authenticate: Bearer resource_metadata=\"{url}\"\r\n");
    http("401 Unauthorized", &header, "")
}

#[tokio::test]
async fn the_path_that_was_meant_is_found() {
    let lab = Lab::new(|_| None);
    for path in ["/", "/api/mcp"] {
        let mut wrong = request(&lab.url(path));
        wrong.mcp = true;
        let report = broken(&wrong, "mcp.wrong_path", "/mcp").await;
        fix(&report, &lab.url("/mcp"));
    }
    well(&request(&lab.url("/mcp"))).await;
    let old = Lab::new(|asked| {
        if asked.starts_with("GET /sse") {
            let event = "event: endpoint\ndata: /messages?id=1\n\n";
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
            return Some(format!("{head}{event}").into_bytes());
        }
        Some(json("404 Not Found", "{}"))
    });
    let report = broken(&request(&old.url("/mcp")), "mcp.legacy_transport", "/sse").await;
    fix(&report, &old.url("/sse"));
    well(&request(&old.url("/sse"))).await;
}

#[tokio::test]
async fn an_answer_by_events_is_well() {
    let lab = Lab::new(|asked| {
        let head = "Content-Type: text/event-stream\r\n";
        let event = format!("id: 1\ndata:\n\nevent: message\ndata: {HELLO}\n\n");
        on(asked, "\"initialize\"", http("200 OK", head, event))
    });
    let report = well(&request(&lab.url("/mcp"))).await;
    let found = report.findings.iter().find(|finding| finding.check == "mcp").unwrap();
    assert!(found.summary.contains("1 tools"), "{}", found.summary);
}

#[tokio::test]
async fn a_slow_start_is_named() {
    let lab = Lab::new(|asked| {
        if asked.contains("\"initialize\"") {
            std::thread::park_timeout(std::time::Duration::from_secs(8));
        }
        None
    });
    let report = broken(&request(&lab.url("/mcp")), "mcp.slow_init", "does not answer").await;
    fix(&report, "MCP_TIMEOUT");
    lab.mend();
    well(&request(&lab.url("/mcp"))).await;
}
