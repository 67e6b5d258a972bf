//! Says how far the server can be reached, and refuses what would be open to everybody.

use std::net::SocketAddr;

use anyhow::bail;
use gateway::settings::AuthMode;

use super::said;
use crate::config::{Config, TlsMode};
use crate::listen::address::is_exposed;
use crate::parts::Parts;
use crate::print::Printer;

/// Warns about a port that may not be there tomorrow.
pub(super) fn warn_about_port(config: &Config, printer: &mut Printer) {
    if config.ports.range.is_none() && config.ports.port != 0 {
        for warning in doctor::port::bind_warnings(config.ports.port) {
            said(printer, &warning);
        }
    }
}

/// Refuses a server that everybody could use, and warns about one that is merely exposed.
///
/// # Errors
/// When an address can be reached from outside and nobody would have to show a key.
pub(super) fn check(
    config: &Config,
    addresses: &[SocketAddr],
    parts: &Parts,
    printer: &mut Printer,
) -> anyhow::Result<()> {
    let settings = &config.gateway;
    if settings.debug {
        said(printer, "debug is on: logs and errors say more than others should read");
    }
    let Some(outside) = addresses.iter().find(|address| is_exposed(address.ip())) else {
        return Ok(());
    };
    let without_keys = parts.keys.is_empty();
    match settings.auth {
        AuthMode::Auto if without_keys => bail!(
            "{outside} can be reached from other machines and no key exists: make one with \
             `rapport key create NAME`, or listen on `localhost`, or set `auth.mode` (`required` \
             starts closed, `auto-dev` is open and for development only)"
        ),
        AuthMode::AutoDev if without_keys => said(
            printer,
            &format!(
                "{outside} is open to everybody who can reach it: `auth.mode` is auto-dev and no \
                 key exists; make one with `rapport key create NAME`"
            ),
        ),
        AuthMode::Required if without_keys => said(
            printer,
            "no key exists, so nobody can call yet: make one with `rapport key create NAME`",
        ),
        AuthMode::Auto | AuthMode::Required | AuthMode::AutoDev => {}
    }
    if config.tls.mode != TlsMode::Required {
        said(
            printer,
            &format!(
                "{outside} takes plain HTTP from other machines, which shows keys to everybody in \
                 between: set `tls.mode: required`, or put a TLS proxy in front"
            ),
        );
    }
    Ok(())
}
