//! The table is sound, names find their rows, and every golden cost is met to the millionth.

use std::collections::HashSet;

use serde_json::Value;
use wire::reply::Usage;

use super::*;

fn table() -> Prices {
    Prices::read(include_str!("prices.toml")).unwrap()
}

fn found(provider: &str, model: &str) -> Option<String> {
    Prices::embedded().find(provider, model).map(|row| row.id.clone())
}

#[test]
fn the_embedded_table_has_no_row_twice_and_only_plausible_figures() {
    let table = table();
    assert!(table.models().len() >= 100, "{} models", table.models().len());
    let mut seen = HashSet::new();
    for row in table.models() {
        let name = format!("{}/{}", row.provider, row.id);
        assert!(seen.insert(name.clone()), "`{name}` stands there twice");
        for other in &row.also {
            assert!(seen.insert(format!("{}/{other}", row.provider)), "`{other}` is there twice");
        }
        if let Some(window) = row.window {
            assert!((256..=20_000_000).contains(&window), "the window of `{name}`");
            assert!(row.output.is_none_or(|output| output <= window), "the output of `{name}`");
        }
        let star = row.provider == "*" || row.id.ends_with('*');
        assert!(!star || row.usd == Rates::default(), "`{name}` has the price of nobody");
        let hour = row.usd.cache_write_1h;
        assert!(hour.is_none() || row.usd.cache_write.is_some(), "`{name}`");
        for rates in std::iter::once(&row.usd).chain(row.tiers.iter().map(|tier| &tier.usd)) {
            let input = rates.input.unwrap_or_default();
            assert!(rates.cache_read.is_none_or(|read| read <= input), "reads of `{name}`");
            assert!(rates.cache_write.is_none_or(|write| input <= write), "writes of `{name}`");
            let hour = rates.cache_write_1h;
            assert!(hour.is_none() || hour >= rates.cache_write, "writes of `{name}`");
        }
        for tier in &row.tiers {
            assert!(tier.usd.input > row.usd.input, "a tier of `{name}` is no dearer");
        }
    }
}

#[test]
fn a_name_finds_its_row_its_family_and_its_snapshots() {
    let anthropic = |model: &str| found("anthropic", model);
    assert_eq!(anthropic("claude-opus-4-5").as_deref(), Some("claude-opus-4-5"));
    assert_eq!(anthropic("claude-opus-4-5-20251101").as_deref(), Some("claude-opus-4-5"));
    assert_eq!(anthropic("claude-opus-4-5@20251101").as_deref(), Some("claude-opus-4-5"));
    assert_eq!(anthropic("claude-opus-4-20250514").as_deref(), Some("claude-opus-4"));
    assert_eq!(anthropic("claude-opus-5").as_deref(), Some("claude-opus-5"));
    assert_eq!(anthropic("claude-3-opus-20240229").as_deref(), Some("claude-3*"));
    assert_eq!(anthropic("us.claude-opus-5").as_deref(), Some("claude-opus-5"));
    assert_eq!(anthropic("claude-opus-9").as_deref(), None, "a sibling is not a snapshot");
    assert_eq!(anthropic("claude-opus-4-9").as_deref(), Some("claude-opus-4*"));
    assert_eq!(anthropic("gpt-5.5").as_deref(), None, "prices belong to their provider");
}

#[test]
fn a_window_is_known_wherever_the_model_runs() {
    let window = |provider: &str, model: &str| Prices::embedded().window_tokens(provider, model);
    assert_eq!(window("openrouter", "anthropic/claude-opus-5"), Some(1_000_000));
    assert_eq!(window("mine", "claude-haiku-4-5"), Some(200_000));
    assert_eq!(window("mine", "no-such-model"), None);
    for (model, tokens) in [
        ("claude-sonnet-4-5-20250929", 200_000),
        ("claude-opus-4-6", 1_000_000),
        ("anthropic/claude-sonnet-5-5", 1_000_000),
        ("gpt-4", 8_192),
        ("gpt-4o-mini", 128_000),
        ("gpt-5.5", 1_050_000),
    ] {
        assert_eq!(window("openai", model), Some(tokens), "{model}");
    }
}

#[test]
fn an_override_replaces_adds_and_refuses_with_the_line() {
    let mut prices = table();
    let before = prices.models().len();
    let text = "[[model]]\nid = \"claude-opus-5\"\n\
                provider = \"anthropic\"\n\
                usd = { input = 1.5 }\n[[model]]\nid = \"own\"\n\
                provider = \"mine\"\nwindow = 4096\n";
    prices.merge(text).unwrap();
    assert_eq!(prices.models().len(), before + 1);
    let row = prices.find("anthropic", "claude-opus-5").unwrap();
    assert_eq!(row.usd.input, Some(Rate::new(1_500_000)));
    assert_eq!(row.usd.output, None, "a row is replaced as a whole");

    let wrong = |text: &str| Prices::default().merge(text).unwrap_err().text().to_owned();
    assert!(wrong("[[model]]\nid = \"a\"\nprovider = \"b\"\nprice = 1\n").contains("line 4"));
    assert!(wrong("[[model]]\nid=\"a\"\nprovider=\"b\"\nusd={input=-1}\n").contains("`-1`"));
    assert!(wrong("[[model]]\nid=\"a\"\nprovider=\"b\"\nbatch=200\n").contains("`a` of `b`"));
    let tiers = "tiers=[{above=9,usd={}},{above=9,usd={}}]";
    assert!(wrong(&format!("[[model]]\nid=\"a\"\nprovider=\"b\"\n{tiers}\n")).contains("tiers"));
}

#[test]
fn rates_print_without_idle_zeros() {
    assert_eq!(Rate::new(2_500_000).to_string(), "2.5");
    assert_eq!(Rate::new(10_000_000).to_string(), "10");
    assert_eq!(Rate::new(37_500).to_string(), "0.0375");
}

fn count(case: &Value, name: &str) -> u64 {
    case.get(name).and_then(Value::as_u64).unwrap_or(0)
}

#[test]
fn every_golden_cost_is_met() {
    let cases: Value = serde_json::from_str(include_str!("../tests/costs.json")).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 60, "there are only {} golden costs", cases.len());
    for case in cases {
        let (provider, model) = case["model"].as_str().unwrap().split_once('/').unwrap();
        let row = table().find(provider, model).cloned().expect(model);
        let usage = Usage {
            input: count(case, "input"),
            output: count(case, "output"),
            cache_read: count(case, "cache_read"),
            cache_write: count(case, "cache_write"),
            ..Usage::default()
        };
        let terms = Terms {
            cache: if case.get("hour").is_some() { CacheTtl::Hour } else { CacheTtl::Short },
            batch: case.get("batch").is_some(),
        };
        let cost = cost(&row, &usage, terms);
        let wanted = case["micro_usd"].as_u64();
        assert_eq!(cost.map(|cost| cost.micro_usd), wanted, "{case}");
        let bound = case.get("upper_bound").is_some();
        assert_eq!(cost.is_some_and(|cost| cost.is_upper_bound), bound, "{case}");
    }
}

#[test]
fn parts_add_up_to_the_total_and_nothing_overflows() {
    let table = table();
    let row = table.find("anthropic", "claude-opus-5").unwrap();
    let usage = Usage { input: 3, output: 5, cache_read: 7, cache_write: 11, thinking: 2 };
    let sum = cost(row, &usage, Terms::default()).unwrap();
    let parts = sum.input_nano_usd
        + sum.output_nano_usd
        + sum.cache_read_nano_usd
        + sum.cache_write_nano_usd;
    assert_eq!(parts, 212_250);
    assert_eq!(sum.micro_usd, 212);
    let usage = Usage { input: u64::MAX, output: u64::MAX, ..usage };
    assert_eq!(cost(row, &usage, Terms::default()).unwrap().micro_usd, u64::MAX);
}
