//! The methods that both eras have.

use serde_json::{Map, Value, json};

use super::Inner;
use super::serve::{Ask, Page, Serve, Stop};
use crate::rpc::{Params, Refusal, code};

/// Methods whose answers say how long they may be kept.
const CACHED: &[&str] = &[
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "server/discover",
];

/// Answers a request; `None` when this is no method of both eras.
pub(super) async fn answer<S: Serve>(
    inner: &Inner<S>,
    ask: &Ask<S::Caller>,
    method: &str,
    params: &Params,
) -> Option<Result<Value, Stop>> {
    let serve = &inner.serve;
    let offers = serve.offers();
    let cursor = match cursor(params) {
        Ok(cursor) => cursor,
        Err(refusal) => return Some(Err(refusal.into())),
    };
    Some(match method {
        "tools/list" if offers.tools => list("tools", serve.tools(ask, cursor).await),
        "tools/call" if offers.tools => match named(params) {
            Ok(()) => serve.call(ask, &params.0).await,
            Err(refusal) => Err(refusal.into()),
        },
        "resources/list" if offers.resources => {
            list("resources", serve.resources(ask, cursor).await)
        }
        "resources/templates/list" if offers.resources => {
            list("resourceTemplates", serve.templates(ask, cursor).await)
        }
        "resources/read" if offers.resources => read(serve, ask, params).await,
        "prompts/list" if offers.prompts => list("prompts", serve.prompts(ask, cursor).await),
        "prompts/get" if offers.prompts => match named(params) {
            Ok(()) => serve.prompt(ask, &params.0).await,
            Err(refusal) => Err(refusal.into()),
        },
        "completion/complete" if offers.completions => {
            serve.complete(ask, &params.0).await.map_err(Stop::from)
        }
        _ => return None,
    })
}

fn cursor(params: &Params) -> Result<Option<&str>, Refusal> {
    match params.0.get("cursor") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(cursor)) => Ok(Some(cursor)),
        Some(_) => Err(Refusal::params("`cursor` must be a string")),
    }
}

fn named(params: &Params) -> Result<(), Refusal> {
    params.required("name")?;
    match params.0.get("arguments") {
        None | Some(Value::Object(_) | Value::Null) => Ok(()),
        Some(_) => Err(Refusal::params("`arguments` must be an object")),
    }
}

fn list(name: &str, page: Result<Page, Refusal>) -> Result<Value, Stop> {
    let page = page?;
    let mut result = Map::new();
    result.insert(name.to_owned(), Value::Array(page.items));
    if let Some(next) = page.next {
        result.insert("nextCursor".to_owned(), next.into());
    }
    Ok(Value::Object(result))
}

async fn read<S: Serve>(serve: &S, ask: &Ask<S::Caller>, params: &Params) -> Result<Value, Stop> {
    let uri = params.required("uri")?;
    match serve.read(ask, uri).await? {
        Some(result) => Ok(result),
        None => {
            let number = if ask.revision.is_modern() { code::PARAMS } else { code::RESOURCE };
            let shown: String = uri.chars().take(200).collect();
            let text = format!("there is no resource `{shown}`");
            Err(Refusal::new(number, text).with(json!({"uri": shown})).into())
        }
    }
}

/// Gives a result the form of the modern era: it says what it is, who gave it and how long it may
/// be kept.
pub(super) fn modern(method: &str, mut result: Value, info: &Value) -> Value {
    let Value::Object(map) = &mut result else { return result };
    map.entry("resultType").or_insert_with(|| "complete".into());
    if CACHED.contains(&method) {
        // What a caller may see depends on the caller, and changes at any time.
        map.entry("ttlMs").or_insert_with(|| 0.into());
        map.entry("cacheScope").or_insert_with(|| "private".into());
    }
    let meta = map.entry("_meta").or_insert_with(|| json!({}));
    if let Value::Object(meta) = meta {
        meta.entry("io.modelcontextprotocol/serverInfo").or_insert_with(|| info.clone());
    }
    result
}

/// Gives a result the form of the legacy era.
pub(super) fn legacy(mut result: Value) -> Value {
    if let Value::Object(map) = &mut result {
        for name in ["resultType", "ttlMs", "cacheScope"] {
            map.shift_remove(name);
        }
        structured_as_text(map);
        for tool in map.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
            let schema = tool.get("outputSchema");
            let is_object = |schema: &Value| schema.get("type") == Some(&Value::from("object"));
            if let (true, Value::Object(tool)) = (schema.is_some_and(|s| !is_object(s)), tool) {
                tool.shift_remove("outputSchema");
            }
        }
    }
    result
}

/// Structured output was an object before 2026-07-28; clients of then throw an answer with any
/// other away.
fn structured_as_text(map: &mut Map<String, Value>) {
    if map.get("structuredContent").is_none_or(Value::is_object) {
        return;
    }
    let value = map.shift_remove("structuredContent").unwrap_or_default();
    let content = map.entry("content").or_insert_with(|| json!([]));
    if let Value::Array(blocks) = content
        && blocks.is_empty()
        && !value.is_null()
    {
        blocks.push(json!({"type": "text", "text": value.to_string()}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_clients_get_no_structured_output_but_objects() {
        let tools = json!({"resultType": "complete", "tools": [
            {"name": "a", "outputSchema": {"type": "array"}}, {"name": "b", "outputSchema": {}},
            {"name": "c", "outputSchema": {"type": "object"}}, {"name": "d"}, 7]});
        let plain = json!({"tools": [{"name": "a"}, {"name": "b"},
            {"name": "c", "outputSchema": {"type": "object"}}, {"name": "d"}, 7]});
        assert_eq!(legacy(tools), plain);
        let object = json!({"content": [], "structuredContent": {"a": 1}});
        assert_eq!(legacy(object.clone()), object);
        let text = json!({"type": "text", "text": "[1]"});
        for given in [
            json!({"structuredContent": [1]}),
            json!({"content": [text],
            "structuredContent": [1]}),
        ] {
            assert_eq!(legacy(given), json!({"content": [text]}));
        }
    }
}
