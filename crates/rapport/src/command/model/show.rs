//! `rapport model show`: everything that is known of one model.

use gateway::model::{Door, Models, Price, Target, nearest};
use serde_json::{Value, json};

use super::super::Frame;
use super::tokens;
use crate::config::Loaded;
use crate::print::Exit;

/// Shows where a name leads and what is known of it there.
pub(super) fn run(
    frame: &mut Frame,
    loaded: &Loaded,
    models: &Models,
    name: &str,
) -> anyhow::Result<Exit> {
    let prices = &loaded.config.gateway.prices;
    let (value, rest) = match models.resolve(Some(name), Door::Context) {
        Ok(Target::Offline(model)) => {
            (json!({"name": model.name(), "provider": "offline", "configured": true}), None)
        }
        Ok(Target::Upstream(upstream)) => {
            let mut value = prices
                .likely(upstream.provider(), upstream.model())
                .map_or_else(|| json!({}), known);
            let own = upstream.known().and_then(Price::of);
            set(&mut value, "name", json!(upstream.model()));
            set(&mut value, "provider", json!(upstream.provider()));
            set(&mut value, "dialect", json!(upstream.dialect().name()));
            set(&mut value, "window_tokens", json!(upstream.window_tokens()));
            set(&mut value, "price", json!(own));
            set(&mut value, "configured", json!(true));
            (value, None)
        }
        Err(fault) => {
            let (provider, model) = name.split_once('/').unwrap_or(("", name));
            // A family is no model: a name that only fits its pattern may be a slip.
            let row = prices.likely(provider, model).filter(|row| !row.id.ends_with('*'));
            let Some(row) = row else {
                let known = prices.models().iter().map(|row| row.id.trim_end_matches('*'));
                let near = nearest(name, known).map(|near| format!("did you mean `{near}`?"));
                return Err(match near {
                    Some(near) => fault.hint(near).into(),
                    None => fault.into(),
                });
            };
            let mut value = known(row);
            set(&mut value, "configured", json!(false));
            (value, Some(fault))
        }
    };
    if frame.printer.is_json() {
        frame.printer.json(&value)?;
        return Ok(Exit::Fine);
    }
    for (title, text) in lines(&value) {
        frame.printer.line(&format!("{title:<12} {text}"));
    }
    if let Some(fault) = rest {
        frame.printer.hint(&format!(
            "it is known but not configured: {}",
            fault.hint_text().unwrap_or(fault.text())
        ));
    }
    Ok(Exit::Fine)
}

fn set(value: &mut Value, name: &str, to: Value) {
    if let Some(members) = value.as_object_mut() {
        members.insert(name.to_owned(), to);
    }
}

/// A row of the table as an answer.
pub(super) fn known(row: &ledger::Model) -> Value {
    let can: Vec<&str> = row.can.iter().map(|can| can.as_str()).collect();
    json!({
        "name": row.id, "provider": row.provider, "also": row.also,
        "window_tokens": row.window, "output_tokens": row.output,
        "capabilities": can, "price": Price::of(row),
    })
}

/// What is known, in lines with a title each.
fn lines(value: &Value) -> Vec<(&'static str, String)> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
    let count = |name: &str| value.get(name).and_then(Value::as_u64).map(tokens);
    let usd = |name: &str| value.pointer(&format!("/price/{name}")).and_then(Value::as_f64);
    let listed = |name: &str| {
        let items = value.get(name)?.as_array()?.iter().filter_map(Value::as_str);
        Some(items.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    let price = || {
        let parts = [
            ("input", "in"),
            ("output", "out"),
            ("cache_read", "cache read"),
            ("cache_write", "cache write"),
            ("cache_write_1h", "cache write 1h"),
        ];
        let parts = parts.iter().filter_map(|(name, word)| Some(format!("{} {word}", usd(name)?)));
        Some(parts.collect::<Vec<_>>().join(" · ")).filter(|text| !text.is_empty())
    };
    let cliff = value.pointer("/price/dearer_above_tokens").and_then(Value::as_u64);
    let all = [
        ("model", text("name")),
        ("provider", text("provider")),
        ("dialect", text("dialect")),
        ("also", listed("also")),
        ("window", count("window_tokens")),
        ("output", count("output_tokens")),
        ("can", listed("capabilities")),
        ("$/M tokens", price().or_else(|| Some("not known".to_owned()))),
        ("dearer", cliff.map(|above| format!("above {} prompt tokens", tokens(above)))),
    ];
    all.into_iter().filter_map(|(title, text)| Some((title, text?))).collect()
}
