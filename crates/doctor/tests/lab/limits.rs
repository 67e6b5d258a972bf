//! Servers that are held back by control groups, debuggers and disks, and freed again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::held::Held;
use super::{broken, fix, request, well};

/// A server in Python that does `WORK` for each request; 500 with the error when that fails.
const SERVER: &str = r#"
import http.server, sys, subprocess, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            WORK
            status, body = 200, b'{}'
        except Exception as error:
            status, body = 500, str(error).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

struct Served {
    child: Held,
    port: u16,
}

impl Served {
    fn new(work: &str, folder: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", &SERVER.replace("WORK", work)])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child: Held(child), port: line.trim().parse().unwrap() }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

/// A control group of the first version, gone with the test.
struct Group(PathBuf);

impl Group {
    /// `None` where groups cannot be made: no rights, or another version.
    fn new(controller: &str) -> Option<Self> {
        let name = format!("doctor-lab-{}", std::process::id());
        let place = Path::new("/sys/fs/cgroup").join(controller).join(name);
        if std::fs::create_dir(&place).is_err() || !place.join("cgroup.procs").is_file() {
            println!("skipped: no control groups of the first version can be made here");
            return None;
        }
        Some(Self(place))
    }

    fn set(&self, name: &str, value: &str) {
        let mut file = std::fs::OpenOptions::new().write(true).open(self.0.join(name)).unwrap();
        file.write_all(value.as_bytes()).unwrap();
    }

    fn take(&self, served: &Served) {
        self.set("cgroup.procs", &served.child.0.id().to_string());
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

#[tokio::test]
async fn a_server_that_may_start_no_process_is_named() {
    let Some(group) = Group::new("pids") else { return };
    let served = Served::new("subprocess.run(['true'])", Path::new("/"));
    group.take(&served);
    group.set("pids.max", "1");
    let report = broken(&request(&served.url()), "resource.pids", "pids.max 1").await;
    fix(&report, "echo max | sudo tee");
    group.set("pids.max", "max");
    well(&request(&served.url())).await;
    drop(served);
}

#[tokio::test]
async fn a_server_that_may_use_little_of_a_processor_is_named() {
    let Some(group) = Group::new("cpu") else { return };
    let work =
        "end = time.process_time() + 0.05\n            while time.process_time() < end: pass";
    let served = Served::new(work, Path::new("/"));
    group.set("cpu.cfs_quota_us", "2000");
    group.take(&served);
    let report = broken(&request(&served.url()), "resource.cpu_throttled", "2 % of one").await;
    fix(&report, "cpu.cfs_quota_us");
    group.set("cpu.cfs_quota_us", "-1");
    well(&request(&served.url())).await;
    drop(served);
}

/// A small disk of its own, gone with the test.
struct Small(tempfile::TempDir);

impl Small {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "lab"]).arg(folder.path());
        if !mount.status().is_ok_and(|status| status.success()) {
            println!("skipped: no rights to mount");
            return None;
        }
        Some(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(self.0.path()).status());
    }
}

const WRITES: &str = "open('data', 'w').write('x' * 9000)";

#[tokio::test]
async fn a_server_on_a_disk_that_takes_nothing_is_named() {
    let Some(small) = Small::new("size=64k,nr_inodes=8") else { return };
    let place = small.0.path();
    let served = Served::new(WRITES, place);
    std::fs::write(place.join("fill"), vec![0_u8; 64 * 1024]).unwrap();
    let report = broken(&request(&served.url()), "resource.disk_full", "no block is left").await;
    fix(&report, "free space there");
    std::fs::remove_file(place.join("fill")).unwrap();
    well(&request(&served.url())).await;
    std::fs::remove_file(place.join("data")).unwrap();
    let mut number = 0;
    while std::fs::write(place.join(number.to_string()), "").is_ok() {
        number += 1;
    }
    let report = broken(&request(&served.url()), "resource.inodes", "inode").await;
    fix(&report, "df -i");
    std::fs::remove_file(place.join("0")).unwrap();
    well(&request(&served.url())).await;
    let again = |how: &str| {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", how]).arg(place).status().unwrap().success());
    };
    again("remount,ro");
    let report = broken(&request(&served.url()), "resource.read_only", "read-only").await;
    fix(&report, "mount -o remount,rw");
    again("remount,rw");
    well(&request(&served.url())).await;
}

#[tokio::test]
async fn a_server_that_a_debugger_holds_is_named() {
    let served = Served::new("pass", Path::new("/"));
    let debugger = "import ctypes, sys; c = ctypes.CDLL(None); \
                    print(c.ptrace(16, int(sys.argv[1]), None, None), flush=True); \
                    sys.stdin.read()";
    let mut held = Command::new("python3")
        .args(["-c", debugger, &served.child.0.id().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(held.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if line.trim() == "0" {
        let report = broken(&request(&served.url()), "process.traced", "python3").await;
        fix(&report, "end the debugger");
    } else {
        println!("skipped: no rights to trace");
    }
    drop(held.stdin.take());
    held.wait().unwrap();
    // A debugger that ends without a word leaves its process stopped, and that has its own fix.
    let pid = served.child.0.id().to_string();
    assert!(Command::new("kill").args(["-CONT", &pid]).status().unwrap().success());
    well(&request(&served.url())).await;
}

#[test]
fn a_process_that_was_killed_for_lack_of_memory_is_found_in_the_kernels_log() {
    let Some(group) = Group::new("memory") else { return };
    group.set("memory.limit_in_bytes", "41943040");
    let script = format!(
        "echo $$ > {}/cgroup.procs; exec python3 -c 'x = bytearray(200 << 20)'",
        group.0.display()
    );
    let mut child = Command::new("sh").args(["-c", &script]).stderr(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    assert!(!child.wait().unwrap().success());
    let kills = doctor::sockets::kills();
    if std::fs::File::open("/dev/kmsg").is_err() {
        println!("skipped: no rights to read the kernel's log");
        return;
    }
    let kill = kills.iter().find(|kill| kill.pid == pid && kill.seconds_ago < 60);
    assert_eq!(kill.map(|kill| kill.name.as_str()), Some("python3"), "{kills:?}");
}
