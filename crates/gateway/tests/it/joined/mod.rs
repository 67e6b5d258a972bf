//! Joined servers from outside: what clients of both eras see of them, and how they fail.

mod far;
mod faults;
mod house;
mod logins;
mod loops;
mod old;
mod rest;
mod rules;
mod tasks;
mod turns;
mod village;
mod watching;
mod web;

use serde_json::{Value, json};

use house::{Joined, script, text_of};

#[tokio::test]
async fn tools_of_all_servers_stand_beside_our_own_under_names_of_their_own() {
    let house =
        Joined::with(vec![script("one", &["echo", "read.file"]), script("two", &["echo"])]).await;
    let names = house.tool_names().await;
    for name in ["context_list", "one__echo", "one__read_file", "two__echo"] {
        assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
    }
    let said = house.call("two__echo", json!({"say": "hello"})).await;
    assert_eq!(text_of(&said), "hello");
    let alone = house.one("two").tool_names().await;
    assert_eq!(alone, ["echo"], "alone under its own names");
    let said = house.one("two").call("echo", json!({"say": "again"})).await;
    assert_eq!(text_of(&said), "again");
    let none = house.modern("tools/call", &json!({"name": "two__none"})).await;
    assert_eq!(none["error"]["code"], -32602, "{none}");
}

#[tokio::test]
async fn what_a_server_says_of_its_tools_stays_as_it_is() {
    let house = Joined::with(vec![script("one", &["echo"])]).await;
    let tool = house.tool("one__echo").await;
    assert_eq!(tool["description"], "does echo");
    let schema = json!({"type": "object",
        "$defs": {"t": {"properties": {"t": {"$ref": "#/$defs/t"}}}}});
    assert_eq!(tool["inputSchema"], schema, "a schema that goes round is passed on");
}

#[tokio::test]
async fn progress_and_log_lines_come_under_the_clients_own_token() {
    let house = Joined::with(vec![script("one", &["steps"])]).await;
    let params = json!({"name": "one__steps", "_meta": {"progressToken": "mine"}});
    let came = house.legacy("tools/call", &params).await;
    let methods: Vec<&str> = came.iter().filter_map(|m| m["method"].as_str()).collect();
    assert_eq!(methods, ["notifications/progress", "notifications/message"], "{came:?}");
    assert_eq!(came[0]["params"]["progressToken"], "mine");
    assert_eq!(came[1]["params"]["data"], "careful");
    assert_eq!(text_of(&came[2]), "done");
}

#[tokio::test]
async fn a_question_of_a_legacy_server_reaches_a_modern_client_with_an_answer() {
    let house = Joined::with(vec![script("one", &["asks"])]).await;
    let can = json!({"elicitation": {}});
    let first = house.modern_with("tools/call", &json!({"name": "one__asks"}), &can).await;
    let result = &first["result"];
    assert_eq!(result["resultType"], "input_required", "{first}");
    let (key, asked) = result["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(asked["method"], "elicitation/create");
    assert_eq!(asked["params"]["message"], "who?");
    let again = |answers: Value| {
        json!({"name": "one__asks", "requestState": result["requestState"],
               "inputResponses": answers})
    };
    let unanswered = house.modern_with("tools/call", &again(json!({})), &can).await;
    let state = &unanswered["result"]["requestState"];
    assert_eq!(unanswered["result"]["resultType"], "input_required", "it asks again");
    let mut last = again(json!({key: {"action": "accept", "content": {"name": "Ann"}}}));
    last["requestState"] = state.clone();
    let done = house.modern_with("tools/call", &last, &can).await;
    assert_eq!(text_of(&done), "Ann", "{done}");
    // A client that cannot be asked is not asked; the server hears that.
    let refused = house.modern("tools/call", &json!({"name": "one__asks"})).await;
    assert_eq!(text_of(&refused), "", "{refused}");
}

#[tokio::test]
async fn a_change_is_told_once_and_marked_until_it_is_accepted() {
    let folder = house::Folder::new();
    let mut server = script("one", &["echo", "turns"]);
    house::set(&mut server, "CHANGED", &folder.path("changed"));
    let house = Joined::with(vec![server]).await;
    let mut listening = house.listen(&json!({"toolsListChanged": true})).await;
    assert!(listening.next().await.contains("subscriptions/acknowledged"));
    house.call("one__turns", json!({})).await;
    assert!(listening.next().await.contains("tools/list_changed"));
    let tool = house.tool("one__echo").await;
    assert_eq!(tool["description"], "does echo, and more");
    let shown = house.show("one").await;
    assert_eq!(shown["changed"], 2, "{shown}");
    let changed = &shown["tools"][0]["changed"];
    assert_eq!(changed["parts"], json!(["description"]));
    assert_eq!(changed["before"], "does echo");
    let accepted = house.post("/api/v1/mcp/servers/one/accept", &json!({})).await;
    assert_eq!(accepted["changed"], 0);
    // Nothing else was told meanwhile: the next word is of the next change.
    house.gate().reload(house::settings(Vec::new())).unwrap();
    assert!(listening.next().await.contains("tools/list_changed"));
    assert!(house.tool_names().await.iter().all(|name| !name.starts_with("one__")));
}

#[tokio::test]
async fn a_call_is_counted_and_written_down() {
    let house = Joined::with(vec![script("one", &["echo", "hangs"])]).await;
    house.call("one__echo", json!({"say": "x"})).await;
    let page = house.get_text("/metrics").await;
    let line = "rapport_tool_calls_total{server=\"one\",tool=\"echo\",outcome=\"ok\"} 1";
    assert!(page.contains(line), "{page}");
    let requests = house.get("/api/v1/requests").await;
    let first = &requests["requests"][0];
    assert_eq!((&first["dialect"], &first["provider"]), (&json!("mcp"), &json!("one")));
    assert_eq!((&first["model"], &first["outcome"]), (&json!("echo"), &json!("ok")));
}
