//! How a client reaches HTTP servers: one exchange at a time, and who it says it is.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Request};

use crate::bridge::{Carried, Lost};

/// What comes of something later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Sends one request to the address it names.
pub trait Web: Send + Sync + Debug + 'static {
    /// Sends a request; the answer's body comes piece by piece and may never end.
    fn send(&self, request: Request<Bytes>) -> Pending<'_, Result<Carried, Lost>>;
}

/// Who a client says it is: headers that carry a credential of its own, never a caller's.
pub trait Login: Send + Sync + Debug + 'static {
    /// The headers of the next request.
    fn headers(&self) -> Pending<'_, HeaderMap>;

    /// The server refused them with this `WWW-Authenticate`; whether there are better ones now.
    fn refused(&self, challenge: Option<String>) -> Pending<'_, bool>;
}
