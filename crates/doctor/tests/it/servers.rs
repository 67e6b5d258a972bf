//! Small servers, each of another kind, on a free port and gone when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;

/// A server in a thread.
pub(crate) struct Server {
    pub(crate) port: u16,
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // The accept call returns for this connection and sees the flag.
        drop(TcpStream::connect(self.address));
    }
}

/// Handles every connection of `bind` with `handle`, each in its thread.
pub(crate) fn serve(bind: &str, handle: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind(bind).unwrap();
    let address = listener.local_addr().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (seen, handle) = (Arc::clone(&over), Arc::new(handle));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if seen.load(Ordering::SeqCst) {
                break;
            }
            let handle = Arc::clone(&handle);
            if let Ok(stream) = stream {
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                std::thread::spawn(move || handle(stream));
            }
        }
    });
    Server { port: address.port(), address, over }
}

/// A server that answers every request with the same bytes.
pub(crate) fn answers(bind: &str, bytes: &'static [u8]) -> Server {
    serve(bind, move |mut stream| {
        if !read_some(&mut stream).is_empty() {
            drop(stream.write_all(bytes));
        }
    })
}

/// A server that says `bytes` before it is asked.
pub(crate) fn greets(bytes: &'static [u8]) -> Server {
    serve("127.0.0.1:0", move |mut stream| {
        drop(stream.write_all(bytes));
        read_some(&mut stream);
    })
}

/// An HTTP server with one status and a short body.
pub(crate) fn http(status: &'static str) -> Server {
    http_with(status, "")
}

/// An HTTP server with one status and further header lines (each ending with CR LF).
pub(crate) fn http_with(status: &'static str, headers: &'static str) -> Server {
    serve("127.0.0.1:0", move |mut stream| {
        if read_some(&mut stream).is_empty() {
            return;
        }
        let answer = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: 3\r\n\r\nhi\n");
        drop(stream.write_all(answer.as_bytes()));
    })
}

/// A TLS server with its own certificate that speaks HTTP inside.
pub(crate) fn tls() -> Server {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    serve("127.0.0.1:0", move |mut stream| {
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut inside = rustls::Stream::new(&mut connection, &mut stream);
        let mut buffer = [0_u8; 1024];
        if inside.read(&mut buffer).is_ok_and(|length| length > 0) {
            drop(inside.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        }
        // The alert a TLS server sends to a plain request is flushed by this.
        drop(inside.flush());
    })
}

/// What the other end sent first; empty when it closed.
pub(crate) fn read_some(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = [0_u8; 4096];
    let length = stream.read(&mut buffer).unwrap_or(0);
    buffer[..length].to_vec()
}

#[cfg(target_os = "linux")]
/// A foreign process that holds a listening socket and never accepts: `sleep SECONDS`.
///
/// It gets the socket as its standard input, so it owns it as any server does.
pub(crate) struct Sleeper {
    pub(crate) port: u16,
    pub(crate) child: Child,
}

#[cfg(target_os = "linux")]
impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[cfg(target_os = "linux")]
pub(crate) fn sleeper(listener: TcpListener, seconds: &str) -> Sleeper {
    let port = listener.local_addr().unwrap().port();
    let socket = std::os::fd::OwnedFd::from(listener);
    let child = Command::new("sleep").arg(seconds).stdin(Stdio::from(socket)).spawn().unwrap();
    Sleeper { port, child }
}

/// A port on which nothing listens, and on which no other test will: it lies below those that the
/// system gives away.
pub(crate) fn closed_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let of_process = u16::try_from(std::process::id() % 1_500).unwrap() * 8;
    loop {
        let port = 18_000 + of_process + NEXT.fetch_add(1, Ordering::Relaxed) % 2_500;
        let is_free = |address: &str| match TcpListener::bind((address, port)) {
            Ok(_) => true,
            // A machine without IPv6 has nobody there.
            Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
        };
        if is_free("127.0.0.1") && is_free("::1") && is_free("0.0.0.0") {
            return port;
        }
    }
}
