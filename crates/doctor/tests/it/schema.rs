//! Every report is as `docs/doctor.schema.json` says: a small reader of schemas judges it.

use doctor::{Request, diagnose};
use serde_json::{Value, json};

use crate::servers::{closed_port, greets, http};

const SCHEMA: &str = include_str!("../../../../docs/doctor.schema.json");

/// Everything in `value` that is not as `schema` says, with its place; of the words that the
/// schema of reports uses, and any other word is a mistake of the schema.
fn faults(root: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (word, rule) in schema.as_object().expect("a schema is an object") {
        let wrong = |what: &str| format!("{place}: {what} {rule}, but {value}");
        match word.as_str() {
            "$ref" => {
                let path = rule.as_str().unwrap().trim_start_matches('#');
                found.extend(faults(root, root.pointer(path).unwrap(), value, place));
            }
            "type" if !is_of(rule, value) => found.push(wrong("is of type")),
            "enum" if !rule.as_array().unwrap().contains(value) => found.push(wrong("is one of")),
            "minimum" if value.as_f64().is_some_and(|n| n < rule.as_f64().unwrap()) => {
                found.push(wrong("is at least"));
            }
            "maximum" if value.as_f64().is_some_and(|n| n > rule.as_f64().unwrap()) => {
                found.push(wrong("is at most"));
            }
            "required" => {
                let missing = rule
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|name| value.get(name.as_str().unwrap()).is_none());
                found.extend(missing.map(|name| format!("{place}: lacks {name}")));
            }
            "properties" => {
                for (name, rule) in rule.as_object().unwrap() {
                    let Some(value) = value.get(name) else { continue };
                    found.extend(faults(root, rule, value, &format!("{place}/{name}")));
                }
                let known = rule.as_object().unwrap();
                let strange = value.as_object().into_iter().flat_map(|fields| fields.keys());
                let strange = strange.filter(|name| !known.contains_key(*name));
                found.extend(strange.map(|name| format!("{place}: `{name}` is not documented")));
            }
            "items" => {
                for (at, one) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(faults(root, rule, one, &format!("{place}/{at}")));
                }
            }
            "type" | "enum" | "minimum" | "maximum" | "title" | "description" | "$schema"
            | "$defs" => {}
            other => panic!("the schema has a word that this test does not know: {other}"),
        }
    }
    found
}

fn is_of(rule: &Value, value: &Value) -> bool {
    let named = match rule {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    named.iter().any(|name| match name.as_str().unwrap() {
        "string" => value.is_string(),
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    })
}

#[tokio::test]
async fn every_report_is_as_the_schema_says() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let (well, ill, banner) = (http("200 OK"), http("500 Oops"), greets(b"SSH-2.0-x\r\n"));
    let targets = [
        format!("http://localhost:{}/", well.port),
        format!("http://localhost:{}/", ill.port),
        format!("http://localhost:{}/", banner.port),
        format!("localhost:{}", closed_port()),
        "localhost:619009".to_owned(),
        "htp://x".to_owned(),
        "nowhere.invalid:80".to_owned(),
        String::new(),
        "http://user:secret@localhost:-5/?key=x".to_owned(),
    ];
    for target in targets {
        let by_hand = target.ends_with('/');
        let request = Request { target: Some(target.clone()), by_hand, ..Request::default() };
        let report = diagnose(&request).await;
        let json = report.to_json();
        assert_eq!(json.get("by_hand").is_some(), by_hand, "{target}: {json:#}");
        assert_eq!(faults(&schema, &schema, &json, ""), Vec::<String>::new(), "{target}: {json:#}");
        assert_eq!(json["exit_code"], report.exit_code());
        assert!(!json.to_string().contains("secret"), "{json:#}");
    }
    // The reader itself sees what is wrong.
    let bad = json!({ "schema": 2, "verdict": { "id": 1 }, "new": 1 });
    let found = faults(&schema, &schema, &bad, "").join("\n");
    for words in ["/schema: is one of", "/verdict/id: is of type", "lacks \"ok\"", "`new`"] {
        assert!(found.contains(words), "{words}: {found}");
    }
}
