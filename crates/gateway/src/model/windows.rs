//! How many tokens known models can take: data, for when nobody says better.

/// The window of a model we know nothing about.
pub const WINDOW_DEFAULT: u32 = 128_000;

/// Names begin with these; the longest that fits counts.
const WINDOWS: &[(&str, u32)] = &[
    ("chatgpt-4o", 128_000),
    ("claude-3", 200_000),
    ("claude-fable-5", 1_000_000),
    ("claude-haiku-4-5", 200_000),
    ("claude-haiku-5-5", 1_000_000),
    ("claude-mythos-5", 1_000_000),
    ("claude-opus-4", 200_000),
    ("claude-opus-4-6", 1_000_000),
    ("claude-opus-4-7", 1_000_000),
    ("claude-opus-4-8", 1_000_000),
    ("claude-opus-5", 1_000_000),
    ("claude-sonnet-4", 200_000),
    ("claude-sonnet-4-6", 1_000_000),
    ("claude-sonnet-5", 1_000_000),
    ("gpt-3.5-turbo", 16_385),
    ("gpt-4", 8_192),
    ("gpt-4-turbo", 128_000),
    ("gpt-4.1", 1_047_576),
    ("gpt-4o", 128_000),
    ("gpt-5", 400_000),
    ("gpt-5.4-mini", 272_000),
    ("gpt-5.5", 1_050_000),
    ("gpt-6", 922_000),
    ("o1", 200_000),
    ("o3", 200_000),
    ("o4-mini", 200_000),
];

/// The tokens that a model of this name can take.
#[must_use]
pub fn window_tokens(model: &str) -> u32 {
    // Resellers name models `anthropic/claude-…`.
    let model = model.rsplit_once('/').map_or(model, |(_, last)| last);
    WINDOWS
        .iter()
        .filter(|(prefix, _)| model.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map_or(WINDOW_DEFAULT, |(_, tokens)| *tokens)
}
