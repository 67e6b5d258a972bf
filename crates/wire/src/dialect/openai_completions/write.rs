//! Writes requests: the conversation is one text.

use super::NAME;
use crate::dialect::body::{Body, penalties, quoted, report};
use crate::dialect::losses::Losses;
use crate::dialect::transcript;
use crate::prompt::Prompt;

const KNOWN: [&str; 4] = ["seed", "frequency_penalty", "presence_penalty", "user"];

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::new();
    let mut body = Body::begin(&mut out, prompt, NAME);
    body.own().string("model", &prompt.model);
    let (system, messages) = transcript::split(prompt);
    let text = transcript::write(messages, |_| false, losses);
    let text = if system.is_empty() { text } else { format!("{system}\n\n{text}") };
    body.own().string("prompt", &text);
    if !prompt.tools.is_empty() {
        losses.add("tools");
    }
    report(prompt, NAME, &KNOWN, losses);
    let wishes = &prompt.knobs.wishes;
    body.knob("max_tokens", prompt.knobs.max_tokens.map(|count| count.to_string()));
    body.sampling("stop");
    penalties(&mut body, wishes);
    body.knob("user", wishes.user.as_deref().map(quoted));
    if stream {
        body.knob("stream_options", Some(r#"{"include_usage":true}"#.to_owned()));
    }
    body.end(&["model", "prompt", "stream_options"], stream);
    out
}
