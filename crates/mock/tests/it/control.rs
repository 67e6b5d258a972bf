//! What the server tells about its requests, and how it begins and ends.

use crate::client::{always, messages, scripted, send, start};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use mock::{Fault, Mock, Reply, Script};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test]
async fn both_kinds_of_credentials_are_recorded_and_hidden_in_print() {
    let mock = always(Reply::default()).await;
    let headers = "authorization: Bearer sesame\r\nx-api-key: sesame\r\nx-note: n\r\n";
    let body = r#"{"model":"m", "odd":1.50}"#;
    send(&mock, "POST /v1/messages?beta=true", headers, body).await.unwrap();
    let recorded = &mock.requests()[0];
    assert_eq!(recorded.header("authorization"), Some("Bearer sesame"));
    assert_eq!(recorded.header("x-api-key"), Some("sesame"));
    assert_eq!(recorded.query.as_deref(), Some("beta=true"));
    assert_eq!(recorded.body, body);
    assert_eq!(recorded.json()["model"], "m");
    let seen = send(&mock, "GET /__mock/requests", "", "").await.unwrap();
    assert!(seen.text().contains(&format!("\"body\":{body}")) && !seen.text().contains("sesame"));
    let shown = &seen.json()[0];
    assert_eq!(shown["headers"]["authorization"], "Bearer [hidden]");
    assert_eq!(shown["headers"]["x-api-key"], "[hidden]");
    assert_eq!(
        (&shown["path"], &shown["headers"]["x-note"]),
        (&json!("/v1/messages"), &json!("n"))
    );
}

#[tokio::test]
async fn requests_can_be_cleared_from_outside() {
    let mock = always(Reply::default()).await;
    messages(&mock, "x", false).await;
    let seen = send(&mock, "DELETE /__mock/requests", "", "").await.unwrap();
    assert_eq!((seen.status, mock.requests().len()), (204, 0));
    messages(&mock, "x", false).await;
    assert_eq!(mock.requests()[0].number, 2);
}

#[tokio::test]
async fn a_script_can_be_replaced_from_outside() {
    let mock = always(Reply::status(500)).await;
    let seen = send(&mock, "PUT /__mock/script", "", "[default]\ntext = 'new'").await.unwrap();
    assert_eq!(seen.status, 204);
    assert_eq!(messages(&mock, "x", false).await.json()["content"][0]["text"], "new");
    let seen = send(&mock, "PUT /__mock/script", "", "[default]\ntxt = 'x'").await.unwrap();
    assert_eq!(seen.status, 400);
    assert!(seen.json()["error"].as_str().unwrap().contains("unknown field `txt`"));
    assert_eq!(messages(&mock, "x", false).await.status, 200);
}

#[tokio::test]
async fn an_unknown_control_path_says_what_there_is() {
    let mock = start(Script::default()).await;
    let seen = send(&mock, "GET /__mock/other", "", "").await.unwrap();
    assert_eq!(seen.status, 404);
    assert!(seen.json()["error"].as_str().unwrap().contains("PUT /__mock/script"));
    assert!(mock.requests().is_empty());
}

#[tokio::test]
async fn one_connection_carries_many_requests_and_streams() {
    let mock = scripted("[[rule]]\nwhen = { stream = true }\nreply = { text = 'a b' }").await;
    let stream = TcpStream::connect(mock.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<hyper::body::Bytes>>(TokioIo::new(stream))
            .await
            .unwrap();
    let requests = async {
        for n in 0..200_u32 {
            let body = format!(
                r#"{{"model":"m","max_tokens":1,"stream":{},
                     "messages":[{{"role":"user","content":"x"}}]}}"#,
                n % 2 == 0
            );
            let request = Request::post("/v1/messages").body(Full::from(body)).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let is_stream = body.starts_with(b"event: message_start");
            assert_eq!(is_stream, n % 2 == 0);
        }
        drop(sender);
    };
    let (connection, ()) = tokio::join!(connection, requests);
    connection.unwrap();
    mock.seen(200).await;
    assert_eq!(mock.requests().len(), 200);
}

#[tokio::test]
async fn shutdown_waits_for_a_reply_and_then_refuses() {
    let mock = always(Reply { delay_ms: 100, ..Reply::default() }).await;
    let addr = mock.addr();
    let asked = messages(&mock, "x", false);
    let mut asked = std::pin::pin!(asked);
    tokio::select! {
        _ = &mut asked => panic!("the reply has to wait"),
        () = mock.seen(1) => {}
    }
    let (seen, ()) = tokio::join!(asked, mock.shutdown());
    assert_eq!(seen.status, 200);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_hang() {
    let mock = always(Reply::fault(Fault::Hang)).await;
    let stream = TcpStream::connect(mock.addr()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<hyper::body::Bytes>>(TokioIo::new(stream))
            .await
            .unwrap();
    let request = Request::post("/v1/messages").body(Full::from("{}")).unwrap();
    let asked = async { sender.send_request(request).await.is_err() };
    let ended = async {
        mock.seen(1).await;
        mock.shutdown().await;
    };
    let all = async { tokio::join!(connection, asked, ended) };
    let (_, is_refused, ()) = timeout(Duration::from_secs(10), all).await.unwrap();
    assert!(is_refused);
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let mock = always(Reply::default()).await;
    let error = Mock::start(mock.addr(), Script::default()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
