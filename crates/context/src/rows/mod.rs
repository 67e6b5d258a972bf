//! How records lie in tables.

pub(crate) mod entry;
