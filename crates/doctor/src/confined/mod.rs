//! `SELinux` and `AppArmor`: what they denied a program, from logs and files that may be read.

use std::path::Path;

use crate::report::{Fix, Verdict};

/// Limit: how much of the end of each log is read.
const TAIL: u64 = 512 * 1024;

/// Where denials are written; the first needs root nearly everywhere.
const LOGS: &[&str] =
    &["var/log/audit/audit.log", "var/log/kern.log", "var/log/syslog", "var/log/messages"];

/// What a program wanted to do with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Listen,
    Connect,
}

/// Why a security module forbids the port, when a denial was written down; `pid` is the program.
pub(crate) fn denied(root: &Path, wish: Wish, port: u16, pid: Option<u32>) -> Option<Verdict> {
    let logs =
        LOGS.iter().filter_map(|path| Some((*path, crate::tail::tail(&root.join(path), TAIL)?)));
    logs.filter_map(|(path, text)| {
        // The newest denial is the one that counts.
        let found = text
            .lines()
            .rev()
            .find_map(|line| selinux(line, wish, port).or_else(|| apparmor(line, wish, pid)))?;
        Some(found.because(format!("it stands in /{path}")))
    })
    .next()
}

/// What confines a process, in one line; `None` when nothing does, or it cannot be seen.
pub(crate) fn of_process(root: &Path, pid: u32) -> Option<String> {
    let text = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let label = text(&format!("proc/{pid}/attr/current"))?;
    let label = label.trim_end_matches('\0').trim();
    if label.is_empty() || label.starts_with("unconfined") {
        return None;
    }
    let enforces = text("sys/fs/selinux/enforce").map(|value| value.trim() == "1");
    Some(match enforces {
        Some(true) => format!("SELinux enforces its rules, and the process runs as {label}"),
        Some(false) => format!("SELinux only warns; the process runs as {label}"),
        None => format!("AppArmor confines the process: {label}"),
    })
}

/// The value of `key=value` or `key="value"`.
fn field<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.split([' ', '\u{1d}']).find_map(|word| {
        let value = word.strip_prefix(key)?.strip_prefix('=')?;
        Some(value.trim_matches('"'))
    })
}

/// `avc:  denied  { name_bind } for  pid=7 comm="python3" src=8080 scontext=… tcontext=…`.
fn selinux(line: &str, wish: Wish, port: u16) -> Option<Verdict> {
    let (permission, key, verb) = match wish {
        Wish::Listen => ("name_bind", "src", "listen on"),
        Wish::Connect => ("name_connect", "dest", "connect to"),
    };
    (line.contains("avc:") && line.contains("denied") && line.contains(permission)).then_some(())?;
    (field(line, key)?.parse() == Ok(port) && field(line, "permissive") != Some("1"))
        .then_some(())?;
    let program = field(line, "comm").unwrap_or("the program");
    let domain = field(line, "scontext").unwrap_or("?");
    let kind = field(line, "tcontext").unwrap_or("?");
    let sentence = format!("SELinux forbids `{program}` to {verb} port {port}");
    Some(
        Verdict::certain("security.selinux", sentence)
            .because(format!("denied {permission}: from {domain} to {kind}"))
            .fix(Fix::run_as_root(
                "give the port a kind the program may use; SELinux stays on",
                format!("sudo semanage port -a -t http_port_t -p tcp {port}"),
            ))
            .fix(Fix::say("or use a port it may have already: sudo semanage port -l")),
    )
}

/// `apparmor="DENIED" operation="bind" profile="/usr/bin/x" pid=7 comm="x" family="inet" …`.
fn apparmor(line: &str, wish: Wish, pid: Option<u32>) -> Option<Verdict> {
    line.contains("apparmor=\"DENIED\"").then_some(())?;
    let operation = field(line, "operation")?;
    let (wanted, verb): (&[&str], _) = match wish {
        Wish::Listen => (&["bind", "listen", "create", "accept"], "listen"),
        Wish::Connect => (&["connect", "create", "sendmsg"], "connect"),
    };
    let is_network = field(line, "family").is_some_and(|family| family.starts_with("inet"));
    (wanted.contains(&operation) && is_network).then_some(())?;
    // The line names no port, so only the program itself tells that this is it.
    (field(line, "pid")?.parse().ok() == pid && pid.is_some()).then_some(())?;
    let profile = field(line, "profile").unwrap_or("?");
    let program = field(line, "comm").unwrap_or("the program");
    let sentence = format!("the AppArmor profile {profile} forbids `{program}` to {verb}");
    let file = profile.trim_start_matches('/').replace('/', ".");
    Some(
        Verdict::certain("security.apparmor", sentence)
            .because(format!("denied operation {operation} of PID {}", pid.unwrap_or_default()))
            .fix(Fix::run_as_root(
                "add `network inet stream,` (and `network inet6 stream,`) to the profile, then \
                 load it",
                format!("sudo apparmor_parser -r /etc/apparmor.d/{file}"),
            )),
    )
}

#[cfg(test)]
mod tests {
    use super::{Wish, denied, of_process};

    const SELINUX: &str = "type=AVC msg=audit(1:2): avc:  denied  { name_bind } for  pid=7 \
        comm=\"python3\" src=8080 scontext=system_u:system_r:httpd_t:s0 \
        tcontext=system_u:object_r:unreserved_port_t:s0 tclass=tcp_socket permissive=0\n";
    const APPARMOR: &str = "kernel: audit: type=1400 apparmor=\"DENIED\" operation=\"bind\" \
        profile=\"/usr/bin/server\" pid=9 comm=\"server\" family=\"inet\" sock_type=\"stream\" \
        protocol=6 requested_mask=\"bind\" denied_mask=\"bind\"\n";

    #[test]
    fn denials_are_told_by_port_or_by_process() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/log/audit")).unwrap();
        std::fs::write(root.path().join("var/log/audit/audit.log"), SELINUX).unwrap();
        std::fs::write(root.path().join("var/log/kern.log"), APPARMOR).unwrap();
        let ask = |wish, port, pid| denied(root.path(), wish, port, pid);
        let found = ask(Wish::Listen, 8080, None).unwrap();
        assert_eq!(found.id, "security.selinux");
        assert!(found.fix[0].command.as_ref().unwrap().ends_with("-p tcp 8080"), "{found:?}");
        assert!(found.evidence.iter().any(|line| line.contains("httpd_t")), "{found:?}");
        assert_eq!(ask(Wish::Listen, 8081, None), None);
        assert_eq!(ask(Wish::Connect, 8080, None), None);
        let found = ask(Wish::Listen, 8081, Some(9)).unwrap();
        assert_eq!(found.id, "security.apparmor");
        let command = found.fix[0].command.as_ref().unwrap();
        assert!(command.ends_with("/etc/apparmor.d/usr.bin.server"), "{command}");
        assert_eq!(ask(Wish::Connect, 8081, Some(9)), None);
        assert_eq!(ask(Wish::Listen, 8081, Some(10)), None);
    }

    #[test]
    fn what_confines_a_process_is_said_and_an_unconfined_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("proc/7/attr/current", "/usr/bin/server (enforce)\n");
        assert!(of_process(root.path(), 7).unwrap().contains("AppArmor confines"));
        write("sys/fs/selinux/enforce", "1");
        write("proc/8/attr/current", "system_u:system_r:httpd_t:s0\0");
        assert!(of_process(root.path(), 8).unwrap().contains("runs as system_u:"));
        write("proc/9/attr/current", "unconfined\n");
        assert_eq!(of_process(root.path(), 9), None);
        assert_eq!(of_process(root.path(), 10), None);
    }
}
