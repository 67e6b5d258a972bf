//! Which context a command means: its whole id, the beginning of one, or the current one.

use serde_json::Value;

use super::super::reach::Client;
use super::super::table::cell;
use crate::remote::{Ask, Class, Failure, PathOf};

/// Limit: characters below which the beginning of an id means nothing.
const PREFIX_MIN: usize = 4;
/// Characters of the ids that the server makes: those need no search.
const WHOLE: usize = 36;
/// How many candidates are named when a beginning fits several contexts.
const NAMED: &str = "6";

/// The id that is meant. `-` or nothing is the current context; the beginning of an id will do
/// where it fits no other.
///
/// # Errors
/// [`Class::Usage`] when it fits several contexts, else of every class.
pub(in crate::command) async fn find(
    client: &Client<'_>,
    named: Option<&str>,
) -> Result<String, Failure> {
    let id = client.context(named)?;
    let count = id.chars().count();
    let current = named.is_none_or(|named| named == "-");
    // A request that is only shown names what the user wrote.
    if current || !(PREFIX_MIN..WHOLE).contains(&count) || client.server.only_shows() {
        return Ok(id);
    }
    match super::get(client, &id).await {
        Ok(_) => Ok(id),
        Err(missing) if missing.code() == Some("context_not_found") => {
            complete(client, &id, missing).await
        }
        Err(failure) => Err(failure),
    }
}

/// The only context whose id begins so.
async fn complete(client: &Client<'_>, start: &str, missing: Failure) -> Result<String, Failure> {
    let path =
        PathOf::new("/api/v1/contexts").query("id_prefix", Some(start)).query("limit", Some(NAMED));
    let reply = client.server.json(&Ask::get(path)).await?;
    let found = reply.value.get("contexts").and_then(Value::as_array);
    let found: Vec<String> = found.into_iter().flatten().map(|c| cell(c, "/id")).collect();
    match found.as_slice() {
        [] => Err(missing.hint("`rapport context list` shows the ids; their beginning will do")),
        [only] => Ok(only.clone()),
        several => {
            let more = !cell(&reply.value, "/next_cursor").is_empty();
            let names: Vec<String> = several.iter().map(|id| format!("`{id}`")).collect();
            let names = names.join(", ");
            let tail = if more { " and more" } else { "" };
            let text = format!("`{start}` begins the ids of several contexts: {names}{tail}");
            Err(Failure::new(Class::Usage, text).hint("write more of the id"))
        }
    }
}
