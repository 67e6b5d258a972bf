//! The list of calls is whole, and nothing in it is unknown.

use std::collections::HashSet;

use super::{ORDER, call, calls, examples, http_file, postman};

#[test]
fn every_documented_call_is_listed_and_every_example_belongs_to_one() {
    let document = serde_json::to_value(crate::surface::openapi()).unwrap();
    let mut documented = HashSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = format!("{} {path}", method.to_uppercase());
            let example = examples().calls.remove(&name).unwrap_or_default();
            let has_body = example.get("body").is_some();
            assert_eq!(has_body, operation.get("requestBody").is_some(), "{name}: its body");
            documented.insert(name);
        }
    }
    for name in examples().calls.keys() {
        assert!(documented.contains(name), "{name} is no call");
    }
    let sockets = documented.iter().filter(|name| name.ends_with("/ws")).count();
    assert_eq!(calls().len(), documented.len() - sockets);
    for call in calls() {
        assert!(ORDER.contains(&call.group.as_str()), "the group `{}` has no place", call.group);
        assert!(!call.summary.is_empty(), "{} {}", call.method, call.path);
    }
}

#[test]
fn every_variable_has_a_value_and_is_used() {
    let text = http_file();
    let used: HashSet<_> =
        text.split("{{").skip(1).map(|rest| rest.split_once("}}").unwrap().0).collect();
    let known = examples().variables;
    let known: HashSet<_> = known.keys().map(String::as_str).collect();
    assert_eq!(used, known);
}

#[test]
fn a_request_is_written_for_both_kinds_of_tools() {
    let text = http_file();
    let wanted = "### state: Changes the state by a merge patch (RFC 7396): `null` removes a key.\n\
                  PATCH {{host}}/api/v1/contexts/{{context}}/state\n\
                  Content-Type: application/json\nAuthorization: Bearer {{key}}\n\n\
                  {\n  \"days\": 4,\n  \"guide\": null\n}\n";
    assert!(text.contains(wanted), "{text}");
    let collection = postman();
    let folders = collection["item"].as_array().unwrap();
    let names: Vec<_> = folders.iter().map(|folder| folder["name"].as_str().unwrap()).collect();
    assert_eq!(names, ORDER);
    let search = folders.iter().find(|folder| folder["name"] == "search").unwrap();
    let found = search["item"].as_array().unwrap().iter().map(|item| &item["request"]["url"]);
    let found = found.into_iter().find(|url| url["path"][2] == "search").unwrap();
    assert_eq!(found["raw"], "{{host}}/api/v1/search?q=harbour");
    assert_eq!(found["query"], serde_json::json!([{"key": "q", "value": "harbour"}]));
}

#[test]
fn a_call_without_an_example_is_a_plain_request() {
    let operation = serde_json::json!({"tags": ["new"], "summary": "Something new."});
    let call = call("GET".to_owned(), "/api/v1/keys/{id}", &operation, super::Example::default());
    assert_eq!((call.path.as_str(), call.body), ("/api/v1/keys/{{key_id}}", None));
}
