//! Conversations that survive: an append-only log of entries, a state, turns and windows.
//!
//! Invariants:
//! - an entry, once written, keeps its bytes and its number; the log of a context has no gaps;
//! - a turn is whole or absent: the question and the answer of an offline model are one
//!   transaction, and the question of an upstream model is durable before the model is called;
//! - a turn costs the same at its 10th and its 100,000th message;
//! - no operation reaches a context of another tenant.

#![expect(
    clippy::result_large_err,
    reason = "closures that read a row return the library's own error, which is that large"
)]

mod actor;
mod audit;
mod branch;
mod clock;
mod content;
mod contexts;
pub mod count;
mod edit;
mod embedding;
mod epoch;
mod found;
mod history;
mod hook;
mod key;
mod knowledge;
mod limits;
mod mount;
mod parameters;
mod plan;
mod query;
mod record;
mod redact;
mod refuse;
mod rows;
mod schema;
mod settings;
mod summary;
mod transfer;
mod turn;
mod vault;
mod weigh;
mod window;

pub use actor::{acting, actor};
pub use audit::{AuditMode, ChainCheck, Change, Changes, What};
pub use branch::{
    Branches, Checkpoint, Child, Comparison, Difference, Left, Merged, OnConflict, To,
};
pub use content::Content;
pub use contexts::{
    Compared, Contexts, Counts, Defect, Export, Import, ImportOrder, Imported, Lifetime, NewShare,
    News, Past, RedactOrder, Redacted, Report, Seen, Share, verify_store,
};
pub use count::tokens;
pub use edit::{Edit, StateEdit, merge_patch};
pub use embedding::{By, Embedder, Embedding, Purpose, Vectorised};
pub use epoch::{Epoch, Footing, Line, Reason, Step};
pub use found::{Hit, Recalled};
pub use history::{Moment, StateChange};
pub use hook::{Attempt, Delivery, DueDelivery, Hook, HookEdit, HookSecret, NewHook};
pub use key::{Key, Tenant};
pub use knowledge::{Knowledge, NewNote, Note, NoteKind, Profile};
pub use limits::Limits;
pub use mount::{
    Errand, LogRange, Mount, MountState, NewMount, Passed, RANGE_ENTRIES_MAX, Signed, Statement,
    read_key,
};
pub use parameters::for_model;
pub use plan::{Plan, Strategy};
pub use query::{Filter, Page, Slice, Sort};
pub use record::{Context, Entry, EntryStatus, New, NewEntry, Size, Status};
pub use redact::{RedactMode, RedactPlan};
pub use schema::SCHEMA;
pub use settings::{OnHangUp, Settings, WhenBusy};
pub use storage::Durability;
pub use summary::{Summary, Task};
pub use transfer::{
    Begin, Broken, Ending, Format, Item, JsonDocument, Parcel, Piece, Reading, Tally,
    read as read_document, read_from,
};
pub use turn::{Begun, Idem, LocalReply, NewTurn, OpenTurn, Outcome, Turn, View};
pub use vault::{KeyBytes, KeySource, Vault, fresh_key};
pub use window::{Budget, Cut, Window};

/// A JSON object whose keys keep the order in which they came.
pub type Map = serde_json::Map<String, serde_json::Value>;
