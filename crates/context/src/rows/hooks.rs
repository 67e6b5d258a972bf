//! Webhooks and their deliveries, and who they are for, in memory.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use storage::rusqlite::{self, Connection, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::{signed, unsigned};
use crate::{Attempt, Delivery, Hook, Key, Map, Tenant, What, clock};

/// Limit: events that wait for one webhook; further ones are counted and left out.
pub(crate) const WAITING_MAX: u64 = 10_000;
/// Limit: events that were given up and are kept, for each webhook; the oldest go first.
const DEAD_MAX: u64 = 1_000;

/// Which webhooks want what, as a change needs to know it.
#[derive(Debug, Default)]
pub(crate) struct Subscribed(Mutex<Arc<Vec<Wish>>>);

#[derive(Debug)]
struct Wish {
    hook: i64,
    tenant: Tenant,
    context: Option<String>,
    events: Vec<What>,
}

impl Wish {
    fn wants(&self, key: &Key, what: What) -> bool {
        self.tenant == key.tenant
            && self.context.as_deref().is_none_or(|id| id == &*key.id)
            // Of webhooks only those are told that ask for it: none is told of itself by chance.
            && (self.events.contains(&what) || self.events.is_empty() && !what.is_of_hooks())
    }
}

impl Subscribed {
    /// Reads them anew.
    pub(crate) fn refresh(&self, connection: &Connection) -> Result<(), Fault> {
        let sql = "SELECT no, tenant, context, events FROM hook WHERE enabled = 1";
        let mut statement = connection.prepare_cached(sql).stored()?;
        let found = statement
            .query_map([], |row| {
                Ok(Wish {
                    hook: row.get(0)?,
                    tenant: Tenant(row.get(1)?),
                    context: row.get(2)?,
                    events: events_of(&row.get::<_, String>(3)?),
                })
            })
            .stored()?;
        let found: Vec<Wish> = found.collect::<Result<_, _>>().stored()?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
        Ok(())
    }

    pub(crate) fn read(connection: &Connection) -> Result<Self, Fault> {
        let this = Self::default();
        this.refresh(connection)?;
        Ok(this)
    }

    fn all(&self) -> Arc<Vec<Wish>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        !self.all().is_empty()
    }

    /// Whether anybody wants to know.
    pub(crate) fn wants(&self, key: &Key, what: What) -> bool {
        self.all().iter().any(|wish| wish.wants(key, what))
    }
}

fn events_of(text: &str) -> Vec<What> {
    text.split(' ').filter_map(What::parse).collect()
}

fn events_text(events: &[What]) -> String {
    events.iter().map(|what| what.as_str()).collect::<Vec<_>>().join(" ")
}

/// Puts an event out for every webhook that wants it.
pub(crate) fn put_out(
    connection: &Connection,
    hooks: &Subscribed,
    (key, what): (&Key, What),
    detail: &Map,
    now: i64,
) -> Result<(), Fault> {
    let mut data = Map::new();
    data.insert("context_id".to_owned(), Value::from(&*key.id));
    data.extend(detail.clone());
    let at = clock::moment(now).to_string();
    let body = json!({"type": what.as_str(), "timestamp": at, "data": data}).to_string();
    for wish in hooks.all().iter().filter(|wish| wish.wants(key, what)) {
        put(connection, wish.hook, (what.as_str(), &body), now)?;
    }
    Ok(())
}

/// Puts one event out for one webhook.
pub(crate) fn put(
    connection: &Connection,
    hook: i64,
    (kind, body): (&str, &str),
    now: i64,
) -> Result<(), Fault> {
    if count(connection, hook, false)? >= WAITING_MAX {
        let sql = "UPDATE hook SET dropped = dropped + 1 WHERE no = ?1";
        connection.prepare_cached(sql).stored()?.execute([hook]).stored()?;
        return Ok(());
    }
    let id = format!("msg_{}", uuid::Uuid::now_v7().simple());
    let sql = "INSERT INTO hook_task(hook, id, kind, body, at, due, tries, dead)
               VALUES (?1, ?2, ?3, ?4, ?5, ?5, 0, 0)";
    let values = params![hook, id, kind, body, now];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(())
}

fn count(connection: &Connection, hook: i64, dead: bool) -> Result<u64, Fault> {
    let sql = "SELECT count(*) FROM hook_task WHERE hook = ?1 AND dead = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    statement.query_row(params![hook, dead], |row| row.get(0)).map(unsigned).stored()
}

/// Makes a webhook; its secret is sealed.
pub(crate) fn insert(
    connection: &Connection,
    tenant: Tenant,
    new: &crate::NewHook,
    (salt, secret): (&str, &[u8]),
    now: i64,
) -> Result<u64, Fault> {
    let sql = "INSERT INTO hook(tenant, context, url, events, name, salt, secret, at, enabled,
                 dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 0)";
    let events = events_text(&new.events);
    let values = params![tenant.0, new.context, new.url, events, new.name, salt, secret, now];
    let n = prepare_insert(connection, sql)?.insert(values).stored()?;
    Ok(unsigned(n))
}

/// Writes what an edit changes.
pub(crate) fn save(connection: &Connection, hook: &Hook) -> Result<(), Fault> {
    let sql = "UPDATE hook SET url = ?2, events = ?3, enabled = ?4 WHERE no = ?1";
    let events = events_text(&hook.events);
    let values = params![signed(hook.number), hook.url, events, hook.enabled];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}

/// Removes a webhook with everything that waits for it; says whether it was there.
pub(crate) fn remove(connection: &Connection, tenant: Tenant, number: u64) -> Result<bool, Fault> {
    let sql = "DELETE FROM hook WHERE tenant = ?1 AND no = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let there = statement.execute(params![tenant.0, signed(number)]).stored()? > 0;
    if there {
        let sql = "DELETE FROM hook_task WHERE hook = ?1";
        connection.prepare_cached(sql).stored()?.execute([signed(number)]).stored()?;
    }
    Ok(there)
}

/// The webhooks of a tenant, or one of them.
pub(crate) fn list(
    connection: &Connection,
    tenant: Tenant,
    number: Option<u64>,
) -> Result<Vec<Hook>, Fault> {
    let sql = "SELECT no, tenant, url, events, context, name, enabled, at, dropped,
                 (SELECT count(*) FROM hook_task t WHERE t.hook = h.no AND t.dead = 0),
                 (SELECT count(*) FROM hook_task t WHERE t.hook = h.no AND t.dead = 1)
               FROM hook h WHERE tenant = ?1 AND (?2 IS NULL OR no = ?2) ORDER BY no";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement
        .query_map(params![tenant.0, number.map(signed)], |row| {
            Ok(Hook {
                number: unsigned(row.get(0)?),
                tenant: Tenant(row.get(1)?),
                url: row.get(2)?,
                events: events_of(&row.get::<_, String>(3)?),
                context: row.get(4)?,
                name: row.get(5)?,
                enabled: row.get(6)?,
                at: clock::moment(row.get(7)?),
                dropped: unsigned(row.get(8)?),
                waiting: unsigned(row.get(9)?),
                dead: unsigned(row.get(10)?),
            })
        })
        .stored()?;
    found.collect::<Result<_, _>>().stored()
}

fn read(row: &rusqlite::Row<'_>) -> Result<Delivery, rusqlite::Error> {
    Ok(Delivery {
        number: unsigned(row.get(0)?),
        hook: unsigned(row.get(1)?),
        id: row.get(2)?,
        kind: row.get(3)?,
        body: row.get(4)?,
        at: clock::moment(row.get(5)?),
        due: clock::moment(row.get(6)?),
        tries: row.get(7)?,
        dead: row.get(8)?,
        error: row.get(9)?,
    })
}

/// Deliveries of a webhook, the newest first; `dead` ones or those that wait.
pub(crate) fn deliveries(
    connection: &Connection,
    hook: u64,
    dead: bool,
    limit: u32,
) -> Result<Vec<Delivery>, Fault> {
    let sql = "SELECT no, hook, id, kind, body, at, due, tries, dead, error FROM hook_task
               WHERE hook = ?1 AND dead = ?2 ORDER BY no DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement.query_map(params![signed(hook), dead, limit], read).stored()?;
    found.collect::<Result<_, _>>().stored()
}

/// A delivery that is due, with address, salt and sealed secret of its webhook.
pub(crate) type Due = (Delivery, String, String, Vec<u8>);

/// What is due at `now`, the oldest first, at most one of each webhook; and when the next is due.
pub(crate) fn due(
    connection: &Connection,
    now: i64,
    limit: u32,
) -> Result<(Vec<Due>, Option<i64>), Fault> {
    let sql = "SELECT t.no, t.hook, t.id, t.kind, t.body, t.at, t.due, t.tries, t.dead, t.error,
                 h.url, h.salt, h.secret
               FROM hook h JOIN hook_task t ON t.no =
                 (SELECT no FROM hook_task w WHERE w.hook = h.no AND w.dead = 0 AND w.due <= ?1
                  ORDER BY w.no LIMIT 1)
               WHERE h.enabled = 1 LIMIT ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found = statement
        .query_map(params![now, limit], |row| {
            Ok((read(row)?, row.get(10)?, row.get(11)?, row.get(12)?))
        })
        .stored()?;
    let found: Vec<Due> = found.collect::<Result<_, _>>().stored()?;
    let sql = "SELECT min(t.due) FROM hook_task t JOIN hook h ON h.no = t.hook
               WHERE t.dead = 0 AND h.enabled = 1";
    let next: Option<i64> = connection.query_row(sql, [], |row| row.get(0)).stored()?;
    Ok((found, next))
}

/// Writes down what became of an attempt.
pub(crate) fn settle(
    connection: &Connection,
    delivery: &Delivery,
    attempt: &Attempt,
    now: i64,
) -> Result<(), Fault> {
    let number = signed(delivery.number);
    match attempt {
        Attempt::Taken => {
            let sql = "DELETE FROM hook_task WHERE no = ?1";
            connection.prepare_cached(sql).stored()?.execute([number]).stored()?;
        }
        Attempt::Failed(error, Some(wait)) => {
            let due = clock::after(now, *wait);
            let sql = "UPDATE hook_task SET tries = tries + 1, due = ?2, error = ?3 WHERE no = ?1";
            let values = params![number, due, error];
            connection.prepare_cached(sql).stored()?.execute(values).stored()?;
        }
        Attempt::Failed(error, None) => bury(connection, delivery, error)?,
        Attempt::Gone(error) => {
            bury(connection, delivery, error)?;
            let sql = "UPDATE hook SET enabled = 0 WHERE no = ?1";
            connection.prepare_cached(sql).stored()?.execute([signed(delivery.hook)]).stored()?;
        }
    }
    Ok(())
}

fn bury(connection: &Connection, delivery: &Delivery, error: &str) -> Result<(), Fault> {
    let sql = "UPDATE hook_task SET tries = tries + 1, dead = 1, error = ?2 WHERE no = ?1";
    let values = params![signed(delivery.number), error];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    let sql = "DELETE FROM hook_task WHERE hook = ?1 AND dead = 1 AND no <=
                 (SELECT no FROM hook_task WHERE hook = ?1 AND dead = 1
                  ORDER BY no DESC LIMIT 1 OFFSET ?2)";
    let values = params![signed(delivery.hook), signed(DEAD_MAX)];
    connection.prepare_cached(sql).stored()?.execute(values).stored()?;
    Ok(())
}

/// Lets deliveries that were given up, or that wait, be tried at once; `None` is all of them. Says
/// how many they were.
pub(crate) fn again(
    connection: &Connection,
    hook: u64,
    number: Option<u64>,
    now: i64,
) -> Result<u64, Fault> {
    let sql = "UPDATE hook_task SET dead = 0, due = ?3, tries = 0
               WHERE hook = ?1 AND (?2 IS NULL OR no = ?2)";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let values = params![signed(hook), number.map(signed), now];
    let count = statement.execute(values).stored()?;
    Ok(u64::try_from(count).unwrap_or(u64::MAX))
}
