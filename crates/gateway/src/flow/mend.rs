//! What is mended on the way to a model, so that no provider refuses a conversation: calls and
//! results without their other half, a beginning that is not the user's, thoughts that are bound to
//! other words. The log keeps what was said.
//!
//! Invariant: what becomes of a message depends on the messages before it and on nothing else, so
//! that what was sent once is sent again with the same bytes.

use serde_json::value::RawValue;
use wire::prompt::{Block, Effort, Message, Prompt, Raw, Role};

/// The dialect whose thoughts are bound to what was said before them.
const BOUND: &str = "anthropic";
/// What the user says where a conversation begins with the model.
const BEGINS: &str = "[The conversation goes on from here.]";

/// What a model is told in place of a result that never came.
const NO_RESULT: &str = "no result: the call was interrupted";

/// Follows the calls of tools through a conversation.
#[derive(Debug, Default)]
pub(super) struct Mender {
    /// Calls without a result, in their order.
    open: Vec<String>,
    /// The results of the newest calls have begun to come.
    answering: bool,
    /// How often something was mended.
    pub(super) count: usize,
}

impl Mender {
    /// Looks at the next message; hands out what has to be said before it: that calls have no
    /// result. A result whose call is not open loses its exact form: the dialect then writes it as
    /// a text that says what it was.
    pub(super) fn follow(&mut self, message: &mut Message) -> Option<Message> {
        match message.role {
            Role::System => None,
            Role::Assistant => {
                let missing = self.missing(&[]);
                self.open = calls(message).map(str::to_owned).collect();
                self.answering = false;
                missing
            }
            Role::User | Role::Tool => self.answered(message),
        }
    }

    /// What has to be said at the end, where only some of the calls were answered.
    pub(super) fn end(&mut self) -> Option<Message> {
        if self.answering { self.missing(&[]) } else { None }
    }

    fn answered(&mut self, message: &mut Message) -> Option<Message> {
        let mut brought: Vec<String> = Vec::new();
        let mut orphans = 0;
        let mut is_only_results = true;
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, .. } => {
                    if self.open.contains(id) && !brought.contains(id) {
                        brought.push(id.clone());
                    } else {
                        orphans += 1;
                    }
                }
                _ => is_only_results = false,
            }
        }
        if orphans > 0 {
            message.raw = None;
            self.count += orphans;
        }
        // Results of one reply belong together: a call waits only while nothing else comes.
        let missing = if is_only_results && orphans == 0 { None } else { self.missing(&brought) };
        self.open.retain(|id| !brought.contains(id));
        self.answering = true;
        missing
    }

    /// Closes the calls that are open, apart from `brought`.
    fn missing(&mut self, brought: &[String]) -> Option<Message> {
        let open = std::mem::take(&mut self.open);
        let (kept, gone): (Vec<_>, Vec<_>) = open.into_iter().partition(|id| brought.contains(id));
        self.open = kept;
        self.count += gone.len();
        let blocks: Vec<Block> = gone
            .into_iter()
            .map(|id| Block::ToolResult { id, content: NO_RESULT.to_owned(), is_error: true })
            .collect();
        (!blocks.is_empty()).then_some(Message { role: Role::Tool, blocks, raw: None })
    }
}

fn calls(message: &Message) -> impl Iterator<Item = &str> {
    message.blocks.iter().filter_map(|block| match block {
        Block::ToolUse { id, .. } => Some(id.as_str()),
        _ => None,
    })
}

/// Puts a line in the place of what tools answered long ago.
pub(super) fn clear_results(message: &mut Message) {
    for block in &mut message.blocks {
        if let Block::ToolResult { content, .. } = block {
            *content = format!("[result of {} bytes, cleared to make room]", content.len());
            message.raw = None;
        }
    }
}

/// What has to be said before a conversation that begins with the model.
pub(super) fn opening(first: Option<&Message>, dialect: &str) -> Option<Message> {
    let wants = matches!(dialect, "anthropic" | "gemini");
    let is_model = first.is_some_and(|message| message.role == Role::Assistant);
    (wants && is_model).then(|| Message::text(Role::User, BEGINS))
}

/// Whether a message says nothing at all; the dialects leave it out.
pub(super) fn is_empty(message: &Message) -> bool {
    let blank = |block: &Block| matches!(block, Block::Text(text) if text.is_blank());
    message.raw.is_none() && message.blocks.iter().all(blank)
}

/// Whether a message holds thoughts that are bound to what was said before.
pub(super) fn is_bound(message: &Message) -> bool {
    let raw = message.raw.as_ref().filter(|raw| &*raw.dialect == BOUND);
    raw.is_some_and(|raw| raw.json.get().contains("thinking"))
        && message.blocks.iter().any(is_thought)
}

fn is_thought(block: &Block) -> bool {
    match block {
        Block::Thinking { .. } => true,
        Block::Other { kind } => kind == "redacted_thinking",
        _ => false,
    }
}

/// The message without its thoughts; every other block keeps its bytes.
pub(super) fn without_thoughts(mut message: Message) -> Message {
    let kept = message.raw.as_ref().and_then(|raw| {
        let list: Vec<&RawValue> = serde_json::from_str(raw.json.get()).ok()?;
        let rest: Vec<&str> = list.into_iter().map(RawValue::get).filter(says).collect();
        RawValue::from_string(format!("[{}]", rest.join(","))).ok()
    });
    message.raw = kept.map(|json| Raw { dialect: BOUND.into(), json });
    message.blocks.retain(|block| !is_thought(block));
    message
}

/// A content with one more text at its end; `None` where it is no list of blocks of this dialect.
pub(super) fn with_text(raw: &Raw, text: &str) -> Option<Raw> {
    let blocks = raw.json.get().trim_end().strip_suffix(']').filter(|_| &*raw.dialect == BOUND)?;
    let comma = if blocks.trim_end().ends_with('[') { "" } else { "," };
    let text = serde_json::Value::from(text);
    let json = format!(r#"{blocks}{comma}{{"type":"text","text":{text}}}]"#);
    Some(Raw { dialect: BOUND.into(), json: RawValue::from_string(json).ok()? })
}

/// Asks for a reply without thoughts: in the middle of a loop of tools a provider wants the thought
/// before the call, and it cannot be sent.
pub(super) fn without_thinking(prompt: &mut Prompt) {
    const FIELD: &str = "thinking";
    prompt.knobs.extra.shift_remove(FIELD);
    if let Some(private) = &mut prompt.private {
        private.fields.retain(|field| field.name != FIELD);
    }
    prompt.knobs.wishes.thinking_tokens = None;
    prompt.knobs.wishes.effort = Some(Effort::Off);
}

/// Whether a block is no thought.
fn says(json: &&str) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind<'k> {
        #[serde(borrow, default)]
        r#type: std::borrow::Cow<'k, str>,
    }
    serde_json::from_str::<Kind<'_>>(json)
        .is_ok_and(|kind| !matches!(&*kind.r#type, "thinking" | "redacted_thinking"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(role: Role, json: &str) -> Message {
        let dialect = wire::dialect::named("anthropic").unwrap();
        let json = RawValue::from_string(json.to_owned()).unwrap();
        dialect.message(role, Raw { dialect: "anthropic".into(), json }).unwrap()
    }

    #[test]
    fn thoughts_go_and_the_rest_keeps_its_bytes() {
        let message = raw(
            Role::Assistant,
            r#"[{"type":"thinking","thinking":"","signature":"s"},{"type":"text", "text":"1.5"}]"#,
        );
        assert!(is_bound(&message));
        let left = without_thoughts(message);
        assert!(!is_bound(&left));
        assert_eq!(left.raw.unwrap().json.get(), r#"[{"type":"text", "text":"1.5"}]"#);
    }

    #[test]
    fn a_result_without_its_call_loses_its_form_and_one_with_it_does_not() {
        let call = r#"[{"type":"tool_use","id":"a","name":"t","input":{}}]"#;
        let result = r#"[{"type":"tool_result","tool_use_id":"a","content":"r"}]"#;
        let mut mender = Mender::default();
        let mut messages = [raw(Role::Assistant, call), raw(Role::User, result)];
        assert!(messages.iter_mut().all(|message| mender.follow(message).is_none()));
        assert!(messages[1].raw.is_some());
        assert_eq!(mender.count, 0);
        // The same result once more answers nothing.
        let mut again = raw(Role::User, result);
        assert!(mender.follow(&mut again).is_none());
        assert!(again.raw.is_none());
        assert_eq!(mender.count, 1);
    }

    #[test]
    fn half_of_the_results_is_made_whole_at_the_end_and_stays_so() {
        let calls = r#"[{"type":"tool_use","id":"a","name":"t","input":{}},
                        {"type":"tool_use","id":"b","name":"t","input":{}}]"#;
        let half = r#"[{"type":"tool_result","tool_use_id":"a","content":"r"}]"#;
        let mut now = Mender::default();
        let mut messages = [raw(Role::Assistant, calls), raw(Role::User, half)];
        assert!(messages.iter_mut().all(|message| now.follow(message).is_none()));
        let at_the_end = now.end().unwrap();
        let mut later = Mender::default();
        assert!(messages.iter_mut().all(|message| later.follow(message).is_none()));
        let before = later.follow(&mut Message::text(Role::Assistant, "well")).unwrap();
        assert_eq!(format!("{before:?}"), format!("{at_the_end:?}"));
        assert!(later.end().is_none());
    }

    #[test]
    fn a_call_that_is_passed_over_is_closed() {
        let mut mender = Mender::default();
        let mut call =
            raw(Role::Assistant, r#"[{"type":"tool_use","id":"a","name":"t","input":{}}]"#);
        assert!(mender.follow(&mut call).is_none());
        let said = mender.follow(&mut Message::text(Role::User, "never mind")).unwrap();
        assert!(matches!(&said.blocks[..], [Block::ToolResult { id, .. }] if id == "a"));
        let mut late =
            raw(Role::User, r#"[{"type":"tool_result","tool_use_id":"a","content":"r"}]"#);
        assert!(mender.follow(&mut late).is_none());
        assert!(late.raw.is_none());
        assert_eq!(mender.count, 2);
    }
}
