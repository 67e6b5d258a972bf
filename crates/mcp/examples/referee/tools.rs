//! The tools of the referee: each does one thing that the protocol has a rule for.

use mcp::rpc::Refusal;
use mcp::server::{Ask, Change, Level, Link, Question, Stop};
use serde_json::{Map, Value, json};

use crate::jobs;
use crate::serve::{IMAGE, Referee, can_elicit, elicit};

const AUDIO: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";

/// Tools of both eras.
const BOTH: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];
/// Tools that only make sense with a session.
const LEGACY: &[&str] = &[
    "test_tool_with_logging",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
];

pub(crate) fn list(modern: bool) -> Vec<Value> {
    let plain = |name: &&str| {
        json!({"name": name, "description": format!("does what {name} says"),
               "inputSchema": {"type": "object", "properties": {}}})
    };
    let with = |name: &str, field: &str, extra: Value| {
        let mut schema = json!({"type": "string"});
        if let (Value::Object(schema), Value::Object(extra)) = (&mut schema, extra) {
            schema.extend(extra);
        }
        json!({"name": name, "description": name, "inputSchema": {
            "type": "object", "properties": {field: schema}, "required": [field]}})
    };
    let mut all: Vec<Value> = BOTH.iter().map(plain).collect();
    if modern {
        let header = json!({"x-mcp-header": "Value"});
        all.push(with("test_custom_header", "value", header));
        all.extend(jobs::NAMES.iter().map(plain));
    } else {
        all.extend(LEGACY.iter().map(plain));
        all.push(with("test_sampling", "prompt", json!({})));
        all.push(with("test_elicitation", "message", json!({})));
    }
    all.push(json!({"name": "json_schema_2020_12_tool", "description": "keeps its schema",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
            "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {
                "street": {"type": "string"}, "city": {"type": "string"}}}},
            "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"}, "email": {"type": "string"}},
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {"properties": {"contactMethod": {"const": "phone"}},
                   "required": ["contactMethod"]},
            "then": {"required": ["phone"]}, "else": {"required": ["email"]},
            "additionalProperties": false}}));
    all
}

pub(crate) fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

pub(crate) async fn call(
    referee: &Referee,
    ask: &Ask<()>,
    params: &Map<String, Value>,
) -> Result<Value, Stop> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let argument = |field: &str| {
        params.get("arguments").and_then(|a| a.get(field)).and_then(Value::as_str).unwrap_or("")
    };
    let link = &ask.link;
    Ok(match name {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_error_handling" => {
            let mut result = text("This tool intentionally returns an error for testing");
            result["isError"] = true.into();
            result
        }
        "test_tool_with_progress" => {
            for done in [0.0, 50.0, 100.0] {
                link.progress(done, Some(100.0), Some("on the way"));
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            text("done")
        }
        "test_tool_with_logging" | "test_logging_tool" => {
            for line in ["Tool execution started", "Tool processing data", "Tool completed"] {
                link.log(Level::Info, "referee", &json!(line));
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            text("logged")
        }
        "test_trigger_tool_change" => {
            referee.server().changed(Change::Tools);
            text("changed")
        }
        "test_trigger_prompt_change" => {
            referee.server().changed(Change::Prompts);
            text("changed")
        }
        "test_reconnection" => {
            link.hang_up();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            text("back again")
        }
        "test_custom_header" => text(argument("value")),
        "test_sampling" => {
            let answer = link.ask(sampling("sampling", argument("prompt"))).await?;
            text(format!("LLM response: {}", answer["content"]["text"]))
        }
        "test_elicitation" => {
            let schema = json!({"type": "object", "properties": {
                "username": {"type": "string"}, "email": {"type": "string"}},
                "required": ["username", "email"]});
            answered(link, form("elicit", argument("message"), &schema)).await?
        }
        "test_elicitation_sep1034_defaults" => {
            answered(link, form("elicit", "Review", &defaults())).await?
        }
        "test_elicitation_sep1330_enums" => {
            answered(link, form("elicit", "Choose", &enums())).await?
        }
        "json_schema_2020_12_tool" => text("valid"),
        name if jobs::NAMES.contains(&name) => jobs::call(link, name, params).await?,
        _ => match content(name) {
            Some(result) => result,
            None => asking(link, name).await?,
        },
    })
}

/// Tools that only return content of some kind.
fn content(name: &str) -> Option<Value> {
    let image = json!({"type": "image", "data": IMAGE, "mimeType": "image/png"});
    let resource = json!({"type": "resource", "resource": {"uri": "test://embedded-resource",
        "mimeType": "text/plain", "text": "This is an embedded resource content."}});
    Some(match name {
        "test_image_content" => json!({"content": [image]}),
        "test_audio_content" => {
            json!({"content": [{"type": "audio", "data": AUDIO, "mimeType": "audio/wav"}]})
        }
        "test_embedded_resource" => json!({"content": [resource]}),
        "test_multiple_content_types" => json!({"content": [
            {"type": "text", "text": "Multiple content types test:"}, image, resource]}),
        _ => return None,
    })
}

/// Tools that ask the client first.
async fn asking(link: &Link, name: &str) -> Result<Value, Stop> {
    let answers = link.answers().cloned().unwrap_or_default();
    Ok(match name {
        "test_missing_capability" => {
            let answer = link.ask(sampling("needed", "hello")).await?;
            text(answer["content"]["text"].to_string())
        }
        "test_streaming_elicitation" => {
            link.progress(0.0, None, None);
            answered(link, elicit("user_name", "What is your name?")).await?
        }
        "test_input_required_result_elicitation" => {
            let question = name_form("user_name", "What is your name?");
            let answer = link.ask(question.clone()).await?;
            match answer["content"]["name"].as_str() {
                Some(name) if answer["action"] == "accept" => text(format!("Hello, {name}!")),
                // An answer that does not fit is asked for again.
                _ => return Err(Stop::Input(vec![question], None)),
            }
        }
        "test_input_required_result_sampling" => {
            let answer = link.ask(sampling("capital_question", "Capital of France?")).await?;
            text(answer["content"]["text"].to_string())
        }
        "test_input_required_result_list_roots" => {
            let answer = link.ask(roots("client_roots")).await?;
            text(answer["roots"].to_string())
        }
        other => return rounds(link, other, &answers),
    })
}

/// Tools that ask several times, or carry a state along.
fn rounds(link: &Link, name: &str, answers: &Map<String, Value>) -> Result<Value, Stop> {
    Ok(match name {
        "test_input_required_result_request_state"
        | "test_input_required_result_tampered_state" => match link.state() {
            Some("asked") if answers.contains_key("confirm") => text("state-ok"),
            _ => {
                let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}},
                                    "required": ["ok"]});
                let question = form("confirm", "Please confirm", &schema);
                return Err(Stop::Input(vec![question], Some("asked".to_owned())));
            }
        },
        "test_input_required_result_multiple_inputs" => {
            let questions = vec![
                name_form("user_name", "What is your name?"),
                sampling("greeting", "Greet somebody"),
                roots("client_roots"),
            ];
            if questions.iter().all(|q| answers.contains_key(&q.key)) {
                text("all there")
            } else {
                return Err(Stop::Input(questions, Some("several".to_owned())));
            }
        }
        "test_input_required_result_multi_round" => match link.state() {
            None => {
                let question = name_form("step1", "Step 1: your name?");
                return Err(Stop::Input(vec![question], Some("round 1".to_owned())));
            }
            Some("round 1") if answers.contains_key("step1") => {
                let schema = json!({"type": "object", "properties": {"color": {"type": "string"}}});
                let question = form("step2", "Step 2: your color?", &schema);
                return Err(Stop::Input(vec![question], Some("round 2".to_owned())));
            }
            Some(state) => text(format!("after {state}")),
        },
        "test_input_required_result_capabilities" => {
            let mut questions = Vec::new();
            if can_elicit(link) {
                questions.push(name_form("user_name", "What is your name?"));
            }
            if link.client().sampling {
                questions.push(sampling("greeting", "Greet somebody"));
            }
            if questions.iter().all(|q| answers.contains_key(&q.key)) {
                text("nothing more to ask")
            } else {
                return Err(Stop::Input(questions, None));
            }
        }
        other => return Err(Refusal::params(format!("there is no tool `{other}`")).into()),
    })
}

async fn answered(link: &Link, question: Question) -> Result<Value, Stop> {
    let answer = link.ask(question).await?;
    let (action, content) = (&answer["action"], &answer["content"]);
    Ok(text(format!("action={action}, content={content}")))
}

pub(crate) fn form(key: &str, message: &str, schema: &Value) -> Question {
    Question {
        key: key.to_owned(),
        method: "elicitation/create".to_owned(),
        params: json!({"message": message, "requestedSchema": schema}),
    }
}

pub(crate) fn name_form(key: &str, message: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"name": {"type": "string"}},
                        "required": ["name"]});
    form(key, message, &schema)
}

fn sampling(key: &str, prompt: &str) -> Question {
    Question {
        key: key.to_owned(),
        method: "sampling/createMessage".to_owned(),
        params: json!({"messages": [{"role": "user", "content": {"type": "text", "text": prompt}}],
                       "maxTokens": 100}),
    }
}

fn roots(key: &str) -> Question {
    Question { key: key.to_owned(), method: "roots/list".to_owned(), params: json!({}) }
}

fn defaults() -> Value {
    json!({"type": "object", "required": [], "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"],
                   "default": "active"},
        "verified": {"type": "boolean", "default": true}}})
}

fn enums() -> Value {
    let titled = json!([{"const": "value1", "title": "First Option"},
                        {"const": "value2", "title": "Second Option"},
                        {"const": "value3", "title": "Third Option"}]);
    let plain = json!(["option1", "option2", "option3"]);
    json!({"type": "object", "required": [], "properties": {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
                       "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}}}})
}
