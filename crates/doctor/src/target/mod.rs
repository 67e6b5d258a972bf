//! Reads the address a user wrote, keeping every part of it as written.
//!
//! Invariant: the port stays text here, so that a number above 65535 survives to be explained.

mod read;
#[cfg(test)]
mod tests;

use std::fmt;

pub use read::BadTarget;

/// The schemes that say which protocol is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// WebSocket over plain HTTP.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// JSON lines, or any other protocol without HTTP.
    Tcp,
    /// The `MCP/1.0` text session.
    Mcp,
}

/// Every scheme, as it is written before `://`.
pub(crate) const SCHEMES: &[(&str, Scheme)] = &[
    ("http", Scheme::Http),
    ("https", Scheme::Https),
    ("ws", Scheme::Ws),
    ("wss", Scheme::Wss),
    ("tcp", Scheme::Tcp),
    ("mcp", Scheme::Mcp),
];

impl Scheme {
    /// The name before `://`.
    #[must_use]
    pub fn name(self) -> &'static str {
        SCHEMES.iter().find(|(_, scheme)| *scheme == self).map_or("tcp", |(name, _)| name)
    }

    /// The port the scheme stands for when none is written; `tcp` and `mcp` have none.
    #[must_use]
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Http | Self::Ws => Some(80),
            Self::Https | Self::Wss => Some(443),
            Self::Tcp | Self::Mcp => None,
        }
    }

    /// Whether the first bytes must be a TLS handshake.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Wss)
    }
}

/// An address as the user wrote it, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What stood before `://`, if anything.
    pub scheme: Option<Scheme>,
    /// A name or an address without brackets; `localhost` when only a port was written.
    pub host: String,
    /// The text after the colon, of any length and not yet judged.
    pub port: Option<String>,
    /// The path, beginning with `/`; a query is not kept, since it may hold a secret.
    pub path: Option<String>,
    /// Whether only a port was written and `localhost` was assumed.
    pub host_assumed: bool,
    /// Whether a user name or password stood in the address; they are dropped.
    pub had_credentials: bool,
}

impl Target {
    /// Reads a URL, `host:port`, `[v6]:port`, a bare port or a bare host.
    ///
    /// # Errors
    /// [`BadTarget`] when the text is none of these; it says what to write instead.
    pub fn parse(text: &str) -> Result<Self, Box<BadTarget>> {
        read::target(text)
    }

    /// The product's own address.
    #[must_use]
    pub fn home(port: u16) -> Self {
        Self {
            scheme: None,
            host: "localhost".to_owned(),
            port: Some(port.to_string()),
            path: None,
            host_assumed: true,
            had_credentials: false,
        }
    }

    /// The host as it must stand in a URL, with brackets around an IPv6 address.
    #[must_use]
    pub fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// The same address with another port, and `http` when no scheme was written.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        let scheme = self.scheme.unwrap_or(Scheme::Http).name();
        let path = self.path.as_deref().unwrap_or("/");
        format!("{scheme}://{}:{port}{path}", self.bracketed_host())
    }

    /// What was understood, in words.
    #[must_use]
    pub fn understood(&self) -> String {
        let host = if self.host_assumed {
            format!("host {} (assumed)", self.host)
        } else {
            format!("host {}", self.host)
        };
        let port = self.port.as_ref().map_or_else(|| "no port".to_owned(), |p| format!("port {p}"));
        let scheme =
            self.scheme.map_or_else(String::new, |scheme| format!(", scheme {}", scheme.name()));
        let path = self.path.as_ref().map_or_else(String::new, |path| format!(", path {path}"));
        let dropped = if self.had_credentials { ", credentials in it left out" } else { "" };
        format!("{host}, {port}{scheme}{path}{dropped}")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{}://", scheme.name())?;
        }
        f.write_str(&self.bracketed_host())?;
        if let Some(port) = &self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path.as_deref().unwrap_or_default())
    }
}
