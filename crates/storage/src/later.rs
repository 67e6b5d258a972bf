//! Tables that are made with their first row; an empty view stands for each until then.
//!
//! A table costs a page of the file, and so does each of its indexes, however little is in them:
//! a store pays only for what it is used for. Invariants: statements cannot tell the view from an
//! empty table, except that an `INSERT` is prepared by [`prepare_insert`]; a table that was made by
//! a transaction that is taken back is a view again, because both stand in the same transaction.

use std::collections::HashSet;
use std::fmt::Write as _;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};
use wire::Fault;

use crate::Schema;
use crate::fault::Stored as _;

/// The views of a program's tables.
#[derive(Debug)]
pub(crate) struct Shadows(Vec<Shadow>);

#[derive(Debug)]
struct Shadow {
    table: &'static str,
    /// Makes the table.
    sql: &'static str,
    /// Makes the view.
    view: String,
}

impl Shadows {
    /// Reads the columns of the tables by making them where nobody sees it.
    pub(crate) fn of(schemas: &[&'static Schema]) -> Result<Self, Fault> {
        let scratch = Connection::open_in_memory().stored()?;
        let cast = |sql: &'static str| {
            let name = sql.trim_start().strip_prefix("CREATE TABLE ");
            let table = name.and_then(|rest| Some(rest.split_once('(')?.0));
            let table = table.ok_or_else(|| Fault::internal("a later table has no name"))?;
            scratch.execute_batch(sql).stored()?;
            let find = "SELECT group_concat('NULL AS ' || name) FROM pragma_table_info(?1)";
            let columns: String = scratch.query_row(find, [table], |row| row.get(0)).stored()?;
            let view = format!("CREATE TEMP VIEW {table} AS SELECT {columns} WHERE 0;");
            Ok(Shadow { table, sql, view })
        };
        let batches = schemas.iter().flat_map(|schema| schema.later);
        Ok(Self(batches.map(|sql| cast(sql)).collect::<Result<_, Fault>>()?))
    }

    /// Casts the views of the tables that are not made yet, for a connection that only reads, in
    /// place of those it had.
    pub(crate) fn cast(&self, connection: &Connection) -> Result<(), Fault> {
        let earlier = names(connection, "SELECT name FROM temp.sqlite_schema WHERE type = 'view'")?;
        let made = made(connection)?;
        let mut batch = String::new();
        for name in earlier {
            let _written = write!(batch, "DROP VIEW temp.{name};");
        }
        self.missing(&made).for_each(|shadow| batch.push_str(&shadow.view));
        connection.execute_batch(&batch).stored()
    }

    /// The same for the connection that writes: nothing is changed or removed where nothing is, and
    /// [`prepare_insert`] finds what makes a table.
    pub(crate) fn cast_for_writer(&self, connection: &Connection) -> Result<(), Fault> {
        self.cast(connection)?;
        let made = made(connection)?;
        let mut batch = String::from(
            "CREATE TEMP TABLE unmade(name TEXT PRIMARY KEY, sql TEXT NOT NULL) WITHOUT ROWID;",
        );
        for Shadow { table, .. } in self.missing(&made) {
            for what in ["UPDATE", "DELETE"] {
                let _written = write!(
                    batch,
                    "CREATE TEMP TRIGGER no_{what}_{table} INSTEAD OF {what} ON {table}
                     BEGIN SELECT 1; END;"
                );
            }
        }
        connection.execute_batch(&batch).stored()?;
        let sql = "INSERT INTO temp.unmade(name, sql) VALUES (?1, ?2)";
        let mut note = connection.prepare(sql).stored()?;
        for Shadow { table, sql, .. } in self.missing(&made) {
            note.execute([table, sql]).stored()?;
        }
        Ok(())
    }

    fn missing(&self, made: &HashSet<String>) -> impl Iterator<Item = &Shadow> {
        self.0.iter().filter(|shadow| !made.contains(shadow.table))
    }
}

fn made(connection: &Connection) -> Result<HashSet<String>, Fault> {
    names(connection, "SELECT name FROM main.sqlite_schema WHERE type = 'table'")
}

fn names(connection: &Connection, sql: &str) -> Result<HashSet<String>, Fault> {
    let mut statement = connection.prepare(sql).stored()?;
    let names = statement.query_map([], |row| row.get(0)).stored()?;
    names.collect::<Result<_, _>>().stored()
}

/// How many tables are not made, as the connection that writes sees it.
pub(crate) fn unmade(connection: &Connection) -> Result<i64, Fault> {
    let mut count = connection.prepare_cached("SELECT count(*) FROM temp.unmade").stored()?;
    count.query_row([], |row| row.get(0)).stored()
}

/// Prepares an `INSERT` for a job that writes, and makes its table if this is the first.
///
/// # Errors
/// `storage_error` when the statement is none, or the table cannot be made.
pub fn prepare_insert<'c>(
    connection: &'c Connection,
    sql: &str,
) -> Result<CachedStatement<'c>, Fault> {
    // A view takes no rows: preparing says so, once, and a table that is there costs nothing.
    let refused = match connection.prepare_cached(sql) {
        Ok(statement) => return Ok(statement),
        Err(refused) => refused,
    };
    let mut words = sql.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let table = words.by_ref().find(|word| *word == "INTO").and_then(|_| words.next());
    let find = "SELECT sql FROM temp.unmade WHERE name = ?1";
    let make: Option<String> = connection
        .prepare(find)
        .and_then(|mut one| one.query_row([table], |row| row.get(0)).optional())
        .stored()?;
    let (Some(table), Some(make)) = (table, make) else {
        return Err(crate::fault::fault(refused));
    };
    let batch =
        format!("DROP VIEW temp.{table}; DELETE FROM temp.unmade WHERE name = '{table}'; {make}");
    connection.execute_batch(&batch).stored()?;
    connection.prepare_cached(sql).stored()
}

/// Lets a connection that somebody opened by themselves see the tables that are not made yet as
/// empty ones. It must not write.
///
/// # Errors
/// `storage_error` when the file cannot be read.
pub fn show_all(connection: &Connection, schemas: &[&'static Schema]) -> Result<(), Fault> {
    Shadows::of(schemas)?.cast(connection)
}
