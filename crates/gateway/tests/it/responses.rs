//! OpenAI's Responses API over any model: what is kept, how it goes on, what is refused.

use http::StatusCode;
use mock::{Mock, Script};
use serde_json::{Value, json};

use crate::house::House;

async fn start(script: &str) -> (Mock, House) {
    let script = Script::parse(script).unwrap();
    let mock = Mock::start("127.0.0.1:0".parse().unwrap(), script).await.unwrap();
    let house = House::before(mock.addr()).await;
    (mock, house)
}

fn ask(input: &str, after: Option<&str>) -> Value {
    json!({"model": "claude-3-opus-20240229", "input": input, "previous_response_id": after})
}

fn text(response: &Value) -> &str {
    response["output"][0]["content"][0]["text"].as_str().unwrap_or_default()
}

/// What the model was told the last time.
fn told(mock: &Mock) -> Vec<String> {
    let sent = mock.requests().pop().unwrap().json();
    let messages = sent["messages"].as_array().unwrap();
    messages.iter().map(|m| m["content"].as_str().unwrap_or("?").to_owned()).collect()
}

#[tokio::test]
async fn a_response_is_gone_on_with_from_any_point() {
    let (mock, house) = start("default.text = \"answer {n}\"").await;
    let create = async |input: &str, after: Option<&str>| {
        let answer = house.post("/v1/responses", &ask(input, after)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()
    };
    let first = create("one", None).await;
    assert_eq!((text(&first), &first["object"]), ("answer 1", &json!("response")));
    let id = |response: &Value| response["id"].as_str().unwrap().to_owned();
    assert!(id(&first).starts_with("resp_"), "{first}");
    let second = create("two", Some(&id(&first))).await;
    assert_eq!(told(&mock), ["one", "answer 1", "two"]);
    assert_eq!(second["previous_response_id"], id(&first).as_str());
    create("other two", Some(&id(&first))).await;
    assert_eq!(told(&mock), ["one", "answer 1", "other two"], "the old one is untouched");
    create("three", Some(&id(&second))).await;
    assert_eq!(told(&mock), ["one", "answer 1", "two", "answer 2", "three"]);
    let kept = house.call("GET", &format!("/v1/responses/{}", id(&second))).await.json();
    assert_eq!((text(&kept), &kept["id"]), ("answer 2", &second["id"]));
    assert_eq!(kept["previous_response_id"], id(&first).as_str());
    let items = house.call("GET", &format!("/v1/responses/{}/input_items", id(&second))).await;
    assert_eq!(items.json()["data"][0]["content"][0]["text"], "two", "{items:?}");
    let gone = house.call("DELETE", &format!("/v1/responses/{}", id(&first))).await;
    assert_eq!(gone.json()["deleted"], true);
    create("four", Some(&id(&second))).await;
    assert_eq!(told(&mock).len(), 5, "what follows keeps what it read");
    for (method, path) in [("GET", id(&first)), ("DELETE", id(&first)), ("GET", "kept".into())] {
        let missing = house.call(method, &format!("/v1/responses/{path}")).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{missing:?}");
        assert!(missing.json()["error"]["message"].as_str().unwrap().contains(&path));
    }
    let lost = house.post("/v1/responses", &ask("five", Some(&id(&first)))).await;
    assert_eq!(lost.status, StatusCode::NOT_FOUND, "{lost:?}");
}

#[tokio::test]
async fn a_streamed_response_is_there_before_its_last_event() {
    let (_mock, house) = start("default.fragments = [\"good \", \"day\"]").await;
    let mut after: Option<String> = None;
    for _ in 0..100 {
        let mut body = ask("hi", after.as_deref());
        body["stream"] = json!(true);
        let answer = house.post("/v1/responses", &body).await;
        let last = answer.text.lines().rev().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let last: Value = serde_json::from_str(last).unwrap();
        assert_eq!(last["type"], "response.completed", "{answer:?}");
        assert_eq!(text(&last["response"]), "good day");
        let id = last["response"]["id"].as_str().unwrap().to_owned();
        let kept = house.call("GET", &format!("/v1/responses/{id}")).await;
        assert_eq!(text(&kept.json()), "good day", "{kept:?}");
        after = Some(id);
    }
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not_and_several_messages_are() {
    let (mock, house) = start("default.text = \"answer\"").await;
    let mut body = ask("once", None);
    body["store"] = json!(false);
    let answer = house.post("/v1/responses", &body).await.json();
    assert_eq!(text(&answer), "answer");
    let list = house.call("GET", "/api/v1/contexts").await.json();
    assert_eq!(list["contexts"], json!([]), "nothing was kept");
    let body = json!({"model": "claude-3-opus-20240229", "instructions": "be kind", "input": [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"}]});
    let first = house.post("/v1/responses", &body).await.json();
    assert_eq!(told(&mock), ["one", "two", "three"]);
    house.post("/v1/responses", &ask("four", first["id"].as_str())).await;
    assert_eq!(told(&mock), ["one", "two", "three", "answer", "four"]);
    let sent = mock.requests().pop().unwrap().json();
    assert!(sent.get("system").is_none(), "instructions are not inherited: {sent}");
}

#[tokio::test]
async fn offline_models_answer_too() {
    let house = House::new().await;
    let body = json!({"model": "demo", "input": "hello"});
    let first = house.post("/v1/responses", &body).await;
    assert_eq!(text(&first.json()), "Hello there! How can I help you today?", "{first:?}");
    let body = json!({"model": "demo", "input": "hello", "stream": true});
    let streamed = house.post("/v1/responses", &body).await;
    assert!(streamed.text.contains("response.completed"), "{streamed:?}");
}

#[tokio::test]
async fn the_result_of_a_tool_goes_on_a_kept_conversation() {
    let script = "[[rules]]\ntimes = 1\nreply = { tools = [{ name = \"look\", id = \"call_1\", \
                  input = { city = \"Rome\" } }] }\n[default]\ntext = \"sunny\"";
    let (mock, house) = start(script).await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let tool = json!({"type": "function", "name": "look", "parameters": schema});
    let mut body = ask("weather?", None);
    body["tools"] = json!([tool]);
    let first = house.post("/v1/responses", &body).await.json();
    let call = first["output"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&call["type"], &call["name"]),
        (&json!("function_call"), &json!("look")),
        "{first}"
    );
    let result = json!({"type": "function_call_output", "call_id": call["call_id"],
                        "output": "28 degrees"});
    let body = json!({"model": "claude-3-opus-20240229", "input": [result], "tools": [tool],
                      "previous_response_id": first["id"]});
    let second = house.post("/v1/responses", &body).await;
    assert_eq!(second.status, StatusCode::OK, "{second:?}");
    assert_eq!(text(&second.json()), "sunny", "{second:?}");
    let sent = mock.requests().pop().unwrap().json();
    let said = sent["messages"].as_array().unwrap();
    assert_eq!(said.len(), 3, "{sent}");
    assert_eq!(said[1]["content"][0]["type"], "tool_use", "{sent}");
    assert_eq!(said[2]["content"][0]["type"], "tool_result", "{sent}");
    assert!(said[2].to_string().contains("28 degrees"), "{sent}");
}

#[tokio::test]
async fn a_tool_result_is_a_turn_of_a_context_in_the_other_apis_too() {
    let script = "[[rules]]\ntimes = 1\nreply = { tools = [{ name = \"look\", id = \"call_1\", \
                  input = { city = \"Rome\" } }] }\n[default]\ntext = \"sunny\"";
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    let function = json!({"name": "look", "parameters": schema});
    let openai = json!([{"type": "function", "function": function}]);
    let claude = json!([{"name": "look", "input_schema": schema}]);
    for (path, tools, result) in [
        (
            "/v1/chat/completions",
            openai,
            json!({"role": "tool", "tool_call_id": "call_1", "content": "28 degrees"}),
        ),
        (
            "/v1/messages",
            claude,
            json!({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": "28 degrees"}]}),
        ),
    ] {
        let (mock, house) = start(script).await;
        let headers = [("x-rapport-context", "c")];
        let turn = async |message: &Value| {
            let body = json!({"model": "claude-3-opus-20240229", "max_tokens": 9, "tools": tools,
                              "messages": [message]});
            let answer = house.with_headers("POST", path, &headers, &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
            answer.text
        };
        turn(&json!({"role": "user", "content": "weather?"})).await;
        let second = turn(&result).await;
        assert!(second.contains("sunny"), "{path}: {second}");
        let sent = mock.requests().pop().unwrap().json();
        let said = sent["messages"].as_array().unwrap();
        assert_eq!(said.len(), 3, "{path}: {sent}");
        assert_eq!(said[2]["content"][0]["type"], "tool_result", "{path}: {sent}");
    }
}

#[tokio::test]
async fn a_conversation_is_a_context() {
    let (mock, house) = start("default.text = \"answer\"").await;
    let body = json!({"metadata": {"topic": "trip"},
                      "items": [{"type": "message", "role": "user", "content": "we met"}]});
    let made = house.post("/v1/conversations", &body).await.json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("conv_"), "{made}");
    let mut body = ask("hello", None);
    body["conversation"] = json!(id);
    let answer = house.post("/v1/responses", &body).await;
    assert_eq!(text(&answer.json()), "answer", "{answer:?}");
    assert_eq!(told(&mock).len(), 2, "what was there before is told");
    let path = format!("/v1/conversations/{id}");
    let more = json!({"items": [{"type": "message", "role": "user", "content": "and more"}]});
    house.post(&format!("{path}/items"), &more).await;
    let items = house.call("GET", &format!("{path}/items")).await.json();
    let texts: Vec<&str> = items["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["content"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(texts, ["and more", "answer", "hello", "we met"]);
    let native = house.call("GET", &format!("/api/v1/contexts/{id}")).await.json();
    assert_eq!(
        (&native["size"]["messages"], &native["metadata"]["topic"]),
        (&json!(4), &json!("trip"))
    );
    let changed = house.post(&path, &json!({"metadata": {"topic": "home"}})).await.json();
    assert_eq!(changed["metadata"]["topic"], "home");
    assert_eq!(house.call("DELETE", &path).await.json()["deleted"], true);
    let gone = house.call("GET", &path).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND);
    assert!(gone.json()["error"]["message"].is_string(), "{gone:?}");
    let late = house.post(&format!("{path}/items"), &json!({"items": []})).await;
    assert_eq!(late.status, StatusCode::NOT_FOUND, "{late:?}");
}
