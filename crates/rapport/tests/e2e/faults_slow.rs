//! Callers that are slow or silent: cut off in time, politely where they can be told, and alone.

use std::time::Duration;

use super::program::{Home, Server, soon};
use super::talk::Wire;

/// Everything short, so that the tests are.
const SHORT: &[(&str, &str)] = &[
    ("RAPPORT_LIMITS_HEADER_READ", "400ms"),
    ("RAPPORT_LIMITS_BODY_READ", "400ms"),
    ("RAPPORT_LIMITS_LINE_IDLE", "400ms"),
];

/// The pace of a slow caller, well inside every limit.
const PACE: Duration = Duration::from_millis(50);

/// Sends one byte after the other, with a pause after each, until the server hangs up.
///
/// Returns what the server said, or `None` if it took them all.
async fn drip(wire: &mut Wire, bytes: &[u8]) -> Option<String> {
    for byte in bytes {
        if wire.try_say(&[*byte]).await.is_err() {
            return Some(String::new());
        }
        if let Ok(said) = tokio::time::timeout(PACE, wire.rest()).await {
            return Some(said);
        }
    }
    None
}

async fn serves_others(server: &Server) {
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn a_request_head_that_drips_in_is_cut_off_while_others_are_served() {
    let home = Home::new();
    let server = home.serve(SHORT).await;
    let mut slow = server.connect().await;
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1000));
    let (cut, ()) = tokio::join!(drip(&mut slow, head.as_bytes()), serves_others(&server));
    assert_eq!(cut.as_deref(), Some(""), "a slow head was read to its end");
}

#[tokio::test]
async fn a_method_that_never_ends_is_cut_off() {
    let home = Home::new();
    let server = home.serve(SHORT).await;
    // Not enough to tell what is spoken.
    let mut wire = server.connect().await;
    wire.say(b"PO").await;
    let said = wire.rest().await;
    assert!(said.is_empty() || said.starts_with("ERROR: "), "{said}");
    serves_others(&server).await;
}

#[tokio::test]
async fn the_second_request_of_a_connection_has_to_hurry_as_well() {
    let home = Home::new();
    let server = home.serve(SHORT).await;
    let mut wire = server.connect().await;
    wire.say(b"GET /api/mcp/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(wire.line().await, "HTTP/1.1 404 Not Found");
    let head = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(1000));
    let rest = drip(&mut wire, head.as_bytes()).await;
    assert!(rest.is_some(), "a slow head was read to its end");
}

#[tokio::test]
async fn a_body_that_stops_is_408_and_says_at_which_stage() {
    let home = Home::new();
    let server = home.serve(SHORT).await;
    let id = server.context().await;
    for path in [format!("/mcp/context/{id}/message"), "/api/v1/summarize".to_owned()] {
        let mut wire = server.connect().await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: 100\r\n\r\n{{\"mess"
        );
        wire.say(head.as_bytes()).await;
        assert_eq!(wire.line().await, "HTTP/1.1 408 Request Timeout", "{path}");
        let rest = wire.rest().await;
        assert!(rest.contains("\"stage\":\"body_read\""), "{rest}");
    }
    serves_others(&server).await;
}

#[tokio::test]
async fn a_body_that_drips_in_ends_with_the_time_of_the_whole_request() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_REQUEST", "1s")]).await;
    let mut wire = server.connect().await;
    let head = "POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                application/json\r\nContent-Length: 100000\r\n\r\n";
    wire.say(head.as_bytes()).await;
    let said = drip(&mut wire, &[b'x'; 1000]).await.expect("a slow body was read to its end");
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 504"), "{said}");
    serves_others(&server).await;
}

#[tokio::test]
async fn half_a_line_and_then_silence_is_told_and_closed() {
    let home = Home::new();
    let server = home.serve(SHORT).await;
    let mut wire = server.connect().await;
    wire.say(b"{\"sessionId\":\"s\",\"message\":\"half").await;
    let said = wire.rest().await;
    assert!(said.starts_with("ERROR: no complete message within"), "{said}");
    serves_others(&server).await;
}

#[tokio::test]
async fn a_line_that_drips_in_ends_with_the_time_of_a_whole_request() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_REQUEST", "1s")]).await;
    let mut wire = server.connect().await;
    let said = drip(&mut wire, &[b'x'; 1000]).await.expect("a slow line was read to its end");
    assert!(said.is_empty() || said.starts_with("ERROR: no complete message"), "{said}");
    // A peer that talks for longer than that, in whole messages, is welcome.
    let mut wire = server.connect().await;
    let message = b"{\"sessionId\":\"s\",\"message\":\"m\"}\n";
    for _ in 0..40 {
        wire.say(message).await;
        assert_eq!(wire.json().await["sessionId"], "s");
        assert!(tokio::time::timeout(PACE, wire.line()).await.is_err(), "closed too early");
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_without_a_word() {
    let home = Home::new();
    let server = home.serve(SHORT).await;
    let mut silent = server.connect().await;
    assert_eq!(silent.rest().await, "");
    let mut done = server.connect().await;
    done.say(b"{\"sessionId\":\"s\",\"message\":\"m\"}\n").await;
    assert_eq!(done.json().await["sessionId"], "s");
    assert_eq!(done.rest().await, "");
    // A look at the port, as probes do, is no error.
    drop(server.connect().await);
    serves_others(&server).await;
    let ended = server.stop().await;
    assert!(ended.status.success());
    assert!(!home.errors().contains("ERROR"), "{}", home.errors());
}

#[tokio::test]
async fn many_slow_callers_block_nobody() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut slow = Vec::new();
    for number in 0..100 {
        let mut wire = server.connect().await;
        let part: &[u8] = match number % 3 {
            0 => b"POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\n",
            1 => {
                b"POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                   application/json\r\nContent-Length: 9\r\n\r\n{"
            }
            _ => b"{\"sessionId\":\"s\",",
        };
        wire.say(part).await;
        slow.push(wire);
    }
    let said = server.raw(b"{\"sessionId\":\"quick\",\"message\":\"m\"}\n").await;
    assert!(said.contains("quick"), "{said}");
    serves_others(&server).await;
    // And each of them is still welcome to go on.
    let mut last = slow.pop().unwrap();
    last.say(b"\r\n").await;
    soon("an answer to the last one", last.line()).await;
}
