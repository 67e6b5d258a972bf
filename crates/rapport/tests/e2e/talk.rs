//! Talks to a server: whole HTTP requests, and raw connections byte by byte.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::program::{Server, soon};

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A header, empty when it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of the error it carries, after checking that it is an error of the house's form.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let body = self.json();
        assert!(self.status >= 400, "{self:?}");
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        assert_eq!(body["request_id"], self.header("x-request-id"), "{self:?}");
        body["code"].as_str().unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }
}

/// Sends a request on a connection of its own; fails like the connection does.
pub(crate) async fn try_send(
    addr: SocketAddr,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect(addr).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let ask = async move {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    let (answer, ended) = tokio::join!(ask, connection);
    // The answer matters; a connection that breaks after it does not.
    drop(ended);
    answer
}

/// A request with a JSON body.
pub(crate) fn request(method: &str, path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

impl Server {
    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        soon("an answer", try_send(self.addr, request)).await.unwrap()
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, "")).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(request("POST", path, body.to_string())).await
    }

    /// Sends bytes on a raw connection, half-closes it, and reads all that comes back.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut wire = self.connect().await;
        wire.say(bytes).await;
        wire.half_close().await;
        wire.rest().await
    }

    /// A raw connection.
    pub(crate) async fn connect(&self) -> Wire {
        let stream = soon("a connection", TcpStream::connect(self.addr)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Wire(BufReader::new(stream))
    }

    /// A context made for a test.
    pub(crate) async fn context(&self) -> String {
        let made = self.send(request("POST", "/mcp/context", "")).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.json()["context_id"].as_str().unwrap().to_owned()
    }

    /// All messages of a context, by the door that shows them whole.
    pub(crate) async fn messages(&self, id: &str) -> Vec<Value> {
        let found = self.get(&format!("/mcp/context/{id}")).await;
        assert_eq!(found.status, 200, "{found:?}");
        found.json()["messages"].as_array().unwrap().clone()
    }
}

/// A raw connection, read by lines or to its end.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    /// Sends bytes in one write.
    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        soon("room for bytes", self.0.write_all(bytes)).await.unwrap();
    }

    /// Sends bytes to somebody who may have hung up.
    pub(crate) async fn try_say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        soon("room for bytes", self.0.write_all(bytes)).await
    }

    /// Says that nothing more will come.
    pub(crate) async fn half_close(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// The next line without its end; empty at the end of the connection.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        soon("a line", self.0.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }

    /// The next line as JSON.
    pub(crate) async fn json(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        soon("the end of the connection", self.0.read_to_end(&mut rest)).await.unwrap();
        String::from_utf8(rest).unwrap()
    }

    /// One HTTP answer with a known length, on a connection that stays open.
    pub(crate) async fn answer(&mut self) -> (u16, String) {
        let status = self.line().await;
        let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let code = code.unwrap_or_else(|| panic!("no status line: {status:?}"));
        let mut length = 0;
        loop {
            let line = self.line().await.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        soon("a body", self.0.read_exact(&mut body)).await.unwrap();
        (code, String::from_utf8(body).unwrap())
    }

    /// The connection for a library that speaks on it.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }
}
