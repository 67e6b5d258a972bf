//! The list of contexts, page by page.

use storage::Stored;
use storage::rusqlite::types::Value;
use storage::rusqlite::{Connection, params_from_iter};
use wire::Fault;

use super::ctx::{Row, ctx_columns};
use super::parts::{self, Doc};
use super::seal;
use super::signed;
use crate::query::PAGE_ITEMS_MAX;
use crate::{Context, Filter, Map, Page, Sort, Status, Tenant, refuse};

/// Conditions of a query with their values, in one order.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(value.into());
    }

    fn maybe(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(condition, value);
        }
    }
}

/// Reads one page.
pub(crate) fn page(
    connection: &Connection,
    tenant: Tenant,
    filter: &Filter,
    now: i64,
) -> Result<Page<Context>, Fault> {
    if filter.limit == 0 || filter.limit > PAGE_ITEMS_MAX {
        return Err(refuse::invalid("limit", "must be a number from 1 to 500"));
    }
    let column = match filter.sort {
        Sort::Updated => "updated",
        Sort::Created => "created",
        Sort::Size => "bytes",
    };
    let (order, beyond) = if filter.ascending { ("ASC", '>') } else { ("DESC", '<') };
    let mut conditions = conditions(tenant, filter, now);
    if let Some(cursor) = &filter.cursor {
        let (value, n) = read_cursor(cursor)?;
        conditions.add(&format!("({column}, n) {beyond} (?,"), value);
        conditions.sql.push_str("?)");
        conditions.values.push(n.into());
    }
    let sql = format!(
        "SELECT {} FROM ctx WHERE {} ORDER BY {column} {order}, n {order} LIMIT {}",
        ctx_columns!(),
        conditions.sql,
        filter.limit + 1
    );
    let mut statement = connection.prepare_cached(&sql).stored()?;
    let found = statement.query_map(params_from_iter(conditions.values), Row::read).stored()?;
    let mut rows = found.collect::<Result<Vec<_>, _>>().stored()?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| {
        let value = match filter.sort {
            Sort::Updated => row.updated,
            Sort::Created => row.created,
            Sort::Size => signed(row.bytes),
        };
        format!("{value:x}-{:x}", row.n)
    });
    let items = rows.iter().map(|row| listed(connection, row));
    Ok(Page { items: items.collect::<Result<_, _>>()?, next })
}

/// One damaged record must not hide the others: it is listed without its long parts.
fn listed(connection: &Connection, row: &Row) -> Result<Context, Fault> {
    if seal::is_gone(row.owner()) {
        return Ok(row.context(Map::new(), Doc::default()));
    }
    parts::context(connection, row).or_else(|fault| {
        let damaged = fault.detail_values().is_some_and(|d| d["reason"] == "damaged_record");
        if damaged { Ok(row.context(Map::new(), Doc::default())) } else { Err(fault) }
    })
}

fn conditions(tenant: Tenant, filter: &Filter, now: i64) -> Conditions {
    let mut out = Conditions { sql: "tenant = ?".to_owned(), values: Vec::new() };
    out.values.push(i64::from(tenant.0).into());
    out.add("(expires IS NULL OR expires > ?)", now);
    out.maybe("user = ?", filter.user.clone());
    out.maybe("status = ?", filter.status.map(|status| i64::from(status == Status::Closed)));
    out.maybe("model = ?", filter.model.clone());
    out.maybe("updated > ?", filter.updated_after.map(|time| time.as_microsecond()));
    out.maybe("updated < ?", filter.updated_before.map(|time| time.as_microsecond()));
    out.maybe("head >= ?", filter.min_messages.map(signed));
    out.maybe("head <= ?", filter.max_messages.map(signed));
    out.maybe("bytes >= ?", filter.min_bytes.map(signed));
    out.maybe("bytes <= ?", filter.max_bytes.map(signed));
    if let Some(start) = &filter.id_prefix {
        // A range, so that the index on the id finds it; no id holds a character above the last.
        out.add("id >= ?", start.clone());
        out.add("id < ?", format!("{start}\u{10FFFF}"));
    }
    out.maybe("instr(lower(title), lower(?)) > 0", filter.title_contains.clone());
    out
}

fn read_cursor(cursor: &str) -> Result<(i64, i64), Fault> {
    let parts = cursor.split_once('-').and_then(|(value, n)| {
        Some((i64::from_str_radix(value, 16).ok()?, i64::from_str_radix(n, 16).ok()?))
    });
    parts.ok_or_else(|| refuse::invalid("cursor", "must be the `next` of an earlier page"))
}
