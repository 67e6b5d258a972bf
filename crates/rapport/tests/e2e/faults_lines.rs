//! Wrong and oddly cut bytes on raw TCP: answered by a line, and the connection goes on.

use serde_json::{Value, json};

use super::program::Home;
use super::talk::Wire;

/// The peer is still served, and no answer is left over from before.
async fn still_served(wire: &mut Wire, place: &str) {
    wire.say(b"{\"sessionId\":\"well\",\"message\":\"alive\"}\n").await;
    let reply = wire.json().await;
    assert_eq!(reply["updatedContext"]["last_message"], "alive", "{place}: {reply}");
}

#[tokio::test]
async fn a_wrong_type_gets_an_error_line_that_names_it_and_the_connection_goes_on() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    for (line, field) in [
        (r#"{"sessionId":"s","message":5}"#, "message"),
        (r#"{"sessionId":"s","message":null}"#, "message"),
        (r#"{"sessionId":"s","message":["a"]}"#, "message"),
        (r#"{"sessionId":"s","message":{}}"#, "message"),
        (r#"{"sessionId":"s"}"#, "message"),
        (r#"{"sessionId":{},"message":"m"}"#, "sessionId"),
        (r#"{"sessionId":"s","message":"m","context":[]}"#, "context"),
        (r#"{"sessionId":"s","message":"m","context":"c"}"#, "context"),
        (r#"{"sessionId":"s","message":"m","stream":"yes"}"#, "stream"),
        (r#"{"sessionId":"s","message":"m","auth":7}"#, "auth"),
        (r#"{"sessionId":"s","message":"m","max_tokens":-1}"#, "max_tokens"),
        (r#"["message"]"#, "message"),
        ("5", "message"),
        ("\"text\"", "message"),
        ("null", "message"),
    ] {
        wire.say(format!("{line}\n").as_bytes()).await;
        let error = wire.json().await;
        assert_eq!(error["details"]["field"], field, "{line}: {error}");
        assert!(error["error"].as_str().unwrap().contains(field), "{line}: {error}");
        still_served(&mut wire, line).await;
    }
}

#[tokio::test]
async fn broken_json_and_free_text_get_the_documented_line() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    for line in [
        "Hello MCP Server",
        "{broken}",
        "{\"sessionId\":\"s\",\"message\":\"open",
        "{'sessionId':'s'}",
        "}",
        "{\"a\":1,}",
        "MCP_INIT",
        "\0",
        "\0\0\0 {\"message\":\"m\"}",
        "{\"sessionId\":\"s\",\"message\":\"a raw \0 is no JSON\"}",
        "GETTING nowhere",
    ] {
        wire.say(format!("{line}\n").as_bytes()).await;
        assert_eq!(wire.line().await, "ERROR: Invalid JSON format", "{line:?}");
        still_served(&mut wire, line).await;
    }
}

#[tokio::test]
async fn json_nested_too_deep_is_refused_and_the_connection_goes_on() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    for depth in [129, 500_000] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        let line =
            format!("{{\"sessionId\":\"s\",\"message\":\"m\",\"context\":{{\"a\":{deep}}}}}\n");
        wire.say(line.as_bytes()).await;
        assert_eq!(wire.line().await, "ERROR: Invalid JSON format", "{depth}");
        still_served(&mut wire, "deep").await;
    }
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_named_and_the_connection_goes_on() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    for bytes in [
        b"{\"sessionId\":\"s\",\"message\":\"caf\xe9\"}\n".as_slice(),
        b"\xff\xfe\n",
        b"caf\xe9 au lait\r\n",
    ] {
        wire.say(bytes).await;
        assert!(wire.line().await.starts_with("ERROR: Invalid encoding"), "{bytes:?}");
        still_served(&mut wire, "encoding").await;
    }
}

#[tokio::test]
async fn a_line_over_the_limit_is_answered_and_closed_and_disturbs_nobody() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_LINE_BYTES", "2048")]).await;
    let mut other = server.connect().await;
    still_served(&mut other, "before").await;
    let text = "x".repeat(4096);
    for bytes in [text.clone(), format!("{{\"sessionId\":\"s\",\"message\":\"{text}\"}}\n")] {
        let mut wire = server.connect().await;
        wire.say(bytes.as_bytes()).await;
        let said = wire.rest().await;
        assert!(said.starts_with("ERROR: the message is longer than 2048 bytes"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    still_served(&mut other, "after").await;
}

#[tokio::test]
async fn a_peer_that_sends_without_end_is_told_so_even_while_it_sends() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_LINE_BYTES", "2048")]).await;
    let mut wire = server.connect().await;
    // More than the buffers between two sockets hold: the server must neither keep nor wait for
    // it, and the peer must be able to read why.
    wire.try_say(&vec![b'x'; 16 << 20]).await.ok();
    let said = wire.rest().await;
    assert!(said.starts_with("ERROR: the message is longer than 2048 bytes"), "{said}");
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn several_messages_in_one_segment_are_answered_in_order() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    let mut segment = String::new();
    for number in 0..40 {
        // With LF, CRLF, telnet's CR NUL, a blank line, and nothing at all between them.
        let end = ["\n", "\r\n", "\r\0", "\n\n", ""][number % 5];
        segment.push_str(&json!({"sessionId": "s", "message": number.to_string()}).to_string());
        segment.push_str(end);
    }
    wire.say(segment.as_bytes()).await;
    for number in 0..40 {
        let reply = wire.json().await;
        assert_eq!(reply["updatedContext"]["last_message"], number.to_string());
    }
}

#[tokio::test]
async fn a_half_close_still_gets_every_pending_reply() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut lines = String::new();
    for number in 0..100 {
        lines.push_str(&json!({"sessionId": "s", "message": number.to_string()}).to_string());
        lines.push('\n');
    }
    // The last one has no line end: the end of the input completes it.
    let said = server.raw(lines.trim_end().as_bytes()).await;
    let replies: Vec<Value> = said.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(replies.len(), 100, "{said}");
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply["updatedContext"]["last_message"], number.to_string());
    }
    let half = server.raw(b"{\"sessionId\":\"s\",\"mess").await;
    assert_eq!(half, "ERROR: Invalid JSON format\n");
    let http = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(http.starts_with("HTTP/1.1 200 OK\r\n") && http.ends_with('}'), "{http}");
}

#[tokio::test]
async fn one_message_may_come_byte_by_byte_and_be_very_long() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    for byte in b"  {\"sessionId\":\"s\",\r\n\"message\":\"byte by byte \xf0\x9f\x90\xa2\"}\n" {
        wire.say(&[*byte]).await;
    }
    assert_eq!(wire.json().await["updatedContext"]["last_message"], "byte by byte 🐢");
    for size in [4095, 4096, 4097, 1_000_000] {
        let text = "x".repeat(size);
        let line = format!("{{\"sessionId\":\"s\",\"message\":\"{text}\"}}\n");
        for piece in line.as_bytes().chunks(4093) {
            wire.say(piece).await;
        }
        let reply = wire.json().await;
        assert_eq!(reply["updatedContext"]["last_message"], text, "{size}");
    }
}

#[tokio::test]
async fn an_escaped_nul_is_kept_and_shown_at_every_door() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let said = server.raw(b"{\"sessionId\":\"nul\",\"message\":\"a\\u0000b\"}\n").await;
    assert!(said.contains("a\\u0000b") && !said.contains('\0'), "{said}");
    assert_eq!(server.messages("nul").await[0]["content"], "a\0b");
    let found = server.get("/api/v1/contexts/nul/messages").await.json();
    assert_eq!(found["messages"][0]["content"], "a\0b");
}

#[tokio::test]
async fn a_framed_call_that_is_wrong_gets_its_error_and_the_next_one_its_answer() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    wire.say(b"MCP/1.0\r\nConnection: Upgrade\r\n\r\n").await;
    assert_eq!(wire.line().await, "MCP/1.0 101 Switching Protocols");
    assert_eq!(wire.line().await, "Connection: Upgrade");
    assert_eq!(wire.line().await, "");
    for (call, code) in [
        (r#"{"id":1,"method":5}"#, "invalid_input"),
        (r#"{"id":1}"#, "missing_field"),
        (r#"{"id":1,"method":"nope"}"#, "invalid_input"),
        (r#"{"id":1,"method":"interact","params":[]}"#, "invalid_input"),
        (r#"{"id":1,"method":"interact","params":{"message":5}}"#, "invalid_input"),
        (r#"{"id":1,"method":"summarize","params":{}}"#, "missing_field"),
        (r#"{"id":1,"method":"summarize","params":{"text":5}}"#, "invalid_input"),
        (r#"{"id":1,"method":"generate_prompt","params":{"theme":[]}}"#, "invalid_input"),
    ] {
        wire.say(format!("{call}\n").as_bytes()).await;
        let reply = wire.json().await;
        assert_eq!((&reply["id"], &reply["error"]["code"]), (&json!(1), &json!(code)), "{call}");
        wire.say(b"{\"id\":\"p\",\"method\":\"ping\"}\n").await;
        let pong = wire.json().await;
        assert_eq!((&pong["id"], &pong["result"]["pong"]), (&json!("p"), &json!(true)));
    }
    wire.say(b"not json\n").await;
    assert_eq!(wire.line().await, "ERROR: Invalid JSON format");
}
