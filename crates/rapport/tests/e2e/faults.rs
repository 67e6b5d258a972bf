//! Messages that are wrong: types, JSON, encoding and size, at every HTTP door.

use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use super::program::{Home, Server};
use super::talk::{Answer, request};

/// The paths that read a JSON object, with the field that a wrong type is put into.
fn doors(id: &str) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("POST", format!("/mcp/context/{id}/message"), "message"),
        ("POST", format!("/api/context/{id}/message"), "message"),
        ("POST", "/api/mcp/interact".to_owned(), "message"),
        ("POST", "/v1/predict".to_owned(), "input"),
        ("POST", "/v1/context/set".to_owned(), "context"),
        ("POST", "/api/v1/contexts".to_owned(), "state"),
        ("PATCH", format!("/api/v1/contexts/{id}"), "metadata"),
        ("POST", format!("/api/v1/contexts/{id}/turns"), "message"),
        ("POST", format!("/api/v1/contexts/{id}/messages"), "role"),
        ("POST", "/api/v1/summarize".to_owned(), "text"),
        ("POST", "/api/v1/generate_prompt".to_owned(), "theme"),
        ("POST", "/api/v1/keys".to_owned(), "name"),
    ]
}

/// The server still answers, and the context has no message.
async fn unharmed(server: &Server, id: &str) {
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.messages(id).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_wrong_type_is_400_and_named_at_every_door() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    for (method, path, field) in doors(&id) {
        for wrong in [json!(5), json!(true), json!([1])] {
            let body = json!({"sessionId": id, "content": "c", field: wrong});
            let body = match path.rsplit('/').next() {
                Some("contexts" | "turns" | "summarize" | "generate_prompt" | "keys") => {
                    json!({field: wrong})
                }
                Some("messages") => json!({"role": wrong, "content": "c"}),
                _ if method == "PATCH" => json!({field: wrong}),
                _ => body,
            };
            let answer = server.send(request(method, &path, body.to_string())).await;
            // A list is content where blocks may stand, and then its first block is wrong.
            assert_eq!(answer.status, 400, "{method} {path} {body}: {answer:?}");
            assert_eq!(answer.code(), "invalid_input", "{method} {path} {body}: {answer:?}");
            assert!(answer.body.contains(field) || wrong.is_array(), "{path} {body}: {answer:?}");
        }
    }
    unharmed(&server, &id).await;
}

#[tokio::test]
async fn null_and_absent_messages_are_400_and_not_500() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    let say = format!("/mcp/context/{id}/message");
    for body in [json!({}), json!({"message": null}), json!({"Message": "x"})] {
        for path in [say.as_str(), "/api/mcp/interact", "/v1/predict"] {
            let answer = server.post(path, &body).await;
            assert_eq!(answer.status, 400, "{path} {body}: {answer:?}");
            assert!(["missing_field", "invalid_input"].contains(&answer.code().as_str()));
        }
    }
    let empty = server.send(request("POST", &say, "")).await;
    assert_eq!(empty.status, 400);
    assert_eq!(empty.json()["error"], "Message content is required");
    unharmed(&server, &id).await;
}

#[tokio::test]
async fn broken_json_is_400_with_its_place_at_every_door() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    for (method, path, _) in doors(&id) {
        for broken in ["{", "{\"", "{'message': 'a'}", "message=a", "\0"] {
            let answer = server.send(request(method, &path, broken)).await;
            assert_eq!(answer.status, 400, "{path} {broken:?}: {answer:?}");
            assert_eq!(answer.code(), "invalid_json", "{path} {broken:?}");
            assert_eq!(answer.json()["details"]["line"], 1, "{path} {broken:?}: {answer:?}");
        }
        for value in ["[]", "5", "\"text\""] {
            let answer = server.send(request(method, &path, value)).await;
            assert_eq!(answer.code(), "invalid_input", "{path} {value}: {answer:?}");
        }
    }
    // Making a context needs no body, so one that cannot be read is reported and ignored.
    let made = server.send(request("POST", "/mcp/context", "{broken")).await;
    assert_eq!(made.status, 201);
    assert!(made.json()["warnings"][0].as_str().unwrap().contains("ignored"), "{made:?}");
    unharmed(&server, &id).await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_are_400_and_name_the_byte() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    for (method, path, _) in doors(&id) {
        let body = b"{\"message\": \"caf\xe9\"}".to_vec();
        let answer = server.send(request(method, &path, body)).await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert_eq!(answer.code(), "invalid_encoding", "{path}: {answer:?}");
        assert!(answer.body.contains("byte 16"), "{path}: {answer:?}");
    }
    unharmed(&server, &id).await;
}

#[tokio::test]
async fn json_nested_too_deep_is_400_and_does_not_end_the_process() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    for depth in [129, 500_000] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        for (method, path, field) in doors(&id) {
            let body = format!("{{\"{field}\": {deep}}}");
            let answer = server.send(request(method, &path, body)).await;
            assert_eq!(answer.status, 400, "{path}: {answer:?}");
        }
    }
    unharmed(&server, &id).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_at_every_door_however_it_is_sent() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_BODY_BYTES", "2048")]).await;
    let id = server.context().await;
    for (method, path, field) in doors(&id) {
        // Four megabytes do not fit into the buffers between two sockets: the caller is still
        // sending when it is refused, and must be able to read why all the same.
        for size in [2048, 4 << 20] {
            let body = json!({field: "x".repeat(size)}).to_string();
            let answer = server.send(request(method, &path, body)).await;
            assert_eq!(answer.status, 413, "{path} {size}: {answer:?}");
            assert_eq!(answer.code(), "payload_too_large");
            assert_eq!(answer.json()["details"]["limit_bytes"], 2048);
        }
    }
    let fits = json!({"message": "x".repeat(1900)});
    let answer = server.post(&format!("/mcp/context/{id}/message"), &fits).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn a_body_in_chunks_is_counted_as_it_comes() {
    let home = Home::new();
    let server = home.serve(&[("RAPPORT_LIMITS_BODY_BYTES", "2048")]).await;
    let mut wire = server.connect().await;
    let head = "POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\nContent-Type: \
                application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    wire.say(head.as_bytes()).await;
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1024));
    for _ in 0..3 {
        wire.say(chunk.as_bytes()).await;
    }
    assert_eq!(wire.line().await, "HTTP/1.1 413 Payload Too Large");
    // The end of the body never comes: the server does not wait for it.
    assert!(wire.rest().await.contains("payload_too_large"));
}

#[tokio::test]
async fn the_wrong_media_type_is_415_and_the_right_ones_are_read() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    let send = async |path: &str, media: Option<&str>| -> Answer {
        let mut request = Request::builder().method("POST").uri(path).header("host", "localhost");
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        let body = Full::new(r#"{"message":"hello","input":"hello"}"#.into());
        server.send(request.body(body).unwrap()).await
    };
    let say = format!("/mcp/context/{id}/message");
    let turns = format!("/api/v1/contexts/{id}/turns");
    for path in [say.as_str(), "/api/mcp/interact", "/v1/predict", turns.as_str()] {
        let form = "application/x-www-form-urlencoded";
        for media in [None, Some("text/plain"), Some(form), Some("application/jsonp"), Some("")] {
            let answer = send(path, media).await;
            assert_eq!(answer.status, 415, "{path} {media:?}: {answer:?}");
            assert_eq!(answer.code(), "unsupported_media_type");
        }
    }
    assert_eq!(server.messages(&id).await.len(), 0);
    for media in ["application/json; charset=utf-8", "Application/JSON", "application/ld+json"] {
        assert_eq!(send(&say, Some(media)).await.status, 200, "{media}");
    }
}
