//! From an `OpenAPI` document to tools: names, arguments, schemas; nothing it refers to is fetched.

use std::collections::{BTreeSet, HashSet};

use http::Method;
use serde_json::{Map, Value, json};

/// Limit: operations of one document.
const OPERATIONS_MAX: usize = 1_000;
/// Limit: a name.
const NAME_MAX: usize = 64;
/// Where schemas stand in a document.
const SCHEMAS: &str = "#/components/schemas/";

/// Where an argument goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

/// An argument of an operation.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    /// As the model calls it.
    pub(super) name: String,
    /// As the API calls it.
    pub(super) theirs: String,
    pub(super) place: Place,
    pub(super) required: bool,
}

/// An operation that can be called.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) arguments: Vec<Argument>,
    /// The kind of the body, when there is one.
    pub(super) body: Option<String>,
    /// How it is described as a tool.
    pub(super) definition: Value,
}

/// Every operation of a document.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn operations(document: &Value) -> Result<Vec<Operation>, String> {
    if document.get("swagger").is_some() {
        return Err("it is a Swagger 2.0 document: convert it to OpenAPI 3".to_owned());
    }
    let version = document.get("openapi").and_then(Value::as_str).unwrap_or_default();
    if !version.starts_with('3') {
        return Err("it is no OpenAPI 3 document: it has no `openapi: 3.…`".to_owned());
    }
    let paths = document.get("paths").and_then(Value::as_object);
    let mut taken = HashSet::new();
    let mut all = Vec::new();
    for (path, item) in paths.into_iter().flatten() {
        let shared = item.get("parameters");
        for (method, operation) in item.as_object().into_iter().flatten() {
            let known = ["get", "put", "post", "delete", "patch", "head"];
            let Some(method) = known.contains(&method.as_str()).then(|| method.to_uppercase())
            else {
                continue;
            };
            let Ok(method) = Method::from_bytes(method.as_bytes()) else { continue };
            if all.len() >= OPERATIONS_MAX {
                return Err(format!("it has more than {OPERATIONS_MAX} operations"));
            }
            let name = name(operation, (&method, path), &mut taken);
            all.push(one(document, (name, method, path), (operation, shared)));
        }
    }
    if all.is_empty() {
        return Err("it describes no operation".to_owned());
    }
    Ok(all)
}

/// The name an operation has, or one made of its method and path.
fn name(operation: &Value, (method, path): (&Method, &str), taken: &mut HashSet<String>) -> String {
    let own = operation.get("operationId").and_then(Value::as_str);
    let made = || format!("{}{path}", method.as_str().to_lowercase());
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mut name: String = own.map_or_else(made, ToOwned::to_owned).chars().map(plain).collect();
    while name.contains("__") {
        name = name.replace("__", "_");
    }
    let name: String = name.trim_matches('_').chars().take(NAME_MAX).collect();
    let mut unique = name.clone();
    let mut count = 2;
    while unique.is_empty() || !taken.insert(unique.clone()) {
        unique = format!("{}_{count}", name.chars().take(NAME_MAX - 5).collect::<String>());
        count += 1;
    }
    unique
}

fn one(
    document: &Value,
    (name, method, path): (String, Method, &str),
    (operation, shared): (&Value, Option<&Value>),
) -> Operation {
    let mut arguments: Vec<Argument> = Vec::new();
    let (mut properties, mut required) = (Map::new(), Vec::new());
    let own = operation.get("parameters");
    // What stands with the operation wins over what stands with its path.
    let lists = [own, shared].into_iter().flatten().filter_map(Value::as_array).flatten();
    for parameter in lists {
        let parameter = resolved(document, parameter);
        let text = |field: &str| parameter.get(field).and_then(Value::as_str);
        let (Some(theirs), Some(place)) = (text("name"), text("in").and_then(place)) else {
            continue;
        };
        if arguments.iter().any(|known| known.theirs == theirs && known.place == place) {
            continue;
        }
        let clash = theirs == "body" || properties.contains_key(theirs);
        let name = if clash { format!("{theirs}_{}", word(place)) } else { theirs.to_owned() };
        let mut schema = parameter.get("schema").cloned().unwrap_or_else(|| json!({}));
        if let (Some(about), Value::Object(map)) = (text("description"), &mut schema) {
            map.entry("description").or_insert_with(|| about.into());
        }
        let is_required =
            place == Place::Path || parameter.get("required") == Some(&Value::Bool(true));
        if is_required {
            required.push(Value::from(name.clone()));
        }
        properties.insert(name.clone(), schema);
        let theirs = theirs.to_owned();
        arguments.push(Argument { name, theirs, place, required: is_required });
    }
    let mut body = None;
    if let Some(described) = operation.get("requestBody").map(|body| resolved(document, body))
        && let Some((kind, schema)) = content(described)
    {
        properties.insert("body".to_owned(), schema);
        if described.get("required") == Some(&Value::Bool(true)) {
            required.push("body".into());
        }
        body = Some(kind);
    }
    let schema = schema(document, &properties, &required);
    let definition = definition((&name, &method, path), operation, &schema);
    Operation { name, method, path: path.to_owned(), arguments, body, definition }
}

/// The kind of body that we write, with its schema: JSON where that is taken, else a form.
fn content(body: &Value) -> Option<(String, Value)> {
    let kinds = body.get("content")?.as_object()?;
    let is_json = |kind: &str| kind.starts_with("application/json") || kind.ends_with("+json");
    let found = kinds.iter().find(|(kind, _)| is_json(kind)).or_else(|| {
        kinds.iter().find(|(kind, _)| kind.starts_with("application/x-www-form-urlencoded"))
    })?;
    let schema = found.1.get("schema").cloned().unwrap_or_else(|| json!({}));
    Some((found.0.clone(), schema))
}

fn definition(
    (name, method, path): (&str, &Method, &str),
    operation: &Value,
    schema: &Value,
) -> Value {
    let text = |field: &str| operation.get(field).and_then(Value::as_str);
    let title = text("summary").unwrap_or(name);
    let about = match (text("summary"), text("description")) {
        (Some(summary), Some(about)) => format!("{summary}. {about}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => format!("{method} {path}"),
    };
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let repeats = reads || matches!(*method, Method::PUT | Method::DELETE);
    json!({
        "name": name, "title": title, "description": about, "inputSchema": schema,
        "annotations": {"title": title, "readOnlyHint": reads,
                        "destructiveHint": *method == Method::DELETE,
                        "idempotentHint": repeats, "openWorldHint": true},
    })
}

/// The schema of all arguments, with every definition that it refers to.
fn schema(document: &Value, properties: &Map<String, Value>, required: &[Value]) -> Value {
    let mut schema = json!({"type": "object", "properties": properties});
    let mut wanted = BTreeSet::new();
    moved(&mut schema, &mut wanted, 0);
    let mut definitions = Map::new();
    while let Some(name) = wanted.iter().find(|name| !definitions.contains_key(*name)).cloned() {
        let found = document.pointer(&format!("/components/schemas/{}", pointer(&name)));
        let mut found = found.cloned().unwrap_or_else(|| json!({}));
        moved(&mut found, &mut wanted, 0);
        definitions.insert(name, found);
    }
    if let Value::Object(map) = &mut schema {
        if !required.is_empty() {
            map.insert("required".to_owned(), Value::Array(required.to_vec()));
        }
        if !definitions.is_empty() {
            map.insert("$defs".to_owned(), Value::Object(definitions));
        }
    }
    schema
}

/// Points every reference to the document's schemas to `$defs`, and notes which are wanted. Other
/// references stay as they are.
fn moved(value: &mut Value, wanted: &mut BTreeSet<String>, depth: usize) {
    // Limit: a schema that is nested deeper is not understood by anybody.
    if depth > 100 {
        return;
    }
    match value {
        Value::Object(map) => {
            if let Some(Value::String(to)) = map.get_mut("$ref")
                && let Some(name) = to.strip_prefix(SCHEMAS).map(ToOwned::to_owned)
            {
                *to = format!("#/$defs/{name}");
                wanted.insert(name);
            }
            map.values_mut().for_each(|inner| moved(inner, wanted, depth + 1));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|inner| moved(inner, wanted, depth + 1));
        }
        _ => {}
    }
}

/// A part of the document, where something only refers to it.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    let to = value.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'));
    to.and_then(|to| document.pointer(to)).unwrap_or(value)
}

fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn place(text: &str) -> Option<Place> {
    match text {
        "path" => Some(Place::Path),
        "query" => Some(Place::Query),
        "header" => Some(Place::Header),
        _ => None,
    }
}

fn word(place: Place) -> &'static str {
    match place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    }
}
