//! One connection to a server: every address of its name in turn, never through a proxy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::address::Address;
use super::failure::{Class, Failure};
use super::show::Trace;
use super::tls::{self, Trust};

/// A connection, in the clear or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects within the time given.
///
/// # Errors
/// [`Class::Unresolved`], [`Class::Refused`], [`Class::Unreachable`], [`Class::Timeout`] or
/// [`Class::Tls`]; the server has seen no request then.
pub(super) async fn open(
    to: &Address,
    trust: &Trust,
    within: Duration,
    trace: &Trace,
) -> Result<Box<dyn Io>, Failure> {
    let opened = tokio::time::timeout(within, dial(to, trust, trace)).await;
    let opened = opened.unwrap_or_else(|_late| {
        let text = format!(
            "Connection timeout: {} did not answer within {} s",
            to.authority(),
            within.as_secs_f32()
        );
        Err(Failure::new(Class::Timeout, text))
    });
    opened.map_err(Failure::before_sending)
}

async fn dial(to: &Address, trust: &Trust, trace: &Trace) -> Result<Box<dyn Io>, Failure> {
    let addresses = addresses(to).await?;
    let mut refusals: Vec<(SocketAddr, io::Error)> = Vec::new();
    for address in addresses {
        trace.note(&format!("Trying {address}..."));
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                trace.note(&format!("Connected to {} ({address})", to.host));
                // Tokens come in small pieces; none of them waits for the next.
                if let Err(error) = tcp.set_nodelay(true) {
                    trace.note(&format!("TCP_NODELAY was refused: {error}"));
                }
                if !to.tls {
                    return Ok(Box::new(tcp));
                }
                let secured = tls::handshake(tcp, &to.host, trust).await?;
                trace.note("TLS handshake done");
                return Ok(Box::new(secured));
            }
            Err(error) => {
                trace.note(&format!("connect to {address} failed: {error}"));
                refusals.push((address, error));
            }
        }
    }
    Err(unconnected(to, &refusals))
}

/// The addresses of the host; names of this machine are never asked of a name server.
async fn addresses(to: &Address) -> Result<Vec<SocketAddr>, Failure> {
    let port = to.port;
    if let Ok(address) = to.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if to.is_loopback() {
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        return Ok(both.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let unresolved = |cause: &str| {
        let text = format!("Failed to connect to {}: {cause}", to.authority());
        Failure::new(Class::Unresolved, text)
    };
    let found = tokio::net::lookup_host((to.host.as_str(), port)).await;
    let found: Vec<SocketAddr> = match found {
        Ok(found) => found.collect(),
        Err(error) => return Err(unresolved(&format!("its name has no address ({error})"))),
    };
    if found.is_empty() { Err(unresolved("its name has no address")) } else { Ok(found) }
}

/// The failure that says most: a refusal is an answer, a missing route to `::1` is none.
fn unconnected(to: &Address, refusals: &[(SocketAddr, io::Error)]) -> Failure {
    let class_of = |error: &io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Class::Refused,
        io::ErrorKind::TimedOut => Class::Timeout,
        _ => Class::Unreachable,
    };
    let classes: Vec<Class> = refusals.iter().map(|(_, error)| class_of(error)).collect();
    let order = [Class::Refused, Class::Timeout];
    let class =
        order.into_iter().find(|class| classes.contains(class)).unwrap_or(Class::Unreachable);
    let tried: Vec<String> = refusals
        .iter()
        .map(|(address, error)| match class_of(error) {
            Class::Refused => address.to_string(),
            _ => format!("{address}: {error}"),
        })
        .collect();
    let text = format!("Failed to connect to {}: {}", to.authority(), class.label());
    Failure::new(class, format!("{text} ({})", tried.join(", ")))
}
