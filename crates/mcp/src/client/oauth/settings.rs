//! How a client logs in to a server, as somebody may configure it; nothing of it is needed where
//! the servers help each other.

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever must have it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What a token is given for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grant {
    /// A person agrees in a browser.
    #[default]
    Person,
    /// The client's own credentials are enough.
    Client,
}

/// How a client logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuthSettings {
    /// What a token is given for.
    pub grant: Grant,
    /// The client's id, where it was registered by hand.
    pub client_id: Option<String>,
    /// Its secret, if it has one.
    pub client_secret: Option<Secret>,
    /// A private key in PEM that it signs with instead of showing a secret.
    pub private_key: Option<Secret>,
    /// The authorization server that knows this client; nobody else is shown its credentials.
    pub issuer: Option<String>,
    /// Rights that are always asked for.
    pub scopes: Vec<String>,
    /// Where the client describes itself, for authorization servers that read such descriptions.
    pub client_metadata_url: Option<String>,
}
