//! The port, the data folder, TLS and who may call.

use super::Change::{Live, Restart};
use super::Kind::{Bool, Choice, List, Path, Port, PortRange, Text};
use super::{Key, key};

/// The keys of the server itself.
pub(super) const KEYS: &[Key] = &[
    key(
        "server.host",
        List,
        "localhost",
        Restart,
        "Addresses to listen on. `localhost` is 127.0.0.1 and ::1, `0.0.0.0` every IPv4 address, \
         `::` every address. Anything but loopback needs a key.",
    ),
    key(
        "server.port",
        Port,
        "61900",
        Restart,
        "The TCP port, 0-65535. 0 takes a free one; 619009 is a name for 61900.",
    ),
    key(
        "server.strict_ports",
        Bool,
        "false",
        Restart,
        "Refuses numbers above 65535 instead of taking known ones as names for real ports.",
    ),
    key(
        "server.port_fallback",
        Bool,
        "false",
        Restart,
        "Takes the next free port when the port is taken, says so, and writes it to runtime.json.",
    ),
    key(
        "server.port_range",
        PortRange,
        "",
        Restart,
        "Takes the first free port of a range such as `8000-8010` instead of `server.port`.",
    ),
    key(
        "server.base_path",
        Text,
        "",
        Restart,
        "The path below which everything is served, such as `/rapport` behind a reverse proxy.",
    ),
    key(
        "server.trusted_proxies",
        List,
        "",
        Live,
        "Addresses of reverse proxies whose `X-Forwarded-*` headers count.",
    ),
    key(
        "server.cors_origins",
        List,
        "",
        Live,
        "Origins of web pages that may call from a browser, such as `http://localhost:3000`.",
    ),
    key(
        "server.allowed_hosts",
        List,
        "",
        Live,
        "Further names that the `Host` header may carry, beside loopback names and addresses.",
    ),
    key(
        "ports.wrap_alias",
        Bool,
        "false",
        Restart,
        "Also listens on 29185, where software ends up that cuts 619009 to 16 bits.",
    ),
    key(
        "ports.logical.NAME",
        Port,
        "",
        Restart,
        "Gives a number above 65535 a real port. `619009: 61900` is built in.",
    ),
    key(
        "data.dir",
        Path,
        "",
        Restart,
        "The data folder. Default: `rapport` in the user's data folder (~/.local/share on Linux).",
    ),
    key(
        "data.store",
        Choice(&["sqlite", "memory"]),
        "sqlite",
        Restart,
        "Where conversations live: a file in the data folder, or memory that ends with the \
         process.",
    ),
    key(
        "data.durability",
        Choice(&["group", "sync", "fast"]),
        "group",
        Restart,
        "When a write is acknowledged: `group` after a shared commit to disk, `sync` after its \
         own, `fast` before the disk has it (a power cut may lose the last moments).",
    ),
    key(
        "tls.mode",
        Choice(&["off", "optional", "required"]),
        "off",
        Restart,
        "TLS on the same port: not at all, for those who ask, or for everyone.",
    ),
    key(
        "tls.certificate",
        Path,
        "",
        Live,
        "The certificate chain (PEM). Without it one for localhost is made in the data folder.",
    ),
    key("tls.key", Path, "", Live, "The private key of `tls.certificate` (PEM)."),
    key(
        "auth.mode",
        Choice(&["auto", "required", "auto-dev"]),
        "auto",
        Restart,
        "Who shows a key: `auto` nobody on loopback while no key exists; `required` everybody; \
         `auto-dev` like auto, but on any address (containers in development).",
    ),
];
