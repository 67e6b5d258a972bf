//! Documents as tools: names, arguments, schemas that go round, and what comes back.

use mcp::bridge::{Lost, Pieces};
use mcp::client::Pending;
use parking_lot::Mutex;

use super::*;

/// Answers everything with what was asked.
#[derive(Debug, Default)]
struct Mirror(Mutex<u16>);

impl Web for Mirror {
    fn send(&self, request: Request<Bytes>) -> Pending<'_, Result<Carried, Lost>> {
        let (head, body) = request.into_parts();
        let header = |name: &str| head.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        let seen = json!({
            "asked": format!("{} {}", head.method, head.uri),
            "trace": header("x-trace"), "key": header("x-key"), "kind": header("content-type"),
            "body": String::from_utf8_lossy(&body),
        });
        let pieces = futures_util::stream::iter([Ok(Bytes::from(seen.to_string()))]);
        let pieces: Pieces = pieces.boxed();
        let mut answer = Carried::new(pieces);
        *answer.status_mut() = http::StatusCode::from_u16(*self.0.lock()).unwrap();
        Box::pin(async move { Ok(answer) })
    }
}

fn document() -> Value {
    json!({
        "openapi": "3.1.0", "info": {"title": "Shop", "version": "2"},
        "servers": [{"url": "http://127.0.0.1:9/v2/"}],
        "paths": {
            "/items/{id}": {
                "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
                "get": {"operationId": "item.get", "summary": "One item", "parameters": [
                    {"$ref": "#/components/parameters/tag"},
                    {"name": "x-trace", "in": "header", "schema": {"type": "string"}}]},
                "delete": {},
            },
            "/trees": {"post": {"operationId": "item.get", "requestBody": {"required": true,
                "content": {"application/json": {
                    "schema": {"$ref": "#/components/schemas/Tree"}}}}}},
        },
        "components": {
            "parameters": {"tag": {"name": "tag", "in": "query",
                                   "schema": {"type": "array", "items": {"type": "string"}}}},
            "schemas": {
                "Tree": {"type": "object", "properties": {
                    "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
                    "other": {"$ref": "http://evil.example/schema.json"}}},
                "Unused": {"type": "string"},
            },
        },
    })
}

async fn api(status: u16) -> Api {
    let reach = Reach::Api {
        url: None,
        document: Some(document().to_string()),
        base_url: None,
        headers: vec![("x-key".to_owned(), super::super::Hidden("k".to_owned()))],
    };
    Api::open(&reach, Arc::new(Mirror(Mutex::new(status)))).await.unwrap()
}

async fn call(api: &Api, name: &str, arguments: Value) -> Value {
    let params = json!({"name": name, "arguments": arguments});
    let Value::Object(params) = params else { panic!("an object") };
    api.call(Call { method: "tools/call".to_owned(), params, ..Call::default() }).await.unwrap()
}

#[tokio::test]
async fn every_operation_is_a_tool_with_a_name_of_its_own() {
    let tools = api(200).await.tools();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["item_get", "delete_items_id", "item_get_2"]);
    assert_eq!(tools[0]["annotations"]["readOnlyHint"], true);
    assert_eq!(tools[1]["annotations"]["destructiveHint"], true);
    let tree = &tools[2]["inputSchema"];
    assert_eq!(tree["properties"]["body"]["$ref"], "#/$defs/Tree");
    let inner = &tree["$defs"]["Tree"]["properties"];
    assert_eq!(inner["children"]["items"]["$ref"], "#/$defs/Tree", "it goes round and ends");
    assert_eq!(inner["other"]["$ref"], "http://evil.example/schema.json", "and stays unfetched");
    assert!(tree["$defs"].get("Unused").is_none());
}

#[tokio::test]
async fn arguments_go_where_the_document_says() {
    let api = api(200).await;
    let arguments = json!({"id": "a/b ü", "tag": ["x", "y&z"], "x-trace": "t"});
    let result = call(&api, "item_get", arguments).await;
    let seen = &result["structuredContent"];
    let asked = "GET http://127.0.0.1:9/v2/items/a%2Fb%20%C3%BC?tag=x&tag=y%26z";
    assert_eq!((&seen["asked"], &seen["trace"]), (&json!(asked), &json!("t")), "{result}");
    assert_eq!(seen["key"], "k");
    let result = call(&api, "item_get_2", json!({"body": {"children": []}})).await;
    assert_eq!(result["structuredContent"]["body"], "{\"children\":[]}");
    let missing = call(&api, "item_get", json!({})).await;
    assert_eq!(missing["isError"], true);
    assert_eq!(missing["content"][0]["text"], "`id` is required");
}

#[tokio::test]
async fn what_the_api_refuses_is_a_result_that_the_model_reads() {
    let result = call(&api(404).await, "item_get", json!({"id": "1"})).await;
    assert_eq!(result["isError"], true);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("the API answered 404 Not Found"), "{text}");
}

#[test]
fn documents_that_cannot_be_used_say_why() {
    let refused = |document: Value| read::operations(&document).unwrap_err();
    assert!(refused(json!({"swagger": "2.0"})).contains("Swagger 2.0"));
    assert!(refused(json!({})).contains("no OpenAPI 3 document"));
    assert!(refused(json!({"openapi": "3.0.0"})).contains("no operation"));
    assert!(base(&json!({}), None, None).unwrap_err().contains("base_url"));
    let relative = json!({"servers": [{"url": "/v1"}]});
    let found = base(&relative, None, Some("https://a.example:8/x/openapi.json"));
    assert_eq!(found.as_deref(), Ok("https://a.example:8/v1"));
}
