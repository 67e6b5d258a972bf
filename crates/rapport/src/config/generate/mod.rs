//! Pages made from the table of keys: the commented file, the JSON Schema, the reference.

mod docs;
mod schema;
mod starter;

pub(crate) use docs::docs;
pub(crate) use schema::schema;
pub(crate) use starter::{COMPOSE, CONTAINERFILE, ENV_EXAMPLE, IGNORED, starter};

use super::keys::{self, Key};

/// The groups of keys in the order of the table, each with its keys; top keys are in group "".
fn groups() -> Vec<(&'static str, Vec<&'static Key>)> {
    let mut groups: Vec<(&'static str, Vec<&'static Key>)> = Vec::new();
    for key in keys::all() {
        match groups.iter_mut().find(|(group, _)| *group == key.group()) {
            Some((_, keys)) => keys.push(key),
            None => groups.push((key.group(), vec![key])),
        }
    }
    // Top keys stand apart, before the groups.
    groups.sort_by_key(|(group, _)| !group.is_empty());
    groups
}

/// What a group is about.
fn about(group: &str) -> &'static str {
    match group {
        "" => "Settings for everything.",
        "server" => "Where the server listens and who may reach it.",
        "ports" => "Numbers that are no ports.",
        "data" => "What is kept, and how safely.",
        "tls" => "Encryption on the same port.",
        "auth" => "Who has to show a key.",
        "limits" => "The limit of everything that could grow.",
        "cache" => "Answers that are kept for the same question; see docs/cache.md.",
        "contexts" => "What contexts keep, hide and seal; see docs/contexts.md.",
        "mounts" => "Contexts of other servers; see docs/contexts.md.",
        "webhooks" => "Who is told of changes; see docs/contexts.md.",
        "routes" => "Names that stand for several models; see docs/routing.md.",
        "prompts" => "Prompts that are kept by name; see docs/prompts.md.",
        "models" => "Which model answers where.",
        "mcp" => "Servers of the Model Context Protocol that are joined; see docs/mcp.md.",
        "requests" => "The log of model calls; see docs/routing.md.",
        "providers" => "The upstreams: companies and local model servers.",
        "log" => "What is written where.",
        _ => "",
    }
}

/// `text` in lines of at most `width` characters.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_says_what_it_is_about() {
        let silent: Vec<&str> =
            groups().into_iter().map(|(group, _)| group).filter(|g| about(g).is_empty()).collect();
        assert!(silent.is_empty(), "{silent:?}");
    }
}
