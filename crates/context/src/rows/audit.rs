//! The audit of changes: one chain of lines for each tenant, each line hashed over the one before.

use storage::Stored;
use storage::rusqlite::{self, Connection, OptionalExtension, params};
use wire::Fault;

use super::ctx::Row;
use super::parts::to_text;
use super::{signed, unsigned};
use crate::{Change, Changes, Map, Tenant, clock};

/// A fingerprint of everything that a context is.
pub(crate) type Digest = [u8; 32];

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fresh<'a> {
    pub(crate) tenant: Tenant,
    pub(crate) context: &'a str,
    pub(crate) who: Option<&'a str>,
    pub(crate) what: &'a str,
    pub(crate) before: Option<Digest>,
    pub(crate) after: Option<Digest>,
    pub(crate) detail: &'a Map,
}

/// The fingerprint of a context: its row, its state, its settings and its newest entry. A log only
/// grows, and its entries carry checksums of their own.
pub(crate) fn digest(connection: &Connection, row: &Row) -> Result<Digest, Fault> {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(bytes);
    };
    part(row.key.id.as_bytes());
    part(row.title.as_deref().unwrap_or_default().as_bytes());
    part(row.user.as_deref().unwrap_or_default().as_bytes());
    part(row.status.as_str().as_bytes());
    for number in [signed(row.revision), signed(row.head.into()), row.expires.unwrap_or(-1)] {
        part(&number.to_le_bytes());
    }
    let texts = [
        ("SELECT state, '', '' FROM ctx_state WHERE n = ?1", row.n),
        ("SELECT coalesce(system, ''), settings, metadata FROM ctx_doc WHERE n = ?1", row.n),
        (
            "SELECT CAST(hash AS TEXT), CAST(status AS TEXT), '' FROM entry WHERE k = ?1",
            row.chain.place(row.head),
        ),
    ];
    for (sql, n) in texts {
        let mut statement = connection.prepare_cached(sql).stored()?;
        let mut found = statement.query([n]).stored()?;
        if let Some(found) = found.next().stored()? {
            for column in 0..3 {
                part(found.get_ref(column).stored()?.as_bytes().unwrap_or_default());
            }
        } else {
            part(b"");
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

/// Writes a line behind the newest of its tenant.
pub(crate) fn write(connection: &Connection, fresh: Fresh<'_>, now: i64) -> Result<(), Fault> {
    let sql = "SELECT no, hash FROM audit_head WHERE tenant = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let head: Option<(i64, Vec<u8>)> = statement
        .query_row([fresh.tenant.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
        .stored()?;
    let (newest, last) = head.unwrap_or_default();
    let number = newest.saturating_add(1);
    let detail = to_text(fresh.detail)?;
    let line = Line {
        number,
        tenant: fresh.tenant.0,
        context: fresh.context.to_owned(),
        at: now,
        who: fresh.who.map(str::to_owned),
        what: fresh.what.to_owned(),
        before: fresh.before.map(|hash| hash.to_vec()),
        after: fresh.after.map(|hash| hash.to_vec()),
        detail,
        hash: Vec::new(),
    };
    let hash = line.link(&last);
    let sql = "INSERT INTO audit(tenant, no, context, at, who, what, before, after, detail, hash)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let values = params![
        line.tenant,
        line.number,
        line.context,
        line.at,
        line.who,
        line.what,
        line.before,
        line.after,
        line.detail,
        hash.as_slice()
    ];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    let sql = "INSERT INTO audit_head(tenant, no, hash, base_no, base_hash)
               VALUES (?1, ?2, ?3, 0, x'')
               ON CONFLICT(tenant) DO UPDATE SET no = ?2, hash = ?3";
    let values = params![line.tenant, line.number, hash.as_slice()];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}

/// A line as it is stored.
#[derive(Debug)]
pub(crate) struct Line {
    number: i64,
    tenant: u32,
    context: String,
    at: i64,
    who: Option<String>,
    what: String,
    before: Option<Vec<u8>>,
    after: Option<Vec<u8>>,
    detail: String,
    hash: Vec<u8>,
}

impl Line {
    fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        Ok(Self {
            tenant: row.get(0)?,
            number: row.get(1)?,
            context: row.get(2)?,
            at: row.get(3)?,
            who: row.get(4)?,
            what: row.get(5)?,
            before: row.get(6)?,
            after: row.get(7)?,
            detail: row.get(8)?,
            hash: row.get(9)?,
        })
    }

    /// The link over the one before and every member, each with its length.
    fn link(&self, last: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new();
        let mut part = |bytes: Option<&[u8]>| {
            // Absent is not the same as empty.
            let length = bytes.map_or(u64::MAX, |b| u64::try_from(b.len()).unwrap_or(u64::MAX - 1));
            hasher.update(&length.to_le_bytes());
            hasher.update(bytes.unwrap_or_default());
        };
        part(Some(last));
        part(Some(&self.number.to_le_bytes()));
        part(Some(&self.tenant.to_le_bytes()));
        part(Some(self.context.as_bytes()));
        part(Some(&self.at.to_le_bytes()));
        part(self.who.as_deref().map(str::as_bytes));
        part(Some(self.what.as_bytes()));
        part(self.before.as_deref());
        part(self.after.as_deref());
        part(Some(self.detail.as_bytes()));
        *hasher.finalize().as_bytes()
    }

    fn public(self) -> Change {
        Change {
            number: unsigned(self.number),
            tenant: Tenant(self.tenant),
            context: self.context.into(),
            at: clock::moment(self.at),
            who: self.who,
            what: self.what,
            before: self.before.as_deref().map(hex),
            after: self.after.as_deref().map(hex),
            detail: serde_json::from_str(&self.detail).unwrap_or_default(),
            hash: hex(&self.hash),
        }
    }
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _written = write!(out, "{byte:02x}");
        out
    })
}

/// The columns of [`Line`], in the order in which [`Line::read`] takes them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, no, context, at, who, what, before, after, detail, hash FROM audit ",
            $rest
        )
    };
}

/// Reads lines, the oldest first.
pub(crate) fn page(
    connection: &Connection,
    tenant: Tenant,
    wanted: &Changes,
    limit: u32,
) -> Result<Vec<Change>, Fault> {
    let sql = select!(
        "WHERE tenant = ?1 AND no > ?2 AND (?3 IS NULL OR context = ?3) ORDER BY no LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![tenant.0, signed(wanted.after), wanted.context, limit];
    let lines = statement.query_map(values, Line::read).stored()?;
    lines.map(|line| line.map(Line::public).stored()).collect()
}

/// The first line that is not as it was written, and why.
pub(crate) type Broken = (u64, String);

/// Where a check of a chain stands.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    pub(crate) number: i64,
    pub(crate) hash: Vec<u8>,
}

/// Where the chain of a tenant begins, and where it ends; `None` when it has none.
pub(crate) fn ends(connection: &Connection, tenant: u32) -> Result<Option<(Walk, Walk)>, Fault> {
    let sql = "SELECT base_no, base_hash, no, hash FROM audit_head WHERE tenant = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement
        .query_row([tenant], |row| {
            let base = Walk { number: row.get(0)?, hash: row.get(1)? };
            Ok((base, Walk { number: row.get(2)?, hash: row.get(3)? }))
        })
        .optional()
        .stored()
}

/// The tenants that have a chain.
pub(crate) fn tenants(connection: &Connection) -> Result<Vec<u32>, Fault> {
    let mut statement = connection.prepare_cached("SELECT tenant FROM audit_head").stored()?;
    let found = statement.query_map([], |row| row.get(0)).stored()?;
    found.collect::<Result<_, _>>().stored()
}

/// Checks the lines behind `from`, at most `limit`; says where it came to, or what is wrong.
pub(crate) fn check(
    connection: &Connection,
    tenant: u32,
    mut from: Walk,
    limit: u32,
) -> Result<(Walk, u32, Option<Broken>), Fault> {
    let sql = select!("WHERE tenant = ?1 AND no > ?2 ORDER BY no LIMIT ?3");
    let mut statement = connection.prepare_cached(sql).stored()?;
    let lines = statement.query_map(params![tenant, from.number, limit], Line::read).stored()?;
    let mut count = 0;
    for line in lines {
        let line = line.stored()?;
        count += 1;
        let expected = from.number.saturating_add(1);
        if line.number != expected {
            let found = (unsigned(expected), "the line is missing".to_owned());
            return Ok((from, count, Some(found)));
        }
        if line.link(&from.hash).as_slice() != line.hash {
            let found = (unsigned(expected), "the line is not as it was written".to_owned());
            return Ok((from, count, Some(found)));
        }
        from = Walk { number: line.number, hash: line.hash };
    }
    Ok((from, count, None))
}

/// Removes lines of a tenant that are older than `before`, at most `most`; the chain then begins
/// behind them. Says how many they were.
pub(crate) fn forget(
    connection: &Connection,
    tenant: u32,
    before: i64,
    most: u32,
) -> Result<u32, Fault> {
    let sql = "SELECT no, hash FROM audit WHERE tenant = ?1 AND at < ?2 ORDER BY no LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement
        .query_map(params![tenant, before, most], |row| Ok((row.get(0)?, row.get(1)?)))
        .stored()?;
    let found: Vec<(i64, Vec<u8>)> = found.collect::<Result<_, _>>().stored()?;
    if let Some((number, hash)) = found.last() {
        let sql = "DELETE FROM audit WHERE tenant = ?1 AND no <= ?2";
        connection.prepare_cached(sql).stored()?.execute(params![tenant, number]).stored()?;
        let sql = "UPDATE audit_head SET base_no = ?2, base_hash = ?3 WHERE tenant = ?1";
        let values = params![tenant, number, hash];
        connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    }
    Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
}
