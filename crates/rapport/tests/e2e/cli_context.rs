//! `rapport context`: every verb that the API has, on a real server.

use serde_json::Value;

use crate::cli::{err, fine, out};
use crate::house::House;

fn json(house: &House, arguments: &[&str]) -> Value {
    let text = fine(house, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A house with a context `talk-one` of four messages.
fn talked() -> (House, crate::house::Server) {
    let house = House::new();
    let server = house.serve(&[]);
    fine(&house, &["context", "new", "--id", "talk-one", "--model", "echo"]);
    fine(&house, &["context", "send", "talk-one", "about", "trains"]);
    fine(&house, &["context", "send", "talk-one", "about", "ships"]);
    (house, server)
}

#[test]
fn the_beginning_of_an_id_is_enough_where_it_is_clear() {
    let (house, _server) = talked();
    assert!(fine(&house, &["context", "messages", "talk"]).contains("1 user: about trains"));
    fine(&house, &["context", "new", "--id", "talk-two"]);
    let unclear = house.run(&["context", "messages", "talk"]);
    assert_eq!(unclear.status.code(), Some(2));
    let said = err(&unclear);
    assert!(said.contains("`talk-one`") && said.contains("`talk-two`"), "{said}");
    assert!(said.contains("write more of the id"), "{said}");
    let nobody = house.run(&["context", "messages", "walk"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(err(&nobody).contains("rapport context list"), "{}", err(&nobody));
    assert_eq!(
        json(&house, &["context", "list", "--id-prefix", "talk-t"])["contexts"][0]["id"],
        "talk-two"
    );
}

#[test]
fn going_back_and_forth_between_branches() {
    let (house, _server) = talked();
    let named = fine(&house, &["context", "checkpoint", "talk-one", "ships", "--note", "both"]);
    assert_eq!(named.trim(), "`ships` is message 4 of `talk-one`");
    fine(&house, &["context", "send", "talk-one", "about", "planes"]);
    let back = fine(&house, &["context", "rollback", "talk-one", "--checkpoint", "ships"]);
    assert!(back.contains("has 4 messages now") && back.contains("context undo"), "{back}");
    let branches = fine(&house, &["context", "branches", "talk-one"]);
    assert!(branches.contains("`talk-one` has 4 messages"), "{branches}");
    assert_eq!(json(&house, &["context", "branches", "talk-one"])["left"][0]["messages"], 6);
    assert!(fine(&house, &["context", "undo", "talk-one"]).contains("has 6 messages"));
    assert!(fine(&house, &["context", "checkpoint", "talk-one"]).contains("both"));

    fine(&house, &["context", "fork", "talk-one", "--at", "2", "--new-id", "side"]);
    fine(&house, &["context", "state", "side", "--patch", "{\"topic\":\"ferries\"}"]);
    let compared = fine(&house, &["context", "compare", "talk-one", "side"]);
    assert!(compared.contains("shared messages: 2"), "{compared}");
    assert!(compared.contains("ferries"), "{compared}");
    fine(&house, &["context", "merge", "talk-one", "side"]);
    assert!(fine(&house, &["context", "state", "talk-one"]).contains("ferries"));
    fine(&house, &["context", "checkpoint", "talk-one", "ships", "--delete"]);
    let none = house.run(&["context", "checkpoint", "talk-one"]);
    assert!(err(&none).contains("There are none"), "{}", err(&none));
}

#[test]
fn what_goes_to_a_model_and_what_is_found_again() {
    let (house, _server) = talked();
    assert_eq!(
        fine(&house, &["context", "pin", "talk-one", "1"]).trim(),
        "pinned message 1 of `talk-one`"
    );
    assert_eq!(fine(&house, &["context", "pin", "talk-one"]).trim(), "1");
    fine(&house, &["context", "pin", "talk-one", "1", "--release"]);
    assert_eq!(fine(&house, &["context", "pin", "talk-one"]).trim(), "nothing is pinned");
    assert!(fine(&house, &["context", "window", "talk-one"]).contains("offline"));
    assert!(err(&house.run(&["context", "epochs", "talk-one"])).contains("There are none"));
    let found = fine(&house, &["context", "recall", "talk-one", "which", "ships?"]);
    assert!(found.contains("* 3 user: about ships"), "{found}");
    fine(&house, &["context", "note", "talk-one", "the ferry leaves at 9"]);
    assert!(fine(&house, &["context", "note", "talk-one"]).contains("the ferry leaves at 9"));
    fine(&house, &["context", "note", "talk-one", "--forget", "1"]);
    fine(&house, &["context", "profile", "ann", "--patch", "{\"likes\":\"trains\"}"]);
    assert_eq!(json(&house, &["context", "profile", "ann"])["profile"]["likes"], "trains");
}

#[test]
fn sharing_following_and_the_end() {
    let (house, server) = talked();
    let made =
        json(&house, &["context", "share", "talk-one", "--name", "a friend", "--expires", "2d"]);
    let token = made["token"].as_str().unwrap();
    assert!(fine(&house, &["context", "share", "talk-one", "--list"]).contains("a friend"));
    assert!(!fine(&house, &["context", "share", "talk-one", "--list"]).contains(token));
    fine(&house, &["context", "share", "talk-one", "--end", "1"]);

    let told = fine(&house, &["context", "events", "talk-one", "--after", "2"]);
    assert!(told.starts_with("3 user: about ships") && !told.contains("trains"), "{told}");
    let lines = fine(&house, &["context", "events", "talk-one", "--json"]);
    assert_eq!(lines.lines().filter(|line| line.contains("\"event\":\"message\"")).count(), 4);
    let mut command = house.command(&["context", "events", "talk-one", "--after", "now", "-f"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let stored = fine(&house, &["context", "append", "talk-one", "--role", "user", "one more"]);
    assert_eq!(stored.trim(), "message 5 of `talk-one`");
    fine(&house, &["context", "edit", "talk-one", "--title", "Travel", "--idle", "3600"]);
    let shown = json(&house, &["context", "show", "talk-one"]);
    assert!(shown["title"] == "Travel" && shown["expires_at"].is_string(), "{shown}");
    fine(&house, &["context", "close", "talk-one"]);
    // It ends by itself, because the context is closed.
    let followed = child.wait_with_output().unwrap();
    assert!(followed.status.success());
    let last = server.get("/api/v1/contexts/talk-one/messages");
    assert!(last.contains("one more"), "{last}");
    assert!(err(&house.run(&["context", "send", "talk-one", "x"])).contains("closed"));
    assert!(out(&house.run(&["context", "cancel", "talk-one"])).contains("no turn was running"));
    fine(&house, &["context", "delete", "talk"]);
    assert!(fine(&house, &["context", "list", "--json"]).starts_with("{\"contexts\":[]"));
}

#[test]
fn changes_are_audited_and_webhooks_are_kept() {
    let (house, _server) = talked();
    fine(&house, &["context", "close", "talk-one"]);
    let listed = fine(&house, &["audit", "list"]);
    assert!(listed.contains("context.created") && listed.contains("context.closed"), "{listed}");
    assert!(fine(&house, &["audit", "verify"]).starts_with("2 lines"));
    assert_eq!(fine(&house, &["audit", "export"]).lines().count(), 2);

    let refused = house.run(&["webhook", "create", "http://127.0.0.1:9/hook"]);
    assert!(err(&refused).contains("webhooks.private"), "{}", err(&refused));
    let events = ["--events", "turn.completed,context.closed"];
    let made = [&["webhook", "create", "https://hooks.invalid/x"][..], &events].concat();
    assert!(fine(&house, &made).starts_with("whsec_"));
    let list = fine(&house, &["webhook", "list"]);
    assert!(list.contains("turn.completed context.closed") && list.contains("on"), "{list}");
    fine(&house, &["webhook", "switch", "1", "off"]);
    assert_eq!(json(&house, &["webhook", "list"])["webhooks"][0]["enabled"], false);
    fine(&house, &["webhook", "delete", "1"]);
    assert_eq!(house.run(&["webhook", "test", "1"]).status.code(), Some(1));
    let key = std::fs::read_to_string(house.path().join("data/vault.key"));
    assert_eq!(key.map(|key| key.trim().len()).ok(), Some(64));
}

#[test]
fn a_document_larger_than_any_request_goes_in_and_out_in_parts() {
    let house = House::new();
    let _server = house.serve(&[]);
    let mut text =
        String::from("{\"format\":\"rapport.context/1\",\"context\":{\"id\":\"big\"}}\n");
    // Beyond what one request or one answer may hold by itself.
    let message = serde_json::json!({"role": "user", "content": "x".repeat(1024 * 1024)});
    for _ in 0..70 {
        text.push_str(&message.to_string());
        text.push('\n');
    }
    house.write("big.jsonl", &text);
    let made = house.run(&["context", "import", "big.jsonl"]);
    assert!(made.status.success(), "{}", err(&made));
    assert_eq!(json(&house, &["context", "show", "big"])["size"]["messages"], 70);
    fine(&house, &["context", "export", "big", "-o", "out.json"]);
    let again = house.run(&["context", "export", "big", "-o", "out.json"]);
    assert!(err(&again).contains("name a new file"), "{}", err(&again));
    let written = std::fs::read(house.path().join("out.json")).unwrap();
    let written: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(written["messages"].as_array().unwrap().len(), 70);

    let cut = text.len() - 700_000;
    house.write("cut.jsonl", text.get(..cut).unwrap().replace("\"big\"", "\"cut\"").as_str());
    let failed = house.run(&["context", "import", "cut.jsonl"]);
    assert_eq!(failed.status.code(), Some(1), "{}", err(&failed));
    assert!(err(&failed).contains("line 71 of the document cannot be read"), "{}", err(&failed));
    assert_eq!(house.run(&["context", "show", "cut", "--json"]).status.code(), Some(1));
    house.write("chat.json", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    let id = fine(&house, &["context", "import", "chat.json"]);
    let exported = fine(&house, &["context", "export", id.trim(), "--format", "openai_chat"]);
    assert!(exported.contains("\"hi\"") && !exported.contains("rapport.context"), "{exported}");
}

#[test]
fn an_import_tells_before_what_it_would_do_and_leaves_out_only_by_wish() {
    let house = House::new();
    let _server = house.serve(&[]);
    let note = serde_json::json!({"kind": "fact", "value": 7});
    let context = serde_json::json!({"id": "l", "notes": [note]});
    let head = serde_json::json!({"format": "rapport.context/1", "context": context});
    let said = "{\"role\":\"user\",\"content\":\"one\"}\n{\"role\":\"user\"\n";
    let lines = format!("{head}\n{said}");
    house.write("lines.jsonl", &lines);
    let failed = house.run(&["context", "import", "lines.jsonl"]);
    assert!(err(&failed).contains("line 3") && err(&failed).contains("skip"), "{}", err(&failed));
    let skip = ["context", "import", "lines.jsonl", "--on-error", "skip"];
    let dry = [&skip[..], &["--dry-run"]].concat();
    let dry = json(&house, &dry);
    assert_eq!((&dry["messages"], &dry["broken"][0]["place"]), (&1.into(), &"line 3".into()));
    assert_eq!(house.run(&["context", "show", "l", "--json"]).status.code(), Some(1));
    let made = house.run(&skip);
    assert!(err(&made).contains("left out line 3"), "{}", err(&made));
    let again = [&skip[..], &["--dry-run"]].concat();
    assert!(err(&house.run(&again)).contains("exists already"));

    let would = fine(&house, &["context", "export", "l", "--format", "anthropic", "--dry-run"]);
    assert!(would.contains("left out: notes (1)"), "{would}");
    let out = house.run(&["context", "export", "l", "--format", "anthropic", "-o", "l.json"]);
    assert!(err(&out).contains("notes=1"), "{}", err(&out));
    assert!(!fine(&house, &["context", "export", "l"]).contains("left out"));
    // A model that nobody chose does not stand in the way.
    fine(&house, &["context", "import", "l.json"]);

    fine(&house, &["context", "checkpoint", "l", "here"]);
    fine(&house, &["context", "append", "l", "later"]);
    let args = ["context", "fork", "l", "--checkpoint", "here", "--id", "f", "--title", "old"];
    assert_eq!(fine(&house, &args).trim(), "f");
    let fork = json(&house, &["context", "show", "f"]);
    assert_eq!((&fork["size"]["messages"], &fork["title"]), (&1.into(), &"old".into()));
    let args = ["context", "import", "missing.json"];
    assert_eq!(house.run(&args).status.code(), Some(9));
}
