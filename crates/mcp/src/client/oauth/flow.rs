//! The way to a token, step by step. Everything here runs in its turn.

use std::sync::Arc;

use super::super::web::Denied;
use super::ask::{Question, Wrong};
use super::challenge::Challenge;
use super::discover::settle;
use super::form::Form;
use super::identity::{Asked, identity};
use super::kept::{Kept, Tokens};
use super::settings::Grant;
use super::token::{Counter, Denied as No};
use super::{Begun, OAuth, Settled, Trouble};

/// The right that makes a log-in stay, where there is such a thing.
const OFFLINE: &str = "offline_access";

impl OAuth {
    /// Finds something better to show than what was refused.
    pub(super) async fn mended(&self, denied: &Denied) -> Result<(), Trouble> {
        if self.shown().is_some_and(|now| denied.shown.as_ref() != Some(&now)) {
            // Somebody was faster.
            return Ok(());
        }
        let challenge = Challenge::read(denied.challenges.iter().map(String::as_str));
        let is_known = denied.shown.is_some();
        self.state.lock().challenge = challenge.clone();
        let mut why = "it wants a log-in".to_owned();
        if denied.status == http::StatusCode::FORBIDDEN {
            why = self.wants_more(&challenge).await?;
        } else if is_known {
            match self.renewed_at_its_word(&challenge).await {
                Ok(()) => return Ok(()),
                Err(Trouble::Login(text)) => why = text,
                Err(other) => return Err(other),
            }
        }
        if self.parts.settings.grant == Grant::Client {
            return self.by_itself().await;
        }
        let Some(person) = &self.parts.person else { return Err(Trouble::Login(why)) };
        if let Begun::Ask(address) = self.begun(&person.redirect()).await? {
            let visited = person.visit(address).await.map_err(Trouble::Login)?;
            self.finished(&visited).await?;
        }
        Ok(())
    }

    /// Notes the rights that are missing; in words, what they are.
    async fn wants_more(&self, challenge: &Challenge) -> Result<String, Trouble> {
        if challenge.error.as_deref() != Some("insufficient_scope") {
            return Err(Trouble::Login("it refuses what we show (HTTP 403)".to_owned()));
        }
        let mut kept = self.kept();
        let known = |scope: &&String| kept.scopes.contains(*scope);
        let more: Vec<String> =
            challenge.scopes.iter().filter(|scope| !known(scope)).cloned().collect();
        if more.is_empty() {
            // Asking again for the same would go on for ever.
            let text = "it wants more rights, and they were asked for and not given";
            return Err(Trouble::Login(format!("{text}: {}", named(&challenge.scopes))));
        }
        let why = format!("it wants more rights: {}", named(&more));
        kept.scopes.extend(more);
        self.keep(kept).await;
        Ok(why)
    }

    /// A token was refused before its time: replaces it, if whoever gave it is still the one to
    /// ask. One that cannot be replaced is forgotten.
    async fn renewed_at_its_word(&self, challenge: &Challenge) -> Result<(), Trouble> {
        let kept = self.kept();
        let renews = kept.tokens.as_ref().is_some_and(|tokens| tokens.refresh.is_some());
        let settled = self.settled(challenge, &kept).await?;
        let is_same = kept.issuer() == Some(settled.authority.issuer.as_str());
        if renews && is_same {
            return self.renewed().await;
        }
        let why =
            if is_same { "its log-in has ended" } else { "it has another authorization server" };
        self.keep(Kept { tokens: None, ..kept }).await;
        Err(Trouble::Login(why.to_owned()))
    }

    /// Replaces the token by what is kept for that.
    pub(super) async fn renewed(&self) -> Result<(), Trouble> {
        if self.parts.settings.grant == Grant::Client {
            return self.by_itself().await;
        }
        let mut kept = self.kept();
        let nothing = || Trouble::Login("it wants a log-in".to_owned());
        let (Some(old), Some(authority)) = (kept.tokens.clone(), kept.authority.clone()) else {
            return Err(nothing());
        };
        let Some(refresh) = &old.refresh else { return Err(nothing()) };
        let redirect = kept.identities.get(&authority.issuer).and_then(|one| one.redirect.clone());
        let asked = self.asked(&authority, &kept);
        let identity = identity(&self.parts.web, &asked, redirect.as_deref()).await?;
        let form = Form::default()
            .with("grant_type", "refresh_token")
            .with("refresh_token", refresh.expose())
            .with_some("resource", kept.resource.as_deref());
        let key = self.parts.settings.private_key.as_ref();
        let counter =
            Counter { web: &self.parts.web, authority: &authority, identity: &identity, key };
        match counter.ask(form, &old.scopes).await {
            Ok(fresh) => {
                let refresh = fresh.refresh.clone().or(old.refresh);
                kept.tokens = Some(Tokens { refresh, ..fresh });
                self.keep(kept).await;
                Ok(())
            }
            Err(No::No(code, why)) if is_passing(&code) => {
                Err(Trouble::Later(format!("its token is not replaced: {code}{why}")))
            }
            Err(No::No(code, why)) => {
                kept.tokens = None;
                if is_of_the_client(&code) {
                    kept.identities.remove(&authority.issuer);
                }
                self.keep(kept).await;
                Err(Trouble::Login(format!("its log-in has ended: {code}{why}")))
            }
            Err(No::Trouble(trouble)) => Err(trouble),
        }
    }

    /// A token for the client's own credentials.
    async fn by_itself(&self) -> Result<(), Trouble> {
        let (mut kept, challenge) = (self.kept(), self.state.lock().challenge.clone());
        let settled = self.settled(&challenge, &kept).await?;
        let scopes = self.scopes(&settled, &challenge, &kept);
        let authority = settled.authority;
        let identity = identity(&self.parts.web, &self.asked(&authority, &kept), None).await?;
        let resource = settled.resource.name;
        let scope = Some(scopes.join(" ")).filter(|scope| !scope.is_empty());
        let form = Form::default()
            .with("grant_type", "client_credentials")
            .with_some("scope", scope.as_deref())
            .with_some("resource", resource.as_deref());
        let key = self.parts.settings.private_key.as_ref();
        let counter =
            Counter { web: &self.parts.web, authority: &authority, identity: &identity, key };
        let tokens = counter.ask(form, &scopes).await?;
        kept.described = challenge.resource_metadata.or(kept.described);
        kept.authority = Some(authority);
        (kept.resource, kept.scopes, kept.tokens) = (resource, scopes, Some(tokens));
        self.keep(kept).await;
        Ok(())
    }

    /// Begins a log-in.
    pub(super) async fn begun(&self, redirect: &str) -> Result<Begun, Trouble> {
        if self.parts.settings.grant == Grant::Client {
            return self.by_itself().await.map(|()| Begun::Done);
        }
        let (mut kept, challenge) = (self.kept(), self.state.lock().challenge.clone());
        let settled = self.settled(&challenge, &kept).await?;
        let asked = self.asked(&settled.authority, &kept);
        let identity = identity(&self.parts.web, &asked, Some(redirect)).await?;
        let scopes = self.scopes(&settled, &challenge, &kept);
        let issuer = settled.authority.issuer.clone();
        let (question, address) = Question::new(settled, identity.clone(), (redirect, scopes))?;
        if identity.redirect.is_some() && kept.identities.get(&issuer) != Some(&identity) {
            kept.identities.insert(issuer, identity);
            self.keep(kept).await;
        }
        self.state.lock().question = Some(question);
        Ok(Begun::Ask(address))
    }

    /// Ends a log-in.
    pub(super) async fn finished(&self, address: &str) -> Result<(), Trouble> {
        let (code, question) = self.answered(address)?;
        let mut kept = self.kept();
        let form = Form::default()
            .with("grant_type", "authorization_code")
            .with("code", &code)
            .with("redirect_uri", &question.redirect)
            .with("code_verifier", &question.verifier)
            .with_some("resource", question.resource.name.as_deref());
        let (authority, identity) = (&question.authority, &question.identity);
        let key = self.parts.settings.private_key.as_ref();
        let counter = Counter { web: &self.parts.web, authority, identity, key };
        let tokens = match counter.ask(form, &question.scopes).await {
            Ok(tokens) => tokens,
            Err(denied) => {
                if matches!(&denied, No::No(code, _) if is_of_the_client(code)) {
                    kept.identities.remove(&authority.issuer);
                    self.keep(kept).await;
                }
                return Err(denied.into());
            }
        };
        let described = self.state.lock().challenge.resource_metadata.clone();
        kept.described = described.or(kept.described);
        kept.authority = Some(question.authority);
        kept.resource = question.resource.name;
        (kept.scopes, kept.tokens) = (question.scopes, Some(tokens));
        self.keep(kept).await;
        Ok(())
    }

    /// The code in an answer, and the question that it answers, which is over.
    fn answered(&self, address: &str) -> Result<(String, Question), Trouble> {
        let nobody = || Trouble::Answer("no log-in is under way: begin one".to_owned());
        let mut state = self.state.lock();
        let mut question = state.question.take().filter(|q| !q.is_over()).ok_or_else(nobody)?;
        match question.code(address) {
            Ok(code) => Ok((code, question)),
            Err(Wrong::Other(text)) => {
                // Who sends nonsense must not end what somebody else began.
                state.question = Some(question);
                Err(Trouble::Answer(text))
            }
            Err(no @ Wrong::No(_)) => Err(no.into()),
        }
    }

    /// Gives the tokens back and forgets everything.
    pub(super) async fn forgotten(&self) -> Result<(), Trouble> {
        let kept = self.kept();
        self.state.lock().question = None;
        let store = Arc::clone(&self.parts.store);
        self.state.lock().kept = Kept::default();
        drop(tokio::task::spawn_blocking(move || store.store(None)).await);
        let (Some(authority), Some(tokens)) = (&kept.authority, &kept.tokens) else {
            return Ok(());
        };
        let redirect = kept.identities.get(&authority.issuer).and_then(|one| one.redirect.clone());
        let asked = self.asked(authority, &kept);
        let identity = identity(&self.parts.web, &asked, redirect.as_deref()).await?;
        let key = self.parts.settings.private_key.as_ref();
        let counter = Counter { web: &self.parts.web, authority, identity: &identity, key };
        if let Some(refresh) = &tokens.refresh {
            counter.revoke(refresh, "refresh_token").await?;
        }
        counter.revoke(&tokens.access, "access_token").await
    }

    /// Whom to ask, after what the server says now.
    async fn settled(&self, challenge: &Challenge, kept: &Kept) -> Result<Settled, Trouble> {
        let named = challenge.resource_metadata.as_deref().or(kept.described.as_deref());
        let wanted = self.parts.settings.issuer.as_deref();
        let bound = wanted.or(kept.issuer());
        let settled = settle(&self.parts.web, &self.parts.server, (named, bound)).await?;
        let issuer = settled.authority.issuer.as_str();
        match wanted.filter(|wanted| *wanted != issuer) {
            None => Ok(settled),
            Some(wanted) => Err(Trouble::Refused(format!(
                "`oauth.issuer` is `{wanted}`, and the server names `{issuer}`"
            ))),
        }
    }

    /// The rights to ask for: those the server wants now, else those it knows; with them those that
    /// were asked for before, so that nothing is lost on the way.
    fn scopes(&self, settled: &Settled, challenge: &Challenge, kept: &Kept) -> Vec<String> {
        let settings = &self.parts.settings.scopes;
        let mut all = settings.clone();
        all.extend(challenge.scopes.iter().cloned());
        if all.is_empty() {
            all.clone_from(&settled.resource.scopes);
        }
        let authority = &settled.authority;
        if kept.issuer().is_none_or(|issuer| issuer == authority.issuer) {
            all.extend(kept.scopes.iter().cloned());
        }
        let stays = authority.scopes_supported.iter().any(|scope| scope == OFFLINE);
        if stays && !all.is_empty() && self.parts.settings.grant == Grant::Person {
            all.push(OFFLINE.to_owned());
        }
        super::challenge::words(&all.join(" "))
    }

    fn asked<'a>(&'a self, authority: &'a super::Authority, kept: &'a Kept) -> Asked<'a> {
        let parts = &self.parts;
        let (settings, name) = (&parts.settings, parts.name.as_str());
        Asked { authority, settings, kept, name }
    }

    fn kept(&self) -> Kept {
        self.state.lock().kept.clone()
    }

    /// What counts from now on; it is on the disk before anybody is told.
    async fn keep(&self, kept: Kept) {
        let (text, store) = (kept.text(), Arc::clone(&self.parts.store));
        self.state.lock().kept = kept;
        drop(tokio::task::spawn_blocking(move || store.store(Some(&text))).await);
    }
}

/// Whether an authorization server says so only for now.
fn is_passing(code: &str) -> bool {
    matches!(code, "temporarily_unavailable" | "server_error" | "slow_down")
}

/// Whether it does not know the client any more.
fn is_of_the_client(code: &str) -> bool {
    matches!(code, "invalid_client" | "unauthorized_client")
}

/// Rights in words.
fn named(scopes: &[String]) -> String {
    let all: Vec<String> = scopes.iter().take(20).map(|scope| format!("`{scope}`")).collect();
    if all.is_empty() { "it does not say which".to_owned() } else { all.join(", ") }
}
