//! Every call of the HTTP API with an example that works, for the tools people send requests with.
//!
//! The list is that of the `OpenAPI` document; `examples.json` has what the document cannot know:
//! a body, a query, headers, and the values of the variables.

mod http_file;
mod postman;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::openapi::{OpenApi, RefOr};

pub use http_file::http_file;
pub use postman::postman;

/// The groups in the order in which somebody gets to know them; others follow.
const ORDER: &[&str] = &[
    "status",
    "contexts",
    "messages",
    "turns",
    "state",
    "branches",
    "windows",
    "search",
    "knowledge",
    "context API",
    "writing",
    "model APIs",
    "models",
    "requests",
    "prompts",
    "MCP",
    "keys",
    "webhooks",
    "mounts",
    "audit",
    "debugging",
];

const EXAMPLES: &str = include_str!("examples.json");

#[derive(Deserialize)]
struct Examples {
    /// Names that stand in requests as `{{name}}`, and what they stand for at first.
    variables: Map<String, Value>,
    /// By method and path, as the document has it.
    calls: Map<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Example {
    path: Option<String>,
    query: Option<String>,
    headers: Map<String, Value>,
    body: Option<Value>,
}

/// One request; `{{name}}` stands for a variable.
struct Call {
    group: String,
    method: String,
    /// With the query.
    path: String,
    summary: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

impl Call {
    /// Whether it ends what other calls need.
    fn is_last(&self) -> bool {
        self.method == "DELETE" || self.path.ends_with("/close")
    }

    fn rank(&self) -> (usize, bool, &str, usize) {
        let group = ORDER.iter().position(|group| *group == self.group).unwrap_or(ORDER.len());
        let methods = ["POST", "PUT", "PATCH", "GET"];
        let method = methods.iter().position(|method| *method == self.method);
        (group, self.is_last(), &self.path, method.unwrap_or(methods.len()))
    }
}

fn examples() -> Examples {
    let read = serde_json::from_str(EXAMPLES);
    read.unwrap_or_else(|_| Examples { variables: Map::new(), calls: Map::new() })
}

/// Puts the examples of bodies into the document.
pub(super) fn illustrate(document: &mut OpenApi) {
    let Examples { variables, calls } = examples();
    for (name, example) in calls {
        let Some((method, path)) = name.split_once(' ') else { continue };
        let Some(item) = document.paths.paths.get_mut(path) else { continue };
        let operation = match method {
            "POST" => &mut item.post,
            "PUT" => &mut item.put,
            "PATCH" => &mut item.patch,
            _ => continue,
        };
        let body = operation.as_mut().and_then(|operation| operation.request_body.as_mut());
        let Some(RefOr::T(body)) = body else { continue };
        let content = body.content.get_mut("application/json");
        if let (Some(RefOr::T(content)), Some(shown)) = (content, example.get("body")) {
            content.example = Some(filled(shown, &variables));
        }
    }
}

/// The value with what its variables stand for at first.
fn filled(value: &Value, variables: &Map<String, Value>) -> Value {
    let mut text = value.to_string();
    for (name, value) in variables {
        let value = value.as_str().unwrap_or_default();
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    serde_json::from_str(&text).unwrap_or_default()
}

/// All calls but those of `WebSocket`s, which these tools do not send, in the order of [`ORDER`].
fn calls() -> Vec<Call> {
    let Examples { calls: mut known, .. } = examples();
    let document = serde_json::to_value(super::openapi()).unwrap_or_default();
    let mut out = Vec::new();
    for (path, methods) in document.get("paths").and_then(Value::as_object).into_iter().flatten() {
        if path.ends_with("/ws") {
            continue;
        }
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let method = method.to_uppercase();
            let example = known.remove(&format!("{method} {path}")).unwrap_or_default();
            let example: Example = serde_json::from_value(example).unwrap_or_default();
            out.push(call(method, path, operation, example));
        }
    }
    out.sort_by(|a, b| a.rank().cmp(&b.rank()));
    out
}

fn call(method: String, path: &str, operation: &Value, example: Example) -> Call {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut path = example.path.unwrap_or_else(|| with_variables(path));
    if let Some(query) = example.query {
        path = format!("{path}?{query}");
    }
    let mut headers: Vec<(String, String)> =
        example.headers.iter().map(|(name, value)| (name.clone(), text(Some(value)))).collect();
    if !example.headers.contains_key("Authorization") {
        headers.insert(0, ("Authorization".to_owned(), "Bearer {{key}}".to_owned()));
    }
    if example.body.is_some() {
        headers.insert(0, ("Content-Type".to_owned(), "application/json".to_owned()));
    }
    let group = text(operation.pointer("/tags/0"));
    // A sentence of the code's comments may go over several lines.
    let summary = text(operation.get("summary")).split_whitespace().collect::<Vec<_>>().join(" ");
    Call { group, method, path, summary, headers, body: example.body }
}

/// Puts a variable in the place of each parameter, named like the part before it, as one of them:
/// `/contexts/{id}` becomes `/contexts/{{context}}`.
fn with_variables(path: &str) -> String {
    let mut before = "";
    let mut out = String::new();
    for part in path.split('/').skip(1) {
        out.push('/');
        if part.starts_with('{') {
            let name = match before {
                "keys" => "key_id",
                "steps" => "step",
                "profiles" => "user",
                "pins" => "seq",
                "s" => "server",
                plural => plural.strip_suffix('s').unwrap_or(plural),
            };
            out.push_str(&format!("{{{{{name}}}}}"));
        } else {
            out.push_str(part);
        }
        before = part;
    }
    out
}
