//! Tests of the edits: what changes, and that nothing else does.

use serde_json::{Map, Value, json};

use super::{Format, Refused, is_loose};

const PATH: &[&str] = &["mcpServers", "rapport"];
const TABLE: &[&str] = &["mcp_servers", "rapport"];

fn entry(command: &str) -> Map<String, Value> {
    let Value::Object(map) = json!({"command": command, "args": ["mcp"]}) else { panic!() };
    map
}

#[track_caller]
fn check(before: &str, after: &str) {
    assert_eq!(Format::Json.set(before, PATH, &entry("/r")).unwrap(), after);
    assert_eq!(Format::Json.set(after, PATH, &entry("/r")).unwrap(), after, "twice is once");
}

/// Connecting and disconnecting gives the same bytes.
#[track_caller]
fn there_and_back(format: Format, path: &[&str], before: &str) {
    let with = format.set(before, path, &entry("/r")).unwrap();
    assert_ne!(with, before);
    assert_eq!(format.remove(&with, path).unwrap(), before, "with it:\n{with}");
}

#[test]
fn an_entry_comes_behind_the_last_one_in_the_style_of_the_file() {
    let whole = "{\n  \"mcpServers\": {\n    \"rapport\": {\n      \"command\": \"/r\",\n      \
                 \"args\": [\n        \"mcp\"\n      ]\n    }\n  }\n}\n";
    check("", whole);
    check("\n", whole);
    check("{}", whole.trim_end());
    check(
        "{\n\t\"a\": 1, // one\n\t\"mcpServers\": {\n\t\t\"x\": {\"command\": \"y\"} // mine\n\t}\n\
         }\n",
        "{\n\t\"a\": 1, // one\n\t\"mcpServers\": {\n\t\t\"x\": {\"command\": \"y\"}, // mine\n\
         \t\t\"rapport\": {\n\t\t\t\"command\": \"/r\",\n\t\t\t\"args\": [\n\
         \t\t\t\t\"mcp\"\n\t\t\t]\n\t\t}\n\t}\n}\n",
    );
    check(
        "{\"a\":1.50,\"mcpServers\":{\"x\":{}}}",
        "{\"a\":1.50,\"mcpServers\":{\"x\":{},\"rapport\":{\"command\":\"/r\",\
         \"args\":[\"mcp\"]}}}",
    );
    check(
        "{\"a\":1}",
        "{\"a\":1,\"mcpServers\":{\"rapport\":{\"command\":\"/r\",\"args\":[\"mcp\"]}}}",
    );
}

#[test]
fn what_was_there_comes_back_byte_for_byte() {
    for text in [
        "{\n  \"mcpServers\": {\n    \"x\": {\"command\": \"y\"}\n  },\n  \"z\": 1e2\n}",
        "{\r\n    \"mcpServers\": {\r\n        \"x\": {} // last\r\n    }\r\n}\r\n",
        "\u{feff}{\n  \"mcpServers\": {}\n}\n",
        "{ // top\n  \"mcpServers\": {\n    /* first */\n    \"x\": {},\n  },\n}\n",
        "{\"mcpServers\":{\"x\":{\"a\":\"\\u00e9 }\"}},\"é\":[1,2]}",
        "{\"mcpServers\": { \"x\": {} /* one line */ } } // end",
        "{\"mcpServers\": {\"x\": {}, } }",
    ] {
        there_and_back(Format::Json, PATH, text);
    }
    for text in [
        "model = \"o\" # mine\n\n[mcp_servers.x]\ncommand = \"y\"\n",
        "[mcp_servers.x]\r\ncommand = \"y\"\r\nargs = [\r\n  \"[mcp_servers.rapport]\",\r\n]\r\n",
        "# only a remark\n",
    ] {
        there_and_back(Format::Toml, TABLE, text);
    }
}

#[test]
fn of_an_entry_that_is_there_only_what_differs_changes() {
    let before = "{\n  \"mcpServers\": {\n    \"rapport\": {\n      // keep\n      \"command\": \
                  \"/old\",\n      \"args\": [\"mcp\"], \"note\": 1\n    }\n  }\n}\n";
    let mut new = entry("/new");
    new.insert("note".to_owned(), json!(1));
    let after = Format::Json.set(before, PATH, &new).unwrap();
    assert_eq!(after, before.replace("/old", "/new"));

    let before = "[mcp_servers.rapport] # ours\ncommand = \"/old\" # keep\nargs = ['mcp']\n\n\
                  [mcp_servers.rapport.env]\nA = \"1\"\n\n# the next\n[tui]\nx = 1\n";
    let mut new = entry("/new");
    new.insert("env".to_owned(), json!({"A": "1"}));
    let after = Format::Toml.set(before, TABLE, &new).unwrap();
    assert_eq!(after, before.replace("\"/old\"", "\"/new\""));
    let after = Format::Toml.set(before, TABLE, &entry("/old")).unwrap();
    assert_eq!(
        after,
        "[mcp_servers.rapport] # ours\ncommand = \"/old\" # keep\nargs = ['mcp']\n\n\
         # the next\n[tui]\nx = 1\n"
    );
    new.insert("env".to_owned(), json!({"B": "x\"y"}));
    let after = Format::Toml.set(&after, TABLE, &new).unwrap();
    assert!(after.contains("env = { B = 'x\"y' }") || after.contains("\\\""), "{after}");
}

#[test]
fn an_entry_between_others_is_cut_out_with_its_line() {
    let text = "{\n  \"mcpServers\": {\n    \"a\": {},\n\
                \x20   \"rapport\": {\"command\": \"/r\"},\n    \
                \"b\": {}\n  }\n}\n";
    assert_eq!(
        Format::Json.remove(text, PATH).unwrap(),
        text.replace("    \"rapport\": {\"command\": \"/r\"},\n", "")
    );
    let text =
        "[mcp_servers.rapport]\ncommand = \"/r\"\n\n# of x\n[mcp_servers.x]\ncommand = \"y\"\n";
    assert_eq!(
        Format::Toml.remove(text, TABLE).unwrap(),
        "# of x\n[mcp_servers.x]\ncommand = \"y\"\n"
    );
}

#[test]
fn a_broken_file_is_refused_with_its_place() {
    for (text, place) in [
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "line 3, column 3: `,` or `}` was expected"),
        ("{\"a\": }", "line 1, column 7: a value was expected"),
        ("{'a': 1}", "line 1, column 2: a name in double quotes was expected"),
        ("{\"a\": \"x\n\"}", "line 1, column 7: this text has no closing quote"),
        ("{} {}", "line 1, column 4: the end was expected after the value"),
        ("{\"mcpServers\": []}", "line 1, column 16: an object in braces was expected here"),
        ("[]", "line 1, column 1: an object in braces was expected here"),
        ("{ /* x }", "line 1, column 2: this comment has no `*/`"),
        ("{", "line 1, column 2: a name in double quotes was expected"),
    ] {
        let refused = Format::Json.set(text, PATH, &entry("/r")).unwrap_err();
        assert_eq!(refused.to_string(), place, "{text}");
    }
    let refused = Format::Toml.set("a = \n", TABLE, &entry("/r")).unwrap_err();
    assert!(refused.to_string().starts_with("line 1, column"), "{refused}");
    let deep = "[".repeat(5000);
    assert!(Format::Json.find(&deep, PATH).is_err());
}

#[test]
fn an_entry_in_an_unusual_form_is_left_alone() {
    let inline = "mcp_servers = { rapport = { command = \"/old\" } }\n";
    assert_eq!(Format::Toml.remove(inline, TABLE), Err(Refused::Unusual));
    let other = "mcp_servers = { x = { command = \"y\" } }\n";
    assert_eq!(Format::Toml.set(other, TABLE, &entry("/r")), Err(Refused::Unusual));
}

#[test]
fn comments_and_open_commas_are_what_strict_readers_refuse() {
    assert!(is_loose("{} // x") && is_loose("{\"a\": 1,}") && is_loose("{\"a\": [1,]}"));
    assert!(!is_loose("{\"a\": [1, 2], \"b\": \"// no comment\"}"));
}
