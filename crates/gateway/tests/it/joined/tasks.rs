//! Tasks of servers of both eras for clients of both: under a name that is its caller's alone, and
//! waited for where a client knows none.

use std::sync::Arc;

use catalog::{NewKey, Scopes};
use gateway::joined::Home;
use serde_json::{Value, json};

use super::far::{Era, Life};
use super::house::{Joined, Kept, WITHIN, settings, text_of};
use super::watching::{next, soon};

/// What a client of the modern era says that knows tasks.
fn knows() -> Value {
    json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}})
}

async fn call(house: &Joined, tool: &str) -> Value {
    let params = json!({"name": tool, "arguments": {}});
    house.modern_with("tools/call", &params, &knows()).await
}

async fn get(house: &Joined, id: &str) -> Value {
    let answer = house.modern_with("tasks/get", &json!({"taskId": id}), &knows()).await;
    answer.get("result").unwrap_or_else(|| panic!("{answer}")).clone()
}

fn id_of(begun: &Value) -> String {
    let id = begun["taskId"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned();
    assert!(id.starts_with("task-") && id.len() > 30, "nobody guesses {id}");
    id
}

/// Ends every task of the server.
fn finish(life: &Life, era: Era) {
    match era {
        Era::Modern => drop(life.server.released.send_replace(true)),
        Era::Legacy => life.server.finish("1"),
    }
}

async fn until(house: &Joined, id: &str, status: &str) -> Value {
    let looking = async {
        loop {
            let task = get(house, id).await;
            if task["status"] == status {
                return task;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(WITHIN, looking).await.unwrap_or_else(|_| panic!("never {status}"))
}

#[tokio::test]
async fn a_modern_client_follows_a_task_of_a_server_of_either_era() {
    for era in [Era::Legacy, Era::Modern] {
        let life = Life::begin(era).await;
        let house = Joined::with(vec![life.settings()]).await;
        let found = house.modern("server/discover", &json!({})).await;
        let known = &found["result"]["capabilities"]["extensions"];
        assert!(known["io.modelcontextprotocol/tasks"].is_object(), "{found}");
        let begun = call(&house, "far__must").await;
        let result = &begun["result"];
        assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")));
        let id = id_of(result);
        assert_eq!(get(&house, &id).await["status"], "working", "{era:?}");
        finish(&life, era);
        let done = until(&house, &id, "completed").await;
        assert_eq!((&done["taskId"], &done["resultType"]), (&json!(id), &json!("complete")));
        assert_eq!(text_of(&done["result"]), "done", "{done}");
        assert_eq!(done["result"]["resultType"], "complete", "{done}");
        assert_eq!(done["result"]["content"][1]["uri"], "far+a://1", "the name it has here");
        let none = json!({"taskId": "task-of-nobody"});
        let none = house.modern_with("tasks/get", &none, &knows()).await;
        assert_eq!(none["error"]["code"], -32602, "{none}");
        let unknown = house.modern("tasks/get", &json!({"taskId": id})).await;
        assert_eq!(unknown["error"]["code"], -32021, "who knows no tasks asks for none");
    }
}

#[tokio::test]
async fn a_task_that_asks_is_answered_across_the_eras() {
    for era in [Era::Legacy, Era::Modern] {
        let life = Life::begin(era).await;
        let house = Joined::with(vec![life.settings()]).await;
        let id = id_of(&call(&house, "far__asks").await["result"]);
        let waiting = until(&house, &id, "input_required").await;
        let asked = waiting["inputRequests"].as_object().unwrap();
        let (key, question) = asked.iter().next().unwrap_or_else(|| panic!("{waiting}"));
        assert_eq!(question["params"]["message"], "sure?", "{era:?}");
        let again = get(&house, &id).await;
        assert_eq!(again["inputRequests"], waiting["inputRequests"], "it is asked once");
        let answer = json!({key: {"action": "accept", "content": {"name": "Ann"}}});
        let params = json!({"taskId": id, "inputResponses": answer});
        let taken = house.modern_with("tasks/update", &params, &knows()).await;
        assert_eq!(taken["result"]["resultType"], "complete", "{taken}");
        let done = until(&house, &id, "completed").await;
        assert_eq!(text_of(&done["result"]), "Ann", "{era:?}");
    }
}

#[tokio::test]
async fn a_legacy_client_has_the_tasks_of_a_legacy_server() {
    let life = Life::begin(Era::Legacy).await;
    let house = Joined::with(vec![life.settings()]).await;
    let session = house.session().await;
    let mut hears = house.hear(&session).await;
    let params = json!({"name": "far__job", "arguments": {}, "task": {"ttl": 60000}});
    let begun = house.ask(&session, "tools/call", &params).await;
    let id = id_of(&begun["result"]["task"]);
    let named = json!({"taskId": id});
    let task = house.ask(&session, "tasks/get", &named).await;
    assert_eq!(
        (&task["result"]["status"], &task["result"]["ttl"]),
        (&json!("working"), &json!(60000))
    );
    let listed = house.ask(&session, "tasks/list", &json!({})).await;
    assert_eq!(listed["result"]["tasks"][0]["taskId"], id, "{listed}");
    let result = async { house.ask(&session, "tasks/result", &named).await };
    let ends = async {
        let asked = || life.server.count("tasks/result", |_| true) == 1;
        soon("the outcome is waited for", asked).await;
        life.server.finish("1");
        life.tell_task("1");
    };
    let (result, ()) = tokio::join!(result, ends);
    assert_eq!(text_of(&result), "done");
    let related = &result["result"]["_meta"]["io.modelcontextprotocol/related-task"];
    assert_eq!(related["taskId"], id, "{result}");
    let told = loop {
        let told = next(&mut hears).await;
        if !told.is_null() {
            break told;
        }
    };
    assert_eq!(told["method"], "notifications/tasks/status", "{told}");
    assert_eq!(
        (&told["params"]["taskId"], &told["params"]["status"]),
        (&json!(id), &json!("completed"))
    );
    let begun = house.ask(&session, "tools/call", &params).await;
    let second = json!({"taskId": id_of(&begun["result"]["task"])});
    let ended = house.ask(&session, "tasks/cancel", &second).await;
    assert_eq!(ended["result"]["status"], "cancelled", "{ended}");
    let plain = json!({"name": "far__plain", "task": {}});
    let refused = house.ask(&session, "tools/call", &plain).await;
    assert_eq!(refused["error"]["code"], -32601, "{refused}");
}

#[tokio::test]
async fn who_knows_no_tasks_waits_for_their_outcome() {
    for era in [Era::Legacy, Era::Modern] {
        let life = Life::begin(era).await;
        let house = Joined::with(vec![life.settings()]).await;
        let session = house.session().await;
        let params = json!({"name": "far__must", "arguments": {}});
        let asking = house.ask(&session, "tools/call", &params);
        let ends = async {
            let method = if era == Era::Legacy { "tasks/result" } else { "tasks/get" };
            soon("it is waited for", || life.server.count(method, |_| true) > 0).await;
            finish(&life, era);
        };
        let (done, ()) = tokio::join!(asking, ends);
        assert_eq!(text_of(&done), "done", "{era:?}");
        // A caller that goes away takes its task along.
        let life = Life::begin(era).await;
        let house = Joined::with(vec![life.settings()]).await;
        let session = house.session().await;
        let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
        let headers = [super::house::ACCEPT, ("mcp-session-id", session.as_str())];
        let asking = house.house().with_headers("POST", "/mcp", &headers, &body);
        let leaves = async {
            let method = if era == Era::Legacy { "tasks/result" } else { "tasks/get" };
            soon("it is waited for", || life.server.count(method, |_| true) > 0).await;
            let cancelled = json!({"requestId": 2});
            house.note(&session, "notifications/cancelled", &cancelled).await;
            let gone = || life.server.count("tasks/cancel", |_| true) == 1;
            soon("the task is cancelled there", gone).await;
        };
        let (answer, ()) = tokio::join!(asking, leaves);
        assert_eq!(answer.text, "", "a cancelled request is not answered");
    }
}

#[tokio::test]
async fn a_modern_client_is_told_of_its_task_by_a_server_of_either_era() {
    let life = Life::begin(Era::Legacy).await;
    let house = Joined::with(vec![life.settings()]).await;
    let id = id_of(&call(&house, "far__must").await["result"]);
    let mut told = house.listen(&json!({"taskIds": [id, "task-of-nobody"]})).await;
    let taken = next(&mut told).await;
    assert_eq!(taken["params"]["notifications"]["taskIds"], json!([id]), "{taken}");
    life.server.finish("1");
    life.tell_task("1");
    let done = next(&mut told).await;
    assert_eq!(done["method"], "notifications/tasks", "{done}");
    assert_eq!(done["params"]["taskId"], id);
    assert_eq!(text_of(&done["params"]["result"]), "done", "its outcome comes along");
    // A modern server is asked to tell of it, by the name that it has there.
    let life = Life::begin(Era::Modern).await;
    let house = Joined::with(vec![life.settings()]).await;
    let id = id_of(&call(&house, "far__must").await["result"]);
    let mut told = house.listen(&json!({"taskIds": [id]})).await;
    next(&mut told).await;
    soon("it is listened to there", || !life.server.interests().is_empty()).await;
    life.server.released.send_replace(true);
    let done = next(&mut told).await;
    assert_eq!(
        (&done["params"]["taskId"], &done["params"]["status"]),
        (&json!(id), &json!("completed"))
    );
}

#[tokio::test]
async fn a_task_outlives_the_gateway() {
    let shelf = Arc::new(Kept::default());
    let home = || Home { shelf: Some(shelf.clone()), ..Home::default() };
    for era in [Era::Legacy, Era::Modern] {
        let life = Life::begin(era).await;
        let first = Joined::at_home(settings(vec![life.settings()]), home()).await;
        first.until("far", "ready").await;
        let id = id_of(&call(&first, "far__must").await["result"]);
        first.gate().shutdown(WITHIN).await;
        drop(first);
        let second = Joined::at_home(settings(vec![life.settings()]), home()).await;
        assert_eq!(get(&second, &id).await["status"], "working", "{era:?}");
        finish(&life, era);
        let done = until(&second, &id, "completed").await;
        assert_eq!(text_of(&done["result"]), "done");
        // Another server of the same name has nothing to do with it.
        let other = Life::begin(era).await;
        let third = Joined::at_home(settings(vec![other.settings()]), home()).await;
        third.until("far", "ready").await;
        let named = json!({"taskId": id});
        let none = third.modern_with("tasks/get", &named, &knows()).await;
        assert_eq!(none["error"]["code"], -32602, "{none}");
    }
}

#[tokio::test]
async fn a_task_is_its_callers_alone() {
    let life = Life::begin(Era::Legacy).await;
    let house = Joined::with(vec![life.settings()]).await;
    let mut keys = Vec::new();
    for name in ["one", "two"] {
        let scopes = Scopes::parse("write").unwrap();
        let models = catalog::ModelLimit::default();
        let new = NewKey { name: name.to_owned(), scopes, expires_in: None, models };
        let made = house.house().keys.create(new).await.unwrap();
        keys.push(made.secret.expose().to_owned());
    }
    let can = knows();
    let ask = async |key: &str, method: &str, params: Value| {
        house.modern_as(method, &params, (&can, Some(key))).await
    };
    let begun = ask(&keys[0], "tools/call", json!({"name": "far__must"})).await;
    let id = id_of(&begun["result"]);
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let denied = ask(&keys[1], method, json!({"taskId": id})).await;
        assert_eq!(denied["error"]["code"], -32602, "{method}: {denied}");
        // Nor by the name that it has there.
        let denied = ask(&keys[1], method, json!({"taskId": "1"})).await;
        assert_eq!(denied["error"]["code"], -32602, "{method}: {denied}");
    }
    let session = house.session_as(Some(&keys[1])).await;
    let listed = house.ask_as((&session, Some(&keys[1])), "tasks/list", &json!({})).await;
    assert_eq!(listed["result"]["tasks"], json!([]), "{listed}");
    let mine = ask(&keys[0], "tasks/get", json!({"taskId": id})).await;
    assert_eq!(mine["result"]["status"], "working", "{mine}");
    let ended = ask(&keys[0], "tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(ended["result"]["resultType"], "complete", "{ended}");
    let mine = ask(&keys[0], "tasks/get", json!({"taskId": id})).await;
    assert_eq!(mine["result"]["status"], "cancelled", "{mine}");
}
