//! What the database's errors mean to a caller and to an operator.

use rusqlite::ErrorCode;
use serde_json::json;
use wire::{Code, Fault};

/// Turns the library's results into ours: `connection.execute(…).stored()?`.
pub trait Stored<T> {
    /// Replaces the library's error by a `storage_error`.
    ///
    /// # Errors
    /// `storage_error` with `details.reason` when the database refused.
    fn stored(self) -> Result<T, Fault>;
}

impl<T> Stored<T> for Result<T, rusqlite::Error> {
    fn stored(self) -> Result<T, Fault> {
        self.map_err(fault)
    }
}

/// Makes a `storage_error` with `details.reason`: `disk_full`, `io_error`, `corrupt`, `read_only`,
/// `busy` or `refused`.
#[must_use]
pub fn fault(error: rusqlite::Error) -> Fault {
    let (reason, text, hint) = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => (
            "disk_full",
            "the store cannot write: the disk is full",
            "free some space in the data folder; nothing of this request was stored",
        ),
        Some(ErrorCode::SystemIoFailure) => (
            "io_error",
            "the store cannot write or read: the disk reports an error",
            "look into the system log for errors of the disk that holds the data folder",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            "corrupt",
            "the store is damaged",
            "stop the server and restore a backup with `rapport restore`",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            "read_only",
            "the store may not be written",
            "give the user of the server write access to the data folder",
        ),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            "busy",
            "the store is locked by another program",
            "close other programs that have the database file open",
        ),
        _ => (
            "refused",
            "the store refused an operation",
            "this is a defect of the program; the log has the details",
        ),
    };
    Fault::new(Code::StorageError, text)
        .hint(hint)
        .details(json!({ "reason": reason }))
        .because(error)
}

/// The answer to everybody who still asks after the store was closed.
pub(crate) fn closed() -> Fault {
    Fault::new(Code::StorageError, "the store is closed")
        .hint("the server is shutting down; try again when it is back")
        .details(json!({ "reason": "closed" }))
}

/// The answer to every member of a batch whose transaction the database took back.
pub(crate) fn taken_back(cause: &Fault) -> Fault {
    let mut out = Fault::new(cause.code(), cause.text()).because(cause.chain());
    if let Some(hint) = cause.hint_text() {
        out = out.hint(hint);
    }
    if let Some(details) = cause.detail_values() {
        out = out.details(details.clone());
    }
    out
}
