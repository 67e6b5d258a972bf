//! Which server a command means: what was said, what is configured, what runs, else home.

use std::net::IpAddr;

use doctor::port::{HOME, LogicalMap, Place};

use super::address::{Address, Rules, read_port};
use super::client_file;
use super::failure::{Class, Failure};
use crate::config::{Config, Environment, TlsMode};
use crate::runtime;

/// What the user said about the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// `--url`.
    pub(crate) url: Option<String>,
    /// `--host`.
    pub(crate) host: Option<String>,
    /// `--port`.
    pub(crate) port: Option<String>,
    /// `--strict-ports`.
    pub(crate) strict: bool,
    /// `--data`: the server that works on this folder is meant.
    pub(crate) data: bool,
}

/// A server's address, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The address.
    pub(crate) address: Address,
    /// One line for standard error.
    pub(crate) warning: Option<String>,
    /// The user named this address; no other one is meant.
    pub(crate) named: bool,
    /// Nothing says that a server is there: it is only where one usually is.
    pub(crate) guessed: bool,
    /// The settings of a desktop client name it.
    pub(crate) by_client: bool,
}

impl Found {
    fn new(address: Address, warning: Option<String>) -> Self {
        Self { address, warning, named: false, guessed: false, by_client: false }
    }
}

/// Finds the server.
///
/// # Errors
/// [`Class::Usage`] for an address that is none, [`Class::InvalidPort`] for a port that is none.
pub(crate) fn find(
    said: &Said,
    env: &Environment,
    config: Option<&Config>,
) -> Result<Found, Failure> {
    let usual = LogicalMap::default();
    let logical = config.map_or(&usual, |config| &config.ports.logical);
    let strict = said.strict || config.is_some_and(|config| config.ports.strict);
    let rules = Rules { strict, logical };
    if let Some(found) = by_flags(said, config, rules)? {
        return Ok(found);
    }
    if let Some(url) = env.get("RAPPORT_URL") {
        let (address, warning) = Address::parse(url, rules)?;
        return Ok(Found { named: true, ..Found::new(address, warning) });
    }
    let (settings, broken) = client_file::settings(env);
    let settings = if said.data { Vec::new() } else { settings };
    if let Some((address, warning)) = client_file::address(&settings, rules)? {
        let differs = config.and_then(|config| other_port(&address, config));
        let warning = warning.or(broken).or(differs);
        return Ok(Found { named: true, by_client: true, ..Found::new(address, warning) });
    }
    let by_folder = config.and_then(|config| runtime::of_folder(&config.data));
    let found = config.and_then(configured).filter(|_| !said.data || by_folder.is_none());
    if let Some(config) = config.filter(|_| said.data && by_folder.is_none()) {
        let guessed = found.is_none();
        let address = found.unwrap_or_else(|| at(config, HOME));
        let found = of_no_other(address, config, env)?;
        return Ok(Found { guessed, ..found });
    }
    if let Some(address) = found {
        return Ok(Found::new(address, broken));
    }
    let running = match by_folder {
        Some(running) => vec![running],
        None => runtime::all(env),
    };
    let several = running.len();
    let newest = running.into_iter().next();
    let Some(newest) = newest else {
        let address = config.map_or_else(|| Address::local(HOME), |config| at(config, HOME));
        return Ok(Found { guessed: true, ..Found::new(address, broken) });
    };
    let (mut address, _) = Address::parse(&newest.url, rules)?;
    if let Some(config) = config.filter(|_| address.path.is_empty()) {
        address.path.clone_from(&config.gateway.base_path);
    }
    let warning = (several > 1).then(|| {
        format!("{several} servers are running: using {address}; choose another with --url")
    });
    Ok(Found::new(address, warning.or(broken)))
}

/// The address, unless the server there is known to work on another folder than the one that was
/// said: what is meant for one store must not happen to another.
fn of_no_other(address: Address, config: &Config, env: &Environment) -> Result<Found, Failure> {
    let port = address.port;
    let Some(other) = runtime::all(env).into_iter().find(|running| running.port == port) else {
        return Ok(Found::new(address, None));
    };
    let (folder, theirs) = (config.data.display(), other.data_dir.display());
    let text = format!("no server works on the data folder `{folder}`");
    Err(Failure::new(Class::Refused, text).hint(format!(
        "the one at {} works on `{theirs}`: leave `--data` out to use it, or start one with \
         `rapport start --data {folder} --port 0`",
        other.url
    )))
}

fn by_flags(
    said: &Said,
    config: Option<&Config>,
    rules: Rules<'_>,
) -> Result<Option<Found>, Failure> {
    let path = || config.map(|config| config.gateway.base_path.clone()).unwrap_or_default();
    let (address, warning) = match (&said.url, &said.host, &said.port) {
        (None, None, None) => return Ok(None),
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            let text = "`--url` names the host and the port already";
            return Err(Failure::new(Class::Usage, text)
                .hint("keep either `--url`, or `--host` and `--port`"));
        }
        (Some(url), None, None) => Address::parse(url, rules)?,
        (None, host, port) => {
            let (port, warning) = match port {
                Some(text) => read_port(text, Place::Flag("--port".to_owned()), rules)?,
                None => (HOME, None),
            };
            let mut address = Address { path: path(), ..Address::local(port) };
            if let Some(host) = host {
                host_name(host)?.clone_into(&mut address.host);
            }
            (address, warning)
        }
    };
    Ok(Some(Found { named: true, ..Found::new(address, warning) }))
}

/// The host alone, without the brackets of an IPv6 address.
fn host_name(host: &str) -> Result<&str, Failure> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let is_name = !bare.is_empty() && !bare.contains(['/', '@', ' ']);
    if bare.parse::<IpAddr>().is_ok() || (is_name && !bare.contains(':')) {
        return Ok(bare);
    }
    Err(Failure::new(Class::Usage, format!("`{host}` is no host"))
        .hint("`--host` takes a name or an IP address; `--url` takes a whole address"))
}

/// The address in the configuration, unless only the running server knows its port.
fn configured(config: &Config) -> Option<Address> {
    let ports = &config.ports;
    let open = ports.port == 0 || ports.range.is_some() || ports.fallback;
    (!open && ports.port != HOME).then(|| at(config, ports.port))
}

/// What is to be said when a client's settings and the configuration of the server of this machine
/// name two ports: one of the two is wrong, and a refused connection would not tell which.
fn other_port(address: &Address, config: &Config) -> Option<String> {
    let ours = configured(config)?;
    let host = address.host.trim_matches(['[', ']']);
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    (is_here && address.port != ours.port).then(|| {
        let (theirs, port) = (address.port, ours.port);
        format!(
            "the client's settings name port {theirs}, the server's configuration port {port}: \
             using {theirs}; to change it: `rapport config client server_address={ours}`"
        )
    })
}

/// The server of this configuration, if it listens on `port`.
fn at(config: &Config, port: u16) -> Address {
    // One that listens on every address is reached by the loopback one.
    let is_everywhere = |host: &str| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    };
    let everywhere = config.hosts.iter().any(|host| is_everywhere(host));
    let host = config.hosts.first().filter(|_| !everywhere);
    Address {
        tls: config.tls.mode == TlsMode::Required,
        host: host.map_or_else(|| "localhost".to_owned(), Clone::clone),
        port,
        path: config.gateway.base_path.clone(),
    }
}
