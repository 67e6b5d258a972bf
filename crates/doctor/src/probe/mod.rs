//! The probes: small exchanges over TCP that show the bytes and the errors a library would hide.

pub(crate) mod chunk;
pub(crate) mod dial;
pub(crate) mod first;
pub(crate) mod http;
pub(crate) mod speech;
pub(crate) mod talk;
pub(crate) mod tls;
pub(crate) mod trust;
