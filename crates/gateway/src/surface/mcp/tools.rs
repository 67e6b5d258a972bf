//! Contexts as tools: what a model or its user does with conversations.

use context::{Content, Filter, Map as State, New, NewEntry, Slice, StateEdit};
use mcp::rpc::Refusal;
use mcp::server::Ask as Asking;
use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::schema::{Field, count, input, object, text};
use super::{Who, find, models};
use crate::auth::{self, Scope};
use crate::flow::{self, Ask, Envelope, Overrides};
use crate::model::Door;
use crate::surface::native::{read, shape};

/// A tool: its definition and what it needs.
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) fields: fn() -> Vec<Field>,
    pub(super) scope: Scope,
    pub(super) destroys: bool,
}

pub(super) const ID: &str = "The context's id";

/// Every tool. Names are short: clients put their own before them and count to 64.
const TOOLS: &[Tool] = &[
    Tool {
        name: "context_list",
        title: "List conversations",
        about: "Lists the conversations that are kept here, the last used first, with title, size \
                and model.",
        fields: || {
            vec![
                count("limit", 1, "At most so many, 20 if absent, 500 at most"),
                text("cursor", "The next_cursor of the page before"),
                text("title", "Only those whose title contains this"),
            ]
        },
        scope: Scope::Read,
        destroys: false,
    },
    Tool {
        name: "context_get",
        title: "Read a conversation",
        about: "Reads a conversation: its state, its settings and its newest messages.",
        fields: || {
            vec![
                text("id", ID).needed(),
                count("messages", 0, "How many of the newest messages, 20 if absent"),
                count("before", 1, "Only messages with a smaller seq, to page back"),
            ]
        },
        scope: Scope::Read,
        destroys: false,
    },
    Tool {
        name: "context_create",
        title: "Begin a conversation",
        about: "Begins a conversation. Everything is optional.",
        fields: || {
            vec![
                text("id", "An id of your choice; made here if absent"),
                text("title", "A name for people"),
                text("system", "Instructions for the model of this conversation"),
                object("state", "Facts of this conversation as JSON"),
            ]
        },
        scope: Scope::Write,
        destroys: false,
    },
    Tool {
        name: "context_send",
        title: "Ask a model within a conversation",
        about: "Sends a message to the conversation's model and returns its answer; both are kept. \
                The model sees what was said before.",
        fields: || {
            vec![
                text("id", "The context's id; it is made if it does not exist").needed(),
                text("message", "What to say").needed(),
                text("model", "Another model than the conversation's, as in model_list"),
            ]
        },
        scope: Scope::Write,
        destroys: false,
    },
    Tool {
        name: "context_append",
        title: "Keep a message",
        about: "Keeps a message in a conversation without asking a model: a note, a decision, what \
                was said elsewhere.",
        fields: || {
            let mut role = text("role", "Who said it; user if absent");
            if let Value::Object(schema) = &mut role.schema {
                schema.insert("enum".to_owned(), json!(["user", "assistant", "system"]));
            }
            let content = text("content", "What was said").needed();
            vec![text("id", ID).needed(), content, role]
        },
        scope: Scope::Write,
        destroys: false,
    },
    Tool {
        name: "context_state",
        title: "Read or change facts",
        about: "Returns the JSON state of a conversation. With `patch` it is changed first, by \
                JSON merge patch: null removes a name.",
        fields: || vec![text("id", ID).needed(), object("patch", "What to change")],
        scope: Scope::Write,
        destroys: false,
    },
    Tool {
        name: "context_fork",
        title: "Branch off",
        about: "Begins a new conversation that shares everything up to a message with this one.",
        fields: || {
            vec![
                text("id", ID).needed(),
                count("at", 1, "The seq of the last shared message; the newest if absent"),
                text("new_id", "The new context's id; made here if absent"),
            ]
        },
        scope: Scope::Write,
        destroys: false,
    },
    Tool {
        name: "context_delete",
        title: "Delete a conversation",
        about: "Deletes a conversation with all its messages for good.",
        fields: || vec![text("id", ID).needed()],
        scope: Scope::Write,
        destroys: true,
    },
    Tool {
        name: "model_list",
        title: "List models",
        about: "Lists the models that can answer here, with their providers and windows.",
        fields: Vec::new,
        scope: Scope::Read,
        destroys: false,
    },
];

/// The definitions, as `tools/list` shows them.
pub(super) fn list(who: &Who) -> Vec<Value> {
    all()
        .filter(|tool| tool.name != models::ASK || models::is_allowed(who))
        .filter(|tool| who.gate.joined().may(&who.seer, tool.name))
        .map(|tool| {
            let reads = matches!(tool.scope, Scope::Read);
            let asks = ["context_send", models::ASK].contains(&tool.name);
            json!({
                "name": tool.name, "title": tool.title, "description": tool.about,
                "inputSchema": input((tool.fields)()),
                "annotations": {"title": tool.title, "readOnlyHint": reads,
                                "destructiveHint": tool.destroys, "idempotentHint": reads,
                                "openWorldHint": asks},
            })
        })
        .collect()
}

/// The names of all.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    all().map(|tool| tool.name)
}

fn all() -> impl Iterator<Item = &'static Tool> {
    TOOLS.iter().chain(find::TOOLS).chain(models::TOOLS)
}

/// Whether this is one of them, and the caller may see it.
pub(super) fn is(who: &Who, name: &str) -> bool {
    let is_there = name != models::ASK || models::is_allowed(who);
    is_there && names().any(|known| known == name) && who.gate.joined().may(&who.seer, name)
}

/// Runs a tool. What goes wrong inside is a result that the model reads.
pub(super) async fn call(ask: &Asking<Who>, params: &Map<String, Value>) -> Result<Value, Refusal> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some(tool) = all().find(|tool| tool.name == name) else {
        return Err(super::no_tool(name));
    };
    let empty = Map::new();
    let given = params.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
    let outcome = match check(tool, given).and_then(|()| ask.caller.caller.must(tool.scope)) {
        Ok(()) => run(ask, tool.name, given).await,
        Err(fault) => Err(fault),
    };
    Ok(match outcome {
        Ok(value) => {
            let text = serde_json::to_string_pretty(&value).unwrap_or_default();
            json!({"content": [{"type": "text", "text": text}], "structuredContent": value,
                   "isError": false})
        }
        Err(fault) => {
            let text = match fault.hint_text() {
                Some(hint) => format!("{}: {} ({hint})", fault.code().as_str(), fault.text()),
                None => format!("{}: {}", fault.code().as_str(), fault.text()),
            };
            json!({"content": [{"type": "text", "text": text}], "isError": true})
        }
    })
}

/// Holds what was given against the tool's schema.
fn check(tool: &Tool, given: &Map<String, Value>) -> Result<(), Fault> {
    let fields = (tool.fields)();
    let known = || fields.iter().map(|f| f.name).collect::<Vec<_>>().join("`, `");
    if let Some(name) = given.keys().find(|name| fields.iter().all(|f| f.name != name.as_str())) {
        let text = format!("`{name}` is no argument of `{}`", tool.name);
        return Err(Fault::new(Code::InvalidInput, text).hint(format!("it has `{}`", known())));
    }
    for field in &fields {
        let kind = field.schema.get("type").and_then(Value::as_str).unwrap_or_default();
        let fits = match given.get(field.name) {
            None | Some(Value::Null) if field.required => {
                let text = format!("`{}` is required", field.name);
                return Err(Fault::new(Code::MissingField, text));
            }
            None | Some(Value::Null) => true,
            Some(value) => match kind {
                "integer" => value.is_u64(),
                "object" => value.is_object(),
                _ => value.is_string(),
            },
        };
        if !fits {
            let text = format!("`{}` must be of type `{kind}`", field.name);
            return Err(Fault::new(Code::InvalidInput, text));
        }
    }
    Ok(())
}

async fn run(ask: &Asking<Who>, name: &str, given: &Map<String, Value>) -> Result<Value, Fault> {
    let (gate, caller) = (&ask.caller.gate, &ask.caller.caller);
    let contexts = gate.contexts();
    let field = |name: &str| given.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let key = || read::key(caller, given.get("id").and_then(Value::as_str).unwrap_or_default());
    let shaped = |found: &context::Context| crate::surface::native::contexts::shaped(gate, found);
    match name {
        "context_list" => {
            let limit = number(given, "limit").unwrap_or(20).clamp(1, 500);
            let filter = Filter {
                limit,
                cursor: field("cursor"),
                title_contains: field("title"),
                ..Filter::default()
            };
            let page = contexts.list(caller.tenant, filter).await?;
            let rows: Vec<Value> = page.items.iter().map(shaped).collect();
            Ok(json!({"contexts": rows, "next_cursor": page.next}))
        }
        "context_get" => get(ask, &key()?, given).await,
        "context_create" => {
            let state = given.get("state").and_then(Value::as_object).cloned();
            let new = New {
                id: field("id"),
                title: field("title"),
                system: field("system"),
                state: state.unwrap_or_default(),
                ..New::default()
            };
            let made = contexts.create(caller.tenant, new).await?;
            Ok(shaped(&made))
        }
        "context_send" => send(ask, key()?, given).await,
        "context_append" => {
            let entry = NewEntry {
                role: read::role(&field("role").unwrap_or_else(|| "user".to_owned()))?,
                content: Content::Text(field("content").unwrap_or_default()),
                model: None,
                meta: State::new(),
            };
            let key = key()?;
            let (_, stored) = contexts.append(&key, vec![entry], None, None).await?;
            Ok(json!({"messages": stored.iter().map(shape::message).collect::<Vec<_>>()}))
        }
        "context_state" => state(ask, &key()?, given).await,
        "context_fork" => {
            let at = given.get("at").and_then(Value::as_u64);
            let new = New { id: field("new_id"), ..New::default() };
            let made = contexts.fork(&key()?, at, new).await?;
            Ok(shaped(&made))
        }
        "context_delete" => {
            let key = key()?;
            contexts.delete(&key).await?;
            gate.mcp().changed(mcp::server::Change::Resources);
            Ok(json!({"deleted": &*key.id}))
        }
        models::ASK => Box::pin(models::ask(&ask.caller, given)).await,
        "model_list" => {
            let limit = &ask.caller.caller.models;
            Ok(json!({"models": auth::shown_models(limit, &gate.now())}))
        }
        name => match find::run(&ask.caller, (name, key()), given).await {
            Some(outcome) => outcome,
            None => Err(Fault::internal("a tool without a body")),
        },
    }
}

async fn get(
    ask: &Asking<Who>,
    key: &context::Key,
    given: &Map<String, Value>,
) -> Result<Value, Fault> {
    let gate = &ask.caller.gate;
    let found = gate.contexts().get(key).await?;
    let wanted = number(given, "messages").unwrap_or(20).min(500);
    let mut value = crate::surface::native::contexts::shaped(gate, &found);
    if wanted > 0 {
        let before = number(given, "before");
        let slice = Slice { limit: wanted, last: Some(wanted), before, ..Slice::default() };
        let page = gate.contexts().messages(key, slice).await?;
        let messages: Vec<Value> = page.items.iter().map(shape::message).collect();
        if let Value::Object(map) = &mut value {
            map.insert("messages".to_owned(), messages.into());
        }
    }
    Ok(value)
}

async fn send(
    ask: &Asking<Who>,
    key: context::Key,
    given: &Map<String, Value>,
) -> Result<Value, Fault> {
    let text = |name: &str| given.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let turn = Ask {
        key,
        create: true,
        before: Vec::new(),
        content: Content::Text(text("message").unwrap_or_default()),
        state: None,
        remember_last: false,
        door: Door::Context,
        overrides: Overrides { model: text("model"), ..Overrides::default() },
        idem: None,
        expect: None,
        envelope: Envelope::of(&ask.caller.caller),
        meta: context::Map::new(),
    };
    let answered = flow::turn(&ask.caller.gate, turn, None).await?;
    Ok(shape::turn(&answered))
}

async fn state(
    ask: &Asking<Who>,
    key: &context::Key,
    given: &Map<String, Value>,
) -> Result<Value, Fault> {
    let contexts = ask.caller.gate.contexts();
    let found = match given.get("patch").and_then(Value::as_object) {
        None => contexts.get(key).await?,
        Some(patch) => {
            let state = Some(StateEdit::MergePatch(patch.clone()));
            let edit = context::Edit { state, ..context::Edit::default() };
            contexts.edit(key, edit, None).await?
        }
    };
    Ok(json!({"id": &*found.id, "state": found.state, "revision": found.revision}))
}

fn number(given: &Map<String, Value>, name: &str) -> Option<u32> {
    let number = given.get(name).and_then(Value::as_u64)?;
    Some(u32::try_from(number).unwrap_or(u32::MAX))
}
