//! How a server that is to be joined differs from the one that has its name: in words, without what
//! is secret.

use serde_json::{Map, Value};

/// The fields whose values are shown; of the others it is only said that they differ.
const SHOWN: &[&str] =
    &["transport", "command", "folder", "openapi", "base_url", "tools", "hide", "keys", "approve"];

/// What differs, one line each.
pub(super) fn between(known: &Value, wanted: &Value) -> Vec<String> {
    let empty = Map::new();
    let (known, wanted) =
        (known.as_object().unwrap_or(&empty), wanted.as_object().unwrap_or(&empty));
    let fresh = wanted.keys().filter(|name| !known.contains_key(*name));
    let differ = known.keys().chain(fresh).filter(|name| known.get(*name) != wanted.get(*name));
    differ.map(|name| line(name, (known.get(name), wanted.get(name)))).collect()
}

fn line(name: &str, (known, wanted): (Option<&Value>, Option<&Value>)) -> String {
    let (is_there, will_be) = match name {
        "url" => (known.map(address), wanted.map(address)),
        name if SHOWN.contains(&name) => {
            (known.map(ToString::to_string), wanted.map(ToString::to_string))
        }
        // Arguments, variables, headers and log-ins may be credentials.
        _ => {
            let what = match (known, wanted) {
                (Some(_), Some(_)) => "others",
                (Some(_), None) => "there now, not in this one",
                _ => "not there now, in this one",
            };
            return format!("{name}: {what}");
        }
    };
    let none = || "nothing".to_owned();
    format!(
        "{name}: {} now, {} in this one",
        is_there.unwrap_or_else(none),
        will_be.unwrap_or_else(none)
    )
}

/// An address without what may be a credential.
fn address(value: &Value) -> String {
    let url = value.as_str().unwrap_or_default();
    let place = url.split(['?', '#']).next().unwrap_or(url);
    match place.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}://{host}{path}")
        }
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_told_and_nothing_secret_with_it() {
        let known = json!({"url": "http://me:pa55@a.example/mcp?key=pa55", "hide": ["x"],
                           "headers": {"Authorization": "pa55"}});
        let wanted = json!({"url": "http://b.example/mcp", "headers": {"Authorization": "word"},
                            "env": {"A": "pa55"}});
        assert_eq!(
            between(&known, &wanted),
            [
                "url: http://a.example/mcp now, http://b.example/mcp in this one",
                "hide: [\"x\"] now, nothing in this one",
                "headers: others",
                "env: not there now, in this one",
            ]
        );
        assert!(between(&known, &known).is_empty());
    }
}
