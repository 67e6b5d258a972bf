//! What the caller asks the doctor, and what it must know of the caller's surroundings.

use std::time::Duration;

use crate::credential::Credential;
use crate::port::{HOME, LogicalMap};

/// Limit: the whole run, unless the caller says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// One diagnosis to make.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own for the caller")]
pub struct Request {
    /// The address as the user wrote it; `None` means the product's own.
    pub target: Option<String>,
    /// The port used when none is written: the one in effect for the server.
    pub default_port: u16,
    /// The variables of the caller's environment that matter.
    pub environment: Environment,
    /// The longest the whole run may take.
    pub deadline: Duration,
    /// The one check to run (with those it builds on); `None` runs all.
    pub only: Option<String>,
    /// Whether the text report shows the evidence of every check.
    pub verbose: bool,
    /// Whether a logical name such as 619009 is not followed to its real port.
    pub strict_ports: bool,
    /// Whether the address is an MCP server's, whatever its path says.
    pub mcp: bool,
    /// Whether the report lists the commands to look at the port without this program.
    pub by_hand: bool,
    /// A model to ask for a few words, streamed; without it no model is ever called.
    pub ask: Option<String>,
    /// The origin of a page that is to call the server, such as `http://localhost:3000`.
    pub origin: Option<String>,
    /// Files to which the server writes its log, as far as the caller knows; read when it fails.
    pub logs: Vec<std::path::PathBuf>,
    /// Whether the user named them: they are read in any case then.
    pub log_is_named: bool,
    /// A PEM file of certificates to trust besides those of the system.
    pub roots: Option<std::path::PathBuf>,
    /// The logical names.
    pub logical: LogicalMap,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            target: None,
            default_port: HOME,
            environment: Environment::default(),
            deadline: DEADLINE,
            only: None,
            verbose: false,
            strict_ports: false,
            mcp: false,
            by_hand: false,
            ask: None,
            origin: None,
            logs: Vec::new(),
            log_is_named: false,
            roots: None,
            logical: LogicalMap::default(),
        }
    }
}

/// Variables of the environment; this crate never reads the environment itself.
///
/// Only those named in [`Environment::NAMES`] are kept; of credentials, what is wrong with them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(String, String)>,
    credentials: Vec<Credential>,
}

impl Environment {
    /// The variables the doctor looks at, in lower case; the upper-case forms count too.
    pub const NAMES: &'static [&'static str] = &[
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        // Where container engines and clusters are.
        "container_host",
        "docker_host",
        "home",
        "kubeconfig",
        "kubernetes_service_host",
        "xdg_runtime_dir",
    ];

    /// Takes what matters out of `variables`, for example `std::env::vars()`.
    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let known = |name: &str| Self::NAMES.contains(&name.to_ascii_lowercase().as_str());
        let mut kept = Self::default();
        for (name, value) in variables {
            kept.credentials.extend(Credential::of_variable(&name, &value));
            if known(&name) {
                kept.variables.push((name, value));
            }
        }
        kept
    }

    /// What is known of the keys and tokens in it.
    pub(crate) fn credentials(&self) -> &[Credential] {
        &self.credentials
    }

    /// The variable of exactly this name.
    pub(crate) fn exact(&self, name: &str) -> Option<(&str, &str)> {
        let found = self.variables.iter().find(|(known, _)| known == name)?;
        Some((found.0.as_str(), found.1.trim())).filter(|(_, value)| !value.is_empty())
    }

    /// The variable `name` (lower case) as it is written and its value; lower case wins.
    pub(crate) fn variable(&self, name: &str) -> Option<(&str, &str)> {
        let find = |wanted: &str| {
            self.variables.iter().find(|(known, value)| known == wanted && !value.trim().is_empty())
        };
        let (name, value) = find(name).or_else(|| find(&name.to_ascii_uppercase()))?;
        Some((name, value.trim()))
    }
}
