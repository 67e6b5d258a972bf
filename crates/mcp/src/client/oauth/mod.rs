//! OAuth 2.1 for a client: finds out who knows a server's users, asks for a token there, keeps it
//! fresh, and shows it to that server alone.
//!
//! Invariants:
//! - nothing is believed because it was said: a server speaks for itself only, an authorization
//!   server under the name that it was asked by, an answer for the question that was asked;
//! - what one authorization server knows of us is never shown to another;
//! - one log-in at a time does anything: whoever waits for it finds it done;
//! - no secret is in a text, an error or a debug output.

mod address;
mod ask;
mod challenge;
mod discover;
mod fetch;
mod flow;
mod form;
mod identity;
mod kept;
mod settings;
mod sign;
#[cfg(test)]
mod tests;
mod token;

use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::failure::Failure;
use super::web::{Denied, Login, Pending, Web};
use crate::{clock, tasks};
use ask::Question;
use challenge::Challenge;
use discover::{Authority, Resource};
use kept::Kept;

pub use kept::Store;
pub use settings::{Grant, OAuthSettings, Secret};

/// Limit: how long a person may take to agree.
pub const WAITS: Duration = Duration::from_mins(10);

/// Why nobody is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody has to log in.
    Login(String),
    /// What servers or settings say cannot be used; trying again changes nothing.
    Refused(String),
    /// It may work later.
    Later(String),
    /// This is no answer to what was asked.
    Answer(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Login(text) | Self::Refused(text) | Self::Later(text) | Self::Answer(text)) =
            self;
        f.write_str(text)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Login(text) | Trouble::Refused(text) | Trouble::Answer(text) => {
                Self::Unauthorized(Some(text))
            }
            Trouble::Later(text) => Self::lost(text),
        }
    }
}

/// Somebody with a browser, for clients that have one at hand.
pub trait Person: Send + Sync + std::fmt::Debug + 'static {
    /// Where the browser is sent back to.
    fn redirect(&self) -> String;

    /// Visits an address, and tells where the browser was sent to in the end.
    fn visit(&self, address: String) -> Pending<'_, Result<String, String>>;
}

/// What a log-in needs.
#[derive(Debug)]
pub struct Parts {
    /// How servers are reached.
    pub web: Arc<dyn Web>,
    /// The address of the server that wants a log-in.
    pub server: Uri,
    /// What people see when they are asked to agree.
    pub name: String,
    /// How we log in.
    pub settings: OAuthSettings,
    /// Where it is kept.
    pub store: Arc<dyn Store>,
    /// Who agrees, where somebody is at hand.
    pub person: Option<Arc<dyn Person>>,
}

/// How a log-in begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// A person has to visit this address.
    Ask(String),
    /// Nobody has to agree: it is done.
    Done,
}

/// What is known of a log-in, without what is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who gave the tokens.
    pub issuer: String,
    /// The rights they give.
    pub scopes: Vec<String>,
    /// When they end, in seconds since 1970, if that was said.
    pub until: Option<i64>,
    /// Whether they are replaced without anybody.
    pub renews: bool,
}

/// The log-in at one server.
#[derive(Debug)]
pub struct OAuth {
    this: Weak<Self>,
    parts: Parts,
    state: Mutex<State>,
    /// One at a time, so that a token that can be used once is used once.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    question: Option<Question>,
    challenge: Challenge,
}

/// Whom to ask, and what for.
#[derive(Debug)]
struct Settled {
    resource: Resource,
    authority: Authority,
}

impl OAuth {
    /// The log-in as it was kept; nothing is asked yet.
    #[must_use]
    pub fn new(parts: Parts) -> Arc<Self> {
        let kept = parts.store.load().map(|text| Kept::read(&text)).unwrap_or_default();
        let state = Mutex::new(State { kept, ..State::default() });
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            parts,
            state,
            turn: Semaphore::new(1),
        })
    }

    /// Begins a log-in; `redirect` is where the browser is sent back to.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn begin(&self, redirect: &str) -> Result<Begun, Trouble> {
        let redirect = redirect.to_owned();
        self.in_turn(async move |own| own.begun(&redirect).await).await
    }

    /// Ends a log-in with the address that the browser was sent to.
    ///
    /// # Errors
    /// [`Trouble`]; an address that answers another question leaves this one open.
    pub async fn finish(&self, address: &str) -> Result<(), Trouble> {
        let address = address.to_owned();
        self.in_turn(async move |own| own.finished(&address).await).await
    }

    /// Gives the tokens back and forgets everything.
    ///
    /// # Errors
    /// [`Trouble::Later`] when they could not be given back; they are forgotten all the same.
    pub async fn forget(&self) -> Result<(), Trouble> {
        self.in_turn(async |own| own.forgotten().await).await
    }

    /// What is known of it; nothing when nobody is logged in.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        let state = self.state.lock();
        let tokens = state.kept.tokens.as_ref()?;
        let renews = tokens.refresh.is_some() || self.parts.settings.grant == Grant::Client;
        Some(Status {
            issuer: state.kept.issuer().unwrap_or_default().to_owned(),
            scopes: tokens.scopes.clone(),
            until: tokens.until,
            renews,
        })
    }

    /// The headers of requests as they are now; nothing is replaced for them.
    #[must_use]
    pub fn current(&self) -> HeaderMap {
        self.shown().into_iter().map(|value| (AUTHORIZATION, value)).collect()
    }

    /// Does something when its turn has come. Whoever stops waiting for it does not stop it: a
    /// token that is given once must not be lost.
    async fn in_turn<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Arc<Self>) -> F + Send + 'static,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>> + Send,
    {
        let over = || Trouble::Later("the log-in was given up".to_owned());
        let own = self.this.upgrade().ok_or_else(over)?;
        let (send, done) = oneshot::channel();
        tasks::spawn(async move {
            // It is never closed.
            let Ok(_turn) = own.turn.acquire().await else { return };
            let outcome = Box::pin(work(Arc::clone(&own))).await;
            drop(send.send(outcome));
        });
        done.await.map_err(|_gone| over())?
    }

    /// What requests show now.
    fn shown(&self) -> Option<HeaderValue> {
        let state = self.state.lock();
        let token = state.kept.tokens.as_ref()?.access.expose();
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Whether what requests show is about to end and can be replaced.
    fn is_stale(&self) -> bool {
        let state = self.state.lock();
        let Some(tokens) = &state.kept.tokens else { return false };
        let renews = tokens.refresh.is_some() || self.parts.settings.grant == Grant::Client;
        renews && tokens.renew.is_some_and(|renew| clock::seconds() >= renew)
    }
}

impl Login for OAuth {
    fn headers(&self) -> Pending<'_, HeaderMap> {
        Box::pin(async move {
            if self.is_stale() {
                let renewed = self.in_turn(async |own| own.renewed().await).await;
                if let Err(trouble) = renewed {
                    // The server says whether the old one is still good.
                    tracing::debug!("a token was not replaced: {trouble}");
                }
            }
            self.current()
        })
    }

    fn refused(&self, denied: Denied) -> Pending<'_, Result<(), Failure>> {
        Box::pin(async move {
            let mended = self.in_turn(async move |own| own.mended(&denied).await).await;
            mended.map_err(Failure::from)
        })
    }
}

/// A text that nobody guesses: 43 letters.
fn random() -> Result<String, Trouble> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_none| Trouble::Later("the system gives no random bytes".to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
