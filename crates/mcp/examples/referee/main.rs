//! The server that the protocol's referee tests: every tool, resource and prompt it asks for.
//!
//! `referee PORT` serves HTTP on 127.0.0.1, `referee stdio` one client over the pipe.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a program for tests"
)]

mod jobs;
mod serve;
mod tools;

use std::convert::Infallible;

use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp::server::Server;
use serve::Referee;

#[tokio::main]
async fn main() {
    let mode = std::env::args().nth(1).expect("a port, or `stdio`");
    let server = Server::new(Referee::default(), [7; 32]);
    server.here(&server);
    if mode == "stdio" {
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        mcp::stdio::serve(&server, (), (input, tokio::io::stdout())).await.unwrap();
        return;
    }
    let port: u16 = mode.parse().expect("a port");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    eprintln!("listening on {}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let server = server.clone();
        let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            let server = server.clone();
            async move {
                let (head, body) = request.into_parts();
                if let Some(refused) = foreign(&head.headers) {
                    return Ok::<_, Infallible>(refused);
                }
                let body = body.collect().await.unwrap().to_bytes();
                Ok(mcp::http::answer(&server, (), (&head.method, &head.headers), body).await)
            }
        });
        let serve = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        #[expect(clippy::disallowed_methods, reason = "a program for tests")]
        tokio::spawn(async move { drop(serve.await) });
    }
}

/// What a page of another site must not reach.
fn foreign(headers: &http::HeaderMap) -> Option<http::Response<mcp::http::Body>> {
    let local = |value: &http::HeaderValue| {
        let text = value.to_str().unwrap_or("");
        let host = text.rsplit_once("//").map_or(text, |(_, host)| host);
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        ["localhost", "127.0.0.1", "[::1]"].contains(&name)
    };
    let checked = [headers.get("host"), headers.get("origin")];
    if checked.into_iter().flatten().all(local) {
        return None;
    }
    let body = http_body_util::Empty::new().boxed_unsync();
    Some(http::Response::builder().status(403).body(body).unwrap())
}
