//! Sharing: a token that opens one context for reading, and nothing else.

use std::time::Duration;

use jiff::Timestamp;
use storage::rusqlite::{OptionalExtension, Row as Found, params};
use storage::{Stored, prepare_insert};
use wire::{Code, Fault};

use super::{Contexts, Job};
use crate::rows::ctx;
use crate::{Key, Tenant, What, clock, refuse};

/// What tokens begin with, so that people and scanners know them.
const PREFIX: &str = "rap_share_";
/// Limit: tokens of one context.
const SHARES_MAX: u32 = 100;
/// Limit: characters of a name.
const NAME_CHARACTERS_MAX: usize = 256;

/// A share to be made.
#[derive(Clone, Debug, Default)]
pub struct NewShare {
    /// Whom it is for.
    pub name: Option<String>,
    /// How long it opens the context; for ever when absent.
    pub expires_in: Option<Duration>,
    /// Only the entries up to this one; new ones too when absent.
    pub upto: Option<u32>,
}

/// A token that opens a context. The token itself is kept as a hash only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its number in the context.
    pub number: u32,
    /// Whom it is for.
    pub name: Option<String>,
    /// When it was made.
    pub at: Timestamp,
    /// When it opens nothing any more.
    pub expires_at: Option<Timestamp>,
    /// The last entry it shows.
    pub upto: Option<u32>,
}

impl Contexts {
    /// Makes a token that opens a context for reading; the token is shown this once.
    ///
    /// # Errors
    /// `invalid_input`, `quota_exceeded`, `context_not_found`, `context_expired`,
    /// `storage_error`.
    pub async fn share(&self, key: &Key, new: NewShare) -> Result<(String, Share), Fault> {
        if new.name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARACTERS_MAX) {
            return Err(refuse::invalid("name", "must have at most 256 characters"));
        }
        let secret = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        let token = format!("{PREFIX}{}{}", secret[0].simple(), secret[1].simple());
        let hash = hash(&token);
        let durability = self.durability_for(key, None);
        let key = key.clone();
        let share = self.write(durability, move |job| {
            job.watched(&key, What::Shared, || job.share(&key, new, hash))
        });
        Ok((token, share.await?))
    }

    /// The shares of a context, the ended ones left out.
    ///
    /// # Errors
    /// `context_not_found`, `context_expired`, `storage_error`.
    pub async fn shares(&self, key: &Key) -> Result<Vec<Share>, Fault> {
        let key = key.clone();
        self.read(move |connection| {
            let now = clock::now();
            let row = ctx::live(connection, &key, now)?;
            let sql = "SELECT no, name, at, expires, upto FROM share
                           WHERE n = ?1 AND (expires IS NULL OR expires > ?2) ORDER BY no";
            let mut statement = connection.prepare_cached(sql).stored()?;
            let found = statement.query_map(params![row.n, now], |found| read(found, 0));
            found.stored()?.collect::<Result<_, _>>().stored()
        })
        .await
    }

    /// Ends a share: its token opens nothing any more.
    ///
    /// # Errors
    /// `not_found`, `context_not_found`, `context_expired`, `storage_error`.
    pub async fn end_share(&self, key: &Key, number: u32) -> Result<(), Fault> {
        let durability = self.durability_for(key, None);
        let key = key.clone();
        self.write(durability, move |job| {
            job.watched(&key, What::Shared, || job.end_share(&key, number))
        })
        .await
    }

    /// The context that a token opens.
    ///
    /// # Errors
    /// `unauthorized` for a token that opens nothing, `storage_error`.
    pub async fn opened_by(&self, token: &str) -> Result<(Key, Share), Fault> {
        let hash = hash(token);
        self.read(move |connection| {
            let now = clock::now();
            let sql = "SELECT c.tenant, c.id, s.no, s.name, s.at, s.expires, s.upto
                           FROM share s JOIN ctx c ON c.n = s.n
                           WHERE s.hash = ?1 AND (s.expires IS NULL OR s.expires > ?2)
                             AND (c.expires IS NULL OR c.expires > ?2)";
            let mut statement = connection.prepare_cached(sql).stored()?;
            let found = statement
                .query_row(params![hash.as_slice(), now], |found| {
                    let id: String = found.get(1)?;
                    let key = Key { tenant: Tenant(found.get(0)?), id: id.into() };
                    Ok((key, read(found, 2)?))
                })
                .optional()
                .stored()?;
            found.ok_or_else(|| {
                Fault::new(Code::Unauthorized, "this token opens no context")
                    .hint("it has expired or was ended; ask for a new one")
            })
        })
        .await
    }
}

impl Job<'_> {
    fn share(&self, key: &Key, new: NewShare, hash: [u8; 32]) -> Result<Share, Fault> {
        let row = self.live(key)?;
        if let Some(upto) = new.upto.filter(|upto| *upto > row.head) {
            return Err(refuse::beyond(upto.into(), row.head));
        }
        let sql = "SELECT coalesce(max(no), 0), count(*) FROM share WHERE n = ?1";
        let (last, count): (u32, u32) = self
            .connection
            .query_row(sql, [row.n], |found| Ok((found.get(0)?, found.get(1)?)))
            .stored()?;
        if count >= SHARES_MAX {
            let text = format!("the context is shared {count} times, its limit");
            return Err(Fault::new(Code::QuotaExceeded, text).hint("end some of the shares"));
        }
        let expires = new.expires_in.map(|wait| clock::after(self.now, wait));
        let sql = "INSERT INTO share(hash, n, no, at, expires, upto, name)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values =
            params![hash.as_slice(), row.n, last + 1, self.now, expires, new.upto, new.name];
        prepare_insert(self.connection, sql)?.execute(values).stored()?;
        Ok(Share {
            number: last + 1,
            name: new.name,
            at: clock::moment(self.now),
            expires_at: expires.map(clock::moment),
            upto: new.upto,
        })
    }

    fn end_share(&self, key: &Key, number: u32) -> Result<(), Fault> {
        let row = self.live(key)?;
        let sql = "DELETE FROM share WHERE n = ?1 AND no = ?2";
        let mut statement = self.connection.prepare_cached(sql).stored()?;
        if statement.execute(params![row.n, number]).stored()? == 0 {
            let text = format!("the context has no share {number}");
            return Err(Fault::new(Code::NotFound, text).hint("`GET …/share` lists them"));
        }
        Ok(())
    }
}

fn read(row: &Found<'_>, at: usize) -> Result<Share, storage::rusqlite::Error> {
    Ok(Share {
        number: row.get(at)?,
        name: row.get(at + 1)?,
        at: clock::moment(row.get(at + 2)?),
        expires_at: row.get::<_, Option<i64>>(at + 3)?.map(clock::moment),
        upto: row.get(at + 4)?,
    })
}

fn hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}
