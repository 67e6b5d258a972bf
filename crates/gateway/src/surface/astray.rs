//! Paths that lead nowhere, and the one that was meant: base URLs are written with and without the
//! `/v1` that clients add, or do not add, themselves.

use http::Uri;
use wire::{Code, Fault};

use super::problem::Failed;

/// Limit: characters of a path that are repeated.
const SHOWN_CHARS_MAX: usize = 200;

/// What stands behind `/v1` in the paths of the model APIs.
const BEHIND: &[&str] = &[
    "/chat/completions",
    "/completions",
    "/responses",
    "/conversations",
    "/embeddings",
    "/models",
    "/messages",
    "/moderations",
    "/images/",
    "/audio/",
    "/files",
    "/batches",
    "/rerank",
];

/// What begins a path of its own, with nothing before it.
const FIRST: &[&str] = &["/v1/", "/v1beta/", "/v2/", "/api/", "/mcp", "/health"];

/// Answers where nothing is served.
pub(super) async fn nothing_here(uri: Uri) -> Failed {
    let path = uri.path();
    let shown: String = path.chars().take(SHOWN_CHARS_MAX).collect();
    let hint = match meant(path) {
        Some((meant, base)) => {
            let meant: String = meant.chars().take(SHOWN_CHARS_MAX).collect();
            format!("did you mean `{meant}`? Then {base}")
        }
        None => "the paths are listed at /openapi.json and /docs".to_owned(),
    };
    Fault::new(Code::NotFound, format!("nothing is served at `{shown}`")).hint(hint).into()
}

/// The path that was meant, and what becomes of the client's base URL.
fn meant(path: &str) -> Option<(String, &'static str)> {
    for prefix in ["/v1", "/v1beta", "/v2"] {
        if let Some(rest) = path.strip_prefix(prefix)
            && FIRST.iter().any(|first| rest.starts_with(first))
        {
            return Some((
                rest.to_owned(),
                "take what comes before it off the base URL: this client adds it itself",
            ));
        }
    }
    let is_behind = BEHIND.iter().any(|behind| path.starts_with(behind));
    is_behind.then(|| (format!("/v1{path}"), "end the base URL in `/v1`"))
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn a_base_url_with_too_much_or_too_little_is_seen() {
        for (path, wanted) in [
            ("/v1/v1/messages", Some("/v1/messages")),
            ("/v1/api/chat", Some("/api/chat")),
            ("/v1beta/v1beta/models/a:generateContent", Some("/v1beta/models/a:generateContent")),
            ("/v1/v2/chat", Some("/v2/chat")),
            ("/chat/completions", Some("/v1/chat/completions")),
            ("/models", Some("/v1/models")),
            ("/v1/realtime", None),
            ("/v1", None),
            ("/nothing", None),
            ("/", None),
        ] {
            assert_eq!(meant(path).map(|(path, _)| path).as_deref(), wanted, "{path}");
        }
    }
}
