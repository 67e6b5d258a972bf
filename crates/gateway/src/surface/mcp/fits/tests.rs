//! Schemas as tools have them, and arguments that fit, break them, or cannot be judged.

use super::*;

#[track_caller]
fn refused(schema: &Value, given: &Value) -> (Code, String, String) {
    let fault = check(schema, given.as_object().unwrap()).unwrap_err();
    let field = fault.detail_values().unwrap()["field"].as_str().unwrap().to_owned();
    (fault.code(), field, fault.text().to_owned())
}

#[track_caller]
fn fits(schema: &Value, given: &Value) {
    check(schema, given.as_object().unwrap()).unwrap();
}

#[test]
fn what_breaks_a_schema_is_named_with_what_would_be_right() {
    let schema = json!({"type": "object", "required": ["path"], "additionalProperties": false,
        "properties": {
            "path": {"type": "string", "minLength": 2},
            "count": {"type": "integer", "minimum": 1, "maximum": 10},
            "mode": {"enum": ["read", "write"]},
            "tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
            "place": {"$ref": "#/$defs/place"},
            "limit": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "$defs": {"place": {"type": "object", "required": ["x"],
                            "properties": {"x": {"type": ["number", "null"]}}}}});
    fits(
        &schema,
        &json!({"path": "/tmp", "count": 2.0, "mode": "read", "tags": ["a"],
                          "place": {"x": null, "more": 1}, "limit": null}),
    );
    for (given, field, text) in [
        (json!({}), "path", "the field `path` is missing"),
        (json!({"path": 5}), "path", "`path` must be a string, got a number"),
        (json!({"path": "a"}), "path", "`path` must have at least 2 characters"),
        (json!({"path": "ab", "count": "2"}), "count", "must be a whole number, got a string"),
        (json!({"path": "ab", "count": 1.5}), "count", "must be a whole number"),
        (json!({"path": "ab", "count": 0}), "count", "must be at least 1"),
        (json!({"path": "ab", "count": 11}), "count", "must be at most 10"),
        (json!({"path": "ab", "mode": "raed"}), "mode", "one of `\"read\"`, `\"write\"`"),
        (json!({"path": "ab", "tags": ["a", 7]}), "tags[1]", "`tags[1]` must be a string"),
        (json!({"path": "ab", "tags": ["a", "b", "c"]}), "tags", "at most 2 items"),
        (json!({"path": "ab", "place": {}}), "place.x", "the field `place.x` is missing"),
        (json!({"path": "ab", "place": {"x": ""}}), "place.x", "a number or null, got a string"),
        (json!({"path": "ab", "limit": "9"}), "limit", "a whole number, got a string, or `limit`"),
        (json!({"path": "ab", "cuont": 1}), "cuont", "did you mean `count`?"),
        (json!({"path": "ab", "elsewhere": 1}), "elsewhere", "it takes path, count, mode"),
    ] {
        let (code, at, said) = refused(&schema, &given);
        assert_eq!(at, field, "{given}: {said}");
        assert!(said.contains(text), "{given}: {said}");
        let missing = code == Code::MissingField;
        assert_eq!(missing, said.contains("is missing"), "{given}: {code:?}");
    }
}

#[test]
fn what_somebody_said_is_not_repeated() {
    let schema = json!({"properties": {"a": {"type": "object"}, "b": {"const": 1}}});
    for given in [json!({"a": "s3cret"}), json!({"b": "s3cret"})] {
        assert!(!refused(&schema, &given).2.contains("s3cret"));
    }
}

#[test]
fn what_is_not_understood_is_left_to_the_server() {
    let value = json!({"a": "x", "b": [1, "2"], "c": null, "d": {"e": 1}});
    for schema in [
        json!(true),
        json!(null),
        json!({"type": "thing"}),
        json!({"type": 7, "required": "a", "properties": [], "additionalProperties": 7}),
        json!({"properties": {"a": {"$ref": "https://example.org/schema"}}}),
        json!({"properties": {"a": {"$ref": "#/nowhere"}, "c": {"$ref": 7}}}),
        json!({"additionalProperties": false, "patternProperties": {"^[a-d]$": {}}}),
        json!({"properties": {"b": {"prefixItems": [{}, {}], "items": {"type": "object"}}}}),
        json!({"properties": {"b": {"items": [{"type": "number"}, {"type": "string"}]}}}),
        json!({"properties": {"c": {"type": "string", "nullable": true}}}),
        json!({"properties": {"d": {"enum": [{"e": 1.0}]}}}),
        json!({"properties": {"a": {"format": "uri", "pattern": "^y", "not": {}}}}),
        json!({"properties": {"a": {"anyOf": [{"type": "number"}, {"maxLength": 1}]}}}),
    ] {
        fits(&schema, &value);
    }
}

#[test]
fn schemas_that_go_round_or_branch_without_end_come_to_an_end() {
    let round = json!({"$ref": "#"});
    fits(&round, &json!({}));
    let branches = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}, {"$ref": "#"}]});
    fits(&branches, &json!({"a": 1}));
    let tree = json!({"type": "object", "properties": {"t": {"$ref": "#"}}});
    fits(&tree, &json!({"t": {"t": {"t": {}}}}));
    assert_eq!(refused(&tree, &json!({"t": {"t": 7}})).1, "t.t");
}
