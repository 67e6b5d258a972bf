//! What the proxy says of itself.

use serde_json::Value;

use crate::house::{Server, over, proxy, say};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn get(proxy: &inspect::Proxy, path: &str, host: &str) -> (String, String) {
    let ask = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let text = String::from_utf8(say(proxy.address(), ask.as_bytes()).await).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_list_and_the_details_hide_secrets() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let ask = b"GET /x?api_key=hush HTTP/1.1\r\nAuthorization: Bearer hush-hush\r\n\
                Connection: close\r\n\r\n";
    say(proxy.address(), ask).await;
    over(&proxy, 1).await;
    let (_, body) = get(&proxy, "/__rapport__/exchanges", "localhost:8888").await;
    let list: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(list["exchanges"][0]["title"], "GET /x?api_key=[hidden]");
    assert_eq!(list["exchanges"].as_array().unwrap().len(), 1, "its own requests are not listed");
    for path in [
        "/__rapport__/exchanges/1",
        "/__rapport__/exchanges/1/request",
        "/__rapport__/har",
        "/__rapport__/jsonl",
    ] {
        let (head, body) = get(&proxy, path, "127.0.0.1").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert!(body.contains("[hidden]") && !body.contains("hush"), "{path}: {body}");
    }
}

#[tokio::test]
async fn pages_of_elsewhere_get_nothing() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let (head, body) = get(&proxy, "/__rapport__/exchanges", "evil.example:8888").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(!body.contains("target"));
    let ask =
        b"GET /__rapport__/har HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n\
                Connection: close\r\n\r\n";
    assert!(say(proxy.address(), ask).await.starts_with(b"HTTP/1.1 403 "));
}

#[tokio::test]
async fn rules_are_changed_while_it_runs_and_a_wrong_one_changes_nothing() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let put = |body: &str| {
        format!(
            "PUT /__rapport__/rules HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let set = put("{\"rules\":[\"path=/x status=500\"]}");
    assert!(say(proxy.address(), set.as_bytes()).await.starts_with(b"HTTP/1.1 200 "));
    let wrong = put("{\"rules\":[\"path=/x stauts=500\"]}");
    let said = String::from_utf8(say(proxy.address(), wrong.as_bytes()).await).unwrap();
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("stauts=500"), "{said}");
    // Whoever asks for one answer gets one, and the end.
    let got = say(proxy.address(), b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    assert!(got.starts_with(b"HTTP/1.1 500 "));
}

#[tokio::test]
async fn what_is_not_there_is_said_with_what_is() {
    let server = Server::start(b"\r\n\r\n", OK, true).await;
    let proxy = proxy(server.address, &[]).await;
    let (head, body) = get(&proxy, "/__rapport__/exchanges/99", "localhost").await;
    assert!(head.starts_with("HTTP/1.1 404 ") && body.contains("there is no exchange `99`"));
    let (_, page) = get(&proxy, "/__rapport__/", "localhost").await;
    assert!(page.contains("<title>rapport inspect</title>"));
}
