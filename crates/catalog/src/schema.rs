//! The tables of keys. Steps that were released never change; a change is a new step.

/// Handed to [`storage::Database::open`] by whoever opens the store.
pub const SCHEMA: storage::Schema =
    storage::Schema { name: "catalog", steps: &[MADE_LATER, MADE_LATER], later: &[API_KEY] };

/// A step whose table is made with its first row now.
const MADE_LATER: &str = "";

/// `models` are patterns with commas between them, or nothing for all.
/// `hash` is BLAKE3 of the whole secret: it has 190 random bits, so a slow hash would add nothing.
const API_KEY: &str = "
CREATE TABLE api_key(
  id TEXT PRIMARY KEY, name TEXT NOT NULL, prefix TEXT NOT NULL,
  scopes INTEGER NOT NULL, hash BLOB NOT NULL UNIQUE,
  created INTEGER NOT NULL, expires INTEGER, used INTEGER, revoked INTEGER,
  models TEXT) WITHOUT ROWID;
";
