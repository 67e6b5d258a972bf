//! The environment: the one place that reads it, and the one list of variables that count.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// One environment variable that the program knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: &'static str,
    /// The configuration key it sets, empty when it sets none.
    pub(crate) key: &'static str,
    /// What it does.
    pub(crate) doc: &'static str,
}

const fn variable(name: &'static str, key: &'static str, doc: &'static str) -> Variable {
    Variable { name, key, doc }
}

/// Variables with a name of their own. Beside them every key has one: `RAPPORT_SERVER_PORT` for
/// `server.port`. The longer, more exact name wins over a short one.
pub(crate) const VARIABLES: &[Variable] = &[
    variable("PORT", "server.port", "The port, as many platforms hand it over."),
    variable("HOST", "server.host", "The address to listen on."),
    variable("DEBUG_MODE", "debug", "`true` for verbose logs and errors, and `rapport debug`."),
    variable("MCP_AUTH", "auth.mode", "Who shows a key."),
    variable("ANTHROPIC_API_KEY", "providers.anthropic.api_key", "Makes Claude models appear."),
    variable("ANTHROPIC_BASE_URL", "providers.anthropic.base_url", "Where Anthropic's API is."),
    variable("OPENAI_API_KEY", "providers.openai.api_key", "Makes OpenAI models appear."),
    variable("OPENAI_BASE_URL", "providers.openai.base_url", "Where OpenAI's API is."),
    variable("RAPPORT_PORT", "server.port", "Short for RAPPORT_SERVER_PORT."),
    variable("RAPPORT_HOST", "server.host", "Short for RAPPORT_SERVER_HOST."),
    variable("RAPPORT_STRICT_PORTS", "server.strict_ports", "Short for RAPPORT_SERVER_…."),
    variable("RAPPORT_DATA", "data.dir", "Short for RAPPORT_DATA_DIR."),
    variable(
        "RAPPORT_LOG",
        "log.level",
        "Short for RAPPORT_LOG_LEVEL; takes `info,gateway=debug`.",
    ),
    variable("RAPPORT_VAULT_KEY", "contexts.vault_key", "Short for RAPPORT_CONTEXTS_VAULT_KEY."),
    variable("RAPPORT_CONFIG", "", "The configuration file, like `--config`."),
    variable("RAPPORT_PROFILE", "", "The profile, like `--profile`."),
    variable("RAPPORT_URL", "", "The server that client commands talk to."),
    variable("RAPPORT_API_KEY", "", "The key that client commands show."),
    variable("RAPPORT_API_KEY_FILE", "", "The file of that key, if it is not in the variable."),
    variable("RAPPORT_CONTEXT", "", "The context that client commands continue."),
];

/// Starts of variables that Kubernetes sets for a service named `rapport`; they are not ours.
const FOREIGN: &[&str] = &["RAPPORT_SERVICE_", "RAPPORT_PORT_"];

/// Whether a variable only looks like ours.
///
/// Kubernetes also sets `RAPPORT_PORT=tcp://10.0.0.1:61900`, which is an address and no port.
pub(crate) fn is_foreign(name: &str, value: &str) -> bool {
    FOREIGN.iter().any(|start| name.starts_with(start))
        || (name == "RAPPORT_PORT" && value.contains("://"))
}

/// A copy of the process's environment, or of a part of it in tests.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    values: BTreeMap<String, String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// The environment of this process; names and values that are not UTF-8 are left out.
    pub(crate) fn of_this_process() -> Self {
        let values = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { values }
    }

    /// An environment with exactly these variables.
    #[cfg(test)]
    pub(crate) fn with(values: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self { values: values.iter().map(owned).collect() }
    }

    /// The value of `name`; an empty one counts as not set.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Every variable that is not empty, by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(_, value)| !value.is_empty())
    }

    /// The home folder.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        self.get(name).map(PathBuf::from)
    }

    /// The user's data folder for the program.
    pub(crate) fn data_folder(&self) -> PathBuf {
        if cfg!(windows) {
            return self.under(&["LOCALAPPDATA", "APPDATA"], "AppData/Local");
        }
        if cfg!(target_os = "macos") {
            return self.under(&["XDG_DATA_HOME"], "Library/Application Support");
        }
        self.under(&["XDG_DATA_HOME"], ".local/share")
    }

    /// The user's configuration folder for the program.
    pub(crate) fn config_folder(&self) -> PathBuf {
        if cfg!(windows) {
            return self.under(&["APPDATA"], "AppData/Roaming");
        }
        if cfg!(target_os = "macos") {
            return self.under(&["XDG_CONFIG_HOME"], "Library/Application Support");
        }
        self.under(&["XDG_CONFIG_HOME"], ".config")
    }

    /// The folder where running servers are announced to this user's programs.
    pub(crate) fn run_folder(&self) -> PathBuf {
        match self.get("XDG_RUNTIME_DIR") {
            Some(folder) => PathBuf::from(folder).join("rapport"),
            None => self.data_folder().join("run"),
        }
    }

    fn under(&self, variables: &[&str], below_home: &str) -> PathBuf {
        // The XDG specification has relative paths ignored.
        let set = variables.iter().find_map(|name| self.get(name)).map(PathBuf::from);
        let folder = set
            .filter(|folder| folder.is_absolute())
            .or_else(|| self.home().map(|home| home.join(below_home)))
            .unwrap_or_default();
        folder.join("rapport")
    }
}
