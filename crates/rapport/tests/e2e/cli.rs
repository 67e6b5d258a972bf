//! The commands that talk to a server, against a real one: output, files, exit codes.

use std::process::Output;

use serde_json::{Value, json};

use crate::house::{House, free_port};

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The output of a command that goes well.
#[track_caller]
pub(crate) fn fine(house: &House, arguments: &[&str]) -> String {
    let output = house.run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", err(&output));
    out(&output)
}

#[track_caller]
fn object(house: &House, arguments: &[&str]) -> Value {
    let text = fine(house, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// The exit code and standard error of a command that does not go well.
#[track_caller]
fn fails(house: &House, arguments: &[&str]) -> (i32, String) {
    let output = house.run(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", out(&output));
    (output.status.code().unwrap(), err(&output))
}

#[test]
fn a_context_lives_from_new_to_delete_as_the_api_tells_it() {
    let house = House::new();
    let _server = house.serve(&[]);
    let made = object(&house, &["context", "new", "--id", "a b/c", "--state", "{\"n\":1}"]);
    assert_eq!((&made["id"], &made["state"]), (&json!("a b/c"), &json!({"n": 1})));
    let turn = object(&house, &["context", "send", "a b/c", "hello"]);
    assert_eq!((&turn["turn"], &turn["offline"]), (&json!(1), &json!(true)));
    // It is the current one of the directory now: nobody has to name it.
    let stored = object(&house, &["message", "add", "--role", "assistant", "noted"]);
    assert_eq!(stored["messages"][0]["seq"], 3);
    assert_eq!(object(&house, &["context", "state", "--patch", "{\"n\":null}"]), json!({}));
    assert_eq!(
        object(&house, &["context", "state", "-", "--replace", "{\"m\":2}"]),
        json!({"m": 2})
    );
    let page = object(&house, &["context", "messages", "--role", "user"]);
    assert_eq!(page["messages"][0]["content"], "hello");
    assert_eq!(object(&house, &["context", "list"])["contexts"][0]["id"], "a b/c");
    assert_eq!(object(&house, &["context", "get"])["size"]["messages"], 3);
    assert_eq!(object(&house, &["context", "close"])["status"], "closed");
    let (code, text) = fails(&house, &["message", "send", "more"]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(object(&house, &["context", "delete"])["message"], "Context 'a b/c' deleted");
    let (code, text) = fails(&house, &["context", "show", "a b/c"]);
    assert!(code == 1 && text.starts_with("error: Context not found\nhint: "), "{text}");
    let (code, text) = fails(&house, &["context", "show"]);
    assert!(code == 2 && text.contains("context use ID"), "{text}");
}

#[test]
fn tables_are_for_people_and_mark_the_current_context() {
    let house = House::new();
    let _server = house.serve(&[]);
    fine(&house, &["context", "new", "--id", "one", "--title", "First"]);
    fine(&house, &["context", "new", "--id", "two"]);
    fine(&house, &["context", "use", "one"]);
    let table = fine(&house, &["context", "list"]);
    let row = table.lines().find(|row| row.contains("one")).unwrap();
    assert!(row.trim_start().starts_with('*') && row.contains("First"), "{table}");
    fine(&house, &["message", "send", "hello"]);
    let shown = fine(&house, &["context", "show"]);
    assert!(shown.contains("context    one") && shown.contains("1 user: hello"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "colours in a pipe: {shown}");
}

#[test]
fn an_exported_context_comes_back_with_every_message() {
    let house = House::new();
    let _server = house.serve(&[]);
    fine(&house, &["context", "new", "--id", "old", "--system", "be kind", "--state", "{\"n\":1}"]);
    fine(&house, &["message", "send", "hello"]);
    fine(&house, &["message", "send", "and now?"]);
    fine(&house, &["context", "export", "--output", "old.json"]);
    let before = object(&house, &["context", "messages", "old"]);
    let (code, text) = fails(&house, &["context", "import", "old.json"]);
    assert!(code == 1 && text.contains("exists already"), "{text}");
    fine(&house, &["context", "delete", "old"]);
    let back = object(&house, &["context", "import", "old.json"]);
    assert_eq!((&back["contexts"][0]["id"], &back["messages"]), (&json!("old"), &json!(4)));
    assert_eq!(object(&house, &["context", "show", "old"])["system"], "be kind");
    let after = object(&house, &["context", "messages", "old"]);
    let said = |page: &Value| -> Vec<Value> {
        let messages = page["messages"].as_array().unwrap();
        messages.iter().map(|m| json!([m["role"], m["content"]])).collect()
    };
    assert_eq!(said(&before), said(&after));
    let other = object(&house, &["context", "import", "old.json", "--new-id"]);
    assert_ne!(other["contexts"][0]["id"], "old");
    let (code, text) = fails(&house, &["context", "export", "old", "-o", "old.json"]);
    assert!(code == 9 && text.contains("old.json"), "{text}");
}

#[test]
fn what_was_said_is_found_and_branched_off_from() {
    let house = House::new();
    let _server = house.serve(&[]);
    fine(&house, &["context", "new", "--id", "trip"]);
    fine(&house, &["message", "send", "we fly to Lisbon"]);
    fine(&house, &["message", "send", "and now?"]);
    let found = fine(&house, &["context", "search", "Lisbon"]);
    assert!(found.starts_with("trip 1 user: we fly to Lisbon"), "{found}");
    assert!(fine(&house, &["context", "search", "Timbuktu"]).contains("nothing was said"));
    let other = fine(&house, &["context", "fork", "trip", "--at", "2", "--id", "other"]);
    assert_eq!(other.trim(), "other");
    let messages = object(&house, &["context", "messages", "other"]);
    assert_eq!(messages["messages"].as_array().unwrap().len(), 2, "{messages}");
    let (code, text) = fails(&house, &["context", "fork", "nowhere"]);
    assert!(code == 1 && text.contains("Context not found"), "{text}");
}

#[test]
fn sessions_summaries_and_the_state_of_the_server_are_one_command_each() {
    let house = House::new();
    let server = house.serve(&[]);
    let reply = object(&house, &["interact", "s1", "hello", "--context", "{\"user_id\":\"u\"}"]);
    assert_eq!(reply["updatedContext"]["user_id"], "u");
    assert!(fine(&house, &["interact", "s1", "and", "now"]).contains("You said 'and now'"));
    house.write("long.txt", &"Ports are numbers. They end at 65535. ".repeat(20));
    let short = fine(&house, &["summarize", "long.txt", "--length", "short"]);
    assert!(!short.trim().is_empty() && short.len() < 400, "{short}");
    let status = object(&house, &["status"]);
    assert_eq!((&status["status"], &status["contexts"]), (&json!("running"), &json!(1)));
    let text = fine(&house, &["status"]);
    assert!(text.contains(&format!("127.0.0.1:{}", server.port)), "{text}");
}

#[test]
fn a_key_made_before_the_start_is_asked_for_by_the_server() {
    let house = House::new();
    let made = house.run(&["key", "create", "admin", "--scope", "admin"]);
    let key = out(&made).trim().to_owned();
    assert!(key.starts_with("rap_") && key.len() == 42, "{key}");
    assert!(err(&made).contains("only time the key is shown"), "{}", err(&made));
    assert!(!err(&made).contains("warning"), "{}", err(&made));
    let _server = house.serve(&[]);
    let (code, text) = fails(&house, &["status"]);
    assert!(code == 7 && text.contains("RAPPORT_API_KEY"), "{text}");
    let (code, _) = fails(&house, &["status", "--key", "rap_wrong"]);
    assert_eq!(code, 7);
    let with = |arguments: &[&str]| {
        house.command(arguments).env("RAPPORT_API_KEY", &key).output().unwrap()
    };
    assert!(with(&["status"]).status.success());
    let reader = with(&["key", "create", "reader", "--scope", "read", "--json"]);
    let reader: Value = serde_json::from_str(&out(&reader)).unwrap();
    let secret = reader["secret"].as_str().unwrap();
    assert!(house.run(&["context", "list", "--key", secret]).status.success());
    let (code, text) = fails(&house, &["context", "new", "--key", secret]);
    assert!(code == 7 && text.contains("`write`"), "{text}");
    assert!(text.contains("rapport key create NAME --scope write"), "{text}");
    let verbose = with(&["status", "--verbose"]);
    assert!(err(&verbose).contains("> authorization: [hidden]"), "{}", err(&verbose));
    assert!(!err(&verbose).contains(&key), "the key is shown");
    assert!(with(&["key", "revoke", secret]).status.success());
    assert_eq!(fails(&house, &["context", "list", "--key", secret]).0, 7);
    let table = out(&with(&["key", "list"]));
    assert!(table.contains("revoked") && !table.contains(&key), "{table}");
}

#[test]
fn nothing_that_listens_is_exit_code_4_and_names_the_doctor() {
    let house = House::new();
    let port = free_port().to_string();
    let (code, text) = fails(&house, &["chat", "hello", "--port", &port]);
    assert_eq!(code, 4);
    assert!(text.contains("connection refused"), "{text}");
    assert!(text.contains(&format!("rapport doctor localhost:{port}")), "{text}");
    let (_, text) = fails(&house, &["status", "--json", "--port", &port]);
    let failure: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&failure["exit_code"], &failure["class"]),
        (&json!(4), &json!("connection refused"))
    );
    let log = house.path().join(".local/state/rapport/client.log");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(&format!("Failed to connect to localhost:{port}")), "{log}");
}

#[test]
fn the_impossible_port_is_a_name_with_one_warning_or_refused_when_strict() {
    let house = House::new();
    let server = house.serve(&[]);
    // As 61900 may be taken on the tester's machine, the name stands for the server's port here.
    house.write("rapport.yaml", &format!("ports: {{logical: {{619009: {}}}}}\n", server.port));
    for place in [&["--port", "619009"][..], &["--url", "http://localhost:619009"]] {
        let output = house.run(&[&["status"], place].concat());
        assert!(output.status.success(), "{}", err(&output));
        assert_eq!(err(&output).lines().count(), 1, "{}", err(&output));
        assert!(err(&output).starts_with("warning: 619009 is no TCP port"), "{}", err(&output));
        let (code, text) = fails(&house, &[&["status", "--strict-ports"], place].concat());
        assert!(code == 3 && text.contains("29185"), "{text}");
    }
}

#[test]
fn a_configuration_that_does_not_load_matters_only_when_it_names_the_server() {
    let house = House::new();
    let server = house.serve(&[]);
    // The server's terminal had the variable, this one has not, and needs no key of a provider.
    house.write("rapport.yaml", "providers: {groq: {api_key: \"${NOT_SET_HERE}\"}}\n");
    fine(&house, &["status"]);
    house.write("rapport.yaml", "server: {port: \"${NOT_SET_HERE}\"}\n");
    let (code, text) = fails(&house, &["status"]);
    assert!(code == 2 && text.contains("NOT_SET_HERE") && text.contains("RAPPORT_URL"), "{text}");
    let url = format!("http://localhost:{}", server.port);
    fine(&house, &["status", "--url", &url]);
    let named = house.command(&["status"]).env("RAPPORT_URL", &url).output().unwrap();
    assert!(named.status.success(), "{}", err(&named));
}

#[test]
fn tls_is_trusted_when_it_is_our_own_or_named_and_never_else() {
    let house = House::with("tls: {mode: required}\n");
    let server = house.serve(&[]);
    assert!(fine(&house, &["status"]).contains("https://"));
    let stranger = House::new();
    let url = format!("https://localhost:{}", server.port);
    let (code, text) = fails(&stranger, &["status", "--url", &url]);
    assert!(code == 6 && text.contains("SSL handshake failed"), "{text}");
    let ca = house.data().join("tls/certificate.pem").display().to_string();
    fine(&stranger, &["status", "--url", &url, "--ca", &ca]);
    let plain = format!("http://localhost:{}", server.port);
    assert_ne!(fails(&stranger, &["status", "--url", &plain]).0, 4);
}

#[test]
fn a_first_key_that_can_make_no_other_is_made_with_a_warning() {
    let house = House::new();
    let early = House::new();
    let said = early.run(&["key", "create", "laptop"]);
    assert!(said.status.success() && err(&said).contains("no key may make others"), "{said:?}");
    let _server = house.serve(&[]);
    let said = house.run(&["key", "create", "laptop"]);
    assert!(said.status.success() && err(&said).contains("no key may make others"), "{said:?}");
    let (code, text) = fails(&house, &["key", "create", "admin", "--scope", "admin"]);
    assert!(code == 7 && text.contains("while the server is stopped"), "{text}");
}

#[test]
fn numbers_that_are_no_ports_and_folders_that_are_not_there_are_named() {
    let house = House::new();
    let (code, text) = fails(&house, &["ports", "list", "99999"]);
    assert!(code == 3 && text.contains("ports are 0-65535"), "{text}");
    assert!(house.run(&["key", "list"]).status.success());
    let (code, text) = fails(&house, &["backup", "nowhere/copy.db"]);
    assert!(code == 1 && text.contains("there is no folder `nowhere`"), "{text}");
    house.write("copy.part", "mine");
    assert!(house.run(&["backup", "copy.db"]).status.success());
    let kept = std::fs::read_to_string(house.path().join("copy.part")).unwrap();
    assert_eq!(kept, "mine", "a file of another program stays");
    let (code, text) = fails(&house, &["mcp", "test", "nosuch"]);
    assert!(code == 2 && text.contains("rapport mcp add NAME"), "{text}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_no_success() {
    let house = House::new();
    for arguments in [["config", "show"], ["completions", "bash"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = house.command(&arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        assert!(err(&output).contains("could not be written"), "{output:?}");
    }
    // A reader that has seen enough is no problem.
    let mut child = house.command(&["completions", "bash"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && err(&output).is_empty(), "{output:?}");
}
