//! Containers, sandboxes and security modules: what they keep from a server or from its client.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use super::held::Held;
use super::net::{HERE, LO, diagnosed, possible};
use super::servers::{answers, closed_port};
use super::{broken, fix, request, well};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn has_python() -> bool {
    let found = Command::new("python3").args(["-c", "import ctypes"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: python3 is missing");
    }
    found
}

/// Relays as the engine of containers does: it takes a connection before it looks behind.
const RELAY: &str = "
import socket, sys
at = lambda flag: sys.argv[sys.argv.index(flag) + 1]
inward = socket.socket(fileno=0)
while True:
    one, _ = inward.accept()
    try:
        other = socket.create_connection((at('-container-ip'), int(at('-container-port'))), 2)
        one.settimeout(2)
        other.sendall(one.recv(65536))
        one.sendall(other.recv(65536))
        other.close()
    except OSError:
        pass
    one.close()
";

#[tokio::test]
async fn a_published_port_with_nothing_behind_it_is_named() {
    if !has_python() {
        return;
    }
    let outer = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("http://127.0.0.1:{}/", outer.local_addr().unwrap().port());
    let inner = closed_port();
    let mut command = Command::new("bash");
    let own = "real=$(python3 -c 'import sys; print(sys.executable)'); \
               exec -a docker-proxy \"$real\" -c \"$0\" -proto tcp -container-ip 127.0.0.1 \
               -container-port \"$1\"";
    command.args(["-c", own, RELAY, &inner.to_string()]);
    command.stdin(Stdio::from(OwnedFd::from(outer)));
    let _held = Held(command.spawn().unwrap());
    // It keeps the socket as well, and the relay must be its only holder.
    drop(command);
    let behind = format!("127.0.0.1:{inner}");
    let report = broken(&request(&target), "container.backend_dead", &behind).await;
    fix(&report, "--host 0.0.0.0");
    let server = answers(&behind, ANSWER);
    well(&request(&target)).await;
    drop(server);
}

/// Runs the program of the tests in a sandbox: a filter of system calls, or Landlock.
const SANDBOX: &str = "
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
def seccomp(rows):
    code = b''.join(struct.pack('HBBI', *row) for row in rows)
    held = ctypes.create_string_buffer(code, len(code))
    program = struct.pack('HxxxxxxQ', len(rows), ctypes.addressof(held))
    assert libc.prctl(22, 2, ctypes.create_string_buffer(program), 0, 0) == 0
machine = os.uname().machine
socket, bind = {'x86_64': (41, 49), 'aarch64': (198, 200)}[machine]
DENY, ALLOW = 0x00050001, 0x7fff0000
if sys.argv[1] == 'sockets':
    # socket() of the family AF_INET or AF_INET6 is not permitted.
    seccomp([(0x20, 0, 0, 0), (0x15, 0, 4, socket), (0x20, 0, 0, 16), (0x15, 1, 0, 2),
             (0x15, 0, 1, 10), (0x06, 0, 0, DENY), (0x06, 0, 0, ALLOW)])
elif sys.argv[1] == 'bind':
    seccomp([(0x20, 0, 0, 0), (0x15, 0, 1, bind), (0x06, 0, 0, DENY), (0x06, 0, 0, ALLOW)])
elif sys.argv[1] == 'landlock':
    # Connections over TCP are handled, and none is allowed.
    rules = struct.pack('QQ', 0, 2)
    made = libc.syscall(444, ctypes.create_string_buffer(rules), 16, 0)
    if made < 0:
        print('NO LANDLOCK')
        sys.exit(0)
    assert libc.syscall(446, made, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])
";

/// Diagnoses `HERE` from inside the sandbox; `None` when this kernel has no such thing.
fn sandboxed(kind: &str) -> Option<serde_json::Value> {
    if !possible("python3") || !has_python() {
        return None;
    }
    let own = std::env::current_exe().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), SANDBOX).unwrap();
    let script = file.path().display();
    let made = Command::new("python3").arg(file.path()).args([kind, "true"]).output().unwrap();
    if String::from_utf8_lossy(&made.stdout).contains("NO LANDLOCK") || !made.status.success() {
        println!("skipped: this kernel has no `{kind}`");
        return None;
    }
    let setup = format!(
        "{LO} exec python3 {script} {kind} {} --exact net::the_subject --nocapture;",
        own.display()
    );
    Some(diagnosed(&setup, "", HERE))
}

#[test]
fn a_client_that_may_not_open_sockets_is_named() {
    let Some(json) = sandboxed("sockets") else { return };
    assert_eq!(json["verdict"]["id"], "sandbox.seccomp", "{json:#}");
    assert!(json["verdict"]["fix"].to_string().contains("outside"), "{json:#}");
}

#[test]
fn a_client_that_may_not_connect_is_named() {
    let Some(json) = sandboxed("landlock") else { return };
    assert_eq!(json["verdict"]["id"], "sandbox.landlock", "{json:#}");
    assert!(json["verdict"]["fix"].to_string().contains("outside"), "{json:#}");
}

#[tokio::test]
async fn a_server_that_may_not_bind_is_named() {
    if !has_python() {
        return;
    }
    let port = closed_port().to_string();
    let mut command = Command::new("python3");
    let server = "import socket, sys, time\n\
                  try: socket.create_server(('127.0.0.1', int(sys.argv[2])))\n\
                  except PermissionError: print('DENIED', flush=True)\n\
                  time.sleep(60)";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), server).unwrap();
    command.args(["-c", SANDBOX, "bind", "python3"]).arg(file.path()).args(["--port", &port]);
    let mut held = Held(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut said = [0; 6];
    std::io::Read::read_exact(held.0.stdout.as_mut().unwrap(), &mut said).unwrap();
    let target = format!("localhost:{port}");
    let report = broken(&request(&target), "sandbox.server", "Seccomp: 2").await;
    fix(&report, "run it outside");
    drop(held);
    let server = answers(&format!("127.0.0.1:{port}"), ANSWER);
    well(&request(&target)).await;
    drop(server);
}

#[test]
fn a_denial_of_selinux_is_named_and_an_old_one_raises_no_alarm() {
    if !possible("mount") {
        return;
    }
    // Recorded on a machine with SELinux: this kernel has none.
    let setup = format!(
        "{LO} mount -t tmpfs lab /var/log; mkdir /var/log/audit; \
         echo 'type=AVC msg=audit(1:2): avc:  denied  {{ name_bind }} for  pid=7 comm=\"server\" \
         src=45679 scontext=system_u:system_r:httpd_t:s0 \
         tcontext=system_u:object_r:unreserved_port_t:s0 tclass=tcp_socket permissive=0' \
         > /var/log/audit/audit.log;"
    );
    let json = diagnosed(&setup, "", HERE);
    assert_eq!(json["verdict"]["id"], "security.selinux", "{json:#}");
    let command = json["verdict"]["fix"][0]["command"].as_str().unwrap();
    assert_eq!(command, "sudo semanage port -a -t http_port_t -p tcp 45679");
    let json = diagnosed(&setup, HERE, HERE);
    assert_eq!(json["verdict"]["id"], "ok", "{json:#}");
}

/// Judges, from inside a machine that `mark` makes, a port on which the one around it listens.
fn inside(mark: &str) -> serde_json::Value {
    let own = std::env::current_exe().unwrap();
    let own = own.display();
    // Two namespaces and a cable: outside is the server, inside is the client.
    let setup = format!(
        "{LO} ip link add out0 type veth peer name in0; ip addr add 172.31.77.1/24 dev out0; \
         ip link set out0 up; \
         (sleep 30 | env -u DOCTOR_LAB_TARGET DOCTOR_LAB_LISTEN=172.31.77.1:45679 {own} --exact \
         net::the_listener_inside --nocapture) >/dev/null 2>&1 & \
         wait_for() {{ for i in $(seq 400); do eval $1 && return; sleep 0.05; done; exit 1; }}; \
         wait_for 'grep -q 014D1FAC:B26F /proc/net/tcp'; \
         unshare -mn sleep 30 >/dev/null 2>&1 & inner=$!; \
         wait_for '[ $(readlink /proc/$inner/ns/net) != $(readlink /proc/self/ns/net) ]'; \
         ip link set in0 netns $inner; \
         exec nsenter -n -m -t $inner sh -ec 'mount --make-rprivate /; mount -t tmpfs lab /run; \
         {mark} ip link set lo up; ip addr add 172.31.77.2/24 dev in0; \
         ip link set in0 up; ip route add default via 172.31.77.1; \
         exec $ENTER {own} --exact net::the_subject --nocapture';"
    );
    diagnosed(&setup, "", HERE)
}

/// Demands that the first fix names where the server answers.
fn leads_outside(json: &serde_json::Value) {
    let command = json["verdict"]["fix"][0]["command"].as_str().unwrap();
    let place: SocketAddr = command.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    assert_eq!(place.to_string(), "172.31.77.1:45679", "the fix names where it answers");
}

#[test]
fn a_server_outside_the_container_is_named_from_inside() {
    if !possible("nsenter") {
        return;
    }
    let json = inside("touch /run/.containerenv;");
    assert_eq!(json["verdict"]["id"], "container.client_inside", "{json:#}");
    let evidence = json["verdict"]["evidence"].to_string();
    assert!(evidence.contains("env exists") && evidence.contains("172.31.77.1:45679"));
    leads_outside(&json);
}

#[test]
fn a_server_on_windows_is_named_from_inside_wsl() {
    if !possible("nsenter") {
        return;
    }
    // Recorded, since this machine has another kernel; and it may be a container, which is hidden.
    let json = inside(
        "echo Linux version 5.15.153.1-microsoft-standard-WSL2 > /run/version; \
         mount --bind /run/version /proc/version; mkdir /run/u /run/w /run/root; \
         mount -t overlay -o lowerdir=/,upperdir=/run/u,workdir=/run/w lab /run/root; \
         rm -f /run/root/.dockerenv; for one in proc sys dev tmp; do \
         mount --rbind /$one /run/root/$one; done; ENTER=\"chroot /run/root\";",
    );
    assert_eq!(json["verdict"]["id"], "wsl.windows_host", "{json:#}");
    let evidence = json["verdict"]["evidence"].to_string();
    assert!(evidence.contains("microsoft-standard-WSL2"), "{json:#}");
    leads_outside(&json);
}
