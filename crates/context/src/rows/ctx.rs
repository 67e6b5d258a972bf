//! The row of a context: everything that changes with a turn, and nothing long.

use std::sync::Arc;
use std::time::Duration;

use storage::rusqlite::{self, Connection, OptionalExtension, params};
use storage::{Durability, Stored};
use wire::Fault;

use super::chain::Chain;
use super::parts::Doc;
use super::seal::{self, Opened, Owner};
use super::{signed, unsigned};
use crate::{Context, Key, Map, Size, Status, Tenant, clock, refuse};

/// A row of `ctx`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) n: i64,
    pub(crate) key: Key,
    pub(crate) title: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) status: Status,
    pub(crate) created: i64,
    pub(crate) updated: i64,
    pub(crate) expires: Option<i64>,
    pub(crate) revision: u64,
    pub(crate) head: u32,
    pub(crate) turns: u64,
    pub(crate) bytes: u64,
    pub(crate) cum: u64,
    pub(crate) start_seq: u32,
    pub(crate) safe_seq: u32,
    pub(crate) turn_seq: Option<u32>,
    pub(crate) open_turn: Option<u64>,
    pub(crate) open_tools: bool,
    pub(crate) model: Option<String>,
    pub(crate) durability: Option<Durability>,
    /// Real tokens per 1000 estimated ones, learned from what providers report.
    pub(crate) scale: u64,
    pub(crate) anchor: Option<Anchor>,
    /// The row of the context it was forked from, and the last entry it shares with it.
    pub(crate) parent: Option<(i64, u32)>,
    /// Where its entries lie; complete in rows that [`find`] read.
    pub(crate) chain: Chain,
    /// The newest entry, and the bytes, that lie in segments of others.
    pub(crate) base: (u32, u64),
    /// Microseconds to live after the last change.
    pub(crate) ttl: Option<i64>,
    /// Which key of its tenant seals what it holds.
    pub(crate) seal: Option<u32>,
    /// Its size as the list by size has it.
    pub(crate) sized: u64,
}

/// What the provider counted for the newest call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    pub(crate) prompt: u64,
    pub(crate) cum: u64,
    pub(crate) start: u32,
}

/// The columns of [`Row`], in the order in which [`Row::read`] takes them.
macro_rules! ctx_columns {
    () => {
        "n, tenant, id, title, user, status, created, updated, expires, revision, head, turns, \
         bytes, cum, start_seq, safe_seq, turn_seq, open_turn, open_tools, model, durability, \
         scale, anchor_prompt, anchor_cum, anchor_start, parent, fork_seq, log, base_seq, \
         base_bytes, ttl, key, sized"
    };
}
pub(crate) use ctx_columns;

impl Row {
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Self, rusqlite::Error> {
        let id: String = row.get(2)?;
        let prompt: Option<i64> = row.get(22)?;
        let anchor = match prompt {
            None => None,
            Some(prompt) => Some(Anchor {
                prompt: unsigned(prompt),
                cum: unsigned(row.get(23)?),
                start: row.get(24)?,
            }),
        };
        let n = row.get(0)?;
        let parent: Option<i64> = row.get(25)?;
        let log: Option<i64> = row.get(27)?;
        Ok(Self {
            n,
            key: Key { tenant: Tenant(row.get(1)?), id: id.into() },
            title: Opened::shown(row, 3)?,
            user: row.get(4)?,
            status: match row.get::<_, i64>(5)? {
                0 => Status::Open,
                2 => Status::Importing,
                3 => Status::Mounted,
                _ => Status::Closed,
            },
            created: row.get(6)?,
            updated: row.get(7)?,
            expires: row.get(8)?,
            revision: unsigned(row.get(9)?),
            head: row.get(10)?,
            turns: unsigned(row.get(11)?),
            bytes: unsigned(row.get(12)?),
            cum: unsigned(row.get(13)?),
            start_seq: row.get(14)?,
            safe_seq: row.get(15)?,
            turn_seq: row.get(16)?,
            open_turn: row.get::<_, Option<i64>>(17)?.map(unsigned),
            open_tools: row.get(18)?,
            model: row.get(19)?,
            durability: row.get::<_, Option<i64>>(20)?.map(durability_of),
            scale: unsigned(row.get(21)?),
            anchor,
            parent: match parent {
                None => None,
                Some(parent) => Some((parent, row.get(26)?)),
            },
            chain: Chain::alone(log.unwrap_or(n)),
            base: (row.get(28)?, unsigned(row.get(29)?)),
            ttl: row.get(30)?,
            seal: row.get(31)?,
            sized: unsigned(row.get(32)?),
        })
    }

    /// Marks the row as changed now.
    pub(crate) fn touch(&mut self, now: i64) {
        self.revision += 1;
        self.updated = self.updated.max(now);
    }

    /// Refuses a write of a closed context, and one that expects another revision.
    pub(crate) fn admit(&self, expect: Option<u64>) -> Result<(), Fault> {
        match self.status {
            Status::Open => {}
            Status::Closed => return Err(refuse::closed()),
            Status::Importing => return Err(refuse::importing()),
            Status::Mounted => return Err(refuse::mounted()),
        }
        match expect {
            Some(expected) if expected != self.revision => {
                Err(refuse::precondition(expected, self.revision))
            }
            _ => Ok(()),
        }
    }

    /// Refuses while a turn is running.
    pub(crate) fn idle(&self) -> Result<(), Fault> {
        self.open_turn.map_or(Ok(()), |turn| Err(refuse::busy(turn)))
    }

    /// The whole context.
    pub(crate) fn context(&self, state: Map, doc: Doc) -> Context {
        Context {
            id: Arc::clone(&self.key.id),
            title: self.title.clone(),
            user: self.user.clone(),
            created_at: clock::moment(self.created),
            last_updated: clock::moment(self.updated),
            revision: self.revision,
            status: self.status,
            system: doc.system,
            settings: doc.settings,
            state,
            metadata: doc.metadata,
            size: Size {
                messages: self.head.into(),
                turns: self.turns,
                bytes: self.bytes,
                tokens: self.cum,
            },
            open_turn: self.open_turn,
            expires_at: self.expires.map(clock::moment),
            parent: None,
            fork_seq: self.parent.map(|(_, seq)| seq),
        }
    }
}

impl Row {
    /// Whose key seals what it holds.
    pub(crate) fn owner(&self) -> Owner {
        Owner { tenant: self.key.tenant, key: self.seal }
    }

    /// As [`Self::live_for`], where somebody chose: a default stays otherwise.
    pub(crate) fn choose_life(&mut self, age: Option<Duration>, idle: Option<Duration>, now: i64) {
        if age.is_some() || idle.is_some() {
            self.live_for(age, idle, now);
        }
    }

    /// Sets how long it lives: until a moment, or so long after its last change.
    pub(crate) fn live_for(&mut self, age: Option<Duration>, idle: Option<Duration>, now: i64) {
        self.ttl = idle.map(|wait| i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        self.expires = idle.or(age).map(|wait| clock::after(now, wait));
    }
}

/// Finds a context, expired or not.
pub(crate) fn find(connection: &Connection, key: &Key) -> Result<Option<Row>, Fault> {
    let sql = concat!("SELECT ", ctx_columns!(), " FROM ctx WHERE tenant = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found =
        statement.query_row(params![key.tenant.0, &*key.id], Row::read).optional().stored()?;
    match found {
        Some(mut row) if row.base.0 > 0 => {
            row.chain = Chain::read(connection, row.chain.own())?;
            Ok(Some(row))
        }
        found => Ok(found),
    }
}

/// The id of the context with this row, if it exists.
pub(crate) fn id_of(connection: &Connection, n: i64) -> Result<Option<Arc<str>>, Fault> {
    let mut statement = connection.prepare_cached("SELECT id FROM ctx WHERE n = ?1").stored()?;
    let found: Option<String> = statement.query_row([n], |row| row.get(0)).optional().stored()?;
    Ok(found.map(Into::into))
}

/// Finds a context that a caller may see.
pub(crate) fn live(connection: &Connection, key: &Key, now: i64) -> Result<Row, Fault> {
    match find(connection, key)? {
        Some(row) if row.expires.is_some_and(|end| end <= now) => Err(refuse::expired()),
        Some(row) if seal::is_gone(row.owner()) => Err(refuse::erased()),
        Some(row) => Ok(row),
        None => {
            let sql = "SELECT 1 FROM gone WHERE tenant = ?1 AND id = ?2";
            let mut statement = connection.prepare_cached(sql).stored()?;
            let gone = statement.exists(params![key.tenant.0, &*key.id]).stored()?;
            Err(if gone { refuse::expired() } else { refuse::not_found() })
        }
    }
}

/// Makes the row of a new context.
pub(crate) fn insert(connection: &Connection, key: &Key, now: i64) -> Result<Row, Fault> {
    let sql = "INSERT INTO ctx(tenant, id, status, created, updated, revision, head, turns, bytes,
                 cum, start_seq, safe_seq, open_tools, scale)
               VALUES (?1, ?2, 0, ?3, ?3, 1, 0, 0, 0, 0, 1, 0, 0, 1000)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let n = statement.insert(params![key.tenant.0, &*key.id, now]).stored()?;
    let sql = "DELETE FROM gone WHERE tenant = ?1 AND id = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.execute(params![key.tenant.0, &*key.id]).stored()?;
    Ok(Row {
        n,
        key: key.clone(),
        title: None,
        user: None,
        status: Status::Open,
        created: now,
        updated: now,
        expires: None,
        revision: 1,
        head: 0,
        turns: 0,
        bytes: 0,
        cum: 0,
        start_seq: 1,
        safe_seq: 0,
        turn_seq: None,
        open_turn: None,
        open_tools: false,
        model: None,
        durability: None,
        scale: 1000,
        anchor: None,
        parent: None,
        chain: Chain::alone(n),
        base: (0, 0),
        ttl: None,
        seal: None,
        sized: 0,
    })
}

/// The part of its size by which a context may differ from what the list by size has.
const SIZED_PART: u64 = 8;

/// Writes what a turn changes. The columns of partial indexes are left alone: naming them would
/// touch those indexes with every turn.
pub(crate) fn save(connection: &Connection, row: &Row) -> Result<(), Fault> {
    let sql = "UPDATE ctx SET updated = ?2, revision = ?3, head = ?4, turns = ?5, bytes = ?6,
                 cum = ?7, safe_seq = ?8, turn_seq = ?9, open_tools = ?10, model = ?11,
                 scale = ?12, anchor_prompt = ?13, anchor_cum = ?14, anchor_start = ?15
               WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![
        row.n,
        row.updated,
        signed(row.revision),
        row.head,
        signed(row.turns),
        signed(row.bytes),
        signed(row.cum),
        row.safe_seq,
        row.turn_seq,
        row.open_tools,
        row.model,
        signed(row.scale),
        row.anchor.map(|anchor| signed(anchor.prompt)),
        row.anchor.map(|anchor| signed(anchor.cum)),
        row.anchor.map(|anchor| anchor.start),
    ];
    statement.execute(values).stored()?;
    if row.bytes.abs_diff(row.sized) > row.sized / SIZED_PART {
        let sql = "UPDATE ctx SET sized = bytes WHERE n = ?1";
        connection.prepare_cached(sql).stored()?.execute([row.n]).stored()?;
    }
    if let Some(ttl) = row.ttl {
        let sql = "UPDATE ctx SET expires = ?2 WHERE n = ?1";
        let wait = Duration::from_micros(unsigned(ttl));
        let end = clock::after(row.updated, wait);
        connection.prepare_cached(sql).stored()?.execute(params![row.n, end]).stored()?;
    }
    Ok(())
}

/// Writes which turn is running.
pub(crate) fn save_open(connection: &Connection, row: &Row) -> Result<(), Fault> {
    let sql = "UPDATE ctx SET open_turn = ?2 WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.execute(params![row.n, row.open_turn.map(signed)]).stored()?;
    Ok(())
}

/// Writes what only an edit changes.
pub(crate) fn save_head(connection: &Connection, row: &Row) -> Result<(), Fault> {
    let sql = "UPDATE ctx SET title = ?2, user = ?3, status = ?4, expires = ?5, durability = ?6,
                 ttl = ?7
               WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let status = match row.status {
        Status::Open => 0,
        Status::Closed => 1,
        Status::Importing => 2,
        Status::Mounted => 3,
    };
    let durability = row.durability.map(durability_number);
    let title = row.title.as_deref().map(|text| seal::text(row.owner(), text)).transpose()?;
    let values = params![row.n, title, row.user, status, row.expires, durability, row.ttl];
    statement.execute(values).stored()?;
    Ok(())
}

/// Writes where the entries lie, and where the window begins.
pub(crate) fn save_log(connection: &Connection, row: &Row) -> Result<(), Fault> {
    let sql = "UPDATE ctx SET parent = ?2, fork_seq = ?3, log = ?4, base_seq = ?5,
                 base_bytes = ?6, start_seq = ?7
               WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![
        row.n,
        row.parent.map(|(parent, _)| parent),
        row.parent.map(|(_, seq)| seq),
        row.chain.own(),
        row.base.0,
        signed(row.base.1),
        row.start_seq,
    ];
    statement.execute(values).stored()?;
    Ok(())
}

/// Writes where the window begins.
pub(crate) fn save_start(connection: &Connection, n: i64, start: u32) -> Result<(), Fault> {
    let sql = "UPDATE ctx SET start_seq = ?2 WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.execute(params![n, start]).stored()?;
    Ok(())
}

pub(crate) fn durability_of(number: i64) -> Durability {
    match number {
        0 => Durability::Sync,
        2 => Durability::Fast,
        _ => Durability::Group,
    }
}

fn durability_number(durability: Durability) -> i64 {
    match durability {
        Durability::Sync => 0,
        Durability::Group => 1,
        Durability::Fast => 2,
    }
}
