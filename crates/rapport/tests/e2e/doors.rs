//! HTTP as clients really speak it: what is not there, who may not call, and every way to connect.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use super::program::{Home, soon};
use super::talk::request;

#[tokio::test]
async fn an_unknown_id_is_404_at_every_door() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    for id in ["nobody", "%20", "..%2f..%2fetc%2fpasswd", "a'b\"c", "%F0%9F%90%A2", "0"] {
        for (method, path) in [
            ("GET", format!("/mcp/context/{id}")),
            ("DELETE", format!("/mcp/context/{id}")),
            ("POST", format!("/mcp/context/{id}/message")),
            ("GET", format!("/api/context/{id}")),
            ("DELETE", format!("/api/context/{id}")),
            ("POST", format!("/api/context/{id}/message")),
            ("GET", format!("/api/v1/contexts/{id}")),
            ("PATCH", format!("/api/v1/contexts/{id}")),
            ("DELETE", format!("/api/v1/contexts/{id}")),
            ("POST", format!("/api/v1/contexts/{id}/close")),
            ("GET", format!("/api/v1/contexts/{id}/messages")),
            ("GET", format!("/api/v1/contexts/{id}/state")),
            ("PATCH", format!("/api/v1/contexts/{id}/state")),
            ("GET", format!("/api/v1/contexts/{id}/window")),
            ("POST", format!("/api/v1/contexts/{id}/turns")),
            ("POST", format!("/api/v1/contexts/{id}/turns/retry")),
            ("POST", format!("/api/v1/contexts/{id}/turns/cancel")),
        ] {
            let path = path.replace('"', "%22");
            let body = match path.rsplit('/').next() {
                Some("message" | "turns") => r#"{"message":"m"}"#,
                _ => "{}",
            };
            let answer = server.send(request(method, &path, body)).await;
            assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
            assert_eq!(answer.code(), "context_not_found", "{method} {path}: {answer:?}");
            assert_eq!(answer.json()["error"], "Context not found");
        }
    }
    for path in ["/api/v1/nothing", "/mcp/nothing", "/%00", "/../../etc/passwd"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    // As the clients read errors that ask for such paths.
    let vendor = server.get("/v1/").await;
    assert_eq!(vendor.status, 404, "{vendor:?}");
    assert_eq!(vendor.json()["error"]["code"], "not_found", "{vendor:?}");
    let key = server.send(request("DELETE", "/api/v1/keys/nobody", "")).await;
    assert_eq!((key.status, key.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn a_wrong_method_is_405_and_the_right_ones_are_named() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    for (method, path, allowed) in [
        ("GET", "/api/mcp/interact", "POST"),
        ("DELETE", "/api/mcp/interact", "POST"),
        ("PUT", "/mcp/context", "POST"),
        ("PATCH", "/mcp/context/x", "GET"),
        ("GET", "/v1/predict", "POST"),
        ("POST", "/health", "GET"),
        ("POST", "/api/v1/contexts/x/window", "GET"),
        ("PROPFIND", "/api/v1/contexts", "GET"),
        ("TRACE", "/api/v1/contexts", "POST"),
    ] {
        let answer = server.send(request(method, path, "{}")).await;
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
        assert_eq!(answer.code(), "method_not_allowed");
        assert!(answer.header("allow").contains(allowed), "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn head_has_the_head_of_get_and_options_the_methods() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    for path in ["/health", "/api/v1/contexts", "/", "/openapi.json"] {
        let get = server.get(path).await;
        let head = server.send(request("HEAD", path, "")).await;
        assert_eq!((head.status, head.body.as_str()), (get.status, ""), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    let options = server.send(request("OPTIONS", "/api/v1/contexts", "")).await;
    assert_eq!(options.status, 204, "{options:?}");
    for method in ["GET", "HEAD", "POST"] {
        assert!(options.header("allow").contains(method), "{options:?}");
    }
    assert_eq!(options.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_hostile_page_can_neither_read_nor_write() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let id = server.context().await;
    let port = server.addr.port();
    let rebound = format!("evil.example:{port}");
    let call = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut asked = request(method, path, r#"{"message":"from a page","input":"x"}"#);
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            asked.headers_mut().insert(name, value.parse().unwrap());
        }
        server.send(asked).await
    };
    let paths = [
        ("GET", format!("/mcp/context/{id}")),
        ("POST", format!("/mcp/context/{id}/message")),
        ("POST", "/mcp/context".to_owned()),
        ("POST", "/api/mcp/interact".to_owned()),
        ("POST", "/v1/predict".to_owned()),
        ("GET", "/api/v1/contexts".to_owned()),
        ("DELETE", format!("/api/v1/contexts/{id}")),
        ("POST", "/api/v1/keys".to_owned()),
        ("GET", "/metrics".to_owned()),
        ("GET", "/ws".to_owned()),
    ];
    for (method, path) in &paths {
        // After DNS rebinding the page's name stands in `Host`, and its origin is its own.
        let origin = format!("http://{rebound}");
        let rebound = [("host", rebound.as_str()), ("origin", origin.as_str())];
        let answer = call(method, path, &rebound).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{method} {path}");
        assert_eq!(answer.json()["details"]["reason"], "host");
        for origin in ["http://evil.example", "null", "http://localhost.evil.example", "file://"] {
            let answer = call(method, path, &[("origin", origin)]).await;
            assert_eq!(answer.status, 403, "{method} {path} {origin}: {answer:?}");
            assert_eq!(answer.json()["details"]["reason"], "origin");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    let ask = [("origin", "http://evil.example"), ("access-control-request-method", "POST")];
    let preflight = call("OPTIONS", "/api/mcp/interact", &ask).await;
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (403, ""));
    assert_eq!(server.messages(&id).await.len(), 0);
    assert_eq!(
        server.get("/api/v1/contexts").await.json()["contexts"].as_array().unwrap().len(),
        1
    );

    // Our own pages, and a page that the operator lists, are welcome.
    let own = format!("localhost:{port}");
    let ours = [("host", own.as_str()), ("origin", &format!("http://{own}"))];
    assert_eq!(call("POST", "/api/mcp/interact", &ours).await.status, 200);
    let other = Home::new();
    let open = other.serve(&[("RAPPORT_SERVER_CORS_ORIGINS", "http://app.example")]).await;
    let mut asked = request("GET", "/api/v1/contexts", "");
    asked.headers_mut().insert("origin", "http://app.example".parse().unwrap());
    let answer = open.send(asked).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), "http://app.example");
}

#[tokio::test]
async fn one_connection_carries_a_hundred_requests_also_all_at_once() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let mut wire = server.connect().await;
    let ask = |number: u32| {
        let body = json!({"sessionId": "kept", "message": number.to_string()}).to_string();
        format!(
            "POST /api/mcp/interact HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\
             \r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for number in 0..50 {
        wire.say(ask(number).as_bytes()).await;
        let (status, body) = wire.answer().await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(&format!("\"last_message\":\"{number}\"")), "{number}: {body}");
    }
    let pipelined: String = (50..100).map(ask).collect();
    wire.say(pipelined.as_bytes()).await;
    for number in 50..100 {
        let (status, body) = wire.answer().await;
        assert_eq!(status, 200, "{body}");
        assert!(body.contains(&format!("\"last_message\":\"{number}\"")), "{number}: {body}");
    }
    assert_eq!(server.messages("kept").await.len(), 200);
}

#[tokio::test]
async fn old_and_hand_typed_http_is_understood() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    // HTTP/1.0 knows no `Host` and no keep-alive: the answer ends with the connection.
    let mut old = server.connect().await;
    old.say(b"GET /health HTTP/1.0\r\n\r\n").await;
    let said = old.rest().await;
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n"), "{said}");
    assert!(!said.contains("transfer-encoding"), "{said}");
    let body = r#"{"sessionId":"old","message":"m"}"#;
    let mut old = server.connect().await;
    let head = "POST /api/mcp/interact HTTP/1.0\r\nContent-Type: application/json\r\n";
    old.say(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    assert!(old.rest().await.contains("\"sessionId\":\"old\""));
    // A stream without chunks, as HTTP/1.0 has it.
    let stream = r#"{"sessionId":"old","message":"m","stream":true}"#;
    let mut old = server.connect().await;
    old.say(format!("{head}Content-Length: {}\r\n\r\n{stream}", stream.len()).as_bytes()).await;
    let said = old.rest().await;
    assert!(said.contains("event: done\n") && !said.contains("chunked"), "{said}");

    // Line by line with bare line feeds, as one types into netcat.
    let mut typed = server.connect().await;
    for line in ["GET /health HTTP/1.1\n", "Host: localhost\n", "\n"] {
        typed.say(line.as_bytes()).await;
    }
    assert_eq!(typed.answer().await.0, 200);
    // Empty lines before the request, as some clients leave behind after a body.
    let mut blank = server.connect().await;
    blank.say(b"\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(blank.answer().await.0, 200);
}

#[tokio::test]
async fn http_that_cannot_be_read_is_400_or_431_and_ends_its_connection_only() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let long = "x".repeat(70_000);
    let many = "X: y\r\n".repeat(200);
    for (text, status) in [
        ("GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("GET /health HTTP/1.1\r\nHo st: localhost\r\n\r\n".to_owned(), "400"),
        ("GET /he\0alth HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(), "400"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"
                .to_owned(),
            "400",
        ),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), "431"),
        (format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"), "431"),
    ] {
        let mut wire = server.connect().await;
        wire.say(text.as_bytes()).await;
        let said = wire.rest().await;
        let shown: String = text.chars().take(60).collect();
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {said}");
    }
    assert_eq!(server.get("/health").await.status, 200);
}

#[tokio::test]
async fn http_2_without_tls_carries_many_requests_at_once() {
    let home = Home::new();
    let server = home.serve(&[]).await;
    let stream = server.connect().await.into_stream();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let ask = async |path: &str| {
        let uri = format!("http://{}{path}", server.addr);
        let request = Request::builder().uri(uri).version(Version::HTTP_2);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), body.collect().await.unwrap().to_bytes().len())
    };
    let asks = futures_util::future::join_all((0..20).map(|_| ask("/health")));
    let work = async {
        let answers = asks.await;
        assert!(answers.iter().all(|(status, length)| *status == 200 && *length > 0));
        assert_eq!(ask("/nothing").await.0, 404);
        // The host of a hostile page stands in `:authority` here.
        let evil = Request::builder().uri("http://evil.example/health");
        let evil = sender.clone().send_request(evil.body(Empty::new()).unwrap());
        assert_eq!(evil.await.unwrap().status(), 403);
    };
    tokio::select! {
        () = soon("answers over HTTP/2", work) => {}
        ended = connection => panic!("the connection ended: {ended:?}"),
    }
}
