//! Connects to one address and says exactly how that went.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

/// How a connection attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialed {
    Connected,
    /// TCP joined its own two ends: nothing listens, and the port is lent to clients.
    SelfConnected,
    Refused,
    TimedOut,
    NoRoute,
    /// `EACCES`: a sandbox or a prohibiting route.
    Denied,
    /// `EPERM`: sockets are forbidden to this process.
    Forbidden,
    /// The local address is not there (IPv6 off) or no local port is left.
    NotAvailable,
    Reset,
    Other,
}

impl Dialed {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::SelfConnected => "connected to itself",
            Self::Refused => "refused",
            Self::TimedOut => "no answer",
            Self::NoRoute => "no route",
            Self::Denied => "permission denied",
            Self::Forbidden => "operation not permitted",
            Self::NotAvailable => "address not available",
            Self::Reset => "reset",
            Self::Other => "failed",
        }
    }
}

/// One connection attempt.
#[derive(Debug, Clone)]
pub(crate) struct Dial {
    pub(crate) address: SocketAddr,
    pub(crate) dialed: Dialed,
    pub(crate) elapsed: Duration,
    /// The system's words for the error.
    pub(crate) error: Option<String>,
}

impl Dial {
    pub(crate) fn line(&self) -> String {
        let milliseconds = crate::report::milliseconds(self.elapsed);
        let error = self.error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
        format!("{}: {} after {milliseconds} ms{error}", self.address, self.dialed.word())
    }
}

/// Connects, and gives the stream away when that worked.
pub(crate) async fn open(address: SocketAddr, limit: Duration) -> (Dial, Option<TcpStream>) {
    let started = Instant::now();
    let result = tokio::time::timeout(limit, TcpStream::connect(address)).await;
    let elapsed = started.elapsed();
    let dial = |dialed, error| Dial { address, dialed, elapsed, error };
    match result {
        Err(_elapsed) => (dial(Dialed::TimedOut, None), None),
        Ok(Err(error)) => (dial(classify(&error), Some(error.to_string())), None),
        Ok(Ok(stream)) => {
            let ends = (stream.local_addr(), stream.peer_addr());
            if let (Ok(local), Ok(peer)) = ends
                && local == peer
            {
                return (dial(Dialed::SelfConnected, None), None);
            }
            (dial(Dialed::Connected, None), Some(stream))
        }
    }
}

/// Connects and closes again.
pub(crate) async fn dial(address: SocketAddr, limit: Duration) -> Dial {
    open(address, limit).await.0
}

pub(crate) fn classify(error: &std::io::Error) -> Dialed {
    // `EPERM` and `EACCES` share a kind in the standard library.
    const EPERM: i32 = 1;
    match error.kind() {
        ErrorKind::ConnectionRefused => Dialed::Refused,
        ErrorKind::TimedOut => Dialed::TimedOut,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => Dialed::NoRoute,
        ErrorKind::PermissionDenied if error.raw_os_error() == Some(EPERM) => Dialed::Forbidden,
        ErrorKind::PermissionDenied => Dialed::Denied,
        ErrorKind::AddrNotAvailable => Dialed::NotAvailable,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            Dialed::Reset
        }
        _ => Dialed::Other,
    }
}
