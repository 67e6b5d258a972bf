//! What the system wrote down of a server: crashes, kills, and the last lines of its unit.

mod unit;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use unit::{of_port, of_process};

use crate::report::Fix;
use crate::sockets::redact;
use crate::tail::tail;

/// Limit: how much of the end of a log file is read.
const TAIL: u64 = 256 * 1024;

/// Limit: lines that are shown of each source.
const LINES_MAX: usize = 4;

/// Limit: a crash that is longer ago does not explain why a server is not there.
pub(crate) const DAY: Duration = Duration::from_hours(24);

/// Limit: a crash that is longer ago says nothing of a process that runs now, and others may have
/// the name of its interpreter.
pub(crate) const MOMENTS: Duration = Duration::from_mins(10);

/// Limit: how long `journalctl` may take.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Files of systems whose kernel's log is not for everybody.
const FILES: &[&str] = &["var/log/kern.log", "var/log/syslog", "var/log/messages"];

/// Words of lines that tell of an end that nobody asked for.
const CRASHES: &[&str] = &[
    "segfault at",
    "general protection fault",
    "trap invalid opcode",
    "trap divide error",
    "Killed process",
    "core dumped",
    "code=dumped",
    "code=killed",
    "Failed with result",
];

/// A record of the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) seconds_ago: u64,
    pub(crate) text: String,
}

/// The crashes of a program that the kernel wrote down within this time, the newest last. What a
/// file says has no age, and counts for a day.
pub(crate) fn crashes(
    root: &Path,
    kernel: &[Record],
    (program, within): (&str, Duration),
) -> Vec<String> {
    let tells = |text: &str| names(text, program) && CRASHES.iter().any(|word| text.contains(word));
    let own = kernel.iter().filter(|record| record.seconds_ago <= within.as_secs());
    let own = own.filter(|record| tells(&record.text)).map(|record| {
        format!("the kernel, {} s ago: {}", record.seconds_ago, redact::line(&record.text))
    });
    let mut found: Vec<String> = own.collect();
    if found.is_empty() && within >= DAY {
        for file in FILES {
            let text = tail(&root.join(file), TAIL).unwrap_or_default();
            let lines = text.lines().filter(|line| tells(line));
            found.extend(lines.map(|line| format!("/{file}: {}", redact::line(line))));
        }
    }
    found.drain(..found.len().saturating_sub(LINES_MAX));
    found
}

/// Whether a line is about a program: `name[123]: …`, `(name)`, `name.service`.
fn names(text: &str, program: &str) -> bool {
    // The kernel keeps 15 characters.
    let short: String = program.chars().take(15).collect();
    !short.is_empty()
        && text.match_indices(&short).any(|(at, found)| {
            let before = text.get(..at).and_then(|head| head.chars().next_back());
            let after = text.get(at + found.len()..).and_then(|rest| rest.chars().next());
            let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            !is_part(before) && matches!(after, Some('[' | ')' | ':' | '.' | ' ') | None)
        })
}

/// The last lines of a unit's journal; empty without `journalctl`, or the right to read it.
pub(crate) async fn journal(root: &Path, unit: &str) -> Vec<String> {
    let places = ["usr/bin/journalctl", "bin/journalctl"];
    let Some(program) = places.iter().map(|path| root.join(path)).find(|path| path.is_file())
    else {
        return Vec::new();
    };
    let text = said(program, unit).await.unwrap_or_default();
    let all = text.lines().map(str::trim).filter(|line| {
        // What `journalctl` itself remarks begins so.
        !line.is_empty() && !line.starts_with("-- ") && !line.starts_with("Hint: ")
    });
    let mut lines: Vec<String> =
        all.map(|line| format!("the journal of {unit}: {}", redact::line(line))).collect();
    lines.drain(..lines.len().saturating_sub(LINES_MAX * 2));
    lines
}

async fn said(program: PathBuf, unit: &str) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command
        .args(["-u", unit, "-n", "20", "-o", "cat", "--no-pager", "-q"])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The commands with which to read the log of the system `os` about a program or a unit.
pub(crate) fn commands(os: &str, program: &str, unit: Option<&str>) -> Vec<Fix> {
    match (os, unit) {
        ("macos", _) => {
            // A program may be called anything; what a shell reads is not put into a command.
            let is_part = |c: char| c.is_alphanumeric() || " ._-+".contains(c);
            let program = if program.chars().all(is_part) { program } else { "PROGRAM" };
            let question =
                format!("process == \"{program}\" OR eventMessage CONTAINS \"{program}\"");
            vec![
                Fix::run(
                    "read what macOS wrote down of it",
                    format!("log show --last 15m --style compact --predicate '{question}'"),
                ),
                Fix::run("see its crashes", "ls -t ~/Library/Logs/DiagnosticReports | head"),
            ]
        }
        ("windows", _) => vec![Fix::run(
            "read what Windows wrote down of crashes",
            "Get-WinEvent -FilterHashtable @{LogName='Application'; ProviderName='Application \
             Error','.NET Runtime','Windows Error Reporting'} -MaxEvents 10 | Format-List \
             TimeCreated,Message",
        )],
        (_, Some(unit)) => vec![
            Fix::run("see how its unit stands", format!("systemctl status {unit}")),
            Fix::run("read more of its journal", format!("journalctl -u {unit} -n 50")),
        ],
        (_, None) => vec![Fix::run_as_root("read the kernel's log", "sudo dmesg -T | tail -n 50")],
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, MOMENTS, Record, commands, crashes, journal, names};

    fn record(seconds_ago: u64, text: &str) -> Record {
        Record { seconds_ago, text: text.to_owned() }
    }

    #[test]
    fn crashes_of_the_program_are_found_and_those_of_others_are_not() {
        let root = tempfile::tempdir().unwrap();
        let kernel = [
            record(90, "node[71]: segfault at 0 ip 00 sp 00 error 4 in node[400000+1]"),
            record(80, "python3[72]: segfault at 0 ip 00 sp 00 error 4"),
            record(70, "python31[72]: segfault at 0 ip 00 sp 00 error 4"),
            record(60, "Memory cgroup out of memory: Killed process 73 (python3) total-vm:1kB"),
            record(50, "python3: renamed from eth0"),
            record(999_999, "python3[9]: segfault at 0"),
        ];
        let found = crashes(root.path(), &kernel, ("python3", DAY));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("the kernel, 80 s ago: python3[72]: segfault"), "{found:?}");
        assert!(found[1].contains("Killed process 73"), "{found:?}");
        assert!(crashes(root.path(), &kernel, ("ruby", DAY)).is_empty());
        // Without the kernel's log its file is read.
        std::fs::create_dir_all(root.path().join("var/log")).unwrap();
        let line =
            "Nov 21 10:00:00 box systemd[1]: shop.service: Failed with result 'exit-code'.\n";
        std::fs::write(root.path().join("var/log/syslog"), line).unwrap();
        let found = crashes(root.path(), &[], ("shop", DAY));
        assert!(found[0].starts_with("/var/log/syslog: Nov 21"), "{found:?}");
        // Of a process that runs only the last minutes count, and nothing without an age.
        let long_ago =
            [record(601, "shop[7]: segfault at 0"), record(600, "shop[8]: segfault at 0")];
        let found = crashes(root.path(), &long_ago, ("shop", MOMENTS));
        assert!(found.len() == 1 && found[0].contains("shop[8]"), "{found:?}");
        assert!(crashes(root.path(), &long_ago[..1], ("shop", MOMENTS)).is_empty());
    }

    #[test]
    fn the_kernel_cuts_names_and_words_have_ends() {
        assert!(names("a-very-long-nam[7]: segfault at", "a-very-long-name-of-a-server"));
        assert!(!names("myshop[7]: x", "shop") && !names("x", ""));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_journal_of_a_unit_is_read_without_secrets_and_never_waited_for_long() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        assert!(journal(root.path(), "shop.service").await.is_empty());
        let path = root.path().join("usr/bin/journalctl");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let write = |script: &str| {
            std::fs::write(&path, script).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        write("#!/bin/sh\necho \"$2: API_KEY=hunter22 is wrong\"\necho '-- No entries --'\n");
        let found = journal(root.path(), "shop.service").await;
        assert_eq!(found, ["the journal of shop.service: shop.service: API_KEY=[hidden] is wrong"]);
        write("#!/bin/sh\nexec sleep 60\n");
        assert!(journal(root.path(), "shop.service").await.is_empty());
    }

    #[test]
    fn every_system_has_its_command() {
        let first = |os: &str, unit| commands(os, "rapport", unit)[0].command.clone().unwrap();
        assert!(first("macos", None).contains("process == \"rapport\""));
        let odd = commands("macos", "x';reboot;'", None)[0].command.clone().unwrap();
        assert!(odd.contains("process == \"PROGRAM\"") && !odd.contains("reboot"), "{odd}");
        assert!(first("windows", None).starts_with("Get-WinEvent"));
        assert_eq!(first("linux", Some("a.service")), "systemctl status a.service");
        assert!(first("linux", None).contains("dmesg"));
    }
}
