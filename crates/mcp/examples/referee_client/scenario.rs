//! What is done in each scenario.

use mcp::client::{Call, Failure, Told, Upstream};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

/// Goes through a scenario.
pub(crate) async fn play(
    upstream: &Upstream,
    scenario: &str,
    context: &Value,
) -> Result<(), Failure> {
    match scenario {
        "http-standard-headers" => everything(upstream).await,
        "http-custom-headers" => given(upstream, context).await,
        "json-schema-ref-no-deref" => upstream.list("tools/list", "tools").await.map(drop),
        "json-schema-2020-12-preservation" => echo(upstream).await,
        "sep-2322-client-request-state" => several_rounds(upstream).await,
        _ => every_tool(upstream).await,
    }
}

/// Calls each tool that is listed, with arguments as its schema wants them.
async fn every_tool(upstream: &Upstream) -> Result<(), Failure> {
    for tool in upstream.list("tools/list", "tools").await? {
        let arguments = sample(&tool["inputSchema"]);
        called(upstream, tool["name"].as_str().unwrap(), arguments).await?;
    }
    Ok(())
}

/// The least that a schema asks for.
fn sample(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let one = |schema: &Value| match schema["type"].as_str() {
        Some("number" | "integer") => json!(5),
        Some("boolean") => json!(true),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some("null") => Value::Null,
        _ => json!("text"),
    };
    properties
        .iter()
        .map(|(name, schema)| (name.clone(), one(schema)))
        .collect::<Map<_, _>>()
        .into()
}

/// Calls a tool; who asks is answered with what it suggests, in both eras.
async fn called(upstream: &Upstream, name: &str, arguments: Value) -> Result<Value, Failure> {
    let first = json!({"name": name, "arguments": arguments});
    let mut params = first.as_object().cloned().unwrap();
    loop {
        let result = asked(upstream, params.clone()).await?;
        if result["resultType"] != "input_required" {
            return Ok(result);
        }
        let questions = result["inputRequests"].as_object().cloned().unwrap_or_default();
        let answers: Map<String, Value> = questions
            .iter()
            .map(|(key, question)| {
                let method = question["method"].as_str().unwrap_or_default();
                (key.clone(), answer(method, &question["params"]))
            })
            .collect();
        params = first.as_object().cloned().unwrap();
        params.insert("inputResponses".to_owned(), answers.into());
        if let Some(state) = result.get("requestState") {
            params.insert("requestState".to_owned(), state.clone());
        }
    }
}

async fn asked(upstream: &Upstream, params: Map<String, Value>) -> Result<Value, Failure> {
    let (told, mut tells) = mpsc::channel(16);
    let can = json!({"elicitation": {"form": {}}, "sampling": {}, "roots": {}});
    let call = Call {
        method: "tools/call".to_owned(),
        params,
        told: Some(told),
        capabilities: can.as_object().cloned().unwrap(),
        ..Call::default()
    };
    let listening = async {
        while let Some(told) = tells.recv().await {
            if let Told::Question { method, params, answer: to } = told {
                drop(to.send(Ok(answer(&method, &params))));
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = upstream.call(call) => result,
        () = listening => unreachable!("it waits for ever"),
    }
}

/// The answer to a question: what it suggests.
fn answer(method: &str, params: &Value) -> Value {
    if method != "elicitation/create" {
        return json!({"roots": []});
    }
    let properties = params["requestedSchema"]["properties"].as_object().cloned();
    let content: Map<String, Value> = properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| {
            let value = schema.get("default").cloned().unwrap_or(json!(true));
            (name, value)
        })
        .collect();
    json!({"action": "accept", "content": content})
}

/// One request of every kind that has a name in its headers.
async fn everything(upstream: &Upstream) -> Result<(), Failure> {
    every_tool(upstream).await?;
    let simple = async |method: &str, name: &str, value: &Value| {
        let params = Map::from_iter([(name.to_owned(), value.clone())]);
        let call = Call { method: method.to_owned(), params, ..Call::default() };
        upstream.call(call).await.map(drop)
    };
    for resource in upstream.list("resources/list", "resources").await? {
        simple("resources/read", "uri", &resource["uri"]).await?;
    }
    for prompt in upstream.list("prompts/list", "prompts").await? {
        simple("prompts/get", "name", &prompt["name"]).await?;
    }
    Ok(())
}

/// The calls that the referee wants.
async fn given(upstream: &Upstream, context: &Value) -> Result<(), Failure> {
    upstream.list("tools/list", "tools").await?;
    for call in context["toolCalls"].as_array().expect("calls") {
        let name = call["name"].as_str().expect("a name");
        called(upstream, name, call["arguments"].clone()).await?;
    }
    Ok(())
}

/// Sends a schema back as it came.
async fn echo(upstream: &Upstream) -> Result<(), Failure> {
    let tools = upstream.list("tools/list", "tools").await?;
    let rich = tools.iter().find(|tool| tool["name"] == "json_schema_2020_12_tool");
    let schema = rich.expect("the tool")["inputSchema"].clone();
    called(upstream, "json_schema_echo", json!({"schema": schema})).await.map(drop)
}

/// Questions of several calls at the same time.
async fn several_rounds(upstream: &Upstream) -> Result<(), Failure> {
    upstream.list("tools/list", "tools").await?;
    let (state, other) = tokio::join!(
        called(upstream, "test_mrtr_echo_state", json!({})),
        called(upstream, "test_mrtr_unrelated", json!({})),
    );
    state.and(other)?;
    called(upstream, "test_mrtr_no_state", json!({})).await?;
    called(upstream, "test_mrtr_no_result_type", json!({})).await.map(drop)
}
