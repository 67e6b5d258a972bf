//! `/docs`: the `OpenAPI` document as one page that can be read without any script.

use std::fmt::Write;
use std::sync::OnceLock;

use axum::response::Response;
use serde_json::Value;

use super::page as html;

const STYLE: &str = include_str!("docs.css");

/// `GET /docs`.
pub(super) async fn page() -> Response {
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(|| {
        let document = gateway::surface::openapi().to_json().unwrap_or_default();
        render(&serde_json::from_str(&document).unwrap_or_default())
    });
    html("text/html; charset=utf-8", page.as_str())
}

/// `GET /docs/style.css`.
pub(super) async fn style() -> Response {
    html("text/css; charset=utf-8", STYLE)
}

fn render(document: &Value) -> String {
    let text = |at: &str| escape(document.pointer(at).and_then(Value::as_str).unwrap_or_default());
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title} API</title><link \
         rel=\"stylesheet\" href=\"docs/style.css\"></head><body><main><h1>{title} API</h1>\
         <p>{description}</p><p>Version {version} · <a href=\"openapi.json\">openapi.json</a> · \
         <a href=\"./\">console</a></p>",
        title = text("/info/title"),
        description = text("/info/description"),
        version = text("/info/version"),
    );
    let paths = document.get("paths").and_then(Value::as_object);
    for (path, methods) in paths.into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            if operation.is_object() {
                one(&mut page, document, &method.to_uppercase(), path, operation);
            }
        }
    }
    page.push_str("</main></body></html>");
    page
}

fn one(page: &mut String, document: &Value, method: &str, path: &str, operation: &Value) {
    let get = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default();
    add(
        page,
        &format!(
            "<section><h2><code class=\"method\">{}</code> <code>{}</code></h2><p>{}</p>",
            escape(method),
            escape(path),
            escape([get("summary"), get("description")].join(" ").trim()),
        ),
    );
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let parameters: Vec<&Value> = parameters.into_iter().flatten().collect();
    if !parameters.is_empty() {
        add(page, "<h3>Parameters</h3><dl>");
        for parameter in parameters {
            let field = |key: &str| parameter.get(key).and_then(Value::as_str).unwrap_or_default();
            let (name, place) = (escape(field("name")), escape(field("in")));
            let says = escape(field("description"));
            add(page, &format!("<dt><code>{name}</code> ({place})</dt><dd>{says}</dd>"));
        }
        add(page, "</dl>");
    }
    if let Some(schema) = schema_of(operation.get("requestBody")) {
        add(page, &format!("<h3>Body</h3><pre>{}</pre>", escape(&shape(document, schema))));
    }
    add(page, "<h3>Answers</h3><dl>");
    let answers = operation.get("responses").and_then(Value::as_object);
    for (status, answer) in answers.into_iter().flatten() {
        let says = answer.get("description").and_then(Value::as_str).unwrap_or_default();
        add(page, &format!("<dt>{}</dt><dd>{}", escape(status), escape(says)));
        if let Some(schema) = schema_of(Some(answer)) {
            add(page, &format!("<pre>{}</pre>", escape(&shape(document, schema))));
        }
        add(page, "</dd>");
    }
    add(page, "</dl></section>");
}

/// The schema of the first media type.
fn schema_of(holder: Option<&Value>) -> Option<&Value> {
    holder?.get("content")?.as_object()?.values().next()?.get("schema")
}

/// A schema as people write shapes: `{"id": string, "size"?: {…}}`.
fn shape(document: &Value, schema: &Value) -> String {
    let mut text = String::new();
    draw(document, schema, 0, &mut text);
    text
}

/// Limit: schemas that hold themselves are drawn this deep.
const DEPTH_MAX: usize = 6;

fn draw(document: &Value, schema: &Value, depth: usize, text: &mut String) {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let found = name.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        match found {
            Some(found) if depth < DEPTH_MAX => draw(document, found, depth, text),
            _ => text.push_str(name.rsplit('/').next().unwrap_or(name)),
        }
        return;
    }
    for many in ["oneOf", "anyOf", "allOf"] {
        if let Some(options) = schema.get(many).and_then(Value::as_array) {
            for (at, option) in options.iter().enumerate() {
                if at > 0 {
                    text.push_str(if many == "allOf" { " and " } else { " | " });
                }
                draw(document, option, depth, text);
            }
            return;
        }
    }
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &str| {
            required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)))
        };
        text.push_str("{\n");
        for (name, property) in properties {
            let mark = if is_required(name) { "" } else { "?" };
            add(text, &format!("{}\"{name}\"{mark}: ", "  ".repeat(depth + 1)));
            if depth < DEPTH_MAX {
                draw(document, property, depth + 1, text);
            }
            text.push('\n');
        }
        add(text, &format!("{}}}", "  ".repeat(depth)));
        return;
    }
    if let Some(items) = schema.get("items") {
        text.push('[');
        draw(document, items, depth, text);
        text.push(']');
        return;
    }
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | ")
        }
        _ => "any".to_owned(),
    };
    text.push_str(&kind);
}

fn add(page: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _written = write!(page, "{text}");
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::render;
    use serde_json::json;

    #[test]
    fn a_document_becomes_a_page_without_scripts_and_with_its_text_escaped() {
        let page = render(&json!({
            "info": { "title": "T<script>", "description": "d", "version": "1" },
            "paths": { "/a/{id}": { "post": {
                "summary": "Does it.",
                "parameters": [{ "name": "id", "in": "path", "description": "which" }],
                "requestBody": { "content": { "application/json": { "schema":
                    { "$ref": "#/components/schemas/A" } } } },
                "responses": { "201": { "description": "made" } },
            } } },
            "components": { "schemas": { "A": {
                "type": "object", "required": ["x"],
                "properties": { "x": { "type": "string" }, "again":
                    { "$ref": "#/components/schemas/A" } },
            } } },
        }));
        assert!(page.contains("<code>/a/{id}</code>"), "{page}");
        assert!(page.contains("&quot;x&quot;: string"), "{page}");
        assert!(page.contains("&quot;again&quot;?: "), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }
}
