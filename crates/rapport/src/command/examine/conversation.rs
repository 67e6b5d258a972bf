//! `rapport doctor CONTEXT`: asks the server for one context and judges it.

use doctor::conversation::{Seen, judge};
use doctor::{Report, Request};
use serde_json::Value;

use crate::command::reach::Reach;
use crate::command::{Frame, block_on};
use crate::remote::{Ask, Class, Failure, PathOf, Server};

/// What ids begin with that other APIs give to conversations.
const MARKS: &[&str] = &["ctx_", "conv_", "resp_", "thread_", "session_", "chatcmpl-"];

/// Limit: how long a server is asked whether a word is the id of a context.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Whether a target is the id of a context and can be no host: ours are UUIDs, and those of other
/// APIs begin with a word of theirs.
pub(super) fn is_id(text: &str) -> bool {
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_word && MARKS.iter().any(|mark| text.len() > mark.len() && text.starts_with(mark)) {
        return true;
    }
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// Judges a target that may be a context or the name of a host, when a server of ours runs and
/// knows it: ids are whatever programs choose.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn perhaps(frame: &mut Frame, request: &Request) -> anyhow::Result<Option<Report>> {
    let Some(text) = request.target.clone() else { return Ok(None) };
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let is_port = text.bytes().all(|b| b.is_ascii_digit());
    if text == "localhost" || !is_word || is_port || std::path::Path::new(&text).exists() {
        return Ok(None);
    }
    let Ok(server) = Reach::plain(request.roots.clone()).server(frame) else { return Ok(None) };
    let known = block_on(async {
        let path = PathOf::new("/api/v1/contexts").then(&text);
        let asked = tokio::time::timeout(PATIENCE, server.json(&Ask::get(path))).await;
        asked.is_ok_and(|reply| reply.is_ok())
    })?;
    if !known {
        return Ok(None);
    }
    Ok(match look(frame, request, &text)? {
        Outcome::Judged(report) => Some(*report),
        Outcome::NoServer(_) | Outcome::Failed(_) => None,
    })
}

/// What a look at a context came to.
pub(super) enum Outcome {
    Judged(Box<Report>),
    /// Its server could not be asked: this is its address.
    NoServer(String),
    Failed(Failure),
}

/// Asks the server that the commands would use.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn look(frame: &mut Frame, request: &Request, id: &str) -> anyhow::Result<Outcome> {
    let server = match Reach::plain(request.roots.clone()).server(frame) {
        Ok(server) => server,
        Err(failure) => return Ok(Outcome::Failed(failure)),
    };
    block_on(async {
        match asked(&server, id).await {
            Ok(report) => Outcome::Judged(Box::new(report)),
            Err(failure) => match failure.class() {
                Class::Refused | Class::Timeout | Class::Unreachable | Class::Unresolved => {
                    Outcome::NoServer(server.address().to_string())
                }
                _ => Outcome::Failed(failure),
            },
        }
    })
}

async fn asked(server: &Server, id: &str) -> Result<Report, Failure> {
    let path = || PathOf::new("/api/v1/contexts").then(id);
    let context = match server.json(&Ask::get(path())).await {
        Ok(reply) => Some(reply.value),
        Err(failure) if failure.code() == Some("context_not_found") => None,
        Err(failure) => return Err(failure),
    };
    let newest = path().then("messages").query("order", Some("desc")).query("limit", Some("1"));
    let messages = match &context {
        Some(_) => server.json(&Ask::get(newest)).await.map(|reply| reply.value).ok(),
        None => None,
    };
    let messages = messages.as_ref().and_then(|value| value.get("messages"));
    let messages = messages.and_then(Value::as_array).cloned().unwrap_or_default();
    let status = server.json(&Ask::get(PathOf::new("/api/v1/status"))).await?.value;
    let place = server.address().to_string();
    Ok(judge(&Seen {
        id,
        server: &place,
        context: context.as_ref(),
        messages: &messages,
        status: &status,
    }))
}

#[cfg(test)]
mod tests {
    use super::is_id;

    #[test]
    fn ids_of_contexts_are_told_from_addresses() {
        assert!(is_id("8968f80a-eea9-4b07-88d1-428fb90c9511"));
        assert!(is_id("ctx_12") && is_id("conv_6f-a"));
        for text in [
            "localhost",
            "ctx_",
            "ctx_1.local",
            "my_host",
            "8968f80a",
            "8968f80a-eea9-4b07-88d1-428fb90c951g",
            "a-b-c-d-e",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }
}
