//! The log.

use storage::rusqlite::Connection;
use wire::Fault;

pub(crate) fn contains(_: &Connection, _: i64, _: u32, _: &str) -> Result<bool, Fault> {
    Err(Fault::internal("not built yet"))
}
