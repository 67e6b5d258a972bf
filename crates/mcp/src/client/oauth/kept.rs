//! What is kept of a log-in between two starts, and where.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::{Value, json};

use super::Secret;
use super::challenge::words;
use super::discover::Authority;

/// Where a log-in is kept. What it is given is secret: whoever keeps it seals it.
pub trait Store: Send + Sync + Debug + 'static {
    /// What was kept.
    fn load(&self) -> Option<String>;

    /// Keeps it in place of what was kept before, or forgets that.
    fn store(&self, text: Option<&str>);
}

/// How a client shows who it is where tokens are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Method {
    /// By its name alone; the code it proves to have asked for is enough.
    #[default]
    None,
    /// By a secret in the header.
    Basic,
    /// By a secret in the form.
    Post,
    /// By a signature.
    Signed,
}

impl Method {
    pub(super) const ALL: [Self; 4] = [Self::None, Self::Basic, Self::Post, Self::Signed];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::Signed => "private_key_jwt",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// A client as an authorization server knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: String,
    pub(super) secret: Option<Secret>,
    pub(super) method: Method,
    /// The address that it was registered with; nothing when nobody registered it here.
    pub(super) redirect: Option<String>,
}

/// What somebody is let in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tokens {
    pub(super) access: Secret,
    pub(super) refresh: Option<Secret>,
    /// When it has to be replaced, in seconds since 1970; nothing when it says nothing of an end.
    pub(super) renew: Option<i64>,
    /// When it ends.
    pub(super) until: Option<i64>,
    /// The rights it gives.
    pub(super) scopes: Vec<String>,
}

/// Everything about one log-in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Who gives the tokens.
    pub(super) authority: Option<Authority>,
    /// What the tokens are for.
    pub(super) resource: Option<String>,
    /// Where the server said that it describes itself.
    pub(super) described: Option<String>,
    /// Who we are to each authorization server; one's word is never shown to another.
    pub(super) identities: BTreeMap<String, Identity>,
    /// What we are let in with.
    pub(super) tokens: Option<Tokens>,
    /// The rights that were asked for, and those that are to be asked for the next time.
    pub(super) scopes: Vec<String>,
}

impl Kept {
    /// The text that is kept: it holds secrets.
    pub(super) fn text(&self) -> String {
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|s| s.expose().to_owned());
        let identities: BTreeMap<&String, Value> = self
            .identities
            .iter()
            .map(|(issuer, one)| {
                let value = json!({"id": one.id, "secret": secret(&one.secret),
                                   "method": one.method.name(), "redirect": one.redirect});
                (issuer, value)
            })
            .collect();
        let tokens = self.tokens.as_ref().map(|tokens| {
            json!({"access": tokens.access.expose(), "refresh": secret(&tokens.refresh),
                   "renew": tokens.renew, "until": tokens.until,
                   "scopes": tokens.scopes.join(" ")})
        });
        json!({
            "authority": self.authority.as_ref().map(Authority::json),
            "resource": self.resource, "described": self.described,
            "identities": identities, "tokens": tokens, "scopes": self.scopes.join(" "),
        })
        .to_string()
    }

    /// Reads what was kept; what is not readable is as if nothing had been kept.
    pub(super) fn read(text: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(text) else { return Self::default() };
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).map(ToOwned::to_owned)
        };
        let identity = |value: &Value| {
            Some(Identity {
                id: text(value, "id")?,
                secret: text(value, "secret").map(Secret::new),
                method: Method::parse(&text(value, "method")?)?,
                redirect: text(value, "redirect"),
            })
        };
        let tokens = value.get("tokens").and_then(|tokens| {
            Some(Tokens {
                access: Secret::new(text(tokens, "access")?),
                refresh: text(tokens, "refresh").map(Secret::new),
                renew: tokens.get("renew").and_then(Value::as_i64),
                until: tokens.get("until").and_then(Value::as_i64),
                scopes: words(&text(tokens, "scopes").unwrap_or_default()),
            })
        });
        let identities = value.get("identities").and_then(Value::as_object);
        let authority = value.get("authority").cloned();
        Self {
            authority: authority.and_then(|authority| serde_json::from_value(authority).ok()),
            resource: text(&value, "resource"),
            described: text(&value, "described"),
            identities: identities
                .into_iter()
                .flatten()
                .filter_map(|(issuer, one)| Some((issuer.clone(), identity(one)?)))
                .collect(),
            tokens,
            scopes: words(&text(&value, "scopes").unwrap_or_default()),
        }
    }

    /// The name of whoever gives the tokens.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.authority.as_ref().map(|authority| authority.issuer.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_shows_no_secret_on_the_way() {
        let identity = Identity {
            id: "me".to_owned(),
            secret: Some(Secret::new("s3cret")),
            method: Method::Post,
            redirect: Some("http://127.0.0.1:1/callback".to_owned()),
        };
        let kept = Kept {
            authority: Some(Authority {
                issuer: "https://i.example".to_owned(),
                token_endpoint: "https://i.example/t".to_owned(),
                token_endpoint_auth_methods_supported: Some(vec!["none".to_owned()]),
                ..Authority::default()
            }),
            resource: Some("https://a.example".to_owned()),
            described: None,
            identities: [("https://i.example".to_owned(), identity)].into(),
            tokens: Some(Tokens {
                access: Secret::new("t0ken"),
                refresh: Some(Secret::new("r3fresh")),
                renew: Some(5),
                until: Some(7),
                scopes: vec!["a".to_owned()],
            }),
            scopes: vec!["a".to_owned(), "b".to_owned()],
        };
        assert_eq!(Kept::read(&kept.text()), kept);
        let shown = format!("{kept:?}");
        assert!(!["s3cret", "t0ken", "r3fresh"].iter().any(|secret| shown.contains(secret)));
        for broken in ["", "[]", "{}", "{\"tokens\": 7}", "{\"identities\": {\"x\": 1}}"] {
            assert_eq!(Kept::read(broken), Kept::default(), "{broken}");
        }
    }
}
