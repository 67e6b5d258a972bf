//! The last step before a request leaves: its signature, or the token that its key buys.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::Uri;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use wire::{Code, Fault};

use super::call::now;
use super::upstream::Site;
use crate::client::{Base, Client, Request, Tls, after};
use crate::provider::{self, AuthKind, Token, TokenAsk};
use crate::settings::KeySettings;

/// The tokens of a provider's keys, each bought once and kept until shortly before its end.
#[derive(Debug)]
pub(super) struct Tokens {
    /// One purchase at a time: those who wait find the token there.
    gate: Semaphore,
    /// By the name of the key; as many as there are keys.
    held: Mutex<HashMap<String, Token>>,
    tls: Tls,
    local_only: bool,
}

impl Tokens {
    pub(super) fn new(tls: Tls, local_only: bool) -> Self {
        Self { gate: Semaphore::new(1), held: Mutex::default(), tls, local_only }
    }

    fn get(&self, key: &str, now: Timestamp) -> Option<Token> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(key).filter(|token| now < token.until).cloned()
    }

    fn put(&self, key: &str, token: Token) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.insert(key.to_owned(), token);
    }
}

impl Site {
    /// Signs a request as it is sent now; it must not be changed, or sent later, after this.
    ///
    /// # Errors
    /// `configuration_error` when the key is not usable, and the faults of buying a token.
    pub(super) async fn signed(
        &self,
        mut request: Request,
        key: Option<&KeySettings>,
    ) -> Result<Request, Fault> {
        let Some(key) = key else { return Ok(request) };
        if self.settings.auth != AuthKind::Google {
            provider::sign(&self.settings, key, &mut request, now())?;
        } else if !request.headers.contains_key(AUTHORIZATION) {
            self.token(key, &request).await?.put(&mut request.headers);
        }
        Ok(request)
    }

    async fn token(&self, key: &KeySettings, request: &Request) -> Result<Token, Fault> {
        if let Some(token) = self.tokens.get(&key.name, now()) {
            return Ok(token);
        }
        // The gate is never closed.
        let _turn = self.tokens.gate.acquire().await.ok();
        if let Some(token) = self.tokens.get(&key.name, now()) {
            return Ok(token);
        }
        let ask = provider::token(&self.settings, key, now())?;
        let token = self.buy(ask, request).await?;
        self.tokens.put(&key.name, token.clone());
        Ok(token)
    }

    async fn buy(&self, ask: TokenAsk, request: &Request) -> Result<Token, Fault> {
        let name = self.name();
        let uri: Uri = ask.uri.parse().map_err(|cause| {
            let text = format!("the token endpoint of provider `{name}` is no address");
            Fault::new(Code::ConfigurationError, text).because(cause)
        })?;
        let base = Base::parse(name, &ask.uri)?;
        let way = (self.tokens.tls.clone(), self.tokens.local_only);
        let client = Client::new(name, base, self.settings.deadlines, way);
        let until = request.until.min(after(self.settings.deadlines.first_byte));
        let ask = Request { uri, headers: ask.headers, body: ask.body, until };
        let mut answer = client.call(ask).await.map_err(|ended| ended.fault)?;
        let status = answer.status;
        let body = answer.whole().await.map_err(|ended| ended.fault)?;
        if status.is_success() {
            return Token::read(name, &body, now());
        }
        let said: String = self.clean(&String::from_utf8_lossy(&body)).chars().take(200).collect();
        let text = format!("provider `{name}` sells no token: its endpoint says {status}: {said}");
        Err(Fault::new(Code::UpstreamError, text)
            .blamed(wire::Blame::Us)
            .details(serde_json::json!({"upstream_status": status.as_u16()}))
            .hint("check the service account, its key and the clock of this machine"))
    }
}
