//! Tells people and programs that the server is ready, and where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use tokio::net::TcpListener;

use crate::clock;
use crate::config::{Config, TlsMode};
use crate::listen::tls;
use crate::print::Printer;
use crate::runtime::Runtime;

/// The bound addresses.
pub(super) fn addresses(listeners: &[TcpListener]) -> anyhow::Result<Vec<SocketAddr>> {
    listeners.iter().map(|listener| Ok(listener.local_addr()?)).collect()
}

/// The sockets as the gateway shows them.
pub(super) fn listen(addresses: &[SocketAddr], mode: TlsMode) -> Vec<gateway::Listen> {
    let listen = |address: &SocketAddr| gateway::Listen {
        address: *address,
        url: url(*address, mode),
        tls: mode.as_str().to_owned(),
    };
    addresses.iter().map(listen).collect()
}

/// The running server as other programs find it.
pub(super) fn runtime(config: &Config, addresses: &[SocketAddr], port: u16) -> Runtime {
    let first = addresses.first().copied();
    let first = first.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let asked = config.ports.port;
    Runtime {
        pid: std::process::id(),
        url: url(first, config.tls.mode),
        port,
        requested_port: (asked != port).then_some(asked),
        listen: addresses.iter().map(SocketAddr::to_string).collect(),
        started_at: clock::now().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        data_dir: config.data.clone(),
    }
}

/// An address one can click: `0.0.0.0` is a place to listen on, not to go to.
fn url(address: SocketAddr, mode: TlsMode) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let scheme = if mode == TlsMode::Required { "https" } else { "http" };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// Says that the server is ready: first one line for programs, then a few for people.
pub(super) fn say(
    printer: &mut Printer,
    runtime: &Runtime,
    certificate: Option<&Path>,
    logs: Option<&Path>,
) {
    let url = &runtime.url;
    for address in &runtime.listen {
        tracing::info!("MCP server listening on {address}");
    }
    if printer.is_json() {
        let ready = serde_json::to_value(runtime).unwrap_or_default();
        printer.line(&ready.to_string());
        return;
    }
    printer.line(&format!("rapport is listening on {url}"));
    let mut text = format!("Running on {url} (Press CTRL+C to quit)\n");
    for address in &runtime.listen {
        text.push_str(&format!("MCP server listening on {address}\n"));
    }
    if let Some(logs) = logs {
        text.push_str(&format!("logs: {}\n", logs.display()));
    }
    if let Some(certificate) = certificate {
        text.push_str("to trust the certificate made for this machine:\n");
        for line in tls::trust(certificate, runtime.port) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    let port = runtime.port;
    text.push_str(&format!(
        "try next:\n  open {url}/ in a browser\n  curl {url}/api/mcp/interact -H 'Content-Type: \
         application/json' -d '{{\"message\":\"hello\"}}'\n  echo '{{\"message\":\"hello\"}}' | nc \
         -w 1 localhost {port}\n  rapport doctor localhost:{port}"
    ));
    printer.line(&text);
}

#[cfg(test)]
mod tests {
    use super::url;
    use crate::config::TlsMode;

    #[test]
    fn a_url_can_be_clicked_whatever_was_bound() {
        let check = |address: &str, mode| url(address.parse().unwrap(), mode);
        assert_eq!(check("127.0.0.1:61900", TlsMode::Off), "http://127.0.0.1:61900");
        assert_eq!(check("0.0.0.0:80", TlsMode::Optional), "http://127.0.0.1:80");
        assert_eq!(check("[::]:443", TlsMode::Required), "https://[::1]:443");
    }
}
