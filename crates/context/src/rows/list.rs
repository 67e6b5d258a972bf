//! The list of contexts, page by page.

use storage::Stored;
use storage::rusqlite::types::Value;
use storage::rusqlite::{Connection, params, params_from_iter};
use wire::Fault;

use super::ctx::{Row, ctx_columns};
use super::entry::PAGE_BYTES_MAX;
use super::parts::{self, Doc};
use super::seal;
use super::signed;
use crate::query::PAGE_ITEMS_MAX;
use crate::{Context, Filter, Map, Page, Sort, Status, Tenant, refuse};

/// Limit: contexts that are sorted for one page; more are read in their order.
const SORTED_MAX: u32 = 5_000;

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
    let query = query(connection, tenant, filter, now)?;
    let mut statement = connection.prepare_cached(&query.sql).stored()?;
    let found = statement.query_map(params_from_iter(query.values), Row::read).stored()?;
    let mut rows = found.collect::<Result<Vec<_>, _>>().stored()?;
    let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut more = rows.len() > limit;
    rows.truncate(limit);
    let mut items = Vec::with_capacity(rows.len());
    let mut bytes = 0_usize;
    for row in &rows {
        if bytes >= PAGE_BYTES_MAX {
            more = true;
            break;
        }
        bytes = bytes.saturating_add(size(connection, row)?);
        items.push(listed(connection, row)?);
    }
    rows.truncate(items.len());
    let next = rows.last().filter(|_| more).map(|row| {
        let value = match filter.sort {
            Sort::Updated => row.updated,
            Sort::Created => row.created,
            Sort::Size => signed(row.sized),
        };
        format!("{value:x}-{:x}", row.n)
    });
    Ok(Page { items, next })
}

/// The query of a page: along an index of the order, until the page is full.
fn query(
    connection: &Connection,
    tenant: Tenant,
    filter: &Filter,
    now: i64,
) -> Result<Conditions, Fault> {
    let column = match filter.sort {
        Sort::Updated => "updated",
        Sort::Created => "created",
        Sort::Size => "sized",
    };
    let (order, beyond) = if filter.ascending { ("ASC", '>') } else { ("DESC", '<') };
    let mut conditions = conditions(tenant, filter, now);
    if let Some(cursor) = &filter.cursor {
        let (value, n) = read_cursor(cursor)?;
        conditions.add(&format!("({column}, n) {beyond} (?,"), value);
        conditions.sql.push_str("?)");
        conditions.values.push(n.into());
    }
    // The planner does not know how many ids begin so: few are found by their index and sorted,
    // many are met soon along the order.
    let by_id = match &filter.id_prefix {
        Some(prefix) => is_rare(connection, tenant, prefix)?,
        None => false,
    };
    let index = match (by_id, &filter.user, filter.status) {
        (true, _, _) => "INDEXED BY sqlite_autoindex_ctx_1 ",
        (false, Some(_), _) => "INDEXED BY ctx_user ",
        (false, None, Some(Status::Closed)) if filter.sort == Sort::Updated => {
            "INDEXED BY ctx_closed "
        }
        _ => match filter.sort {
            Sort::Updated => "INDEXED BY ctx_list ",
            Sort::Created => "INDEXED BY ctx_created ",
            Sort::Size => "INDEXED BY ctx_size ",
        },
    };
    let sql = format!(
        "SELECT {} FROM ctx {index}WHERE {} ORDER BY {column} {order}, n {order} LIMIT {}",
        ctx_columns!(),
        conditions.sql,
        filter.limit + 1
    );
    Ok(Conditions { sql, ..conditions })
}

/// Whether only a few ids of a tenant begin so.
fn is_rare(connection: &Connection, tenant: Tenant, prefix: &str) -> Result<bool, Fault> {
    let sql = "SELECT count(*) FROM
                 (SELECT 1 FROM ctx WHERE tenant = ?1 AND id >= ?2 AND id < ?3 LIMIT ?4)";
    let values = params![tenant.0, prefix, after(prefix), SORTED_MAX];
    let mut statement = connection.prepare_cached(sql).stored()?;
    let count: u32 = statement.query_row(values, |row| row.get(0)).stored()?;
    Ok(count < SORTED_MAX)
}

/// Behind every id with this beginning: no id holds a character above the last.
fn after(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

/// Bytes of the long parts as they are stored.
fn size(connection: &Connection, row: &Row) -> Result<usize, Fault> {
    let sql = "SELECT coalesce((SELECT octet_length(state) FROM ctx_state WHERE n = ?1), 0) +
                      coalesce((SELECT octet_length(settings) + octet_length(metadata) +
                                       coalesce(octet_length(system), 0)
                                FROM ctx_doc WHERE n = ?1), 0)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let bytes: u32 = statement.query_row([row.n], |found| found.get(0)).stored()?;
    Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
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
    // The numbers stand in the text, so that the indexes of these alone are seen to hold them.
    match filter.status {
        Some(Status::Open) => out.sql.push_str(" AND status = 0"),
        Some(Status::Closed) => out.sql.push_str(" AND status = 1"),
        Some(Status::Importing) => out.sql.push_str(" AND status = 2"),
        Some(Status::Mounted) => out.sql.push_str(" AND status = 3"),
        None => out.sql.push_str(" AND status != 2"),
    }
    out.maybe("model = ?", filter.model.clone());
    out.maybe("updated > ?", filter.updated_after.map(|time| time.as_microsecond()));
    out.maybe("updated < ?", filter.updated_before.map(|time| time.as_microsecond()));
    out.maybe("head >= ?", filter.min_messages.map(signed));
    out.maybe("head <= ?", filter.max_messages.map(signed));
    out.maybe("bytes >= ?", filter.min_bytes.map(signed));
    out.maybe("bytes <= ?", filter.max_bytes.map(signed));
    if let Some(start) = &filter.id_prefix {
        // A range, so that the index on the id finds it.
        out.add("id >= ?", start.clone());
        out.add("id < ?", after(start));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    /// How the store would answer a query.
    fn plan(connection: &Connection, sql: &str, values: &[Value]) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let found = statement.query_map(params_from_iter(values), |row| row.get(3)).unwrap();
        found.map(Result::unwrap).collect()
    }

    #[test]
    fn every_list_and_every_hit_is_read_by_an_index() {
        let connection = Connection::open_in_memory().unwrap();
        for batch in crate::SCHEMA.steps.iter().chain(crate::SCHEMA.later) {
            connection.execute_batch(batch).unwrap();
        }
        let any = Filter::default;
        let user = || Some("ada".to_owned());
        let id = || Some("no".to_owned());
        for (filter, sorts) in [
            (any(), false),
            (Filter { sort: Sort::Created, ascending: true, ..any() }, false),
            (Filter { sort: Sort::Size, cursor: Some("1-2".to_owned()), ..any() }, false),
            (Filter { user: user(), ..any() }, false),
            (Filter { user: user(), sort: Sort::Size, ..any() }, true),
            (Filter { status: Some(Status::Closed), ..any() }, false),
            (Filter { status: Some(Status::Importing), sort: Sort::Created, ..any() }, false),
            (Filter { updated_after: Some(clock::moment(5)), ..any() }, false),
            (Filter { min_bytes: Some(5), sort: Sort::Size, ..any() }, false),
            (Filter { id_prefix: id(), user: user(), ..any() }, true),
        ] {
            let query = query(&connection, Tenant(0), &filter, 7).unwrap();
            let told = plan(&connection, &query.sql, &query.values);
            let read = &told[0];
            assert!(read.starts_with("SEARCH ctx USING INDEX"), "{filter:?}: {told:?}");
            assert_eq!(told.len() > 1, sorts, "{filter:?}: {told:?}");
        }
        for (sql, values) in [(super::super::search::OWNER, 3), (super::super::search::TENANT, 1)] {
            let told = plan(&connection, sql, &vec![Value::Null; values]);
            assert!(!told.iter().any(|step| step.starts_with("SCAN c")), "{sql}: {told:?}");
            assert!(!told.iter().any(|step| step.starts_with("SCAN v")), "{sql}: {told:?}");
        }
    }
}
