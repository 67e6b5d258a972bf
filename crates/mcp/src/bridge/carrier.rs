//! How a bridge reaches its server: one HTTP exchange at a time.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, Method, Response};

/// The body of an answer, piece by piece.
pub type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// An answer's head, and its body as it comes.
pub type Carried = Response<Pieces>;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// In words, for the client's log.
    pub why: String,
    /// The server has not seen the request: it may be sent again.
    pub unsent: bool,
}

/// Sends one request to the server's endpoint; finds the server anew each time.
pub trait Carrier: Send + Sync + 'static {
    /// Sends a request with these headers beside those of the connection itself.
    fn carry(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl Future<Output = Result<Carried, Lost>> + Send;

    /// Why no server will come however long one waits, as of the last exchange.
    fn hopeless(&self) -> Option<String> {
        None
    }
}
