//! How joined servers behind addresses are reached: the same client as for models, one pool for
//! each origin, and never a proxy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http::{Method, Request};
use mcp::bridge::{Carried, Lost, Pieces};
use mcp::client::{Pending, Web};
use parking_lot::Mutex;
use wire::Fault;

use crate::client::{self, Answer, Base, Client, Ended, Tls, after};
use crate::settings::Deadlines;

/// Limit: origins of one server: its own, and those of who knows its users.
const ORIGINS_MAX: usize = 16;
/// Limit: a stream of changes lives as long as this without a word.
const LISTEN: Duration = Duration::from_hours(24);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The way out of one joined server.
#[derive(Debug)]
pub(crate) struct Outside {
    name: String,
    tls: Tls,
    local_only: bool,
    clients: Mutex<HashMap<String, Arc<Client>>>,
}

impl Outside {
    /// Nothing is connected before it is used.
    pub(crate) fn new(name: &str, tls: Tls, local_only: bool) -> Self {
        Self { name: name.to_owned(), tls, local_only, clients: Mutex::default() }
    }

    fn client(&self, request: &Request<Bytes>) -> Result<Arc<Client>, Fault> {
        let uri = request.uri();
        let origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or("http"),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&origin) {
            return Ok(Arc::clone(client));
        }
        let base = Base::parse(&self.name, &origin)?;
        let deadlines =
            Deadlines { connect: CONNECT, first_byte: LISTEN, idle: LISTEN, total: LISTEN };
        let ways = (self.tls.clone(), self.local_only);
        let client = Arc::new(Client::new(&self.name, base, deadlines, ways));
        if clients.len() >= ORIGINS_MAX {
            clients.clear();
        }
        clients.insert(origin, Arc::clone(&client));
        Ok(client)
    }
}

impl Web for Outside {
    fn send(&self, request: Request<Bytes>) -> Pending<'_, Result<Carried, Lost>> {
        Box::pin(async move {
            let client = self.client(&request).map_err(|fault| lost(&fault, true))?;
            let until = after(LISTEN);
            let sent = if request.method() == Method::POST {
                let (head, body) = request.into_parts();
                let (uri, headers) = (head.uri, head.headers);
                client.call_endless(client::Request { uri, headers, body, until }).await
            } else {
                client.relay(request.map(axum::body::Body::from), until).await
            };
            match sent {
                Ok(answer) => Ok(carried(answer)),
                Err(ended) => Err(lost(&ended.fault, ended.unsent)),
            }
        })
    }
}

fn carried(mut answer: Answer) -> Carried {
    let status = answer.status;
    let headers = std::mem::take(&mut answer.headers);
    let pieces = unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        match answer.chunk().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(answer))),
            Ok(None) => None,
            Err(Ended { fault, .. }) => Some((Err(fault.text().to_owned()), None)),
        }
    });
    let pieces: Pieces = pieces.boxed();
    let mut carried = Carried::new(pieces);
    *carried.status_mut() = status;
    *carried.headers_mut() = headers;
    carried
}

fn lost(fault: &Fault, unsent: bool) -> Lost {
    // The client was written for the upstreams of models.
    Lost { why: fault.text().replace("provider `", "server `"), unsent }
}
