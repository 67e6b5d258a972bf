//! Tables of contexts that are made with their first row: a store pays for what it is used for.

/// All of them, each in its newest form.
pub(super) const TABLES: &[&str] = &[
    // Long texts of a context.
    "
CREATE TABLE ctx_state(n INTEGER PRIMARY KEY, state TEXT NOT NULL);
",
    "
CREATE TABLE ctx_doc(
  n INTEGER PRIMARY KEY, system TEXT, settings TEXT NOT NULL, metadata TEXT NOT NULL);
",
    // Requests that were answered, and contexts that ended, both for a time.
    "
CREATE TABLE idem(
  tenant INTEGER NOT NULL, key TEXT NOT NULL,
  at INTEGER NOT NULL, hash BLOB NOT NULL, reply TEXT,
  PRIMARY KEY(tenant, key)) WITHOUT ROWID;
CREATE INDEX idem_at ON idem(at);
",
    "
CREATE TABLE gone(
  tenant INTEGER NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(tenant, id)) WITHOUT ROWID;
CREATE INDEX gone_at ON gone(at);
",
    // Contexts whose entries are removed little by little.
    "
CREATE TABLE trash(n INTEGER PRIMARY KEY);
",
    // What is known beside the conversation: profiles of users, and notes of a context (facts that
    // may expire, and the state of the environment by name).
    "
CREATE TABLE profile(
  tenant INTEGER NOT NULL, user TEXT NOT NULL,
  revision INTEGER NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY(tenant, user)) WITHOUT ROWID;
",
    "
CREATE TABLE note(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  kind INTEGER NOT NULL, name TEXT, body TEXT NOT NULL,
  at INTEGER NOT NULL, expires INTEGER,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
CREATE UNIQUE INDEX note_name ON note(n, kind, name) WHERE name IS NOT NULL;
",
    // Branches. `link`: the log of segment `s` goes on after entry `upto` of segment `parent`;
    // `kept` are segments whose context is gone while another log still reads them. `view` are the
    // logs a context has left by a rollback.
    "
CREATE TABLE link(
  s INTEGER PRIMARY KEY, parent INTEGER NOT NULL, upto INTEGER NOT NULL);
CREATE INDEX link_parent ON link(parent, upto);
",
    "
CREATE TABLE kept(s INTEGER PRIMARY KEY);
",
    "
CREATE TABLE view(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  log INTEGER NOT NULL, head INTEGER NOT NULL, cause TEXT NOT NULL, at INTEGER NOT NULL,
  state TEXT,
  base_seq INTEGER NOT NULL, base_bytes INTEGER NOT NULL,
  turns INTEGER NOT NULL, bytes INTEGER NOT NULL, cum INTEGER NOT NULL,
  start_seq INTEGER NOT NULL, safe_seq INTEGER NOT NULL,
  turn_seq INTEGER, open_tools INTEGER NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
CREATE INDEX view_log ON view(log);
",
    "
CREATE TABLE checkpoint(
  n INTEGER NOT NULL, name TEXT NOT NULL,
  log INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
  revision INTEGER NOT NULL, note TEXT, state TEXT NOT NULL,
  PRIMARY KEY(n, name)) WITHOUT ROWID;
",
    "
CREATE TABLE fork_state(n INTEGER PRIMARY KEY, state TEXT NOT NULL);
",
    "
CREATE TABLE share(
  hash BLOB PRIMARY KEY, n INTEGER NOT NULL, no INTEGER NOT NULL,
  at INTEGER NOT NULL, expires INTEGER, upto INTEGER, name TEXT) WITHOUT ROWID;
CREATE UNIQUE INDEX share_n ON share(n, no);
",
    // What goes to models. `trail` is the last answered request of a context, `epoch` its history.
    // `summary` stands for the entries up to `upto` of the log `log`; one with a `level` is a node
    // of a tree. `pin` are entries that are always carried.
    "
CREATE TABLE trail(
  n INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, branch INTEGER NOT NULL,
  start INTEGER NOT NULL, summary INTEGER, pinned INTEGER NOT NULL, model TEXT NOT NULL,
  system INTEGER NOT NULL, tools INTEGER NOT NULL,
  messages INTEGER NOT NULL, hash INTEGER NOT NULL,
  cleared INTEGER NOT NULL DEFAULT 0);
",
    "
CREATE TABLE epoch(
  n INTEGER NOT NULL, no INTEGER NOT NULL, at INTEGER NOT NULL,
  reason TEXT NOT NULL, model TEXT NOT NULL, start_seq INTEGER NOT NULL,
  turns INTEGER NOT NULL, rewritten INTEGER NOT NULL,
  prompt INTEGER NOT NULL, cached INTEGER NOT NULL, written INTEGER NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
",
    "
CREATE TABLE summary(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  log INTEGER NOT NULL, first_seq INTEGER NOT NULL, upto INTEGER NOT NULL,
  hash BLOB NOT NULL, at INTEGER NOT NULL, model TEXT NOT NULL, text TEXT NOT NULL,
  level INTEGER,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
",
    "
CREATE TABLE pin(
  n INTEGER NOT NULL, seq INTEGER NOT NULL, log INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY(n, seq, log)) WITHOUT ROWID;
",
    // Webhooks with their sealed secrets, and what they are to be told.
    "
CREATE TABLE hook(
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant INTEGER NOT NULL, context TEXT, url TEXT NOT NULL, events TEXT NOT NULL, name TEXT,
  salt TEXT NOT NULL, secret BLOB NOT NULL, at INTEGER NOT NULL,
  enabled INTEGER NOT NULL, dropped INTEGER NOT NULL);
",
    "
CREATE TABLE hook_task(
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  hook INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
  at INTEGER NOT NULL, due INTEGER NOT NULL, tries INTEGER NOT NULL, dead INTEGER NOT NULL,
  error TEXT);
CREATE INDEX hook_task_due ON hook_task(hook, dead, due);
",
    // Windows. `wind` is what the last cut decided; `tool_sum` the running sum, by entry, of the
    // tokens that clearing the results of tools would save.
    "
CREATE TABLE wind(
  n INTEGER PRIMARY KEY, cleared INTEGER NOT NULL, nodes INTEGER NOT NULL);
",
    "
CREATE TABLE tool_sum(k INTEGER PRIMARY KEY, cum INTEGER NOT NULL);
",
    // The keys of tenants, themselves sealed with the master key of the vault.
    "
CREATE TABLE tenant_key(
  tenant INTEGER NOT NULL, no INTEGER NOT NULL, sealed BLOB NOT NULL,
  at INTEGER NOT NULL, gone INTEGER,
  PRIMARY KEY(tenant, no));
",
    // Recall. `vector` holds what a model made of an entry, `embedded` how far each segment is, and
    // for which model.
    "
CREATE TABLE vector_model(
  no INTEGER PRIMARY KEY, name TEXT NOT NULL, dimensions INTEGER NOT NULL,
  UNIQUE(name, dimensions));
",
    "
CREATE TABLE vector(k INTEGER PRIMARY KEY, model INTEGER NOT NULL, body BLOB NOT NULL);
",
    "
CREATE TABLE embedded(log INTEGER PRIMARY KEY, model TEXT NOT NULL, upto INTEGER NOT NULL);
",
    // The past of states. A row holds what a change set and removed, and now and then the whole
    // state; `base` is the row with the whole that it builds on, `since` the bytes of changes since
    // then, `cum` those of all. `seq` is the newest entry when it was made, in the segment `log`.
    "
CREATE TABLE state_change(
  n INTEGER NOT NULL, no INTEGER NOT NULL,
  log INTEGER NOT NULL, seq INTEGER NOT NULL, revision INTEGER NOT NULL,
  at INTEGER NOT NULL, who TEXT, cause TEXT NOT NULL,
  base INTEGER NOT NULL, since INTEGER NOT NULL, cum INTEGER NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY(n, no)) WITHOUT ROWID;
",
    // Takes the free pages of the file while zeros are written over them.
    "
CREATE TABLE zeros(no INTEGER PRIMARY KEY, body BLOB NOT NULL);
",
    // The key that signs ranges for other servers.
    "
CREATE TABLE signer(
  no INTEGER PRIMARY KEY, seed BLOB NOT NULL, at INTEGER NOT NULL);
",
    // Contexts of other servers. `n` is the row of the context, absent when its origin ended it;
    // `chain` is behind its newest entry, and `statement` proves that.
    "
CREATE TABLE mount(
  tenant INTEGER NOT NULL, id TEXT NOT NULL, n INTEGER,
  url TEXT NOT NULL, salt TEXT NOT NULL, token BLOB NOT NULL, key TEXT NOT NULL,
  remote TEXT NOT NULL, created INTEGER NOT NULL, head INTEGER NOT NULL, messages INTEGER NOT NULL,
  chain BLOB NOT NULL, statement BLOB, signature TEXT,
  at INTEGER NOT NULL, checked INTEGER NOT NULL, tried INTEGER NOT NULL, due INTEGER NOT NULL,
  failures INTEGER NOT NULL, state INTEGER NOT NULL, error TEXT,
  PRIMARY KEY(tenant, id)) WITHOUT ROWID;
",
];
