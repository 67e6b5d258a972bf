//! Networks that are broken on purpose, each in namespaces of its own, and mended in them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::servers::answers;
use super::{broken, fix, request, verbose};

/// Inside a namespace of its own any port is free.
pub(super) const PORT: &str = "45679";

/// Where the subject listens, and what it diagnoses, when it runs in a namespace.
const LISTEN: &str = "DOCTOR_LAB_LISTEN";
const TARGET: &str = "DOCTOR_LAB_TARGET";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[expect(clippy::disallowed_methods, reason = "the test speaks to itself in another namespace")]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What runs inside; outside it shows that a server of its own is well.
#[tokio::test]
async fn the_subject() {
    let place = variable(LISTEN).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let server = (!place.is_empty()).then(|| answers(&place, ANSWER));
    let own = server.as_ref().map(|server| format!("127.0.0.1:{}", server.port));
    let inside = variable(TARGET);
    let report = doctor::diagnose(&request(&inside.clone().or(own).unwrap())).await;
    println!("REPORT {}", report.to_json());
    // Its end would wait for a connection to itself, which the network may not let through.
    std::mem::forget(server);
    if inside.is_none() {
        assert_eq!(report.verdict.id, "ok", "{}", verbose(&report));
    }
}

/// A listener that waits for the end of its input; outside it has nothing to do.
#[test]
fn the_listener_inside() {
    let Some(place) = variable(LISTEN).filter(|_| variable(TARGET).is_none()) else { return };
    let held = TcpListener::bind(place).unwrap();
    println!("LISTENS {}", held.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    drop(std::io::stdin().read(&mut [0_u8]));
}

/// Whether namespaces can be made here, and the programs of the setup are there.
pub(super) fn possible(needs: &str) -> bool {
    let script = format!("unshare -mn sh -c 'command -v {needs} && mount --make-rprivate /'");
    let tried = Command::new("sh").args(["-c", &script]).output().unwrap();
    if !tried.status.success() {
        println!("skipped: no rights for namespaces, or `{needs}` is missing");
    }
    tried.status.success()
}

/// Runs `setup` in fresh namespaces, then the subject there.
pub(super) fn diagnosed(setup: &str, listen: &str, target: &str) -> Value {
    let own = std::env::current_exe().unwrap();
    let script = format!(
        "mount --make-rprivate /; {setup}\n exec {} --exact net::the_subject --nocapture",
        own.display()
    );
    let output = Command::new("unshare")
        .args(["-mn", "sh", "-ec", &script])
        .env(LISTEN, listen)
        .env(TARGET, target)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("REPORT ").map(|(_, json)| json));
    let line = line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    serde_json::from_str(line).unwrap()
}

/// One broken network.
struct Case {
    needs: &'static str,
    setup: String,
    listen: &'static str,
    target: &'static str,
    id: &'static str,
    /// A piece of the evidence or the sentence.
    evidence: &'static str,
    /// Words of the fix.
    words: &'static str,
    /// What a person does then; empty when nothing in the namespace can be mended.
    mend: &'static str,
}

pub(super) const HERE: &str = "127.0.0.1:45679";
pub(super) const LO: &str = "ip link set lo up;";

impl Case {
    fn check(&self) {
        if !possible(self.needs) {
            return;
        }
        let json = diagnosed(&self.setup, self.listen, self.target);
        let verdict = &json["verdict"];
        assert_eq!(verdict["id"], self.id, "{json:#}");
        assert_ne!(json["exit_code"], 0, "{json:#}");
        let proof = format!("{}{}", verdict["sentence"], verdict["evidence"]);
        assert!(proof.contains(self.evidence), "`{}`: {json:#}", self.evidence);
        assert!(verdict["fix"].to_string().contains(self.words), "`{}`: {json:#}", self.words);
        if !self.mend.is_empty() {
            let json =
                diagnosed(&format!("{} {}", self.setup, self.mend), self.listen, self.target);
            assert_eq!(json["verdict"]["id"], "ok", "after the mending: {json:#}");
        }
    }
}

#[test]
fn a_loopback_that_is_down_is_named() {
    Case {
        needs: "ip",
        setup: String::new(),
        listen: "",
        target: HERE,
        id: "net.lo_down",
        evidence: "loopback",
        words: "ip link set lo up",
        mend: "",
    }
    .check();
    // Switched off again, it still has its address.
    Case {
        needs: "ip",
        setup: format!("{LO} ip link set lo down;"),
        listen: "",
        target: HERE,
        id: "net.lo_down",
        evidence: "switched off",
        words: "ip link set lo up",
        mend: "",
    }
    .check();
    if possible("ip") {
        let json = diagnosed(LO, HERE, HERE);
        assert_eq!(json["verdict"]["id"], "ok", "{json:#}");
    }
}

#[test]
fn a_server_on_another_address_is_found() {
    let outer = format!("{LO} ip addr add 10.7.7.8/32 dev lo;");
    let case = |listen: &'static str, id, evidence, words| {
        let setup = outer.clone();
        // Servers of other tests would be found as those of containers.
        let target = if listen.is_empty() { "127.0.0.1:45680" } else { HERE };
        let (needs, mend) = ("ip", "");
        Case { needs, setup, listen, target, id, evidence, words, mend }.check();
    };
    case("10.7.7.8:45679", "listen.external_only", "10.7.7.8:45679", "--host 127.0.0.1");
    case("127.0.0.2:45679", "listen.other_loopback", "127.0.0.2:45679", "bind the server");
    case("[::1]:45679", "listen.family", "::1", "[::1]:45679");
    case("", "listen.none", "nothing listens", "rapport serve --port 45680");
    if possible("ip") {
        let json = diagnosed(&outer, "10.7.7.8:45679", "10.7.7.8:45679");
        assert_eq!(json["verdict"]["id"], "ok", "{json:#}");
    }
}

/// The routes of a network, which the fix of the verdict takes away.
#[test]
fn ways_that_the_routing_forbids_are_named_and_their_fix_heals() {
    if !possible("ip") {
        return;
    }
    let own = format!("{LO} ip addr add 10.7.7.8/32 dev lo;");
    let remove = "ip route flush table local 10.7.7.8 dev lo;";
    let at = "10.7.7.8:45679";
    let cases = [
        // A rule before all others, as kill switches set it.
        ("ip rule add priority 0 to 10.7.7.8 prohibit;", "rule 0: to 10.7.7.8/32 prohibit"),
        ("ip rule add priority 0 to 10.7.7.0/24 blackhole;", "to 10.7.7.0/24 blackhole"),
        ("ip rule add priority 0 to 10.7.0.0/16 unreachable;", "10.7.0.0/16 unreachable"),
    ];
    for (barrier, proof) in cases {
        // The table of local addresses is asked after that rule.
        let barrier =
            format!("ip rule add priority 1 lookup local; ip rule del priority 0; {barrier}");
        let setup = format!("{own} {barrier}");
        let json = diagnosed(&setup, at, at);
        assert_eq!(json["verdict"]["id"], "net.route_forbidden", "{json:#}");
        assert!(json["verdict"]["evidence"].to_string().contains(proof), "{json:#}");
        let command = json["verdict"]["fix"][0]["command"].as_str().unwrap();
        let mend = command.strip_prefix("sudo ").unwrap();
        let json = diagnosed(&format!("{setup} {mend};"), at, at);
        assert_eq!(json["verdict"]["id"], "ok", "after `{mend}`: {json:#}");
    }
    let setup = format!("{own} {remove} ip route add prohibit 10.9.9.0/24;");
    let json = diagnosed(&setup, "", "10.9.9.9:80");
    assert_eq!(json["verdict"]["id"], "net.route_forbidden", "{json:#}");
    assert!(json["verdict"]["fix"].to_string().contains("route del prohibit 10.9.9.0/24"));
}

/// A rule before that of the local addresses, which takes 127.0.0.0/8 along.
const BEFORE_LOCAL: &str = "ip rule add priority 1 lookup local; ip rule del priority 0;";

#[test]
fn a_loopback_that_a_vpn_takes_along_or_forbids_is_named() {
    let case = |barrier: &str, id, evidence, words, mend| {
        let setup = format!("{LO} {BEFORE_LOCAL} {barrier}");
        Case { needs: "ip", setup, listen: HERE, target: HERE, id, evidence, words, mend }.check();
    };
    case(
        "ip tuntap add tun9 mode tun; ip link set tun9 up; ip addr add 10.8.0.2/24 dev tun9; \
         ip route add 127.0.0.0/8 dev tun9 table 77; \
         ip rule add priority 0 to 127.0.0.0/8 lookup 77;",
        "net.loopback_diverted",
        "VPN interface tun9",
        "leave 127.0.0.0/8 out",
        "ip link del tun9;",
    );
    case(
        "ip rule add priority 0 to 127.0.0.1 prohibit;",
        "net.route_forbidden",
        "rule 0: to 127.0.0.1/32 prohibit",
        "sudo ip rule del priority 0",
        "ip rule del priority 0;",
    );
}

#[test]
fn a_way_through_a_vpn_that_ends_there_is_named() {
    Case {
        needs: "ip",
        // A tunnel to nowhere takes the packets and gives none back.
        setup: format!(
            "{LO} ip link add wg9 type veth peer name far9; ip link set wg9 up; \
             ip link set far9 up; ip addr add 10.8.0.2/24 dev wg9; \
             ip route add 10.9.9.9/32 dev wg9; \
             ip neigh add 10.9.9.9 lladdr 02:00:00:00:00:01 dev wg9;"
        ),
        listen: "",
        target: "10.9.9.9:80",
        id: "net.vpn",
        evidence: "wg9",
        words: "split tunnelling",
        mend: "",
    }
    .check();
}

#[test]
fn a_host_without_a_route_is_named() {
    Case {
        needs: "ip",
        setup: LO.to_owned(),
        listen: "",
        target: "10.9.9.9:80",
        id: "net.unreachable",
        evidence: "10.9.9.9",
        words: "VPN",
        mend: "",
    }
    .check();
}

/// Puts other texts in the place of the hosts file and of nsswitch.conf.
pub(super) fn files(hosts: &str, switch: &str) -> String {
    format!(
        "{LO} room=$(mktemp -d -p /dev/shm); mount -t tmpfs lab $room; cd $room; \
         printf '{hosts}' > hosts; printf '{switch}' > switch; \
         mount --bind hosts /etc/hosts; \
         touch /etc/nsswitch.conf; mount --bind switch /etc/nsswitch.conf;"
    )
}

const FILES: &str = "hosts: files\\n";

#[test]
fn a_hosts_file_that_lost_localhost_is_named() {
    let mend = "printf '127.0.0.1 localhost\\n' > hosts; printf 'hosts: files\\n' > switch;";
    let case = |hosts: &str, switch: &str, id, evidence, words| {
        Case {
            needs: "mount",
            setup: files(hosts, switch),
            listen: HERE,
            target: "localhost:45679",
            id,
            evidence,
            words,
            mend,
        }
        .check();
    };
    let missing = "name.localhost_missing";
    case("10.0.0.1 box\\n", FILES, missing, "does not resolve", "127.0.0.1 localhost");
    case("127.0.0.1 locahost\\n", FILES, missing, "`locahost`", "correct `locahost`");
    let wrong = "name.localhost_wrong";
    case("10.66.66.66 localhost\\n", FILES, wrong, "hosts file line 1", "127.0.0.1 localhost");
    let six = "name.family_mismatch";
    case("::1 localhost\\n", FILES, six, "listens on 127.0.0.1 only", "127.0.0.1:45679");
}

#[test]
fn a_name_that_nobody_knows_is_named_and_the_hosts_file_helps() {
    Case {
        needs: "mount",
        setup: files("127.0.0.1 localhost\\n", FILES),
        listen: HERE,
        target: "mcp.local:45679",
        id: "name.unknown",
        evidence: "mcp.local",
        words: "127.0.0.1 mcp.local",
        mend: "printf '127.0.0.1 mcp.local\\n' >> hosts;",
    }
    .check();
}

#[test]
fn ipv6_that_is_off_is_named() {
    let off = "sysctl -qw net.ipv6.conf.lo.disable_ipv6=1;";
    Case {
        needs: "sysctl",
        setup: format!("{} {off}", files("::1 localhost\\n", FILES)),
        listen: HERE,
        target: "localhost:45679",
        id: "name.ipv6_disabled",
        evidence: "IPv6 is off",
        words: "127.0.0.1:45679",
        mend: "printf '127.0.0.1 localhost\\n' > hosts;",
    }
    .check();
}

#[tokio::test]
async fn a_server_in_a_container_is_found() {
    if !possible("ip") {
        return;
    }
    let own = std::env::current_exe().unwrap();
    let script =
        format!("{LO} exec {} --exact net::the_listener_inside --nocapture", own.display());
    for (place, id) in
        [("127.0.0.1", "container.loopback_bind"), ("0.0.0.0", "container.not_published")]
    {
        let port = super::servers::closed_port();
        let mut child = Command::new("unshare")
            .args(["-n", "sh", "-ec", &script])
            .env(LISTEN, format!("{place}:{port}"))
            .env_remove(TARGET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("LISTENS") {
            line.clear();
            assert_ne!(std::io::BufRead::read_line(&mut said, &mut line).unwrap(), 0);
        }
        let target = format!("localhost:{port}");
        let report = broken(&request(&target), id, "another network namespace").await;
        fix(&report, &format!("-p 127.0.0.1:{port}:{port}"));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

#[test]
fn a_system_that_does_not_ask_its_hosts_file_is_named() {
    Case {
        needs: "mount",
        setup: format!(
            "{LO} f=$(mktemp); echo 'hosts: dns' > $f; mount --bind $f /etc/nsswitch.conf; rm $f;"
        ),
        listen: HERE,
        target: "localhost:45679",
        id: "name.nsswitch",
        evidence: "/etc/nsswitch.conf says `hosts: dns`",
        words: "hosts: files dns",
        mend: "umount /etc/nsswitch.conf;",
    }
    .check();
}

#[test]
fn a_machine_without_a_free_port_is_named_and_the_fix_heals() {
    // Both ports that are lent are held for as long as the subject may take.
    let hold = "import socket, time; held = [socket.create_server(('0.0.0.0', port)) \
                for port in (50000, 50001)]; print(1, flush=True); time.sleep(20)";
    Case {
        needs: "python3",
        setup: format!(
            "{LO} sysctl -qw net.ipv4.ip_local_port_range='50000 50001'; p=$(mktemp -u); \
             mkfifo $p; python3 -c \"{hold}\" > $p 2>/dev/null & read ready < $p; rm $p;"
        ),
        listen: HERE,
        target: HERE,
        id: "net.ephemeral_exhausted",
        evidence: "no free local port left to lend (50000-50001)",
        words: "sudo sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
        mend: "sysctl -qw net.ipv4.ip_local_port_range='32768 60999';",
    }
    .check();
}
