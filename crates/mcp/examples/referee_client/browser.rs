//! Somebody with a browser who agrees to everything: goes where it is sent, once.

use bytes::Bytes;
use mcp::client::oauth::Person;
use mcp::client::{Pending, Web as _};

use crate::way::Way;

/// Nobody listens there: where the browser would go next says it all.
const REDIRECT: &str = "http://localhost:3000/callback";

/// Who agrees.
#[derive(Debug)]
pub(crate) struct Browser;

impl Person for Browser {
    fn redirect(&self) -> String {
        REDIRECT.to_owned()
    }

    fn visit(&self, address: String) -> Pending<'_, Result<String, String>> {
        Box::pin(async move {
            let request = http::Request::get(&address).body(Bytes::new());
            let answer = Way.send(request.map_err(|e| e.to_string())?).await;
            let answer = answer.map_err(|lost| lost.why)?;
            let to = answer.headers().get("location").and_then(|value| value.to_str().ok());
            to.map(ToOwned::to_owned).ok_or_else(|| format!("{} and no redirect", answer.status()))
        })
    }
}
