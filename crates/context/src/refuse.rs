//! The refusals of this crate, each written once.

use serde_json::json;
use wire::{Code, Fault};

pub(crate) fn not_found() -> Fault {
    Fault::new(Code::ContextNotFound, "Context not found")
        .hint("list the contexts, or create this one first")
}

pub(crate) fn expired() -> Fault {
    Fault::new(Code::ContextExpired, "the context has expired").hint(
        "create a new one; contexts live as long as `expires_in_seconds` or `idle_seconds` says",
    )
}

pub(crate) fn erased() -> Fault {
    let text = "what the context holds was erased: the key that sealed it is destroyed";
    Fault::new(Code::NotFound, text)
        .hint("nothing brings it back; delete the context")
        .details(json!({ "reason": "erased" }))
}

pub(crate) fn closed() -> Fault {
    Fault::new(Code::ContextClosed, "the context is closed and can only be read")
        .hint("go on in a new context")
}

pub(crate) fn importing() -> Fault {
    Fault::new(
        Code::Conflict,
        "the context is being imported and can only be read until it is done",
    )
    .hint("wait for the end of the import, or delete the context to stop it")
    .details(json!({ "reason": "importing" }))
}

pub(crate) fn mounted() -> Fault {
    let text = "the context is mounted from another server and can only be read here";
    Fault::new(Code::ContextClosed, text)
        .hint("fork it (`POST …/fork`, `rapport context fork`) and go on in the fork")
        .details(json!({ "reason": "mounted" }))
}

pub(crate) fn exists(id: &str) -> Fault {
    Fault::new(Code::Conflict, format!("the context `{id}` exists already"))
        .hint("choose another id, or leave it out to get a new one")
        .details(json!({ "reason": "exists" }))
}

pub(crate) fn reserved(id: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("the context id `{id}` is reserved"))
        .hint("choose another id")
        .details(json!({ "field": "id" }))
}

pub(crate) fn busy(turn: u64) -> Fault {
    Fault::new(Code::Conflict, format!("turn {turn} of the context is still running"))
        .hint("wait for its reply, or set `when_busy` to `queue`")
        .details(json!({ "reason": "busy", "open_turn": turn }))
}

pub(crate) fn in_progress() -> Fault {
    Fault::new(Code::Conflict, "a request with this idempotency key is still running")
        .hint("repeat it later to get its reply")
        .details(json!({ "reason": "in_progress" }))
}

pub(crate) fn mismatch() -> Fault {
    Fault::new(Code::IdempotencyMismatch, "the idempotency key was used for another request")
        .hint("use a new key for a new request")
}

pub(crate) fn precondition(expected: u64, actual: u64) -> Fault {
    Fault::new(
        Code::PreconditionFailed,
        format!("the context has revision {actual}, the request expects {expected}"),
    )
    .hint("read the context again and repeat the change")
    .details(json!({ "expected": expected, "actual": actual }))
}

pub(crate) fn too_long(what: &str, bytes: u64, limit: u64) -> Fault {
    Fault::new(
        Code::ContextTooLong,
        format!("{what} has {bytes} bytes, {limit} are allowed; nothing was stored"),
    )
    .hint("send less: this limit is the same for everybody")
    .details(json!({ "bytes": bytes, "limit": limit }))
}

pub(crate) fn full(limit: u64) -> Fault {
    Fault::new(Code::QuotaExceeded, format!("the store holds {limit} contexts, its limit"))
        .hint("delete contexts, give them `idle_seconds`, or raise the limit")
}

pub(crate) fn invalid(field: &str, text: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("`{field}` {text}")).details(json!({ "field": field }))
}

pub(crate) fn not_open() -> Fault {
    Fault::new(Code::Conflict, "the turn is no longer open")
        .hint("it was ended by somebody else; send the message again")
        .details(json!({ "reason": "not_open" }))
}

pub(crate) fn nothing_failed() -> Fault {
    Fault::new(Code::Conflict, "the last turn of the context has not failed")
        .hint("only a failed turn can be retried; send a new message")
        .details(json!({ "reason": "nothing_to_retry" }))
}

pub(crate) fn no_entry(seq: u64, head: u32) -> Fault {
    Fault::new(Code::NotFound, format!("there is no entry {seq}; the log has {head}"))
        .hint("entries are numbered from 1; `GET …/messages` lists them")
        .details(json!({ "seq": seq, "head": head }))
}

pub(crate) fn beyond(at: u64, head: u32) -> Fault {
    Fault::new(Code::InvalidInput, format!("`at` is {at}, the log has {head} entries"))
        .hint("leave `at` out for the newest entry, or name one of the log")
        .details(json!({ "field": "at", "head": head }))
}

pub(crate) fn failed_is_shared() -> Fault {
    Fault::new(Code::Conflict, "the failed turn is part of a fork and cannot be retried")
        .hint("send the message again as a new one")
        .details(json!({ "reason": "shared" }))
}

pub(crate) fn too_deep(segments: usize, bytes: u64) -> Fault {
    let text = format!(
        "the log is the fork of a fork {segments} times over, and its {bytes} bytes are too many \
         to copy at once"
    );
    Fault::new(Code::Conflict, text)
        .hint("fork an earlier context, or export this one and import it as a new one")
        .details(json!({ "reason": "too_deep" }))
}

pub(crate) fn damaged(what: &str, id: &str) -> Fault {
    Fault::new(Code::StorageError, format!("the {what} of the context `{id}` is damaged"))
        .hint("the other contexts are not affected; restore a backup to get this one back")
        .details(json!({ "reason": "damaged_record", "id": id }))
}
