//! The collection, format 2.1, that Postman, Insomnia, Bruno and Hoppscotch import.

use serde_json::{Value, json};

use super::{Call, calls, examples};

/// Every call as a collection with a folder for each group.
#[must_use]
pub fn postman() -> Value {
    let mut folders: Vec<(String, Vec<Value>)> = Vec::new();
    for call in calls() {
        let item = item(&call);
        match folders.last_mut().filter(|(name, _)| *name == call.group) {
            Some((_, items)) => items.push(item),
            None => folders.push((call.group, vec![item])),
        }
    }
    let folders: Vec<_> =
        folders.into_iter().map(|(name, item)| json!({"name": name, "item": item})).collect();
    let variables = examples().variables;
    let variables: Vec<_> =
        variables.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    json!({
        "info": {
            "name": "Rapport",
            "description": "Every call of the HTTP API. Printed by `rapport api postman`. \
                            Set `key` when keys were made; on this machine alone none is needed.",
            "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
        },
        "variable": variables,
        "item": folders,
    })
}

fn item(call: &Call) -> Value {
    let (path, query) = call.path.split_once('?').unwrap_or((&call.path, ""));
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let query: Vec<_> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| json!({"key": key, "value": value}))
        .collect();
    let headers: Vec<_> =
        call.headers.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
    let body = call.body.as_ref().map(|body| {
        let options = json!({"raw": {"language": "json"}});
        json!({"mode": "raw", "raw": format!("{body:#}"), "options": options})
    });
    let mut request = json!({
        "method": call.method,
        "description": call.summary,
        "header": headers,
        "url": {
            "raw": format!("{{{{host}}}}{}", call.path),
            "host": ["{{host}}"],
            "path": parts,
            "query": query,
        },
    });
    if let (Some(request), Some(body)) = (request.as_object_mut(), body) {
        request.insert("body".to_owned(), body);
    }
    json!({"name": format!("{} {path}", call.method), "request": request})
}
