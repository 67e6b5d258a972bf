//! The tables of contexts. Steps that were released never change; a change is a new step.

/// Handed to [`storage::Database::open`] by whoever opens the store.
pub const SCHEMA: storage::Schema = storage::Schema {
    name: "context",
    steps: &[
        FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH, SEALED, VECTORS, LARGE, PAST, BLANK, SIZES,
    ],
};

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

CREATE TABLE ctx_state(n INTEGER PRIMARY KEY, state TEXT NOT NULL);
CREATE TABLE ctx_doc(
  n INTEGER PRIMARY KEY, system TEXT, settings TEXT NOT NULL, metadata TEXT NOT NULL);

CREATE TABLE entry(
  k INTEGER PRIMARY KEY,
  role INTEGER NOT NULL, status INTEGER NOT NULL,
  safe INTEGER NOT NULL, tok INTEGER NOT NULL, cum INTEGER NOT NULL,
  at INTEGER NOT NULL, hash INTEGER NOT NULL,
  model TEXT, dialect TEXT, meta TEXT, body BLOB NOT NULL);

CREATE TABLE idem(
  tenant INTEGER NOT NULL, key TEXT NOT NULL,
  at INTEGER NOT NULL, hash BLOB NOT NULL, reply TEXT,
  PRIMARY KEY(tenant, key)) WITHOUT ROWID;
CREATE INDEX idem_at ON idem(at);

CREATE TABLE gone(
  tenant INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(tenant, id)) WITHOUT ROWID;
CREATE INDEX gone_at ON gone(at);

CREATE TABLE trash(n INTEGER PRIMARY KEY);
";

/// What is known beside the conversation: profiles of users, and notes of a context (facts that
/// may expire, and the state of the environment by name).
const SECOND: &str = "
CREATE TABLE profile(
  tenant INTEGER NOT NULL, user TEXT NOT NULL,
  revision INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY(tenant, user)) WITHOUT ROWID;

CREATE TABLE note(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  kind INTEGER NOT NULL, name TEXT, body TEXT NOT NULL,
  at INTEGER NOT NULL, expires INTEGER,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
CREATE UNIQUE INDEX note_name ON note(n, kind, name) WHERE name IS NOT NULL;
";

/// Branches. `link`: the log of segment `s` goes on after entry `upto` of segment `parent`; `kept`
/// are segments whose context is gone while another log still reads them. `ctx.log` is the segment
/// that takes new entries (the one with the number of the context when it is absent), `base_seq`
/// and `base_bytes` are what it shares. `entry.turns` and `entry.bytes` are running sums, absent in
/// entries of earlier versions. `view` are the logs a context has left by a rollback.
const THIRD: &str = "
ALTER TABLE ctx ADD COLUMN log INTEGER;
ALTER TABLE ctx ADD COLUMN base_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ctx ADD COLUMN base_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ctx_parent ON ctx(parent) WHERE parent IS NOT NULL;
ALTER TABLE entry ADD COLUMN turns INTEGER;
ALTER TABLE entry ADD COLUMN bytes INTEGER;

CREATE TABLE link(
  s INTEGER PRIMARY KEY, parent INTEGER NOT NULL, upto INTEGER NOT NULL);
CREATE INDEX link_parent ON link(parent, upto);
CREATE TABLE kept(s INTEGER PRIMARY KEY);

CREATE TABLE view(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  log INTEGER NOT NULL, head INTEGER NOT NULL, cause TEXT NOT NULL, at INTEGER NOT NULL,
  state TEXT,
  base_seq INTEGER NOT NULL, base_bytes INTEGER NOT NULL,
  turns INTEGER NOT NULL, bytes INTEGER NOT NULL, cum INTEGER NOT NULL,
  start_seq INTEGER NOT NULL, safe_seq INTEGER NOT NULL,
  turn_seq INTEGER, open_tools INTEGER NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;

CREATE TABLE checkpoint(
  n INTEGER NOT NULL, name TEXT NOT NULL,
  log INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
  revision INTEGER NOT NULL, note TEXT, state TEXT NOT NULL,
  PRIMARY KEY(n, name)) WITHOUT ROWID;
CREATE TABLE fork_state(n INTEGER PRIMARY KEY, state TEXT NOT NULL);

CREATE TABLE share(
  hash BLOB PRIMARY KEY, n INTEGER NOT NULL, no INTEGER NOT NULL,
  at INTEGER NOT NULL, expires INTEGER, upto INTEGER, name TEXT) WITHOUT ROWID;
CREATE UNIQUE INDEX share_n ON share(n, no);
";

/// What goes to models. `trail` is the last answered request of a context, `epoch` its history.
/// `summary` stands for the entries up to `upto` of the log `log`. `pin` are entries that are
/// always carried. `unindexed` are logs whose entries from `from_seq` on are not in `entry_fts`
/// yet, whose row ids are those of the entries. `ctx.ttl` is the time to live that every use
/// renews.
const FOURTH: &str = "
ALTER TABLE ctx ADD COLUMN ttl INTEGER;

CREATE TABLE trail(
  n INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, branch INTEGER NOT NULL,
  start INTEGER NOT NULL, summary INTEGER, pinned INTEGER NOT NULL, model TEXT NOT NULL,
  system INTEGER NOT NULL, tools INTEGER NOT NULL,
  messages INTEGER NOT NULL, hash INTEGER NOT NULL);
CREATE TABLE epoch(
  n INTEGER NOT NULL, no INTEGER NOT NULL, at INTEGER NOT NULL,
  reason TEXT NOT NULL, model TEXT NOT NULL, start_seq INTEGER NOT NULL,
  turns INTEGER NOT NULL, rewritten INTEGER NOT NULL,
  prompt INTEGER NOT NULL, cached INTEGER NOT NULL, written INTEGER NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;

CREATE TABLE summary(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  log INTEGER NOT NULL, first_seq INTEGER NOT NULL, upto INTEGER NOT NULL,
  hash BLOB NOT NULL, at INTEGER NOT NULL, model TEXT NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
CREATE TABLE pin(
  n INTEGER NOT NULL, seq INTEGER NOT NULL, log INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(n, seq, log)) WITHOUT ROWID;

CREATE TABLE unindexed(log INTEGER PRIMARY KEY, from_seq INTEGER NOT NULL);
INSERT INTO unindexed SELECT coalesce(log, n), base_seq + 1 FROM ctx WHERE head > base_seq;
CREATE VIRTUAL TABLE entry_fts USING fts5(
  tenant, text, content='', contentless_delete=1,
  tokenize='porter unicode61 remove_diacritics 2');
";

/// Changes. `audit` is a chain of lines for each tenant; `audit_head` its newest line, and the one
/// behind which it begins. `hook` are webhooks with their sealed secrets, `hook_task` what they
/// are to be told.
const FIFTH: &str = "
CREATE TABLE audit(
  tenant INTEGER NOT NULL, no INTEGER NOT NULL,
  context TEXT NOT NULL, at INTEGER NOT NULL, who TEXT, what TEXT NOT NULL,
  before BLOB, after BLOB, detail TEXT NOT NULL, hash BLOB NOT NULL,
  PRIMARY KEY(tenant, no)) WITHOUT ROWID;
CREATE INDEX audit_context ON audit(tenant, context, no);
CREATE TABLE audit_head(
  tenant INTEGER PRIMARY KEY, no INTEGER NOT NULL, hash BLOB NOT NULL,
  base_no INTEGER NOT NULL, base_hash BLOB NOT NULL);

CREATE TABLE hook(
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant INTEGER NOT NULL, context TEXT, url TEXT NOT NULL, events TEXT NOT NULL, name TEXT,
  salt TEXT NOT NULL, secret BLOB NOT NULL, at INTEGER NOT NULL,
  enabled INTEGER NOT NULL, dropped INTEGER NOT NULL);
CREATE TABLE hook_task(
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  hook INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
  at INTEGER NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL, dead INTEGER NOT NULL,
  error TEXT);
CREATE INDEX hook_task_due ON hook_task(hook, dead, due);
";

/// Windows. `wind` is what the last cut decided; `tool_sum` the running sum, by entry, of the
/// tokens that clearing the results of tools would save. A summary with a `level` is a node of a
/// tree.
const SIXTH: &str = "
CREATE TABLE wind(
  n INTEGER PRIMARY KEY, cleared INTEGER NOT NULL, nodes INTEGER NOT NULL);
CREATE TABLE tool_sum(k INTEGER PRIMARY KEY, cum INTEGER NOT NULL);
ALTER TABLE trail ADD COLUMN cleared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE summary ADD COLUMN level INTEGER;
";

/// Encryption. `ctx.key` is the number of the tenant's key that seals what the context holds;
/// `tenant_key` are those keys, themselves sealed with the master key of the vault.
const SEALED: &str = "
ALTER TABLE ctx ADD COLUMN key INTEGER;
CREATE TABLE tenant_key(
  tenant INTEGER NOT NULL, no INTEGER NOT NULL, sealed BLOB NOT NULL,
  at INTEGER NOT NULL, gone INTEGER,
  PRIMARY KEY(tenant, no));
";

/// Recall. `vector` holds what a model made of an entry, `embedded` how far each segment is, and
/// for which model.
const VECTORS: &str = "
CREATE TABLE vector_model(
  no INTEGER PRIMARY KEY, name TEXT NOT NULL, dimensions INTEGER NOT NULL,
  UNIQUE(name, dimensions));
CREATE TABLE vector(k INTEGER PRIMARY KEY, model INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE embedded(log INTEGER PRIMARY KEY, model TEXT NOT NULL, upto INTEGER NOT NULL);
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
CREATE INDEX view_log ON view(log);
";

/// The past of states. A row holds what a change set and removed, and now and then the whole state;
/// `base` is the row with the whole that it builds on, `since` the bytes of changes since then,
/// `cum` those of all. `seq` is the newest entry when it was made, in the segment `log`.
const PAST: &str = "
CREATE TABLE state_change(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  log INTEGER NOT NULL, seq INTEGER NOT NULL, revision INTEGER NOT NULL,
  at INTEGER NOT NULL, who TEXT, cause TEXT NOT NULL,
  base INTEGER NOT NULL, since INTEGER NOT NULL, cum INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
";

/// `blank` takes the free pages of the file while zeros are written over them.
const BLANK: &str = "
CREATE TABLE blank(body BLOB NOT NULL);
";

/// The list by size is read along `sized`: the size of a context when it was last an eighth larger
/// or smaller. Writing it with every turn would cost a tenth of the turn.
const SIZES: &str = "
ALTER TABLE ctx ADD COLUMN sized INTEGER NOT NULL DEFAULT 0;
UPDATE ctx SET sized = bytes;
DROP INDEX ctx_size;
CREATE INDEX ctx_size ON ctx(tenant, sized);
";
