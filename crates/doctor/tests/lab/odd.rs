//! Healthy servers in odd surroundings, where less can be seen: no false alarm from what is absent.

use super::net::{HERE, LO, diagnosed, possible};

/// Demands health of a server in namespaces that were made so.
#[track_caller]
fn well(needs: &str, setup: &str, listen: &str, target: &str) {
    if !possible(needs) {
        return;
    }
    let json = diagnosed(&format!("{LO} {setup}"), listen, target);
    assert_eq!(json["verdict"]["id"], "ok", "{setup}: {json:#}");
    assert_eq!(json["exit_code"], 0, "{setup}: {json:#}");
}

#[test]
fn a_server_is_well_without_a_view_of_the_system() {
    // What `/proc` does not show is not known to be absent.
    well("mount", "mount -t tmpfs none /proc;", HERE, HERE);
    well("mount", "mount -t tmpfs none /sys;", HERE, HERE);
    well("mount", "mount -t tmpfs none /run; mount -t tmpfs none /var/log;", HERE, HERE);
}

#[test]
fn a_server_is_well_without_files_that_others_have() {
    let empty = "touch /dev/shm/empty$$;";
    for file in ["/etc/hosts", "/etc/resolv.conf"] {
        well("mount", &format!("{empty} mount --bind /dev/shm/empty$$ {file};"), HERE, HERE);
    }
}

#[test]
fn a_server_is_well_with_one_family_only() {
    let off = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1;";
    well("sysctl", off, HERE, HERE);
    well("sysctl", off, HERE, "localhost:45679");
    let six = "ip addr del 127.0.0.1/8 dev lo;";
    well("ip", six, "[::1]:45679", "[::1]:45679");
    if possible("ip") {
        let json = diagnosed(&format!("{LO} {six}"), "[::1]:45679", HERE);
        assert_eq!(json["verdict"]["id"], "net.lo_down", "{json:#}");
        let command = json["verdict"]["fix"][0]["command"].as_str().unwrap();
        assert_eq!(command, "sudo ip addr add 127.0.0.1/8 dev lo");
        well("ip", &format!("{six} ip addr add 127.0.0.1/8 dev lo;"), HERE, HERE);
    }
}

#[test]
fn a_server_is_well_with_tunnels_and_rules_that_do_not_concern_it() {
    let tunnel = "ip link add wg0 type veth peer name far0; ip link set wg0 up; \
                  ip addr add 10.8.0.2/24 dev wg0; \
                  ip route add default dev wg0; ip rule add to 10.9.0.0/16 prohibit;";
    well("ip", tunnel, HERE, HERE);
    let rules = "nft add table inet f; \
                 nft 'add chain inet f i { type filter hook input priority 0; policy drop; }'; \
                 nft add rule inet f i iif lo accept;";
    well("nft", rules, HERE, HERE);
    let other = "nft add table inet f; \
                 nft 'add chain inet f i { type filter hook input priority 0; policy accept; }'; \
                 nft add rule inet f i tcp dport 45680 drop;";
    well("nft", other, HERE, HERE);
    well("ip", "ip addr add 10.7.7.8/32 dev lo;", "0.0.0.0:45679", "10.7.7.8:45679");
}

#[test]
fn a_server_is_well_where_the_range_of_client_ports_is_odd() {
    let narrow = "sysctl -qw net.ipv4.ip_local_port_range='40000 40200';";
    well("sysctl", narrow, HERE, HERE);
    let over = "sysctl -qw net.ipv4.ip_local_port_range='45000 46000';";
    well("sysctl", over, HERE, HERE);
}

#[test]
fn a_shell_with_too_few_descriptors_is_named_and_more_help() {
    if !possible("mount") {
        return;
    }
    let json = diagnosed(&format!("{LO} ulimit -S -n 16;"), HERE, HERE);
    assert_eq!(json["verdict"]["id"], "resource.own_fd_limit", "{json:#}");
    assert!(json["verdict"]["sentence"].as_str().unwrap().contains("limit of 16"), "{json:#}");
    let mend = json["verdict"]["fix"][0]["command"].as_str().unwrap();
    assert_eq!(mend, "ulimit -n 4096");
    well("mount", &format!("ulimit -S -n 16; {mend};"), HERE, HERE);
}

#[test]
fn a_port_that_browsers_refuse_is_named_though_the_server_is_well() {
    if !possible("mount") {
        return;
    }
    let json = diagnosed(LO, "127.0.0.1:6000", "http://127.0.0.1:6000/");
    assert_eq!(json["verdict"]["id"], "address.browser_bad_port", "{json:#}");
    assert!(json["verdict"]["fix"].to_string().contains("6100"), "{json:#}");
    well("mount", "", "127.0.0.1:6100", "http://127.0.0.1:6100/");
}

/// Judges a data folder in namespaces of its own; outside there is nothing to judge.
#[test]
fn the_folder_inside() {
    let Some(folder) = super::net::variable(FOLDER) else { return };
    let report = doctor::own::folder(std::path::Path::new(&folder));
    println!("REPORT {}", report.to_json());
}

const FOLDER: &str = "DOCTOR_LAB_FOLDER";

#[test]
fn a_data_folder_that_takes_nothing_is_named_and_heals_with_room() {
    if !possible("mount") {
        return;
    }
    let own = std::env::current_exe().unwrap();
    let judged = |setup: &str| {
        let script = format!(
            "mount --make-rprivate /; mount -t tmpfs -o size=1m,nr_inodes=40 lab /run; {setup} \
             exec {} --exact odd::the_folder_inside --nocapture",
            own.display()
        );
        let mut command = std::process::Command::new("unshare");
        command.args(["-mn", "sh", "-c", &script]).env(FOLDER, "/run");
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        let line = text.lines().find_map(|line| line.split_once("REPORT ").map(|(_, rest)| rest));
        let json: serde_json::Value = serde_json::from_str(line.unwrap_or_default()).unwrap();
        json["verdict"]["id"].as_str().unwrap().to_owned()
    };
    let fill = "cat /dev/zero > /run/zeros 2>/dev/null;";
    let files = "for n in $(seq 60); do touch /run/$n 2>/dev/null || break; done;";
    let cases = [
        (fill, "store.disk_full", "rm /run/zeros;"),
        (files, "store.no_inode", "rm /run/1 /run/2 /run/3 /run/4 /run/5 /run/6 /run/7 /run/8;"),
        ("mount -o remount,ro /run;", "store.read_only", "mount -o remount,rw /run;"),
    ];
    for (state, id, mend) in cases {
        assert_eq!(judged(state), id, "after `{state}`");
        assert_eq!(judged(&format!("{state} {mend}")), "ok", "after `{state} {mend}`");
    }
}
