//! Resources, prompts and completion; the tools are in `tools`.

use std::sync::OnceLock;

use mcp::rpc::Refusal;
use mcp::server::{About, Ask, Link, Offers, Page, Question, Serve, Server, Stop};
use serde_json::{Map, Value, json};

use crate::tools;

/// One pixel.
pub(crate) const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QD\
                                wADhgGAWjR9awAAAABJRU5ErkJggg==";

#[derive(Debug, Default)]
pub(crate) struct Referee {
    server: OnceLock<Server<Self>>,
}

impl Referee {
    /// Remembers the server itself, for tools that change its lists.
    pub(crate) fn here(&self, server: &Server<Self>) {
        drop(self.server.set(server.clone()));
    }

    pub(crate) fn server(&self) -> &Server<Self> {
        self.server.get().expect("it was set at the start")
    }
}

impl Serve for Referee {
    type Caller = ();

    fn about(&self) -> About {
        About {
            name: "referee-fixture".to_owned(),
            title: "Fixture for the referee".to_owned(),
            version: "1.0.0".to_owned(),
            instructions: Some("for tests".to_owned()),
        }
    }

    fn offers(&self) -> Offers {
        Offers {
            tools: true,
            resources: true,
            prompts: true,
            completions: true,
            ..Offers::default()
        }
    }

    fn has_tasks(&self, _: &()) -> bool {
        true
    }

    async fn tools(&self, ask: &Ask<()>, _cursor: Option<&str>) -> Result<Page, Refusal> {
        Ok(tools::list(ask.revision.is_modern()).into())
    }

    async fn call(&self, ask: &Ask<()>, params: &Map<String, Value>) -> Result<Value, Stop> {
        tools::call(self, ask, params).await
    }

    async fn resources(&self, _ask: &Ask<()>, _cursor: Option<&str>) -> Result<Page, Refusal> {
        let row = |uri: &str, name: &str, kind: &str| {
            let about = name.to_lowercase();
            json!({"uri": uri, "name": name, "description": about, "mimeType": kind})
        };
        Ok(vec![
            row("test://static-text", "Static text", "text/plain"),
            row("test://static-binary", "Static binary", "image/png"),
            row("test://watched-resource", "Watched", "text/plain"),
        ]
        .into())
    }

    async fn templates(&self, _ask: &Ask<()>, _cursor: Option<&str>) -> Result<Page, Refusal> {
        let row = json!({"uriTemplate": "test://template/{id}/data", "name": "Template",
                         "description": "data by id", "mimeType": "application/json"});
        Ok(vec![row].into())
    }

    async fn read(&self, _ask: &Ask<()>, uri: &str) -> Result<Option<Value>, Stop> {
        let text = |kind: &str, text: String| {
            let content = json!({"uri": uri, "mimeType": kind, "text": text});
            json!({"contents": [content]})
        };
        if let Some(id) =
            uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"))
        {
            let data =
                json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            return Ok(Some(text("application/json", data.to_string())));
        }
        Ok(match uri {
            "test://static-text" => Some(text(
                "text/plain",
                "This is the content of the static text resource.".to_owned(),
            )),
            "test://watched-resource" => Some(text("text/plain", "Watched".to_owned())),
            "test://static-binary" => {
                Some(json!({"contents": [{"uri": uri, "mimeType": "image/png", "blob": IMAGE}]}))
            }
            _ => None,
        })
    }

    async fn prompts(&self, _ask: &Ask<()>, _cursor: Option<&str>) -> Result<Page, Refusal> {
        let argument = |name: &str| json!({"name": name, "description": name, "required": true});
        Ok(vec![
            json!({"name": "test_simple_prompt", "description": "without arguments"}),
            json!({"name": "test_prompt_with_arguments", "description": "with arguments",
                   "arguments": [argument("arg1"), argument("arg2")]}),
            json!({"name": "test_prompt_with_embedded_resource", "description": "with a resource",
                   "arguments": [argument("resourceUri")]}),
            json!({"name": "test_prompt_with_image", "description": "with an image"}),
            json!({"name": "test_input_required_result_prompt", "description": "asks first"}),
        ]
        .into())
    }

    async fn prompt(&self, ask: &Ask<()>, params: &Map<String, Value>) -> Result<Value, Stop> {
        let argument = |name: &str| {
            params.get("arguments").and_then(|a| a.get(name)).and_then(Value::as_str).unwrap_or("")
        };
        let user = |content: Value| json!({"role": "user", "content": content});
        let text = |text: String| json!({"type": "text", "text": text});
        let messages = match params.get("name").and_then(Value::as_str).unwrap_or_default() {
            "test_simple_prompt" => {
                vec![user(text("This is a simple prompt for testing.".to_owned()))]
            }
            "test_prompt_with_arguments" => vec![user(text(format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                argument("arg1"),
                argument("arg2")
            )))],
            "test_prompt_with_embedded_resource" => vec![
                user(json!({"type": "resource", "resource": {
                    "uri": argument("resourceUri"), "mimeType": "text/plain",
                    "text": "Embedded resource content for testing."}})),
                user(text("Please process the embedded resource above.".to_owned())),
            ],
            "test_prompt_with_image" => vec![
                user(json!({"type": "image", "data": IMAGE, "mimeType": "image/png"})),
                user(text("Please analyze the image above.".to_owned())),
            ],
            "test_input_required_result_prompt" => {
                let answer = ask.link.ask(elicit("user_context", "What context?")).await?;
                let context = answer["content"]["context"].as_str().unwrap_or("none").to_owned();
                vec![user(text(format!("Context: {context}")))]
            }
            other => return Err(Refusal::params(format!("there is no prompt `{other}`")).into()),
        };
        Ok(json!({"messages": messages}))
    }

    async fn complete(
        &self,
        _ask: &Ask<()>,
        params: &Map<String, Value>,
    ) -> Result<Value, Refusal> {
        let begun = params
            .get("argument")
            .and_then(|a| a.get("value"))
            .and_then(Value::as_str)
            .ok_or_else(|| Refusal::params("`argument.value` must be a string"))?;
        let values: Vec<&str> = ["paris", "park", "party"]
            .into_iter()
            .filter(|value| value.starts_with(begun))
            .collect();
        let total = values.len();
        Ok(json!({"completion": {"values": values, "total": total, "hasMore": false}}))
    }
}

/// A question with one text field, `context` or the key's last word.
pub(crate) fn elicit(key: &str, message: &str) -> Question {
    Question {
        key: key.to_owned(),
        method: "elicitation/create".to_owned(),
        params: json!({"mode": "form", "message": message, "requestedSchema": {
            "type": "object",
            "properties": {"context": {"type": "string"}, "name": {"type": "string"}}}}),
    }
}

/// What a client can be asked for in these tests.
pub(crate) fn can_elicit(link: &Link) -> bool {
    link.client().elicitation
}
