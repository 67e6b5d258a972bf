//! Why model calls went the way they did.

use std::time::Duration;

use axum::extract::{Extension, Path, Query, State};
use jiff::Timestamp;
use ledger::{Filter, Found, Outcome};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::contexts::bad_query;
use super::shape::Problem;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::model::nearest;
use crate::surface::problem::Failed;

/// How many calls a page has where nothing is said.
const PAGE: u32 = 50;
/// Limit: calls of a page.
const PAGE_MAX: u32 = 500;
/// Outcomes that are no code of a fault.
const WORDS: &[&str] = &["ok", "failed", "hung_up", "tool_error", "refused"];

/// The members of a record that a list shows.
const SHOWN: &[&str] = &[
    "id",
    "at",
    "dialect",
    "context",
    "turn",
    "model_asked",
    "provider",
    "model",
    "stream",
    "outcome",
    "culprit",
    "took_ms",
    "first_ms",
    "usage",
    "cost_usd",
];

/// Which calls to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only those for this model: as it was asked for, the one that answered, or `provider/model`.
    model: Option<String>,
    /// Only those that ended so: `ok`, `failed` (all others), `hung_up`, or the code of a fault.
    status: Option<String>,
    /// Only those that came since: a time (RFC 3339), or how long ago, such as `90s`, `2h` or `7d`.
    since: Option<String>,
    /// Only those before this place: `next` of the page before.
    before: Option<i64>,
    /// At most so many, 1 to 500; 50 if absent.
    limit: Option<u32>,
}

impl ListQuery {
    fn filter(self, tenant: u32) -> Result<Filter, Fault> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=PAGE_MAX).contains(&limit) {
            let text = format!("`limit` cannot be {limit}: write 1 to {PAGE_MAX}");
            return Err(wrong("limit", text));
        }
        Ok(Filter {
            tenant,
            model: self.model.filter(|model| !model.is_empty()),
            outcome: self.status.as_deref().map(outcome).transpose()?,
            since: self.since.as_deref().map(since).transpose()?,
            before: self.before,
            limit,
        })
    }
}

fn wrong(field: &str, text: String) -> Fault {
    Fault::new(Code::InvalidInput, text).details(json!({"field": field}))
}

fn outcome(word: &str) -> Result<Outcome, Fault> {
    let codes = Code::ALL.iter().map(|code| code.as_str());
    if word == "failed" {
        return Ok(Outcome::Failed);
    }
    if WORDS.contains(&word) || codes.clone().any(|code| code == word) {
        return Ok(Outcome::Is(word.to_owned()));
    }
    let shown: String = word.chars().take(64).collect();
    let near = nearest(&shown, WORDS.iter().copied().chain(codes));
    let near = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
    Err(wrong("status", format!("`{shown}` is no outcome of a call{near}"))
        .hint("write `ok`, `failed`, `hung_up`, or a code of docs/errors.md such as `timeout`"))
}

/// A time, in microseconds since 1970.
fn since(text: &str) -> Result<i64, Fault> {
    let text = text.trim();
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let number: u64 = number.parse().ok()?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        Timestamp::now().checked_sub(Duration::from_secs(number.checked_mul(seconds)?)).ok()
    };
    let at = text.parse::<Timestamp>().ok().or_else(ago);
    at.map(Timestamp::as_microsecond).ok_or_else(|| {
        let shown: String = text.chars().take(64).collect();
        wrong("since", format!("`{shown}` is no time"))
            .hint("write a time such as `2026-11-21T09:00:00Z`, or how long ago, such as `2h`")
    })
}

/// Lists model calls, the newest first. `requests.rows` and `requests.days` say how many are kept.
#[utoipa::path(get, path = "/api/v1/requests", tag = "requests", params(ListQuery),
    responses((status = 200, description = "`requests`, and `next` where there are more",
               body = Object), (status = 400, body = Problem)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Value>, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let mut filter = query.filter(caller.tenant.0)?;
    // One more says whether there are more.
    let limit = filter.limit;
    filter.limit += 1;
    let mut found = gate.cases().list(filter).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|last| more && last.place > 0).map(|last| last.place);
    let requests: Vec<Value> = found.iter().filter_map(summary).collect();
    Ok(axum::Json(json!({"requests": requests, "next": next})))
}

/// One line of the list.
fn summary(found: &Found) -> Option<Value> {
    let mut record: Map<String, Value> = serde_json::from_str(&found.record).ok()?;
    let attempts = record.get("attempts").and_then(Value::as_array).map_or(0, Vec::len);
    let mut out = Map::new();
    for name in SHOWN {
        out.insert((*name).to_owned(), record.remove(*name).unwrap_or_default());
    }
    out.insert("attempts".to_owned(), attempts.into());
    Some(out.into())
}

/// Why a model call went the way it did: who was to be asked and why, every try with its key, its
/// times and its fault, who answered, what it cost.
#[utoipa::path(get, path = "/api/v1/requests/{id}/explain", tag = "requests",
    params(("id" = String, Path)),
    responses((status = 200, description = "The whole record", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn explain(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let Some(record) = gate.cases().find(caller.tenant.0, &id).await? else {
        let shown: String = id.chars().take(100).collect();
        let text = format!("no model call with the id `{shown}` is remembered");
        return Err(Fault::new(Code::NotFound, text)
            .hint(
                "the id is the `x-request-id` of the answer, or `CONTEXT.TURN`; `requests.rows` \
                 and `requests.days` say how many are kept",
            )
            .into());
    };
    let record = serde_json::from_str(&record);
    Ok(axum::Json(record.map_err(|e| Fault::internal("the record is not JSON").because(e))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_points_or_how_long_ago() {
        assert_eq!(since("1970-01-01T00:00:01Z").expect("a time"), 1_000_000);
        let now = Timestamp::now().as_microsecond();
        for (text, seconds) in [("90s", 90), ("2m", 120), ("3h", 10_800), ("7d", 604_800)] {
            let ago = (now - since(text).expect("a time")) / 1_000_000;
            assert!((seconds - 60..=seconds).contains(&ago), "{text}: {ago}");
        }
        for wrong in ["", "h", "1y", "-1h", "soon", "99999999999999999999d", "1ü"] {
            let fault = since(wrong).expect_err("no time");
            assert!(fault.hint_text().is_some_and(|hint| hint.contains("2h")), "{wrong}");
        }
    }

    #[test]
    fn an_outcome_is_a_word_or_a_code() {
        assert_eq!(outcome("failed").expect("one"), Outcome::Failed);
        assert_eq!(outcome("timeout").expect("one"), Outcome::Is("timeout".into()));
        let fault = outcome("timeuot").expect_err("none");
        assert!(fault.text().contains("did you mean `timeout`"), "{fault}");
    }
}
