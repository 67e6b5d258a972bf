//! Verification: every entry is what was stored, every running sum adds up, every link leads
//! somewhere, every summary stands for what it was written from.

use std::sync::Arc;

use storage::Stored;
use storage::rusqlite::{Connection, params};
use wire::Fault;

use super::Contexts;
use crate::rows::chain::Chain;
use crate::rows::ctx::{Row, ctx_columns};
use crate::rows::entry;
use crate::rows::{branches, seal, summaries, unsigned};
use crate::{Tenant, refuse};

/// Contexts that are looked at on one snapshot.
const SLICE: u32 = 50;
/// Limit: defects that are listed; all are counted.
const LISTED_MAX: usize = 1000;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Contexts that were looked at.
    pub contexts: u64,
    /// Entries that were looked at.
    pub entries: u64,
    /// Summaries that were looked at.
    pub summaries: u64,
    /// Lines of the audit that were looked at.
    pub changes: u64,
    /// Encrypted contexts of which only the entries were looked at, for want of their keys.
    pub sealed: u64,
    /// All defects.
    pub defects: u64,
    /// The first 1000 of them.
    pub listed: Vec<Defect>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.defects == 0
    }

    fn join(&mut self, part: Self) {
        self.contexts = self.contexts.saturating_add(part.contexts);
        self.entries = self.entries.saturating_add(part.entries);
        self.summaries = self.summaries.saturating_add(part.summaries);
        self.changes = self.changes.saturating_add(part.changes);
        self.sealed = self.sealed.saturating_add(part.sealed);
        self.defects = self.defects.saturating_add(part.defects);
        let room = LISTED_MAX.saturating_sub(self.listed.len());
        self.listed.extend(part.listed.into_iter().take(room));
    }

    /// The audit of a tenant is not as it was written.
    pub(super) fn broken_chain(&mut self, tenant: Tenant, line: u64, what: &str) {
        self.defects = self.defects.saturating_add(1);
        if self.listed.len() < LISTED_MAX {
            let what = format!("line {line} of the audit of changes: {what}");
            self.listed.push(Defect { tenant, context: "".into(), seq: None, what });
        }
    }

    fn add(&mut self, row: &Row, seq: Option<u32>, what: &str) {
        self.defects = self.defects.saturating_add(1);
        if self.listed.len() < LISTED_MAX {
            self.listed.push(Defect {
                tenant: row.key.tenant,
                context: Arc::clone(&row.key.id),
                seq,
                what: what.to_owned(),
            });
        }
    }
}

/// Something that is not as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// Whose context it is in.
    pub tenant: Tenant,
    /// The context.
    pub context: Arc<str>,
    /// The entry; `None` when it is the context itself.
    pub seq: Option<u32>,
    /// What is wrong with it.
    pub what: String,
}

impl Contexts {
    /// Looks at everything that is stored, in slices, while the store keeps working. Nothing is
    /// changed. `progress` gets the contexts that were looked at, and the contexts in all.
    ///
    /// # Errors
    /// `storage_error` when the store cannot be read at all.
    pub async fn verify(&self, mut progress: impl FnMut(u64, u64) + Send) -> Result<Report, Fault> {
        let mut report = self
            .read(|c| {
                let mut report = Report::default();
                super::telling::verify(c, &mut report)?;
                Ok(report)
            })
            .await?;
        let mut after = 0;
        loop {
            let (next, part) = self.read(move |c| slice(c, after, true)).await?;
            report.join(part);
            progress(report.contexts, self.counts().await.contexts.max(report.contexts));
            match next {
                Some(next) => after = next,
                None => return Ok(report),
            }
        }
    }
}

/// As [`Contexts::verify`], over a store that somebody else may have open and be writing to: the
/// connection only reads, one slice a transaction.
///
/// # Errors
/// `storage_error` when the store cannot be read, or is of another version.
pub fn verify_store(
    connection: &Connection,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, Fault> {
    let count = "SELECT count(*) FROM ctx";
    let all = unsigned(connection.query_row(count, [], |row| row.get(0)).stored()?);
    let mut report = Report::default();
    super::telling::verify(connection, &mut report)?;
    let mut after = 0;
    loop {
        let part = connection.unchecked_transaction().stored()?;
        let (next, found) = slice(&part, after, false)?;
        drop(part);
        report.join(found);
        progress(report.contexts, all.max(report.contexts));
        match next {
            Some(next) => after = next,
            None => return Ok(report),
        }
    }
}

fn slice(
    connection: &Connection,
    after: i64,
    has_keys: bool,
) -> Result<(Option<i64>, Report), Fault> {
    let sql = concat!("SELECT ", ctx_columns!(), " FROM ctx WHERE n > ?1 ORDER BY n LIMIT ?2");
    let mut statement = connection.prepare_cached(sql).stored()?;
    let rows = statement.query_map(params![after, SLICE], Row::read).stored()?;
    let rows: Vec<Row> = rows.collect::<Result<_, _>>().stored()?;
    let mut report = Report::default();
    for row in &rows {
        report.contexts = report.contexts.saturating_add(1);
        context(connection, row, has_keys, &mut report)?;
    }
    let full = rows.len() >= usize::try_from(SLICE).unwrap_or(usize::MAX);
    Ok((rows.last().filter(|_| full).map(|row| row.n), report))
}

fn context(
    connection: &Connection,
    row: &Row,
    has_keys: bool,
    report: &mut Report,
) -> Result<(), Fault> {
    let mut shown = row.clone();
    shown.chain = Chain::read(connection, row.chain.own())?;
    log(connection, &shown, report)?;
    // What is sealed has its hash over what is stored; the rest wants to be opened.
    if !has_keys && seal::is_sealed(connection, row.n)? {
        report.sealed = report.sealed.saturating_add(1);
        return Ok(());
    }
    for view in branches::views(connection, row)? {
        log(connection, &view.row, report)?;
    }
    for number in summaries::wrong(connection, &shown)? {
        let what = format!("summary {number} stands for messages that are no longer the same");
        report.add(row, None, &what);
    }
    let listed = summaries::list(connection, row.n)?.len();
    report.summaries = report.summaries.saturating_add(u64::try_from(listed).unwrap_or(0));
    for sql in
        ["SELECT state FROM ctx_state WHERE n = ?1", "SELECT settings FROM ctx_doc WHERE n = ?1"]
    {
        let mut statement = connection.prepare_cached(sql).stored()?;
        let mut found = statement.query([row.n]).stored()?;
        if let Some(found) = found.next().stored()? {
            // What is sealed says itself, when it is opened, whether it is what was sealed.
            let Ok(text) = found.get::<_, String>(0) else { continue };
            if serde_json::from_str::<crate::Map>(&text).is_err() {
                report.add(row, None, "its state or its settings cannot be read");
            }
        }
    }
    Ok(())
}

/// The entries of a log that lie in its own segment; the shared ones belong to another.
fn log(connection: &Connection, row: &Row, report: &mut Report) -> Result<(), Fault> {
    let (base, _) = row.base;
    if row.chain.base() != base {
        report.add(row, None, "the log it goes on from is not the one it was forked from");
    }
    let mut sum = before(connection, row, base, report)?;
    let mut next = base.saturating_add(1);
    let sql = "SELECT k, status, tok, cum, hash, body FROM entry
               WHERE k BETWEEN ?1 AND ?2 ORDER BY k";
    let mut statement = connection.prepare_cached(sql).stored()?;
    for (from, to) in row.chain.ranges(next, row.head) {
        let mut found = statement.query(params![from, to]).stored()?;
        while let Some(found) = found.next().stored()? {
            let seq = entry::seq_of(found.get(0).stored()?);
            if seq != next {
                report.add(row, Some(next), "entries are missing");
            }
            next = seq.saturating_add(1);
            report.entries = report.entries.saturating_add(1);
            let status: i64 = found.get(1).stored()?;
            if entry::is_shown(status) {
                sum = sum.saturating_add(unsigned(found.get(2).stored()?));
            }
            let kept = unsigned(found.get(3).stored()?);
            if kept != sum {
                report.add(row, Some(seq), "the running sum of tokens does not add up");
                sum = kept;
            }
            let hash: i64 = found.get(4).stored()?;
            let body = found.get_ref(5).stored()?.as_bytes().unwrap_or_default();
            if entry::hash(body) != hash {
                report.add(row, Some(seq), "its bytes are not those that were stored");
            }
        }
    }
    if next <= row.head {
        report.add(row, Some(next), "entries are missing");
    } else if sum != row.cum {
        report.add(row, None, "its tokens are not those of its entries");
    }
    Ok(())
}

/// The running sum at the last shared entry.
fn before(
    connection: &Connection,
    row: &Row,
    base: u32,
    report: &mut Report,
) -> Result<u64, Fault> {
    if base == 0 {
        return Ok(0);
    }
    let sql = "SELECT cum FROM entry WHERE k = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let mut found = statement.query([row.chain.place(base)]).stored()?;
    match found.next().stored()? {
        Some(found) => Ok(unsigned(found.get(0).stored()?)),
        None => {
            let gone = refuse::no_entry(base.into(), row.head);
            report.add(row, Some(base), gone.text());
            Ok(0)
        }
    }
}
