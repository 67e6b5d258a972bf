//! The tables of keys. Steps that were released never change; a change is a new step.

/// Handed to [`storage::Database::open`] by whoever opens the store.
pub const SCHEMA: storage::Schema = storage::Schema { name: "catalog", steps: &[FIRST, LIMITS] };

/// `hash` is BLAKE3 of the whole secret: it has 190 random bits, so a slow hash would add nothing.
const FIRST: &str = "
CREATE TABLE api_key(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, prefix TEXT NOT NULL,
  scopes INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE,
  created INTEGER NOT NULL, expires INTEGER, used INTEGER, revoked INTEGER) WITHOUT ROWID;
";

/// The models a key may use: patterns with commas between them, or nothing for all.
const LIMITS: &str = "ALTER TABLE api_key ADD COLUMN models TEXT;";
