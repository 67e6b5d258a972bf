//! What a call that was seen cost: the price table, asked with what the traffic shows.

use gateway::provider::Providers;
use inspect::decode::{Cost, Priced, Prices};
use ledger::Terms;

/// The prices of the table that is part of the program.
pub(super) fn prices() -> Prices {
    Prices::new(of)
}

fn of(call: Priced<'_>) -> Option<Cost> {
    let authority = |url: &str| -> String {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    };
    let target = authority(call.target);
    // A name may say whose model it is: `anthropic/claude-sonnet-5`.
    let (named, bare) = match call.model.split_once('/') {
        Some((provider, model)) => (Some(provider), model),
        None => (None, call.model),
    };
    let rows = Providers::embedded();
    // Whoever is asked says what is paid; a gateway on this machine passes on to the maker.
    let asked = rows.rows().iter().find(|row| authority(&row.base_url) == target);
    let maker = rows.owner(bare).map(|row| row.name.as_str());
    let by_dialect = match call.dialect {
        "anthropic" => Some("anthropic"),
        "gemini" => Some("gemini"),
        "openai_chat" | "openai_responses" | "openai_completions" => Some("openai"),
        _ => None,
    };
    let prices = ledger::Prices::embedded();
    let found = match asked {
        Some(row) => prices.find(&row.name, call.model).or_else(|| prices.find(&row.name, bare)),
        None => [named, maker, by_dialect].into_iter().flatten().find_map(|provider| {
            prices.find(provider, bare).filter(|row| row.provider == provider)
        }),
    };
    let cost = ledger::cost(found?, &call.usage, Terms::default())?;
    Some(Cost { micro_usd: cost.micro_usd, is_upper_bound: cost.is_upper_bound })
}

#[cfg(test)]
mod tests {
    use inspect::decode::Priced;
    use wire::reply::Usage;

    #[track_caller]
    fn check(target: &str, dialect: &str, model: &str, micro_usd: Option<u64>) {
        let usage = Usage { input: 1_000_000, output: 0, ..Usage::default() };
        let cost = super::of(Priced { target, dialect, model, usage });
        assert_eq!(cost.map(|cost| cost.micro_usd), micro_usd, "{target} {model}");
    }

    #[test]
    fn a_price_is_whose_who_was_asked_or_who_made_the_model() {
        let price = |provider: &str, model: &str| {
            let row = ledger::Prices::embedded().find(provider, model).unwrap();
            Some(row.rates(0).input.unwrap().micro_usd_per_million())
        };
        let claude = price("anthropic", "claude-fable-5-1");
        check("https://api.anthropic.com", "anthropic", "claude-fable-5-1", claude);
        check("127.0.0.1:61900", "openai_chat", "claude-fable-5-1", claude);
        check("localhost:61900", "openai_chat", "anthropic/claude-fable-5-1", claude);
        check("127.0.0.1:61900", "anthropic", "demo", None);
        check("https://api.mistral.ai", "openai_chat", "claude-fable-5-1", None);
        check("localhost:11434", "ollama_chat", "qwen3", None);
    }
}
