//! Products that filter connections: mentioned where one was reset, and never where all is well.

use std::process::Command;

use super::held::Held;
use super::servers::{http, read_some, serve};
use super::{broken, fix, request, verbose, well};

#[tokio::test]
async fn a_product_that_may_have_reset_a_connection_is_mentioned_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("opensnitchd");
    std::fs::copy("/bin/sleep", &program).unwrap();
    let _running = Held(Command::new(&program).arg("60").spawn().unwrap());
    let server = serve("127.0.0.1:0", |mut stream| {
        read_some(&mut stream);
        // Closed without lingering, a connection is reset.
        drop(socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)));
    });
    let target = request(&format!("localhost:{}", server.port));
    let report = broken(&target, "tcp.reset", "OpenSnitch may end connections").await;
    fix(&report, "let its administrator allow");
    let healthy = http("200 OK");
    let report = well(&request(&format!("http://localhost:{}/", healthy.port))).await;
    assert!(!verbose(&report).contains("OpenSnitch"), "{}", verbose(&report));
}
