//! What counts, where it came from, and what it overrode.

use serde::{Deserialize, Serialize};

use super::keys::{self, Kind};
use super::layer::Given;
use super::load::Loaded;

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// The key.
    pub(crate) key: String,
    /// Its value; secrets are hidden.
    pub(crate) value: String,
    /// Where the value was written.
    pub(crate) source: String,
    /// The places that lost, the nearest first.
    pub(crate) overridden: Vec<String>,
}

/// What stands for a secret.
const HIDDEN: &str = "[hidden]";

/// Every key with its value, in the order of the reference.
pub(crate) fn rows(loaded: &Loaded) -> Vec<Row> {
    loaded.stack.paths().into_iter().map(|path| row(loaded, &path)).collect()
}

fn row(loaded: &Loaded, path: &str) -> Row {
    let source = |given: &Given| match &given.alias {
        Some(alias) => format!("{} (as `{alias}`)", given.place),
        None => given.place.to_string(),
    };
    let given = loaded.stack.given(path);
    Row {
        key: path.to_owned(),
        value: value(loaded, path, given),
        source: given.map_or_else(|| "default".to_owned(), source),
        overridden: loaded.stack.overridden(path).into_iter().map(source).collect(),
    }
}

fn value(loaded: &Loaded, path: &str, given: Option<&Given>) -> String {
    let config = &loaded.config;
    match path {
        // What follows from other settings is shown as it came out.
        "data.dir" => return config.data.display().to_string(),
        "log.dir" => {
            return config.log.dir.as_ref().map_or_else(String::new, |d| d.display().to_string());
        }
        "log.level" => return config.log.level.clone(),
        "server.port" => return config.ports.port.to_string(),
        _ => {}
    }
    let key = keys::named(path);
    match (given, key) {
        (Some(_), Some(key)) if key.kind == Kind::Secret => HIDDEN.to_owned(),
        (Some(given), Some(key)) if key.kind == Kind::Url => without_login(&given.value.line()),
        (Some(given), _) => given.value.line(),
        (None, key) => key.map_or_else(String::new, |key| key.default.to_owned()),
    }
}

/// An address without the name and password that may stand in it.
fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{path}"),
        None => url.to_owned(),
    }
}
