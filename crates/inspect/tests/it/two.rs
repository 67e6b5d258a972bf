//! HTTP/2, in plain text and inside TLS that is ended here.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use inspect::export::{Secrets, line, read};
use inspect::{Ending, Exchange, Kind, Proxy, decode};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::house::{over, proxy, spawn};

const ASK: &str = "{\"model\":\"claude-x\",\"max_tokens\":9,\"stream\":true,\
                   \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

type Body = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let new = request.headers().get("x-new").cloned();
    let Ok(asked) = request.into_body().collect().await else {
        return Ok(Response::new(Full::default().boxed()));
    };
    let asked = asked.to_bytes();
    if path == "/echo" {
        let mut response = Response::new(Full::new(asked).boxed());
        if let Some(new) = new {
            response.headers_mut().insert("x-new", new);
        }
        return Ok(response);
    }
    if path == "/grpc.Echo/Say" {
        let mut trailers = hyper::HeaderMap::new();
        trailers.insert("grpc-status", "5".parse().unwrap());
        trailers.insert("grpc-message", "no such row".parse().unwrap());
        let frames = [Ok(Frame::data(asked)), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
        let response = Response::builder().header("content-type", "application/grpc");
        return Ok(response.body(body).unwrap());
    }
    let body = Full::new(Bytes::from_static(include_bytes!("answer.sse"))).boxed();
    Ok(Response::builder().header("content-type", "text/event-stream").body(body).unwrap())
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S) {
    let service = hyper::service::service_fn(answer);
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
}

pub(crate) async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn(serve(stream));
        }
    });
    address
}

pub(crate) async fn client<S>(stream: S) -> hyper::client::conn::http2::SendRequest<Full<Bytes>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(stream);
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    spawn(async move { drop(connection.await) });
    sender
}

pub(crate) fn call(path: &str, kind: &str, body: &'static [u8]) -> Request<Full<Bytes>> {
    Request::post(format!("http://localhost{path}"))
        .header("content-type", kind)
        .header("x-api-key", "sk-ant-api03-hush-hush-hush")
        .header("anthropic-version", "2023-06-01")
        .body(Full::new(Bytes::from_static(body)))
        .unwrap()
}

/// The exchange of a path, once it is over.
pub(crate) async fn found(proxy: &Proxy, path: &str) -> Exchange {
    let mut number = 0;
    loop {
        number += 1;
        // The connection itself goes on.
        let seen = proxy.book().get(number).filter(|seen| seen.kind == Kind::Http2);
        if seen.is_some() {
            continue;
        }
        let exchange = over(proxy, number).await;
        if exchange.ask.as_ref().is_some_and(|ask| ask.path() == path) {
            return exchange;
        }
    }
}

#[tokio::test]
async fn streams_are_told_apart_and_read_like_any_other_exchange() {
    let proxy = proxy(server().await, &[]).await;
    let stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut sender = client(stream).await;
    let message = b"\0\0\0\0\x05hello";
    let first = sender.send_request(call("/v1/messages", "application/json", ASK.as_bytes()));
    let second = sender.send_request(call("/grpc.Echo/Say", "application/grpc", message));
    let (first, second) = tokio::join!(first, second);
    let body = first.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, include_bytes!("answer.sse").as_slice());
    let second = second.unwrap().into_body().collect().await.unwrap();
    assert_eq!(second.trailers().unwrap()["grpc-status"], "5");

    let exchange = found(&proxy, "/v1/messages").await;
    assert_eq!((exchange.kind, exchange.ending.clone()), (Kind::Http, Ending::Whole));
    let view = decode::view(&exchange);
    let model = view.model.as_ref().unwrap();
    assert_eq!((model.said.as_str(), model.tokens_in, view.status), ("Hello", 12, 200));
    assert_eq!(view.items.len(), 7);
    let hidden = read(&line(&exchange, Secrets::Hidden)).unwrap();
    assert_eq!(hidden.ask.as_ref().unwrap().header("x-api-key"), Some("[hidden]"));
    assert_eq!(decode::view(&hidden).model.unwrap().said, "Hello");

    let exchange = found(&proxy, "/grpc.Echo/Say").await;
    let view = decode::view(&exchange);
    assert_eq!(view.speaks, "grpc");
    assert_eq!((view.items[0].text.as_str(), view.items.len()), ("hello", 2));
    let finding = view.findings.iter().find(|finding| finding.id == "grpc_error").unwrap();
    assert_eq!(finding.text, "gRPC status 5 NOT_FOUND: no such row");
    let again = read(&line(&exchange, Secrets::Hidden)).unwrap();
    assert_eq!(again.trailers, exchange.trailers);

    // The connection has every byte, and its headers can be read.
    drop(sender);
    let connection = over(&proxy, 1).await;
    assert_eq!(connection.kind, Kind::Http2);
    let items = decode::view(&connection).items;
    let headers = items.iter().filter(|item| item.name.as_deref() == Some("headers"));
    let headers: Vec<&str> = headers.map(|item| item.text.as_str()).collect();
    assert!(headers[0].contains(":path: /v1/messages"), "{headers:?}");
    assert!(headers[0].contains("x-api-key: [hidden]"), "{headers:?}");
    let stored = line(&connection, Secrets::Hidden);
    let stored = read(&stored).unwrap();
    assert_eq!(stored.asked.total(), connection.asked.total());
    let bytes = [stored.asked.bytes(), stored.answered.bytes()].concat();
    let kept = [connection.asked.bytes(), connection.answered.bytes()].concat();
    assert!(bytes.len() == kept.len() && bytes != kept, "packed headers are written over");
}

/// A certificate for localhost, and who trusts it.
pub(crate) fn certificate() -> (Arc<rustls::ServerConfig>, rustls::ClientConfig) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let chain: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain.clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = rustls::RootCertStore::empty();
    roots.add(chain).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), client)
}

/// A server of HTTP/2 inside TLS, and who trusts it.
pub(crate) async fn tls_server() -> (u16, rustls::ClientConfig) {
    let (server_config, trust) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(server_config);
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(stream).await;
                }
            });
        }
    });
    (port, trust)
}

#[tokio::test]
async fn tls_is_ended_here_and_begun_anew_towards_the_target() {
    let (port, trust) = tls_server().await;
    let (ours, trusts_us) = certificate();
    let settings = inspect::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        target: inspect::Target::new("localhost", port, true).trusting(trust),
        targets: inspect::ReadTarget::default(),
        room: inspect::Room::default(),
        rules: Vec::new(),
        host: None,
        shows_secrets: false,
        prices: decode::Prices::default(),
        tls: Some(ours),
    };
    let proxy = Proxy::start(settings).await.unwrap();
    let connect = |protocols: &[&[u8]]| {
        let mut config = trusts_us.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let address = proxy.address();
        async move {
            let stream = TcpStream::connect(address).await.unwrap();
            connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
        }
    };
    let stream = connect(&[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut sender = client(stream).await;
    let asked = sender.send_request(call("/v1/messages", "application/json", ASK.as_bytes()));
    let body = asked.await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, include_bytes!("answer.sse").as_slice());
    let view = decode::view(&found(&proxy, "/v1/messages").await);
    assert_eq!(view.model.unwrap().said, "Hello");
}
