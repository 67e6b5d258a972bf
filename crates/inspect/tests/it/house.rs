//! A server of bytes, a proxy before it, and callers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use inspect::{Exchange, News, Proxy, ReadTarget, Room, Rule, Settings, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that answers each connection's bytes, once they hold `until`, with fixed bytes.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// What came, connection by connection.
    pub(crate) came: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    /// Answers with `answer` each time the bytes since the last answer end with `until`, and
    /// closes after the last of them when `closes`.
    pub(crate) async fn start(until: &'static [u8], answer: &'static [u8], closes: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let came: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let seen = Arc::clone(&came);
        spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let place = {
                    let mut seen = seen.lock().unwrap();
                    seen.push(Vec::new());
                    seen.len() - 1
                };
                let seen = Arc::clone(&seen);
                spawn(async move {
                    let (mut buffer, mut since) = (vec![0; 65536], Vec::new());
                    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                        seen.lock().unwrap()[place].extend_from_slice(&buffer[..length]);
                        since.extend_from_slice(&buffer[..length]);
                        if since.ends_with(until) {
                            since.clear();
                            if stream.write_all(answer).await.is_err() || closes {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { address, came }
    }

    pub(crate) fn came(&self) -> Vec<Vec<u8>> {
        self.came.lock().unwrap().clone()
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests' own servers")]
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(future));
}

pub(crate) async fn proxy(target: SocketAddr, rules: &[&str]) -> Proxy {
    with_room(target, rules, Room::default()).await
}

pub(crate) async fn with_room(target: SocketAddr, rules: &[&str], room: Room) -> Proxy {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        target: Target::new(&target.ip().to_string(), target.port(), false),
        targets: ReadTarget::new(|text| {
            let (host, port) = text.rsplit_once(':').unwrap_or((text, ""));
            let port = port.parse().map_err(|_no_port| format!("`{text}` is no address here"))?;
            Ok(Target::new(host, port, false))
        }),
        room,
        rules: rules.iter().map(|rule| Rule::parse(rule).unwrap()).collect(),
        host: None,
        shows_secrets: false,
        prices: inspect::decode::Prices::default(),
        tls: None,
    };
    Proxy::start(settings).await.unwrap()
}

/// Sends bytes on a new connection, closes its own side where asked to, and reads to the end.
pub(crate) async fn say(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.unwrap();
    all
}

/// Reads until what came ends with `end`.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 65536]);
    while !all.ends_with(end) {
        let length = stream.read(&mut buffer).await.unwrap();
        assert!(length > 0, "ended after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&buffer[..length]);
    }
    all
}

/// Waits until the exchange with this number is over.
pub(crate) async fn over(proxy: &Proxy, number: u64) -> Exchange {
    let mut news = proxy.book().watch();
    loop {
        if let Some(exchange) = proxy.book().get(number).filter(|e| !e.is_open()) {
            return exchange;
        }
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), news.recv());
        if let Ok(News::Over(_) | News::Changed(_)) = waited.await.expect("it is over in time") {}
    }
}
