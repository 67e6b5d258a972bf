//! Ports that no server can have at the moment, because a connection has them.

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, Socket, Type};

use super::{broken, fix, request, well};

/// A connection to `place` from a port of its own choice.
fn join(place: SocketAddr) -> (TcpStream, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.connect(&place.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket.into(), port)
}

#[tokio::test]
async fn a_port_that_an_outgoing_connection_has_is_named() {
    let far = TcpListener::bind("127.0.0.1:0").unwrap();
    let (stream, port) = join(far.local_addr().unwrap());
    let (held, _) = far.accept().unwrap();
    let target = format!("127.0.0.1:{port}");
    let own = format!("PID {}", std::process::id());
    let report = broken(&request(&target), "listen.ephemeral_collision", &own).await;
    fix(&report, &format!("ip_local_reserved_ports={port}"));
    // The connection ends from the other side, so that nothing of it stays with this port.
    drop(held);
    drop(stream);
    drop(far);
    let server = super::servers::answers(&target, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    well(&request(&target)).await;
    drop(server);
}

#[tokio::test]
async fn a_port_that_waits_to_be_forgotten_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(place).unwrap();
    let (server, _) = listener.accept().unwrap();
    // The end that closes first is the one that waits.
    drop(server);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    drop(client);
    drop(listener);
    let target = place.to_string();
    let report = broken(&request(&target), "listen.time_wait", "TIME_WAIT").await;
    fix(&report, "SO_REUSEADDR");
    // A server that sets SO_REUSEADDR, as the standard library does, is the fix.
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let server = super::servers::answers(&target, answer);
    well(&request(&target)).await;
    drop(server);
}
