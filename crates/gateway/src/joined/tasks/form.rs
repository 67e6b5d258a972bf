//! A task in the words of both eras, each made of the other's.

use mcp::rpc::Refusal;
use serde_json::{Map, Value, json};

/// How a task of the legacy era is named in results that belong to it.
const RELATED: &str = "io.modelcontextprotocol/related-task";
/// The fields that both eras have, as the legacy and the modern one name them.
const FIELDS: &[(&str, &str)] = &[
    ("taskId", "taskId"),
    ("status", "status"),
    ("statusMessage", "statusMessage"),
    ("createdAt", "createdAt"),
    ("lastUpdatedAt", "lastUpdatedAt"),
    ("ttl", "ttlMs"),
    ("pollInterval", "pollIntervalMs"),
];

/// A task of the legacy era in the words of the modern one, without its outcome.
pub(super) fn modern(task: &Value) -> Value {
    let named = FIELDS.iter().filter_map(|(old, new)| Some((*new, task.get(*old)?.clone())));
    let mut out: Map<String, Value> = named.map(|(name, v)| (name.to_owned(), v)).collect();
    out.entry("ttlMs").or_insert(Value::Null);
    Value::Object(out)
}

/// A task of the modern era in the words of the legacy one.
pub(super) fn legacy(task: &Value) -> Value {
    let named = FIELDS.iter().filter_map(|(old, new)| Some((*old, task.get(*new)?.clone())));
    let mut out: Map<String, Value> = named.map(|(name, v)| (name.to_owned(), v)).collect();
    out.entry("ttl").or_insert(Value::Null);
    Value::Object(out)
}

/// The same task under another name.
pub(super) fn named(mut task: Value, id: &str) -> Value {
    if let Value::Object(map) = &mut task {
        map.insert("taskId".to_owned(), id.into());
    }
    task
}

/// A result of the legacy era that says which task it belongs to, under the name it has here.
pub(super) fn related(mut result: Value, id: &str) -> Value {
    if let Value::Object(map) = &mut result {
        let meta = map.entry("_meta").or_insert_with(|| json!({}));
        if let Value::Object(meta) = meta {
            meta.insert(RELATED.to_owned(), json!({"taskId": id}));
        }
    }
    result
}

/// What a finished task came to, in the words of the modern era.
pub(super) fn outcome(mut task: Value, outcome: Result<Value, Refusal>) -> Value {
    let Value::Object(map) = &mut task else { return task };
    let (status, field, value) = match outcome {
        Ok(mut result) => {
            if let Value::Object(result) = &mut result {
                result.entry("resultType").or_insert_with(|| "complete".into());
            }
            ("completed", "result", result)
        }
        Err(refusal) => ("failed", "error", refusal.object()),
    };
    map.insert("status".to_owned(), status.into());
    map.insert(field.to_owned(), value);
    task
}

/// The task that an answer says a call has become, in the words of the era of its server.
pub(super) fn begun(answer: &Value, is_modern: bool) -> Option<&Value> {
    if is_modern {
        (answer.get("resultType")? == "task").then_some(answer)
    } else {
        answer.get("task").filter(|task| task.get("taskId").is_some())
    }
}

/// A text of a task.
pub(super) fn text<'a>(task: &'a Value, field: &str) -> &'a str {
    task.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_says_the_same_in_both_eras() {
        let old = json!({"taskId": "1", "status": "working", "createdAt": "a",
                         "lastUpdatedAt": "b", "ttl": 60000, "pollInterval": 500, "other": 1});
        let new = modern(&old);
        assert_eq!((&new["ttlMs"], &new["pollIntervalMs"]), (&json!(60000), &json!(500)));
        assert_eq!(modern(&legacy(&new)), new);
        assert_eq!(legacy(&json!({"taskId": "1"}))["ttl"], Value::Null, "a ttl is always there");
        let done = outcome(new.clone(), Ok(json!({"content": []})));
        assert_eq!(
            (&done["status"], &done["result"]["resultType"]),
            (&json!("completed"), &json!("complete"))
        );
        let failed = outcome(new, Err(Refusal::params("no")));
        assert_eq!(
            (&failed["status"], &failed["error"]["code"]),
            (&json!("failed"), &json!(-32602))
        );
        let wrapped = json!({"task": old});
        assert!(begun(&wrapped, false).is_some() && begun(&wrapped, true).is_none());
        assert!(begun(&json!({"resultType": "complete"}), true).is_none());
        assert_eq!(related(json!({}), "x")["_meta"][RELATED]["taskId"], "x");
    }
}
