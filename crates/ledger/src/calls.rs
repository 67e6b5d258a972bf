//! The log of model calls: one row each, newest first, bounded by number and by age.
//!
//! What can be searched stands in columns, the whole record beside it in a table of its own.

use std::sync::Arc;

use storage::rusqlite::{Connection, OptionalExtension as _, params};
use storage::{Database, Durability, Stored as _, prepare_insert};
use wire::Fault;

/// Handed to [`storage::Database::open`] by whoever opens the store.
pub const SCHEMA: storage::Schema = storage::Schema {
    name: "ledger",
    steps: &[MADE_LATER],
    later: &[MODEL_CALL, MODEL_CALL_RECORD],
};

/// A step whose tables are made with their first row now.
const MADE_LATER: &str = "";

const MODEL_CALL: &str = "
CREATE TABLE model_call(
  seq INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL,
  context TEXT, turn INTEGER, asked TEXT, provider TEXT, model TEXT, outcome TEXT NOT NULL);
CREATE INDEX model_call_id ON model_call(id);
CREATE INDEX model_call_turn ON model_call(context, turn) WHERE context IS NOT NULL;
CREATE INDEX model_call_tenant ON model_call(tenant, seq);
";

const MODEL_CALL_RECORD: &str = "
CREATE TABLE model_call_record(seq INTEGER PRIMARY KEY, record TEXT NOT NULL);
";

/// Limit: rows that one job takes away, so that nobody waits long for the writer.
const SWEPT_MAX: u32 = 2_000;

/// A finished call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose it was.
    pub tenant: u32,
    /// The request's id; callers may choose it, so that it may come twice.
    pub id: Arc<str>,
    /// When it came, in microseconds since 1970.
    pub at: i64,
    /// The context whose turn it was, and the turn's number.
    pub context: Option<Arc<str>>,
    /// The number of the turn.
    pub turn: Option<u64>,
    /// The model that was asked for.
    pub asked: Option<String>,
    /// Who answered.
    pub provider: Option<String>,
    /// With which model.
    pub model: Option<String>,
    /// `ok`, `hung_up`, or the code of the fault.
    pub outcome: String,
    /// The whole record, as JSON.
    pub record: String,
}

/// Which outcomes are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All but `ok`.
    Failed,
    /// This one.
    Is(String),
}

/// Which calls are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Whose.
    pub tenant: u32,
    /// A name of a model: as it was asked for, the one that answered, or `provider/model`.
    pub model: Option<String>,
    /// How they ended.
    pub outcome: Option<Outcome>,
    /// Only what came at this time or later, in microseconds since 1970.
    pub since: Option<i64>,
    /// Only what was written before this place.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// A call that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place in the log, for [`Filter::before`].
    pub place: i64,
    /// The whole record, as JSON.
    pub record: String,
}

/// The log; clones share it.
#[derive(Clone, Debug)]
pub struct Calls(Database);

impl Calls {
    /// The log in this store, which was opened with [`SCHEMA`].
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }

    /// Writes calls down, in their order. The death of the machine may take the last moments.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be written.
    pub async fn keep(&self, calls: Vec<Call>) -> Result<(), Fault> {
        self.0.write(Durability::Fast, move |connection| insert(connection, &calls)).await
    }

    /// The newest call of a tenant with this id, or as `CONTEXT.TURN`.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be read.
    pub async fn find(&self, tenant: u32, id: &str) -> Result<Option<String>, Fault> {
        let id = id.to_owned();
        self.0.read(move |connection| find(connection, tenant, &id)).await
    }

    /// The calls that fit, the newest first.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be read.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Found>, Fault> {
        self.0.read(move |connection| list(connection, &filter)).await
    }

    /// Takes away what is more than `rows` calls or came before `oldest`, the oldest first; at
    /// most some thousand at once. Returns how many it were.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be written.
    pub async fn sweep(&self, rows: u64, oldest: i64) -> Result<usize, Fault> {
        self.0.write(Durability::Fast, move |connection| sweep(connection, rows, oldest)).await
    }
}

fn insert(connection: &Connection, calls: &[Call]) -> Result<(), Fault> {
    let sql =
        "INSERT INTO model_call(tenant, id, at, context, turn, asked, provider, model, outcome)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut row = prepare_insert(connection, sql)?;
    let sql = "INSERT INTO model_call_record(seq, record) VALUES (?1, ?2)";
    let mut record = prepare_insert(connection, sql)?;
    for call in calls {
        let turn = call.turn.and_then(|turn| i64::try_from(turn).ok());
        let seq = row
            .insert(params![
                call.tenant,
                call.id,
                call.at,
                call.context,
                turn,
                call.asked,
                call.provider,
                call.model,
                call.outcome
            ])
            .stored()?;
        record.execute(params![seq, call.record]).stored()?;
    }
    Ok(())
}

fn find(connection: &Connection, tenant: u32, id: &str) -> Result<Option<String>, Fault> {
    let by_id = "SELECT record FROM model_call JOIN model_call_record USING (seq)
                 WHERE id = ?1 AND tenant = ?2 ORDER BY seq DESC LIMIT 1";
    let found = connection
        .prepare_cached(by_id)
        .stored()?
        .query_row(params![id, tenant], |row| row.get(0))
        .optional()
        .stored()?;
    let turn = id.rsplit_once('.').and_then(|(c, n)| Some((c, n.parse::<i64>().ok()?)));
    let (None, Some((context, turn))) = (&found, turn) else { return Ok(found) };
    let by_turn = "SELECT record FROM model_call JOIN model_call_record USING (seq)
                   WHERE context = ?1 AND turn = ?2 AND tenant = ?3 ORDER BY seq DESC LIMIT 1";
    connection
        .prepare_cached(by_turn)
        .stored()?
        .query_row(params![context, turn, tenant], |row| row.get(0))
        .optional()
        .stored()
}

fn list(connection: &Connection, filter: &Filter) -> Result<Vec<Found>, Fault> {
    let sql = "SELECT seq, record FROM model_call JOIN model_call_record USING (seq)
       WHERE tenant = ?1
         AND (?2 IS NULL OR asked = ?2 OR model = ?2 OR provider || '/' || model = ?2)
         AND (?3 IS NULL OR outcome = ?3) AND (NOT ?4 OR outcome <> 'ok')
         AND (?5 IS NULL OR at >= ?5) AND (?6 IS NULL OR seq < ?6)
       ORDER BY seq DESC LIMIT ?7";
    let (is, failed) = match &filter.outcome {
        Some(Outcome::Is(outcome)) => (Some(outcome), false),
        Some(Outcome::Failed) => (None, true),
        None => (None, false),
    };
    let mut query = connection.prepare_cached(sql).stored()?;
    let wanted =
        params![filter.tenant, filter.model, is, failed, filter.since, filter.before, filter.limit];
    let rows = query.query_map(wanted, |row| Ok(Found { place: row.get(0)?, record: row.get(1)? }));
    rows.stored()?.collect::<Result<_, _>>().stored()
}

fn sweep(connection: &Connection, rows: u64, oldest: i64) -> Result<usize, Fault> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let number = |sql: &str, value: i64| -> Result<Option<i64>, Fault> {
        let mut query = connection.prepare_cached(sql).stored()?;
        query.query_row([value], |row| row.get(0)).optional().map(Option::flatten).stored()
    };
    // Rows are only taken from the beginning: the numbers of both ends say how many there are, and
    // the first young one ends the old ones.
    let Some(edge) = number("SELECT max(seq) - ?1 FROM model_call", rows)? else { return Ok(0) };
    let young = "SELECT seq - 1 FROM model_call WHERE at >= ?1 ORDER BY seq LIMIT 1";
    let edge = edge.max(number(young, oldest)?.unwrap_or(i64::MAX));
    let old = "SELECT seq FROM model_call WHERE seq <= ?1 ORDER BY seq LIMIT ?2";
    let taken = format!("DELETE FROM model_call_record WHERE seq IN ({old})");
    connection.execute(&taken, params![edge, SWEPT_MAX]).stored()?;
    let taken = format!("DELETE FROM model_call WHERE seq IN ({old})");
    connection.execute(&taken, params![edge, SWEPT_MAX]).stored()
}

#[cfg(test)]
mod tests {
    use storage::Place;

    use super::*;

    async fn log() -> Calls {
        Calls::new(Database::open(Place::Memory, &[&SCHEMA]).await.unwrap())
    }

    fn call(tenant: u32, id: &str, outcome: &str) -> Call {
        Call {
            tenant,
            id: id.into(),
            at: 1_000,
            context: None,
            turn: None,
            asked: Some("fast".into()),
            provider: Some("one".into()),
            model: Some("m".into()),
            outcome: outcome.into(),
            record: format!("\"{id}\""),
        }
    }

    fn ids(found: &[Found]) -> Vec<&str> {
        found.iter().map(|found| found.record.trim_matches('"')).collect()
    }

    fn all(tenant: u32) -> Filter {
        Filter { tenant, limit: 100, ..Filter::default() }
    }

    #[tokio::test]
    async fn calls_are_found_by_what_is_known_of_them() {
        let log = log().await;
        let turn = Call { context: Some("c.d".into()), turn: Some(7), ..call(0, "b", "hung_up") };
        let late = Call { at: 9_000, asked: None, ..call(0, "c", "timeout") };
        log.keep(vec![call(0, "a", "ok"), turn, late, call(0, "a", "ok")]).await.unwrap();
        let listed = async |filter: Filter| log.list(filter).await.unwrap();
        assert_eq!(ids(&listed(all(0)).await), ["a", "c", "b", "a"]);
        let of = |model: &str| Filter { model: Some(model.into()), ..all(0) };
        assert_eq!(ids(&listed(of("fast")).await), ["a", "b", "a"]);
        assert_eq!(listed(of("one/m")).await.len(), 4);
        assert_eq!(listed(of("other")).await.len(), 0);
        let ended = |outcome: Outcome| Filter { outcome: Some(outcome), ..all(0) };
        assert_eq!(ids(&listed(ended(Outcome::Failed)).await), ["c", "b"]);
        assert_eq!(ids(&listed(ended(Outcome::Is("timeout".into()))).await), ["c"]);
        assert_eq!(ids(&listed(Filter { since: Some(9_000), ..all(0) }).await), ["c"]);
        let first = listed(Filter { limit: 2, ..all(0) }).await;
        let rest = listed(Filter { before: first.last().map(|f| f.place), ..all(0) }).await;
        assert_eq!((ids(&first), ids(&rest)), (vec!["a", "c"], vec!["b", "a"]));
        assert_eq!(log.find(0, "c.d.7").await.unwrap().as_deref(), Some("\"b\""));
        assert_eq!(log.find(0, "c").await.unwrap().as_deref(), Some("\"c\""));
        assert_eq!(log.find(0, "nobody").await.unwrap(), None);
    }

    #[tokio::test]
    async fn no_tenant_sees_another_ones_calls() {
        let log = log().await;
        let turn = Call { context: Some("c".into()), turn: Some(1), ..call(1, "same", "ok") };
        log.keep(vec![turn, call(2, "same", "hung_up")]).await.unwrap();
        assert_eq!(log.list(all(1)).await.unwrap().len(), 1);
        assert_eq!(log.list(all(3)).await.unwrap(), []);
        assert!(log.find(1, "same").await.unwrap().is_some());
        assert_eq!(log.find(3, "same").await.unwrap(), None);
        assert_eq!(log.find(2, "c.1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_log_stays_within_its_bounds() {
        let log = log().await;
        let many = |from: i64, to: i64| {
            (from..to).map(|n| Call { at: n, ..call(0, &n.to_string(), "ok") }).collect()
        };
        log.keep(many(0, 5_000)).await.unwrap();
        assert_eq!(log.sweep(10_000, 0).await.unwrap(), 0);
        assert_eq!(log.sweep(100, 0).await.unwrap(), SWEPT_MAX as usize, "a bounded job");
        while log.sweep(100, 0).await.unwrap() > 0 {}
        let kept = log.list(Filter { limit: 10_000, ..all(0) }).await.unwrap();
        assert_eq!((kept.len(), ids(&kept)[0], ids(&kept)[99]), (100, "4999", "4900"));
        log.keep(many(5_000, 5_010)).await.unwrap();
        assert_eq!(log.sweep(100, 4_990).await.unwrap(), 90, "by number and by age");
        assert_eq!(log.list(Filter { limit: 10_000, ..all(0) }).await.unwrap().len(), 20);
    }

    #[tokio::test]
    async fn the_log_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let place = || Place::Folder(folder.path().to_owned());
        let database = Database::open(place(), &[&SCHEMA]).await.unwrap();
        Calls::new(database.clone()).keep(vec![call(0, "a", "ok")]).await.unwrap();
        database.close().await.unwrap();
        let database = Database::open(place(), &[&SCHEMA]).await.unwrap();
        let log = Calls::new(database.clone());
        assert!(log.find(0, "a").await.unwrap().is_some());
        database.close().await.unwrap();
    }
}
