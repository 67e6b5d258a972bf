//! What messages must have by the rules of their protocol: MCP's, and those of calls of models.

use serde_json::Value;
use wire::prompt::{Block, Prompt, Role};

use super::Rpc;

/// What a member must be.
#[derive(Clone, Copy)]
enum Is {
    Text,
    Object,
    List,
}

/// Members of requests: method, pointer, kind, whether it may be left out.
const ASKED: &[(&str, &str, Is, bool)] = &[
    ("initialize", "/params/protocolVersion", Is::Text, false),
    ("initialize", "/params/capabilities", Is::Object, false),
    ("initialize", "/params/clientInfo/name", Is::Text, false),
    ("initialize", "/params/clientInfo/version", Is::Text, false),
    ("tools/call", "/params/name", Is::Text, false),
    ("tools/call", "/params/arguments", Is::Object, true),
    ("resources/read", "/params/uri", Is::Text, false),
    ("resources/subscribe", "/params/uri", Is::Text, false),
    ("prompts/get", "/params/name", Is::Text, false),
    ("prompts/get", "/params/arguments", Is::Object, true),
    ("sampling/createMessage", "/params/messages", Is::List, false),
    ("elicitation/create", "/params/message", Is::Text, false),
];

/// Members of results.
const ANSWERED: &[(&str, &str, Is, bool)] = &[
    ("initialize", "/result/protocolVersion", Is::Text, false),
    ("initialize", "/result/capabilities", Is::Object, false),
    ("initialize", "/result/serverInfo/name", Is::Text, false),
    ("initialize", "/result/serverInfo/version", Is::Text, false),
    ("tools/list", "/result/tools", Is::List, false),
    ("tools/call", "/result/content", Is::List, false),
    ("resources/list", "/result/resources", Is::List, false),
    ("resources/templates/list", "/result/resourceTemplates", Is::List, false),
    ("resources/read", "/result/contents", Is::List, false),
    ("prompts/list", "/result/prompts", Is::List, false),
    ("prompts/get", "/result/messages", Is::List, false),
];

/// Members of each entry of a list in a result: method, list, member, kind.
const EACH: &[(&str, &str, &str, Is)] = &[
    ("tools/list", "/result/tools", "/name", Is::Text),
    ("tools/list", "/result/tools", "/inputSchema", Is::Object),
    ("tools/call", "/result/content", "/type", Is::Text),
    ("resources/list", "/result/resources", "/uri", Is::Text),
    ("resources/list", "/result/resources", "/name", Is::Text),
    ("resources/read", "/result/contents", "/uri", Is::Text),
    ("prompts/list", "/result/prompts", "/name", Is::Text),
];

impl Is {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Object => "an object",
            Self::List => "a list",
        }
    }
}

/// What a message of MCP has not, or has wrong; one sentence each.
pub(super) fn message(rpc: &Rpc) -> Vec<String> {
    let mut all = Vec::new();
    let body = &rpc.body;
    let method = rpc.method.as_deref().unwrap_or_default();
    if rpc.kind == "request" && !matches!(rpc.id, Some(Value::String(_) | Value::Number(_))) {
        all.push(format!("{method}: the `id` must be a text or a number"));
    }
    if body.get("result").is_some() && body.get("error").is_some() {
        all.push(format!("{method}: an answer has either `result` or `error`, and this has both"));
    }
    if let Some(error) = body.get("error") {
        let is_code = error.get("code").is_some_and(Value::is_i64);
        if !is_code || !error.get("message").is_some_and(Value::is_string) {
            all.push(format!("{method}: an error must have a whole `code` and a text `message`"));
        }
    }
    let rules = match rpc.kind {
        "request" => ASKED,
        // A result may ask for more instead of being one.
        "result" if body.pointer("/result/resultType").is_none() => ANSWERED,
        _ => return all,
    };
    for (_, place, is, may_lack) in rules.iter().filter(|(of, ..)| *of == method) {
        let found = body.pointer(place);
        if found.is_none_or(|value| !is.fits(value)) && !(found.is_none() && *may_lack) {
            all.push(format!("{method}: `{}` must be {}", shown(place), is.name()));
        }
    }
    for (_, list, member, is) in EACH.iter().filter(|(of, ..)| *of == method) {
        let list_of = body.pointer(list).and_then(Value::as_array).into_iter().flatten();
        let bad = list_of
            .enumerate()
            .find(|(_, one)| one.pointer(member).is_none_or(|value| !is.fits(value)));
        if let Some((place, _)) = bad {
            let name = format!("{}[{place}]{}", shown(list), member.replace('/', "."));
            all.push(format!("{method}: `{name}` must be {}", is.name()));
        }
    }
    all
}

fn shown(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// What a prompt has that providers refuse: answers to nothing, calls without an answer, two tools
/// of one name.
pub(super) fn prompt(prompt: &Prompt) -> Vec<String> {
    let mut all = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    let last = prompt.messages.len().saturating_sub(1);
    for (place, message) in prompt.messages.iter().enumerate() {
        for block in &message.blocks {
            match block {
                Block::ToolUse { id, .. } => open.push(id),
                Block::ToolResult { id, .. } => match open.iter().position(|one| one == id) {
                    Some(at) => drop(open.remove(at)),
                    None => all.push(format!(
                        "message {place} answers the call `{id}`, which no message before it makes"
                    )),
                },
                _ => {}
            }
        }
        let is_answer = |next: &wire::prompt::Message| {
            next.blocks.iter().any(|block| matches!(block, Block::ToolResult { .. }))
        };
        let goes_on = prompt.messages.get(place + 1).is_some_and(is_answer);
        if let Some(id) = open.first().filter(|_| place < last && !goes_on) {
            all.push(format!("the call `{id}` of a tool has no answer behind message {place}"));
            open.clear();
        }
    }
    if prompt.messages.is_empty() {
        all.push("the prompt has no message".to_owned());
    }
    if prompt.messages.first().is_some_and(|first| first.role == Role::Assistant) {
        all.push("the first message is the model's own: it must be the user's".to_owned());
    }
    let mut names: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        if let [one, next] = pair
            && one == next
        {
            all.push(format!("two tools have the name `{one}`"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Rpc, message};

    fn check(method: &str, body: Value, expected: &[&str]) {
        let kind = if body.get("method").is_some() { "request" } else { "result" };
        let id = body.get("id").cloned();
        let (method, name) = (Some(method.to_owned()), None);
        let rpc = Rpc {
            from_caller: true,
            at_ms: 0.0,
            kind,
            method,
            name,
            id,
            took_ms: None,
            error: None,
            body,
        };
        assert_eq!(message(&rpc), expected);
    }

    #[test]
    fn what_a_message_of_mcp_lacks_is_named() {
        let call = |params: Value| json!({"id": 1, "method": "tools/call", "params": params});
        check("tools/call", call(json!({"name": "a", "arguments": {}})), &[]);
        check("tools/call", call(json!({"name": "a"})), &[]);
        check(
            "tools/call",
            call(json!({"arguments": []})),
            &[
                "tools/call: `params.name` must be a text",
                "tools/call: `params.arguments` must be an object",
            ],
        );
        check(
            "ping",
            json!({"id": null, "method": "ping"}),
            &["ping: the `id` must be a text or a number"],
        );
        let tools = json!([{"name": "a", "inputSchema": {}}, {"name": "b"}]);
        check(
            "tools/list",
            json!({"id": 1, "result": {"tools": tools}}),
            &["tools/list: `result.tools[1].inputSchema` must be an object"],
        );
        check(
            "tools/call",
            json!({"id": 1, "result": {}}),
            &["tools/call: `result.content` must be a list"],
        );
        check("tools/call", json!({"id": 1, "result": {"resultType": "input_required"}}), &[]);
        let both = json!({"id": 1, "result": {"tools": []}, "error": {"code": "x"}});
        check(
            "tools/list",
            both,
            &[
                "tools/list: an answer has either `result` or `error`, and this has both",
                "tools/list: an error must have a whole `code` and a text `message`",
            ],
        );
    }
}
