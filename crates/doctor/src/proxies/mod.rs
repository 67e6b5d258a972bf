//! Which programs go through a proxy: by variables that each reads its own way, and by desktops.

mod clients;
mod files;
#[cfg(any(windows, test))]
mod windows;

pub(crate) use clients::{Client, direct_clients, proxied_clients};
pub(crate) use files::desktop;
