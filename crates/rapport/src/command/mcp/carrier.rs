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
use crate::remote::{Address, Server};

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
    /// Where it was found first: a bridge does not go over to another one on a guess.
    first: Option<Address>,
    started: Option<Instant>,
    starting: Option<background::Started>,
    /// Why no server comes up, as of the last exchange.
    hopeless: Option<String>,
}

impl Home {
    pub(super) fn new(frame: &Frame, reach: &Reach, starts: bool) -> Self {
        let state = State {
            frame: frame.quiet(),
            server: None,
            first: None,
            started: None,
            starting: None,
            hopeless: None,
        };
        Self { reach: reach.clone(), starts, state: Mutex::new(state) }
    }

    /// The server as it was found, or is found now.
    fn server(&self) -> Result<Server, Lost> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &state.server {
            return Ok(server.clone());
        }
        let state = &mut *state;
        match self.reach.found(&mut state.frame) {
            Ok((server, found)) => {
                let first = state.first.get_or_insert_with(|| found.address.clone());
                if found.guessed && *first != found.address {
                    // Somebody else's server may be there; ours comes back where it will say.
                    return Err(Lost { why: format!("no server is at {first} now"), unsent: true });
                }
                state.server = Some(server.clone());
                Ok(server)
            }
            // A wrong address or configuration does not get right by waiting.
            Err(failure) => {
                let why = failure.to_string();
                state.give_up(why.clone());
                Err(Lost { why, unsent: true })
            }
        }
    }

    /// It is not there: it is looked for anew the next time, and started if that is ours to do.
    fn missing(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.server = None;
        if let Some(why) = state.starting.as_mut().and_then(background::Started::failure) {
            return state.give_up(why);
        }
        let waited = state.started.is_none_or(|at| at.elapsed() > START_EVERY);
        // What does not run on this machine is not ours to start.
        let far = state.first.as_ref().is_some_and(|first| !first.is_loopback());
        if far || !self.starts || !waited || self.reach.is_elsewhere(&state.frame) {
            return;
        }
        match background::start_quietly(&mut state.frame) {
            Ok(starting) => {
                state.started = Some(Instant::now());
                state.starting = Some(starting);
            }
            Err(error) => state.give_up(format!("the server cannot be started: {error:#}")),
        }
    }
}

impl State {
    /// Says so in the client's log as well; the next message tries anew.
    fn give_up(&mut self, why: String) {
        self.frame.printer.error(&why);
        self.started = None;
        self.starting = None;
        self.hopeless = Some(why);
    }
}

impl Carrier for Home {
    async fn carry(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Carried, Lost> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).hopeless = None;
        let server = match self.server() {
            Ok(server) => server,
            Err(lost) => {
                // What is hopeless stays so; what is only away is started where that is ours.
                if self.hopeless().is_none() {
                    self.missing();
                }
                return Err(lost);
            }
        };
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

    fn hopeless(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).hopeless.clone()
    }
}
