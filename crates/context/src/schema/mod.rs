//! The tables of contexts. Steps that were released never change; a change is a new step.

mod later;

/// Handed to [`storage::Database::open`] by whoever opens the store.
pub const SCHEMA: storage::Schema = storage::Schema {
    name: "context",
    steps: &[
        FIRST, MADE_LATER, BRANCHES, WORDS, AUDIT, MADE_LATER, SEALED, MADE_LATER, LARGE,
        MADE_LATER, MADE_LATER, SIZES, ZEROS,
    ],
    later: later::TABLES,
};

/// A step whose tables are made with their first row now.
const MADE_LATER: &str = "";

/// `ctx` is rewritten with every turn and therefore small; long texts stand beside it. `entry.k` is
/// `ctx.n << 32 | seq`: the log of a context lies together, in order, without an index of its own.
/// `cum` is the running sum of tokens that a model is shown, `safe` the newest entry up to this one
/// at which a window may begin.
const FIRST: &str = "
CREATE TABLE ctx(
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant INTEGER NOT NULL, id TEXT NOT NULL,
  title TEXT, user TEXT,
  status INTEGER NOT NULL,
  created INTEGER NOT NULL, updated INTEGER NOT NULL, expires INTEGER,
  revision INTEGER NOT NULL,
  head INTEGER NOT NULL, turns INTEGER NOT NULL,
  bytes INTEGER NOT NULL, cum INTEGER NOT NULL,
  start_seq INTEGER NOT NULL, safe_seq INTEGER NOT NULL,
  turn_seq INTEGER, open_turn INTEGER, open_tools INTEGER NOT NULL,
  model TEXT, durability INTEGER,
  scale INTEGER NOT NULL, anchor_prompt INTEGER, anchor_cum INTEGER, anchor_start INTEGER,
  parent INTEGER, fork_seq INTEGER,
  UNIQUE(tenant, id));
CREATE INDEX ctx_list ON ctx(tenant, updated);
CREATE INDEX ctx_expires ON ctx(expires) WHERE expires IS NOT NULL;
CREATE INDEX ctx_durability ON ctx(n) WHERE durability IS NOT NULL;
CREATE INDEX ctx_open ON ctx(n) WHERE open_turn IS NOT NULL;

CREATE TABLE entry(
  k INTEGER PRIMARY KEY,
  role INTEGER NOT NULL, status INTEGER NOT NULL,
  safe INTEGER NOT NULL, tok INTEGER NOT NULL, cum INTEGER NOT NULL,
  at INTEGER NOT NULL, hash INTEGER NOT NULL,
  model TEXT, dialect TEXT, meta TEXT, body BLOB NOT NULL);
";

/// Branches. `ctx.log` is the segment that takes new entries (the one with the number of the
/// context when it is absent), `base_seq` and `base_bytes` are what it shares. `entry.turns` and
/// `entry.bytes` are running sums, absent in entries of earlier versions.
const BRANCHES: &str = "
ALTER TABLE ctx ADD COLUMN log INTEGER;
ALTER TABLE ctx ADD COLUMN base_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ctx ADD COLUMN base_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ctx_parent ON ctx(parent) WHERE parent IS NOT NULL;
ALTER TABLE entry ADD COLUMN turns INTEGER;
ALTER TABLE entry ADD COLUMN bytes INTEGER;
";

/// `unindexed` are logs whose entries from `from_seq` on are not in `entry_fts` yet, whose row ids
/// are those of the entries. `ctx.ttl` is the time to live that every use renews.
const WORDS: &str = "
ALTER TABLE ctx ADD COLUMN ttl INTEGER;

CREATE TABLE unindexed(log INTEGER PRIMARY KEY, from_seq INTEGER NOT NULL);
INSERT INTO unindexed SELECT coalesce(log, n), base_seq + 1 FROM ctx WHERE head > base_seq;
CREATE VIRTUAL TABLE entry_fts USING fts5(
  tenant, text, content='', contentless_delete=1,
  tokenize='porter unicode61 remove_diacritics 2');
";

/// `audit` is a chain of lines for each tenant; `audit_head` its newest line, and the one behind
/// which it begins.
const AUDIT: &str = "
CREATE TABLE audit(
  tenant INTEGER NOT NULL, no INTEGER NOT NULL,
  context TEXT NOT NULL, at INTEGER NOT NULL, who TEXT, what TEXT NOT NULL,
  before BLOB, after BLOB, detail TEXT NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY(tenant, no)) WITHOUT ROWID;
CREATE INDEX audit_context ON audit(tenant, context, no);
CREATE TABLE audit_head(
  tenant INTEGER PRIMARY KEY, no INTEGER NOT NULL, hash BLOB NOT NULL,
  base_no INTEGER NOT NULL, base_hash BLOB NOT NULL);
";

/// Encryption. `ctx.key` is the number of the tenant's key that seals what the context holds.
const SEALED: &str = "
ALTER TABLE ctx ADD COLUMN key INTEGER;
";

/// Large stores. Every order and every common condition of the list has an index; a log is found
/// by its number. Contexts that an import is still filling have the status 2: what is left of one
/// when a process dies is found by its index and removed.
const LARGE: &str = "
CREATE INDEX ctx_created ON ctx(tenant, created);
CREATE INDEX ctx_size ON ctx(tenant, bytes);
CREATE INDEX ctx_user ON ctx(tenant, user, updated) WHERE user IS NOT NULL;
CREATE INDEX ctx_closed ON ctx(tenant, updated) WHERE status = 1;
CREATE INDEX ctx_filling ON ctx(n) WHERE status = 2;
CREATE INDEX ctx_log ON ctx(log) WHERE log IS NOT NULL;
";

/// The list by size is read along `sized`: the size of a context when it was last an eighth larger
/// or smaller. Writing it with every turn would cost a tenth of the turn.
const SIZES: &str = "
ALTER TABLE ctx ADD COLUMN sized INTEGER NOT NULL DEFAULT 0;
UPDATE ctx SET sized = bytes;
DROP INDEX ctx_size;
CREATE INDEX ctx_size ON ctx(tenant, sized);
";

/// `zeros` has taken the place of `blank`, which had no number.
const ZEROS: &str = "
DROP TABLE IF EXISTS blank;
";
