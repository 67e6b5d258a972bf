//! `rapport model test`: one small real call, and in one sentence what came of it.

use std::time::Duration;

use gateway::model::{Door, Models, Target, Upstream, nearest};
use ledger::{Prices, Terms};
use serde_json::json;
use tokio::time::Instant;
use wire::Fault;
use wire::prompt::{Knobs, Message, Prompt, Role};
use wire::reply::Reply;

use super::super::{Frame, block_on};
use crate::print::Exit;

/// Limit: tokens of the answer; some models think before they say a word.
const TOKENS_MAX: u32 = 64;

/// Limit: how long a test may take.
const TIME_MAX: Duration = Duration::from_mins(1);

/// Calls the model that a name leads to.
pub(super) fn run(frame: &mut Frame, models: &Models, name: &str) -> anyhow::Result<Exit> {
    let upstream = match models.resolve(Some(name), Door::Context) {
        Ok(Target::Upstream(upstream)) => upstream,
        Ok(Target::Offline(model)) => {
            let text =
                format!("`{}` works: it is part of the program and needs nothing", model.name());
            return tell(frame, &json!({"ok": true, "model": model.name(), "says": text}), &text);
        }
        Err(fault) => return refuse(frame, name, &with_folder(frame, fault)),
    };
    let (outcome, took) = block_on(async {
        let begun = Instant::now();
        let prompt = prompt(upstream.model());
        let outcome = match tokio::time::timeout(TIME_MAX, upstream.send(&prompt)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::new(wire::Code::Timeout, "it did not answer within a minute")
                .hint("ask `rapport doctor` about its address")),
        };
        (outcome, begun.elapsed())
    })?;
    match outcome {
        Ok(reply) => works(frame, &upstream, &reply, took),
        Err(fault) => {
            let fault = with_nearest(models, &upstream, fault);
            refuse(frame, &format!("{}/{}", upstream.provider(), upstream.model()), &fault)
        }
    }
}

fn prompt(model: &str) -> Prompt {
    Prompt {
        model: model.to_owned(),
        system: None,
        system_raw: None,
        messages: vec![Message::text(Role::User, "Answer with the one word: ok")],
        tools: Vec::new(),
        knobs: Knobs { max_tokens: Some(TOKENS_MAX), ..Knobs::default() },
        private: None,
    }
}

/// Says where providers are looked for that a running server was given by its API.
fn with_folder(frame: &Frame, fault: Fault) -> Fault {
    if fault.code() != wire::Code::ModelNotFound || frame.globals.data.is_some() {
        return fault;
    }
    let hint = fault.hint_text().unwrap_or("list the models with `rapport model list`");
    let hint = format!(
        "{hint}; a provider that was added to a running server by its API is found with \
         `--data DIR`, the data folder of that server"
    );
    fault.hint(hint)
}

/// Names the nearest model when the provider does not know this one.
fn with_nearest(models: &Models, upstream: &Upstream, fault: Fault) -> Fault {
    let status = fault.detail_values().and_then(|details| details.get("upstream_status"));
    if status != Some(&json!(404)) {
        return fault;
    }
    let listed = models.list();
    let names = listed.iter().filter(|model| model.provider == upstream.provider());
    let priced = Prices::embedded().models().iter();
    let priced = priced.filter(|row| row.provider == upstream.provider() && !row.id.ends_with('*'));
    let known = names.map(|model| model.name.as_str()).chain(priced.map(|row| row.id.as_str()));
    match nearest(upstream.model(), known.filter(|name| *name != upstream.model())) {
        Some(near) => fault.hint(format!("did you mean `{near}`?")),
        None => fault
            .hint(format!("`rapport provider list` shows where {} is asked", upstream.provider())),
    }
}

fn works(
    frame: &mut Frame,
    upstream: &Upstream,
    reply: &Reply,
    took: Duration,
) -> anyhow::Result<Exit> {
    let usage = reply.usage;
    let cost = upstream.known().and_then(|row| ledger::cost(row, &usage, Terms::default()));
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let price = match cost {
        Some(cost) => format!("{} USD", dollars(cost.micro_usd)),
        None => "the price is not known".to_owned(),
    };
    let answered = if reply.model.is_empty() || reply.model == upstream.model() {
        String::new()
    } else {
        format!(" as `{}`", reply.model)
    };
    let text = format!(
        "`{}/{}` works{answered}: it answered in {milliseconds} ms with {} tokens in and {} out; \
         {price}",
        upstream.provider(),
        upstream.model(),
        usage.prompt(),
        usage.output,
    );
    let value = json!({
        "ok": true, "provider": upstream.provider(), "model": upstream.model(),
        "answered_by": reply.model, "milliseconds": milliseconds,
        "input_tokens": usage.prompt(), "output_tokens": usage.output,
        "micro_usd": cost.map(|cost| cost.micro_usd), "says": text,
    });
    tell(frame, &value, &text)
}

/// Millionths of a dollar as dollars: `0.000125`.
fn dollars(micro_usd: u64) -> String {
    let text = format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn tell(frame: &mut Frame, value: &serde_json::Value, text: &str) -> anyhow::Result<Exit> {
    if frame.printer.is_json() {
        frame.printer.json(value)?;
    } else {
        frame.printer.line(text);
    }
    Ok(Exit::Fine)
}

fn refuse(frame: &mut Frame, name: &str, fault: &Fault) -> anyhow::Result<Exit> {
    let text = format!("`{name}` does not work: {}", fault.text());
    if frame.printer.is_json() {
        frame.printer.json(&json!({
            "ok": false, "model": name, "code": fault.code().as_str(), "says": text,
            "hint": fault.hint_text(),
        }))?;
        return Ok(Exit::Problem);
    }
    frame.printer.error(&text);
    if let Some(hint) = fault.hint_text() {
        frame.printer.hint(hint);
    }
    Ok(Exit::Problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sums_keep_their_digits() {
        assert_eq!(dollars(125), "0.000125");
        assert_eq!(dollars(2_000_000), "2");
        assert_eq!(dollars(0), "0");
    }
}
