//! `POST exchanges/N/replay`: sends an exchange again, to its server or another.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Shared;
use crate::capture::Exchange;
use crate::replay;

/// What may stand in the body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// The server; without it, the one that everything goes to.
    #[serde(default)]
    to: Option<String>,
    /// Headers to set; an empty value takes one away.
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Sends it, and gives the number under which it stands in the book once it is over.
///
/// # Errors
/// When the body is none, or the exchange is nothing that can be sent again.
pub(super) async fn again(
    shared: &Shared,
    exchange: &Exchange,
    body: &[u8],
) -> Result<u64, String> {
    let wish: Wish = if body.trim_ascii().is_empty() {
        Wish::default()
    } else {
        serde_json::from_slice(body).map_err(|cause| {
            format!(
                "the body must be empty or JSON: {{\"to\": \"localhost:3000\", \"headers\": \
                 {{\"Authorization\": \"Bearer KEY\"}}}}: {cause}"
            )
        })?
    };
    let target = match &wish.to {
        Some(text) => shared.targets.read(text)?,
        None => shared.target.clone(),
    };
    if let Some((name, _)) = wish.headers.iter().find(|(name, value)| !is_header(name, value)) {
        return Err(format!("`{name}` is no header with a value of one line"));
    }
    let headers: Vec<(String, String)> = wish.headers.into_iter().collect();
    replay::replay_with(exchange, &target, &shared.book, &headers).await
}

fn is_header(name: &str, value: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_word) && !value.contains(['\r', '\n', '\0'])
}
