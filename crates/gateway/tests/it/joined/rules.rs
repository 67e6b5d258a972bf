//! Who sees what: filters, rules for keys, held changes, search; and the API that joins servers.

use std::sync::Arc;

use catalog::{NewKey, Scopes};
use gateway::joined::{
    AccessSettings, AddedServer, Home, Keeper, Kept, McpSettings, OnChange, SearchMode,
};
use gateway::settings::Settings;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::house::{Folder, Joined, script, set, settings, text_of};
use crate::house::House;

pub(super) async fn key(house: &House, name: &str, scopes: &str) -> String {
    let scopes = Scopes::parse(scopes).unwrap();
    let new = NewKey {
        name: name.to_owned(),
        scopes,
        expires_in: None,
        models: catalog::ModelLimit::default(),
    };
    house.keys.create(new).await.unwrap().secret.expose().to_owned()
}

#[tokio::test]
async fn what_is_hidden_is_denied() {
    let mut server = script("one", &["echo", "env", "pid"]);
    server.tools = vec!["e*".to_owned()];
    server.hide = vec!["env".to_owned()];
    server.descriptions = vec![("echo".to_owned(), "says it again".to_owned())];
    let house = Joined::with(vec![server]).await;
    let names = house.tool_names().await;
    let own: Vec<&String> = names.iter().filter(|name| name.starts_with("one__")).collect();
    assert_eq!(own, ["one__echo"]);
    assert_eq!(house.tool("one__echo").await["description"], "says it again");
    for (house, name) in [(&house, "one__env"), (&house, "one__pid"), (&house.one("one"), "env")] {
        let denied = house.modern("tools/call", &json!({"name": name})).await;
        assert_eq!(denied["error"]["code"], -32602, "{denied}");
    }
}

#[tokio::test]
async fn keys_see_what_rules_give_them() {
    let mut secret = script("secret", &["echo"]);
    secret.keys = vec!["ops-*".to_owned()];
    let access = vec![AccessSettings {
        name: "guests".to_owned(),
        keys: vec!["guest".to_owned()],
        allow: vec!["open__*".to_owned(), "context_get".to_owned()],
        deny: vec!["*__pid".to_owned()],
        descriptions: vec![("open__echo".to_owned(), "for guests".to_owned())],
    }];
    let servers = vec![script("open", &["echo", "pid"]), secret];
    let mcp = McpSettings { servers, access, ..McpSettings::default() };
    let house = Joined::of(Settings { mcp, ..Settings::default() }).await;
    house.until("open", "ready").await;
    house.until("secret", "ready").await;
    let ops = key(house.house(), "ops-1", "write").await;
    let guest = key(house.house(), "guest", "write").await;
    let names = async |key: &str| {
        let answer = house.modern_as("tools/list", &json!({}), (&json!({}), Some(key))).await;
        let tools = answer["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let seen = names(&ops).await;
    assert!(seen.contains(&"secret__echo".to_owned()) && seen.contains(&"open__pid".to_owned()));
    assert_eq!(names(&guest).await, ["context_get", "open__echo"]);
    // The same tool in other words for another application.
    let words = async |key: &str| {
        let answer = house.modern_as("tools/list", &json!({}), (&json!({}), Some(key))).await;
        let tools = answer["result"]["tools"].as_array().unwrap().clone();
        let echo = tools.iter().find(|tool| tool["name"] == "open__echo").unwrap();
        echo["description"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (words(&guest).await, words(&ops).await),
        ("for guests".to_owned(), "does echo".to_owned())
    );
    let call = async |name: &str| {
        let params = json!({"name": name, "arguments": {"say": "x"}});
        house.modern_as("tools/call", &params, (&json!({}), Some(&guest))).await
    };
    for name in ["secret__echo", "open__pid", "context_list"] {
        assert_eq!(call(name).await["error"]["code"], -32602, "{name}");
    }
    assert_eq!(text_of(&call("open__echo").await), "x");
    let path = "/mcp/s/secret";
    let headers = [("x-api-key", guest.as_str())];
    let alone = house.house().with_headers("POST", path, &headers, &json!({})).await;
    assert_eq!(alone.status, http::StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_changed_tool_can_be_held_back_until_somebody_accepts_it() {
    let folder = Folder::new();
    let mut server = script("one", &["echo", "turns"]);
    server.on_change = OnChange::Hold;
    set(&mut server, "CHANGED", &folder.path("changed"));
    let house = Joined::with(vec![server]).await;
    let mut listening = house.listen(&json!({"toolsListChanged": true})).await;
    listening.next().await;
    house.call("one__turns", json!({})).await;
    listening.next().await;
    let denied = house.modern("tools/call", &json!({"name": "one__echo"})).await;
    assert_eq!(denied["error"]["code"], -32602, "{denied}");
    house.post("/api/v1/mcp/servers/one/accept", &json!({})).await;
    assert_eq!(text_of(&house.call("one__echo", json!({"say": "x"})).await), "x");
}

#[tokio::test]
async fn two_tools_stand_for_many() {
    let mut mcp = McpSettings {
        servers: vec![script("one", &["echo", "pid", "env"])],
        search: SearchMode::Above(2),
        ..McpSettings::default()
    };
    let house = Joined::of(Settings { mcp: mcp.clone(), ..Settings::default() }).await;
    house.until("one", "ready").await;
    let names = house.tool_names().await;
    assert!(names.contains(&"tool_search".to_owned()) && names.contains(&"tool_call".to_owned()));
    assert!(names.iter().all(|name| !name.starts_with("one__")), "{names:?}");
    let found = house.call("tool_search", json!({"query": "echo something"})).await;
    let tools = found["structuredContent"]["tools"].as_array().unwrap();
    assert_eq!(tools[0]["name"], "one__echo", "{found}");
    let params = json!({"name": "one__echo", "arguments": {"say": "found"}});
    assert_eq!(text_of(&house.call("tool_call", params).await), "found");
    mcp.search = SearchMode::Above(3);
    house.gate().reload(Settings { mcp, ..Settings::default() }).unwrap();
    assert!(house.tool_names().await.contains(&"one__echo".to_owned()));
}

/// Keeps what it is given, for the test to look at.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Keeper for Notes {
    fn keep(&self, server: AddedServer) -> Kept<'_> {
        self.0.lock().push(format!("keep {}", server.name));
        Box::pin(async { Ok(()) })
    }

    fn forget(&self, name: String) -> Kept<'_> {
        self.0.lock().push(format!("forget {name}"));
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn servers_are_added_by_the_api_but_no_program_by_somebody_unknown() {
    let notes = Arc::new(Notes::default());
    let home = Home { keeper: Some(notes.clone()), ..Home::default() };
    let house = Joined::at_home(settings(vec![script("one", &["echo"])]), home).await;
    let path = "/api/v1/mcp/servers";
    let refused = async |body: Value, word: &str| {
        let answer = house.house().post(path, &body).await;
        let text = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status.is_client_error() && text.contains(word), "{body}: {answer:?}");
    };
    refused(json!({"name": "x", "command": "sh"}), "key of the scope `admin`").await;
    refused(json!({"name": "X y", "url": "http://127.0.0.1:1"}), "`X y`").await;
    refused(json!({"name": "x"}), "exactly one").await;
    refused(json!({"name": "x", "url": "file:///etc/passwd"}), "no address").await;
    let stolen = json!({"a": "${ANTHROPIC_API_KEY}"});
    refused(json!({"name": "x", "url": "http://127.0.0.1:1", "headers": stolen}), "variables")
        .await;
    let added =
        house.house().post(path, &json!({"name": "one", "url": "http://127.0.0.1:1"})).await;
    assert_eq!(added.status, http::StatusCode::CREATED, "{added:?}");
    let removed = house.house().call("DELETE", &format!("{path}/one")).await;
    assert_eq!(removed.status, http::StatusCode::OK);
    let none = house.house().call("DELETE", &format!("{path}/none")).await;
    assert_eq!(none.status, http::StatusCode::NOT_FOUND);
    assert_eq!(*notes.0.lock(), ["keep one", "forget one"]);
    let reader = key(house.house(), "reader", "write").await;
    let headers = [("x-api-key", reader.as_str())];
    let body = json!({"name": "two", "url": "http://127.0.0.1:1"});
    let forbidden = house.house().with_headers("POST", path, &headers, &body).await;
    assert_eq!(forbidden.status, http::StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn models_are_asked_by_a_tool_where_the_settings_name_them() {
    let script = mock::Script::parse("[default]\ntext = \"forty-two\"").unwrap();
    let mock = mock::Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let mut claude = crate::house::claude(mock.addr());
    claude.models = vec!["claude-opus-4-6".into(), "claude-dear".into()];
    let name = claude.name.clone();
    let with = async |models: Vec<String>| {
        let mcp = McpSettings { models, ..McpSettings::default() };
        let providers = vec![claude.clone()];
        Joined::of(Settings { mcp, providers, ..settings(Vec::new()) }).await
    };
    let house = with(Vec::new()).await;
    assert!(!house.tool_names().await.contains(&"ask_model".to_owned()), "off if not said");
    let none = house.modern("tools/call", &json!({"name": "ask_model"})).await;
    assert_eq!(none["error"]["code"], -32602, "{none}");
    let house = with(vec![format!("{name}/claude-opus-*")]).await;
    assert!(house.tool_names().await.contains(&"ask_model".to_owned()));
    let asked = json!({"model": "claude-opus-4-6", "prompt": "how many?", "system": "be brief"});
    let said = house.call("ask_model", asked).await;
    assert_eq!(said["structuredContent"]["text"], "forty-two", "{said}");
    let sent = mock.requests().pop().unwrap().json().to_string();
    assert!(sent.contains("how many?") && sent.contains("be brief"), "{sent}");
    let dear = house.call("ask_model", json!({"model": "claude-dear", "prompt": "x"})).await;
    assert_eq!(dear["isError"], true);
    let text = text_of(&dear);
    assert!(text.starts_with("forbidden") && text.contains("`mcp.models`"), "{text}");
    assert_eq!(mock.requests().len(), 1);
    // Nothing is kept, and the call is in the log like any other.
    assert_eq!(house.get("/api/v1/contexts").await["contexts"], json!([]));
    let looking = async {
        while !house.get_text("/api/v1/requests?limit=5").await.contains("claude-opus-4-6") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(super::house::WITHIN, looking).await.expect("it is written down");
}

#[tokio::test]
async fn a_key_asks_by_a_tool_no_model_that_it_may_not_use() {
    let mcp = McpSettings { models: vec!["*".to_owned()], ..McpSettings::default() };
    let house = Joined::of(Settings { mcp, ..settings(Vec::new()) }).await;
    let reader = key(house.house(), "reader", "read").await;
    let params = json!({"name": "ask_model", "arguments": {"model": "echo", "prompt": "x"}});
    let refused = house.modern_as("tools/call", &params, (&json!({}), Some(&reader))).await;
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(text_of(&refused).starts_with("forbidden"), "{refused}");
}

#[tokio::test]
async fn what_a_tool_changes_is_written_down_as_its_callers_in_both_eras() {
    let house = Joined::of(settings(Vec::new())).await;
    let shown = key(house.house(), "writer", "admin").await;
    let create = |id: &str| json!({"name": "context_create", "arguments": {"id": id}});
    let session = house.session_as(Some(&shown)).await;
    house.ask_as((&session, Some(&shown)), "tools/call", &create("old")).await;
    house.modern_as("tools/call", &create("new"), (&json!({}), Some(&shown))).await;
    let headers = [("x-api-key", shown.as_str())];
    for id in ["old", "new"] {
        let path = format!("/api/v1/audit?context={id}");
        let audit = house.house().with_headers("GET", &path, &headers, &json!({})).await.json();
        let who = audit["changes"][0]["who"].as_str().unwrap_or_default();
        assert!(who.starts_with("key "), "{id}: {audit}");
    }
}
