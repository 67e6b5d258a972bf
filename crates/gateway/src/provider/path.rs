//! Where a request goes below a base URL, by the custom of each dialect.

/// The path of a request from the path of the base URL and the dialect's own.
///
/// In the OpenAI family base URLs end in `/v1`, and a bare host means that too. Elsewhere the
/// dialect's path names the version, and a base URL may end in it all the same.
#[must_use]
pub(super) fn join(dialect: &str, base: &str, path: &str) -> String {
    if dialect.starts_with("openai") {
        let below = path.strip_prefix("/v1").unwrap_or(path);
        return if base.is_empty() { format!("/v1{below}") } else { format!("{base}{below}") };
    }
    let version = path.split('/').nth(1).unwrap_or_default();
    let doubled = |end: &str| {
        base.strip_suffix(end).and_then(|base| base.strip_suffix('/')).filter(|_| !end.is_empty())
    };
    // Ollama's OpenAI-compatible API lies beside its own.
    let beside = if dialect.starts_with("ollama") { doubled("v1") } else { None };
    format!("{}{path}", doubled(version).or(beside).unwrap_or(base))
}

/// Where a server of this dialect lists its models: a request that costs nothing.
#[must_use]
pub fn models(dialect: &str) -> &'static str {
    match dialect {
        name if name.starts_with("gemini") => "/v1beta/models",
        name if name.starts_with("ollama") => "/api/tags",
        _ => "/v1/models",
    }
}
