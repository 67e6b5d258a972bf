//! What rules do to streams of HTTP/2, in plain text and inside TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, Response};
use inspect::{Ending, Kind, Proxy, Rule, Verdict, decode};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::house::{over, proxy};
use crate::two::{call, certificate, client, found, server, tls_server};

type Sender = SendRequest<Full<Bytes>>;

async fn connected(proxy: &Proxy) -> Sender {
    client(TcpStream::connect(proxy.address()).await.unwrap()).await
}

async fn asked(sender: &mut Sender, path: &str, body: &'static [u8]) -> Response<Incoming> {
    sender.ready().await.unwrap();
    sender.send_request(call(path, "application/json", body)).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn every_second_stream_is_refused_and_the_others_are_answered() {
    let rule = "path=/v1/messages status=529 retry-after=3 every=2";
    let proxy = proxy(server().await, &[rule]).await;
    let mut sender = connected(&proxy).await;
    for _ in 0..2 {
        let response = asked(&mut sender, "/v1/messages", b"{}").await;
        assert_eq!(response.status(), 200);
        assert_eq!(text(response).await.as_bytes(), include_bytes!("answer.sse"));
        let response = asked(&mut sender, "/v1/messages", b"{}").await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["retry-after"]),
            (529, &"3".parse().unwrap())
        );
        assert!(text(response).await.contains("overloaded_error"));
    }
    let refused = over(&proxy, 3).await;
    assert_eq!(
        (refused.rules.as_slice(), decode::view(&refused).status),
        (&[rule.to_owned()][..], 529)
    );
    assert!(matches!(refused.ending, Ending::ByRule(_)));
    let passed = over(&proxy, 2).await;
    assert_eq!((passed.ending.clone(), passed.ask_body()), (Ending::Whole, b"{}".to_vec()));
    assert!(passed.times.first_body.is_some() && passed.times.sent.is_some());
    drop(sender);
    let connection = over(&proxy, 1).await;
    assert_eq!((connection.kind, connection.ending.clone()), (Kind::Http2, Ending::Whole));
    let items = decode::view(&connection).items;
    assert!(items.iter().any(|item| item.text.contains(":path: /v1/messages")), "{items:?}");
}

#[tokio::test]
async fn a_stream_is_dropped_or_cut_and_the_connection_lives() {
    let rules = ["path=/drop drop", "path=/v1/* cut=5"];
    let proxy = proxy(server().await, &rules).await;
    let mut sender = connected(&proxy).await;
    let dropped = sender.send_request(call("/drop", "text/plain", b"x")).await;
    assert!(dropped.is_err(), "{dropped:?}");
    let mut body = asked(&mut sender, "/v1/x", b"{}").await.into_body();
    let (mut came, mut broke) = (Vec::new(), false);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => came.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => {
                broke = true;
                break;
            }
        }
    }
    assert!(broke, "an answer that is cut does not end well");
    assert_eq!(came, include_bytes!("answer.sse")[..5]);
    assert_eq!(text(asked(&mut sender, "/echo", b"alive").await).await, "alive");
    assert_eq!(found(&proxy, "/v1/x").await.ending, Ending::ByRule("cut after 5 bytes".to_owned()));
    assert!(matches!(found(&proxy, "/drop").await.ending, Ending::ByRule(_)));
}

#[tokio::test]
async fn heads_and_bodies_of_streams_are_edited_after_a_delay() {
    let rules =
        ["set=X-New:1 set=x-api-key: reply-set=X-Seen:yes delay=200ms", "replace=hello>goodbye!!"];
    let proxy = proxy(server().await, &rules).await;
    let mut sender = connected(&proxy).await;
    let began = Instant::now();
    let response = asked(&mut sender, "/echo", b"{\"a\":\"hello\"}").await;
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(
        (&response.headers()["x-seen"], &response.headers()["x-new"]),
        (&"yes".parse().unwrap(), &"1".parse().unwrap())
    );
    assert_eq!(text(response).await, "{\"a\":\"goodbye!!\"}");
    let exchange = found(&proxy, "/echo").await;
    assert_eq!(exchange.ask_body(), b"{\"a\":\"hello\"}", "the book has what the caller said");
}

#[tokio::test]
async fn a_held_stream_goes_on_with_another_body_while_others_pass() {
    let proxy = proxy(server().await, &["body=old pause"]).await;
    let mut sender = connected(&proxy).await;
    let mut other = sender.clone();
    let held = sender.send_request(call("/echo", "text/plain", b"old"));
    let check = async {
        let number = loop {
            match proxy.held().first() {
                Some(number) => break *number,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(text(asked(&mut other, "/echo", b"passes").await).await, "passes");
        assert!(proxy.decide(number, Verdict::GoWith(b"new and longer".to_vec())));
    };
    let (response, ()) = tokio::join!(held, check);
    assert_eq!(text(response.unwrap()).await, "new and longer");
}

#[tokio::test]
async fn a_connection_from_before_the_rules_ends_when_it_rests() {
    let proxy = proxy(server().await, &[]).await;
    let mut sender = connected(&proxy).await;
    assert_eq!(text(asked(&mut sender, "/echo", b"1").await).await, "1");
    proxy.set_rules(&["status=503".to_owned()]).unwrap();
    let before = over(&proxy, 1).await;
    assert_eq!(before.ending, Ending::ByRule("closed, as rules were set".to_owned()));
    let mut sender = connected(&proxy).await;
    assert_eq!(asked(&mut sender, "/echo", b"2").await.status(), 503);
}

#[tokio::test]
async fn a_target_that_is_not_there_is_named_on_each_stream() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = proxy(nobody, &["path=/other drop"]).await;
    let mut sender = connected(&proxy).await;
    let response = asked(&mut sender, "/echo", b"x").await;
    assert_eq!(response.status(), 502);
    let said = text(response).await;
    assert!(said.contains("nothing listens there") && said.contains("rapport doctor"), "{said}");
}

#[tokio::test]
async fn rules_act_inside_tls() {
    let (port, trust) = tls_server().await;
    let (ours, trusts_us) = certificate();
    let rules = ["path=/v1/* status=500", "replace=hello>bye reply-set=x-seen:1"];
    let settings = inspect::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        target: inspect::Target::new("localhost", port, true).trusting(trust),
        targets: inspect::ReadTarget::default(),
        room: inspect::Room::default(),
        rules: rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect(),
        host: None,
        shows_secrets: false,
        prices: decode::Prices::default(),
        tls: Some(ours),
    };
    let proxy = Proxy::start(settings).await.unwrap();
    let mut config = trusts_us;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await;
    let mut sender = client(stream.unwrap()).await;
    assert_eq!(asked(&mut sender, "/v1/messages", b"{}").await.status(), 500);
    let response = asked(&mut sender, "/echo", b"hello").await;
    assert_eq!(&response.headers()["x-seen"], "1");
    assert_eq!(text(response).await, "bye");
}

#[tokio::test]
async fn trailers_and_long_bodies_pass_under_rules() {
    let proxy = proxy(server().await, &["path=/never drop"]).await;
    let mut sender = connected(&proxy).await;
    let message = b"\0\0\0\0\x05hello";
    let response = sender.send_request(call("/grpc.Echo/Say", "application/grpc", message)).await;
    let whole = response.unwrap().into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "5");
    let exchange = found(&proxy, "/grpc.Echo/Say").await;
    assert_eq!(decode::view(&exchange).speaks, "grpc");
    let long = Bytes::from(vec![b'x'; 6 << 20]);
    let request = Request::post("http://localhost/echo").body(Full::new(long.clone())).unwrap();
    let back = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(back.to_bytes(), long);
}
