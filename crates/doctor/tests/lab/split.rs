//! Addresses at which nobody, or not everybody, answers: made in namespaces, named, and mended.

use super::net::{HERE, LO, diagnosed, files, possible};

#[track_caller]
fn named(setup: &str, target: &str, id: &str, evidence: &str, words: &str) {
    let json = diagnosed(setup, "", target);
    let verdict = &json["verdict"];
    assert_eq!(verdict["id"], id, "{json:#}");
    assert_ne!(json["exit_code"], 0, "{json:#}");
    let proof = format!("{}{}", verdict["sentence"], verdict["evidence"]);
    assert!(proof.contains(evidence), "`{evidence}`: {json:#}");
    assert!(verdict["fix"].to_string().contains(words), "`{words}`: {json:#}");
}

#[test]
fn two_programs_behind_one_name_are_named_until_one_is_gone() {
    if !possible("python3 && command -v timeout") {
        return;
    }
    // Each ends by itself should the test be killed.
    let server = |bind: &str, name: &str| {
        format!(
            "timeout 60 python3 -m http.server 45679 --bind {bind} >/dev/null 2>&1 & {name}=$!; "
        )
    };
    let wait = "python3 -c \"import socket, time\nfor place in ('127.0.0.1', '::1'):\n  \
                for n in range(400):\n    \
                try: socket.create_connection((place, 45679)); break\n    \
                except OSError: time.sleep(0.05)\"; ";
    let hosts = files("127.0.0.1 localhost\\n::1 localhost\\n", "hosts: files\\n");
    let setup = format!("{hosts} {}{}{wait}", server("127.0.0.1", "four"), server("::1", "six"));
    let end = "kill $four $six";
    let at_end = format!("{setup} (sleep 30; {end}) >/dev/null 2>&1 &");
    named(
        &at_end,
        "localhost:45679",
        "listen.family_split",
        "one on 127.0.0.1, another on ::1",
        "127.0.0.1:45679 or [::1]:45679",
    );
    let json = diagnosed(&format!("{setup} kill $six; wait $six || true;"), "", "localhost:45679");
    assert_eq!(json["verdict"]["id"], "ok", "{json:#}");
}

#[test]
fn a_connection_that_joins_itself_is_no_server() {
    if !possible("sysctl") {
        return;
    }
    // The port that is asked for is the one that the system lends first.
    let setup = format!("{LO} sysctl -qw net.ipv4.ip_local_port_range='45679 45680';");
    named(&setup, HERE, "listen.self_connect", "connected to itself", "outside the range");
}

#[test]
fn a_machine_that_does_not_answer_is_named() {
    if !possible("ip") {
        return;
    }
    let setup = format!(
        "{LO} ip link add eth9 type veth peer name far9; ip link set eth9 up; ip link set far9 up; \
         ip addr add 10.8.0.2/24 dev eth9; \
         ip neigh add 10.8.0.9 lladdr 02:00:00:00:00:01 dev eth9;"
    );
    named(&setup, "10.8.0.9:80", "net.timeout", "10.8.0.9:80: no answer", "");
}
