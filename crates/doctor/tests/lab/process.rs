//! Processes that hold a port and do not serve it, and ports that are open in another way.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use doctor::report::Outcome;
use socket2::{Domain, Socket, Type};

use super::held::Held;
use super::servers::{closed_port, http, serve, sleeper};
use super::{broken, fix, request, well};

impl Held {
    /// Runs `command` with a socket as its standard input, so that it owns it.
    fn with(mut command: Command, socket: impl Into<OwnedFd>) -> Self {
        Self(command.stdin(Stdio::from(socket.into())).spawn().unwrap())
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.args(["-c", script]);
    command
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    (listener, target)
}

/// A socket that shares its port with others.
fn shared(place: &str, listens: bool) -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&place.parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    if listens {
        socket.listen(8).unwrap();
    }
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn a_stopped_server_goes_on_when_it_is_told_to() {
    let (listener, target) = listener();
    let script = "while :; do sleep 1; done";
    let held = Held::with(shell(script), listener);
    let pid = held.0.id();
    assert!(Command::new("kill").args(["-STOP", &pid.to_string()]).status().unwrap().success());
    let report = broken(&request(&target), "process.stopped", "state T").await;
    fix(&report, &format!("kill -CONT {pid}"));
}

#[tokio::test]
async fn a_server_in_an_endless_loop_is_named() {
    let (listener, target) = listener();
    let mut command = Command::new("nice");
    // Its share of a loaded machine must be enough to be seen.
    command.args(["-n", "-15", "bash", "-c", "while :; do :; done"]).stderr(Stdio::null());
    let held = Held::with(command, listener);
    let report = broken(&request(&target), "process.busy_loop", "% of a processor").await;
    fix(&report, &format!("kill {}", held.0.id()));
}

#[tokio::test]
async fn a_server_without_descriptors_is_named() {
    let (listener, target) = listener();
    let script = "ulimit -n 24; for i in 3 4 5 6 7 8 9; do eval \"exec $i</dev/null\"; done; \
                  for i in {1..40}; do exec {fd}</dev/null || break; done; \
                  while :; do :; done";
    let mut command = shell(script);
    command.stderr(Stdio::null());
    let _held = Held::with(command, listener);
    let report = broken(&request(&target), "resource.fd_limit", "24 descriptors").await;
    fix(&report, "ulimit -n");
}

#[tokio::test]
async fn a_server_that_never_accepts_is_named() {
    let held = sleeper(TcpListener::bind("127.0.0.1:0").unwrap(), "60");
    let target = format!("http://127.0.0.1:{}/", held.port);
    let report = broken(&request(&target), "http.no_response", "never answers").await;
    fix(&report, "restart");
}

#[tokio::test]
async fn a_full_queue_is_told_from_a_firewall() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let place: std::net::SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let limit = std::time::Duration::from_millis(300);
    let mut waiting = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&place, limit) {
        waiting.push(stream);
    }
    let report = broken(&request(&place.to_string()), "tcp.backlog_full", "(limit 1)").await;
    fix(&report, "restart");
}

#[tokio::test]
async fn a_server_that_is_busy_with_one_client_is_named() {
    let (listener, target) = listener();
    let place = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut one, _) = listener.accept().unwrap();
        // It serves this client until that one goes away, and only then the next.
        super::servers::read_some(&mut one);
        drop(listener);
    });
    let idle = std::net::TcpStream::connect(place).unwrap();
    let own = idle.local_addr().unwrap().port().to_string();
    let report = broken(&request(&target), "process.single_threaded", &own).await;
    fix(&report, "close that client");
    drop(idle);
    server.join().unwrap();
}

#[tokio::test]
async fn a_frozen_server_is_named() {
    let group = std::path::PathBuf::from(format!(
        "/sys/fs/cgroup/freezer/rapport-lab-{}",
        std::process::id()
    ));
    if std::fs::create_dir(&group).is_err() {
        println!("skipped: no control group of the freezer can be made here");
        return;
    }
    let (listener, target) = listener();
    let held = Held::with(shell("while :; do sleep 1; done"), listener);
    std::fs::write(group.join("cgroup.procs"), held.0.id().to_string()).unwrap();
    std::fs::write(group.join("freezer.state"), "FROZEN").unwrap();
    let report = doctor::diagnose(&request(&target)).await;
    std::fs::write(group.join("freezer.state"), "THAWED").unwrap();
    drop(held);
    drop(std::fs::remove_dir(&group));
    assert_eq!(report.verdict.id, "process.frozen", "{}", super::verbose(&report));
    fix(&report, "echo THAWED | sudo tee");
}

#[tokio::test]
async fn two_programs_on_one_port_are_named() {
    let (first, port) = shared("127.0.0.1:0", true);
    let (second, _) = shared(&format!("127.0.0.1:{port}"), true);
    let sleep = |seconds: &str| {
        let mut command = Command::new("sleep");
        command.arg(seconds);
        command
    };
    let (old, new) = (sleep("71"), sleep("72"));
    let old = Held::with(old, OwnedFd::from(first));
    let new = Held::with(new, OwnedFd::from(second));
    let target = format!("127.0.0.1:{port}");
    let report = broken(&request(&target), "listen.two_owners", "sleep 71").await;
    fix(&report, "kill ");
    drop(old);
    let report = doctor::diagnose(&request(&target)).await;
    assert_ne!(report.verdict.id, "listen.two_owners");
    drop(new);
}

#[tokio::test]
async fn a_program_that_hides_another_is_named() {
    let (wide, port) = shared("0.0.0.0:0", true);
    let (own, _) = shared(&format!("127.0.0.1:{port}"), true);
    let mut sleep = Command::new("sleep");
    sleep.arg("73");
    let _hidden = Held::with(sleep, OwnedFd::from(wide));
    let target = format!("127.0.0.1:{port}");
    let report = broken(&request(&target), "listen.shadowed", "sleep 73").await;
    fix(&report, "move one");
    drop(own);
}

#[tokio::test]
async fn a_port_that_is_open_in_another_way_is_named() {
    let udp = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        if TcpListener::bind(udp.local_addr().unwrap()).is_ok() {
            break udp;
        }
    };
    let port = udp.local_addr().unwrap().port();
    let report =
        broken(&request(&format!("localhost:{port}")), "listen.udp_only", "over UDP").await;
    fix(&report, "start the TCP server");
    // A port of those that are lent could be lent meanwhile: the socket does not listen.
    let (bound, port) = shared(&format!("127.0.0.1:{}", closed_port()), false);
    let target = format!("localhost:{port}");
    let report = broken(&request(&target), "listen.bound_only", "address in use").await;
    let own = format!("is PID {}", std::process::id());
    assert!(report.verdict.evidence.iter().any(|line| line.contains(&own)), "{report:?}");
    fix(&report, "restart");
    bound.listen(8).unwrap();
    let report = doctor::diagnose(&request(&target)).await;
    assert_ne!(report.verdict.id, "listen.bound_only");
}

#[tokio::test]
async fn a_server_on_a_unix_socket_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let port = closed_port();
    let mut command = shell("while :; do sleep 1; done");
    command.args(["server", "--port", &port.to_string()]);
    let _held = Held::with(command, UnixListener::bind(&path).unwrap());
    let target = format!("localhost:{port}");
    let report = broken(&request(&target), "listen.unix_socket", "server.sock").await;
    fix(&report, &format!("--unix-socket {}", path.display()));
}

#[tokio::test]
async fn a_server_that_may_not_use_its_port_is_named() {
    let Some(port) = (600..1000_u16).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
    else {
        println!("skipped: only root can see which low port is free");
        return;
    };
    let mut command = shell("while :; do sleep 1; done");
    command.args(["server", "--port", &port.to_string()]).uid(65534);
    let _held = Held(command.spawn().unwrap());
    let target = format!("localhost:{port}");
    let report = broken(&request(&target), "listen.privileged", "--port").await;
    fix(&report, "--port 8080");
}

#[tokio::test]
async fn a_program_that_was_replaced_on_disk_is_worth_a_remark() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("server");
    std::fs::copy("/bin/sleep", &copy).unwrap();
    let (listener, target) = listener();
    let mut command = Command::new(&copy);
    command.arg("60");
    let _held = Held::with(command, listener);
    std::fs::remove_file(&copy).unwrap();
    let report = doctor::diagnose(&request(&target)).await;
    let process = report.findings.iter().find(|finding| finding.check == "process").unwrap();
    assert_eq!(process.outcome, Outcome::Warn, "{}", super::verbose(&report));
    assert!(process.summary.contains("replaced on disk"), "{}", process.summary);
}

#[tokio::test]
async fn a_server_that_is_well_shows_its_process() {
    let server = http("200 OK");
    let report = well(&request(&format!("http://localhost:{}", server.port))).await;
    let process = report.findings.iter().find(|finding| finding.check == "process").unwrap();
    assert!(process.summary.contains(&format!("PID {}", std::process::id())), "{process:?}");
    assert!(process.summary.contains("since 2"), "{process:?}");
    let closes = serve("127.0.0.1:0", drop);
    let target = format!("http://localhost:{}", closes.port);
    let report = broken(&request(&target), "tcp.closed_at_once", "closes every").await;
    fix(&report, "log");
}
