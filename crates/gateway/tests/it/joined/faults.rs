//! Bad servers: each is seen as what it is, and none of them harms another.

use std::sync::Arc;
use std::time::Duration;

use gateway::joined::Home;
use serde_json::json;
use tokio::time::Instant;

use super::far::{Era, Life};
use super::house::{Folder, Joined, Kept, WITHIN, program, script, set, settings, text_of};

#[tokio::test]
async fn one_bad_server_never_harms_another() {
    let mut slow = script("slow", &["echo"]);
    set(&mut slow, "LATE", "600");
    let house = Joined::of(settings(vec![
        script("good", &["echo", "big"]),
        program("missing", &["/no/such/program"], &[]),
        program("silent", &["sleep", "600"], &[]),
        program("garbage", &["sh", "-c", "while :; do echo hello; done"], &[]),
        program("ends", &["sh", "-c", "echo 'no token' >&2; exit 4"], &[]),
        // It says again what it is told: its words are messages, and no answers.
        program("parrot", &["cat"], &[]),
        slow,
    ]))
    .await;
    house.until("good", "ready").await;
    let said = house.call("good__echo", json!({"say": "fine"})).await;
    assert_eq!(text_of(&said), "fine");
    let missing = house.until("missing", "down").await;
    let error = missing["error"].as_str().unwrap();
    assert!(error.contains("`/no/such/program` is not there"), "{error}");
    let garbage = house.until("garbage", "down").await;
    assert!(garbage["error"].as_str().unwrap().contains("`hello`"), "{garbage}");
    let ends = house.until("ends", "down").await;
    assert!(ends["error"].as_str().unwrap().contains("no token"), "{ends}");
    assert_eq!(house.show("silent").await["state"], "starting");
    let parrot = house.until("parrot", "down").await;
    assert!(parrot["error"].as_str().unwrap().contains("refuses"), "{parrot}");
    let big = house.call("good__big", json!({})).await;
    assert_eq!(text_of(&big).len(), 1_100_000);
    // The others' names lead nowhere, and quickly.
    let none = house.modern("tools/call", &json!({"name": "missing__x"})).await;
    assert_eq!(none["error"]["code"], -32602);
}

#[tokio::test]
async fn a_server_that_dies_in_a_call_is_told_of_and_comes_back() {
    let folder = Folder::new();
    let mut server = script("one", &["echo", "dies"]);
    set(&mut server, "TOLD", &folder.path("told"));
    let house = Joined::with(vec![server]).await;
    let died = house.call("one__dies", json!({})).await;
    assert_eq!(died["isError"], true);
    let text = text_of(&died);
    assert!(text.starts_with("upstream_unavailable") && text.contains("no more"), "{text}");
    // The next call waits for the start that is due.
    let said = house.call("one__echo", json!({"say": "back"})).await;
    assert_eq!(text_of(&said), "back", "{said}");
    let starts = std::fs::read_to_string(folder.path("told")).unwrap();
    assert_eq!(starts.lines().count(), 2, "started again once");
}

#[tokio::test]
async fn a_call_to_a_server_that_does_not_come_back_says_so() {
    let folder = Folder::new();
    let mut server = script("one", &["echo", "dies"]);
    let gate = folder.path("gate");
    set(&mut server, "GATE", &gate);
    let gateway::joined::Reach::Program(program) = &mut server.reach else { panic!("a program") };
    let refuses = "[ -e \"$GATE\" ] && { echo 'no disk' >&2; exit 3; }";
    program.args[1] = format!("{refuses}\n{}", program.args[1]);
    let house = Joined::with(vec![server]).await;
    std::fs::write(&gate, "").unwrap();
    house.call("one__dies", json!({})).await;
    let said = house.call("one__echo", json!({"say": "back"})).await;
    assert_eq!(said["isError"], true);
    let text = text_of(&said);
    assert!(text.starts_with("upstream_unavailable") && text.contains("no disk"), "{text}");
    // It is well again: the call that finds it down brings its start forward.
    std::fs::remove_file(&gate).unwrap();
    let asking =
        async { while house.call("one__echo", json!({"say": "back"})).await["isError"] == true {} };
    tokio::time::timeout(WITHIN, asking).await.expect("it comes back");
}

#[tokio::test]
async fn the_first_list_waits_for_who_is_at_work_and_for_nobody_else() {
    // Both take as long; one loads, the other sleeps.
    let late = |name: &str, wait: &str| {
        let mut server = script(name, &["echo"]);
        let gateway::joined::Reach::Program(program) = &mut server.reach else { panic!("none") };
        program.args[1] = format!("{wait}\n{}", program.args[1]);
        server
    };
    let works = "timeout 2 sh -c 'while :; do :; done'";
    let servers = vec![script("good", &["echo"]), late("works", works)];
    let house = Joined::of(settings(servers)).await;
    let names = house.tool_names().await;
    let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
    assert!(has(&names, "good__echo") && has(&names, "works__echo"), "{names:?}");
    let servers = vec![script("good", &["echo"]), late("sleeps", "sleep 2.9")];
    let house = Joined::of(settings(servers)).await;
    let mut changes = house.listen(&json!({"toolsListChanged": true})).await;
    changes.next().await;
    house.until("good", "ready").await;
    let names = house.tool_names().await;
    assert!(has(&names, "good__echo") && !has(&names, "sleeps__echo"), "{names:?}");
    // Who was late is told of, as often as the list was another one.
    while !has(&house.tool_names().await, "sleeps__echo") {
        assert!(changes.next().await.contains("tools/list_changed"));
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_and_others_go_on_meanwhile() {
    let mut server = script("one", &["hangs", "garbles"]);
    server.silence = Duration::from_millis(300);
    let house = Joined::with(vec![server, script("two", &["slow"])]).await;
    let started = Instant::now();
    let (hung, slow) =
        tokio::join!(house.call("one__hangs", json!({})), house.call("two__slow", json!({})));
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(text_of(&hung).starts_with("timeout"), "{hung}");
    assert_eq!(text_of(&slow), "slow");
    // What is no message between messages is passed over, and can be seen.
    let after = house.call("one__garbles", json!({})).await;
    assert_eq!(text_of(&after), "after");
    assert_eq!(house.show("one").await["garbage"], "this is no message");
}

#[tokio::test]
async fn calls_at_once_share_one_process_or_have_one_each() {
    let mut own = script("own", &["pid"]);
    own.per_caller = true;
    let house = Joined::with(vec![script("one", &["pid"]), own]).await;
    let first = text_of(&house.call("one__pid", json!({})).await);
    assert_eq!(text_of(&house.call("one__pid", json!({})).await), first);
    let mine = text_of(&house.call("own__pid", json!({})).await);
    assert_eq!(text_of(&house.call("own__pid", json!({})).await), mine, "mine is kept");
}

#[tokio::test]
async fn a_child_sees_the_variables_it_was_given_and_no_other() {
    let mut server = script("one", &["env"]);
    set(&mut server, "GIVEN", "1");
    let house = Joined::with(vec![server]).await;
    let names = text_of(&house.call("one__env", json!({})).await);
    assert!(names.contains("GIVEN") && names.contains("PATH"), "{names}");
    assert!(!names.contains("CARGO"), "{names}");
}

#[tokio::test]
async fn the_first_list_after_a_start_is_complete_without_the_servers() {
    let shelf = Arc::new(Kept::default());
    let home = || Home { shelf: Some(shelf.clone()), ..Home::default() };
    let folder = Folder::new();
    let mut server = script("one", &["echo"]);
    // It starts once; the second time its program waits for ever.
    let gate = folder.path("gate");
    set(&mut server, "GATE", &gate);
    let gateway::joined::Reach::Program(program) = &mut server.reach else { panic!("a program") };
    program.args[1] = format!("[ -e \"$GATE\" ] && exec sleep 600; {}", program.args[1]);
    let first = Joined::at_home(settings(vec![server.clone()]), home()).await;
    first.until("one", "ready").await;
    first.gate().shutdown(WITHIN).await;
    std::fs::write(&gate, "").unwrap();
    let second = Joined::at_home(settings(vec![server.clone()]), home()).await;
    let started = Instant::now();
    let names = second.tool_names().await;
    assert!(started.elapsed() < Duration::from_secs(2), "nothing was waited for");
    assert!(names.iter().any(|name| name == "one__echo"), "{names:?}");
    assert_eq!(second.show("one").await["state"], "starting");
    // What was kept of another program is not taken for this one's.
    let gateway::joined::Reach::Program(program) = &mut server.reach else { panic!("a program") };
    program.command = "/no/such/program".to_owned();
    let third = Joined::at_home(settings(vec![server]), home()).await;
    let names = third.tool_names().await;
    assert!(names.iter().all(|name| name != "one__echo"), "{names:?}");
}

#[tokio::test]
async fn nothing_that_a_schema_refers_to_is_fetched() {
    let life = Life::begin(Era::Modern).await;
    let house = Joined::with(vec![life.settings()]).await;
    let tool = house.tool("far__plain").await;
    let address = tool["inputSchema"]["properties"]["x"]["$ref"].as_str().unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "it is passed on as it is: {tool}");
    assert_eq!(text_of(&house.call("far__plain", json!({"x": 1})).await), "done");
    assert_eq!(life.server.strays.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn names_that_clash_are_told_apart_and_lead_to_their_own_tool() {
    // Both would be `a__which_one` for clients that take plain letters only.
    let house = Joined::with(vec![script("a", &["which.one", "which/one"])]).await;
    let names = house.tool_names().await;
    let mut said = Vec::new();
    for name in names.iter().filter(|name| name.starts_with("a__which_one")) {
        assert!(name.len() <= 50, "{name}");
        said.push(text_of(&house.call(name, json!({})).await));
    }
    assert_eq!(said, ["which.one", "which/one"], "{names:?}");
}

#[tokio::test]
async fn an_answer_too_deep_to_read_ends_its_call_and_no_other() {
    let house = Joined::with(vec![script("a", &["deep", "echo"])]).await;
    let result = house.call("a__deep", json!({})).await;
    assert_eq!(result["isError"], true, "{result}");
    assert!(text_of(&result).contains("its answer cannot be read"), "{result}");
    assert_eq!(text_of(&house.call("a__echo", json!({"say": "hello"})).await), "hello");
}

#[tokio::test]
async fn a_definition_that_strict_clients_refuse_spoils_no_list() {
    let mut settings = script("a", &["echo"]);
    set(&mut settings, "SCHEMA", r##"{"$ref":"#"}"##);
    let house = Joined::with(vec![settings]).await;
    let tool = house.tool("a__echo").await;
    assert_eq!(tool["inputSchema"], json!({"$ref": "#", "type": "object"}));
}
