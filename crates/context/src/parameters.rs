//! The fields of model APIs that settings may carry by their own names.

use serde_json::{Value, json};
use wire::{Code, Fault};

use crate::Map;

/// Where fields of a model's API stand that nobody here has heard of.
pub(crate) const PARAMETERS: &str = "parameters";

/// What settings decide themselves.
const OWN: &[&str] = &[
    "model",
    "max_tokens",
    "temperature",
    "top_p",
    "stop",
    "durability",
    "when_busy",
    "on_hang_up",
    "window_tokens",
    "window",
    "redact",
    "tools",
    PARAMETERS,
];

/// Fields of the APIs of OpenAI, Anthropic, Google, Ollama, Cohere, Mistral and of those that speak
/// like them.
#[rustfmt::skip]
const KNOWN: &[&str] = &[
    "audio", "background", "betas", "cache_control", "cachedContent", "candidateCount",
    "chat_template_kwargs", "citation_options", "compaction", "container", "context_management",
    "conversation", "diagnostics", "documents", "extra_body", "fallbacks", "format",
    "frequency_penalty", "frequencyPenalty", "function_call", "functions", "generationConfig",
    "grammar", "guided_json", "guided_regex", "image_config", "include", "inference_geo",
    "instructions", "k", "keep_alive", "labels", "logit_bias", "logprobs", "max_completion_tokens",
    "max_output_tokens", "max_tool_calls", "mcp_servers", "metadata", "min_p", "min_tokens",
    "mirostat", "mirostat_eta", "mirostat_tau", "modalities", "models", "n", "num_ctx",
    "num_predict", "options", "output_config", "p", "parallel_tool_calls", "plugins", "prediction",
    "presence_penalty", "presencePenalty", "previous_response_id", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "prompt_mode", "provider", "random_seed",
    "raw", "reasoning", "reasoning_effort", "reasoning_format", "repeat_last_n", "repeat_penalty",
    "repetition_penalty", "response_format", "responseMimeType", "responseSchema", "route",
    "safe_prompt", "safetySettings", "safety_identifier", "safety_mode", "search_parameters",
    "seed", "service_tier", "speed", "stop_sequences", "stop_token_ids", "store", "stream_options",
    "strict_tools", "suffix", "template", "text", "think", "thinking", "thinkingConfig", "thread",
    "tool_choice", "tool_config", "toolConfig", "top_a", "top_k", "topK", "top_logprobs",
    "transforms", "truncate", "truncation", "typical_p", "user", "verbosity", "web_search_options",
];

/// What a context has beside its settings.
const BESIDE: &[&str] =
    &["system", "state", "metadata", "title", "messages", "expires_in_seconds", "idle_seconds"];

/// Refuses names that are neither settings nor fields of a model's API: a slip would go to the
/// model unseen, and what was meant would not happen. A `null` may have any name, so that what was
/// stored can be taken back.
///
/// # Errors
/// `invalid_input` that names the field and the nearest right one.
pub(crate) fn check(given: &Map) -> Result<(), Fault> {
    for (name, value) in given {
        if name == PARAMETERS && !(value.is_object() || value.is_null()) {
            let text = "`settings.parameters` must be an object";
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("it holds fields of the model's own API by their names")
                .details(json!({"field": "settings.parameters", "expected": "an object"})));
        }
        let names = || OWN.iter().chain(KNOWN).copied();
        if value.is_null() || names().any(|known| known == name) {
            continue;
        }
        if BESIDE.contains(&name.as_str()) {
            return Err(beside(name));
        }
        return Err(unknown(name, wire::nearest(name, names())));
    }
    Ok(())
}

/// The refusal of what stands beside the settings, and not in them.
fn beside(name: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("`settings.{name}` is not a setting"))
        .hint(format!("write `{name}` beside `settings`, not in it"))
        .details(json!({"field": format!("settings.{name}"), "nearest": name}))
}

fn unknown(name: &str, nearest: Option<&str>) -> Fault {
    let shown: String = name.chars().take(80).collect();
    let shown = shown.escape_debug();
    let meant = nearest.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let hint =
        format!("{meant}A field that only the model's API knows goes into `settings.parameters`");
    Fault::new(Code::InvalidInput, format!("`settings.{shown}` is not known"))
        .hint(hint)
        .details(json!({"field": format!("settings.{shown}"), "nearest": nearest}))
}

/// The fields that go to the model: those with known names, and those in `parameters`.
#[must_use]
pub fn for_model(extra: &Map) -> Map {
    let mut out = extra.clone();
    if let Some(Value::Object(own)) = out.shift_remove(PARAMETERS) {
        out.extend(own);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: &Value) -> Map {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        for (name, near) in [
            ("redct", "redact"),
            ("windw", "window"),
            ("temprature", "temperature"),
            ("when_bussy", "when_busy"),
            ("reasoning_efort", "reasoning_effort"),
            ("Model", "model"),
        ] {
            let fault = check(&map(&json!({name: "x"}))).unwrap_err();
            assert_eq!(fault.text(), format!("`settings.{name}` is not known"));
            assert!(fault.hint_text().unwrap().contains(&format!("`{near}`")), "{fault:?}");
            assert_eq!(fault.detail_values().unwrap()["field"], format!("settings.{name}"));
        }
        let beside = check(&map(&json!({"system": "be brief"}))).unwrap_err();
        assert_eq!(beside.hint_text(), Some("write `system` beside `settings`, not in it"));
        let far = check(&map(&json!({"completely_else": 1}))).unwrap_err();
        assert!(far.hint_text().unwrap().starts_with("A field"), "{far:?}");
    }

    #[test]
    fn what_is_known_deleted_or_set_apart_passes() {
        let good = json!({"model": "m", "seed": 1, "thinking": {}, "old_nonsense": null,
                          "parameters": {"brand_new": [1]}});
        check(&map(&good)).unwrap();
        let told = for_model(&map(&json!({"seed": 1, "parameters": {"brand_new": [1]}})));
        assert_eq!(told, map(&json!({"seed": 1, "brand_new": [1]})));
        assert!(check(&map(&json!({"parameters": 5}))).is_err());
    }
}
