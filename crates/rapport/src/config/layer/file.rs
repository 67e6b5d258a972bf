//! Turns the tree of a configuration file into values by key, profiles apart.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Given, Layer, Value, address, put};
use crate::config::file::{Node, What};
use crate::config::keys::{self, ADDRESSES, ALIASES, Kind};
use crate::config::nearest::nearest;
use crate::config::problem::{Findings, Place};

/// What a file says.
#[derive(Debug, Default)]
pub(in crate::config) struct Read {
    /// Its values.
    pub(in crate::config) base: Layer,
    /// The values of each profile.
    pub(in crate::config) profiles: BTreeMap<String, Layer>,
}

/// Reads the tree of the file `path`.
pub(in crate::config) fn read_tree(path: &Path, tree: &Node, findings: &mut Findings) -> Read {
    let mut read = Read::default();
    let What::Map(entries) = &tree.what else {
        let place = Place::File(path.to_owned(), tree.line);
        findings.problem(&place, "is no configuration: it holds names with values");
        return read;
    };
    let mut flat = Vec::new();
    for (name, node) in entries {
        flatten(name, node, &mut flat);
    }
    for leaf in flat {
        if leaf.path == "profiles" && matches!(leaf.what, What::Nothing | What::Map(_)) {
            continue;
        }
        let (profile, name) = match leaf.path.strip_prefix("profiles.") {
            Some(rest) => match rest.split_once('.') {
                Some((profile, name)) => (Some(profile.to_owned()), name.to_owned()),
                // A profile without settings still has a name.
                None if matches!(leaf.what, What::Nothing | What::Map(_)) => {
                    read.profiles.entry(rest.to_owned()).or_default();
                    continue;
                }
                None => (None, leaf.path.clone()),
            },
            None => (None, leaf.path.clone()),
        };
        let layer = match profile {
            Some(profile) => read.profiles.entry(profile).or_default(),
            None => &mut read.base,
        };
        let place = Place::File(path.to_owned(), leaf.line);
        take(layer, &name, &leaf, &place, findings);
    }
    read
}

/// A value below its path.
struct Leaf<'a> {
    path: String,
    line: Option<u64>,
    what: &'a What,
}

fn flatten<'a>(path: &str, node: &'a Node, flat: &mut Vec<Leaf<'a>>) {
    match &node.what {
        What::Map(entries) if !entries.is_empty() => {
            for (name, node) in entries {
                flatten(&format!("{path}.{name}"), node, flat);
            }
        }
        What::List(items) if are_named(path, items) => {
            let width = items.len().to_string().len();
            for (at, item) in items.iter().enumerate() {
                // Numbers of one width keep their order as texts.
                flatten(&format!("{path}.{:0width$}", at + 1), item, flat);
            }
        }
        what => flat.push(Leaf { path: path.to_owned(), line: node.line, what }),
    }
}

/// Whether a list holds groups where groups with names of their own may stand: then its items are
/// named by their place, from 1.
fn are_named(path: &str, items: &[Node]) -> bool {
    let inside = format!("{path}.1");
    !items.is_empty()
        && items.iter().all(|item| matches!(item.what, What::Map(_)))
        && keys::all().any(|key| is_inside(key.path, &inside))
}

fn take(layer: &mut Layer, name: &str, leaf: &Leaf<'_>, place: &Place, findings: &mut Findings) {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    let path = alias.map_or(name, |(_, path)| path);
    let Some(key) = keys::named(path) else {
        // A group that is there but empty says nothing.
        match (keys::all().find(|key| is_inside(key.path, path)), leaf.what) {
            (Some(_), What::Nothing | What::Map(_)) => {}
            (Some(inside), What::Text(_) | What::List(_)) => {
                let what = format!("`{name}` is a group: write its keys below it, such as");
                findings.problem(place, format!("{what} `{}`", inside.path));
            }
            (None, _) => unknown(name, place, findings),
        }
        return;
    };
    let value = match leaf.what {
        What::Nothing => return,
        What::Text(text) => Value::Text(text.clone()),
        What::List(items) => match texts(items) {
            Some(items) if key.kind == Kind::List => Value::List(items),
            Some(_) | None => {
                findings
                    .problem(place, format!("`{name}` is a list: write {}", key.kind.expected()));
                return;
            }
        },
        What::Map(_) => {
            findings.problem(place, format!("`{name}` is a group: write {}", key.kind.expected()));
            return;
        }
    };
    let alias = alias.map(|(alias, _)| (*alias).to_owned());
    if ADDRESSES.contains(&name)
        && let Value::Text(text) = &value
    {
        let (host, port) = address::split(text);
        for (path, part) in [("server.host", host), ("server.port", port)] {
            if let Some(part) = part {
                let value = Value::Text(part.to_owned());
                let given = Given { value, place: place.clone(), alias: alias.clone() };
                put(layer, path, given, findings);
            }
        }
        return;
    }
    put(layer, path, Given { value, place: place.clone(), alias }, findings);
}

fn texts(items: &[Node]) -> Option<Vec<String>> {
    let text = |item: &Node| match &item.what {
        What::Text(text) => Some(text.clone()),
        What::Nothing | What::List(_) | What::Map(_) => None,
    };
    items.iter().map(text).collect()
}

/// Whether the key of `pattern` stands below the group `path`.
fn is_inside(pattern: &str, path: &str) -> bool {
    let mut wanted = pattern.split('.');
    let fits = path
        .split('.')
        .all(|segment| wanted.next().is_some_and(|wanted| wanted == "NAME" || wanted == segment));
    fits && wanted.next().is_some()
}

fn unknown(name: &str, place: &Place, findings: &mut Findings) {
    // Names that the user chose are taken over into the patterns before comparing.
    let segments: Vec<&str> = name.split('.').collect();
    let filled = |pattern: &str| {
        let fill = |(at, wanted): (usize, &str)| match (wanted, segments.get(at)) {
            ("NAME", Some(segment)) => (*segment).to_owned(),
            _ => wanted.to_owned(),
        };
        pattern.split('.').enumerate().map(fill).collect::<Vec<_>>().join(".")
    };
    let known: Vec<String> = keys::all().map(|key| filled(key.path)).collect();
    let known = known.iter().map(String::as_str).chain(ALIASES.iter().map(|(alias, _)| *alias));
    let hint = nearest(name, known).map_or_else(
        || "`rapport config docs` lists all keys".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    findings.problem(place, format!("unknown key `{name}`: {hint}"));
}
