//! Batches of calls: every one is answered by the script at once, and the batch is over.

use super::files::{listed, nothing, of_openai};
use super::media::MADE_AT;
use super::{Outcome, Refusal, Told, Wish, missing, text, wrong};
use crate::ask;
use crate::content::Content;
use crate::dialect::Dialect;
use crate::server::State;
use http::{HeaderMap, Method, header};
use serde_json::{Value, json};

/// Limit: calls of one batch.
const CALLS_MAX: usize = 100_000;
/// The day on which everything here was made.
const DAY: &str = "2026-01-01T00:00:00Z";

pub(super) fn openai(wish: &Wish<'_>, rest: &str, state: &State) -> Outcome {
    match parts(wish, rest) {
        (&Method::POST, "", "") => {
            let asked = wish.json()?;
            let (file, endpoint) = (text(&asked, "input_file_id")?, text(&asked, "endpoint")?);
            let lines = state.shelf().body(file)?;
            let lines = std::str::from_utf8(&lines).map_err(|_cause| wrong("not UTF-8"))?;
            let dialect =
                if endpoint.ends_with("/responses") { Dialect::Responses } else { Dialect::OpenAi };
            let mut out = String::new();
            let mut count = 0_u64;
            for line in lines.lines().filter(|line| !line.trim().is_empty()).take(CALLS_MAX) {
                let line: Value = serde_json::from_str(line)
                    .map_err(|e| Refusal::Wrong(format!("line {}: {e}", count + 1)))?;
                let name = text(&line, "custom_id")?;
                let body = line.get("body").ok_or_else(|| missing("body"))?;
                count += 1;
                let body = said(state, dialect, (endpoint, body), count)?;
                let told = json!({
                    "id": format!("batch_req_mock_{count:06}"), "custom_id": name, "error": null,
                    "response": {"status_code": 200, "request_id": format!("req_{count}"),
                                 "body": body},
                });
                out.push_str(&told.to_string());
                out.push('\n');
            }
            let mut shelf = state.shelf();
            let (id, output) = (shelf.name("batch_mock_"), shelf.name("file-mock-"));
            let about = of_openai(&output, "output.jsonl", ("batch_output", out.len()));
            shelf.put(&output, about, out.into())?;
            let batch = json!({
                "id": id, "object": "batch", "endpoint": endpoint, "input_file_id": file,
                "completion_window": "24h", "status": "completed", "output_file_id": output,
                "error_file_id": null, "created_at": MADE_AT, "completed_at": MADE_AT,
                "request_counts": {"total": count, "completed": count, "failed": 0},
                "metadata": asked.get("metadata"),
            });
            shelf.batches().insert(id, (batch.clone(), String::new()));
            Ok(Told::json(&batch))
        }
        // It was over before anybody could cancel it.
        (&Method::POST, id, "cancel") | (&Method::GET, id, "") => found(id, state),
        _ => Err(Refusal::NoRoute),
    }
}

pub(super) fn claude(wish: &Wish<'_>, rest: &str, state: &State) -> Outcome {
    match parts(wish, rest) {
        (&Method::POST, "", "") => {
            let asked = wish.json()?;
            let requests = asked.get("requests").and_then(Value::as_array);
            let requests = requests.ok_or_else(|| missing("requests"))?;
            let mut out = String::new();
            let mut count = 0_u64;
            for request in requests.iter().take(CALLS_MAX) {
                let name = text(request, "custom_id")?;
                let params = request.get("params").ok_or_else(|| missing("params"))?;
                count += 1;
                let message = said(state, Dialect::Anthropic, ("/v1/messages", params), count)?;
                let result = json!({"type": "succeeded", "message": message});
                out.push_str(&json!({"custom_id": name, "result": result}).to_string());
                out.push('\n');
            }
            let mut shelf = state.shelf();
            let id = shelf.name("msgbatch_mock_");
            let host = wish.headers.get(header::HOST).and_then(|v| v.to_str().ok());
            let host = host.unwrap_or("localhost");
            let batch = json!({
                "id": id, "type": "message_batch", "processing_status": "ended",
                "request_counts": {"processing": 0, "succeeded": count, "errored": 0,
                                   "canceled": 0, "expired": 0},
                "created_at": DAY, "ended_at": DAY, "expires_at": "2026-01-02T00:00:00Z",
                "archived_at": null, "cancel_initiated_at": null,
                "results_url": format!("http://{host}/v1/messages/batches/{id}/results"),
            });
            shelf.batches().insert(id, (batch.clone(), out));
            Ok(Told::json(&batch))
        }
        (&Method::GET, id, "results") => {
            let mut shelf = state.shelf();
            let (_, lines) = shelf.batches().get(id).ok_or_else(|| nothing("batch", id))?;
            Ok(Told { content_type: "application/x-jsonl", body: lines.clone().into() })
        }
        (&Method::DELETE, id, "") => {
            state.shelf().batches().remove(id).ok_or_else(|| nothing("batch", id))?;
            Ok(Told::json(&json!({"id": id, "type": "message_batch_deleted"})))
        }
        (&Method::POST, id, "cancel") | (&Method::GET, id, "") => found(id, state),
        _ => Err(Refusal::NoRoute),
    }
}

/// The method, the batch and what is wanted of it.
fn parts<'w>(wish: &Wish<'w>, rest: &'w str) -> (&'w Method, &'w str, &'w str) {
    let rest = rest.trim_start_matches('/');
    let (id, more) = rest.split_once('/').unwrap_or((rest, ""));
    (wish.method, id, more)
}

/// One batch; all of them without an id.
fn found(id: &str, state: &State) -> Outcome {
    let mut shelf = state.shelf();
    let batches = shelf.batches();
    if id.is_empty() {
        let all: Vec<&Value> = batches.values().map(|(batch, _)| batch).collect();
        return Ok(Told::json(&listed(&all)));
    }
    let (batch, _) = batches.get(id).ok_or_else(|| nothing("batch", id))?;
    Ok(Told::json(batch))
}

/// What the script answers to one call of a batch, whole.
fn said(
    state: &State,
    dialect: Dialect,
    (path, body): (&str, &Value),
    number: u64,
) -> Result<Value, Refusal> {
    let bytes = body.to_string();
    let ask = ask::read(bytes.as_bytes(), &HeaderMap::new(), (dialect, path))
        .map_err(|e| Refusal::Wrong(format!("call {number}: {e}")))?;
    let active = state.active();
    let rule = active.rule(path, true, &ask);
    let reply = rule.map_or(&active.script.default, |rule| &rule.reply);
    let whole = dialect.whole(&Content::new(reply, &ask, number));
    serde_json::from_str(&whole).map_err(|e| Refusal::Wrong(e.to_string()))
}
