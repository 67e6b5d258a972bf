//! How joined servers let us in: one log-in for each, kept by whoever opened the gateway.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::{HeaderMap, Request};
use mcp::bridge::{Carried, Lost};
use mcp::client::oauth::{Begun, Grant, OAuth, Parts, Store, Trouble};
use mcp::client::{Denied, Failure, Login, Pending, Web};
use parking_lot::Mutex;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::Inside;
use super::joint::Joint;
use super::settings::{Reach, ServerSettings};

/// Where log-ins are kept, sealed, each for its server and its address alone.
pub trait Logins: Send + Sync + std::fmt::Debug {
    /// The place of one.
    fn of(&self, server: &str, url: &str) -> Arc<dyn Store>;
}

/// Keeps a log-in for as long as the program runs.
#[derive(Debug, Default)]
struct Memory(Mutex<Option<String>>);

impl Store for Memory {
    fn load(&self) -> Option<String> {
        self.0.lock().clone()
    }

    fn store(&self, text: Option<&str>) {
        *self.0.lock() = text.map(ToOwned::to_owned);
    }
}

/// The way out of a server, as it is now.
#[derive(Debug)]
struct Out {
    inside: Weak<Inside>,
    name: String,
}

impl Web for Out {
    fn send(&self, request: Request<Bytes>) -> Pending<'_, Result<Carried, Lost>> {
        Box::pin(async move {
            let gone = || Lost { why: "nobody is here".to_owned(), unsent: true };
            let web = self.inside.upgrade().ok_or_else(gone)?.web(&self.name);
            web.send(request).await
        })
    }
}

/// The log-in of a server behind an address; none where a credential was given by hand.
pub(super) fn of(settings: &ServerSettings, inside: &Weak<Inside>) -> Option<Arc<OAuth>> {
    let url = address(settings)?;
    let home = inside.upgrade()?;
    let logins = home.home.get().and_then(|home| home.logins.clone());
    let store = match logins {
        Some(logins) => logins.of(&settings.name, url),
        None => Arc::new(Memory::default()),
    };
    let web = Out { inside: Weak::clone(inside), name: settings.name.clone() };
    opened(settings, (Arc::new(web), store))
}

/// The log-in of a server with this way to it and this place to keep it.
pub(super) fn opened(
    settings: &ServerSettings,
    (web, store): (Arc<dyn Web>, Arc<dyn Store>),
) -> Option<Arc<OAuth>> {
    let server = address(settings)?.parse().ok()?;
    let (name, settings) = ("Rapport".to_owned(), settings.oauth.clone());
    Some(OAuth::new(Parts { web, server, name, settings, store, person: None }))
}

/// The log-in of a server that somebody else keeps fresh.
pub(super) fn borrowed(
    settings: &ServerSettings,
    (web, kept): (&Arc<dyn Web>, Option<Arc<dyn Store>>),
) -> Option<Arc<dyn Login>> {
    let by_itself = settings.oauth.grant == Grant::Client;
    let kept = kept.filter(|_| !by_itself).unwrap_or_else(|| Arc::new(Memory::default()));
    let login = opened(settings, (Arc::clone(web), kept))?;
    Some(if by_itself { login } else { Arc::new(Borrowed(login)) })
}

/// Shows what there is, and nothing else.
#[derive(Debug)]
struct Borrowed(Arc<OAuth>);

impl Login for Borrowed {
    fn headers(&self) -> Pending<'_, HeaderMap> {
        Box::pin(std::future::ready(self.0.current()))
    }

    fn refused(&self, _: Denied) -> Pending<'_, Result<(), Failure>> {
        let why = match self.0.status() {
            None => "it wants a log-in",
            Some(status) if status.renews => {
                "its token is refused here; a running server replaces it when it uses it"
            }
            Some(_) => "its log-in has ended",
        };
        Box::pin(std::future::ready(Err(Failure::Unauthorized(Some(why.to_owned())))))
    }
}

/// What somebody has to do so that a server lets us in.
pub(super) fn how_to(settings: &ServerSettings) -> String {
    let name = &settings.name;
    match address(settings) {
        Some(_) if settings.oauth.grant == Grant::Client => {
            format!("check `mcp.servers.{name}.oauth`")
        }
        Some(_) => format!("run `rapport mcp login {name}`"),
        None => format!("give it a credential in `mcp.servers.{name}.headers`"),
    }
}

fn address(settings: &ServerSettings) -> Option<&str> {
    let Reach::Address { url, headers, .. } = &settings.reach else { return None };
    let by_hand = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    (!by_hand).then_some(url)
}

impl Joint {
    /// Begins a log-in: the address that a person has to visit, or nothing when it is done.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn log_in(&self, redirect: &str) -> Result<Option<String>, Fault> {
        let login = self.login()?;
        match login.begin(redirect).await.map_err(|trouble| self.in_trouble(&trouble))? {
            Begun::Ask(address) => Ok(Some(address)),
            Begun::Done => {
                self.again();
                Ok(None)
            }
        }
    }

    /// Ends a log-in with the address that the browser was sent to, and tries the server again.
    ///
    /// # Errors
    /// Why nobody is logged in.
    pub(crate) async fn logged_in(&self, address: &str) -> Result<(), Fault> {
        let done = self.login()?.finish(address).await;
        done.map_err(|trouble| self.in_trouble(&trouble))?;
        self.again();
        Ok(())
    }

    /// Gives a log-in back and forgets it; why the server could not be told, if that is so.
    pub(crate) async fn log_out(&self) -> Option<String> {
        // Where nobody can log in nobody is, which is what was wanted.
        let untold = self.login.as_ref()?.forget().await.err();
        self.drop_link();
        untold.map(|trouble| trouble.to_string())
    }

    /// Whether there is a log-in.
    pub(crate) fn is_logged_in(&self) -> bool {
        self.login.as_ref().is_some_and(|login| login.status().is_some())
    }

    /// What is known of the log-in, without what is secret.
    pub(super) fn login_shown(&self) -> Value {
        let Some(status) = self.login.as_ref().and_then(|login| login.status()) else {
            return Value::Null;
        };
        let until = status.until.and_then(|until| jiff::Timestamp::from_second(until).ok());
        json!({"issuer": status.issuer, "scopes": status.scopes, "renews": status.renews,
               "expires_at": until.map(|until| until.to_string())})
    }

    /// What somebody has to do so that the server lets us in.
    pub(crate) fn how_to_login(&self) -> String {
        how_to(&self.settings)
    }

    fn login(&self) -> Result<&Arc<OAuth>, Fault> {
        self.login.as_ref().ok_or_else(|| {
            let name = self.name();
            let text = format!("the joined server `{name}` is not logged in to by OAuth");
            let hint = match &self.settings.reach {
                Reach::Address { .. } => "it gets its credential from `headers`",
                Reach::Program(_) => "it is a program: give it credentials in `env`",
                Reach::Api { .. } => "it is an API: give it credentials in `headers`",
            };
            Fault::new(Code::InvalidInput, text).hint(hint)
        })
    }

    fn in_trouble(&self, trouble: &Trouble) -> Fault {
        let text = format!("no log-in at the joined server `{}`: {trouble}", self.name());
        match trouble {
            Trouble::Answer(text) => Fault::new(Code::InvalidInput, text.as_str())
                .hint("send the whole address that the browser shows after the log-in"),
            Trouble::Later(_) => Fault::new(Code::UpstreamUnavailable, text).hint("try it again"),
            Trouble::Login(_) | Trouble::Refused(_) => Fault::new(Code::UpstreamError, text)
                .blamed(wire::Blame::Upstream)
                .hint(format!("`rapport mcp login {}` begins anew", self.name())),
        }
    }
}
