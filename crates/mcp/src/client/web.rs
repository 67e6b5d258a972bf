//! How a client reaches HTTP servers: one exchange at a time, and who it says it is.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, StatusCode};

use super::failure::Failure;
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

    /// The server refused them; after this there are better ones.
    ///
    /// # Errors
    /// Why there are none.
    fn refused(&self, denied: Denied) -> Pending<'_, Result<(), Failure>>;
}

/// How a server refused a credential, or wanted one.
#[derive(Clone, Debug)]
pub struct Denied {
    /// 401 or 403.
    pub status: StatusCode,
    /// What it says in `WWW-Authenticate`, line by line.
    pub challenges: Vec<String>,
    /// The `Authorization` that it was shown.
    pub shown: Option<HeaderValue>,
}

/// How a server is reached: the way out, and who we say we are there.
#[derive(Clone, Debug)]
pub(super) struct Out {
    pub(super) web: Arc<dyn Web>,
    pub(super) login: Option<Arc<dyn Login>>,
}

impl Out {
    /// One exchange; a server that wants to know who asks is told, where that is known.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] where it is not.
    pub(super) async fn exchange(&self, request: &Request<Bytes>) -> Result<Carried, Failure> {
        // Limit: once with what we have, then with what a log-in gives, then with more rights.
        const DENIALS_MAX: u32 = 2;
        let mut denials = 0;
        loop {
            let mut request = request.clone();
            if let Some(login) = &self.login {
                request.headers_mut().extend(login.headers().await);
            }
            let shown = request.headers().get(AUTHORIZATION).cloned();
            let answer = self.web.send(request).await?;
            let status = answer.status();
            let said = answer.headers().get_all(WWW_AUTHENTICATE).iter();
            let challenges: Vec<String> =
                said.filter_map(|value| value.to_str().ok()).map(ToOwned::to_owned).collect();
            let is_denied = match status {
                StatusCode::UNAUTHORIZED => true,
                StatusCode::FORBIDDEN => !challenges.is_empty(),
                _ => false,
            };
            if !is_denied {
                return Ok(answer);
            }
            let Some(login) = self.login.as_ref().filter(|_| denials < DENIALS_MAX) else {
                return Err(Failure::Unauthorized(None));
            };
            denials += 1;
            // Its words are of no use any more, and its connection may be.
            drop(answer);
            login.refused(Denied { status, challenges, shown }).await?;
        }
    }
}
