//! Listening to servers: single resources, lists and tasks reach both kinds of client once, by one
//! subscription at the server.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp::server::{Change, Subject};
use serde_json::{Value, json};

use super::far::{Era, Life};
use super::house::{Joined, Listening, WITHIN};

const ONE: &str = "far+a://1";
const TWO: &str = "far+a://2";

/// Waits until this holds.
pub(super) async fn soon(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(WITHIN, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// What the next event says.
pub(super) async fn next(listening: &mut Listening) -> Value {
    let text = listening.next().await;
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
    serde_json::from_str(data).unwrap_or(Value::Null)
}

async fn told(listening: &mut Listening) -> (String, Value) {
    loop {
        let said = next(listening).await;
        if let Some(method) = said["method"].as_str() {
            return (method.to_owned(), said["params"]["uri"].clone());
        }
    }
}

async fn both(house: &Joined) -> (Listening, Listening, String) {
    let filter = json!({"resourceSubscriptions": [ONE, TWO], "toolsListChanged": true,
                        "promptsListChanged": true, "resourcesListChanged": true});
    let mut modern = house.listen(&filter).await;
    let taken = next(&mut modern).await;
    let accepted = &taken["params"]["notifications"]["resourceSubscriptions"];
    assert_eq!(*accepted, json!([ONE, TWO]), "{taken}");
    let session = house.session().await;
    let legacy = house.hear(&session).await;
    for uri in [ONE, TWO] {
        let done = house.ask(&session, "resources/subscribe", &json!({"uri": uri})).await;
        assert_eq!(done["result"], json!({}), "{done}");
    }
    (modern, legacy, session)
}

fn watched(life: &Life, uri: &str) -> bool {
    life.server.interests().contains(&Subject::Resource(uri.to_owned()))
}

async fn once_for_all(era: Era) {
    let life = Life::begin(era).await;
    let house = Joined::with(vec![life.settings()]).await;
    let (mut modern, mut legacy, session) = both(&house).await;
    soon("it is listened to there", || watched(&life, "a://1") && watched(&life, "a://2")).await;
    for uri in ["a://1", "a://2"] {
        life.server.changed(Change::Resource(uri.to_owned()));
    }
    for listening in [&mut modern, &mut legacy] {
        for uri in [ONE, TWO] {
            let updated = ("notifications/resources/updated".to_owned(), json!(uri));
            assert_eq!(told(listening).await, updated, "{era:?}");
        }
    }
    if era == Era::Legacy {
        for uri in ["a://1", "a://2"] {
            let asked = life.server.count("resources/subscribe", |params| params["uri"] == uri);
            assert_eq!(asked, 1, "{uri}");
        }
    }
    // The first who goes takes nothing from the other; with the last one it ends there, too.
    drop(modern);
    life.server.changed(Change::Resource("a://2".to_owned()));
    assert_eq!(told(&mut legacy).await.1, json!(TWO), "{era:?}");
    house.ask(&session, "resources/unsubscribe", &json!({"uri": TWO})).await;
    // A stream moves as long as it is read.
    tokio::select! {
        () = soon("nobody listens to it", || !watched(&life, "a://2")) => {}
        _ = told(&mut legacy) => panic!("nothing changed"),
    }
    assert!(watched(&life, "a://1"), "{era:?}");
    drop(legacy);
    soon("nobody listens there", || !watched(&life, "a://1")).await;
}

#[tokio::test]
async fn a_resource_of_a_legacy_server_is_listened_to_once_for_all() {
    once_for_all(Era::Legacy).await;
}

#[tokio::test]
async fn a_resource_of_a_modern_server_is_listened_to_once_for_all() {
    once_for_all(Era::Modern).await;
}

async fn comes_back(era: Era) {
    let life = Life::begin(era).await;
    let house = Joined::with(vec![life.settings()]).await;
    let (mut modern, mut legacy, _) = both(&house).await;
    soon("it is listened to there", || watched(&life, "a://1") && watched(&life, "a://2")).await;
    let address = life.die().await;
    house.until("far", "down").await;
    let life = Life::again(address, era).await;
    house.house().post("/api/v1/mcp/servers/far/retry", &json!({})).await;
    soon("it is listened to again", || watched(&life, "a://1") && watched(&life, "a://2")).await;
    // What was missed meanwhile is told of once, and then what changes.
    for listening in [&mut modern, &mut legacy] {
        let mut missed = vec![told(listening).await.1, told(listening).await.1];
        missed.sort_by_key(ToString::to_string);
        assert_eq!(missed, [json!(ONE), json!(TWO)], "{era:?}");
    }
    life.server.changed(Change::Resource("a://1".to_owned()));
    for listening in [&mut modern, &mut legacy] {
        assert_eq!(told(listening).await.1, json!(ONE), "{era:?}");
    }
}

#[tokio::test]
async fn a_legacy_server_that_comes_back_is_listened_to_again() {
    comes_back(Era::Legacy).await;
}

#[tokio::test]
async fn a_modern_server_that_comes_back_is_listened_to_again() {
    comes_back(Era::Modern).await;
}

#[tokio::test]
async fn every_list_that_changes_is_told_of_once_to_both_kinds_of_client() {
    for era in [Era::Legacy, Era::Modern] {
        let life = Life::begin(era).await;
        let house = Joined::with(vec![life.settings()]).await;
        let (mut modern, mut legacy, _) = both(&house).await;
        soon("it is listened to there", || watched(&life, "a://2")).await;
        // Nothing is other than before: nobody is told.
        for change in [Change::Tools, Change::Prompts, Change::Resources] {
            life.server.changed(change);
        }
        life.server.more.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            life.server.changed(Change::Tools);
        }
        for listening in [&mut modern, &mut legacy] {
            let mut methods = Vec::new();
            for _ in 0..3 {
                methods.push(told(listening).await.0);
            }
            methods.sort();
            let all = ["prompts", "resources", "tools"];
            assert_eq!(methods, all.map(|l| format!("notifications/{l}/list_changed")), "{era:?}");
        }
        // The next word is of something else.
        life.server.changed(Change::Resource("a://1".to_owned()));
        for listening in [&mut modern, &mut legacy] {
            assert_eq!(told(listening).await.1, json!(ONE), "{era:?}");
        }
    }
}

#[tokio::test]
async fn nobody_listens_to_what_it_does_not_see() {
    let life = Life::begin(Era::Modern).await;
    let mut server = life.settings();
    server.keys = vec!["ops-*".to_owned()];
    let house = Joined::with(vec![server]).await;
    let session = house.session().await;
    let refused = house.ask(&session, "resources/subscribe", &json!({"uri": ONE})).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let mut modern = house.listen(&json!({"resourceSubscriptions": [ONE]})).await;
    let taken = next(&mut modern).await;
    assert_eq!(taken["params"]["notifications"], json!({}), "{taken}");
    assert!(!watched(&life, "a://1"));
    // A server that tells of no single resource says so, instead of keeping silent for ever.
    let house = Joined::with(vec![super::house::script("one", &["echo"])]).await;
    let session = house.session().await;
    let refused = house.ask(&session, "resources/subscribe", &json!({"uri": "one+a://1"})).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("`one+a://1`"), "{refused}");
}
