//! Profiles and notes in the store.

use serde_json::Value;
use storage::rusqlite::{Connection, OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::Fault;

use super::ctx::Row;
use super::seal::{self, Opened};
use crate::{Knowledge, Map, NewNote, Note, NoteKind, Profile, Tenant, clock, refuse};

/// Limit: notes of one context.
const NOTES_MAX: u32 = 1000;
/// Limit: bytes of one note.
const NOTE_BYTES_MAX: usize = 64 * 1024;

/// Everything a model is told of a context beside its state.
pub(crate) fn knowledge(
    connection: &Connection,
    row: &Row,
    state: &Map,
    now: i64,
) -> Result<Knowledge, Fault> {
    let user = row.user.as_deref().or_else(|| user_of(state));
    let profile = match user {
        Some(user) => profile(connection, row.key.tenant, user)?.map(|p| p.body),
        None => None,
    };
    let notes = notes(connection, row.n, now)?;
    Ok(Knowledge { profile: profile.unwrap_or_default(), notes })
}

/// The user that a state names, in any of the spellings of the field.
fn user_of(state: &Map) -> Option<&str> {
    ["user_id", "userId", "user"].iter().find_map(|key| state.get(*key)).and_then(Value::as_str)
}

/// Reads a profile.
pub(crate) fn profile(
    connection: &Connection,
    tenant: Tenant,
    user: &str,
) -> Result<Option<Profile>, Fault> {
    let sql =
        "SELECT revision, created, updated, body FROM profile WHERE tenant = ?1 AND user = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let found: Option<(i64, i64, i64, Opened)> = statement
        .query_row(params![tenant.0, user], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
        .optional()
        .stored()?;
    let Some((revision, created, updated, body)) = found else { return Ok(None) };
    let Ok(Value::Object(body)) = serde_json::from_str(&body.0) else {
        return Err(refuse::damaged("the profile", user));
    };
    Ok(Some(Profile {
        user: user.to_owned(),
        body,
        revision: u64::try_from(revision).unwrap_or(0),
        created_at: clock::moment(created),
        last_updated: clock::moment(updated),
    }))
}

/// Writes a profile.
pub(crate) fn save_profile(
    connection: &Connection,
    tenant: Tenant,
    profile: &Profile,
) -> Result<(), Fault> {
    let body = super::parts::to_text(&profile.body)?;
    super::parts::bounded("the profile", &body, NOTE_BYTES_MAX)?;
    let sql = "INSERT INTO profile(tenant, user, revision, created, updated, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT(tenant, user) DO UPDATE SET revision = ?3, updated = ?5, body = ?6";
    let revision = i64::try_from(profile.revision).unwrap_or(i64::MAX);
    let (created, updated) =
        (profile.created_at.as_microsecond(), profile.last_updated.as_microsecond());
    let body = seal::text(seal::choose(tenant, false)?, &body)?;
    let values = params![tenant.0, profile.user, revision, created, updated, body];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(())
}

/// Removes a profile; says whether there was one.
pub(crate) fn drop_profile(
    connection: &Connection,
    tenant: Tenant,
    user: &str,
) -> Result<bool, Fault> {
    let sql = "DELETE FROM profile WHERE tenant = ?1 AND user = ?2";
    let mut statement = connection.prepare_cached(sql).stored()?;
    Ok(statement.execute(params![tenant.0, user]).stored()? > 0)
}

/// The notes that hold at `now`, oldest first.
pub(crate) fn notes(connection: &Connection, n: i64, now: i64) -> Result<Vec<Note>, Fault> {
    let sql = "SELECT no, kind, name, body, at, expires FROM note
               WHERE n = ?1 AND (expires IS NULL OR expires > ?2) ORDER BY no";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let rows = statement.query_map(params![n, now], read).stored()?;
    rows.map(|row| row.stored()).collect()
}

fn read(row: &Found<'_>) -> storage::rusqlite::Result<Note> {
    let body = row.get::<_, Opened>(3)?.0;
    let kind: i64 = row.get(1)?;
    Ok(Note {
        number: row.get(0)?,
        kind: NoteKind::of_number(kind),
        name: row.get(2)?,
        value: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        at: clock::moment(row.get(4)?),
        expires_at: row.get::<_, Option<i64>>(5)?.map(clock::moment),
    })
}

/// Keeps a note; one of the same kind and name is replaced. What has expired makes room.
pub(crate) fn add(connection: &Connection, n: i64, new: NewNote, now: i64) -> Result<Note, Fault> {
    let body = new.value.to_string();
    super::parts::bounded("the note", &body, NOTE_BYTES_MAX)?;
    let gone = "DELETE FROM note WHERE n = ?1 AND
                (expires <= ?2 OR (name IS NOT NULL AND kind = ?3 AND name = ?4))";
    let kind = new.kind.number();
    let values = params![n, now, kind, new.name];
    connection.prepare_cached(gone).stored()?.execute(values).stored()?;
    let sql = "SELECT coalesce(max(no), 0), count(*) FROM note WHERE n = ?1";
    let mut statement = connection.prepare_cached(sql).stored()?;
    let (last, count): (u32, u32) =
        statement.query_row([n], |row| Ok((row.get(0)?, row.get(1)?))).stored()?;
    if count >= NOTES_MAX {
        return Err(refuse::too_long("the list of notes", count.into(), NOTES_MAX.into()));
    }
    let number = last.saturating_add(1);
    let expires = new.expires_in.map(|wait| clock::after(now, wait));
    let sql = "INSERT INTO note(n, no, kind, name, body, at, expires)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let body = seal::text(seal::owner(connection, n)?, &body)?;
    let values = params![n, number, kind, new.name, body, now, expires];
    prepare_insert(connection, sql)?.execute(values).stored()?;
    Ok(Note {
        number,
        kind: new.kind,
        name: new.name,
        value: new.value,
        at: clock::moment(now),
        expires_at: expires.map(clock::moment),
    })
}

/// Removes a note; says whether there was one.
pub(crate) fn forget(connection: &Connection, n: i64, number: u32) -> Result<bool, Fault> {
    let sql = "DELETE FROM note WHERE n = ?1 AND no = ?2";
    Ok(connection.prepare_cached(sql).stored()?.execute(params![n, number]).stored()? > 0)
}
