//! Which servers of the Model Context Protocol are joined, as the configuration says it.

use std::time::Duration;

use mcp::client::oauth::OAuthSettings;
use mcp::client::{Program, Transport};
use wire::pattern::stars;

/// How a joined server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is started, and spoken to over its pipes.
    Program(Program),
    /// It is behind an address.
    Address {
        /// The whole address.
        url: String,
        /// Headers of every request, credentials among them.
        headers: Vec<(String, Hidden)>,
        /// What it speaks.
        transport: Transport,
    },
    /// It is an API of another kind, described by a document.
    Api {
        /// Where the document is: an address, or nothing when it is here already.
        url: Option<String>,
        /// The document, where it was read from a file.
        document: Option<String>,
        /// Where the API is, instead of where the document says.
        base_url: Option<String>,
        /// Headers of every request, credentials among them.
        headers: Vec<(String, Hidden)>,
    },
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What becomes of a tool whose definition changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// It is offered, and marked as changed.
    #[default]
    Mark,
    /// It is not offered until somebody accepts it.
    Hold,
}

/// One joined server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Its name, which comes before the names of its tools.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
    /// How long it may take to start and to say who it is.
    pub start: Duration,
    /// How long a call may be without a sign of life.
    pub silence: Duration,
    /// Only these of its tools are offered; empty means all. `*` stands for anything.
    pub tools: Vec<String>,
    /// These are not.
    pub hide: Vec<String>,
    /// Only these callers see it, by the name or id of their key; empty means everybody.
    pub keys: Vec<String>,
    /// Tools that a model may not use by itself, only after somebody agreed.
    pub approve: Vec<String>,
    /// Other descriptions than the server's own, by tool.
    pub descriptions: Vec<(String, String)>,
    /// What becomes of a tool whose definition changed.
    pub on_change: OnChange,
    /// Each caller gets a connection, and so a process, of its own.
    pub per_caller: bool,
    /// How we log in, where it wants that.
    pub oauth: OAuthSettings,
    /// Why it cannot be reached as it is written; it is shown, and nothing is tried.
    pub flaw: Option<String>,
}

impl ServerSettings {
    /// A server that is reached like this, with every default.
    #[must_use]
    pub fn new(name: &str, reach: Reach) -> Self {
        Self {
            name: name.to_owned(),
            reach,
            start: Duration::from_secs(60),
            silence: Duration::from_secs(120),
            tools: Vec::new(),
            hide: Vec::new(),
            keys: Vec::new(),
            approve: Vec::new(),
            descriptions: Vec::new(),
            on_change: OnChange::Mark,
            per_caller: false,
            oauth: OAuthSettings::default(),
            flaw: None,
        }
    }

    /// Whether a tool of the server is offered.
    #[must_use]
    pub fn offers(&self, tool: &str) -> bool {
        let shown = self.tools.is_empty() || any(&self.tools, tool);
        shown && !any(&self.hide, tool)
    }

    /// What the server is, so that what was kept of another one is not taken for its own.
    pub(crate) fn mark(&self) -> String {
        let what = match &self.reach {
            Reach::Program(program) => {
                format!("program {:?} {:?} {:?}", program.command, program.args, program.folder)
            }
            Reach::Address { url, .. } => format!("address {url}"),
            Reach::Api { url, document, base_url, .. } => {
                format!("api {url:?} {document:?} {base_url:?}")
            }
        };
        blake3::hash(what.as_bytes()).to_hex().to_string()
    }
}

/// What some callers may use of all tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// What the rule is called.
    pub name: String,
    /// Whom it holds for, by the name or id of their key.
    pub keys: Vec<String>,
    /// Only these tools; empty means all.
    pub allow: Vec<String>,
    /// Not these.
    pub deny: Vec<String>,
    /// Other descriptions for these callers, by the name a tool is offered under.
    pub descriptions: Vec<(String, String)>,
}

/// How many tools a client is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchMode {
    /// All of them.
    Off,
    /// Two tools stand for all joined ones: one that finds them, one that runs them.
    On,
    /// As `On`, when there are more than so many.
    Above(usize),
}

/// Everything about joined servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpSettings {
    /// The servers.
    pub servers: Vec<ServerSettings>,
    /// Who may use what.
    pub access: Vec<AccessSettings>,
    /// How many tools a client is shown.
    pub search: SearchMode,
    /// The models that may be asked by a tool, without a conversation; empty means none.
    pub models: Vec<String>,
}

impl Default for McpSettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            access: Vec::new(),
            search: SearchMode::Off,
            models: Vec::new(),
        }
    }
}

/// Whether one of these patterns is this text.
pub(crate) fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| stars(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_hidden_whatever_is_shown() {
        let program = Program {
            command: "x".to_owned(),
            args: Vec::new(),
            env: vec![("TOKEN".to_owned(), "pa55word".to_owned())],
            folder: None,
        };
        let mut settings = ServerSettings::new("s", Reach::Program(program));
        assert!(settings.offers("anything"));
        settings.tools = vec!["read_*".to_owned(), "list".to_owned()];
        settings.hide = vec!["*_secret".to_owned()];
        assert!(settings.offers("read_file") && settings.offers("list"));
        assert!(!settings.offers("read_a_secret") && !settings.offers("lists"));
        assert!(!format!("{settings:?}").contains("pa55word"), "{settings:?}");
    }
}
