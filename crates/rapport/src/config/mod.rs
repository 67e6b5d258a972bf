//! Configuration: read from every source, resolved once, and everything wrong said together.
//!
//! Flags win over the environment, that over `.env` files, that over the configuration file, that
//! over the providers that the API added, those over the defaults. Invariant: after start nobody
//! asks whether something is set.

pub(crate) mod added;
mod dotenv;
pub(crate) mod env;
mod file;
pub(crate) mod generate;
pub(crate) mod keys;
mod layer;
mod load;
mod mcp;
mod nearest;
mod problem;
mod prompts;
mod providers;
mod read;
pub(crate) mod reload;
mod resolve;
mod resolved;
mod routes;
pub(crate) mod running;
pub(crate) mod sealed;
mod secret;
pub(crate) mod show;
mod stack;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use env::Environment;
pub(crate) use load::{Flag, Inputs, Loaded, load};
pub(crate) use nearest::nearest;
pub(crate) use problem::{Place, Refused};
pub(crate) use resolved::{Config, Log, LogFormat, Ports, Store, Tls, TlsMode};
