//! Reads a caller's request.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::NAME;
use crate::dialect::ask::{self, Asked, wrong};
use crate::dialect::fields;
use crate::dialect::judged::Judged;
use crate::fault::Fault;
use crate::prompt::{Message, Role};

/// Reads the body.
pub(super) fn request(body: &Bytes) -> Result<Asked, Fault> {
    let mut asked = Asked::of(NAME);
    let judged = Judged::of(body);
    for (name, raw) in
        ask::body(body, judged.as_ref())?.iter().filter(|(_, raw)| raw.get() != "null")
    {
        field(&mut asked, name, raw)?;
    }
    asked.done(true, "prompt")
}

fn field(asked: &mut Asked, name: &str, raw: &RawValue) -> Result<(), Fault> {
    let knobs = &mut asked.prompt.knobs;
    match name {
        "model" => asked.prompt.model = ask::text(name, raw)?.unwrap_or_default(),
        "prompt" => asked.prompt.messages = vec![Message::text(Role::User, prompt(raw)?)],
        "stream" => asked.stream = ask::flag(name, raw)?.unwrap_or_default(),
        "stream_options" => {
            let options = ask::object(name, raw)?;
            let usage = options.find("include_usage");
            asked.wants_usage = usage.is_some_and(|raw| raw.get() == "true");
        }
        "max_tokens" => knobs.max_tokens = ask::count(name, raw)?,
        "temperature" => knobs.temperature = ask::number(name, raw)?,
        "top_p" => knobs.top_p = ask::number(name, raw)?,
        "stop" => knobs.stop = ask::texts(name, raw)?,
        "seed" => knobs.wishes.seed = ask::value(name, raw, "a whole number")?,
        "frequency_penalty" => knobs.wishes.frequency_penalty = ask::number(name, raw)?,
        "presence_penalty" => knobs.wishes.presence_penalty = ask::number(name, raw)?,
        "user" => knobs.wishes.user = ask::text(name, raw)?,
        "metadata" => asked.metadata(raw),
        // One answer is what every other dialect gives.
        "n" | "best_of" => {
            if ask::count(name, raw)?.unwrap_or(1) > 1 {
                asked.drops(name);
            }
        }
        "echo" if raw.get() == "false" => {}
        "echo" | "suffix" | "logprobs" | "logit_bias" => asked.keep(name, raw),
        _ => asked.unknown(name, raw),
    }
    Ok(())
}

/// One prompt: a text, or a list with a single one.
fn prompt(raw: &RawValue) -> Result<String, Fault> {
    let expected = "a string, or an array of one string";
    if let Some(text) = fields::string(raw) {
        return Ok(text.into_owned());
    }
    match fields::items(raw).as_deref() {
        Some([only]) => {
            let text = fields::string(only).ok_or_else(|| wrong("prompt", expected))?;
            Ok(text.into_owned())
        }
        _ => Err(wrong("prompt", expected)),
    }
}
