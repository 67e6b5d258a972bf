//! HTTP to servers of this machine: a connection for every exchange.

use futures_util::StreamExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use mcp::bridge::{Carried, Lost, Pieces};
use mcp::client::{Pending, Web};

/// The way to them.
#[derive(Debug)]
pub(crate) struct Way;

impl Web for Way {
    fn send(&self, request: http::Request<bytes::Bytes>) -> Pending<'_, Result<Carried, Lost>> {
        Box::pin(async move { exchanged(request).await.map_err(|why| Lost { why, unsent: false }) })
    }
}

async fn exchanged(request: http::Request<bytes::Bytes>) -> Result<Carried, String> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().ok_or("no host")?.clone();
    let port = authority.port_u16().unwrap_or(80);
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let stream = tokio::net::TcpStream::connect((host, port)).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|e| e.to_string())?;
    #[expect(clippy::disallowed_methods, reason = "a program for tests")]
    tokio::spawn(async move { drop(connection.await) });
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|_bad| "no path".to_owned())?;
    head.headers.insert("host", authority.as_str().parse().map_err(|_bad| "no host".to_owned())?);
    let request = http::Request::from_parts(head, Full::new(body));
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    Ok(answer.map(|body| {
        let pieces = body.into_data_stream();
        // The connection lives as long as somebody may send on it.
        let pieces: Pieces = pieces
            .map(move |piece| {
                let _keeps = &sender;
                piece.map_err(|e| e.to_string())
            })
            .boxed();
        pieces
    }))
}
