//! Keys and tokens that servers refuse, known from where they stand and never shown.

use doctor::{Environment, Report, Request, files};

use super::servers::{Server, read_some, serve};
use super::{broken, fix, request, verbose, well};

/// `{"alg":"HS256"}`, claims of 2001 to 2002, and of 2001 to 2100; signed by nobody.
const OLD: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjEwMDAwMDAwMDAsImV4cCI6MTAzMDAwMDAwMH0.c2lnbmF0dXJl";
const GOOD: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJpYXQiOjEwMDAwMDAwMDAsImV4cCI6NDEwMjQ0NDgwMH0.c2lnbmF0dXJl";
/// Not before 2100.
const EARLY: &str = "eyJhbGciOiJIUzI1NiJ9.eyJuYmYiOjQxMDI0NDQ4MDB9.c2lnbmF0dXJl";

/// A server that wants a key, which the doctor never sends, and is open below `/open`.
fn guarded() -> Server {
    serve("127.0.0.1:0", |mut stream| {
        let asked = String::from_utf8_lossy(&read_some(&mut stream)).into_owned();
        assert!(!asked.contains("eyJ") && !asked.contains("sk-"), "a credential was sent: {asked}");
        let (status, body) = match asked.starts_with("GET /open") {
            true => ("200 OK", "{}"),
            false => ("401 Unauthorized", "{\"error\":\"unauthorized\"}"),
        };
        let head = "Content-Type: application/json\r\nWWW-Authenticate: Bearer\r\nContent-Length";
        let answer = format!("HTTP/1.1 {status}\r\n{head}: {}\r\n\r\n{body}", body.len());
        drop(std::io::Write::write_all(&mut stream, answer.as_bytes()));
    })
}

fn with(server: &Server, path: &str, name: &str, value: &str) -> Request {
    let environment = Environment::from_variables([(name.to_owned(), value.to_owned())]);
    Request { environment, ..request(&format!("http://localhost:{}{path}", server.port)) }
}

fn shows_no_secret(report: &Report) {
    let all = format!("{}{}", verbose(report), report.to_json());
    assert!(!all.contains("eyJ") && !all.contains("sk-123"), "{all}");
}

#[tokio::test]
async fn a_key_of_the_environment_that_cannot_work_is_named() {
    let server = guarded();
    let cases = [
        ("MCP_TOKEN", OLD, "auth.token_expired", "exp is 2002-08-22T", "make a new token"),
        ("MCP_TOKEN", EARLY, "auth.clock_skew", "nbf is 2100-01-01T", "set the clock"),
        ("OPENAI_API_KEY", "sk-123\n", "auth.key_whitespace", "HTTP 401", "tr -d"),
        ("OPENAI_API_KEY", "'sk-123'", "auth.key_quoted", "HTTP 401", "without them"),
        ("MCP_TOKEN", GOOD, "auth.missing", "is valid for", "Authorization: Bearer"),
    ];
    for (name, value, id, evidence, words) in cases {
        for path in ["/v1/models", "/mcp"] {
            // An MCP server that asks who is there is a cause of its own.
            let id = if (id, path) == ("auth.missing", "/mcp") { "mcp.auth_required" } else { id };
            let report = broken(&with(&server, path, name, value), id, evidence).await;
            if id != "mcp.auth_required" {
                fix(&report, words);
                assert!(id == "auth.missing" || report.verdict.sentence.contains(name));
            }
            shows_no_secret(&report);
        }
        // What the server does not ask for is no fault of the server.
        well(&with(&server, "/open", name, value)).await;
    }
}

#[tokio::test]
async fn a_token_in_a_file_is_judged_by_its_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.yaml");
    let file = files::File { path: path.clone(), ..files::File::default() };
    for (token, id) in [(OLD, "auth.token_expired"), (EARLY, "auth.clock_skew"), (GOOD, "ok")] {
        std::fs::write(&path, format!("a: 1\nauthorization: Bearer {token}\n")).unwrap();
        let report = files::diagnose(&file, &Request::default()).await;
        assert_eq!(report.verdict.id, id, "{}", verbose(&report));
        assert!(
            id == "ok" || report.verdict.sentence.contains("line 2 of"),
            "{}",
            verbose(&report)
        );
        shows_no_secret(&report);
    }
}
