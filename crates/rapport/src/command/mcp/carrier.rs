//! Where the bridge's messages go: to the server that runs now, wherever that is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Method};
use http_body_util::BodyDataStream;
use mcp::bridge::{Carried, Carrier, Lost, Pieces};
use tokio::time::Instant;

use super::super::background;
use super::super::reach::Reach;
use super::Frame;
use crate::remote::Server;

/// The endpoint below the server's address.
const ENDPOINT: &str = "/mcp";
/// Limit: how often a server is started that does not come up.
const START_EVERY: Duration = Duration::from_secs(10);

/// The server of this machine.
pub(super) struct Home {
    reach: Reach,
    starts: bool,
    state: Mutex<State>,
}

struct State {
    frame: Frame,
    server: Option<Server>,
    started: Option<Instant>,
}

impl Home {
    pub(super) fn new(frame: &Frame, reach: &Reach, starts: bool) -> Self {
        let state = State { frame: frame.quiet(), server: None, started: None };
        Self { reach: reach.clone(), starts, state: Mutex::new(state) }
    }

    /// The server as it was found, or is found now.
    fn server(&self) -> Result<Server, Lost> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &state.server {
            return Ok(server.clone());
        }
        let server = self.reach.server(&mut state.frame).map_err(|failure| {
            // A wrong address does not get right by waiting.
            Lost { why: failure.to_string(), unsent: false }
        })?;
        state.server = Some(server.clone());
        Ok(server)
    }

    /// It is not there: it is looked for anew the next time, and started if that is ours to do.
    fn missing(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.server = None;
        let waited = state.started.is_none_or(|at| at.elapsed() > START_EVERY);
        if !self.starts || !waited || self.reach.is_elsewhere(&state.frame) {
            return;
        }
        state.started = Some(Instant::now());
        if let Err(error) = background::start_quietly(&mut state.frame) {
            tracing::warn!("the server cannot be started: {error:#}");
        }
    }
}

impl Carrier for Home {
    async fn carry(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Carried, Lost> {
        let server = self.server()?;
        match server.raw((method, ENDPOINT), headers, body).await {
            Ok(answer) => Ok(answer.map(|body| {
                let pieces = BodyDataStream::new(body);
                let pieces: Pieces = pieces.map(|p| p.map_err(|e| e.to_string())).boxed();
                pieces
            })),
            Err(failure) => {
                let unsent = failure.may_be_retried(false);
                if unsent {
                    self.missing();
                }
                Err(Lost { why: failure.to_string(), unsent })
            }
        }
    }
}
